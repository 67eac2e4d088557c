"""One release of the engine: what a boot with a model loads of it, and which of its functions a model passes."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from harness.engines import ENGINES, Backend
from harness.scan.evaluation.values import Constant, EngineClass, EngineFunction, Sources
from harness.scan.sources.nodes import strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.engines.engine import Architectures
    from harness.scan.evaluation.importing import Consumers
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.sources.release import Release

ROOT = "lmdeploy"
BUILDER = f"{ROOT}.vl.model.builder"
_CONFIG_BUILDERS = f"{ROOT}.pytorch.configurations"
_OWN_CONFIGS = re.compile(rf"{ROOT}\.(?:pytorch\.transformers|hf_configs)\.configuration_\w+")
_LINEAR = f"{ROOT}.pytorch.nn.linear"
_TURNED_AWAY = re.compile(rb"Unsupported quant method")
_QUANTISED = {"gptq-int4": "gptq", "awq-int4": "awq", "w8a8": "smooth_quant"}
"""What the engine calls a quantisation that has another name here."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line in a release's source."""

    module: str
    file: str
    line: int


class EngineRelease:
    """One lmdeploy release.

    Args:
        release: its files.
        consumers: that release, and those of packages the model's own code imports.
    """

    def __init__(self, release: Release, consumers: Consumers) -> None:
        self.release = release
        self.consumers = consumers
        self.sources = Sources(consumers)
        self._maps: dict[str, dict[str, str]] = {}

    def entries(self, target: ScanTarget) -> list[str]:
        """The modules that a boot loads, as far as this release has them."""
        engine = target.engine
        modules = [*engine.modules, *(engine.vision_modules if target.vision else ()), *engine.own_modules]
        if target.backend == Backend.PYTORCH and (own := self.model_module(target.architecture)) is not None:
            modules.append(own)
        return [module for module in modules if self.release.has(module)]

    def supports(self, target: ScanTarget) -> bool:
        """Whether the backend's list of architectures has the model's."""
        return target.architecture in self._map(target.backend)

    def architectures(self, backend: str) -> frozenset[str]:
        """Every architecture that a backend lists."""
        return frozenset(self._map(backend))

    def support_list(self, listed: Architectures) -> Place:
        """Where the backend's list of architectures stands."""
        lines = [node.lineno for node in _map_values(self.sources.tree(listed.module), listed.table)]
        return Place(listed.module, self.release.path_of(listed.module), min(lines, default=1))

    def model_module(self, architecture: str) -> str | None:
        """The module of the pytorch engine's own class for an architecture."""
        path = self._map(Backend.PYTORCH).get(architecture, "")
        module = f"{ROOT}.pytorch.models{path.rpartition('.')[0]}" if path.startswith(".") else path.rpartition(".")[0]
        return module if self.release.has(module) else None

    def model_class(self, architecture: str) -> EngineClass | None:
        """The pytorch engine's own class for an architecture."""
        module = self.model_module(architecture)
        name = self._map(Backend.PYTORCH).get(architecture, "").rpartition(".")[2]
        return EngineClass(module, name) if module is not None and name else None

    def mentions_quantisation(self, quantisation: str) -> bool:
        """Whether the pytorch engine's sources name a quantisation method at all."""
        word = re.compile(rf"['\"]{_QUANTISED.get(quantisation, quantisation)}['\"]".encode())
        prefix = f"{ROOT}.pytorch."
        modules = [module for module in self.release.modules if module.startswith(prefix)]
        self.release.fetch(modules)
        return any(word.search(self.release.source(module)) for module in modules)

    def quantisation_place(self) -> Place | None:
        """Where the pytorch engine's linear layers turn unknown quantisation methods away."""
        for module in sorted(self.release.modules):
            if module.startswith(_LINEAR):
                source = self.release.source(module)
                match = _TURNED_AWAY.search(source)
                if match is not None:
                    return Place(module, self.release.path_of(module), source.count(b"\n", 0, match.start()) + 1)
        return None

    def config_loaders(self, backend: str) -> list[EngineFunction]:
        """The functions that read the model's configuration, in the order in which a boot passes them."""
        found = [EngineFunction(f"{ROOT}.archs", "get_model_arch")]
        if backend == Backend.PYTORCH:
            own = self.sources.lookup(f"{ROOT}.pytorch.transformers", "config_from_pretrained")
            found += [own] if isinstance(own, EngineFunction) else []
        return found

    def vision_classes(self, architecture: str) -> list[EngineClass]:
        """Classes that may prepare images for an architecture, in the order in which they are asked."""
        return self._vision_classes.get(architecture, [])

    def registers(self, model_type: str) -> bool:
        """Whether the engine brings a configuration class of its own for a type that transformers may not know."""
        own = [module for module in self.release.modules if _OWN_CONFIGS.fullmatch(module)]
        return any(
            self.sources.class_constant(EngineClass(module, node.name), "model_type") == Constant(model_type)
            for module in own
            for node in self.sources.tree(module).body
            if isinstance(node, ast.ClassDef)
        )

    def config_builders(self) -> Iterator[tuple[EngineClass, EngineFunction, EngineFunction]]:
        """Classes that make the engine's configuration of a model: class, its condition, its build; default last."""
        found = []
        for module in sorted(self.release.modules):
            if module.startswith(f"{_CONFIG_BUILDERS}."):
                for node in self.sources.tree(module).body:
                    if isinstance(node, ast.ClassDef) and node.name != "AutoModelConfigBuilder":
                        cls = EngineClass(module, node.name)
                        condition = self.sources.method(cls, "condition")
                        build = self.sources.method(cls, "build")
                        if condition is not None and build is not None:
                            found.append((cls, condition, build))
        yield from sorted(found, key=lambda item: item[0].name.startswith("Default"))

    def _map(self, backend: str) -> dict[str, str]:
        """Architecture to what the backend's list says of it."""
        if backend not in self._maps:
            entries = self._maps[backend] = {}
            listed = ENGINES[backend].architectures
            if listed is not None:
                for node in _map_values(self.sources.tree(listed.module), listed.table):
                    entries |= _entries(node)
        return self._maps[backend]

    @cached_property
    def _vision_classes(self) -> dict[str, list[EngineClass]]:
        found: dict[str, list[EngineClass]] = {}
        prefix = f"{ROOT}.vl.model."
        for module in sorted(self.release.modules):
            if module.startswith(prefix):
                for node in self.sources.tree(module).body:
                    if isinstance(node, ast.ClassDef):
                        cls = EngineClass(module, node.name)
                        for architecture in self._architectures(cls, node):
                            found.setdefault(architecture, []).append(cls)
        return found

    def _architectures(self, cls: EngineClass, node: ast.ClassDef) -> set[str]:
        given = self.sources.class_constant(cls, "_arch")
        if isinstance(given, Constant) and given.value:
            return {given.value} if isinstance(given.value, str) else set(given.value)  # type: ignore[call-overload] # a constant is a text or a tuple of texts
        match = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "match"), None)
        return set() if match is None else set(strings(match))


def _map_values(tree: ast.Module, variable: str) -> Iterator[ast.expr]:
    """Everything that is assigned to, or put into, a table."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == variable:
                yield value
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="update"), args=[value]) if name == variable:
                yield value


def _entries(node: ast.expr) -> dict[str, str]:
    """Key to the last text of its value, of a dictionary written either way."""
    match node:
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {str(k.value): _last_text(v) for k, v in pairs if isinstance(k, ast.Constant)}
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            return {keyword.arg: _last_text(keyword.value) for keyword in keywords if keyword.arg}
    return {}


def _last_text(node: ast.expr) -> str:
    return next(reversed(list(strings(node))), "")
