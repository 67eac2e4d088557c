"""Where everything is: the matrix, the models, the reports, and the harness's own working folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

FURTHER = "matrices"
"""Folder of a project's further matrices."""


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
        state = Path(os.environ["HARNESS_HOME"]).absolute() if os.environ.get("HARNESS_HOME") else root / ".harness"
        return cls(matrix_file, root / "models", (reports or root / "reports").absolute(), state)

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
