"""A host that ssh reaches, played by two scripts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from harness.bundle.remote import HostFailed, RemoteHost

if TYPE_CHECKING:
    from pathlib import Path

SSH = """#!/bin/sh
shift
cd "$THERE" && exec sh -c "$*"
"""
SCP = """#!/bin/sh
shift
for last; do :; done
case "$last" in
  gpu-host:*) target="$THERE/${last#gpu-host:}"; while [ $# -gt 1 ]; do cp "$1" "$target"; shift; done ;;
  *) cp "$THERE/${1#gpu-host:}" "$last" ;;
esac
"""
RUN = """
import pathlib, sys
place = pathlib.Path("bundle/results"); place.mkdir(parents=True)
(place / "results.tar.gz").write_text(" ".join(sys.argv[1:]))
sys.exit(int(pathlib.Path("part").read_text()))
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteHost:
    for name, text in (("ssh", SSH), ("scp", SCP)):
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(text)
        script.chmod(0o755)
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("THERE", str(tmp_path / "there"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return RemoteHost("gpu-host")


def sent(host: RemoteHost, tmp_path: Path, ends: int) -> None:
    (tmp_path / "unpack.py").write_text(RUN)
    (tmp_path / "part").write_text(str(ends))
    host.send([tmp_path / "unpack.py", tmp_path / "part"])


@pytest.mark.parametrize("ends", [0, 1])
def test_parts_go_there_the_run_is_given_its_arguments_and_the_results_come_home(
    host: RemoteHost, tmp_path: Path, ends: int
) -> None:
    (tmp_path / "there" / host.folder).mkdir()
    (tmp_path / "there" / host.folder / "of an earlier bundle").touch()
    sent(host, tmp_path, ends)
    host.run(["-j", "4", "-k", "two words"])
    assert host.fetch(tmp_path / "home").read_text() == "-- -j 4 -k two words"
    assert not (tmp_path / "there" / host.folder / "of an earlier bundle").exists()


def test_a_run_that_breaks_or_a_host_that_does_not_answer_is_told_in_a_line(host: RemoteHost, tmp_path: Path) -> None:
    sent(host, tmp_path, 4)
    with pytest.raises(HostFailed, match="gpu-host: the run ended with 4; its folder lmdeploy-harness-bundle is still"):
        host.run([])
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\necho 'Could not resolve hostname' >&2\nexit 255\n")
    with pytest.raises(HostFailed, match="gpu-host: Could not resolve hostname"):
        host.packages()
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\necho 'No module named pip'\n")
    with pytest.raises(HostFailed, match="'pip list' did not answer with JSON"):
        host.packages()


def test_the_host_s_own_packages_and_python_are_asked(host: RemoteHost, tmp_path: Path) -> None:
    (tmp_path / "bin" / "ssh").write_text('#!/bin/sh\necho \'[{"name": "torch", "version": "2.11.0"}]\'\n')
    assert host.packages() == [{"name": "torch", "version": "2.11.0"}]
    (tmp_path / "bin" / "ssh").write_text("#!/bin/sh\necho 3.12.3\n")
    assert host.python() == "3.12.3"
