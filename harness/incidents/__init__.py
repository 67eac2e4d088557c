"""The troubleshooting log in executable form: each entry a combination that must fail as stated, and those past it.

Imports only ``core`` and ``matrix``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from ruamel.yaml import YAML

from harness.matrix import MatrixError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.matrix import Combination

FOLDER = Path(__file__).parent
MATRIX = FOLDER / "matrix.yaml"
CATALOGUE = FOLDER / "incidents.yaml"


class Incident(BaseModel):
    """One entry of the log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    entry: int = Field(ge=1)
    """Number of the log's entry."""
    title: str
    reproduced_by: tuple[str, ...]
    """Labels or tags of the combinations that must fail; none for the decision."""
    signature: str | None
    """What the catalogue of failures must call it."""
    remedy: str
    remedied_by: Annotated[tuple[str, ...], Field(min_length=1)]
    """Labels or tags of the combinations that must be past the failure."""


def load_incidents(path: Path = CATALOGUE) -> list[Incident]:
    """The incidents, in the order of the log.

    Raises:
        MatrixError: the file does not hold incidents.
    """
    try:
        return TypeAdapter(list[Incident]).validate_python(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise MatrixError([Problem(str(path), 1, 1, "", str(error), "see the incidents that are there")]) from error


def combinations_for(names: Sequence[str], combinations: Sequence[Combination]) -> list[Combination]:
    """The combinations with one of these labels or tags.

    Raises:
        MatrixError: a name fits none.
    """
    found: dict[str, Combination] = {}
    for name in names:
        fitting = [each for each in combinations if each.id.endswith(f"-{name}") or name in each.tags]
        if not fitting:
            raise MatrixError([Problem(str(MATRIX), 1, 1, "", f"no combination is called {name!r}", "add a label")])
        found |= {each.id: each for each in fitting}
    return list(found.values())
