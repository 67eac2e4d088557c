"""Bad input of the kind that others send: bundles and their wheels, gates and their shards, diffs, index pages."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import tarfile
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

from installer.destinations import SchemeDictionaryDestination

from harness.bundle import unpack
from harness.bundle.manifest import MANIFEST
from harness.bundle.overlay import _install_wheel
from harness.cli.bundle_host import HostSession
from harness.gate.annotations import workflow_commands
from harness.gate.baseline import read_baseline, write_baseline
from harness.gate.change import UnusableChange, parse_bump
from harness.gate.diff import read_diff
from harness.gate.junit import junit
from harness.gate.markdown import SUMMARY_BYTES, markdown
from harness.gate.shards import merge, parse_shard, read_outcome
from harness.index.pages import by_version, files_of_html, files_of_json
from harness.matrix import MatrixError
from harness.matrix.project import Project
from harness.process.redaction import redact
from harness.session.session import NothingSelected
from tests.chaos.input import feed, folder_of
from tests.chaos.registry import Missed, expect, fault
from tests.miniatures import make_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.gate.outcome import GateOutcome
    from tests.chaos.registry import Setting, Tally

BASELINE = b"""\
# what the gate compares with
version: 1
accepted: 2026-01-04
must:
  - {match: "lmdeploy1.0-*", stage: structure}   # by hand
limits: {latency: 0.25}
combinations:
  lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11:
    verdict: pass
    asks: 0123456789ab
    samples: {load: [1.5, 1.6]}
"""
DIFF = b"""\
diff --git a/requirements.txt b/requirements.txt
--- a/requirements.txt
+++ b/requirements.txt
@@ -1,3 +1,3 @@
 lmdeploy==0.11.1
-transformers==4.57.3 --hash=sha256:00
+transformers==5.0.0 --hash=sha256:11
--- a/pyproject.toml
+++ b/pyproject.toml
@@ -4 +4,2 @@
-dependencies = ["pillow>=1"]
+dependencies = ["pillow>=2", "torch"]
+transformers = {version = "^5.1", optional = true}
--- a/uv.lock
+++ b/uv.lock
@@ -9,4 +9,4 @@
 [[package]]
 name = "torch"
-version = "2.7.0"
+version = "2.8.0"
"""
ADDRESS = "https://x.invalid/simple/a/"
PAGE = (
    b'{"meta": {"api-version": "1.1"}, "files": [{"filename": "a-1.0-py3-none-any.whl", "url": "x", "yanked": false, '
    b'"upload-time": "2026-01-04T00:00:00Z", "hashes": {}}]}\n<!DOCTYPE html><a href="/a-1.0.tar.gz#sha256=00">a</a>'
)
OUTCOME: Mapping[str, object] = {
    "bump": "transformers==5.0.0",
    "baseline": "b",
    "harness": "1",
    "finished": "2026-01-04T00:00:00Z",
    "plan": {"digest": "d", "combinations": ["a → b"]},
    "shard": {"index": 1, "count": 1},
    "decision": "1 regression",
    "exit_code": 1,
    "counts": {"regressed": 1},
    "rows": [
        {
            "id": "b",
            "reference": "a",
            "change": "regressed",
            "before": "pass",
            "after": "fail/import/crash(SIGABRT)",
            "measured": [{"text": "load", "before": 1.0, "after": 2.0, "worse": True}],
            "cause": "c",
        }
    ],
    "causes": [
        {
            "id": "c",
            "change": "regressed",
            "verdict": "fail/import/crash(SIGABRT)",
            "title": "t",
            "line": "l",
            "cause": "<script>",
            "remedy": "r",
            "source": "s",
            "combinations": ["b"],
        }
    ],
}


@fault("input", "baselines", "broken baseline.yaml files")
def baselines(setting: Setting, tally: Tally) -> None:
    """Every problem has its line, and what is whole is written back as it was meant."""
    path = folder_of(setting) / "baseline.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(MatrixError):
            found = read_baseline(path)
            write_baseline(path, found)
            expect(read_baseline(path) == found, "a baseline that was written back says something else")

    feed(setting, tally, BASELINE, 2000, read)


@fault("input", "gates", "broken gate.json files of shards, and every output made of those that are whole")
def gates(setting: Setting, tally: Tally) -> None:
    """Refused, or shown without breaking out of the format it is shown in."""
    path = folder_of(setting) / "gate.json"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(UnusableChange):
            part = read_outcome(path)
            _show(part)
            _show(merge([part]))

    feed(setting, tally, json.dumps(OUTCOME).encode(), 8000, read)


def _show(outcome: GateOutcome) -> None:
    junit(outcome)
    markdown(outcome, SUMMARY_BYTES, every=True)
    expect(not any("\n" in each or "\r" in each for each in workflow_commands(outcome)), "a command of several lines")


@fault("input", "diffs", "broken diffs, bumps and shard names")
def diffs(setting: Setting, tally: Tally) -> None:
    """Whatever a pull request holds."""

    def read(content: bytes) -> None:
        text = content.decode(errors="replace")
        with suppress(UnusableChange):
            read_diff(text)
        for parse in (parse_bump, parse_shard):
            with suppress(UnusableChange):
                parse(text[:60])

    feed(setting, tally, DIFF, 16_000, read)


@fault("input", "pages", "broken pages of a package index")
def pages(setting: Setting, tally: Tally) -> None:
    """JSON and HTML."""

    def read(content: bytes) -> None:
        with suppress(ValueError):
            by_version("a", files_of_json(content, ADDRESS))
        with suppress(ValueError):
            by_version("a", files_of_html(content.decode(errors="replace"), ADDRESS))

    feed(setting, tally, PAGE.partition(b"\n")[0], 5000, read)
    feed(setting, tally, PAGE.partition(b"\n")[2], 5000, read)


@fault("input", "logs", "broken text with half secrets in it, to be redacted")
def logs(setting: Setting, tally: Tally) -> None:
    """What children print."""

    def read(content: bytes) -> None:
        redact(content.decode(errors="replace"))

    text = (
        b"HF_TOKEN=hf_aaaaaaaaaaaaaaaaaaaaaaaa https://a:b@c/ login x password y -----BEGIN RSA PRIVATE KEY-----\nMII"
    )
    feed(setting, tally, text, 16_000, read)


def _tar(members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
        for name, target in (links or {}).items():
            item = tarfile.TarInfo(name)
            item.type, item.linkname = tarfile.SYMTYPE, target
            archive.addfile(item)
    return buffer.getvalue()


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@fault("input", "bundles", "hostile, bursting and broken bundles: members and links that lead outside, false sizes")
def bundles(setting: Setting, tally: Tally) -> None:
    """unpack.py ends with a line, and nothing lands outside the folder."""
    folder = folder_of(setting)
    outside, into, part = folder / "outside", folder / "deep" / "bundle", folder / "bundle.tar.000"
    good = {"bundle.json": b"{}", "runtime-wheels/a-1-py3-none-any.whl": _zip({"a.py": b"", "../../../outside": b"x"})}

    def read(content: bytes) -> None:
        part.write_bytes(content)
        (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  {part.name}\n")
        with suppress(SystemExit):
            unpack.unpack(unpack.check(folder), into)
        if outside.exists():
            outside.unlink()
            tally.escaped += 1
            raise Missed("it wrote outside its folder")

    hostile = [_tar({**good, name: b"x"}) for name in ("../../outside", str(outside), "a/../../../outside")]
    hostile += [_tar({**good, "link/outside": b"x"}, {"link": str(folder)}), _tar(good, {"outside": str(folder)})]
    claimed = tarfile.TarInfo("wheels/large")
    claimed.size = 1 << 62
    hostile += [claimed.tobuf() + b"x" * 512, _tar({"lent-wheels/b.whl": b"no zip"}), b"", b"\x1f\x8b"]
    for content in hostile:
        with tally.injection("hostile"):
            read(content)
    sums = (folder / "SHA256SUMS").write_bytes
    for content in (b"", b"\xff\xfe", b"00  ../../etc/passwd\n", b"\x00\n"):
        with tally.injection("sums"), suppress(SystemExit):
            sums(content)
            unpack.check(folder)
    feed(setting, tally, _tar(good), 2000, read)
    feed(setting, tally, lzma.compress(_tar(good)), 1000, read)


@fault("input", "wheels", "hostile and broken wheels that a bundle carries")
def wheels(setting: Setting, tally: Tally) -> None:
    """Laid out inside the environment or refused."""
    folder = folder_of(setting)
    outside, target = folder / "outside", folder / "deep" / "environment"
    path = folder / "a-1.0-py3-none-any.whl"
    scheme = {name: str(target / name) for name in ("purelib", "platlib", "scripts", "data", "headers")}

    def read(content: bytes) -> None:
        path.write_bytes(content)
        destination = SchemeDictionaryDestination(scheme, interpreter="/python", script_kind="posix")
        with suppress(OSError):
            _install_wheel(path, destination)
        if outside.exists():
            outside.unlink()
            tally.escaped += 1
            raise Missed("it wrote outside the environment")

    original = make_wheel(folder, "a", "1.0", {"a.py": "", "a-1.0.data/scripts/b": "#!python"}).read_bytes()
    hostile = (
        "../../outside",
        str(outside),
        "a-1.0.data/scripts/../../../outside",
        "a-1.0.data/purelib/../../../outside",
    )
    for name in hostile:
        made = make_wheel(folder, "a", "1.0", {"a.py": "", name: "x"}).read_bytes()
        with tally.injection(name):
            read(made)
    feed(setting, tally, original, 2500, read)


@fault("input", "manifests", "broken manifests of an unpacked bundle")
def manifests(setting: Setting, tally: Tally) -> None:
    """Refused with the file's name."""
    folder = folder_of(setting)
    original = {
        "made": "2026-01-04T00:00:00Z",
        "harness": "1",
        "python": "3.11",
        "combinations": [],
        "stacks": {"0123456789abcdef": {"wheels": ["a-1.0-py3-none-any.whl"], "host_has": {"torch": "2.8.0"}}},
        "models": ["mini"],
    }

    def read(content: bytes) -> None:
        (folder / MANIFEST).write_bytes(content)
        project = Project(folder / MANIFEST, folder / "models", folder / "results", folder / "state")
        session = HostSession(project, bundle=folder)
        with suppress(NothingSelected):
            _ = session.combinations

    feed(setting, tally, json.dumps(original).encode(), 6000, read)
    expect(os.listdir(folder) == [MANIFEST], "reading a manifest wrote something")  # noqa: PTH208 - names alone
