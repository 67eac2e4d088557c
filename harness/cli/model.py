"""``lmdeploy-harness model add`` and ``lmdeploy-harness model list``."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table
from ruamel.yaml import YAML

from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import format_option, matrix_option
from harness.core.errors import ExitCode, HarnessError
from harness.core.files import write_atomically
from harness.matrix.model_configuration import ModelConfiguration, parse_configuration, read_configuration
from harness.matrix.model_files import load_model, miniature_of, models_in
from harness.matrix.models import MINIATURES, Quantisation
from harness.matrix.problems import MatrixError
from harness.matrix.project import Project
from harness.pipeline.checkpoints import find_checkpoint, in_hub_cache

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_UNNAMEABLE = re.compile(r"[^a-z0-9._-]+")
_ENDPOINT = "HF_ENDPOINT"
"""Environment variable of the hub's own client: another address of the hub."""
_OF_LMDEPLOY = frozenset({"torch", "torchvision", "transformers", "numpy", "PIL", "safetensors", "accelerate", "tqdm"})
"""Modules that every lmdeploy brings: a model that imports them needs nothing of its own."""


class NoConfiguration(HarnessError, LookupError):  # noqa: N818 - reads as what happened
    """No config.json could be had from where it was looked for; the message says where, and what else to give."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What ``model add`` was given."""

    configuration: ModelConfiguration
    folder: Path | None
    """A checkpoint on this machine."""
    hub_id: str | None


@click.group()
def model() -> None:
    """Models: what there is, and adding one of your own."""


@model.command("list")
@matrix_option
@format_option
@guarded
def list_models(matrix_file: Path | None, form: str) -> int:
    """List the models that a matrix can name, and whether their weights are on this machine."""
    project = Project.found(matrix_file)
    rows = [
        {
            "name": spec.name,
            "architecture": spec.architecture,
            "quantisation": str(spec.quantisation),
            "sees": spec.smoke.image is not None,
            "weights": spec.weights.kind,
            "here": find_checkpoint(spec, project.weights).folder is not None,
        }
        for spec in models_in(*project.model_folders).values()
    ]
    if form == "json":
        click.echo(json.dumps(rows, indent=1))
        return ExitCode.OK
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "architecture", "quantisation", "takes", "weights"):
        table.add_column(name)
    for row in rows:
        weights = f"{row['weights']}{'' if row['here'] else ' [dim](not on this machine)[/]'}"
        takes = "image and text" if row["sees"] else "text"
        table.add_row(
            escape(str(row["name"])), escape(str(row["architecture"])), str(row["quantisation"]), takes, weights
        )
    make_console().print(table)
    return ExitCode.OK


@model.command()
@click.argument("source")
@click.option("--name", help="Name of the model; default: the source's own.")
@matrix_option
@guarded
def add(source: str, name: str | None, matrix_file: Path | None) -> None:
    """Write the spec of a model: SOURCE is a hub id, a folder with a checkpoint, or a config.json.

    What the spec does not say follows from config.json. Where no weights are on this machine, the published
    configuration is kept as a miniature: a tiny random checkpoint of the same architecture, made when it is needed.
    """
    models = Project.found(matrix_file).models
    found = _looked_up(source)
    chosen = _UNNAMEABLE.sub("-", (name or _own_name(source)).lower()).strip("-._") or "model"
    spec_file, miniature = models / f"{chosen}.yaml", models / MINIATURES / f"{chosen}-miniature.json"
    miniature_of(found.configuration, chosen)  # before anything is written
    taken = next((each for each in (spec_file, miniature) if each.exists()), None)
    if taken is not None:
        raise click.UsageError(f"{taken} exists; give another --name, or delete it first")
    text = json.dumps(found.configuration.content, indent=2, ensure_ascii=False) + "\n"
    if found.folder is None:
        write_atomically(miniature, text)
        click.echo(f"wrote {miniature}")
    weights = _weights(found, chosen)
    if weights is not None:
        if found.folder is None:
            write_atomically(models / chosen / "config.json", text)
        write_atomically(spec_file, _spec_text(chosen, weights, found))
        try:
            load_model(spec_file)
        except MatrixError:  # it would stand in the way of every other command
            spec_file.unlink()
            raise
        click.echo(f"wrote {spec_file}")
    _tell(found, chosen if weights is not None else f"{chosen}-miniature")


def _looked_up(source: str) -> _Source:
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NoConfiguration(f"there is no config.json in {path}; give a folder with a checkpoint")
        complete = any(path.glob("*.safetensors"))
        return _Source(read_configuration(path / "config.json"), path.absolute() if complete else None, None)
    if path.is_file():
        return _Source(read_configuration(path), None, None)
    if not _HUB_ID.fullmatch(source):
        raise NoConfiguration(f"{source} is no file, no folder and no hub id such as Qwen/Qwen3-0.6B")
    kept = in_hub_cache(source, None)
    if kept is not None:
        return _Source(read_configuration(kept / "config.json"), kept, source)
    return _Source(_from_hub(source), None, source)


def _from_hub(hub_id: str) -> ModelConfiguration:
    import httpx  # noqa: PLC0415 - a quarter of the start-up time, and only needed here

    address = f"{os.environ.get(_ENDPOINT, 'https://huggingface.co').rstrip('/')}/{hub_id}/resolve/main/config.json"
    otherwise = "give the path of a config.json or of a checkpoint instead"
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(address, headers=headers, timeout=30, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        trouble = NoConfiguration(f"the hub cannot be reached for {hub_id}: {error}; {otherwise}")
        trouble.exit_code = ExitCode.INFRASTRUCTURE
        raise trouble from error
    if not answer.is_success:
        why = {401: "it is private or gated: set HF_TOKEN", 403: "it is gated", 404: "there is no such model"}
        said = why.get(answer.status_code, f"the hub answered {answer.status_code}")
        raise NoConfiguration(f"no config.json of {hub_id}: {said}; or {otherwise}")
    return parse_configuration(answer.content, f"{hub_id}/config.json")


def _own_name(source: str) -> str:
    path = Path(source)
    if path.name == "config.json":
        return path.parent.name or "model"
    return path.stem if path.suffix == ".json" else path.name


def _weights(found: _Source, name: str) -> dict[str, str] | None:
    """The spec's weights; None where all that is known is a configuration."""
    if found.hub_id is not None:
        return {"kind": "hub", "hub_id": found.hub_id, **({"config": name} if found.folder is None else {})}
    return {"kind": "hub", "local_path": str(found.folder)} if found.folder is not None else None


def _spec_text(name: str, weights: Mapping[str, str], found: _Source) -> str:
    spec: dict[str, object] = {"name": name, "weights": dict(weights)}
    imports = _imports_of(found.folder) if found.folder is not None else []
    if imports:
        spec["imports"] = imports
    buffer = io.StringIO()
    yaml = YAML()
    yaml.width = 110
    yaml.dump(spec, buffer)
    notes = "# What is not said here follows from config.json: `lmdeploy-harness model list` shows it.\n"
    if found.configuration.remote_code:
        notes += "# The checkpoint brings Python code of its own, which runs only with `trust_remote_code: true`.\n"
    return notes + buffer.getvalue()


def _imports_of(folder: Path) -> list[str]:
    """Modules that the checkpoint's own Python code imports and that lmdeploy does not bring."""
    found: set[str] = set()
    for file in sorted(folder.glob("*.py")):
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, RecursionError) as error:
            raise NoConfiguration(f"{file} is no Python: {error}") from error
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {each.name.partition(".")[0] for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return sorted(found - _OF_LMDEPLOY - set(sys.stdlib_module_names))


def _tell(found: _Source, name: str) -> None:
    configuration = found.configuration
    takes = "image and text" if configuration.sees else "text"
    size = (
        f"about {configuration.parameters / 1e9:.2g} B parameters, {configuration.weights_gib:.2g} GiB of weights "
        "(estimated)"
    )
    unknown = "of a size that does not follow from config.json: say `memory` in the spec"
    click.echo(
        f"{configuration.architecture}, {takes}, quantisation {configuration.quantisation}, "
        f"{size if configuration.parameters else unknown}"
    )
    if configuration.quantisation == Quantisation.OTHER:
        click.echo("LMDeploy names no such quantisation: the stage configure will be blocked")
    click.echo(f"next: add {name!r} to the models of your matrix, then: lmdeploy-harness plan -k {name}")
