"""Pins: the choice is the report's, what is written is exact, and an installed pin is compared with what was tested."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.lock import Lock
from harness.pin.sbom import sbom
from harness.pin.write import is_public

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.miniatures import MiniProject

    Harness = Callable[..., subprocess.CompletedProcess[str]]

PASSING = "lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11"


@pytest.fixture
def tested(mini_project: MiniProject, run_harness: Harness) -> MiniProject:
    """A project whose reference backend passed with two versions of transformers."""
    run_harness(mini_project, "run", "lmdeploy1.0-*-transformers-mini-*", "lmdeploy1.0-transformers4.57.3-pytorch-*")
    return mini_project


def pin_folder(project: MiniProject) -> Path:
    (folder,) = (project.root / "reports" / "pins").iterdir()
    return folder


def test_the_proven_stack_is_pinned_and_verified(tested: MiniProject, run_harness: Harness) -> None:
    done = run_harness(tested, "pin", "--python", "3.11", "--gpu-memory", "8GiB")
    assert done.returncode == 0, done.stderr
    folder = pin_folder(tested)
    assert folder.name == PASSING
    told = (folder / "EVIDENCE.md").read_text()
    assert "| structure | `pass/structure` |" in told
    assert "not checked" in told
    assert "transformers5.0.0-transformers-mini-py3.11" in told
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
    checked = run_harness(tested, "pin", "verify", str(folder))
    assert checked.returncode == 0, checked.stderr
    assert "4 packages installed; identical" in checked.stdout


def test_a_pin_that_was_changed_is_noticed(tested: MiniProject, run_harness: Harness) -> None:
    run_harness(tested, "pin")
    folder = pin_folder(tested)
    facts = json.loads((folder / "pin.json").read_text())
    facts["packages"]["torch"] = "2.0"
    (folder / "pin.json").write_text(json.dumps(facts))
    checked = run_harness(tested, "pin", "verify", str(folder))
    assert checked.returncode == 1
    assert "torch: tested 2.0, installed 1.0" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "pytorch"), "nearest: lmdeploy1.0-transformers4.57.3-pytorch-mini-py3.11"),
        (("--python", "3.12"), "tested on Python 3.11, not 3.12"),
        (("--gpu-memory", "512MiB"), "the target has less"),
    ],
)
def test_what_stands_in_the_way_is_told(
    tested: MiniProject, run_harness: Harness, arguments: tuple[str, ...], said: str
) -> None:
    done = run_harness(tested, "pin", *arguments)
    assert done.returncode == 3, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    "arguments", [("--model", "nope"), ("--gpu-memory", "much"), ("--name", "../up"), ("verify", "nowhere")]
)
def test_mistakes_are_told_in_words(
    mini_project: MiniProject, run_harness: Harness, arguments: tuple[str, ...]
) -> None:
    done = run_harness(mini_project, "pin", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


HASH = "ab" * 32
PUBLIC = f"https://files.pythonhosted.org/packages/aa/bb/{'c' * 60}/some-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("place", "public"),
    [
        (f'url = "{PUBLIC}"', True),
        ('url = "https://user:word@mirror.example/some-1.0-py3-none-any.whl"', False),
        ('path = "wheels/some-1.0-py3-none-any.whl"', False),
    ],
)
def test_only_public_addresses_are_written(place: str, public: bool) -> None:
    lock = Lock(
        'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.12"\n\n[[packages]]\nname = "some"\n'
        f'version = "1.0"\nwheels = [{{ {place}, hashes = {{ sha256 = "{HASH}" }} }}]\n'
    )
    assert is_public(lock) is public


def test_the_bill_of_materials_says_what_is_installed() -> None:
    from datetime import UTC, datetime  # noqa: PLC0415 - used here only

    lock = Lock(
        'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.12"\n\n[[packages]]\nname = "some"\n'
        f'version = "1.0"\nwheels = [{{ url = "{PUBLIC}", hashes = {{ sha256 = "{HASH}" }} }}]\n'
    )
    (component,) = json.loads(sbom(lock, "stack", datetime(2026, 1, 4, tzinfo=UTC)))["components"]
    assert component["purl"] == "pkg:pypi/some@1.0"
    assert component["hashes"] == [{"alg": "SHA-256", "content": HASH}]
