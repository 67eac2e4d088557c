"""The nodes of a Ray cluster: one that is there already, or one of this machine alone, made for the run.

Work goes out as tasks, as much as keeps the cluster busy; results come back to one thread, which hands them to the run.
Trying again is Ray's: a task whose node or worker was lost, and one that met trouble with the machine or the network,
is done again by Ray on any node that fits. No task is tied to a node.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import RunBroken
from harness.core.machine import machine
from harness.environments.interpreters import NoInterpreter
from harness.environments.lock import Lock
from harness.environments.uv import UvFailure
from harness.pipeline.stack import request_of
from harness.process.child import Cancelled
from harness.scheduling.executors import ray_tasks
from harness.scheduling.executors.ray_cluster import (
    ENVIRONMENT,
    JOINING,
    QUIET,
    STARTING,
    OwnNode,
    demand_answer,
    start_local,
)
from harness.scheduling.executors.ray_resources import advertised, demanded, goes_to_gpu

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.core.records import MachineRecord
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.pipeline.worker import Worker
    from harness.scheduling.executors.interface import Outlet, Work
    from harness.scheduling.executors.ray_tasks import Done, Shipment, TaskSettings

RETRIES = 3
"""How often Ray does a task again: after the loss of its node or worker, and after infrastructure trouble."""
TROUBLE = [ray_tasks.Again, OSError, Cancelled]
"""What a task raises when its machine is the trouble: a full disk, a broken pipe, a child that somebody killed."""
AHEAD = 2
"""Pieces of work that are given out for each core: the next one waits at the node already."""
LOOK_SECONDS = 0.5
"""How often the driver looks whether its own node is there, and whether it is to stop."""


@dataclass(slots=True)
class _Job:
    """One task under way."""

    work: tuple[Combination, ...]
    boot: bool


@dataclass(slots=True)
class RayExecutor:
    """Has the work done by a cluster.

    ``address`` is ``auto`` or ``host:port`` of one that is there; None: one is made here, with ``jobs`` cores.
    """

    settings: TaskSettings
    models: Mapping[str, ModelSpec]
    combinations: Sequence[Combination]
    address: str | None
    jobs: int
    lost: int = 0
    """Combinations that Ray gave up on."""
    _ray: Any = None
    _own_node: OwnNode | None = None
    _cpus: int = 1
    _nodes: list[dict[str, float]] = field(default_factory=list)
    """Total resources of each node."""
    _machines: dict[str, MachineRecord] = field(default_factory=dict)
    """Kinds of machine in the cluster, by what tells them apart."""
    _temporary: str | None = None
    _driver: threading.Thread | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _demands: dict[str, dict[str, float] | None] = field(default_factory=dict)
    _jobs: dict[Any, _Job] = field(default_factory=dict)

    def connect(self) -> None:
        """Join the cluster or make one, and look at its nodes.

        Raises:
            RunBroken: Ray is not installed, the cluster cannot be reached, or its nodes have another harness.
        """
        if self._ray is not None:
            return
        settings = ENVIRONMENT | (JOINING if self.address is not None else STARTING)
        os.environ.update({name: value for name, value in settings.items() if name not in os.environ})
        if find_spec("ray") is None:
            raise RunBroken(
                "--executor ray needs Ray, which is not installed; install it with "
                "'pip install \"lmdeploy-harness[ray]\"', or run with --executor local"
            )
        demand_answer(self.address)
        import ray  # noqa: PLC0415 - an optional requirement, and seconds to load

        asked_to_stop = signal.getsignal(signal.SIGTERM)
        try:
            if self.address is not None:
                ray.init(address=self.address, **QUIET)
            else:
                self._temporary = start_local(ray, self.jobs, advertised(machine(), self.combinations))
        except Exception as error:  # Ray raises bare ones, too
            self._leave()
            where = f"no Ray cluster at {self.address}" if self.address else "no local Ray could be started"
            raise RunBroken(f"{where}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, asked_to_stop)  # Ray takes it for itself, and clears up less
        self._ray = ray
        try:
            self._own_node = OwnNode(ray)
            self._look_around()
        except BaseException:
            self._leave()
            raise

    def machines(self, combination: Combination) -> Sequence[MachineRecord]:
        """Those without a GPU, and with one where the combination has one to go to."""
        self.connect()
        kinds = list(self._machines.values())
        if goes_to_gpu(combination) and self._demand(combination) is not None:
            return kinds
        return [each for each in kinds if not each.gpus]

    def start(self, outlet: Outlet, worker: Worker, pieces: int) -> None:  # noqa: ARG002 - one thread drives any number
        """Send out work, and go on sending while results come in."""
        self.connect()
        self._driver = threading.Thread(target=self._drive, args=(outlet, worker), name="ray-driver", daemon=True)
        self._driver.start()

    def stop(self, *, done: bool) -> None:  # noqa: ARG002 - whatever is still running is cancelled
        """Cancel what is under way, leave the cluster, and end it when it was made for this run."""
        self._stopping.set()
        if self._driver is not None and self._driver is not threading.current_thread():
            self._driver.join(timeout=30)
        self._leave()

    def _look_around(self) -> None:
        """Ask every node what it is."""
        ray = self._ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - optional

        asked = {}
        for node in ray.nodes():
            if node["Alive"]:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ask = ray.remote(num_cpus=0, max_retries=1)(ray_tasks.look).options(scheduling_strategy=there)
                asked[node["NodeID"]] = (node, ask.remote(_name(node)))
        foreign = []
        for node, answer in asked.values():
            try:
                code, machines, _ = ray.get(answer, timeout=120)
            except ray.exceptions.RayError as error:
                last = str(error).strip().splitlines()[-1]
                raise RunBroken(
                    f"node {_name(node)} of the cluster cannot run the harness: {last}; every node needs "
                    "'pip install lmdeploy-harness' in the environment that Ray runs in"
                ) from error
            if code != self.settings.code:
                foreign.append(_name(node))
            resources = dict(node["Resources"])
            whole = machines[-1]
            if whole.gpu_memory_mib:
                resources["gpu_memory_mib"] = min(whole.gpu_memory_mib)
            self._nodes.append(resources)
            self._machines[f"no GPU, {machines[0].driver}"] = machines[0]
            for place, gpu in enumerate(whole.gpus):  # a boot sees one card
                alone = {"gpus": [gpu], "gpu_memory_mib": [whole.gpu_memory_mib[place]]}
                self._machines[f"{gpu} {whole.driver}"] = whole.model_copy(update=alone)
        if foreign:
            raise RunBroken(
                f"these nodes have another version of the harness than this machine: {', '.join(sorted(foreign))}; "
                "install the same one on all of them"
            )
        self._cpus = max(1, int(sum(each.get("CPU", 0) for each in self._nodes)))

    def _demand(self, combination: Combination) -> dict[str, float] | None:
        if combination.id not in self._demands:
            self._demands[combination.id] = demanded(combination, self.models[combination.model], self._nodes)
        return self._demands[combination.id]

    def _drive(self, outlet: Outlet, worker: Worker) -> None:
        """Until there is no more work and none under way."""
        ray = self._ray
        try:
            shipment = ray.put(ray_tasks.Shipment.of(Path(self.settings.models)))
            while not self._stopping.is_set():
                self._demand_own_node()
                self._send(outlet, shipment)
                if not self._jobs:
                    return
                ready, _ = ray.wait(list(self._jobs), num_returns=1, timeout=LOOK_SECONDS)
                for reference in ready:
                    self._take(reference, outlet, worker, shipment)
            for reference, job in self._jobs.items():
                ray.cancel(reference, force=True)
                outlet.failed(job.work, Cancelled())
            self._jobs.clear()
        except (OSError, ray.exceptions.RayError) as error:
            self._fail(outlet, RunBroken(f"Ray on this machine does not answer any more: {error}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it reaches those who wait for records
            self._fail(outlet, error)

    def _fail(self, outlet: Outlet, error: Exception) -> None:
        for job in self._jobs.values():
            outlet.failed(job.work, error)
        while (work := outlet.next_work()) is not None:
            outlet.failed(work, error)

    def _send(self, outlet: Outlet, shipment: Any) -> None:  # noqa: ANN401 - a reference of Ray's
        """Keep the cluster busy, and no more: what is given out cannot be taken back without losing it."""
        under_way = sum(not job.boot for job in self._jobs.values())
        while under_way < AHEAD * self._cpus and (work := outlet.next_work()) is not None:
            onward = frozenset(each.id for each in work if goes_to_gpu(each) and self._demand(each) is not None)
            task = self._ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=TROUBLE)(_group_task)
            self._jobs[task.remote(self.settings, shipment, work, onward)] = _Job(work, boot=False)
            outlet.begun(work)
            under_way += 1

    def _demand_own_node(self) -> None:
        if self._own_node is not None:
            self._own_node.demand()

    def _result(self, reference: Any) -> Done:  # noqa: ANN401 - a reference of Ray's
        """What a finished task returned; it may have to come from another node first."""
        while True:
            self._demand_own_node()
            try:
                done: Done = self._ray.get(reference, timeout=LOOK_SECONDS)
            except self._ray.exceptions.GetTimeoutError:
                continue
            return done

    def _take(self, reference: Any, outlet: Outlet, worker: Worker, shipment: Any) -> None:  # noqa: ANN401 - as above
        """Hand a task's results to the run, and send on what goes to a GPU."""
        job = self._jobs.pop(reference)
        try:
            done = self._result(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, OSError | Cancelled):
                self._give_up(job.work, f"trouble on {RETRIES + 1} attempts, at last: {error.cause}", outlet, worker)
                return
            if not isinstance(error.cause, ray_tasks.Again):
                outlet.failed(job.work, RunBroken(f"a task failed on its node: {str(error).strip().splitlines()[-1]}"))
                return
            done = error.cause.done  # tried as often as it may be: then this is what came of it
        except (RunBroken, self._ray.exceptions.LocalRayletDiedError):
            self._jobs[reference] = job
            raise  # this machine's own node: nothing more can be had from the cluster
        except self._ray.exceptions.RayError as error:
            why = f"the node or the worker was lost {RETRIES + 1} times ({type(error).__name__})"
            self._give_up(job.work, why, outlet, worker)
            return
        try:
            self._hand_over(done, job, outlet, worker)
        except Exception as error:  # noqa: BLE001 - a full disk, or a defect: both reach those who wait
            outlet.failed(job.work, error)
            return
        if done.onward and not outlet.goes_on():
            outlet.failed([each for each in job.work if each.id in done.onward], Cancelled())
            return
        for combination in job.work:
            if combination.id in done.onward:
                self._send_on(combination, done, shipment, outlet)

    def _hand_over(self, done: Done, job: _Job, outlet: Outlet, worker: Worker) -> None:
        if not job.boot:
            _learn(done, job.work, worker)
        ray_tasks.write_logs(worker.services.check_runner.logs, done.logs)
        for finished in done.finished:
            combination = next(each for each in job.work if each.id == finished.record.id)
            for stage in finished.record.stages:
                outlet.stage_reached(combination, stage)
            outlet.finished(finished)

    def _send_on(self, combination: Combination, done: Done, shipment: Any, outlet: Outlet) -> None:  # noqa: ANN401 - as above
        demand = dict(self._demand(combination) or {})
        task = self._ray.remote(
            num_cpus=1,
            num_gpus=demand.pop("GPU"),
            resources=demand,
            max_retries=RETRIES,
            retry_exceptions=TROUBLE,
        )(_boot_task)
        reference = task.remote(self.settings, shipment, combination, done.answers, done.lock)
        self._jobs[reference] = _Job((combination,), boot=True)
        outlet.begun((combination,))

    def _give_up(self, work: Work, why: str, outlet: Outlet, worker: Worker) -> None:
        self.lost += len(work)
        for combination in work:
            try:
                outlet.finished(worker.broken_off(combination, why))
            except OSError as error:
                outlet.failed([combination], error)

    def _leave(self) -> None:
        """Once, and whatever state it is in."""
        ray, self._ray = self._ray, None
        if ray is not None:
            ray.shutdown()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def _name(node: Mapping[str, Any]) -> str:
    """A node's name in records: its host, and which Ray node it was."""
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:8]}"


def _this_node() -> str:
    import ray  # noqa: PLC0415 - runs on a node

    return f"{os.uname().nodename}/{ray.get_runtime_context().get_node_id()[:8]}"


def _group_task(settings: TaskSettings, shipment: Shipment, group: Work, onward: frozenset[str]) -> Done:
    return ray_tasks.run_group(settings, shipment, group, _this_node(), onward)


def _boot_task(
    settings: TaskSettings, shipment: Shipment, combination: Combination, answers: Sequence[Any], lock: str | None
) -> Done:
    import ray  # noqa: PLC0415 - runs on a node

    gpus = ",".join(str(each) for each in ray.get_gpu_ids())
    return ray_tasks.run_on_gpu(settings, shipment, combination, _this_node(), gpus, answers, lock)


def _learn(done: Done, work: Work, worker: Worker) -> None:
    """Let this machine's resolver remember what a node's found out, so that the next run knows it."""
    resolver = worker.services.resolver
    if done.lock is None and done.failure is None:
        return
    try:
        request = request_of(work[0])
    except NoInterpreter:
        return  # this machine has no such Python, and cannot have asked
    if resolver.recall(request) is None:
        failure = UvFailure(*done.failure) if done.failure is not None else None
        resolver.remember(request, Lock(done.lock) if done.lock is not None else None, failure, done.seconds)
