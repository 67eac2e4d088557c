"""What a matrix says of a stage's time is obeyed, by uv as by a probe, or refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.core.verdict import Reason, Stage, Status
from harness.environments import install as install_module
from harness.environments import resolve as resolver_module
from harness.environments.environment import Environments
from harness.environments.resolve import Resolver
from harness.environments.uv import UvFailure, run_uv
from harness.matrix import Backend, Combination, MatrixError, Timeout, parse_matrix
from harness.pipeline import stack
from harness.pipeline.limits import LIMITS, limits_of
from harness.pipeline.stack import UV_MEANS
from harness.process.child import Children, ChildReport
from tests.miniatures import MATRIX

if TYPE_CHECKING:
    from collections.abc import Sequence

COMBINATION = Combination("it", "3.12", "1.0", "4.57.3", Backend.PYTORCH, "mini")


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_is_timed_or_refused(stage: Stage) -> None:
    text = f"{MATRIX}  {stage}: {{wall: 7s, idle: 5s}}\n".replace("import: {wall: 60s, idle: 4s}\n", "#\n").encode()
    if stage not in LIMITS:
        with pytest.raises(MatrixError, match=rf"timeouts.{stage}: .*boot"):
            parse_matrix(text)
        return
    said = parse_matrix(text).timeouts[stage]
    combination = replace(COMBINATION, timeouts={stage: Timeout(7, 5)})
    assert (said.wall, said.idle) == (7, 5)
    obeyed = limits_of(combination, stage)
    assert (obeyed.wall, obeyed.idle, obeyed.memory) == (7, 5, LIMITS[stage].memory)
    assert limits_of(COMBINATION, stage) == LIMITS[stage]


def test_uv_gets_the_stages_own_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []

    def uv(arguments: Sequence[str], *, folder: Path, timeout: float = 0, idle: float = 0) -> str:
        if arguments[0] == "venv":
            Path(arguments[-1]).mkdir()
            return ""
        told.append((arguments[1], timeout, idle))
        (folder / "pylock.toml").write_text('lock-version = "1.0"\ncreated-by = "uv"\npackages = []\n')
        return ""

    monkeypatch.setattr(stack, "find_interpreter", lambda _: Path(sys.executable))
    monkeypatch.setattr(resolver_module, "run_uv", uv)
    said = {Stage.RESOLVE: Timeout(7, 5), Stage.INSTALL: Timeout(8, 6)}
    combination = replace(COMBINATION, timeouts=said)
    lock = stack.ask(combination, Resolver(tmp_path)).lock
    assert lock is not None
    monkeypatch.setattr(install_module, "run_uv", uv)
    stack.install(combination, lock, Environments(tmp_path / "environments"))
    assert told == [("compile", 7, 5), ("sync", 8, 6)]


@pytest.mark.parametrize("end", ["wall", "idle"])
def test_uv_out_of_time_says_nothing_of_the_versions(end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = ChildReport(end=end, exit_code=-9, seconds=7, peak_memory_mib=1, leaked=0, log="")
    monkeypatch.setattr(Children, "run", lambda *_, **__: report)
    with pytest.raises(UvFailure, match=r"timeout: uv pip .* [75] s") as failure:
        run_uv(["pip"], folder=tmp_path, timeout=7, idle=5)
    assert UV_MEANS[failure.value.kind] == (Status.INFRA, Reason.TIMEOUT)
