"""Turns an exception into the record that a result event carries.

Fields are those of ``harness.core.records.ExceptionRecord``. Everything is bounded, and the environment's own folders
are cut off, so that the same failure reads the same in every environment.
"""

from __future__ import annotations

import linecache
import sys
import sysconfig
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Deque, Dict, List, Optional, Set, Tuple

from .background import LOGGED_ERRORS

if TYPE_CHECKING:
    from types import TracebackType

MAX_FRAMES = 40
"""Frames kept of one traceback: the outermost few and the innermost rest."""
OUTER_FRAMES = 8
MAX_MESSAGE = 4000
"""Characters kept of one message: its beginning and its end."""
MAX_CAUSES = 8
MAX_LINE = 200


@lru_cache(maxsize=None)
def prefixes() -> List[Tuple[str, str]]:
    """Folders that are cut off paths and what stays of them, longest first, each with its closing separator."""
    paths = sysconfig.get_paths()
    folders: Set[str] = {paths[name] for name in ("purelib", "platlib") if paths.get(name)}
    folders |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    folders |= {sys.prefix, str(Path(__file__).resolve().parents[2])}
    cut = {folder.rstrip("/") + "/": "" for folder in folders if folder.strip("/")}
    library = paths.get("stdlib", "").rstrip("/")
    if library:
        cut.setdefault(library + "/", Path(library).name + "/")
    return sorted(cut.items(), key=lambda pair: len(pair[0]), reverse=True)


def without_prefixes(text: str) -> str:
    """``text`` with this environment's folders cut off every path in it."""
    for prefix, kept in prefixes():
        text = text.replace(prefix, kept)
    return text


def bounded(text: str, limit: int = MAX_MESSAGE) -> str:
    """``text``, or its beginning and end around a note of what was left out."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]} … [{len(text) - head - tail} characters left out] … {text[-tail:]}"


def type_name(error: BaseException) -> str:
    """The class's qualified name, without ``builtins.``."""
    kind = type(error)
    module = getattr(kind, "__module__", "") or ""
    return kind.__qualname__ if module in ("builtins", "__main__", "") else f"{module}.{kind.__qualname__}"


def message_of(error: BaseException) -> str:
    """What the exception says; for ``SystemExit`` also what was logged as an error before it."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"<message could not be read: {type(failure).__name__}>"
    if isinstance(error, SystemExit):
        text = f"exit({error.code!r})"
        if LOGGED_ERRORS:
            text += " after the error log: " + "\n".join(LOGGED_ERRORS)
    return bounded(without_prefixes(text))


def chain(error: BaseException) -> List[BaseException]:
    """The exception and what it came from, towards the root; each once, at most :data:`MAX_CAUSES` deep."""
    links: List[BaseException] = []
    link: Optional[BaseException] = error
    while link is not None and len(links) < MAX_CAUSES and not any(link is seen for seen in links):
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links


def record(error: BaseException) -> Dict[str, Any]:
    """The exception with its frames and its chain of causes, as JSON-able values."""
    made: Optional[Dict[str, Any]] = None
    for link in reversed(chain(error)):
        made = {
            "type": type_name(link),
            "message": message_of(link),
            "frames": frames(link.__traceback__),
            "cause": made,
        }
    if made is None:
        raise AssertionError("a chain holds at least its exception")
    return made


def frames(traceback: Optional[TracebackType]) -> List[Dict[str, Any]]:
    """The traceback's frames, outermost first, without the import system's own."""
    outer: List[Dict[str, Any]] = []
    inner: Deque[Dict[str, Any]] = deque(maxlen=MAX_FRAMES - OUTER_FRAMES)
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith("<frozen importlib"):
            line = linecache.getline(code.co_filename, traceback.tb_lineno, traceback.tb_frame.f_globals)
            entry = {
                "file": without_prefixes(code.co_filename),
                "line": traceback.tb_lineno,
                "function": code.co_name,
                "text": line.strip()[:MAX_LINE],
            }
            if len(outer) < OUTER_FRAMES:
                outer.append(entry)
            else:
                inner.append(entry)
        traceback = traceback.tb_next
    return [*outer, *inner]
