"""Trying a stack that no resolver chose: run with a given lock, as far as the question goes, and remember the end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.core.errors import ExitCode, HarnessError
from harness.core.files import digest, read_json, write_atomically
from harness.core.machine import machine
from harness.core.verdict import Stage, Status, Verdict
from harness.environments.resolve import Resolution, Resolver
from harness.pipeline.check_runner import probes_digest
from harness.pipeline.checkpoints import find_checkpoint
from harness.pipeline.stages import Pipeline
from harness.pipeline.worker import catalogue_digest

if TYPE_CHECKING:
    from harness.environments.lock import Lock
    from harness.environments.resolve import ResolveRequest
    from harness.matrix import Combination
    from harness.session.session import Session


class TrialBroken(HarnessError, RuntimeError):  # noqa: N818 - reads as what happened
    """Network, disk or a kill from outside: the trial says nothing about versions; the message says what it was."""

    exit_code = ExitCode.INFRASTRUCTURE

    def told(self) -> str:
        """What happened, and that nothing is lost."""
        return f"{HarnessError.told(self)}; what was tried is kept, run again to continue"


@dataclass(frozen=True, slots=True)
class Given(Resolver):
    """A resolver that is asked nothing: the lock is there already."""

    lock: Lock | None = None

    def recall(self, request: ResolveRequest) -> Resolution | None:  # noqa: ARG002 - whatever is asked
        """The given lock."""
        return Resolution(self.lock, None, 0.0, reused=True)


@dataclass(slots=True)
class Trials:
    """Trials of one kind: the same combination, every time with another lock."""

    session: Session
    combination: Combination
    until: Stage | None = None
    """Where a pipeline ends although it could go on; None: nowhere."""
    run: int = 0
    """Trials run; known ones are not."""
    known: int = 0
    """Trials answered from those of an earlier search, by the lock's name."""
    _told: dict[str, Verdict] = field(default_factory=dict)

    def stop_after(self, stage: Stage | None) -> None:
        """Let further trials end where the question is answered, unless it was said already."""
        self.until = self.until or stage

    def verdict(self, lock: Lock, *, keep: bool = False) -> Verdict:
        """How the trial with ``lock`` ends; a pass of the last stage asked for reads ``pass/<stage>``.

        Args:
            lock: the stack.
            keep: leave its environment for whoever needs it next.

        Raises:
            TrialBroken: it ended for no fault of the versions.
        """
        if lock.name not in self._told:
            self._told[lock.name] = self._found(lock, keep=keep)
        return self._told[lock.name]

    def _found(self, lock: Lock, *, keep: bool) -> Verdict:
        file = self.session.project.state / "bisect" / f"{self._key(lock)}.json"
        remembered = read_json(file)
        there = self.session.environments.find(lock) is not None
        if remembered is not None and not self.session.fresh and (there or not keep):
            self.known += 1
            return Verdict.parse(str(remembered["verdict"]))
        self.run += 1
        verdict = self._run(lock)
        if verdict.status is Status.INFRA:
            raise TrialBroken(f"a trial could not be finished: {verdict}")
        write_atomically(file, json.dumps({"verdict": str(verdict), "lock": lock.name}))
        if not keep and not there:
            self.session.environments.remove(lock.name)
        return verdict

    def _run(self, lock: Lock) -> Verdict:
        stack = lock.stack
        combination = replace(
            self.combination,
            lmdeploy=stack.get("lmdeploy", self.combination.lmdeploy),
            transformers=stack.get("transformers", self.combination.transformers),
        )
        spec = self.session.models[combination.model]
        checkpoint = find_checkpoint(spec, self.session.project.weights)
        given = Given(self.session.project.resolutions, lock=lock)
        services = replace(self.session.services(), resolver=given)
        return Pipeline(combination, spec, checkpoint, services, until=self.until).run()

    def _key(self, lock: Lock) -> str:
        each = self.combination
        spec = self.session.models[each.model].model_dump(mode="json")
        asked = [each.python, str(each.backend), str(each.launch), spec, str(self.until), machine().gpus]
        return digest(["trial-2", lock.name, probes_digest(), catalogue_digest(), asked])
