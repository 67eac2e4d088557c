"""Every name a package imports from another: where, and how guarded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.scan.evaluation.importing import catches
from harness.scan.sources.facts import Attribute, Branch, FromImport, Import, Leave, Raise, Try

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.scan.sources.facts import ModuleFacts, Step, Test
    from harness.scan.sources.release import Release


class Guard(StrEnum):
    """What stands between an import and its failure."""

    NONE = "none"
    TRY = "try"
    VERSION = "version"
    CONDITION = "condition"
    TYPING = "typing"
    """Never executed: only for type checkers."""


@dataclass(frozen=True, slots=True)
class Need:
    """One imported name."""

    module: str
    """Imported from, or imported itself."""
    name: str
    """Empty when the module itself is imported."""
    consumer: str
    file: str
    line: int
    function: str
    """Empty at the module's own level."""
    guard: Guard

    @property
    def symbol(self) -> str:
        """``transformers.processing_utils.ImagesKwargs``."""
        return f"{self.module}.{self.name}" if self.name else self.module


def needs_of(release: Release, provider: str) -> list[Need]:
    """Everything a release imports from the package ``provider``, in the order of its files and lines.

    Raises:
        IndexUnavailable: its sources cannot be fetched.
    """
    release.fetch(release.modules)
    found: list[Need] = []
    for module in sorted(release.modules):
        found.extend(needs_in(release.facts(module), module, release.path_of(module), provider))
    return found


def needs_in(facts: ModuleFacts, module: str, path: str, provider: str) -> Iterator[Need]:
    """Everything one file asks of the package ``provider``."""
    levels = [("", facts.steps), *((function.name, function.steps) for function in facts.functions)]
    for function, steps in levels:
        for target, name, line, guard in _imports(steps, Guard.NONE):
            if target.split(".")[0] == provider:
                yield Need(target, name, module, path, line, function, guard)


def _imports(steps: Iterable[Step], guard: Guard) -> Iterator[tuple[str, str, int, Guard]]:
    for step in steps:
        match step:
            case Import(line, target, _):
                yield target, "", line, guard
            case Attribute(line, target, name):
                yield target, name, line, guard
            case FromImport(line, 0, target, names):
                for name, _ in names:
                    yield target, "" if name == "*" else name, line, guard
            case Branch(_, test, body, otherwise):
                inner = _stricter(guard, _guard_of(test))
                yield from _imports(body, inner)
                yield from _imports(otherwise, guard if inner is Guard.TYPING else inner)
            case Try():
                yield from _imports(step.steps, _stricter(guard, Guard.TRY) if _absorbs(step) else guard)
                for handler in step.handlers:
                    yield from _imports(handler.steps, _stricter(guard, Guard.TRY))
                yield from _imports(step.otherwise, guard)
                yield from _imports(step.finally_, guard)
            case Raise() | Leave():
                pass


def _absorbs(step: Try) -> bool:
    """Whether a failing import ends in a clause that does not raise again."""
    handler = next((h for h in step.handlers if catches(h.catches, "ImportError")), None)
    return handler is not None and not any(isinstance(inner, Raise) for inner in handler.steps)


def _guard_of(test: Test) -> Guard:
    if test[0] == "typing":
        return Guard.TYPING
    return Guard.VERSION if "version" in _kinds(test) else Guard.CONDITION


def _kinds(test: Test) -> set[str]:
    kinds = {str(test[0])}
    for part in test[1:]:
        if isinstance(part, tuple):
            kinds |= _kinds(part)
    return kinds


def _stricter(outer: Guard, inner: Guard) -> Guard:
    return inner if outer is Guard.NONE or inner is Guard.TYPING else outer
