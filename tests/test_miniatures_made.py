"""Making miniatures: what the host side does with what the maker's process says."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.miniatures import make as making
from harness.miniatures.make import Maker, MakerBroken, make_miniatures, measure_controls

if TYPE_CHECKING:
    from pathlib import Path

    from harness.environments.environment import Environments
    from harness.environments.resolve import Resolver

START = """
import json, os, sys
for path in sys.argv[1:]:
    request = json.load(open(path))
    def told(event):
        with open(request["events"], "a") as file:
            file.write(json.dumps({**event, "number": request["number"]}) + "\\n")
    told({"event": "begin"})
    if request["task"] == "control":
        record = json.load(open(os.path.join(request["folder"], "miniature.json")))
        with open(os.path.join(request["folder"], "controls.json"), "w") as file:
            json.dump({"digest": record["digest"]}, file)
        told({"event": "answer"})
        continue
    wish = request["config"].get("wish")
    if wish == "end":
        os._exit(9)
    if wish == "unknown":
        told({"event": "answer", "message": "never heard of it", "unknown": True})
        continue
    os.makedirs(request["folder"])
    with open(os.path.join(request["folder"], "miniature.json"), "w") as file:
        json.dump({"digest": request["digest"], "made_by": {"transformers": "4.57.3"}}, file)
    with open(os.path.join(request["folder"], "config.json"), "w") as file:
        json.dump(request["config"], file)
    told({"event": "answer"})
"""


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """A maker whose process is this Python with a program that does as the configuration wishes."""
    folder = tmp_path / "maker"
    folder.mkdir()
    (folder / "start.py").write_text(START)
    monkeypatch.setattr(making, "_MAKER", folder)
    environment = SimpleNamespace(python=sys.executable)
    monkeypatch.setattr(Maker, "environment", lambda _self, _version: environment)
    nothing = cast("Any", None)
    return Maker(cast("Resolver", nothing), cast("Environments", nothing), tmp_path / "scratch")


def versions_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions of transformers whose environment is asked for from here on."""
    asked: list[str] = []

    def environment(_maker: Maker, version: str) -> SimpleNamespace:
        asked.append(version)
        return SimpleNamespace(python=sys.executable)

    monkeypatch.setattr(Maker, "environment", environment)
    return asked


def wanted(folder: Path, *names: str, seed: int = 0) -> dict[str, tuple[Path, int]]:
    """Configurations whose wish is their name."""
    found = {}
    for name in names:
        file = folder / f"{name}.json"
        file.write_text(json.dumps({"architectures": ["NobodyForCausalLM"], "model_type": "nobody", "wish": name}))
        found[name] = (file, seed)
    return found


def test_a_miniature_is_made_once(tmp_path: Path, maker: Maker) -> None:
    file = tmp_path / "made" / "one" / "config.json"
    assert make_miniatures(wanted(tmp_path, "one"), tmp_path / "made", maker) == {}
    before = file.stat().st_mtime_ns
    make_miniatures(wanted(tmp_path, "one"), tmp_path / "made", maker)
    assert file.stat().st_mtime_ns == before
    make_miniatures(wanted(tmp_path, "one", seed=1), tmp_path / "made", maker)
    assert file.stat().st_mtime_ns != before


def test_two_runs_make_a_miniature_once(tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = versions_asked(monkeypatch)
    with ThreadPoolExecutor() as runs:
        asked = [
            runs.submit(make_miniatures, wanted(tmp_path, "one", "two"), tmp_path / "made", maker) for _ in range(2)
        ]
        assert [each.result() for each in asked] == [{}, {}]
    assert begun == [making.MAKERS[0]]


def test_what_no_transformers_knows_is_told(tmp_path: Path, maker: Maker) -> None:
    problems = make_miniatures(wanted(tmp_path, "unknown"), tmp_path / "made", maker)
    assert str(problems["unknown"]) == "no miniature of unknown: never heard of it"
    assert not (tmp_path / "made" / "unknown").exists()


def test_a_version_whose_numbers_are_wrong_does_not_make_it(
    tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = versions_asked(monkeypatch)
    monkeypatch.setattr(making, "WRONG", {"nobody": making.MAKERS[:1]})
    assert make_miniatures(wanted(tmp_path, "one"), tmp_path / "made", maker) == {}
    assert asked == [making.MAKERS[1]]


def test_a_configuration_that_ends_the_process_leaves_the_others_made(tmp_path: Path, maker: Maker) -> None:
    problems = make_miniatures(wanted(tmp_path, "first", "end", "last"), tmp_path / "made", maker)
    assert list(problems) == ["end"]
    assert "its maker ended over it" in str(problems["end"])
    assert {each.name for each in (tmp_path / "made").iterdir()} == {"first", "last"}
    assert json.loads((tmp_path / "made" / "last" / "config.json").read_text())["wish"] == "last"


def test_a_broken_configuration_leaves_the_others_made(tmp_path: Path, maker: Maker) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    problems = make_miniatures({"broken": (broken, 0), **wanted(tmp_path, "one")}, tmp_path / "made", maker)
    assert "is not JSON" in str(problems["broken"])
    assert (tmp_path / "made" / "one" / "miniature.json").exists()


def test_a_process_that_does_not_begin_is_nobodys_fault(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "maker" / "start.py").write_text("import sys; sys.exit('no torch here')")
    with pytest.raises(MakerBroken, match="no torch here"):
        make_miniatures(wanted(tmp_path, "one"), tmp_path / "made", maker)


def test_controls_are_kept_beside_the_miniature_that_they_are_of(tmp_path: Path, maker: Maker) -> None:
    made = tmp_path / "made"
    make_miniatures(wanted(tmp_path, "one"), made, maker)
    problems = measure_controls(["one", "two"], made, maker)
    assert list(problems) == ["two"]
    assert "make it first" in problems["two"]
    record, controls = (json.loads((made / name).read_text()) for name in ("one/miniature.json", "one.controls.json"))
    assert controls["digest"] == record["digest"]
