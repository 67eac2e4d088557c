"""Who tried to leave: writes outside the scratch folder and talks to other machines, told as facts of the check.

The sandbox, where the host has one, already prevents both; a package that catches the error would go unnoticed. What
native code does by itself is prevented too, and not seen here.

And who brought code along: a checkpoint's own Python files run only for a model whose spec says so. Versions of
lmdeploy that trust every checkpoint (up to 0.12) are held to that here.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

FACT = "reached_outside"
MAX_REACHED = 20
REMOTE_CODE = os.sep + "transformers_modules" + os.sep
"""Folder into which transformers copies a checkpoint's own Python files before it runs them."""
_WRITES = os.O_WRONLY | os.O_RDWR
_NO_FILES = ("/dev/", "/proc/")
_HERE = ("localhost", "127.", "::1", "0.0.0.0", "::", "")  # noqa: S104 - nothing is bound, these are looked for

REACHED: List[str] = []
"""What was tried, in the order of the first attempts."""


class _Told:
    """The events file of the request being answered, the one folder that may be written, and whose code may run."""

    scratch = ""
    events: Optional[Any] = None
    trusted = False


def watch(scratch: str) -> None:
    """Look at every file and address from now on; ``scratch`` is the folder where writing is meant to happen."""
    if not _Told.scratch:
        _Told.scratch = os.path.abspath(scratch)
        sys.addaudithook(_look)


def tell(events: Any, *, trusted: bool) -> None:
    """Write what was tried so far, and whatever follows, as a fact of this check.

    ``trusted``: the model's spec lets the checkpoint's own code run.
    """
    _Told.events = events
    _Told.trusted = trusted
    if REACHED:
        events.fact(FACT, REACHED)


def _look(event: str, arguments: Tuple[Any, ...]) -> None:
    if event == "exec" and not _Told.trusted and REMOTE_CODE in getattr(arguments[0], "co_filename", ""):
        raise RuntimeError(
            "the checkpoint contains custom code which must be executed, and its model spec does not set "
            "trust_remote_code"
        )
    look = _LOOKS.get(event)
    if look is None:
        return
    tried = look(arguments)
    if tried is None or tried in REACHED or len(REACHED) >= MAX_REACHED:
        return
    REACHED.append(tried)
    if _Told.events is not None:
        _Told.events.fact(FACT, REACHED)


def _opened(arguments: Tuple[Any, ...]) -> Optional[str]:
    path, _, flags = arguments
    return _changed((path,)) if isinstance(flags, int) and flags & _WRITES else None


def _changed(arguments: Tuple[Any, ...]) -> Optional[str]:
    path = arguments[0]
    if isinstance(path, int):
        return None  # open already, and seen then
    place = os.path.abspath(os.fsdecode(path))
    inside = place == _Told.scratch or place.startswith(_Told.scratch + os.sep)
    if inside or place.startswith(_NO_FILES) or "__pycache__" in place:
        return None
    return f"write {place}"


def _renamed(arguments: Tuple[Any, ...]) -> Optional[str]:
    return _changed(arguments[1:]) or _changed(arguments)


def _connected(arguments: Tuple[Any, ...]) -> Optional[str]:
    address = arguments[1]
    return _called((address[0],)) if isinstance(address, tuple) and address else None  # else a socket of this machine


def _called(arguments: Tuple[Any, ...]) -> Optional[str]:
    host = arguments[0]
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
    here = name in _HERE or name.startswith("127.")
    return None if here else f"connect {name}"


_LOOKS: Dict[str, Callable[[Tuple[Any, ...]], Optional[str]]] = {
    "open": _opened,
    "os.remove": _changed,
    "os.mkdir": _changed,
    "os.rmdir": _changed,
    "os.truncate": _changed,
    "os.chmod": _changed,
    "os.symlink": lambda arguments: _changed(arguments[1:]),
    "os.link": lambda arguments: _changed(arguments[1:]),
    "os.rename": _renamed,
    "socket.connect": _connected,
    "socket.getaddrinfo": _called,
}
