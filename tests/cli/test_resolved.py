"""What uv says to the commands of explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.cli import resolved as module
from harness.cli.resolved import resolved
from harness.environments.uv import UvFailure

if TYPE_CHECKING:
    from collections.abc import Sequence


class Uv:
    """Answers as uv would, and keeps what it was asked."""

    def __init__(self, answer: str | UvFailure) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.arguments: Sequence[str] = ()

    def __call__(self, arguments: Sequence[str], *, folder: Path, timeout: float) -> str:
        """Called like the real one."""
        assert folder.is_dir()
        assert timeout
        self.arguments = arguments
        self.asked = Path(arguments[-1]).read_text(encoding="utf-8").splitlines()
        if isinstance(self.answer, UvFailure):
            raise self.answer
        return self.answer


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Uv:
    """Stands in for the real one."""
    found = Uv(request.param)
    monkeypatch.setattr(module, "run_uv", found)
    return found


LOCK = "transformers==4.56.2\nother==1.0\n"
CONFLICT = UvFailure("conflict", "No solution found\n╰─▶ Because widgets==2 depends on gears<1, it fails.")


@pytest.mark.parametrize("uv", [LOCK], indirect=True)
def test_what_is_asked_is_resolved_beside_the_engine_and_torch_that_are_there(uv: Uv) -> None:
    installed = {"lmdeploy": "0.11.1", "torch": "2.8.0+cu128", "tokenizers": "0.19.1", "vllm": "none"}
    said = resolved(["transformers<=4.56.2"], installed, offline=False)
    assert uv.asked == ["transformers<=4.56.2", "lmdeploy==0.11.1", "torch==2.8.0"]
    assert said == "resolved by uv with lmdeploy==0.11.1 and torch==2.8.0: transformers 4.56.2"


@pytest.mark.parametrize("uv", [LOCK], indirect=True)
def test_what_a_command_moves_is_not_held(uv: Uv) -> None:
    assert resolved(["torch>=2.6"], {"torch": "2.4.0"}, offline=True) == "resolved by uv: "
    assert uv.asked == ["torch>=2.6"]
    assert "--offline" in uv.arguments


@pytest.mark.parametrize("uv", [CONFLICT], indirect=True)
@pytest.mark.usefixtures("uv")
def test_a_contradiction_is_told_and_without_the_network_it_says_nothing() -> None:
    assert resolved(["widgets"], {}, offline=False) == "uv finds no versions: widgets==2 depends on gears<1, it fails."
    assert resolved(["widgets"], {}, offline=True) == "not resolved here (conflict)"
