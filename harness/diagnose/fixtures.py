"""Logs that show what each signature recognises, with the match marked inside them.

There is one file for each signature, ``fixtures/<id>.log``, with any number of fixtures in it::

    #: match
    #: origin: own run, lmdeploy 0.11.1, transformers 4.57.3, Python 3.11, 2026-11-23
    Traceback (most recent call last):
    ...
    ImportError: cannot import name 'BeamSearchScorer' from 'transformers' ...
    #^ transformers-beam-search-scorer symbol-removed-or-not-yet-added provider=transformers symbol=BeamSearchScorer

    #: near miss
    #: origin: synthetic
    ...

A ``match`` must be decided by the file's signature, a ``near miss`` must not. The line that begins with ``#^`` stands
below the line that decided and says what the classifier makes of it; :func:`bless` writes these lines anew. Origins are
``own run`` with its circumstances, or ``synthetic`` where a failure cannot be provoked without the machine it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.diagnose.catalogue import Catalogue, shipped
from harness.diagnose.classify import Diagnosis, classify
from harness.diagnose.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).with_name("fixtures")
_HEAD = "#: "
_MARK = "#^ "


class FixtureError(HarnessError, ValueError):
    """A fixture file does not have the form it should; the message says where."""


class Kind(StrEnum):
    """What a fixture shows."""

    MATCH = "match"
    NEAR_MISS = "near miss"


@dataclass(frozen=True, slots=True)
class Fixture:
    """One log with what it should be."""

    signature: str
    kind: Kind
    origin: str
    text: str
    """The log, without marks."""
    stack: Mapping[str, str]

    @property
    def synthetic(self) -> bool:
        """Whether it was written rather than provoked."""
        return self.origin.startswith("synthetic")

    def evidence(self) -> Evidence:
        """What the classifier gets to see."""
        return Evidence.from_log(self.text, self.stack)

    def problem(self, diagnosis: Diagnosis) -> str | None:
        """Why a diagnosis is not the one this fixture demands; None if it is."""
        own = diagnosis.signature == self.signature or self.signature in diagnosis.benign
        if own == (self.kind is Kind.MATCH):
            return None
        if self.kind is Kind.NEAR_MISS:
            return f"{self.signature}: a near miss is taken for it"
        return f"{self.signature}: its own match is decided by {_verdict(diagnosis)}"


def load_fixtures(folder: Path = FOLDER) -> list[Fixture]:
    """All fixtures, file by file.

    Raises:
        FixtureError: a file does not have the form described above.
        OSError: a file cannot be read.
    """
    return [fixture for path in sorted(folder.glob("*.log")) for fixture in parse(path)]


def parse(path: Path) -> list[Fixture]:
    """The fixtures of one file.

    Raises:
        FixtureError: it does not have the form described above.
        OSError: it cannot be read.
    """
    return [_fixture(path, head, body) for head, body in _sections(path)]


def _sections(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    head: list[str] = []
    body: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_HEAD):
            if body:
                yield head, body
                head, body = [], []
            head.append(line.removeprefix(_HEAD).strip())
        elif not line.startswith(_MARK):
            body.append(line)
    if not head or not any(line.strip() for line in body):
        raise FixtureError(f"{path}: a fixture needs '{_HEAD}match' or '{_HEAD}near miss', then a log")
    yield head, body


def _fixture(path: Path, head: list[str], body: list[str]) -> Fixture:
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if head[0] not in set(Kind) or "origin" not in fields:
        raise FixtureError(
            f"{path}: a fixture begins with '{_HEAD}match' or '{_HEAD}near miss', then '{_HEAD}origin: …'"
        )
    stack = dict(entry.strip().split("==", 1) for entry in fields.get("stack", "").split(",") if "==" in entry)
    while body and not body[-1].strip():
        body = body[:-1]
    return Fixture(path.stem, Kind(head[0]), fields["origin"], "\n".join(body) + "\n", stack)


def render(fixture: Fixture, diagnosis: Diagnosis) -> str:
    """A fixture as its file shows it, the diagnosis marked below the line that decided."""
    head = [fixture.kind.value, f"origin: {fixture.origin}"]
    if fixture.stack:
        head.append("stack: " + ", ".join(f"{name}=={version}" for name, version in fixture.stack.items()))
    lines = fixture.text.splitlines()
    lines.insert(diagnosis.number or len(lines), _MARK + _verdict(diagnosis))
    return "\n".join([*(_HEAD + line for line in head), *lines]) + "\n"


def _verdict(diagnosis: Diagnosis) -> str:
    if not diagnosis.failure:
        return f"no failure ({', '.join(diagnosis.benign) or 'nothing was said to be wrong'})"
    captures = " ".join(f"{name}={value}" for name, value in sorted(diagnosis.captures.items()) if value)
    return f"{diagnosis.signature or 'no signature'} {diagnosis.family} {captures}".strip()


def bless(folder: Path = FOLDER, catalogue: Catalogue | None = None) -> list[str]:
    """Write the marks of all fixtures anew, and say what is wrong with them.

    Returns:
        What does not hold: matches that another signature decides, near misses that are taken for the real thing,
        files of signatures that do not exist.

    Raises:
        FixtureError: a file does not have the form described above.
        OSError: a file cannot be read or written.
    """
    catalogue = catalogue or shipped()
    known = {signature.id for signature in catalogue.signatures}
    problems: list[str] = []
    for path in sorted(folder.glob("*.log")):
        if path.stem not in known:
            problems.append(f"{path.name}: there is no signature of this name")
            continue
        path.write_text(marked(parse(path), catalogue, problems), encoding="utf-8")
    return problems


def marked(fixtures: list[Fixture], catalogue: Catalogue, problems: list[str]) -> str:
    """A file's fixtures with their marks; what does not hold is added to ``problems``."""
    parts = []
    for fixture in fixtures:
        diagnosis = classify(fixture.evidence(), catalogue)
        parts.append(render(fixture, diagnosis))
        if problem := fixture.problem(diagnosis):
            problems.append(problem)
    return "\n".join(parts)
