"""The names that failures lack, and the versions of their package that have them all."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol

from harness.core.presence import Presence
from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CLASSES = ("class", "processor", "tokenizer", "config", "owner")
_ATTRIBUTES = ("attribute", "symbol", "field")
_ALIKE = 0.85
_FROM_HUB = "transformers_modules"
"""Where transformers keeps Python files that came with checkpoints: no package has them."""
_HOMES = (
    "transformers", "peft", "accelerate", "trl", "vllm", "lmdeploy", "huggingface_hub", "diffusers", "datasets",
    "tokenizers", "qwen_vl_utils", "torch",
)  # fmt: skip
"""Packages whose classes and functions messages name without their module; where no traceback says whose they are."""
_DEEP = 4
"""So many packages are searched in depth, which takes seconds for each."""
_REFUSED = text_pattern(
    r"(?:^|[\s'\"`(])(?P<callee>[A-Za-z_]\w*(?:\.\w+)*)\(\) got an unexpected keyword argument \W?(?P<argument>\w+)"
)
_ANYWHERE = frozenset({"forward", "generate", "main", "wrapper", "inner", "wrapped", "from_pretrained", "load", "run"})
"""Functions of many modules: their names alone do not tell which is meant."""


class Lookup(Protocol):
    """Knows the names of packages."""

    def of(self, name: str) -> Presence | None:
        """In which versions a dotted name is there; None: not known."""

    def beside(self, name: str) -> Iterable[str]:
        """Names that are where this one is not, in the newest release."""

    def home(self, name: str, packages: Sequence[str], *, deep: bool) -> str:
        """The dotted name of a class or function of which only the last part is known; empty: not found."""


class InTurn:
    """Asks one after the other until one knows."""

    def __init__(self, *lookups: Lookup) -> None:
        self._lookups = lookups

    def of(self, name: str) -> Presence | None:
        """In which versions a dotted name is there; None: not known."""
        return next((found for each in self._lookups if (found := each.of(name)) is not None), None)

    def beside(self, name: str) -> Iterable[str]:
        """Names that are where this one is not, in the newest release."""
        return {near for each in self._lookups for near in each.beside(name)}

    def home(self, name: str, packages: Sequence[str], *, deep: bool) -> str:
        """The dotted name of a class or function of which only the last part is known; empty: not found."""
        return next((found for each in self._lookups if (found := each.home(name, packages, deep=deep))), "")


def missing_from(
    text: str, captures: Mapping[str, str], packages: Sequence[str], lookup: Lookup, *, names: bool
) -> str | None:
    """The dotted name that a failure says is not there.

    Args:
        text: what was said.
        captures: what its signature captured.
        packages: whose code was running, the innermost first.
        lookup: knows where classes and functions are.
        names: whether the failure is about names at all, and not only about an argument.
    """
    refused = _REFUSED.search(text)
    if refused is None:
        owner, last = "", missing_name(captures) if names else None
    else:
        owner, last = _callee(refused.group("callee") or "", refused.group("argument") or "")
    if not last or not last.startswith("."):
        return last
    near = tuple(dict.fromkeys([*packages, *_HOMES]))
    first = owner or last.split(".")[1]
    home = lookup.home(first, near, deep=False)
    if not home and refused is not None:
        home = lookup.home(first, (*near[:_DEEP], "torch"), deep=True)
    return f"{home}{last.removeprefix(f'.{first}')}" if home else None


def _callee(callee: str, argument: str) -> tuple[str, str]:
    """The class or function that refused an argument, and the argument as a name of it."""
    parts = [part for part in callee.split(".") if part not in ("__init__", "__new__", "__call__")]
    parts = [part for part in parts if part != "<locals>"]
    if not parts or parts[-1] in _ANYWHERE or parts[0].startswith("_"):
        return "", ""
    return parts[0], f".{'.'.join(parts)}({argument})"


def missing_name(captures: Mapping[str, str]) -> str | None:
    """The dotted name that a failure says is not there, from what its signature captured.

    It begins with a dot where the package is not told, and ends with one where it must be a module.
    """
    if any(text.startswith(_FROM_HUB) for text in captures.values()):
        return None
    symbol = captures.get("symbol", "")
    home = captures.get("provider") or captures.get("path") or ""
    if symbol and home:
        return f"{home}.{symbol}"
    if "." in captures.get("module", ""):
        return f"{captures['module']}."
    bare = captures.get("bare", "")
    return f".{bare}" if bare else _attribute(captures)


def _attribute(captures: Mapping[str, str]) -> str | None:
    owner = next((captures[name] for name in _CLASSES if captures.get(name)), "")
    attribute = next((captures[name] for name in _ATTRIBUTES if captures.get(name)), "")
    return f".{owner}.{attribute}" if owner[:1].isupper() and attribute else None


def is_argument(name: str) -> bool:
    """Whether the name is an argument of a function or class."""
    return name.endswith(")")


def is_attribute(name: str) -> bool:
    """Whether the name is a field of a class, which can be there without the sources saying so."""
    return name.count(".") > 1 and name.rsplit(".", 2)[1][:1].isupper()


def in_common(found: Iterable[Presence]) -> list[Presence]:
    """For each package, the versions that have all of its names."""
    packages: dict[str, Presence] = {}
    for presence in found:
        known = packages.get(presence.package)
        if known is None:
            packages[presence.package] = presence
        else:
            both = [version for version in known.looked_at if version in presence.looked_at]
            there = {version: version in known and version in presence for version in both}
            packages[presence.package] = Presence.of(presence.package, there)
    return list(packages.values())


def meant(name: str, lookup: Lookup) -> str:
    """The name that was probably meant, where spelling alone keeps it apart from one that exists; else nothing."""
    name = name.removesuffix(".")
    wanted = name.rpartition("(" if is_argument(name) else ".")[2].removesuffix(")")
    known = {_bare(each): each for each in lookup.beside(name)}
    if _bare(wanted) in known:
        return known[_bare(wanted)]
    return next((known[near] for near in difflib.get_close_matches(_bare(wanted), known, n=1, cutoff=_ALIKE)), "")


def _bare(name: str) -> str:
    return name.replace("_", "").lower()
