"""The lines of a traceback that name a place, and whose code that place is."""

from __future__ import annotations

from harness.core.records import FrameRecord
from harness.diagnose.patterns import text_pattern

_FRAME = text_pattern(r'^\s*(?:[│|]\s*)?File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
_NOTEBOOK_FRAME = text_pattern(r"^\s*File (?P<file>\S+\.py):(?P<line>\d+)(?:, in (?P<function>[^(]+))?")
_RICH_FRAME = text_pattern(r"^\s*(?P<file>/\S+\.py):(?P<line>\d+) in (?P<function>\w+)")
_ENVIRONMENT = text_pattern(r"^.*(?:site-packages|dist-packages)[/\\]")
_PROJECTS = frozenset({"lmdeploy", "vllm", "sglang", "transformers", "swift", "xinference", "llamafactory", "torch"})
"""Packages that are told by their folder where they run from a checkout."""


def read_frame(text: str) -> FrameRecord | None:
    """The place that a line names; None: it names none."""
    if "File " not in text and " in " not in text:
        return None
    match = _FRAME.match(text) or _NOTEBOOK_FRAME.match(text) or _RICH_FRAME.match(text)
    if match is None:
        return None
    return FrameRecord(
        file=relative(match.group("file") or ""),
        line=min(int((match.group("line") or "0")[:9]), 10**9),
        function=(match.group("function") or "").strip(),
    )


def relative(path: str) -> str:
    """A frame's file without the environment's folder."""
    match = _ENVIRONMENT.match(path)
    return (path[match.end() :] if match else path).replace("\\", "/")


def package_of(frame: FrameRecord) -> str:
    """The package whose code a frame is of; nothing for a script and for the interpreter's own loader."""
    parts = frame.file.split("/")
    if len(parts) == 1 or parts[0].startswith("<"):
        return ""
    if parts[0]:
        return parts[0]
    return next((part for part in reversed(parts[:-1]) if part in _PROJECTS), "")
