"""The few parts of a log of any size that can matter, in one pass and bounded memory.

A log is read in chunks as bytes. One RE2 alternation finds the places where something is said to be wrong; around
each a window of lines is kept, until the allowance for windows is used up. Once it is, only the words that name a
root cause are looked for, so that a flood of equal complaints cannot drown the one that counts, and the end of the
log is looked at in full again. What is dropped is never needed for line numbers: those are counted over everything.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from harness.diagnose.patterns import WordSet, byte_pattern
from harness.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 20
"""Bytes read at a time, and the longest line that is looked at as one."""
ALLOWANCE = 256 << 10
"""Bytes of windows kept per phase: ordinary trouble words, root-cause words, the end of the log."""
REACH = 2048
"""Bytes kept on either side of a place inside a very long line."""
SMALL = 64 << 10
"""A log of at most so many bytes is kept whole."""
TRACEBACK_LINES = 200
CONTEXT_LINES = 12
_TAIL = ALLOWANCE // 8
_ENOUGH = 16
_LINE_COST = 100
"""Bytes that a line counts for beside its own: short lines cost time, too."""

_ORDINARY = (
    "error", "exception", "fail", "fatal", "warn", "cannot", "can't", "can not", "could not", "couldn't", "unable",
    "not support", "unsupported", "does not", "doesn't", "not found", "not defined", "not been", "not allowed",
    "no such", "not install", "please", "required", "requires", "unexpected", "unrecognized", "unknown", "invalid",
    "incompatible", "conflict", "mismatch", "denied", "refused", "timeout", "timed out", "abort", "core dumped",
    "deprecat", "fallback", "fall back", "falling back", "panic", "assert", "expected", "too old", "too large",
    "too long", "too small", "obsolete", "hint:", "ignor", "only support", "is not", "have no", "has no", "bug", "use ",
    '  file "', "skip", "none", "refus", "signal", "exit", "oserror", 'http/1.1" 4', 'http/1.1" 5',
)  # fmt: skip
_ROOT = (
    "traceback (most recent call last)", "cannot import name", "no module named", "no attribute",
    "cannot open shared object", "undefined symbol", "' not found", "out of memory", "outofmemory", "oom", "killed",
    "no kernel image", "kernel image", "segmentation", "sigkill", "sigsegv", "no solution found", "because these",
    "no matching distribution", "which is incompatible", "is required for a normal", "does not recognize",
    "unsupported quant", "not supported", "unsupported architecture", "nvidia driver", "nccl error", "nccl warn",
    "cuda error", "cuda driver", "safetensorerror", "couldn't connect", "max retries", "address already in use",
    "no space left", "could not import module", "failed to import", "unrecognized configuration",
    "fatal error", "importerror",
)  # fmt: skip
MENTIONS = (
    *(word for engine in ENGINES.values() for word in engine.log_words),
    "lmdeploy", "vllm", "sglang", "mlc_llm", "mlc-llm", "tvm", "xinference", "flash_attn", "flash-attn",
    "wsl", "docker", "darwin", "macos", "win32", "windows", "ascend", "rocm", "tensorrt", "ollama", "llama.cpp",
    "autoawq", "auto_gptq", "gptqmodel", "bitsandbytes", "deepspeed", "torchvision", "triton", "qwen", "internvl",
    "\\site-packages",
)  # fmt: skip
"""Words whose mere presence anywhere in a log tells which project or platform it is about."""


def _alternation(words: tuple[str, ...]) -> bytes:
    literal = "|".join("".join(c if c.isalnum() or c in " _'" else f"\\x{ord(c):02x}" for c in word) for word in words)
    return f"(?i){literal}".encode()


_ANY = byte_pattern(_alternation(_ROOT + _ORDINARY))
_ROOTS = byte_pattern(_alternation(_ROOT))
_TRACEBACK = byte_pattern(b"(?i)^.{0,200}traceback \\(most recent call last\\)")
_MENTIONS = WordSet(MENTIONS)


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive lines of a log."""

    number: int
    """Number of the first line in the log, from 1."""
    text: str


@dataclass(slots=True)
class Selection:
    """What was kept of a log."""

    windows: list[Window] = field(default_factory=list)
    mentions: frozenset[str] = frozenset()
    """Those of :data:`MENTIONS` that occur anywhere, kept or not."""
    lines: int = 0
    size: int = 0
    """Bytes read."""
    complete: bool = True
    """False when some complaint was left out because the allowance was used up."""


def select(stream: BinaryIO) -> Selection:
    """The parts of a log that can matter.

    Takes any bytes: UTF-8 or UTF-16, with NULs, terminal colours, progress bars and lines of any length.
    """
    selection = Selection()
    phase = _Phase(selection)
    mentions: set[str] = set()
    missing = set(MENTIONS)
    tail, following = b"", 1
    for chunk, number in _chunks(stream, selection):
        if missing:
            mentions |= _MENTIONS.found(chunk)
            missing -= mentions
        if number == 1 and len(chunk) <= SMALL:
            selection.windows.append(Window(1, chunk.decode(errors="replace")))
        else:
            phase.scan(chunk, number)
        tail = (tail + chunk)[-_TAIL:]
        following = number + chunk.count(b"\n")
    if phase.flooded:
        selection.complete = False
        phase.scan_end(tail, following - tail.count(b"\n"))
    selection.mentions = frozenset(mentions)
    return selection


def _chunks(stream: BinaryIO, selection: Selection) -> Iterator[tuple[bytes, int]]:
    """Whole lines, about :data:`CHUNK` bytes at a time, each with the number of its first line."""
    pending, number = b"", 1
    for block in _decoded(stream, selection):
        cut = pending.rfind(b"\n") + 1
        if cut or len(pending) >= CHUNK:
            cut = cut or len(pending)
            yield pending[:cut].replace(b"\0", b""), number
            number += pending.count(b"\n", 0, cut)
            pending = pending[cut:]
        pending += block
    if pending:
        yield pending.replace(b"\0", b""), number
    selection.lines = number - 1 + pending.count(b"\n") + (not pending.endswith(b"\n") and bool(pending))


def _decoded(stream: BinaryIO, selection: Selection) -> Iterator[bytes]:
    """The stream's bytes; UTF-16 (what PowerShell's redirection writes) turned into UTF-8."""
    first = stream.read(CHUNK)
    encoding = _utf16(first)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace") if encoding else None
    block = first
    while block:
        selection.size += len(block)
        yield decoder.decode(block).encode(errors="replace") if decoder else block
        block = stream.read(CHUNK)


def _utf16(start: bytes) -> str | None:
    sample = start[:512]
    if len(sample) < _ENOUGH or max(sample[::2].count(0), sample[1::2].count(0)) < len(sample) * 0.4:
        return None
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-16-le"


class _Phase:
    """Which words are looked for at this point of a log, and how much may still be kept."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._left = ALLOWANCE
        self._root_left = ALLOWANCE
        self.flooded = False

    def scan(self, chunk: bytes, number: int) -> None:
        """Keep the windows of ``chunk``, whose first line is ``number``."""
        position, counted = 0, 0
        while position < len(chunk) and self._root_left > 0:
            pattern = _ANY if self._left > 0 else _ROOTS
            match = pattern.search(chunk, position)
            if match is None:
                return
            start, end = _window(chunk, match.start(), position)
            number += chunk.count(b"\n", counted, start)
            counted = start
            self._keep(chunk[start:end], number)
            position = end

    def _keep(self, data: bytes, number: int) -> None:
        self._selection.windows.append(Window(number, data.decode(errors="replace")))
        cost = len(data) + _LINE_COST * (1 + data.count(b"\n"))
        if self._left > 0:
            self._left -= cost
        else:
            self.flooded = True
            self._root_left -= cost

    def scan_end(self, chunk: bytes, number: int) -> None:
        """Look at the last part of a flooded log once more, for everything."""
        self._left = ALLOWANCE
        self._root_left = max(self._root_left, 1)
        known = self._selection.windows[-1].number if self._selection.windows else 0
        before = len(self._selection.windows)
        self.scan(chunk, number)
        fresh = [window for window in self._selection.windows[before:] if window.number > known]
        self._selection.windows[before:] = fresh


def _window(chunk: bytes, hit: int, position: int) -> tuple[int, int]:
    """Where the lines around a place begin and end: that line and some after it, more for a traceback."""
    floor = max(position, hit - REACH)
    start = max(chunk.rfind(b"\n", floor, hit), chunk.rfind(b"\r", floor, hit)) + 1 or floor
    head = chunk[start : min(len(chunk), hit + 64)]
    budget = TRACEBACK_LINES if _TRACEBACK.search(head.rsplit(b"\n", 1)[-1]) else CONTEXT_LINES
    end = hit
    for _ in range(budget):
        line_end = chunk.find(b"\n", end)
        if line_end < 0:
            return start, min(len(chunk), end + REACH)
        if line_end - end > REACH:
            return start, end + REACH
        end = line_end + 1
        if end >= len(chunk):
            break
    return start, end
