"""One combination, stage by stage, until something stops it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.machine import machine
from harness.core.records import CheckRecord, DiagnosisRecord, StageRecord
from harness.core.verdict import Reason, Stage, Status, Verdict
from harness.environments.interpreters import NoInterpreter
from harness.environments.lock import InvalidLock
from harness.environments.uv import UvFailure
from harness.environments.wholeness import NotWhole
from harness.pipeline.check_runner import CheckCall, Subject
from harness.pipeline.checks import ASKED_STAGES, cards_of, checks_of, needs_gpu, needs_weights
from harness.pipeline.stack import UV_MEANS, ask, install

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from harness.core.records import ExceptionRecord
    from harness.diagnose import Diagnosis
    from harness.engines import Check
    from harness.environments.environment import Environment
    from harness.environments.lock import Lock
    from harness.environments.resolve import Resolution
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.pipeline.check_cache import CheckResult, StageResult
    from harness.pipeline.checkpoints import Checkpoint
    from harness.pipeline.services import Services

_DETAIL_LENGTH = 160
_ENVIRONMENTS = 2
"""How many are tried, where one turns out to have lost files."""


@dataclass(slots=True)
class Pipeline:
    """One combination's way through the stages. ``stages`` grows as stages are reached; ``on_stage`` hears of each."""

    combination: Combination
    spec: ModelSpec
    checkpoint: Checkpoint
    services: Services
    on_stage: Callable[[StageRecord], None] = lambda _stage: None
    until: Stage | None = None
    """Where it ends although it could go on: with the first stage that passes there or beyond; None: nowhere."""
    stages: list[StageRecord] = field(default_factory=list)
    lock: Lock | None = None

    def run(self) -> Verdict:
        """Go through the stages, and say how it ended.

        Raises:
            Cancelled: the run is being stopped; nothing of this attempt counts.
            OSError: a file of the harness's own could not be written.
        """
        if self.combination.excluded is not None:
            return Verdict(Status.SKIPPED, Stage.RESOLVE, Reason.EXCLUDED, self.combination.excluded)
        verdict = self._resolve()
        if verdict.status is not Status.PASS or self.lock is None or self._is_far_enough():
            return verdict
        resolved = len(self.stages)
        for _ in range(_ENVIRONMENTS):
            try:
                return self._climb(self.lock)
            except NotWhole as trouble:
                del self.stages[resolved:]
                told = str(trouble)
        return self._harness_stage(Stage.INSTALL, Status.INFRA, Reason.PLATFORM, told, 0.0)

    def _climb(self, lock: Lock) -> Verdict:
        """The stages above the lock.

        Raises:
            NotWhole: something failed, and files of the environment are gone; it can be built anew.
        """
        environment, verdict = self._install(lock)
        if environment is None or self._is_far_enough():
            return verdict
        subject = Subject(self.combination, self.spec, self.checkpoint, lock)
        elsewhere = {Stage.EMULATE} if self.services.gpu_elsewhere else set()  # an engine on a GPU says more
        for stage in (each for each in ASKED_STAGES if each not in elsewhere):
            verdict = self._ask_stage(stage, subject, environment)
            if self._is_far_enough():
                return Verdict.parse(self.stages[-1].verdict)
            if verdict.status is not Status.PASS and not self.goes_on(stage, verdict):
                return verdict
        return Verdict(Status.PASS)

    def _is_far_enough(self) -> bool:
        if self.until is None or self.stages[-1].stage.position < self.until.position:
            return False
        return Verdict.parse(self.stages[-1].verdict).status is Status.PASS

    def goes_on(self, stage: Stage, verdict: Verdict) -> bool:
        """Whether it goes on although the stage did not pass.

        Only past an emulation that cannot be run, where the boot is tried without a GPU: what breaks other ways of
        starting shows there all the same.
        """
        emulation_blocked = stage is Stage.EMULATE and verdict.status is Status.BLOCKED
        return emulation_blocked and not needs_gpu(self.combination, Stage.BOOT)

    def break_off(self, message: str) -> Verdict:
        """Say that the machines, and not the versions, were the trouble."""
        return self._harness_stage(Stage.RESOLVE, Status.INFRA, Reason.CRASH, message, 0.0)

    def _resolve(self) -> Verdict:
        try:
            resolution = ask(self.combination, self.services.resolver)
        except NoInterpreter as missing:
            status = Status.INFRA if missing.trouble else Status.BLOCKED
            return self._harness_stage(Stage.RESOLVE, status, Reason.PLATFORM, str(missing), 0.0)
        self.lock = resolution.lock
        return self._uv_stage(Stage.RESOLVE, resolution.failure, resolution)

    def _install(self, lock: Lock) -> tuple[Environment | None, Verdict]:
        started = time.monotonic()
        try:
            environment = install(self.combination, lock, self.services.environments)
        except UvFailure as failure:
            return None, self._uv_stage(Stage.INSTALL, failure, None, time.monotonic() - started)
        except InvalidLock as error:
            seconds = time.monotonic() - started
            return None, self._harness_stage(
                Stage.INSTALL, Status.FAIL, Reason.NO_COMPATIBLE_WHEEL, str(error), seconds
            )
        check = CheckRecord(
            name="uv pip sync",
            outcome=Status.PASS,
            key=lock.name,
            reused=environment.reused,
            seconds=environment.seconds,
            facts={"packages": len(lock.stack)},
        )
        return environment, self._note(Stage.INSTALL, [check], Verdict(Status.PASS, Stage.INSTALL))

    def _ask_stage(self, stage: Stage, subject: Subject, environment: Environment) -> Verdict:
        """All checks of the stage; the verdict is that of the first that does not pass."""
        if any(record.stage is stage for record in self.stages):
            return Verdict(Status.PASS, stage)  # answered along with an earlier stage
        blocked = self._lacking(stage)
        if blocked is not None:
            return blocked
        found: dict[Stage, list[tuple[CheckRecord, Verdict]]] = {}
        for check in checks_of(self.combination, self.spec, stage):
            call = CheckCall(check, subject)
            answer, reused = self.services.answers.ask(
                call.key,
                lambda call=call: self.services.check_runner.ask([call], environment)[0],  # type: ignore[misc]
                fresh_since=self.services.fresh_since,
            )
            for part in answer.stages:
                found.setdefault(part.stage, []).append(self._judge(check, answer, part, reused=reused))
            if stage is Stage.BOOT and any(part.outcome is not Status.PASS for part in answer.stages):
                break  # an engine that does not come up one way is not started another way
        if not found and Stage.IMPORT.position < stage.position < Stage.BOOT.position:
            return Verdict(Status.PASS, stage)  # no stage of this backend: nothing is recorded
        if stage not in found:
            return self._harness_stage(stage, Status.BLOCKED, Reason.UNKNOWN, f"nothing asks about {stage} here", 0.0)
        for each in sorted(found, key=lambda each: each.position):
            verdict = next((v for _, v in found[each] if v.status is not Status.PASS), Verdict(Status.PASS, each))
            self._note(each, [record for record, _ in found[each]], verdict)
            if verdict.status is not Status.PASS or self._is_far_enough():
                return verdict
        return Verdict(Status.PASS, stage)

    def _lacking(self, stage: Stage) -> Verdict | None:
        """The verdict when this machine lacks what the stage needs, known without asking."""
        if needs_weights(self.combination, stage) and self.checkpoint.folder is None:
            lacking = f"not on this machine: {self.checkpoint.missing}"
            remedy = self.checkpoint.remedy
            return self._harness_stage(
                stage, Status.BLOCKED, Reason.WEIGHTS, lacking, 0.0, detail=self.checkpoint.missing, remedy=remedy
            )
        left = self.services.gpu_elsewhere and stage is Stage.BOOT and self.combination.backend.engine.needs_gpu
        if (needs_gpu(self.combination, stage) or left) and not machine().gpus:
            message = "no NVIDIA GPU is visible on this machine (asked through NVML)"
            return self._harness_stage(stage, Status.BLOCKED, Reason.DRIVER_OR_GPU, message, 0.0, detail="")
        cards, there = cards_of(self.combination), len(machine().gpus)
        if stage is Stage.BOOT and there and cards > there:
            message = f"tp={cards} takes {cards} GPUs, and this machine has {there}"
            return self._harness_stage(stage, Status.BLOCKED, Reason.DRIVER_OR_GPU, message, 0.0, detail=f"tp={cards}")
        return None

    def _judge(
        self, check: Check, answer: CheckResult, part: StageResult, *, reused: bool
    ) -> tuple[CheckRecord, Verdict]:
        status, reason, detail = part.outcome, part.reason, ""
        diagnosis: DiagnosisRecord | None = None
        if status is not Status.PASS:
            diagnosis, detail = self._diagnose(check, answer, part)
            reason = part.reason or diagnosis.family
            status = _status(status, reason)
        first = part.stage is check.stages[0]
        record = CheckRecord(
            name=check.name,
            outcome=status,
            key=answer.key,
            reused=reused,
            seconds=max(part.seconds, answer.seconds if len(check.stages) == 1 else part.seconds),
            peak_memory_mib=answer.peak_memory_mib if first else None,
            facts=part.facts | self._smoke(part.stage),
            exception=part.exception,
            diagnosis=diagnosis,
            log_tail=answer.log_tail if first or status is not Status.PASS else "",
        )
        if reason is None or status is Status.PASS:
            return record, Verdict(Status.PASS, part.stage)
        return record, Verdict(status, part.stage, reason, _short(detail))

    def _smoke(self, stage: Stage) -> dict[str, JsonValue]:
        """What a pass was asked and judged by, for whoever reads the record without the spec."""
        if stage not in {Stage.SEE, Stage.STRUCTURE}:
            return {}
        smoke = self.spec.smoke.model_dump(mode="json")
        return {"asked": smoke[str(stage)], "image": smoke["image"] if stage is Stage.SEE else None}

    def _diagnose(self, check: Check, answer: CheckResult, part: StageResult) -> tuple[DiagnosisRecord, str]:
        if part.reason is not None and part.exception is None:
            known = DiagnosisRecord(signature=None, family=part.reason, confidence=1.0, line=part.message)
            return known, "" if part.reason is Reason.DRIVER_OR_GPU else _first_clause(part.message)
        diagnosis = self._classify(part.exception, answer.log_tail, part.stage, check.name)
        record = diagnosis.record()
        if part.reason is not None and record.family is not part.reason:
            # the probe was there; the catalogue only read about it
            return record.model_copy(update={"family": part.reason, "signature": None}), _first_clause(part.message)
        return record, diagnosis.detail

    def _classify(self, exception: ExceptionRecord | None, log: str, stage: Stage, check: str) -> Diagnosis:
        # compiling the catalogue takes longer than a warm run that has nothing to diagnose
        from harness.diagnose import Evidence, classify  # noqa: PLC0415

        return classify(
            Evidence.from_exception(
                exception,
                log,
                stage=stage,
                check=check,
                backend=str(self.combination.backend),
                stack=self.lock.stack if self.lock is not None else {},
                python=self.combination.python,
                platform={"system": machine().os, "wsl": str(machine().wsl)},
            )
        )

    def _uv_stage(
        self, stage: Stage, failure: UvFailure | None, resolution: Resolution | None, seconds: float = 0.0
    ) -> Verdict:
        seconds = resolution.seconds if resolution is not None else seconds
        if failure is None:
            check = CheckRecord(
                name="uv pip compile",
                outcome=Status.PASS,
                key=self.lock.name if self.lock is not None else "",
                reused=resolution.reused if resolution is not None else False,
                seconds=seconds,
            )
            return self._note(stage, [check], Verdict(Status.PASS, stage))
        status, reason = UV_MEANS[failure.kind]
        told = failure.kind in {"settings", "disk", "laid-over", "other"}
        detail = None if told else _requirement(failure.message)
        return self._harness_stage(stage, status, reason, failure.message, seconds, detail=detail)

    def _harness_stage(  # noqa: PLR0913 - the parts of a stage record
        self,
        stage: Stage,
        status: Status,
        reason: Reason,
        message: str,
        seconds: float,
        *,
        detail: str | None = None,
        remedy: str = "",
    ) -> Verdict:
        """A stage that the harness answers itself, without a child."""
        name = "uv" if stage in {Stage.RESOLVE, Stage.INSTALL} else "machine"
        diagnosis = self._classify(None, message, stage, name).record()
        if diagnosis.family is not reason:
            diagnosis = DiagnosisRecord(signature=None, family=reason, confidence=1.0, line=_first_line(message))
        if remedy:
            diagnosis = diagnosis.model_copy(update={"remedy": remedy})
        check = CheckRecord(name=name, outcome=status, key="", seconds=seconds, log_tail=message, diagnosis=diagnosis)
        shown = _first_line(message) if detail is None else detail
        return self._note(stage, [check], Verdict(status, stage, reason, _short(shown)))

    def _note(self, stage: Stage, checks: list[CheckRecord], verdict: Verdict) -> Verdict:
        record = StageRecord(
            stage=stage, verdict=str(verdict), seconds=round(sum(each.seconds for each in checks), 3), checks=checks
        )
        self.stages.append(record)
        self.on_stage(record)
        return verdict


def _status(status: Status, reason: Reason) -> Status:
    """A failure that only says what this machine or the network lacks is no failure of the versions."""
    if status is Status.FAIL and reason is Reason.DRIVER_OR_GPU and not machine().gpus:
        return Status.BLOCKED
    if status is Status.FAIL and reason is Reason.HUB_NETWORK:
        return Status.INFRA
    return status


def _first_clause(text: str) -> str:
    """What a message begins with, up to its first colon or semicolon: stable where the rest tells numbers."""
    return re.split(r"[:;] ", text, maxsplit=1)[0]


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


_REQUIRED = re.compile(r"(?:you require|depends on) ([A-Za-z0-9_.-]+[<>=!~][^\s,]*)")


def _requirement(message: str) -> str:
    """The requirement a resolver stumbled over, for grouping."""
    found = _REQUIRED.findall(message)
    return found[-1].rstrip(".") if found else ""


def _short(text: str) -> str:
    return text if len(text) <= _DETAIL_LENGTH else f"{text[: _DETAIL_LENGTH - 1]}…"
