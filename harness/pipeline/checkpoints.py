"""Where a model's checkpoint is on this machine, or what to do to get it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.files import digest, digest_of_files
from harness.environments.uv import run_uv
from harness.matrix.models import (
    CanaryWeights,
    HubWeights,
    ModelSpec,
    RandomWeights,
    download_command,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.matrix.project import Project

MADE = {"random": "harness-made.json", "miniature": "miniature.json"}
"""The file that is written last, by kind of weights that are made on the spot."""
_SMALL = 64 * 1024 * 1024
"""Files up to this size are hashed by content; larger ones (real weights) by name, size and time of change."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files."""

    folder: Path | None
    """None when they are not on this machine."""
    missing: str = ""
    """What is not."""
    remedy: str = ""
    """How to get it."""
    revision: str | None = None
    """The commit that was found, for a checkpoint from the hub."""


def find_checkpoint(spec: ModelSpec, weights_folder: Path) -> Checkpoint:
    """The checkpoint of ``spec``: a folder of its own, the hub's cache, or made earlier in ``weights_folder``."""
    match spec.weights:
        case CanaryWeights():
            return _folder(spec.checkpoint_folder, "it is part of the harness: install it, or check out models/, again")
        case HubWeights(local_path=str()):
            return _folder(spec.checkpoint_folder, f"put the checkpoint there or drop local_path from {spec.name}.yaml")
        case HubWeights(hub_id=str(hub_id), revision=revision):
            found = in_hub_cache(hub_id, revision)
            if found is not None:
                return Checkpoint(found, revision=found.name)
            return Checkpoint(None, hub_id, f"download the weights: {download_command(spec)}")
        case _:
            return _made(spec, weights_folder)


def _made(spec: ModelSpec, weights_folder: Path) -> Checkpoint:
    """Weights that are made on the spot."""
    kind, made = spec.weights.kind, weights_folder / spec.name
    if (made / MADE[kind]).exists():
        return Checkpoint(made)
    problem = problem_file(weights_folder, spec.name)
    if problem.exists():
        return Checkpoint(None, problem.read_text(encoding="utf-8"))
    return Checkpoint(None, f"{kind} weights of {spec.name}", f"make them: lmdeploy-harness weights {spec.name}")


def problem_file(weights_folder: Path, name: str) -> Path:
    """The file that says why a model's weights could not be made on the spot."""
    return weights_folder / f"{name}.problem.txt"


def _folder(folder: Path | None, remedy: str) -> Checkpoint:
    if folder is not None and (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return Checkpoint(folder)
    name = folder.name if folder is not None else "the checkpoint"
    return Checkpoint(None, f"{name}/*.safetensors", remedy)


def in_hub_cache(hub_id: str, revision: str | None) -> Path | None:
    """The newest complete snapshot in the hub client's cache.

    The layout (``models--owner--name/{refs,snapshots}``) is the one documented by huggingface_hub.
    """
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache_folder = Path(os.environ.get("HF_HUB_CACHE", home / "hub")) / f"models--{hub_id.replace('/', '--')}"
    if revision is None:
        try:
            revision = (cache_folder / "refs" / "main").read_text().strip()
        except OSError:
            return None  # never downloaded
    snapshot = cache_folder / "snapshots" / revision
    return snapshot if (snapshot / "config.json").exists() and any(snapshot.glob("*.safetensors")) else None


@cache
def folder_digest(folder: Path) -> str:
    """Hash of a checkpoint's files; read once a process."""
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]  # what a client of the hub notes down
        files += [each for name in names if (each := Path(place, name)).is_file()]
    files.sort()
    small = [each for each in files if each.stat().st_size <= _SMALL]
    large = [(each, each.stat()) for each in files if each not in small]
    told = [[str(each.relative_to(folder)), status.st_size, status.st_mtime_ns] for each, status in large]
    return digest([digest_of_files(folder, small), told])


def model_request(spec: ModelSpec, checkpoint: Checkpoint) -> Mapping[str, object]:
    """The model as probes are told of it."""
    return {
        "name": spec.name,
        "weights": spec.weights.kind,
        "folder": str(checkpoint.folder) if checkpoint.folder is not None else None,
        "config_folder": str(checkpoint.folder or spec.config_folder or "") or None,
        "architecture": spec.architecture,
        "model_type": spec.model_type,
        "quantisation": str(spec.quantisation),
        "imports": list(spec.imports),
        "trust_remote_code": spec.trust_remote_code,
        "smoke": spec.smoke.model_dump(mode="json"),
    }


def make_random_weights(spec: ModelSpec, project: Project) -> Path:
    """Make the random checkpoint of ``spec`` in the working folder, by the script beside the specs.

    Raises:
        UvFailure: the script failed; a half-made checkpoint lacks its marker and is not used.
        ValueError: the spec's weights are not random ones.
    """
    if not isinstance(spec.weights, RandomWeights) or spec.config_folder is None:
        raise ValueError(f"{spec.name} does not have random weights")
    folder = project.weights / spec.name
    arguments = ["run", "--no-project", "--script", str(project.model_file("make_random.py")), "--out", str(folder)]
    arguments += ["--config", str(spec.config_folder), "--tokenizer", str(project.model_file("canary"))]
    run_uv([*arguments, "--seed", str(spec.weights.seed)], folder=project.root, timeout=1800)
    return folder
