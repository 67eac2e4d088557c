"""Why cells of the map of architectures are red: benchmarks/models_causes.yaml, read and matched."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).with_suffix(".yaml")


class BadCauses(HarnessError):  # noqa: N818 - says what is wrong with the file
    """The file is not as it must be; the message says where."""


def _range(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"'{text}' is no range of versions; write e.g. '>=0.12,<0.15'") from error
    return text


Range = Annotated[str, AfterValidator(_range)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = ("*",)
    """Patterns of miniatures' names."""
    lmdeploy: Range = ""
    transformers: Range = ""
    cause: str = Field(min_length=1)
    side: Literal["lmdeploy", "transformers", "emulation", "miniature"]
    """Whose it is."""
    where: str = ""
    """File and line."""
    proof: str = ""
    """What shows it."""

    def fits(self, model: str, lmdeploy: str, transformers: str) -> bool:
        """Whether the entry is about a cell's model and stack."""
        return (
            any(fnmatchcase(model, pattern) for pattern in self.models)
            and SpecifierSet(self.lmdeploy).contains(lmdeploy, prereleases=True)
            and SpecifierSet(self.transformers).contains(transformers, prereleases=True)
        )


class Cause(_Entry):
    """Why cells are red."""

    id: str = Field(pattern=r"[a-z0-9][a-z0-9.-]*")
    verdict: str = "*"
    """Pattern of the record's verdict, in its canonical form."""
    report: str = ""
    """Title of the report that is ready to be filed; empty where there is nothing to file."""


class Difference(_Entry):
    """Why a release of transformers has other numbers than the one that made a miniature."""


class Disagreement(_Entry):
    """Why a GPU says something else of a cell than the emulation does."""


class Causes(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cells: tuple[Cause, ...] = ()
    itself: tuple[Difference, ...] = ()
    on_a_gpu: tuple[Disagreement, ...] = ()
    without: dict[str, str] = {}
    """Architectures that have no miniature, and the reason."""

    def of_cell(self, model: str, lmdeploy: str, transformers: str, verdict: str) -> Cause | None:
        """The first that fits."""
        fitting = (each for each in self.cells if each.fits(model, lmdeploy, transformers))
        return next((each for each in fitting if fnmatchcase(verdict, each.verdict)), None)

    def of_difference(self, model: str, transformers: Sequence[str]) -> Difference | None:
        """The first that fits one of these releases."""
        return next((each for each in self.itself for one in transformers if each.fits(model, "1", one)), None)

    def of_disagreement(self, model: str, lmdeploy: str, transformers: str) -> Disagreement | None:
        """The first that fits."""
        return next((each for each in self.on_a_gpu if each.fits(model, lmdeploy, transformers)), None)


def read_causes(file: Path = FILE) -> Causes:
    """The causes in a file.

    Raises:
        BadCauses: it is not as it must be.
    """
    try:
        return Causes.model_validate(YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {})
    except (OSError, YAMLError, ValidationError) as error:
        raise BadCauses(f"{file}: {error}") from error
