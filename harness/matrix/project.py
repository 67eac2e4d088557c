"""Where everything is: the matrix, the models, the reports, and the harness's own working folder.

What a project has none of is in the package: the wheel carries the matrix and the models of this repository.
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.core.program import NAME

MATRIX = "matrix.yaml"
BASELINE = "baseline.yaml"
FURTHER = "matrices"
"""Folder of a project's further matrices."""
_PACKAGE = Path(__file__).parents[1]
SHIPPED = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""Where the package has what it brings along; in a clone that is the repository."""


@dataclass(frozen=True, slots=True)
class Project:
    """The folders of one matrix file."""

    matrix_file: Path
    models: Path
    """The model specs."""
    reports: Path
    state: Path
    """Environments, answers, resolutions: all of it can be made again."""

    @classmethod
    def of(cls, matrix_file: Path, reports: Path | None = None) -> Project:
        """The project around a matrix file: models and reports beside it, unless said otherwise.

        A matrix in a folder ``matrices`` belongs to the project around that folder. The working folder is ``.harness``
        there, or what ``HARNESS_HOME`` names.
        """
        matrix_file = matrix_file.absolute()
        root = matrix_file.parent.parent if matrix_file.parent.name == FURTHER else matrix_file.parent
        return cls._in(root, matrix_file, reports)

    @classmethod
    def found(cls, named: Path | None, reports: Path | None = None) -> Project:
        """The project of the named matrix, or the one that the current folder is in.

        Where that has no matrix of its own, it is the shipped one.
        """
        file = named or find_matrix(Path.cwd())
        return cls.of(file, reports) if file is not None else cls._in(Path.cwd(), SHIPPED / MATRIX, reports)

    @classmethod
    def _in(cls, root: Path, matrix_file: Path, reports: Path | None) -> Project:
        state = Path(os.environ["HARNESS_HOME"]).absolute() if os.environ.get("HARNESS_HOME") else root / ".harness"
        return cls(matrix_file, root / "models", (reports or root / "reports").absolute(), state)

    @property
    def root(self) -> Path:
        """The folder of the project."""
        return self.models.parent

    @property
    def borrowed(self) -> bool:
        """Whether the project has no matrix of its own, and this is the shipped one."""
        return self.matrix_file == SHIPPED / MATRIX and self.root != SHIPPED

    @property
    def baseline(self) -> Path:
        """What a gate compares with: beside the matrix, or in the folder of a project that has none."""
        return (self.root if self.borrowed else self.matrix_file.parent) / BASELINE

    @property
    def model_folders(self) -> tuple[Path, Path]:
        """Where models are looked for: the project's own folder, then the package's."""
        return self.models, SHIPPED / "models"

    def model_file(self, name: str) -> Path:
        """A file that belongs to the models: the project's own, or else the package's."""
        own, shipped = (folder / name for folder in self.model_folders)
        return own if own.exists() else shipped

    def hide_state(self) -> None:
        """Have git pass over the working folder, whatever the project's own ignore file says."""
        with suppress(OSError):  # whoever has to write there tells why that is impossible
            self.state.mkdir(parents=True, exist_ok=True)
            if not (self.state / ".gitignore").exists():
                (self.state / ".gitignore").write_text("*\n", encoding="utf-8")

    @property
    def environments(self) -> Path:
        """The built environments."""
        return self.state / "environments"

    @property
    def answers(self) -> Path:
        """The answers of probes."""
        return self.state / "answers"

    @property
    def resolutions(self) -> Path:
        """What uv resolved."""
        return self.state / "resolutions"

    @property
    def index_cache(self) -> Path:
        """What the package index said."""
        return self.state / "index"

    @property
    def scratch(self) -> Path:
        """Folders of running children."""
        return self.state / "scratch"

    @property
    def retries(self) -> Path:
        """Environments that a gate builds anew to try a failure again; gone when it ends."""
        return self.state / "gate-retries"

    @property
    def weights(self) -> Path:
        """Weights made on the spot."""
        return self.state / "weights"

    @property
    def logs(self) -> Path:
        """Whole logs of children, by question."""
        return self.reports / "logs"

    @property
    def locks(self) -> Path:
        """Locks, by stack."""
        return self.reports / "locks"


def find_matrix(folder: Path) -> Path | None:
    """The matrix that holds in a folder: the nearest one above it, no further up than its repository."""
    for each in (folder, *folder.parents):
        if (each / MATRIX).is_file():
            return each / MATRIX
        if has_table(each / "pyproject.toml"):
            return each / "pyproject.toml"
        if (each / ".git").exists():
            break
    return None


def has_table(pyproject: Path) -> bool:
    """Whether the file holds a matrix, in its table of the harness's name."""
    try:
        tools = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool")
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(tools, dict) and NAME in tools
