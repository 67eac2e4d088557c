"""Records made up to try the joining of evidence; no results about any package."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.core.records import CheckRecord, MachineRecord, Record, StageRecord
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.evidence.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
CPU = MachineRecord(os="Debian 12", kernel="6.1", wsl=False, cpu="Some CPU", cores=2, memory_mib=24_000)
H100 = CPU.model_copy(update={"gpus": ["H100"], "gpu_memory_mib": [81_559], "gpu_capability": ["9.0"]})
LAPTOP = CPU.model_copy(update={"gpus": ["RTX 3070"], "gpu_memory_mib": [8192], "wsl": True})
MODEL = Subject("model", "Model 2B", "SomeArch", "none", "hub", "model-2b none", gpu_gib=8.0, weights_gib=4.0)
CANARY = Subject("canary", "Canary", "SomeArch", "none", "canary", weights_gib=0.01)
RANDOM = Subject("random", "Model 2B, random", "SomeArch", "none", "random", "model-2b none")
OTHER = Subject("other", "Another", "OtherArch", "none", "canary")
AWQ = Subject("canary-awq", "Canary, AWQ", "SomeArch", "awq-int4", "canary")
TINY = Subject("tiny", "Another 8B, miniature", "TinyArch", "none", "miniature", gpu_gib=20.0)
SUBJECTS = {each.name: each for each in (MODEL, CANARY, RANDOM, OTHER, AWQ, TINY)}
TOP = Stage.STRUCTURE


def record(  # noqa: PLR0913 - everything that evidence depends on
    model: str = "canary",
    *,
    lmdeploy: str = "0.18.0",
    transformers: str = "5.17.0",
    backend: str = "pytorch",
    python: str = "3.12",
    lock: str = "a" * 16,
    packages: Mapping[str, str] | None = None,
    differences: Mapping[str, str | None] | None = None,
    machine: MachineRecord = H100,
    passed: Stage | None = TOP,
    failed: Stage | None = None,
    judge: str = "exact",
    at: int = 0,
    gpu: Mapping[str, Any] | None = None,
    **axes: str,
) -> Record:
    """One attempt that passed every stage up to ``passed`` and failed at ``failed``, if any."""
    stages = [
        StageRecord(stage=stage, verdict=f"pass/{stage}", seconds=1, checks=_checks(stage, judge, gpu or {}))
        for stage in Stage
        if passed is not None
        and stage.position <= passed.position
        and (stage is not Stage.EMULATE or (not machine.gpus and backend == "pytorch"))
    ]
    above = Stage.BOOT if passed is None or passed.position < Stage.BOOT.position else Stage.STRUCTURE
    verdict = Verdict(Status.PASS) if passed is TOP else Verdict(Status.BLOCKED, above, Reason.DRIVER_OR_GPU)
    if failed is not None:
        verdict = Verdict(Status.FAIL, failed, Reason.SYMBOL, "some.Name")
        stages = [each for each in stages if each.stage.position < failed.position]
    if verdict.stage is not None:
        ended = CheckRecord(name="ended", outcome=verdict.status, key="k", seconds=1)
        stages.append(StageRecord(stage=verdict.stage, verdict=str(verdict), seconds=1, checks=[ended]))
    points = {"python": python, "lmdeploy": lmdeploy, "transformers": transformers, "backend": backend, "model": model}
    name = "-".join([*points.values(), *axes.values()])
    versions = {"lmdeploy": lmdeploy, "transformers": transformers}
    return Record(
        id=name,
        attempt=1,
        axes={**points, **axes},
        verdict=str(verdict),
        expected="pass",
        as_expected=None,
        stages=stages,
        lock=lock,
        stack={**versions, **(packages or {"torch": "2.12.1"})},
        differences=dict(differences or {}),
        machine=machine,
        command="harness run",
        inputs=f"{name}-{lock}",
        harness="0.1.0",
        started=START + timedelta(hours=at),
        finished=START + timedelta(hours=at, minutes=1),
    )


def _checks(stage: Stage, judge: str, gpu: Mapping[str, Any]) -> list[CheckRecord]:
    facts: dict[str, Any] = {}
    if stage is Stage.BOOT:
        facts = {"boot": {"settings": {"session_len": 2048, "cache_max_entry_count": 0.05}}, "gpu": dict(gpu)}
    elif stage in {Stage.SEE, Stage.STRUCTURE}:
        facts = {"asked": {"judge": judge}}
    return [CheckRecord(name=str(stage), outcome=Status.PASS, key="k", seconds=1, facts=facts)]
