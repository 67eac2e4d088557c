"""What a pipeline works with, put together in one place for every command, bundle and node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.environments.environment import Environments
from harness.pipeline.check_cache import CheckCache
from harness.pipeline.check_runner import CheckRunner
from harness.pipeline.gpus import gpus_of_this_machine

if TYPE_CHECKING:
    from harness.environments.resolve import Resolver
    from harness.matrix.project import Project


@dataclass(frozen=True, slots=True)
class Services:
    """Where a pipeline gets its lock, its environment and its checks' results from."""

    resolver: Resolver
    environments: Environments
    answers: CheckCache
    check_runner: CheckRunner
    fresh_since: float | None = None
    """Results from before this moment do not count; None: all do."""
    gpu_elsewhere: bool = False
    """Another machine, with a GPU, goes on from the boot of an engine: this one does not try it without."""

    @classmethod
    def of(  # noqa: PLR0913 - one for each thing that differs
        cls,
        project: Project,
        *,
        resolver: Resolver,
        environments: Environments | None = None,
        threads: int = 1,
        measure: bool = False,
        fresh_since: float | None = None,
    ) -> Services:
        """Those of a project on this machine.

        Args:
            project: whose working folder they use.
            resolver: asked for locks.
            environments: None: the project's own.
            threads: of each child.
            measure: boot one engine at a time on each GPU.
            fresh_since: results from before this moment do not count; None: all do.
        """
        return cls(
            resolver=resolver,
            environments=environments or Environments(project.environments),
            answers=CheckCache(project.answers),
            check_runner=CheckRunner(project.scratch, project.logs, threads, gpus_of_this_machine(), measure),
            fresh_since=fresh_since,
        )
