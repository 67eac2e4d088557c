"""``lmdeploy-harness node``: what a GPU host tells Ray of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from harness.cli.guard import guarded
from harness.cli.options import matrix_option
from harness.core.machine import machine
from harness.matrix.project import Project
from harness.scheduling.executors.ray_resources import advertised
from harness.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@matrix_option
@guarded
def node(matrix_file: Path | None) -> None:
    """Print this machine's resources for the matrix's targets: ray start --resources "$(lmdeploy-harness node)"."""
    session = Session(Project.found(matrix_file))
    click.echo(json.dumps(advertised(machine(), session.combinations)))
