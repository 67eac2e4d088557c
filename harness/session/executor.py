"""Which executor a command asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.matrix import Combination
    from harness.scheduling.executors.interface import Executor
    from harness.session.session import Session


def make_executor(session: Session, chosen: Sequence[Combination], kind: str, address: str | None) -> Executor | None:
    """The executor; None for this machine's own, which is the default everywhere.

    Raises:
        click.UsageError: an address without Ray, or one that names a Ray client, which cannot list its nodes.
    """
    if kind == "local":
        if address is not None:
            raise click.UsageError("--address names a Ray cluster; add --executor ray")
        return None
    if address is not None and address.startswith("ray://"):
        raise click.UsageError("--address takes auto or host:port of a cluster's head; run on one of its machines")
    from harness.scheduling.executors.ray_executor import RayExecutor  # noqa: PLC0415 - the default needs nothing of it
    from harness.scheduling.executors.ray_tasks import TaskSettings, code_digest  # noqa: PLC0415 - as above

    settings = TaskSettings(
        code=code_digest(),
        home=str(session.project.state),
        models=str(session.project.models),
        fresh_since=time.time() if session.fresh else None,
        refresh=session.refresh,
        measure=session.measure,
    )
    return RayExecutor(settings, session.models, chosen, address, session.workers)
