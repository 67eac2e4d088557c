"""Model specs read from the models folder; what a spec does not say follows from its model's config.json."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.matrix.document import Document, read_document
from harness.matrix.model_configuration import ModelConfiguration, UnusableConfiguration, read_configuration
from harness.matrix.models import (
    FAMILIES,
    MINIATURES,
    CanaryWeights,
    Families,
    Family,
    ModelSpec,
    published_file,
)
from harness.matrix.problems import MatrixError, Problem
from harness.matrix.validation import validate

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = re.compile(r"^(\w+)\s*:[ \t]*(.*?)[ \t]*(?:#.*)?$", re.MULTILINE)


def load_model(path: Path) -> ModelSpec:
    """The spec in one file. What it does not say follows from the model's config.json, where there is one.

    Raises:
        MatrixError: the file, or a folder it names, is not as it must be; every problem is listed.
    """
    document = read_document(path)
    unusable: list[Problem] = []
    try:
        derived = _derived(document, path)
    except UnusableConfiguration as error:  # no matter, for a spec that says everything itself
        derived = {}
        unusable.append(document.problem(("weights",), str(error), "mend it, or name another"))
    try:
        spec = validate(document, ModelSpec, derived)
    except MatrixError as error:
        lacking = any(not each.key for each in error.problems)  # what would have followed from the configuration
        raise MatrixError([*error.problems, *(unusable if lacking else ())]) from None
    spec._folder = path.parent  # noqa: SLF001 - set once, here, where the file's place is known
    problems = list(_misplaced(spec, path, document))
    if problems:
        raise MatrixError(problems)
    return spec


def models_in(own: Path, further: Path) -> Mapping[str, ModelSpec]:
    """The specs of a project's own folder, and those of a further one that it has no spec of that name for.

    Raises:
        MatrixError: a spec of its own is not as it must be, or there is no spec at all.
    """
    if own == further or not further.is_dir():
        return load_models(own)
    return Models(load_models(own) if _spec_files(own) else {}, further)


class Models(Mapping[str, "ModelSpec"]):
    """Specs by name; those of the further folder are read when they are asked for."""

    def __init__(self, own: Mapping[str, ModelSpec], further: Path) -> None:
        self._specs = dict(own)
        self._further = {file.stem: file for file in reversed(_spec_files(further)) if file.stem not in own}

    def __getitem__(self, name: str) -> ModelSpec:
        if name not in self._specs:
            self._specs[name] = _read_spec(self._further[name])
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._specs, *sorted(self._further)]))

    def __len__(self) -> int:
        return len(self._specs.keys() | self._further.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._specs or name in self._further


def _spec_files(folder: Path) -> list[Path]:
    """The files of specs, those that say more than a configuration first.

    A project's folder of that name may hold YAML of other programs, which says nothing of what a spec says.
    """
    said = [file for file in sorted(folder.glob("*.yaml")) if _is_spec(file)]
    return [*said, *sorted((folder / MINIATURES).glob("*.json"))]


def _is_spec(file: Path) -> bool:
    try:
        said = dict(_KEY.findall(file.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return True  # its reader tells why not
    return bool({"weights", "architecture", "smoke"} & said.keys()) or said.get("name", "").strip("'\"") == file.stem


def _read_spec(path: Path) -> ModelSpec:
    if path.suffix == ".yaml":
        return load_model(path)
    return _miniature(path, _families_of(path.parent.parent).get(path.stem))


@cache
def _families_of(folder: Path) -> dict[str, Family]:
    return load_families(folder)


def load_models(folder: Path) -> dict[str, ModelSpec]:
    """Every spec (``*.yaml``, and each ``miniatures/*.json``) of a folder by name, in the order of the names.

    Raises:
        MatrixError: the problems of all files together, or no spec at all.
    """
    problems: list[Problem] = []
    specs: dict[str, ModelSpec] = {}
    try:
        families = load_families(folder)
    except MatrixError as error:
        families = {}
        problems.extend(error.problems)
    for path in _spec_files(folder):
        try:
            spec = load_model(path) if path.suffix == ".yaml" else _miniature(path, families.get(path.stem))
        except MatrixError as error:
            problems.extend(error.problems)
        else:
            specs.setdefault(spec.name, spec)  # a spec of its own says more than a configuration
    if problems:
        raise MatrixError(problems)
    if not specs:
        hint = "give the folder that holds one NAME.yaml per model"
        raise MatrixError([Problem(str(folder), 1, 1, "", "no model spec (*.yaml) is here", hint)])
    return specs


def load_families(folder: Path) -> dict[str, Family]:
    """What is known of the published configurations beside the specs, by their names.

    Raises:
        MatrixError: the file is not as it must be.
    """
    file = folder / MINIATURES / FAMILIES
    return validate(read_document(file), Families).root if file.is_file() else {}


def _miniature(path: Path, family: Family | None) -> ModelSpec:
    """The model that a published config.json is by itself."""
    try:
        spec = miniature_of(read_configuration(path), path.stem, family)
    except UnusableConfiguration as error:
        raise MatrixError([Problem(str(path), 1, 1, "", str(error), "")]) from error
    spec._folder = path.parent.parent  # noqa: SLF001 - as above
    return spec


def miniature_of(found: ModelConfiguration, name: str, family: Family | None = None) -> ModelSpec:
    """The spec of the miniature of a configuration.

    Raises:
        UnusableConfiguration: a value of it, or the name, cannot stand in a spec.
    """
    weights = {"kind": "miniature", "config": name}
    try:
        facts = {"name": name, "weights": weights, **_facts(found, name, weights)}
        if family is not None:
            facts["title"] = f"{family.hub_id}, miniature"
            facts["licence"] = family.licence
            facts["known_models"] = family.models
            facts["sources"] = [f"The configuration of {family.hub_id}: {family.source}", *facts["sources"]]
        return ModelSpec.model_validate(facts)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UnusableConfiguration(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from error


def _derived(document: Document, path: Path) -> dict[str, Any]:
    """What follows from the config.json that the spec names; nothing where it names none that is there."""
    said = document.root.plain()
    weights = said.get("weights") if isinstance(said, dict) else None
    if not isinstance(weights, dict):
        return {}
    name = weights.get("config") or weights.get("folder")
    file = published_file(path.parent, name) if isinstance(name, str) else None
    local = weights.get("local_path")
    if isinstance(local, str):
        file = path.parent / Path(local).expanduser() / "config.json"
    if file is None or not file.is_file():
        return {}
    return _facts(read_configuration(file), path.stem, weights)


_ENGINE_PACKAGES = {
    architecture: [{"package": "qwen-vl-utils", "lmdeploy": "<0.16"}]
    for architecture in ("Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration")
}
"""What lmdeploy's own code for an architecture imports and does not declare."""


def _facts(found: ModelConfiguration, name: str, weights: Mapping[str, Any]) -> dict[str, Any]:
    gib = found.weights_gib
    miniature = weights.get("kind") == "miniature"
    return {
        "engine_packages": _ENGINE_PACKAGES.get(found.architecture, []),
        "title": f"{name}, miniature" if miniature else str(weights.get("hub_id") or name),
        "architecture": found.architecture,
        "model_type": found.model_type or name,
        "quantisation": "none" if miniature else found.quantisation,
        "licence": "not said",
        "memory": {"weights_gib": round(gib, 2), "gpu_gib": math.ceil(gib * 1.2 + 2)},
        "smoke": _smoke(str(weights.get("kind")), sees=found.sees),
        "sources": ["Derived from config.json; memory is an estimate from its sizes."],
    }


def _smoke(kind: str, *, sees: bool) -> dict[str, Any]:
    """The two passes of a spec that says none: known answers for real weights, numbers for a miniature."""
    unsaid = {"miniature": "logits", "random": "any"}.get(kind)
    if sees:
        facts = {"top_left": "red", "top_right": "blue", "bottom_left": "green", "bottom_right": "yellow"}
        colours = list(facts.values())
        image = {"pattern": "quadrants", "size": 112 if unsaid == "logits" else 448, "colours": colours}
        question, right = "Name the colour of each quarter of the image.", colours
    else:
        facts = {"country": "France", "capital": "Paris"}
        image, question, right = None, "Which city is the capital of France? Answer with one word.", ["Paris"]
    request = f"Write this as one JSON object with the keys {', '.join(facts)}, and nothing else: {{answer}}"
    see = {"prompt": question, "max_new_tokens": 64, "judge": unsaid or "contains"}
    structure = {"prompt": request, "max_new_tokens": 96, "judge": unsaid or "json"}
    if unsaid is None:
        see["expected"], structure["expected"] = right, facts
    return {"image": image, "see": see, "structure": structure}


def _misplaced(spec: ModelSpec, path: Path, document: Document) -> list[Problem]:
    problems = []
    if spec.name != path.stem:
        message = f"the name '{spec.name}' is not the file's name"
        problems.append(document.problem(("name",), message, f"write `name: {path.stem}` or rename the file"))
    config = spec.published_config
    if config is not None and not config.is_file():
        key = "folder" if isinstance(spec.weights, CanaryWeights) else "config"
        message = f"there is no {config.name} in {config.parent}"
        problems.append(document.problem(("weights", key), message, "name a folder beside the specs that has one"))
    return problems
