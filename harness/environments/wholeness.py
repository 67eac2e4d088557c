"""Whether an environment still holds what was installed: a disk that lost files must not be blamed on a version."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from harness.core.errors import ExitCode, HarnessError
from harness.core.untrusted_files import read_untrusted

if TYPE_CHECKING:
    from pathlib import Path

METADATA = ".dist-info"
LARGEST_RECORD = 64 * 2**20
_HASHED = 2**18
"""Bytes up to which a file is compared by its content, and not by its size alone: nearly all sources."""


class NotWhole(HarnessError):  # noqa: N818 - says what it is
    """Files of an environment are not what was installed; the message says which."""

    exit_code = ExitCode.INFRASTRUCTURE

    def __init__(self, folder: Path, lacking: dict[str, str]) -> None:
        self.lacking = lacking
        package, file = next(iter(lacking.items()))
        more = f", and files of {len(lacking) - 1} more packages" if len(lacking) > 1 else ""
        super().__init__(f"the environment {folder.name} lacks {file} of {package}{more} as it was installed")


def lacking(folder: Path) -> dict[str, str]:
    """Packages, a file of which is gone or changed, with the first such file.

    A file that several packages install (two builds of NCCL) is as one of them says.
    """
    found: dict[str, str] = {}
    for site in folder.glob("lib/python*/site-packages"):
        listed = {each.name: _files(folder, site, each.name) for each in sorted(site.glob(f"*{METADATA}"))}
        told: dict[str, list[list[str]]] = {}
        for files in listed.values():
            for path, row in files.items():
                told.setdefault(path, []).append(row)
        for metadata, files in listed.items():
            record = os.path.relpath(site / metadata / "RECORD", folder)
            spoilt = (
                record if not files else next((path for path in files if not _is_as(folder, path, told[path])), None)
            )
            if spoilt is not None:
                package = metadata.removesuffix(METADATA).rpartition("-")[0]
                found[str(canonicalize_name(package))] = os.path.relpath(folder / spoilt, site)
    return found


def _files(folder: Path, site: Path, metadata: str) -> dict[str, list[str]]:
    """What one package's RECORD says of each file in the environment; nothing where it cannot be read."""
    record = read_untrusted(site, f"{metadata}/RECORD", LARGEST_RECORD)
    try:
        rows = list(csv.reader((record or b"").decode(errors="surrogateescape").splitlines()))
    except csv.Error:
        return {}
    found: dict[str, list[str]] = {}
    for name, *told in (row for row in rows if row):
        path = os.path.normpath(os.path.join(site, name))  # noqa: PTH118 - of text, thousands of times
        inside = os.path.relpath(path, folder)
        if "\0" not in name and not inside.startswith(os.pardir):  # else it is not in the environment
            found[inside] = told
    return found


def _is_as(folder: Path, inside: str, told: list[list[str]]) -> bool:
    """Whether a file is as one of the packages that have it says."""
    return any(_is_as_told(folder, os.path.join(folder, inside), inside, each) for each in told)  # noqa: PTH118 - as above


def _is_as_told(folder: Path, path: str, inside: str, told: list[str]) -> bool:
    digest, size = [*told, "", ""][:2]
    try:
        status = os.lstat(path)
    except OSError:
        return False
    if not size.isdecimal() or not stat.S_ISREG(status.st_mode):
        return True  # nothing is told of it
    if status.st_size != int(size):
        return False
    kind, _, wanted = digest.partition("=")
    if status.st_size > _HASHED or kind != "sha256":
        return True
    content = read_untrusted(folder, inside, _HASHED + 1)
    return content is not None and _encoded(content) == wanted


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
