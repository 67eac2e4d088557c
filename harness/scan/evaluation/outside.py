"""Everything outside the engine that an import or a run on the model's path asks about, as questions and answers.

What an engine release does under one transformers release depends on nothing but these answers. So the questions are
written down as they are asked, and another transformers release that answers all of them alike needs no new
evaluation: that is what makes thousands of pairs cheap.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar, cast

from harness.scan.evaluation.model_classes import keys_of_part, type_of
from harness.scan.evaluation.provider import Found, Lookup
from harness.scan.sources.conditions import Surroundings, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.scan.evaluation.model_classes import Checkpoint, ClassRef, ModelClasses
    from harness.scan.evaluation.provider import Provider
    from harness.scan.sources.facts import Test

Question: TypeAlias = tuple[Hashable, ...]
R = TypeVar("R")
PROVIDER = "transformers"
"""The package whose classes models are made of."""


class Outside(Protocol):
    """Whoever answers questions."""

    def ask(self, question: Question) -> Hashable:
        """The answer to one question."""
        ...


class Packages:
    """The packages around the engine, in given versions.

    Args:
        providers: top-level module to the release that names are looked up in.
        model_classes: the classes of transformers.
        surroundings: versions of everything, for tests in the engine's code.
        checkpoint: the model's configuration file; None when it is not known.
        absent: top-level modules that nothing installs.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        model_classes: ModelClasses,
        surroundings: Surroundings,
        checkpoint: Checkpoint = None,
        absent: frozenset[str] = frozenset(),
    ) -> None:
        self._providers = providers
        self._surroundings = surroundings
        self._checkpoint = checkpoint
        self._absent = absent
        self._model_classes = model_classes
        self._known: dict[Question, Hashable] = {}

    def ask(self, question: Question) -> Hashable:
        """The answer to one question; the same ones are asked of every engine release."""
        if question not in self._known:
            self._known[question] = self._find(question)
        return self._known[question]

    def _find(self, question: Question) -> Hashable:  # noqa: PLR0911 - one answer per kind of question
        kind = question[0]
        if kind == "name":
            _, module, name = cast("tuple[str, str, str]", question)
            return self._answer(module, name)
        if kind == "module":
            return self._answer(cast("str", question[1]), "")
        if kind == "test":
            return decide(cast("Test", question[1]), self._surroundings)
        model_classes = self._model_classes
        if kind == "has":
            _, ref, parts, attribute = cast("tuple[str, ClassRef, tuple[str, ...], str]", question)
            return model_classes.has(ref, attribute, reduce(keys_of_part, parts, self._checkpoint))
        if kind == "accepts":
            _, module, name, attribute, keyword = cast("tuple[str, str, str, str, str]", question)
            return model_classes.accepts(module, name, attribute, keyword)
        if kind == "part":
            _, ref, parts, attribute = cast("tuple[str, ClassRef, tuple[str, ...], str]", question)
            written = reduce(keys_of_part, parts, self._checkpoint) or {}
            own = type_of({"model_type": written.get(f"{attribute}.model_type")})
            return model_classes.part(ref, attribute, own)
        if kind == "generic":
            return model_classes.generic()
        model_type = cast("str", question[1])
        if kind == "knows":
            return model_classes.knows(model_type)
        return model_classes.config(model_type) if kind == "config" else model_classes.processor(model_type)

    def _answer(self, module: str, name: str) -> Lookup:
        root = module.split(".", maxsplit=1)[0]
        if root in self._absent:
            return Lookup(Found.NO, "ModuleNotFoundError")
        provider = self._providers.get(root)
        if provider is None:
            return Lookup(Found.PERHAPS)
        return provider.name(module, name) if name else provider.module(module)


@dataclass(slots=True)
class Recorder:
    """Asks another, and notes every question once, with its answer."""

    world: Outside
    noted: dict[Question, Hashable] = field(default_factory=dict)

    def ask(self, question: Question) -> Hashable:
        """The answer to one question."""
        if question not in self.noted:
            self.noted[question] = self.world.ask(question)
        return self.noted[question]


class Evaluations(Generic[R]):
    """Results of an evaluation by the answers it was given."""

    def __init__(self, evaluate: Callable[[Outside], R]) -> None:
        self._evaluate = evaluate
        self._known: list[tuple[list[tuple[Question, Hashable]], R]] = []

    def result(self, world: Outside) -> R:
        """The evaluation's result in a world, evaluated only when no earlier world answered alike."""
        for place, (noted, result) in enumerate(self._known):
            if all(world.ask(question) == answer for question, answer in noted):
                if place:
                    self._known.insert(0, self._known.pop(place))  # neighbours in version are asked next
                return result
        recorder = Recorder(world)
        result = self._evaluate(recorder)
        self._known.insert(0, (list(recorder.noted.items()), result))
        return result

    @property
    def distinct(self) -> int:
        """How many evaluations there were."""
        return len(self._known)


def module_there(outside: Outside, module: str) -> Lookup:
    """Whether a module is there."""
    return cast("Lookup", outside.ask(("module", module)))


def name_there(outside: Outside, module: str, name: str) -> Lookup:
    """Whether a name is there."""
    return cast("Lookup", outside.ask(("name", module, name)))


def holds(outside: Outside, test: Test) -> bool | None:
    """Whether a test holds; None when it cannot be told."""
    return cast("bool | None", outside.ask(("test", test)))
