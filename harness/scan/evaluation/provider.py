"""What ``from package.module import name`` would give in one release, answered from its sources.

A module's namespace is what its statements bind, what it star-imports, what it serves on demand (a lazy module's
table, in each of its generations), what its ``__getattr__`` knows, and its submodules. Names that come from elsewhere
in the package are followed to where they are defined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from harness.index.archive import COMPILED
from harness.scan.sources.conditions import Surroundings, decide
from harness.scan.sources.exports import ATTACHED, Exported, read_attached
from harness.scan.sources.facts import (
    Bind,
    Branch,
    Exports,
    FromImport,
    Import,
    LazyModule,
    LazyNames,
    NameHook,
    OpenNames,
    Raise,
    Try,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.scan.sources.facts import Step
    from harness.scan.sources.release import Release

AVAILABLE = {
    "is_torch_available": True,
    "is_torchvision_available": True,
    "is_tokenizers_available": True,
    "is_sentencepiece_available": True,
    "is_safetensors_available": True,
    "is_vision_available": True,
    "is_tf_available": False,
    "is_flax_available": False,
    "is_keras_nlp_available": False,
    "is_tensorflow_text_available": False,
}
"""Packages of every stack of the engine, and frameworks that no stack has. Others are unknown."""
_FAST = "_fast"
_ENDINGS = re.compile(rb'name\.endswith\("(\w+Fast)"\)')
_NOT_AVAILABLE = "OptionalDependencyNotAvailable"


class Found(StrEnum):
    """How sure the answer is."""

    YES = "yes"
    NO = "no"
    PERHAPS = "perhaps"
    """The module fills its namespace in a way that cannot be read off; counts as there."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Whether a name is there, and what stands in its place."""

    found: Found
    error: str = ""
    """The exception an import raises: ``ImportError`` or, for a missing module, ``ModuleNotFoundError``."""
    where: str = ""
    """The module that defines it, or that it is; empty when it is not made in this package."""
    name: str = ""
    """Its name where it is defined; empty for a module."""

    def __bool__(self) -> bool:
        return self.found is not Found.NO


_HERE = Lookup(Found.YES)


@dataclass(slots=True)
class _Namespace:
    """What a module's statements make of it."""

    bound: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    perhaps: set[str] = field(default_factory=set)
    """Bound only where a test holds that cannot be decided: beside a package that need not be there."""
    """Name to the module and name it comes from within the package, or None when it is made here."""
    stars: list[str] = field(default_factory=list)
    exports: list[str] | None = None
    lazy: dict[str, list[str]] = field(default_factory=dict)
    """Name to the submodules (relative to the module) that may serve it."""
    served: list[str] = field(default_factory=list)
    """Submodules (relative) all of whose public names are served."""
    is_lazy: bool = False
    scans: list[tuple[str, str]] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    fast_aliases: bool = False
    hooks: set[str] = field(default_factory=set)
    hooked: bool = False
    open: bool = False


class Provider:
    """Answers about one release under given surroundings.

    Args:
        release: which.
        surroundings: what tests in its code are decided against.
        root: its top-level module; None: it is called like the package.
    """

    def __init__(self, release: Release, surroundings: Surroundings, root: str | None = None) -> None:
        self.release = release
        self.root = root or release.package.replace("-", "_")
        self._surroundings = surroundings
        self._namespaces: dict[str, _Namespace] = {}
        self._answers: dict[tuple[str, str], Lookup] = {}
        self._asking: set[tuple[str, str]] = set()

    def module(self, module: str) -> Lookup:
        """Whether ``import module`` finds one, by its own name or by a legacy alias."""
        if self._target(module) is not None:
            return _HERE
        if self._inside_compiled(module):
            return Lookup(Found.PERHAPS)
        return Lookup(Found.NO, "ModuleNotFoundError")

    def name(self, module: str, name: str) -> Lookup:
        """Whether ``from module import name`` works."""
        key = (module, name)
        if key not in self._answers:
            if key in self._asking:
                return Lookup(Found.PERHAPS)  # two modules that take a name from one another
            self._asking.add(key)
            try:
                self._answers[key] = self._ask(module, name)
            finally:
                self._asking.discard(key)
        return self._answers[key]

    def definition(self, module: str, name: str) -> tuple[str, str] | None:
        """The module that defines a name, and the name there; None when it is not from this package."""
        answer = self.name(module, name)
        return (answer.where, answer.name) if answer and answer.name else None

    def _ask(self, module: str, name: str) -> Lookup:  # noqa: PLR0911 - one answer per place a name can be
        target = self._target(module)
        if target is None:
            return self.module(module)
        if target != module:
            answer = self.name(target, name)
            return answer if answer or not name.endswith("Fast") else self.name(target, name.removesuffix("Fast"))
        if name == "*":
            return _HERE
        space = self._namespace(module)
        found = self._bound(module, space, name) or self._on_demand(module, space, name)
        if found:
            return found
        if self.release.has(f"{module}.{name}") or (f"{module}.{name}" in self._module_aliases):
            return Lookup(Found.YES, where=f"{module}.{name}")
        if name in space.hooks:
            return _HERE
        if space.open or (space.hooked and not space.hooks):
            return Lookup(Found.PERHAPS)
        return Lookup(Found.NO, "ImportError")

    def _bound(self, module: str, space: _Namespace, name: str) -> Lookup | None:
        if name in space.bound:
            source = space.bound[name]
            if source is None:
                sure = Found.PERHAPS if name in space.perhaps else Found.YES
                return Lookup(sure, where=module, name=name)
            answer = self.name(*source) if source[1] else self.module(source[0])
            return answer or None
        if name in ("__version__", "__file__", "__name__", "__path__", "__doc__", "__spec__", "__dict__"):
            return _HERE
        for star in space.stars:
            if star.split(".")[0] != self.root:
                return Lookup(Found.PERHAPS)
            if name in self.public(star) and (answer := self.name(star, name)):
                return answer
        return None

    def _on_demand(self, module: str, space: _Namespace, name: str) -> Lookup | None:
        if not space.is_lazy:
            return None
        for target in self._listed(module, space, name):
            if answer := self.name(target, name):
                return answer
        for ending in self._fallback_endings:
            if name.endswith(ending):
                return self.name(module, name.removesuffix("Fast")) or None
        return None

    def _listed(self, module: str, space: _Namespace, name: str) -> Iterator[str]:
        """The modules that a lazy module's table names for ``name``."""
        for relative in space.lazy.get(name, ()):
            yield f"{module}.{relative}"
        for relative in space.served:
            yield f"{module}.{relative}"
        for folder, _ in space.scans:
            base = f"{module}.{folder}" if folder else module
            yield from self._exported.modules(base, name)

    def public(self, module: str) -> set[str]:
        """What ``from module import *`` takes: ``__all__``, or every name without an underscore."""
        target = self._target(module)
        if target is None:
            return set()
        space = self._namespace(target)
        if space.exports is not None and not space.is_lazy:
            return set(space.exports)
        names = {name for name in (*space.bound, *space.lazy) if not name.startswith("_")}
        for star in space.stars:
            if star != module:
                names |= self.public(star)
        return names

    def _target(self, module: str) -> str | None:
        """The module that a name stands for, legacy aliases followed; None when there is none."""
        if self.release.has(module):
            return module
        if module == self.root or not module.startswith(f"{self.root}."):
            return None
        alias = self._module_aliases.get(module)
        if alias is not None:
            return alias
        parent, _, last = module.rpartition(".")
        if self._root_space.fast_aliases and last.startswith("image_processing_") and last.endswith(_FAST):
            plain = f"{parent}.{last.removesuffix(_FAST)}"
            return plain if self.release.has(plain) else None
        return None

    def _inside_compiled(self, module: str) -> bool:
        """Whether the module would be one that a compiled module makes."""
        parts = module.split(".")
        parents = (".".join(parts[:end]) for end in range(1, len(parts)))
        return any(self.release.modules.get(parent, "").endswith(COMPILED) for parent in parents)

    @cached_property
    def _root_space(self) -> _Namespace:
        return self._namespace(self.root)

    @cached_property
    def _module_aliases(self) -> dict[str, str]:
        return {f"{self.root}.{old}": f"{self.root}.{new}" for old, new in self._root_space.aliases.items()}

    @cached_property
    def _exported(self) -> Exported:
        return Exported(self.release)

    @cached_property
    def _fallback_endings(self) -> tuple[str, ...]:
        """Endings of names that the lazy module of this release also serves without ``Fast``."""
        maker = f"{self.root}.utils.import_utils"
        if maker not in self.release.modules or not self._root_space.scans:
            return ()
        return tuple(sorted({match.decode() for match in _ENDINGS.findall(self.release.source(maker))}))

    def _namespace(self, module: str) -> _Namespace:
        if module not in self._namespaces:
            space = self._namespaces[module] = _Namespace()
            facts = self.release.facts(module)
            space.open = facts.broken is not None
            self._fill(module, space, facts.steps)
            if "__getattr__" in space.bound:
                self._attach(module, space)
        return self._namespaces[module]

    def _attach(self, module: str, space: _Namespace) -> None:
        """``__getattr__, __dir__, __all__ = attach(…)``: the module serves its submodules' names on demand."""
        served = self.release.reading(module, ATTACHED, read_attached)
        space.is_lazy = space.is_lazy or bool(served)
        for submodule, names in served.items():
            for name in names:
                space.lazy.setdefault(name, []).append(submodule)

    def _fill(  # noqa: C901, PLR0912 - one case per kind of step
        self, module: str, space: _Namespace, steps: Iterable[Step]
    ) -> bool:
        """Execute steps; False when an exception that a clause may catch certainly ends them."""
        for step in steps:
            match step:
                case Bind(names):
                    space.bound.update(dict.fromkeys(names))
                case Import(_, target, alias):
                    self._bind_import(space, target, alias)
                case FromImport():
                    self._bind_from(module, space, step)
                case Exports(names):
                    space.exports = [*(space.exports or []), *names]
                case LazyNames(target, names, everything):
                    for name in names:
                        space.lazy.setdefault(name, []).append(target)
                    if everything:
                        space.served.append(target)
                case LazyModule(scans, aliases, fast):
                    space.is_lazy = True
                    space.scans.extend(scans)
                    space.aliases.update(aliases)
                    space.fast_aliases = space.fast_aliases or fast
                case NameHook(names):
                    space.hooked = True
                    space.hooks.update(names)
                case OpenNames():
                    space.open = True
                case Raise(_, error):
                    return error != _NOT_AVAILABLE
                case Branch():
                    if not self._branch(module, space, step):
                        return False
                case Try():
                    self._try(module, space, step)
        return True

    def _branch(self, module: str, space: _Namespace, step: Branch) -> bool:
        value = decide(step.test, self._surroundings)
        if value is None:
            before = set(space.bound)
            either, other = (set(_bound_by(part)) for part in (step.steps, step.otherwise))
            self._fill(module, space, step.steps)
            self._fill(module, space, step.otherwise)
            space.perhaps |= (either ^ other) - before
            return True
        return self._fill(module, space, step.steps if value else step.otherwise)

    def _try(self, module: str, space: _Namespace, step: Try) -> None:
        """A body that certainly raises runs its clause; otherwise any of the clauses may run, and all are taken."""
        ended = not self._fill(module, space, step.steps)
        decided = _raises_by_test(step.steps, self._surroundings)
        if ended or decided is not False:
            for handler in step.handlers:
                self._fill(module, space, handler.steps)
        if not ended:
            self._fill(module, space, step.otherwise)
        self._fill(module, space, step.finally_)

    def _bind_import(self, space: _Namespace, target: str, alias: str | None) -> None:
        if alias == "":
            return
        name = alias or target.split(".", maxsplit=1)[0]
        inside = target.split(".", maxsplit=1)[0] == self.root
        space.bound[name] = (target if alias else target.split(".", maxsplit=1)[0], "") if inside else None

    def _bind_from(self, module: str, space: _Namespace, step: FromImport) -> None:
        target = absolute(module, self.release.is_package(module), step)
        inside = target.split(".")[0] == self.root
        for name, alias in step.names:
            if name == "*":
                space.stars.append(target)
            else:
                space.bound[alias] = (target, name) if inside and (target, name) != (module, alias) else None


def absolute(module: str, is_package: bool, step: FromImport) -> str:
    """The module a ``from`` import names, dots resolved."""
    if step.level == 0:
        return step.module
    parts = module.split(".")
    keep = len(parts) - step.level + (1 if is_package else 0)
    base = ".".join(parts[: max(keep, 0)])
    return f"{base}.{step.module}" if step.module and base else base or step.module


def _bound_by(steps: Iterable[Step]) -> Iterator[str]:
    """Names that steps bind themselves or take from elsewhere, whatever stands in their own branches left out."""
    for step in steps:
        if isinstance(step, Bind):
            yield from step.names
        elif isinstance(step, FromImport):
            yield from (alias for _, alias in step.names)


def _raises_by_test(steps: Iterable[Step], surroundings: Surroundings) -> bool | None:
    """Whether a ``try`` body that consists of a test and a raise raises; None when that cannot be told."""
    body = list(steps)
    if len(body) == 1 and isinstance(body[0], Branch):
        branch = body[0]
        if len(branch.steps) == 1 and isinstance(branch.steps[0], Raise) and not branch.otherwise:
            return decide(branch.test, surroundings)
    return None
