"""What a model's configuration file says, where that becomes an attribute as it is, or in a form that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.scan.evaluation.model_classes import keys_of_part
from harness.scan.evaluation.values import Constant, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.scan.evaluation.model_classes import Checkpoint
    from harness.scan.evaluation.values import Object, Value

_ROPE = "rope_parameters"
"""What transformers 5 makes of everything that a file says of rotary embeddings."""
_ROPE_KEYS = (_ROPE, "rope_scaling")
_ALWAYS_IN_ROPE = frozenset({"rope_type", "rope_theta"})
_PER_LAYER = frozenset({"full_attention", "sliding_attention", "main", "compress"})
"""Kinds of layers that have rotary embeddings of their own."""


def written(owner: Object, name: str, checkpoint: Checkpoint, *, as_it_is: bool) -> Value:
    """The value of an attribute; None where it is not known.

    Args:
        owner: the configuration, or a part of it.
        name: the attribute, which is there.
        checkpoint: the file; None when there is none to read.
        as_it_is: the configuration is one of no particular type, which keeps everything as it stands in the file.
    """
    if checkpoint is None:
        return None
    own: Mapping[str, object] = checkpoint
    for part in owner.path:
        own = keys_of_part(own, part) or {}
    if as_it_is:
        return _plain(own[name], f"{owner.ref.name}.{name}", owner.ref.module) if name in own else None
    if name != _ROPE:
        return None
    keys = _keys_inside([own[key] for key in _ROPE_KEYS if key in own]) | _ALWAYS_IN_ROPE
    return Table(f"{owner.ref.name}.{name}", owner.ref.module, keys, _PER_LAYER)


def _plain(value: object, name: str, module: str) -> Value:
    """A value of a JSON file."""
    if isinstance(value, dict):
        return Table(name, module, frozenset(value))
    if isinstance(value, list):
        simple = not any(isinstance(each, dict | list) for each in value)
        return Constant(tuple(value)) if simple else None
    return Constant(value)


def _keys_inside(tables: list[object]) -> frozenset[str]:
    """The keys of tables, and of the tables in them."""
    found: set[str] = set()
    for table in tables:
        if isinstance(table, dict):
            found |= {*table, *_keys_inside(list(table.values()))}
    return frozenset(found)
