"""The page's data read back in Python."""

from __future__ import annotations

from typing import Any


def decoded(column: Any) -> list[Any]:
    """The values of a column, as ``decoded`` in ``data.js`` reads them."""
    if isinstance(column, list):
        return column
    if "at" in column:
        values = decoded(column["values"])
        return [None if place is None else values[place] for place in column["at"]]
    if "lengths" in column:
        items = iter(decoded(column["items"]))
        return [[next(items) for _ in range(length)] for length in column["lengths"]]
    if "names" in column:
        pairs = zip(decoded(column["names"]), decoded(column["members"]), strict=True)
        return [dict(zip(names, members, strict=True)) for names, members in pairs]
    fields = {name: decoded(field) for name, field in column["fields"].items()}
    return [dict(zip(fields, members, strict=True)) for members in zip(*fields.values(), strict=True)]
