"""What took the place of names that were taken out: known by reading the packages' own notes, not derived."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

FILE = Path(__file__).with_name("successors.yaml")


def successor(name: str) -> str:
    """What took the place of a dotted name; empty where that is not known.

    A name is known by its package and its end too, and a module by what it is in.
    """
    known = _known()
    package, _, rest = name.partition(".")
    if name in known:
        return known[name]
    parts = rest.split(".")
    for end in (parts[-2:], parts[-1:]):
        if (short := ".".join([package, *end])) in known:
            return known[short]
    return next((text for key, text in known.items() if name.startswith(f"{key}.")), "")


@cache
def _known() -> dict[str, str]:
    found = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
    return {str(name): str(text) for name, text in found.items()}
