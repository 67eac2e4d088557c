"""Bundles on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.miniatures import Harness, MiniProject


def test_usage_errors_say_what_to_do(mini_project: MiniProject, run_harness: Harness) -> None:
    (mini_project.root / "host.json").write_text("not json")
    refused = run_harness(mini_project, "bundle", "--host-packages", "host.json")
    assert refused.returncode == 2
    assert "is not the output of 'pip list --format json'" in refused.stderr
    refused = run_harness(mini_project, "bundle", "--trim", "lmdeploy")
    assert refused.returncode == 2
    assert "--trim takes PACKAGE:FILES" in refused.stderr
    (mini_project.root / "no.tar.gz").write_bytes(b"nothing")
    refused = run_harness(mini_project, "import", "no.tar.gz")
    assert refused.returncode == 2
    assert "cannot be read as the results of a bundle" in refused.stderr
    for arguments, words in (
        (("--on", "gpu-host", "--python", "3.12"), "--on asks the host itself"),
        (("--run", "-j 4"), "--run goes with --on"),
        (("--card", "hopper"), "--card takes a compute capability such as 9.0, not 'hopper'"),
        (("--lend", "no.whl"), "--lend no.whl: "),
        (("--lend", "mini-1.0-py3-none-any.whl"), "there is no such file"),
    ):
        refused = run_harness(mini_project, "bundle", *arguments)
        assert refused.returncode == 2, refused.stderr
        assert words in refused.stderr
