"""What runs on a node of a cluster. Everything a node needs comes with the task, so that any node can do it again.

Nothing here imports Ray: a task is a function of picklable things, and is tested as one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from harness import __version__
from harness.core.files import digest, write_atomically
from harness.core.machine import NODE, machine
from harness.core.verdict import Reason, Status, Verdict
from harness.environments.interpreters import NoInterpreter
from harness.environments.lock import Lock
from harness.environments.resolve import Resolver
from harness.matrix.model_files import models_in
from harness.matrix.project import SHIPPED, Project
from harness.pipeline.check_runner import probes_digest
from harness.pipeline.checkpoints import find_checkpoint
from harness.pipeline.services import Services
from harness.pipeline.stack import request_of
from harness.pipeline.worker import Worker, catalogue_digest
from harness.process.given import GPU_DRIVER
from harness.process.scratch import own_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import MachineRecord, Record, StageRecord
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.pipeline.check_cache import CheckResult
    from harness.pipeline.worker import Finished

LARGEST = 64 * 2**20
"""Bytes of a file that travels with the tasks; real weights stay where they are."""


def code_digest() -> str:
    """Hash of what judges and asks: nodes with another one would write other records."""
    return digest([__version__, probes_digest(), catalogue_digest()])


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What every task of a run is told."""

    code: str
    home: str
    """The driver's working folder. A node uses the same path, or what its own HARNESS_HOME names."""
    models: str
    """The driver's folder of models, with which the shipped ones are equal."""
    fresh_since: float | None = None
    refresh: bool = False
    measure: bool = False


@dataclass(frozen=True, slots=True)
class Shipment:
    """The folder of models, for nodes that do not have it: relative names and contents."""

    name: str
    files: Mapping[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> Shipment:
        """Pack what is small enough."""
        files = {
            str(each.relative_to(folder)): each.read_bytes()
            for each in sorted(folder.rglob("*"))
            if each.is_file() and each.stat().st_size <= LARGEST and "__pycache__" not in each.parts
        }
        return cls(digest([[name, digest(content.hex())] for name, content in files.items()]), files)

    def unpack(self, parent: Path) -> Path:
        """The folder with these files, made unless it is there."""
        folder = parent / self.name
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f"{self.name}.lock"):
            if not folder.exists():
                half = parent / f".{self.name}"
                shutil.rmtree(half, ignore_errors=True)
                for name, content in self.files.items():
                    (half / name).parent.mkdir(parents=True, exist_ok=True)
                    (half / name).write_bytes(content)
                half.rename(folder)
        return folder


@dataclass(slots=True)
class Done:
    """What came of a task."""

    finished: list[Finished] = field(default_factory=list)
    onward: list[str] = field(default_factory=list)
    """Ids that got as far as a machine without a GPU can tell, and go on where there is one."""
    answers: list[CheckResult] = field(default_factory=list)
    """What was answered on the way, for the machine that goes on."""
    logs: dict[str, str] = field(default_factory=dict)
    """Whole logs of children, by file name."""
    lock: str | None = None
    """What uv resolved the group to, and ..."""
    failure: tuple[str, str] | None = None
    """... the kind and words of its refusal; None for both: nothing that is worth remembering."""
    seconds: float = 0.0


class Again(Exception):  # noqa: N818 - reads as what it asks for
    """The machine or the network was the trouble: Ray may try elsewhere. Carries what there is, for the last time."""

    def __init__(self, done: Done) -> None:
        super().__init__(done)
        self.done = done


class OtherCode(Exception):  # noqa: N818 - reads as what is the matter
    """The node has another version of the harness than the driver."""


def look(node: str) -> tuple[str, list[MachineRecord], int]:
    """The node's code, its machine without and with its GPUs, and how many those are."""
    _become(node, "")
    without = machine()
    _become(node, None)
    whole = machine()
    return code_digest(), [without, whole] if whole.gpus else [without], len(whole.gpus)


def run_group(
    settings: TaskSettings, shipment: Shipment, group: Sequence[Combination], node: str, onward: frozenset[str]
) -> Done:
    """Resolve, install and run a group that shares a stack, without a GPU.

    Args:
        settings: of the run.
        shipment: the models.
        group: the combinations.
        node: this node's name.
        onward: ids that have a GPU elsewhere to go on to.

    Raises:
        Again: the machine or the network was the trouble of some of them.
        OtherCode: this node has another harness.
    """
    _become(node, "")
    done = Done()
    with _NodeWorkers(settings, shipment, group, done.logs) as (workers, resolver):
        done.answers = workers[False].prepare(group)
        for combination in group:
            goes_on = combination.id in onward
            finished = workers[goes_on].run(combination, _nobody)
            if goes_on and _for_want_of_gpu(finished.record):
                done.onward.append(combination.id)
            else:
                done.finished.append(finished)
        _remember(done, resolver, group[0])
    if not done.onward:
        done.answers = []
    return _or_again(done)


def run_on_gpu(  # noqa: PLR0913, PLR0917 - one for each thing that travels
    settings: TaskSettings,
    shipment: Shipment,
    combination: Combination,
    node: str,
    gpus: str,
    answers: Sequence[CheckResult],
    lock: str | None,
) -> Done:
    """Run one combination on a machine with a GPU, with the answers that another machine found.

    Raises:
        Again: the machine or the network was the trouble.
        OtherCode: this node has another harness.
    """
    _become(node, gpus)
    done = Done()
    with _NodeWorkers(settings, shipment, [combination], done.logs) as (workers, resolver):
        worker = workers[False]
        for answer in answers:
            worker.services.answers.take_over(answer, fresh_since=settings.fresh_since)
        with suppress(NoInterpreter):  # the pipeline tells
            request = request_of(combination)
            if lock is not None and resolver.recall(request) is None:
                resolver.remember(request, Lock(lock), None, 0.0)
        done.finished.append(worker.run(combination, _nobody))
    return _or_again(done)


class _NodeWorkers:
    """The node's own folders, as a driver has its; logs are taken along when the task ends."""

    def __init__(
        self, settings: TaskSettings, shipment: Shipment, group: Sequence[Combination], logs: dict[str, str]
    ) -> None:
        if settings.code != code_digest():
            raise OtherCode(f"{os.environ[NODE]} has another harness than the driver ({__version__} here)")
        home = Path(os.environ.get("HARNESS_HOME") or settings.home)
        mine = Path(settings.models)
        models = mine if mine.is_dir() else shipment.unpack(home / "models")
        self._logs = logs
        self._folder = Path(tempfile.mkdtemp(prefix="logs-", dir=own_folder(home / "scratch")))
        project = Project(models.parent / "matrix.yaml", models, self._folder, home)
        specs = _models(models)
        wanted = {each.model for each in group}
        checkpoints = {name: find_checkpoint(specs[name], project.weights) for name in wanted}
        self._resolver = Resolver(project.resolutions, refresh=settings.refresh)
        services = Services.of(
            project, resolver=self._resolver, measure=settings.measure, fresh_since=settings.fresh_since
        )
        self._workers = {
            elsewhere: Worker(specs, checkpoints, replace(services, gpu_elsewhere=elsewhere))
            for elsewhere in (False, True)
        }

    def __enter__(self) -> tuple[dict[bool, Worker], Resolver]:
        return self._workers, self._resolver

    def __exit__(self, *_: object) -> None:
        for file in self._folder.rglob("*.log"):
            self._logs[file.name] = file.read_text("utf-8", "replace")
        shutil.rmtree(self._folder, ignore_errors=True)


@cache
def _models(folder: Path) -> Mapping[str, ModelSpec]:
    return models_in(folder, SHIPPED / "models")


def write_logs(folder: Path, logs: Mapping[str, str]) -> None:
    """Put a task's logs where a local run has them."""
    for name, text in logs.items():
        write_atomically(folder / name, text)


def _become(node: str, gpus: str | None) -> None:
    """Say who this process is, and which GPUs are its own (``""``: none; None: all); a worker does many tasks."""
    os.environ[NODE] = node
    if gpus is None:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    elif gpus or GPU_DRIVER.exists():
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    machine.cache_clear()


def _nobody(_stage: StageRecord) -> None:
    """Stages are told when the record is there."""


def _for_want_of_gpu(record: Record) -> bool:
    verdict = Verdict.parse(record.verdict)
    return verdict.status is Status.BLOCKED and verdict.reason is Reason.DRIVER_OR_GPU


def _remember(done: Done, resolver: Resolver, combination: Combination) -> None:
    if combination.excluded is not None:
        return
    with suppress(NoInterpreter):  # then there is nothing to remember
        resolution = resolver.recall(request_of(combination))
        if resolution is not None:
            done.lock = resolution.lock.text if resolution.lock is not None else None
            failure = resolution.failure
            done.failure = (failure.kind, failure.message) if failure is not None else None
            done.seconds = resolution.seconds


def _or_again(done: Done) -> Done:
    if any(each.record.verdict.startswith(f"{Status.INFRA}/") for each in done.finished):
        raise Again(done)
    return done


__all__ = [
    "Again",
    "Done",
    "OtherCode",
    "Shipment",
    "TaskSettings",
    "code_digest",
    "look",
    "run_group",
    "run_on_gpu",
]
