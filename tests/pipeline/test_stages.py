"""One combination's way through the stages, with a resolver, an environment and probes that answer as they are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.verdict import Reason, Stage, Status
from harness.environments.environment import Environment
from harness.environments.lock import Lock
from harness.environments.resolve import Resolution
from harness.matrix import Backend, Combination
from harness.matrix.model_files import load_models
from harness.pipeline import stack
from harness.pipeline.check_cache import CheckResult, StageResult
from harness.pipeline.checkpoints import Checkpoint
from harness.pipeline.stages import Pipeline
from tests.miniatures import make_project

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK = Lock('lock-version = "1.0"\ncreated-by = "uv"\npackages = []\n')
PASSED = {Stage.IMPORT: Status.PASS, Stage.BOOT: Status.PASS, Stage.SEE: Status.PASS, Stage.STRUCTURE: Status.PASS}


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Pipeline]:
    """Makes a pipeline whose checks come out as told; ``asked`` hears of each check."""
    monkeypatch.setattr(stack, "find_interpreter", lambda _: Path("python"))
    project = make_project(tmp_path / "project")
    spec = load_models(project.root / "models")["mini"]

    def make(asked: list[str], outcomes: dict[Stage, Status], until: Stage | None) -> Pipeline:
        def ask(key: str, find_out: Callable[[], CheckResult], **_: object) -> tuple[CheckResult, bool]:
            return find_out().model_copy(update={"key": key}), False

        def answer(calls: Any, _environment: Environment) -> list[CheckResult]:
            check = calls[0].check
            asked.append(check.name)
            parts = [
                StageResult(
                    stage=stage,
                    outcome=outcomes[stage],
                    reason=None if outcomes[stage] is Status.PASS else Reason.WRONG_ANSWER,
                    message="" if outcomes[stage] is Status.PASS else "wrong",
                )
                for stage in check.stages
            ]
            return [CheckResult(key="", check=check.name, stages=parts, seconds=1.0)]

        services: Any = SimpleNamespace(
            resolver=SimpleNamespace(resolve=lambda *_: Resolution(LOCK, None, 0.0, reused=True)),
            environments=SimpleNamespace(build=lambda *_, **__: Environment(tmp_path, 0.0, reused=True)),
            answers=SimpleNamespace(ask=ask),
            check_runner=SimpleNamespace(ask=answer),
            fresh_since=None,
            gpu_elsewhere=False,
        )
        combination = Combination("it", "3.12", "1.0", "4.57.3", Backend.TRANSFORMERS, "mini")
        return Pipeline(combination, spec, Checkpoint(spec.checkpoint_folder), services, until=until)

    return make


@pytest.mark.parametrize(
    ("until", "verdict", "checks"),
    [
        (Stage.RESOLVE, "pass/resolve", []),
        (Stage.INSTALL, "pass/install", []),
        (Stage.IMPORT, "pass/import", ["transformers-model"]),
        (Stage.CONFIGURE, "pass/boot", ["transformers-model", "two-pass"]),  # this backend has nothing to configure
        (Stage.BOOT, "pass/boot", ["transformers-model", "two-pass"]),
        (Stage.SEE, "pass/see", ["transformers-model", "two-pass"]),
        (Stage.STRUCTURE, "pass/structure", ["transformers-model", "two-pass"]),
        (None, "pass", ["transformers-model", "two-pass"]),
    ],
)
def test_it_ends_with_the_stage_it_is_to_go_to(
    pipeline: Callable[..., Pipeline], until: Stage | None, verdict: str, checks: list[str]
) -> None:
    asked: list[str] = []
    made = pipeline(asked, PASSED, until)
    assert str(made.run()) == verdict
    assert asked == checks
    assert str(made.stages[-1].verdict) == (verdict if until else "pass/structure")


@pytest.mark.parametrize(
    ("until", "verdict"),
    [(Stage.BOOT, "pass/boot"), (Stage.SEE, "fail/see/wrong-answer(wrong)"), (None, "fail/see/wrong-answer(wrong)")],
)
def test_what_fails_beyond_it_was_not_asked_about(
    pipeline: Callable[..., Pipeline], until: Stage | None, verdict: str
) -> None:
    assert str(pipeline([], PASSED | {Stage.SEE: Status.FAIL}, until).run()) == verdict


def test_what_fails_before_it_is_its_verdict(pipeline: Callable[..., Pipeline]) -> None:
    made = pipeline([], PASSED | {Stage.IMPORT: Status.FAIL}, Stage.SEE)
    assert str(made.run()) == "fail/import/wrong-answer(wrong)"
