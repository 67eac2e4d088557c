"""The matrix in ``pyproject.toml``: the table ``[tool.lmdeploy-harness]``, with the lines of what stands in it."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from typing import TYPE_CHECKING, Any

from harness.core.program import NAME
from harness.matrix.document import Document, Node, WrittenNumber
from harness.matrix.problems import MatrixError, Problem

if TYPE_CHECKING:
    from pathlib import Path

_TABLE = f"tool.{NAME}"


def read_table(path: Path) -> Document:
    """The table as a document.

    Raises:
        MatrixError: the file cannot be read, or has no such table.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text, parse_float=WrittenNumber)
    except (OSError, ValueError, RecursionError) as error:
        raise MatrixError([Problem(str(path), 1, 1, "", f"cannot be read: {error}")]) from None
    table = content.get("tool", {}).get(NAME)
    if not isinstance(table, dict):
        hint = f"'{NAME} init' writes one"
        raise MatrixError([Problem(str(path), 1, 1, "", f"there is no table [{_TABLE}]", hint)])
    return Document(str(path), _node(table, _Lines(text), "", 1))


class _Lines:
    """On which line of the file a key of the table stands, as far as that can be told without its parser."""

    def __init__(self, text: str) -> None:
        self._places: dict[str, int] = {}
        inside, counts = "", dict[str, int]()
        for number, line in enumerate(text.splitlines(), 1):
            header = re.match(rf"\s*(\[\[?)\s*{re.escape(_TABLE)}(?:\.([\w.-]+))?\s*\]", line)
            if header is not None:
                inside = header[2] or ""
                if header[1] == "[[":
                    counts[inside] = counts.get(inside, -1) + 1
                    inside = f"{inside}[{counts[inside]}]"
                self._places.setdefault(inside, number)
            elif re.match(r"\s*\[[^\]\"']*\]\s*(#.*)?$", line) and "=" not in line and not line.startswith(" "):
                inside = "\0"  # another table
            elif (key := re.match(r"\s*([\w-]+)\s*=", line)) is not None and inside != "\0":
                self._places.setdefault(f"{inside}.{key[1]}".lstrip("."), number)

    def of(self, path: str, otherwise: int) -> int:
        """The line of a key's path, ``include[0].lock``."""
        return self._places.get(path, otherwise)


def _node(value: Any, lines: _Lines, path: str, above: int) -> Node:  # noqa: ANN401 - whatever TOML holds
    line = lines.of(path, above)
    node = Node(line, 1)
    if isinstance(value, dict):
        node.value = {key: _node(each, lines, f"{path}.{key}".lstrip("."), line) for key, each in value.items()}
        node.keys = {key: (each.line, 1) for key, each in node.value.items()}
    elif isinstance(value, list):
        node.value = [_node(each, lines, f"{path}[{number}]", line) for number, each in enumerate(value)]
    elif isinstance(value, date):
        node.value = value.isoformat()
    elif isinstance(value, bool | int | str | WrittenNumber):
        node.value = value
    else:
        node.value = str(value)
    return node
