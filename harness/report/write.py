"""The report as files: ``index.html``, ``report.json`` and its schema, each replaced as a whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from harness.core.files import write_atomically
from harness.report.context import build_context
from harness.report.model import ReportContext
from harness.report.render import render_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pydantic import JsonValue

    from harness.core.records import Record
    from harness.evidence.stacks import Knowledge

PAGE = "index.html"
DATA = "report.json"
SCHEMA = "report.schema.json"


def write_report(  # noqa: PLR0913 - as build_context
    records: Sequence[Record],
    folder: Path,
    extras: Mapping[str, JsonValue] | None = None,
    *,
    generated: datetime | None = None,
    elsewhere: Iterable[tuple[str, Record]] = (),
    knowledge: Knowledge | None = None,
) -> Path:
    """Writes page, data and schema into ``folder``, which is made if need be, and returns the page's path.

    Commands in it find the locks in ``locks`` inside the folder, from the folder's parent, and name every package where
    there are none, unless the extras say otherwise. A reader never sees half a file: each is written beside its place,
    flushed to disk, and moved there.

    Raises:
        ValueError: the extras are misshapen.
        OSError: the folder cannot be written.
    """
    locks = f"{folder.resolve().name}/locks" if (folder / "locks").is_dir() else ""
    told: dict[str, JsonValue] = {"locks": locks, **(extras or {})}
    context = build_context(
        records, generated=generated or datetime.now(UTC), extras=told, elsewhere=elsewhere, knowledge=knowledge
    )
    schema = folder / SCHEMA
    if not schema.exists() or schema.read_text("utf-8") != schema_text():
        write_atomically(schema, schema_text(), durable=True)
    write_atomically(folder / DATA, context.model_dump_json() + "\n", durable=True)
    write_atomically(folder / PAGE, render_html(context), durable=True)
    return folder / PAGE


@cache
def schema_text() -> str:
    """The JSON Schema of ``report.json``."""
    return json.dumps(ReportContext.model_json_schema(), indent=1) + "\n"
