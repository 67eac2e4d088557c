"""Before a run: the miniatures that it needs are made, and why one cannot be made is known to whoever looks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.matrix.model_files import load_models
from harness.matrix.project import Project
from harness.miniatures import make
from harness.miniatures.make import NoMiniature
from harness.pipeline.checkpoints import find_checkpoint
from harness.session.miniatures import make_missing
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def session(tmp_path: Path) -> Session:
    folder = tmp_path / "models" / "miniatures"
    folder.mkdir(parents=True)
    for name in ("one", "two"):
        (folder / f"{name}.json").write_text('{"architectures": ["TinyForCausalLM"], "model_type": "tiny"}')
    return Session(Project.of(tmp_path / "matrix.yaml"))


def test_what_is_made_is_found_and_what_is_not_says_why(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(wanted: Mapping[str, object], into: Path, _maker: object) -> dict[str, NoMiniature]:
        assert set(wanted) == {"one", "two"}
        (into / "one").mkdir(parents=True)
        (into / "one" / "miniature.json").write_text("{}")
        return {"two": NoMiniature("no miniature of two: no transformers knows it")}

    monkeypatch.setattr(make, "make_miniatures", made)
    specs = load_models(session.project.models)
    assert find_checkpoint(specs["one"], session.project.weights).remedy == "make them: lmdeploy-harness weights one"
    make_missing(session, specs.values())
    assert find_checkpoint(specs["one"], session.project.weights).folder == session.project.weights / "one"
    assert (
        find_checkpoint(specs["two"], session.project.weights).missing
        == "no miniature of two: no transformers knows it"
    )
