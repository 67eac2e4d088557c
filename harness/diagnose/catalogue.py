"""The catalogue of known failures: loaded from ``signatures.yaml``, checked, ready to be asked.

The file is an ordered list. Where two signatures of one tier recognise the same statement, the earlier one wins.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.core.errors import HarnessError
from harness.core.verdict import Reason, Stage
from harness.diagnose.patterns import Pattern, PatternError, PatternSet, text_pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

CATALOGUE = Path(__file__).with_name("signatures.yaml")
COMPUTED = frozenset(
    {
        "boundary",
        "consumer",
        "generation",
        "install",
        "installed",
        "parties",
        "requirement",
        "torchvision",
        "triton",
        "wheel",
    }
)
"""What the classifier fills in beside a signature's own captures (see :mod:`harness.diagnose.placeholders`)."""


class CatalogueError(HarnessError, ValueError):
    """The catalogue is not usable; the message says where and why."""


class Tier(StrEnum):
    """How much a match means."""

    SPECIFIC = "specific"
    """One known failure with one cause."""
    GENERIC = "generic"
    """A class of failures: the family is sure, the remedy is a direction."""
    WEAK = "weak"
    """A common error whose family is likely; gives way to anything stronger."""
    FALLOUT = "fallout"
    """A consequence of something else; only counts when nothing else was said."""
    GUESS = "guess"
    """An error that nothing recognises, by its words or the place that raised it."""
    HINT = "hint"
    """Words in a description rather than in an error; only for short texts without any error."""
    PRECURSOR = "precursor"
    """A notice that is harmless alone, and the cause of a failure that follows it."""
    BENIGN = "benign"
    """Known noise: looks like trouble, is none."""


def _expression(text: str) -> str:
    text_pattern(text)
    return text


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError(f"{text!r} is not a version specifier such as '>=4.45'") from None
    return text


Expression = Annotated[str, AfterValidator(_expression)]
Expressions = Annotated[tuple[Expression, ...], BeforeValidator(_as_list)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Specifier = Annotated[str, AfterValidator(_specifier)]


class When(BaseModel):
    """What has to hold; every key that is given must, and within a list one is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Expressions = ()
    """Searched in ``Type: message`` of an exception, or in a line, on one line with single blanks."""
    type: Expressions = ()
    """Must match the whole exception type, with or without its module; a line without a type never does."""
    frames: Expressions = ()
    """Searched in each frame, written ``file:function: source``; an exception without frames never matches."""
    raised_in: Expressions = ()
    """Searched in the innermost frame that belongs to a package; an exception without one never matches."""
    no_frames: Expressions = ()
    """Must occur in no frame."""
    context: Expressions = ()
    """Searched in everything that was said, and in the names of the packages if they are known."""
    unless: Expressions = ()
    """Must not occur in the statement itself."""
    absent: Expressions = ()
    """Must not occur in anything that was said."""
    project: Texts = ()
    """The failure happened in this package: it has a frame, or, without frames, the log or the stack mentions it."""
    packages: dict[str, Specifier] = {}
    """Installed versions; a package that is not known to be installed in another version counts as a match."""
    backend: Texts = ()
    platform: Texts = ()
    """Words searched in the machine's facts, and in the log when the machine is not known: ``wsl``, ``win32``."""


class Signature(BaseModel):
    """A known failure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    family: Reason | None = None
    """Only benign entries have none."""
    tier: Tier = Tier.SPECIFIC
    stages: tuple[Stage, ...] = ()
    """The stages it occurs in; elsewhere it still matches, with less confidence. Empty: anywhere."""
    when: When
    detail: str = ""
    """The verdict's detail: placeholders over captures, e.g. ``{provider}.{symbol}``."""
    title: str
    cause: str
    remedy: str = ""
    affected: str = ""
    """Which versions, in words."""
    source: str
    """A public address, or ``own run``."""
    defaults: dict[str, str] = {}
    """What a placeholder says when its capture took no part in the match."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.family is None) != (self.tier is Tier.BENIGN):
            raise ValueError("a signature needs a family, and a benign one has none")
        if not self.when.text and not (self.tier is Tier.GUESS and self.when.raised_in):
            raise ValueError("a signature needs when.text; only a guess may go by when.raised_in alone")
        if self.tier is not Tier.BENIGN and not self.remedy:
            raise ValueError("a signature needs a remedy")
        known = self.captures | COMPUTED | set(self.defaults)
        for name in ("detail", "title", "cause", "remedy"):
            unknown = placeholders(getattr(self, name)) - known
            if unknown:
                raise ValueError(f"{name} uses {{{min(unknown)}}}, which no pattern captures")
        return self

    @property
    def captures(self) -> set[str]:
        """Names of all groups that its patterns capture."""
        expressions = (*self.when.text, *self.when.context, *self.when.frames, *self.when.raised_in)
        return {name for text in expressions for name in _group_names(text)}


def placeholders(template: str) -> set[str]:
    """Names in braces in a template.

    Raises:
        ValueError: the braces do not pair up, or something other than a name stands in them.
    """
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    if bad := [name for name in names if not name.isidentifier()]:
        raise ValueError(f"{{{bad[0]}}} is not a placeholder; double the braces to write them")
    return names


def _group_names(expression: str) -> list[str]:
    return [part.split(">", 1)[0] for part in expression.split("(?P<")[1:]]


@dataclass(frozen=True)
class Compiled:
    """A signature whose expressions are compiled when they are first asked for."""

    signature: Signature
    order: int

    @cached_property
    def text(self) -> tuple[Pattern[str], ...]:
        """Of the statement."""
        return _patterns(self.signature.when.text)

    @cached_property
    def type(self) -> tuple[Pattern[str], ...]:
        """Of the exception's type."""
        return _patterns(self.signature.when.type)

    @cached_property
    def frames(self) -> tuple[Pattern[str], ...]:
        """Of any frame."""
        return _patterns(self.signature.when.frames)

    @cached_property
    def raised_in(self) -> tuple[Pattern[str], ...]:
        """Of the innermost frame in a package."""
        return _patterns(self.signature.when.raised_in)

    @cached_property
    def no_frames(self) -> tuple[Pattern[str], ...]:
        """Forbidden in every frame."""
        return _patterns(self.signature.when.no_frames)

    @cached_property
    def context(self) -> tuple[Pattern[str], ...]:
        """Of everything that was said."""
        return _patterns(self.signature.when.context)

    @cached_property
    def unless(self) -> tuple[Pattern[str], ...]:
        """Forbidden in the statement."""
        return _patterns(self.signature.when.unless)

    @cached_property
    def absent(self) -> tuple[Pattern[str], ...]:
        """Forbidden anywhere."""
        return _patterns(self.signature.when.absent)

    @cached_property
    def packages(self) -> dict[str, SpecifierSet]:
        """Allowed versions by normalised package name."""
        allowed = self.signature.when.packages
        return {canonicalize_name(name): SpecifierSet(text, prereleases=True) for name, text in allowed.items()}


class Catalogue:
    """Signatures in order, and a fast answer to which of them a text may be."""

    def __init__(self, signatures: Sequence[Signature]) -> None:
        """Compile ``signatures``.

        Raises:
            CatalogueError: two have the same id.
        """
        ids = [signature.id for signature in signatures]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise CatalogueError(f"signature {min(twice)!r} is defined twice; rename one of them")
        self.signatures = tuple(signatures)
        self._compiled = [Compiled(signature, order) for order, signature in enumerate(signatures)]
        self.guesses = tuple(c for c in self._compiled if c.signature.tier is Tier.GUESS)
        asked = [c for c in self._compiled if c.signature.tier is not Tier.GUESS]
        self._owner = [c for c in asked for _ in c.signature.when.text]
        self._expressions = PatternSet([text for c in asked for text in c.signature.when.text])

    def __getitem__(self, name: str) -> Signature:
        """The signature with an id.

        Raises:
            KeyError: there is none.
        """
        for signature in self.signatures:
            if signature.id == name:
                return signature
        raise KeyError(name)

    def candidates(self, text: str) -> list[Compiled]:
        """Signatures one of whose text patterns occurs in ``text``, in catalogue order."""
        found: list[Compiled] = []
        for index in self._expressions.indices(text):
            owner = self._owner[index]
            if not found or found[-1] is not owner:
                found.append(owner)
        return found

    def without(self, names: set[str]) -> Catalogue:
        """The catalogue with some signatures left out."""
        return Catalogue([signature for signature in self.signatures if signature.id not in names])


def _patterns(expressions: Sequence[str]) -> tuple[Pattern[str], ...]:
    return tuple(text_pattern(text) for text in expressions)


def load(path: Path = CATALOGUE) -> Catalogue:
    """Read and check a catalogue file.

    Raises:
        CatalogueError: the file cannot be read, is not YAML, or an entry is wrong; the message names the entry.
    """
    try:
        document = YAML(typ="safe", pure=False).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"cannot read {path}: {error.strerror}") from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise CatalogueError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("signatures"), list):
        raise CatalogueError(f"{path} must hold a list under the key 'signatures'")
    return Catalogue([_signature(entry, number, path) for number, entry in enumerate(document["signatures"], 1)])


def _signature(entry: object, number: int, path: Path) -> Signature:
    name = entry.get("id", f"number {number}") if isinstance(entry, dict) else f"number {number}"
    try:
        return Signature.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "entry"
        raise CatalogueError(f"{path}: signature {name}: {where}: {first['msg']}") from error
    except PatternError as error:
        raise CatalogueError(f"{path}: signature {name}: {error}") from error


@cache
def shipped() -> Catalogue:
    """The catalogue that comes with the harness, loaded once.

    Raises:
        CatalogueError: it is broken.
    """
    return load()
