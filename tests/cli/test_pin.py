"""Pins on miniatures: the choice is the report's, and an installed pin is compared with what was tested."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.miniatures import make_project
from tests.pin.osv import osv_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.miniatures import Harness, MiniProject


PASSING = "lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11"


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory, run_harness: Harness) -> MiniProject:
    """A project whose reference backend passed with two versions of transformers."""
    project = make_project(tmp_path_factory.mktemp("tested") / "project")
    run_harness(project, "run", "lmdeploy1.0-*-transformers-mini-*", "lmdeploy1.0-transformers4.57.3-pytorch-*")
    return project


def pin_folder(project: MiniProject, name: str = PASSING) -> Path:
    return project.root / "reports" / "pins" / name


def test_the_proven_stack_is_pinned_and_verified(tested: MiniProject, run_harness: Harness) -> None:
    done = run_harness(tested, "pin", "--python", "3.11", "--gpu-memory", "8GiB")
    assert done.returncode == 0, done.stderr
    folder = pin_folder(tested)
    told = (folder / "EVIDENCE.md").read_text()
    assert "| structure | `pass/structure` |" in told
    assert "Known vulnerabilities: Not checked: UV_OFFLINE is set" in told
    assert "4 packages installed; identical to the tested stack" in told
    assert "lmdeploy 1.0 with transformers 5.0.0, Python 3.11" in told
    text = (folder / "requirements.txt").read_text()
    assert "transformers==4.57.3" in text
    assert str(tested.root) not in text
    assert not (folder / "pylock.toml").exists()
    assert {each["name"] for each in json.loads((folder / "sbom.cdx.json").read_text())["components"]} == {
        "lmdeploy",
        "pillow",
        "torch",
        "transformers",
    }
    assert "4 packages installed; identical" in done.stdout


def test_a_pin_that_was_changed_is_noticed(tested: MiniProject, run_harness: Harness) -> None:
    run_harness(tested, "pin", "--no-verify", "--name", "changed")
    folder = pin_folder(tested, "changed")
    facts = json.loads((folder / "pin.json").read_text())
    facts["packages"]["torch"] = "2.0"
    (folder / "pin.json").write_text(json.dumps(facts))
    checked = run_harness(tested, "pin", "verify", str(folder))
    assert checked.returncode == 1
    assert "torch: tested 2.0, installed 1.0" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "pytorch"), "Nearest: pytorch: lmdeploy 1.0 with transformers 4.57.3, Python 3.11"),
        (("--python", "3.12"), "known for Python 3.11, not 3.12"),
        (("--gpu-memory", "512MiB"), "GiB of GPU memory; the target has 0.5 GiB"),
    ],
)
def test_what_stands_in_the_way_is_told(
    tested: MiniProject, run_harness: Harness, arguments: tuple[str, ...], said: str
) -> None:
    done = run_harness(tested, "pin", *arguments)
    assert done.returncode == 3, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "nope"),
        ("--gpu-memory", "much"),
        ("--name", "../up"),
        ("--advisories", "nowhere"),
        ("verify", "nowhere"),
    ],
)
def test_mistakes_are_told_in_words(tested: MiniProject, run_harness: Harness, arguments: tuple[str, ...]) -> None:
    done = run_harness(tested, "pin", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_known_vulnerabilities_are_told_with_the_release_that_ends_them(
    tested: MiniProject, run_harness: Harness
) -> None:
    bad = {
        "id": "PYSEC-2026-1",
        "aliases": ["CVE-2026-1"],
        "summary": "Reads <more> than | it should",
        "affected": [
            {
                "package": {"name": "pillow", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}],
            }
        ],
    }
    with osv_server({"pillow==1.0": bad}) as address:
        done = run_harness(tested, "pin", "--advisories", address, "--no-verify", "--name", "known")
    assert done.returncode == 0, done.stderr
    assert "known vulnerabilities: 1 known in 1 of 4 packages" in done.stdout
    folder = pin_folder(tested, "known")
    (found,) = json.loads((folder / "vulnerabilities.json").read_text())["found"]
    assert (found["package"], found["id"], found["aliases"], found["fixed"]) == (
        "pillow",
        "PYSEC-2026-1",
        ["CVE-2026-1"],
        ["1.5"],
    )
    row = r"| pillow 1.0 | PYSEC-2026-1, CVE-2026-1 | 1.5 | Reads \<more> than \| it should |"
    assert row in (folder / "EVIDENCE.md").read_text()
    assert json.loads((folder / "sbom.cdx.json").read_text())["vulnerabilities"][0]["id"] == "PYSEC-2026-1"
