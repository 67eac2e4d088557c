"""What is known of something that went wrong: what was said, and in which surroundings."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from packaging.utils import canonicalize_name

from harness.core.verdict import Stage
from harness.diagnose.frames import relative
from harness.diagnose.lines import read_lines
from harness.diagnose.patterns import text_pattern
from harness.diagnose.stack import versions_in
from harness.diagnose.statements import Severity, Statement, read_statements, statement_text
from harness.diagnose.stream import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness.core.records import ExceptionRecord, FrameRecord

_MOST_CAUSES = 30
_COMMAND = text_pattern(
    r"^(?:\([\w.-]+\) )?(?:[\w.-]+@[\w.-]+[: ]\S*)? ?[$#%\x{276F}] \S|^(?:PS )?[A-Z]:\\[^>]*> ?\S|^In \[\d+\]:"
)
"""A prompt with a command: of a shell, PowerShell or a notebook."""
_LOOKS = text_pattern(
    r"[$#%\x{276F}>!:] ?(?:sudo )?(?:(?:\S*python\S* -m |uv )?pip3? (?:show|list|freeze|check)|conda list|nvidia-smi|"
    r"lmdeploy check_env|uname|lsb_release|cat|ls|which|where|\S*python\S* (?:-V|--version)|nvcc -V)\b"
)
"""A command that only looks: what it prints tells of the failure before it."""


@dataclass(frozen=True)
class Evidence:
    """Everything the catalogue's patterns may look at."""

    statements: tuple[Statement, ...] = ()
    """In the order they were said; the root cause of a chain comes before its fallout."""
    mentions: frozenset[str] = frozenset()
    """Project and platform words that occur anywhere in the log."""
    stage: Stage | None = None
    check: str = ""
    backend: str = ""
    stack: Mapping[str, str] = field(default_factory=dict)
    """Installed packages, normalised name to version; empty when not known."""
    told: tuple[tuple[int, Mapping[str, str]], ...] = ()
    """Line numbers at which the log says which versions are installed, and those."""
    attempts: tuple[int, ...] = ()
    """Line numbers at which something was tried anew: a person typed a command, or another version is told."""
    python: str = ""
    platform: Mapping[str, str] = field(default_factory=dict)
    """Facts of the machine such as ``os`` and ``wsl``; empty when not known."""
    size: int = 0
    """Bytes of log that were looked through."""
    complete: bool = True
    """False when the log was so full of complaints that some were left out."""

    @classmethod
    def from_exception(  # noqa: PLR0913 - each is a fact of its own, named by the caller
        cls,
        exc: ExceptionRecord | None,
        log: str | Path | bytes | BinaryIO = "",
        *,
        stage: Stage | str | None = None,
        check: str = "",
        backend: str = "",
        stack: Mapping[str, str] | None = None,
        python: str = "",
        platform: Mapping[str, str] | None = None,
    ) -> Evidence:
        """What a probe raised, and what its child process printed.

        Args:
            exc: the exception; None when the child ended without one.
            log: its output, as text, bytes, an open binary file or a path.
            stage: the stage it occurred in.
            check: name of the check within the stage.
            backend: the combination's.
            stack: installed packages, name to version.
            python: version of the tested interpreter.
            platform: facts such as ``{"os": "Linux", "wsl": "true"}``.
        """
        raised = _chain(exc) if exc is not None else []
        read = cls.from_log(log, stack=stack)
        said = {statement.text for statement in raised}
        later = [
            replace(statement, group=statement.group + 1) for statement in read.statements if statement.text not in said
        ]
        return replace(
            read,
            statements=(*raised, *later),
            stage=Stage(stage) if stage else None,
            check=check,
            backend=backend,
            python=python,
            platform=dict(platform or {}),
        )

    @classmethod
    def from_log(cls, source: str | Path | bytes | BinaryIO, stack: Mapping[str, str] | None = None) -> Evidence:
        """What a log of any size says.

        Args:
            source: the text itself, its bytes, an open binary file, or the path of a file.
            stack: installed packages, name to version, if known.

        Raises:
            OSError: the file cannot be read.
        """
        if isinstance(source, Path):
            with source.open("rb") as stream:
                return cls.from_log(stream, stack)
        if isinstance(source, str):
            source = source.encode(errors="replace")
        selection = select(io.BytesIO(source) if isinstance(source, bytes) else source)
        lines = list(read_lines(selection.windows))
        told = tuple(versions_in((line.number, line.text) for line in lines))
        typed = [line.number for line in lines if _COMMAND.search(line.raw) and not _LOOKS.search(line.raw)]
        return cls(
            statements=tuple(read_statements(lines)),
            told=told,
            attempts=tuple(sorted({*typed, *_changes(told)})),
            mentions=selection.mentions,
            stack={canonicalize_name(name): version for name, version in (stack or {}).items()},
            size=selection.size,
            complete=selection.complete,
        )

    @property
    def installed(self) -> dict[str, str]:
        """Versions by package: of the stack, and the log's last word on others."""
        return self.installed_at(None)

    def installed_at(self, number: int | None) -> dict[str, str]:
        """Versions by package as of the attempt that a line belongs to; None: the last."""
        end = None if number is None else next((each for each in self.attempts if each > number), None)
        found: dict[str, str] = {}
        for line, told in self.told:
            if end is None or line < end:
                found |= told
        return {**found, **self.stack}

    @cached_property
    def corpus(self) -> str:
        """All that was said, frames included, as one text to search for surroundings."""
        parts = [" ".join(sorted(self.mentions)), f"backend={self.backend}" if self.backend else ""]
        for statement in self.statements:
            parts.append(statement.text)
            parts += [frame_text(frame) for frame in statement.frames]
        return "\n".join(parts)


def _changes(told: Iterable[tuple[int, Mapping[str, str]]]) -> Iterator[int]:
    """The lines that tell another version of a package than was told before."""
    known: dict[str, str] = {}
    for number, found in told:
        if any(known.get(name, version) != version for name, version in found.items()):
            yield number
        known |= found


def frame_text(frame: FrameRecord) -> str:
    """A frame as the catalogue's patterns see it: ``file:function: source``."""
    return f"{frame.file}:{frame.function}: {frame.text}"


def _chain(exc: ExceptionRecord) -> list[Statement]:
    links = list(_links(exc))[:_MOST_CAUSES]
    return [
        Statement(
            text=statement_text(link.type, link.message, link.frames),
            line=_last_line(link),
            type=link.type,
            frames=tuple(frame.model_copy(update={"file": relative(frame.file)}) for frame in link.frames),
            severity=Severity.LOUD,
            depth=depth,
        )
        for depth, link in enumerate(reversed(links))
    ]


def _links(exc: ExceptionRecord) -> Iterable[ExceptionRecord]:
    link: ExceptionRecord | None = exc
    while link is not None:
        yield link
        link = link.cause


def _last_line(link: ExceptionRecord) -> str:
    first: Iterator[str] = (line for line in link.message.splitlines() if line.strip())
    return f"{link.type}: {next(first, '')}".rstrip(": ")
