"""Tables written down by columns: what is alike stands together, and what is repeated stands once.

The page's script reads a column with ``decoded`` in ``data.js``. A column is one of::

    [value, ...]                                      the values themselves
    {"values": column, "at": [place or null, ...]}    places in a column of distinct values; null is none
    {"fields": {name: column, ...}}                   objects that all have these members
    {"names": column of lists, "members": same}       objects that do not: their members' names and values
    {"lengths": [length, ...], "items": column}       lists, their items one after another
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

_PLACE = 4
"""Characters that a place takes, and the comma after it."""


def column_of(values: Sequence[JsonValue]) -> JsonValue:
    """The values as one column, in a form that is short and fits all of them."""
    told = [value for value in values if value is not None]
    if not told or isinstance(told[0], bool | int | float) or len({type(value) for value in told}) > 1:
        return list(values)
    if isinstance(told[0], str):
        return _once(values, [str(value) for value in values])
    if len(told) < len(values):
        places = iter(range(len(told)))
        return {"values": column_of(told), "at": [None if value is None else next(places) for value in values]}
    if isinstance(told[0], list):
        lists = [value for value in told if isinstance(value, list)]
        return {"lengths": [len(value) for value in lists], "items": column_of(list(chain.from_iterable(lists)))}
    return _objects([value for value in told if isinstance(value, dict)])


def _objects(objects: Sequence[dict[str, JsonValue]]) -> JsonValue:
    names = list(objects[0])
    if names and "__proto__" not in names and all(list(each) == names for each in objects):
        return {"fields": {name: column_of([each[name] for each in objects]) for name in names}}
    if all(isinstance(value, str | None) for each in objects for value in each.values()):
        names_of: list[JsonValue] = [list(each) for each in objects]
        return {"names": column_of(names_of), "members": column_of([list(each.values()) for each in objects])}
    return _once(objects, [json.dumps(value) for value in objects])


def _once(values: Sequence[JsonValue], keys: Sequence[str]) -> JsonValue:
    """Distinct values and their places, where that is shorter; values with one key are one."""
    distinct = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
    if sum(map(len, distinct)) + _PLACE * len(values) >= sum(map(len, keys)):
        return list(values)
    places = {key: place for place, key in enumerate(distinct)}
    at: list[JsonValue] = [None if value is None else places[key] for key, value in zip(keys, values, strict=True)]
    return {"values": list(distinct.values()), "at": at}
