"""Putting the parts together: from a project on disk to something that can be run, planned or reported."""

from __future__ import annotations

import fnmatch
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.files import read_json
from harness.core.machine import machine
from harness.core.verdict import Stage, Status, Verdict
from harness.environments.environment import Environments
from harness.environments.lock_files.reader import LockFiles
from harness.environments.resolve import REMEMBERED_FOR, Resolver
from harness.evidence.choice import Target
from harness.evidence.sources import Sources
from harness.evidence.subjects import subjects_of
from harness.index.download import IndexUnavailable
from harness.index.package_index import PackageIndex
from harness.matrix import MatrixError, expand, load_matrix
from harness.matrix.existence import missing_versions
from harness.matrix.model_files import models_in
from harness.matrix.words import holds
from harness.pipeline.limits import LIMITS
from harness.pipeline.services import Services
from harness.results.store import ResultStore
from harness.scheduling.priority import InTurn, MostInformative, predictions_of
from harness.scheduling.run import SILENT, Listener, Run, new_run_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.evidence.stacks import Knowledge
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.matrix.project import Project
    from harness.scheduling.budget import Budget
    from harness.scheduling.executors import Executor
    from harness.scheduling.priority import Priority


class NothingSelected(HarnessError, LookupError):  # noqa: N818 - reads as what happened
    """No combination fits what was asked for; the message says what there is."""


@dataclass(frozen=True)
class Session:
    """A project, opened.

    ``fresh`` asks every question again; ``refresh`` asks the index and the resolver again.
    """

    project: Project
    jobs: int = 0
    """Combinations at a time; 0: one for each core, at most 8."""
    fresh: bool = False
    refresh: bool = False
    measure: bool = False
    """Boot one engine at a time on each GPU, so that latencies mean something."""
    executor: Executor | None = None
    """Who does the work; None: this machine."""
    budget: Budget | None = None
    """What a run may spend; with one, the most informative combinations come first."""
    further: tuple[Path, ...] = ()
    """Reports folders of other machines, beside those in ``reference/`` and ``imported/``."""

    @cached_property
    def models(self) -> Mapping[str, ModelSpec]:
        """The model specs by name.

        Raises:
            MatrixError: a spec is not as it must be.
        """
        return models_in(*self.project.model_folders)

    @cached_property
    def combinations(self) -> tuple[Combination, ...]:
        """The whole matrix, expanded.

        Raises:
            MatrixError: the matrix or a spec is not as it must be.
            IndexUnavailable: a version rule needs the package index, which cannot be reached.
        """
        matrix = load_matrix(self.project.matrix_file)
        self.project.hide_state()
        age = timedelta(seconds=0 if self.refresh else REMEMBERED_FOR)
        with PackageIndex(self.project.index_cache, age) as index:
            return expand(matrix, self.models, index, self.lock_files)

    @cached_property
    def sources(self) -> Sources:
        """The records of every machine that are here."""
        return Sources.of(self.project.reports, *self.further)

    @cached_property
    def knowledge(self) -> Knowledge:
        """What is known of every stack, from whichever machine.

        Raises:
            MatrixError: a spec is not as it must be.
        """
        return self.sources.knowledge(subjects_of(self.models.values()))

    @cached_property
    def target(self) -> Target:
        """The machine that the matrix is written for.

        Raises:
            MatrixError: the matrix is not as it must be.
        """
        memory = load_matrix(self.project.matrix_file).target.gpu_memory
        return Target(gpu_gib=float(memory) if memory is not None else None)

    def demand_versions(self) -> None:
        """See to it that every exact version of the matrix exists; where no index can be asked, the resolver tells.

        Raises:
            MatrixError: some do not; each is told with its line and the nearest that do.
        """
        matrix = load_matrix(self.project.matrix_file)
        age = timedelta(seconds=0 if self.refresh else REMEMBERED_FOR)
        with suppress(IndexUnavailable), PackageIndex(self.project.index_cache, age) as index:
            if problems := missing_versions(matrix, index):
                raise MatrixError(problems)

    @cached_property
    def run_name(self) -> str:
        """What all records of this command call their run: a remedy's steps are one run, however many times it runs."""
        return new_run_name()

    @property
    def workers(self) -> int:
        """How many combinations run at a time."""
        return self.jobs or min(8, machine().cores)

    @cached_property
    def store(self) -> ResultStore:
        """The records."""
        return ResultStore(self.project.reports)

    @cached_property
    def resolver(self) -> Resolver:
        """Gives locks."""
        self.project.hide_state()
        return Resolver(self.project.resolutions, refresh=self.refresh)

    @cached_property
    def lock_files(self) -> LockFiles:
        """Reads the project's own locks."""
        return LockFiles(self.resolver, LIMITS[Stage.RESOLVE])

    @cached_property
    def environments(self) -> Environments:
        """The built stacks."""
        return Environments(self.project.environments)

    def select(
        self,
        patterns: Sequence[str] = (),
        tags: Sequence[str] = (),
        words: Sequence[str] = (),
        among: Sequence[Combination] | None = None,
    ) -> tuple[Combination, ...]:
        """Combinations whose id fits a pattern, that have one of the tags, and whose id holds the words.

        ``among`` is what they are chosen from; None: the whole matrix.

        Raises:
            NothingSelected: there are none.
        """
        said = [holds(text) for text in words]
        chosen = [
            each
            for each in (self.combinations if among is None else among)
            if (not patterns or any(fnmatch.fnmatchcase(each.id, pattern) for pattern in patterns))
            and (not tags or set(tags) & set(each.tags))
            and all(wanted(each.id) for wanted in said)
        ]
        if not chosen:
            known = sorted({tag for each in self.combinations for tag in each.tags})
            raise NothingSelected(
                f"none of the {len(self.combinations)} combinations of {self.project.matrix_file.name} was selected; "
                f"'lmdeploy-harness plan' lists their ids; tags: {', '.join(known) or 'none'}"
            )
        return tuple(chosen)

    def without_impossible(self, combinations: Sequence[Combination]) -> tuple[Combination, ...]:
        """The same combinations, those excluded that the scan is sure would fail and that no run has tried.

        Raises:
            IndexUnavailable: the index cannot be asked.
        """
        from harness.scan.answers.impossible import without_impossible  # noqa: PLC0415 - the scan is not needed otherwise
        from harness.scan.sources.release import Library  # noqa: PLC0415 - as above

        library = Library()
        try:
            tried = {
                each.id for each in self.store.records() if Verdict.parse(each.verdict).status is not Status.SKIPPED
            }
            return without_impossible(combinations, self.models, library, tried)
        finally:
            library.close()

    def known_verdicts(self, combinations: Sequence[Combination]) -> dict[str, str]:
        """Verdicts that an earlier run reached from the same inputs, by id."""
        return self.run(combinations, SILENT).known_verdicts()

    def services(self) -> Services:
        """What a pipeline works with; with ``fresh``, no result from before this moment counts."""
        return Services.of(
            self.project,
            resolver=self.resolver,
            environments=self.environments,
            threads=max(1, machine().cores // self.workers),
            measure=self.measure,
            fresh_since=time.time() if self.fresh else None,
        )

    def run(self, combinations: Sequence[Combination], listener: Listener) -> Run:
        """A run of those combinations, not started yet."""
        return Run(
            project=self.project,
            combinations=combinations,
            models=self.models,
            services=self.services(),
            store=self.store,
            listener=listener,
            jobs=self.workers,
            fresh=self.fresh,
            executor=self.executor,
            priority=self._priority(combinations),
            budget=self.budget,
            name=self.run_name,
        )

    def _priority(self, combinations: Sequence[Combination]) -> Priority:
        if self.budget is None:
            return InTurn()
        return MostInformative(predictions_of(read_json(self.project.reports / "scan.json"), combinations))
