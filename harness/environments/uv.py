"""Calling uv, and telling what its failures mean for a verdict."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import ExitCode, HarnessError
from harness.process.child import CHILDREN, Limits
from harness.process.redaction import installer_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

_NETWORK = re.compile(
    r"error sending request|failed to fetch|failed to download|connection (?:refused|reset|closed)|dns error"
    r"|timed? ?out|temporary failure in name resolution|network (?:is )?unreachable|tls|certificate"
    r"|HTTP status (?:server error|client error \((?:401|403|407|408|429))|Network connectivity is disabled"
    r"|could not connect|broken pipe|unexpected eof",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"because the network was disabled|was not found in the cache"
    r"|could not be queried due to a lack of valid authentication credentials|An index \(\S*\) returned a \d{3} "
    r"|Failed to read from zip file|unable to locate the end of central directory",
    re.IGNORECASE,
)
"""What uv words as a stack without a solution, and is an index that did not answer or a wheel that did not arrive."""
_DISK = re.compile(
    r"No space left on device|os error 28|Disk quota exceeded|os error 122|Read-only file system", re.IGNORECASE
)
_HASH = re.compile(r"Hash mismatch", re.IGNORECASE)
_WHEEL = re.compile(
    r"no wheels? with a matching|no usable wheels|has no wheels|no source distribution|building from source is disabled"
    r"|doesn't have a source distribution or wheel for the current platform|Wheels? (?:are|is) available for",
    re.IGNORECASE,
)
_UNSATISFIABLE = re.compile(
    r"No solution found|unsatisfiable|not found in the package registry|there are no versions", re.IGNORECASE
)


_ON = {"1", "true", "yes", "on", "y", "t"}
_MEMORY = 16 * 1024**3


@dataclass(slots=True)
class UvFailure(HarnessError):  # noqa: N818 - it is the outcome of a call, and says which
    """uv ended with an error.

    ``kind`` is ``conflict``, ``no-wheel``, ``network``, ``disk``, ``hash``, ``timeout``, ``killed`` or ``other``;
    ``message`` is what uv said, redacted.
    """

    exit_code = ExitCode.INFRASTRUCTURE

    kind: str
    message: str

    @property
    def of_versions(self) -> bool:
        """Whether it is the versions' fault: the same question will have the same answer."""
        return self.kind in {"conflict", "no-wheel"}

    def __str__(self) -> str:
        return f"uv: {self.kind}: {self.message}"


def offline() -> bool:
    """Whether uv's settings forbid the network, which then holds for the harness's own questions too."""
    return os.environ.get("UV_OFFLINE", "").lower() in _ON


@cache
def uv_binary() -> str:
    """Path of the uv that came with the harness, or the one on PATH.

    Raises:
        UvFailure: there is none.
    """
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    if beside.exists():
        return str(beside)
    found = shutil.which("uv")
    if found is None:
        raise UvFailure("other", "uv is not installed; 'pip install uv' and try again")
    return found


def run_uv(arguments: Sequence[str], *, folder: Path, timeout: float = 900.0) -> str:
    """Run uv with ``arguments`` in ``folder`` and return what it printed.

    Raises:
        UvFailure: it ended with an error or took longer than ``timeout`` seconds.
        Cancelled: the harness is being stopped.
    """
    environment = installer_environment() | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    report = CHILDREN.run(
        [uv_binary(), *arguments],
        environment=environment,
        folder=folder,
        limits=Limits(wall=timeout, idle=timeout, memory=_MEMORY),
    )
    if report.exit_code == 0:
        return report.log
    message = report.log.strip() or report.message
    if report.end == "wall":
        raise UvFailure("timeout", f"uv {arguments[0]} took longer than {timeout:.0f} s\n{message}")
    if report.signal_name is not None:
        raise UvFailure("killed", f"uv {arguments[0]} was ended by {report.signal_name}\n{message}")
    raise UvFailure(_kind(message), message)


def _kind(message: str) -> str:
    for kind, pattern in (
        ("disk", _DISK),
        ("hash", _HASH),
        ("network", _NO_ANSWER),
        ("no-wheel", _WHEEL),
        ("conflict", _UNSATISFIABLE),
        ("network", _NETWORK),
    ):
        if pattern.search(message):
            return kind
    return "other"


@cache
def uv_version() -> str:
    """Version of uv, e.g. ``0.13.9``."""
    return run_uv(["--version"], folder=Path(os.curdir)).split()[1]
