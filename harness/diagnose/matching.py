"""Whether a signature's conditions hold for a statement, and what they capture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from harness.diagnose.evidence import frame_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.specifiers import SpecifierSet

    from harness.core.records import FrameRecord
    from harness.diagnose.catalogue import Compiled
    from harness.diagnose.evidence import Evidence
    from harness.diagnose.patterns import Match, Pattern
    from harness.diagnose.statements import Statement

_TRIMMED = " `'\".,"


class Matcher:
    """Holds signatures against the statements of one piece of evidence.

    What depends on the evidence as a whole is asked once for each signature, not once for each statement.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._surroundings: dict[int, dict[str, str] | None] = {}

    def captures(self, compiled: Compiled, statement: Statement) -> dict[str, str] | None:
        """What the signature captures from the statement; None if it is not this failure."""
        if compiled.type and not _type_matches(compiled.type, statement.type):
            return None
        here = self._of_statement(compiled, statement)
        if here is None or not self._in_project(compiled, statement):
            return None
        around = self._of_surroundings(compiled)
        return None if around is None else around | here

    def _of_statement(self, compiled: Compiled, statement: Statement) -> dict[str, str] | None:
        frames = [frame_text(frame) for frame in statement.frames]
        packaged = [text for text, frame in zip(frames, statement.frames, strict=True) if _in_a_package(frame)]
        captured: dict[str, str] = {}
        for patterns, texts in (
            (compiled.raised_in, packaged[-1:]),
            (compiled.frames, frames),
            (compiled.text, [statement.text]),
        ):
            match = _first(patterns, texts)
            if patterns and match is None:
                return None
            captured |= _named(match)
        if _first(compiled.unless, [statement.text]) or _first(compiled.no_frames, frames):
            return None
        return captured

    def _of_surroundings(self, compiled: Compiled) -> dict[str, str] | None:
        if compiled.order not in self._surroundings:
            self._surroundings[compiled.order] = self._look_around(compiled)
        return self._surroundings[compiled.order]

    def _look_around(self, compiled: Compiled) -> dict[str, str] | None:
        evidence, when = self._evidence, compiled.signature.when
        context = _first(compiled.context, [evidence.corpus, " ".join(evidence.stack)])
        if (compiled.context and context is None) or _first(compiled.absent, [evidence.corpus]):
            return None
        if when.backend and evidence.backend and evidence.backend not in when.backend:
            return None
        if when.platform and not any(word in self._machine() for word in when.platform):
            return None
        if not all(_version_fits(evidence.stack.get(name), allowed) for name, allowed in compiled.packages.items()):
            return None
        return _named(context)

    def _machine(self) -> str:
        """What is known of the machine; what the log says where nothing is."""
        facts = " ".join(f"{name}={value}" for name, value in self._evidence.platform.items())
        return (facts or self._evidence.corpus).lower()

    def _in_project(self, compiled: Compiled, statement: Statement) -> bool:
        wanted = compiled.signature.when.project
        files = [frame.file for frame in statement.frames if _in_a_package(frame)]
        if files:
            return not wanted or any(f"{name}/" in file for name in wanted for file in files)
        said = self._evidence.corpus.lower() if wanted else ""
        return not wanted or any(name in said or name in self._evidence.stack for name in wanted)


def _first(patterns: Sequence[Pattern[str]], texts: Sequence[str]) -> Match[str] | None:
    return next((match for text in texts for pattern in patterns if (match := pattern.search(text))), None)


def _named(match: Match[str] | None) -> dict[str, str]:
    groups = match.groupdict() if match else {}
    return {name: value.strip(_TRIMMED) for name, value in groups.items() if value is not None}


def _type_matches(patterns: Sequence[Pattern[str]], kind: str | None) -> bool:
    names = (kind, kind.rsplit(".", 1)[-1]) if kind else ()
    return any(pattern.fullmatch(name) for pattern in patterns for name in names)


def _version_fits(version: str | None, allowed: SpecifierSet) -> bool:
    if version is None:
        return True
    try:
        return Version(version) in allowed
    except InvalidVersion:
        return True


def _in_a_package(frame: FrameRecord) -> bool:
    return "/" in frame.file and not frame.file.startswith("<")
