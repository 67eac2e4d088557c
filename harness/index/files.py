"""The files of a release, and which of them an installer would take."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from packaging.tags import Tag


class IndexFile(NamedTuple):
    """A wheel or source archive; a page may list thousands."""

    filename: str
    url: str
    """Without credentials."""
    size: int | None = None
    """Bytes; None when the index does not say."""
    sha256: str | None = None
    uploaded: datetime | None = None
    """None when the index does not say."""
    yanked: bool = False
    requires_python: str | None = None

    @property
    def is_wheel(self) -> bool:
        """A wheel rather than a source archive."""
        return self.filename.endswith(".whl")

    @property
    def tags(self) -> frozenset[str]:
        """Compatibility tags of a wheel (``cp311-cp311-manylinux_2_28_x86_64``); empty for a source archive."""
        return _tags(self.filename) if self.is_wheel else frozenset()


def choose_file(files: Sequence[IndexFile], accepted: Sequence[Tag] | None = None) -> IndexFile | None:
    """The file of a release to read: the wheel an installer with these tags would take, or the next best source.

    The Python files of another platform's wheel, and of the source archive, say nearly the same.

    Args:
        files: the files of one release.
        accepted: the installer's tags, best first; None: any.
    """
    wheels = [file for file in files if file.is_wheel]
    rank = {str(tag): place for place, tag in enumerate(accepted or ())}
    fitting = [file for file in wheels if file.tags & rank.keys()]
    if fitting:
        return min(fitting, key=lambda file: min(rank[tag] for tag in file.tags & rank.keys()))
    plain = [file for file in wheels if file.filename.endswith("-none-any.whl")]
    linux = [file for file in wheels if "linux" in file.filename]
    others: Iterable[IndexFile] = (*plain, *reversed(linux), *wheels, *files)
    return next(iter(others), None)


@cache
def _tags(filename: str) -> frozenset[str]:
    return frozenset(map(str, parse_wheel_filename(filename)[3]))
