"""``harness node``: what a GPU host tells Ray of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harness.endings import ExitCode, guarded
from harness.executors.targets import advertised
from harness.machine import machine
from harness.options import matrix_option
from harness.project import Project
from harness.workbench import Workbench

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@matrix_option
@guarded
def node(matrix_file: Path) -> int:
    """Print this machine's resources for the matrix's targets: ray start --resources "$(harness node)"."""
    bench = Workbench(Project.of(matrix_file))
    click.echo(json.dumps(advertised(machine(), bench.combinations)))
    return ExitCode.OK
