"""What a boot with a model reaches of an engine release, and what goes wrong on the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.engines import Backend
from harness.scan.evaluation.engine import BUILDER
from harness.scan.evaluation.failures import Failure, Topic
from harness.scan.evaluation.importing import Importer
from harness.scan.evaluation.outside import PROVIDER, module_there, name_there
from harness.scan.evaluation.values import Constant, Instance
from harness.scan.evaluation.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.scan.evaluation.engine import EngineRelease
    from harness.scan.evaluation.outside import Outside
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.evaluation.values import EngineClass, Value

_PREPARE = ("build_preprocessor", "preprocess")


@dataclass(frozen=True, slots=True)
class Reached:
    """The outcome of one evaluation."""

    certain: tuple[Failure, ...]
    """What ends the boot; nothing catches it."""
    possible: tuple[Failure, ...]
    """What is caught, or stands behind a test that cannot be decided."""
    modules: frozenset[str]
    """Everything that is loaded."""


def evaluate(engine: EngineRelease, target: ScanTarget, absent: Callable[[str], bool], outside: Outside) -> Reached:
    """Load what a boot loads and walk what the model passes.

    Args:
        engine: the release.
        target: the model.
        absent: whether nothing in the stack brings a top-level module.
        outside: everything else around the engine.
    """
    importer = Importer(engine.consumers, outside)
    certain: dict[Failure, None] = {}
    possible: dict[Failure, None] = {}
    if target.engine.architectures is None:
        certain.update(dict.fromkeys(_reference(target, outside)))
    else:
        for entry in engine.entries(target):
            outcome = importer.load(entry)
            certain.update(dict.fromkeys(outcome.raised))
            possible.update(dict.fromkeys(outcome.caught))
        walk = Walk(engine.consumers, engine.sources, importer, outside, target, absent=absent)
        _walk_model(engine, target, walk)
        certain.update(walk.flow.raised)
        possible.update(walk.flow.caught)
    for module in target.imports:
        outcome = importer.load(module)
        certain.update(dict.fromkeys(outcome.raised))
        possible.update(dict.fromkeys(outcome.caught))
    remaining = [failure for failure in possible if failure not in certain]
    return Reached(tuple(certain), tuple(remaining), frozenset(importer.visited))


def _walk_model(engine: EngineRelease, target: ScanTarget, walk: Walk) -> None:
    walk.registered = engine.registers(target.model_type)
    for function in engine.config_loaders(target.backend):
        walk.call(function, {})
        if any(failure.kind is Topic.MODEL_TYPE for failure in walk.flow.raised):
            return  # no configuration: everything that needs one is beside the point
    if target.backend == Backend.PYTORCH:
        _walk_config(engine, walk)
        _walk_graph(engine, target, walk)
    if target.vision:
        _walk_vision(engine, target, walk)


def _walk_config(engine: EngineRelease, walk: Walk) -> None:
    """The engine's own configuration, by the builder whose condition holds for the model."""
    config = walk.config()
    if config is None:
        return
    for cls, condition, build in engine.config_builders():
        given: Mapping[str, Value] = {"hf_config": config}
        condition, build = replace(condition, bound=cls), replace(build, bound=cls)  # noqa: PLW2901 - now of this class
        if cls.name.startswith("Default") or walk.probe(condition, given) == Constant(True):
            walk.call(build, given)
            return


def _walk_graph(engine: EngineRelease, target: ScanTarget, walk: Walk) -> None:
    """The pytorch engine's own class of the model, constructed from the configuration."""
    cls = engine.model_class(target.architecture)
    constructor = None if cls is None else engine.sources.method(cls, "__init__")
    if cls is not None and constructor is not None:
        walk.call(replace(constructor, bound=Instance(cls)), {"config": walk.config()})


def _walk_vision(engine: EngineRelease, target: ScanTarget, walk: Walk) -> None:
    """The class that prepares images: built as the builder builds it, then shown one."""
    cls = _vision_class(engine, target, walk)
    if cls is None:
        return
    attributes: dict[str, Value] = {
        "hf_config": walk.config(),
        "with_llm": Constant(False),
        "backend": Constant(target.backend),
    }
    own = Instance(cls, attributes)
    sources = engine.sources
    functions = [sources.method(cls, name) for name in _PREPARE]
    if functions[0] is None or target.engine.loads_vision:
        functions.insert(1, sources.method(cls, "build_model"))
    for function in functions:
        if function is not None:
            walk.call(replace(function, bound=own), {})


def _vision_class(engine: EngineRelease, target: ScanTarget, walk: Walk) -> EngineClass | None:
    """The first class that takes the model's configuration for its own, or may."""
    for cls in engine.vision_classes(target.architecture):
        match = engine.sources.method(cls, "match")
        if match is None or walk.probe(replace(match, bound=cls), {"config": walk.config()}) != Constant(False):
            return cls
    return None


def _reference(target: ScanTarget, outside: Outside) -> list[Failure]:
    """What plain transformers needs: the model's class and the processor."""
    if target.remote_code:
        return []
    found = []
    for name in (target.architecture, "AutoProcessor"):
        answer = name_there(outside, PROVIDER, name)
        if not answer:
            found.append(Failure(Topic.NAME, PROVIDER, name, answer.error, target.model, "", 0))
    if not outside.ask(("knows", target.model_type)) and module_there(outside, PROVIDER):
        found.append(Failure(Topic.MODEL_TYPE, PROVIDER, target.model_type, "ValueError", target.model, "", 0))
    return found


__all__ = ["BUILDER", "Reached", "evaluate"]
