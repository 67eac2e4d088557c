"""What happens when a module is imported, told from sources alone.

Statements are executed in their order as far as imports go: packages before their modules, ``try`` clauses, tests
that can be decided, modules that import one another in a circle. Python would stop at the first import that fails;
here execution goes on behind it, so that everything that is missing is known at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.scan.evaluation.failures import Failure, Topic
from harness.scan.evaluation.outside import holds, module_there, name_there
from harness.scan.evaluation.provider import Found, Lookup, Provider, absolute
from harness.scan.sources.conditions import Surroundings
from harness.scan.sources.facts import Attribute, Branch, FromImport, Import, ImportSiblings, Leave, Raise, Try

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.scan.evaluation.outside import Outside
    from harness.scan.sources.facts import Handler, Step
    from harness.scan.sources.release import Release

_PARENTS = {
    "ModuleNotFoundError": {"ModuleNotFoundError", "ImportError", "Exception", "BaseException"},
    "ImportError": {"ImportError", "Exception", "BaseException"},
    "KeyError": {"KeyError", "LookupError", "Exception", "BaseException"},
}


class Consumers:
    """Releases whose modules are followed, with what each of their own modules binds.

    Args:
        releases: top-level module name to release.
    """

    def __init__(self, releases: Mapping[str, Release]) -> None:
        self._releases = releases
        self._own = {root: Provider(release, Surroundings()) for root, release in releases.items()}

    def release(self, module: str) -> Release | None:
        """The release a module belongs to."""
        return self._releases.get(module.split(".", maxsplit=1)[0])

    def own(self, module: str) -> Provider | None:
        """Answers about names in one of these releases."""
        return self._own.get(module.split(".", maxsplit=1)[0])


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What importing one module meant."""

    raised: tuple[Failure, ...] = ()
    """What ends the import; the first is what Python would report."""
    caught: tuple[Failure, ...] = ()
    """What fails but is caught, here or in a module imported from here."""


@dataclass(slots=True)
class Flow:
    """What happened so far in a block."""

    raised: dict[Failure, None] = field(default_factory=dict)
    caught: dict[Failure, None] = field(default_factory=dict)
    left: bool = False

    def add(self, outcome: ImportResult) -> None:
        """Take over what an import meant."""
        self.raised.update(dict.fromkeys(outcome.raised))
        self.caught.update(dict.fromkeys(outcome.caught))

    @property
    def outcome(self) -> ImportResult:
        """The block's meaning."""
        return ImportResult(tuple(self.raised), tuple(self.caught))


class Importer:
    """Imports modules of some releases, asking about everything else."""

    def __init__(self, consumers: Consumers, outside: Outside) -> None:
        self._consumers = consumers
        self._outside = outside
        self._done: dict[str, ImportResult] = {}
        self.visited: dict[str, str] = {}
        """Every module that was imported, with the module that imported it first."""

    def load(self, module: str, importer: str = "") -> ImportResult:
        """Import a module, its packages first."""
        flow = Flow()
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            outcome = self._load_one(".".join(parts[:end]), importer)
            flow.add(outcome)
            if outcome.raised:
                break  # a module of a package that fails is not reached
        return flow.outcome

    def chain(self, module: str) -> tuple[str, ...]:
        """The modules that led to this one, the entry first."""
        path: list[str] = []
        while module and module not in path:
            path.append(module)
            module = self.visited.get(module, "")
        return tuple(reversed(path))

    def run(self, module: str, steps: Iterable[Step], flow: Flow, function: str = "") -> None:
        """Execute steps of a module, or of a function in it."""
        for step in steps:
            if flow.left:
                return
            match step:
                case Import(line, target, _):
                    self._import(module, target, line, flow, function)
                case FromImport():
                    self._from(module, step, flow, function)
                case Attribute(line, target, name):
                    self._attribute(module, target, name, line, flow, function)
                case ImportSiblings():
                    self._siblings(module, flow)
                case Branch():
                    self._branch(module, step, flow, function)
                case Try():
                    self._try(module, step, flow, function)
                case Leave():
                    flow.left = True

    def _load_one(self, module: str, importer: str) -> ImportResult:
        if module in self._done:
            return self._done[module]
        release = self._consumers.release(module)
        if release is None or not release.has(module):
            return ImportResult()
        self.visited.setdefault(module, importer)
        self._done[module] = ImportResult()  # a module in the middle of its import counts as there
        flow = Flow()
        self.run(module, release.facts(module).steps, flow)
        self._done[module] = flow.outcome
        return self._done[module]

    def _branch(self, module: str, step: Branch, flow: Flow, function: str) -> None:
        """A test that cannot be decided: what fails in either part may fail, but need not."""
        value = None if step.test == ("unknown",) else holds(self._outside, step.test)
        if value is not None:
            self.run(module, step.steps if value else step.otherwise, flow, function)
            return
        for part in (step.steps, step.otherwise):
            inner = Flow()
            self.run(module, part, inner, function)
            for failure in inner.raised:
                flow.caught[replace(failure, guarded=failure.guarded or "if")] = None
            flow.caught.update(inner.caught)

    def _try(self, module: str, step: Try, flow: Flow, function: str) -> None:
        body = Flow()
        self.run(module, step.steps, body, function)
        flow.caught.update(body.caught)
        if not body.raised:
            self.run(module, step.otherwise, flow, function)
            flow.left = flow.left or body.left
        else:
            self._handle(module, step.handlers, body, flow, function)
        self.run(module, step.finally_, flow, function)

    def _handle(self, module: str, handlers: tuple[Handler, ...], body: Flow, flow: Flow, function: str) -> None:
        first = next(iter(body.raised))
        handler = next((h for h in handlers if catches(h.catches, first.error)), None)
        if handler is None:
            flow.raised.update(body.raised)
            return
        again = next((inner for inner in handler.steps if isinstance(inner, Raise)), None)
        for failure in body.raised:
            if again is not None:
                flow.raised[replace(failure, error=again.error or first.error)] = None
            else:
                flow.caught[replace(failure, guarded="try")] = None
        if again is None:
            self.run(module, handler.steps, flow, function)

    def _siblings(self, module: str, flow: Flow) -> None:
        release = self._consumers.release(module)
        prefix = f"{module}."
        for name in sorted(release.modules) if release is not None else ():
            if name.startswith(prefix) and "." not in name[len(prefix) :]:
                flow.add(self.load(name, module))

    def _import(self, module: str, target: str, line: int, flow: Flow, function: str) -> None:
        answer = self._module(target)
        if answer:
            flow.add(self.load(target, module))
        else:
            flow.raised[self.failure(module, line, function, target, "", answer)] = None

    def _from(self, module: str, step: FromImport, flow: Flow, function: str) -> None:
        release = self._consumers.release(module)
        target = absolute(module, release is not None and release.is_package(module), step)
        answer = self._module(target)
        if not answer:
            for name, _ in step.names:
                flow.raised[self.failure(module, step.line, function, target, name, answer)] = None
            return
        outcome = self.load(target, module)
        flow.add(outcome)
        if outcome.raised:
            return
        for name, _ in step.names:
            found = self._name(target, name)
            if not found:
                flow.raised[self.failure(module, step.line, function, target, name, found)] = None
            elif found.found is Found.YES and found.where == f"{target}.{name}" and not found.name:
                flow.add(self.load(found.where, module))  # the name is a module of the package

    def _attribute(  # noqa: PLR0913, PLR0917 - the parts of a failure
        self, module: str, target: str, name: str, line: int, flow: Flow, function: str
    ) -> None:
        """An attribute of an imported module; that the module itself is missing is told where it is imported."""
        if self._module(target) and not (found := self._name(target, name)):
            missing = self.failure(module, line, function, target, name, found)
            flow.raised[replace(missing, error="AttributeError")] = None

    def _module(self, target: str) -> Lookup:
        own = self._consumers.own(target)
        return own.module(target) if own is not None else module_there(self._outside, target)

    def _name(self, target: str, name: str) -> Lookup:
        own = self._consumers.own(target)
        return own.name(target, name) if own is not None else name_there(self._outside, target, name)

    def failure(  # noqa: PLR0913, PLR0917 - the parts of a failure
        self, module: str, line: int, function: str, target: str, name: str, answer: Lookup
    ) -> Failure:
        """The failure that an import in a module does not find what it asks for."""
        release = self._consumers.release(module)
        return Failure(
            kind=Topic.MODULE if answer.error == "ModuleNotFoundError" else Topic.NAME,
            module=target,
            name=name,
            error=answer.error,
            consumer=module,
            file=module if release is None else release.path_of(module),
            line=line,
            function=function,
            chain=self.chain(module),
        )


def catches(names: tuple[str, ...], error: str) -> bool:
    """Whether an ``except`` clause with these names catches an exception of this name; no names catch everything."""
    return not names or bool(_PARENTS.get(error, {error, "Exception", "BaseException"}) & set(names))
