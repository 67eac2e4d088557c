"""Writes the JSON Schemas of matrix.yaml and of the model specs: ``python -m harness.matrix docs``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.matrix import models, schema


def schemas() -> dict[str, str]:
    """The schema files by name, as they are published."""
    emitted = {"matrix.schema.json": schema.json_schema(), "model.schema.json": models.json_schema()}
    return {name: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for name, value in emitted.items()}


def main(folder: Path) -> None:
    """Write the schema files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004 - the one argument
        sys.exit("usage: python -m harness.matrix FOLDER")
    main(Path(sys.argv[1]))
