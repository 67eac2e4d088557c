"""Asking one question of an environment: its key, its request, and what the child's end means for the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from harness.core.files import digest, digest_of_files
from harness.core.machine import machine
from harness.core.verdict import Stage, Status
from harness.engines import Check, Needs
from harness.environments.interpreters import find_interpreter
from harness.matrix.models import MiniatureWeights
from harness.pipeline.checkpoints import Checkpoint, folder_digest, model_request
from harness.pipeline.checks import cards_of, launch_style
from harness.pipeline.events import read_report
from harness.pipeline.limits import limits_of
from harness.probes.engines.settings import SMALLEST_CACHE_MIB, WORKSPACE_MIB
from harness.process.probing import PROBES, ProbeCall, run_probes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.environments.environment import Environment
    from harness.environments.lock import Lock
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.pipeline.check_cache import CheckResult
    from harness.pipeline.gpus import GpuPool


@dataclass(frozen=True, slots=True)
class Subject:
    """What a question is about: one combination with what was found out about it so far."""

    combination: Combination
    spec: ModelSpec
    checkpoint: Checkpoint
    lock: Lock


@cache
def probes_digest() -> str:
    """Hash of the probes' sources: other probes ask other questions."""
    return digest_of_files(PROBES, PROBES.rglob("*.py"))


def check_key(check: Check, subject: Subject) -> str:
    """Hash of everything the answer depends on, and of nothing else."""
    depends: dict[str, object] = {
        "check": check.name,
        "probes": probes_digest(),
        "lock": subject.lock.name,
        "remote code": subject.spec.trust_remote_code,
    }
    if Needs.BACKEND in check.needs:
        depends["backend"] = [str(subject.combination.backend), subject.combination.backend.engine.told()]
    if Needs.ARCHITECTURE in check.needs:
        depends["architecture"] = subject.spec.architecture
    if Needs.IMPORTS in check.needs:
        depends["imports"] = list(subject.spec.imports)
    if Needs.CONFIG in check.needs:
        config = subject.checkpoint.folder or subject.spec.config_folder
        depends["config"] = _config_digest(config) if config is not None else None
        depends["quantisation"] = str(subject.spec.quantisation)
    if Needs.CHECKPOINT in check.needs:
        folder = subject.checkpoint.folder
        depends["checkpoint"] = folder_digest(folder) if folder is not None else None
        depends["smoke"] = subject.spec.smoke.model_dump(mode="json")
    if Needs.SCRIPT in check.needs:
        depends["script"] = script_for(subject, "MODEL")
    if Needs.SETTINGS in check.needs:
        depends["settings"] = told_settings(subject)
        depends["boot"] = launch_style(subject.combination).boot
    if Needs.ASKED in check.needs and subject.combination.settings:
        depends["asked"] = dict(subject.combination.settings)
    if Needs.GPU in check.needs:
        depends["gpu"] = [machine().gpus, machine().driver]
    return digest(depends)


@cache
def _config_digest(folder: Path) -> str:
    return digest_of_files(folder, [folder / "config.json"])


def told_settings(subject: Subject) -> dict[str, object]:
    """What the probes are told of the engine's settings, and of the share of a card that it may use."""
    configuration = subject.combination.backend.engine.configuration
    if configuration is None:
        return {}
    # the reference that is kept with a miniature is compared as closely as float16 allows
    usual = {"dtype": "float16"} if isinstance(subject.spec.weights, MiniatureWeights) else {}
    return {
        "settings": configuration.settings(subject.spec.quantisation, {**usual, **subject.combination.settings}).fields,
        "smoke": configuration.smoke.fields,
        "budget_mib": gpu_budget_mib(subject),
        "weights_mib": weights_mib(subject),
    }


def script_for(subject: Subject, model: str) -> str:
    """The script that starts the server in the way that is tried.

    Raises:
        ValueError: that way is none of a script's.
    """
    configuration, style = subject.combination.backend.engine.configuration, launch_style(subject.combination)
    if configuration is None or style.script is None:
        raise ValueError(f"{subject.combination.id} is not started by a script")
    return style.script(configuration, model, subject.combination.settings)


def gpu_budget_mib(subject: Subject) -> int:
    """GPU memory the boot may use, MiB: the target's, or else what the model's spec names.

    A miniature is not as large as the model whose configuration it has: many of them boot side by side.
    """
    if isinstance(subject.spec.weights, MiniatureWeights):
        return WORKSPACE_MIB + SMALLEST_CACHE_MIB + weights_mib(subject)
    gib = subject.combination.target.gpu_memory_gib or subject.spec.memory.gpu_gib
    return round(gib * 1024)


def weights_mib(subject: Subject) -> int:
    """Memory for the weights: a miniature's are counted, since its spec speaks of the published model."""
    folder = subject.checkpoint.folder
    if not isinstance(subject.spec.weights, MiniatureWeights) or folder is None:
        return round(subject.spec.memory.weights_gib * 1024)
    return math.ceil(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2**20)


@dataclass(frozen=True, slots=True)
class CheckCall:
    """One check, put to one subject."""

    check: Check
    subject: Subject

    @property
    def key(self) -> str:
        """Hash of everything the answer depends on."""
        return check_key(self.check, self.subject)

    @property
    def impossible(self) -> frozenset[Stage]:
        """Stages that cannot pass here: an engine that needs a GPU answers nothing without one."""
        lacking = self.subject.combination.backend.engine.needs_gpu and not machine().gpus
        return frozenset(self.check.stages) if lacking and Stage.SEE in self.check.stages else frozenset()

    def request(self, threads: int) -> dict[str, object]:
        """What the probes are told."""
        combination, checkpoint = self.subject.combination, self.subject.checkpoint
        engine: dict[str, object] = {**combination.backend.engine.told(), "boot": launch_style(combination).boot}
        if Needs.SETTINGS in self.check.needs:
            engine |= told_settings(self.subject)
        if Needs.ASKED in self.check.needs:
            engine["asked"] = dict(combination.settings)
        if Needs.SCRIPT in self.check.needs:
            engine["script"] = script_for(self.subject, str(checkpoint.folder))
        return {
            "check": self.check.name,
            "stage": str(self.check.stages[0]),
            "probe": self.check.probe,
            "backend": str(combination.backend),
            "lmdeploy": combination.lmdeploy,
            "transformers": combination.transformers,
            "engine": engine,
            "model": model_request(self.subject.spec, checkpoint),
            "options": {"threads": threads},
        }


@dataclass(frozen=True, slots=True)
class CheckRunner:
    """Starts children and reads their answers."""

    scratch: Path
    logs: Path
    threads: int
    """Threads a child may compute with."""
    gpu_pool: GpuPool | None = None
    """The GPUs of this machine; None: there are none to boot on."""
    measure: bool = False
    """Boot one at a time on each GPU, so that times mean something."""

    def ask(self, questions: Sequence[CheckCall], environment: Environment) -> list[CheckResult]:
        """Put questions of one stage to the environment, in one process as far as they get along.

        Raises:
            Cancelled: the run is being stopped.
            OSError: the scratch folder or the log cannot be written.
            NotWhole: something failed, and files of the environment are gone.
        """
        answers: list[CheckResult] = []
        preloads = list(dict.fromkeys(each.check.preload for each in questions))
        in_order = sorted(questions, key=lambda each: preloads.index(each.check.preload))
        while len(answers) < len(questions):
            answers += self._ask_some(in_order[len(answers) :], environment)
        if any(part.outcome is Status.FAIL for each in answers for part in each.stages):
            environment.demand_whole()
        return answers

    def _ask_some(self, questions: Sequence[CheckCall], environment: Environment) -> list[CheckResult]:
        """Answers to the first of them: to all, unless one of them takes the process down."""
        first = questions[0]
        stage = first.check.stages[0]
        key = digest([each.key for each in questions]) if len(questions) > 1 else first.key
        interpreter = find_interpreter(first.subject.combination.python)
        call = ProbeCall(
            python=environment.python,
            interpreter=interpreter,
            requests=[each.request(self.threads) for each in questions],
            limits=limits_of(first.subject.combination, stage),
            environment={
                "OMP_NUM_THREADS": str(self.threads),
                "VIRTUAL_ENV": str(environment.folder),
                **environment.variables,
            },
            readable=environment.behind,
            preloads=[each.check.preload for each in questions],
            places={
                str(environment.folder): "<environment>",
                str(interpreter.resolve().parent.parent): "<python>",
                str(PROBES.parent.parent): "<harness>",
                **{
                    str(each.subject.checkpoint.folder): "<checkpoint>"
                    for each in questions
                    if each.subject.checkpoint.folder
                },
            },
        )
        log = self.logs / f"{key}.log"
        if self._wants_gpu(first):
            return [self._ask_on_gpu(first, call, log)]
        reports = run_probes(call, self.scratch, log)
        answers: list[CheckResult] = []
        for question, report in zip(questions, reports, strict=True):
            if report is None:
                break
            (self.logs / f"{question.key}.log").write_text(report.log, encoding="utf-8")
            answers.append(read_report(question.key, question.check, report, question.impossible))
        if not answers:  # not even the first was begun: the environment's Python itself does not get that far
            return [self._ask_some([first], environment)[0]]
        if len(questions) > 1:
            log.unlink(missing_ok=True)
        return answers

    def _wants_gpu(self, question: CheckCall) -> bool:
        """Whether answering it means an engine on a GPU of this machine."""
        boots = question.check.stages[0] is Stage.BOOT and question.subject.combination.backend.engine.needs_gpu
        return boots and self.gpu_pool is not None and bool(self.gpu_pool.cards)

    def _ask_on_gpu(self, question: CheckCall, call: ProbeCall, log: Path) -> CheckResult:
        """The answer, with what was seen on the card."""
        assert self.gpu_pool is not None  # noqa: S101 - _wants_gpu has looked
        budget = gpu_budget_mib(question.subject)
        with self.gpu_pool.lease(budget, cards=cards_of(question.subject.combination), alone=self.measure) as lease:
            call = replace(call, environment={**call.environment, **lease.variables})
            report = run_probes(call, self.scratch, log)[0]
        if report is None:
            raise OSError(f"the probe of {question.subject.combination.id} could not be begun; its log is {log.name}")
        (self.logs / f"{question.key}.log").write_text(report.log, encoding="utf-8")
        answer = read_report(question.key, question.check, report, question.impossible)
        stages = [answer.stages[0].model_copy(update={"facts": {**answer.stages[0].facts, "gpu": lease.facts()}})]
        return answer.model_copy(update={"stages": [*stages, *answer.stages[1:]]})
