"""Calling uv, and telling what its failures mean for a verdict."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.errors import ExitCode, HarnessError
from harness.environments.uv_settings import BadSettings, UvSettings, uv_settings
from harness.process.child import CHILDREN, Limits
from harness.process.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    r"No space left on device|Disk quota exceeded|Read-only file system|Permission denied|Failed to initialize cache"
    r"|os error (?:1|13|17|20|21|28|30|122)\b",
    re.IGNORECASE,
)
"""A disk that is full, and folders that are files, closed, or not there."""
_SETTINGS = re.compile(
    r"invalid value (?:'.*' )?for |a value is required for '--|Failed to parse(?:: | environment variable )"
)
_HASH = re.compile(r"Hash mismatch", re.IGNORECASE)
_NO_SOLUTION = re.compile(r"^(?:error: | *\u00d7 )?No solution found", re.MULTILINE)
"""The heading of what the resolver itself says; whatever stands under another heading says nothing of versions."""
_WHEEL = re.compile(
    r"no wheels? with a matching|no usable wheels|has no wheels|no source distribution|building from source is disabled"
    r"|Wheels? (?:are|is) available for",
    re.IGNORECASE,
)
_NO_WHEEL_HERE = re.compile(r"doesn't have a source distribution or wheel for the current platform")
"""What the installer says under a heading of its own."""


_MEMORY = 16 * 1024**3


@dataclass(slots=True)
class UvFailure(HarnessError):  # noqa: N818 - it is the outcome of a call, and says which
    """uv ended with an error.

    ``kind`` is ``conflict``, ``no-wheel``, ``network``, ``disk``, ``hash``, ``settings`` (they cannot be what they
    are), ``timeout``, ``killed``, ``laid-over`` (what is installed is more than the lock) or ``other``;
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
    try:
        return uv_settings(Path.cwd()).offline
    except BadSettings:
        return False  # uv is asked before the network is, and tells


@cache
def uv_binary() -> str:
    """Path of the uv that came with the harness, or the one on PATH.

    Raises:
        UvFailure: there is none.
    """
    found = shutil.which("uv", path=sysconfig.get_path("scripts")) or shutil.which("uv")
    if found is None:
        raise UvFailure("other", "uv is not installed; 'pip install uv' and try again")
    return found


def run_uv(
    arguments: Sequence[str],
    *,
    folder: Path,
    timeout: float = 900.0,
    idle: float | None = None,
    settings: UvSettings | None = None,
) -> str:
    """Run uv with ``arguments`` in ``folder`` and return what it printed.

    Args:
        arguments: its own.
        folder: where it works.
        timeout: seconds.
        idle: seconds without a sign of life; None: as many.
        settings: what it is told of the user's; None: what counts in ``folder``.

    Raises:
        UvFailure: it ended with an error, took longer than ``timeout`` seconds, or gave no sign of life for ``idle``.
        Cancelled: the harness is being stopped.
    """
    try:
        settings = settings or uv_settings(folder)
        if settings.missing is not None:
            raise UvFailure("settings", f"uv's settings name {settings.missing} for packages, which is not there")
        with _settings_file(settings.options) as option:
            command = [uv_binary(), *option, *arguments]
            environment = {**settings.variables, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
            if sys.platform != "linux":
                return _unsupervised(command, environment, folder, timeout)
            limits = Limits(wall=timeout, idle=idle or timeout, memory=_MEMORY)
            report = CHILDREN.run(command, environment=environment, folder=folder, limits=limits)
    except BadSettings as error:
        raise UvFailure("settings", str(error)) from error
    except OSError as error:
        raise UvFailure("disk", str(error)) from error
    if report.exit_code == 0:
        return report.log
    message = report.log.strip() or report.message
    if report.end == "wall":
        raise UvFailure("timeout", f"uv {arguments[0]} took longer than {timeout:.0f} s\n{message}")
    if report.end == "idle":
        raise UvFailure("timeout", f"uv {arguments[0]} gave no sign of life for {idle or timeout:.0f} s\n{message}")
    if report.signal_name is not None:
        raise UvFailure("killed", f"uv {arguments[0]} was ended by {report.signal_name}\n{message}")
    raise UvFailure(_kind(message), message)


def _unsupervised(command: Sequence[str], environment: Mapping[str, str], folder: Path, timeout: float) -> str:
    """The same where nothing is run but uv itself, to resolve."""
    try:
        ended = subprocess.run(
            command, check=False, env=environment, cwd=folder, capture_output=True, encoding="utf-8", timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise UvFailure("timeout", f"uv took longer than {timeout:.0f} s") from error
    if ended.returncode:
        message = redact(ended.stderr.strip() or ended.stdout.strip())
        raise UvFailure(_kind(message), message)
    return ended.stdout


@contextmanager
def _settings_file(options: Mapping[str, Any]) -> Iterator[list[str]]:
    """The argument that makes uv read these options and no other file; they may hold credentials, and do not stay."""
    if not options:
        yield ["--no-config"]
        return
    import tomli_w  # noqa: PLC0415 - not on the hosts of bundles, which have no uv either

    with tempfile.TemporaryDirectory(prefix="uv-") as folder:
        file = Path(folder, "uv.toml")
        file.write_bytes(tomli_w.dumps(options).encode())
        yield ["--config-file", str(file)]


def _kind(message: str) -> str:
    """Only the resolver's own answer, and only where it could ask, is one about versions."""
    if _NO_WHEEL_HERE.search(message):
        return "no-wheel"
    if _NO_SOLUTION.search(message) and not _NO_ANSWER.search(message):
        return "no-wheel" if _WHEEL.search(message) else "conflict"
    for kind, pattern in (("settings", _SETTINGS), ("disk", _DISK), ("hash", _HASH), ("network", _NO_ANSWER)):
        if pattern.search(message):
            return kind
    return "network" if _NETWORK.search(message) else "other"


@cache
def uv_version() -> str:
    """Version of uv, e.g. ``0.13.9``; that takes no settings, and is told under broken ones too."""
    return run_uv(["--version"], folder=Path.cwd(), settings=UvSettings({}, {})).split()[1]
