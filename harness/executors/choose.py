"""Which executor a command asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.executors.interface import Executor
    from harness.matrix import Combination
    from harness.workbench import Workbench


def make_executor(bench: Workbench, chosen: Sequence[Combination], kind: str, address: str | None) -> Executor | None:
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
    from harness.executors.on_ray import RayExecutor  # noqa: PLC0415 - the default needs nothing of it
    from harness.executors.tasks import Orders, code_digest  # noqa: PLC0415 - as above

    orders = Orders(
        code=code_digest(),
        home=str(bench.project.state),
        models=str(bench.project.models),
        fresh_since=time.time() if bench.fresh else None,
        refresh=bench.refresh,
        measure=bench.measure,
    )
    return RayExecutor(orders, bench.models, chosen, address, bench.workers)
