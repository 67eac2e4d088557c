"""The kinds of files that say what a project deploys, told by their names."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Kind(StrEnum):
    """A kind of file, the most telling first: a lock says every package, a project file hardly any."""

    UV = "uv.lock"
    PYLOCK = "pylock.toml"
    POETRY = "poetry.lock"
    PIPFILE = "Pipfile.lock"
    REQUIREMENTS = "requirements.txt"
    CONDA = "environment.yml"
    DOCKERFILE = "Dockerfile"
    PROJECT = "pyproject.toml"

    @property
    def is_lock(self) -> bool:
        """Whether it names every package with its version."""
        return self in {Kind.UV, Kind.PYLOCK, Kind.POETRY, Kind.PIPFILE}


_NAMES = {
    Kind.UV: r"uv\.lock",
    Kind.PYLOCK: r"pylock(\.[^.]+)?\.toml",
    Kind.POETRY: r"poetry\.lock",
    Kind.PIPFILE: r"Pipfile\.lock",
    Kind.CONDA: r"environment[^/]*\.ya?ml",
    Kind.DOCKERFILE: r"(.+\.)?(Dockerfile|Containerfile)(\..+)?",
    Kind.PROJECT: r"pyproject\.toml",
    Kind.REQUIREMENTS: r".+\.(txt|in)",
}
NAMED_BY = "uv.lock, poetry.lock, Pipfile.lock, pylock.toml, requirements.txt, environment.yml, a Dockerfile"


def kind_of(name: str) -> Kind | None:
    """The kind that a file of that name is; None for any other file."""
    return next((kind for kind, pattern in _NAMES.items() if re.fullmatch(pattern, name, re.IGNORECASE)), None)


def files_in(folder: Path) -> list[tuple[Kind, Path]]:
    """Those in a folder, locks first; of text files only those that are called requirements."""
    found = [(kind_of(each.name), each) for each in sorted(folder.iterdir()) if each.is_file()]
    told = [
        (kind, each)
        for kind, each in found
        if kind is not None and (kind is not Kind.REQUIREMENTS or "requirement" in each.name.lower())
    ]
    return sorted(told, key=lambda each: list(Kind).index(each[0]))
