"""matrix.yaml, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.matrix.document import Document, parse_document, read_document
from harness.matrix.project_table import read_table
from harness.matrix.schema import Matrix
from harness.matrix.validation import validate

if TYPE_CHECKING:
    from pathlib import Path


def load_matrix(path: Path) -> Matrix:
    """The matrix in a file, which may be a project's own.

    Raises:
        MatrixError: the file cannot be read or does not say a matrix; every problem is listed with its line.
    """
    return _checked(read_table(path) if path.suffix == ".toml" else read_document(path))


def parse_matrix(content: bytes, name: str = "matrix.yaml") -> Matrix:
    """The matrix in the bytes of a file; ``name`` is what problems call it.

    Raises:
        MatrixError: as :func:`load_matrix`.
    """
    return _checked(parse_document(content, name))


def _checked(document: Document) -> Matrix:
    matrix = validate(document, Matrix)
    matrix._document = document  # noqa: SLF001 - set once, here, so that later problems name their line too
    return matrix
