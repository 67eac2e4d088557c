"""Failures that no signature knows: put together what is the same, and propose a signature for it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from harness.core.verdict import Reason
from harness.diagnose.classify import classify, unexplained
from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.diagnose.catalogue import Catalogue
    from harness.diagnose.evidence import Evidence
    from harness.diagnose.statements import Statement

_FRAMES = 3
_VARIABLE = (
    (text_pattern(r"0x[0-9a-fA-F]+|\b[0-9a-f]{12,}\b"), "<hex>"),
    (text_pattern(r"(?:[A-Za-z]:)?(?:[/\\][\w.+@~-]+){2,}[/\\]?"), "<path>"),
    (text_pattern(r"https?://[^\s'\"]+"), "<address>"),
    (text_pattern(r"\d+(?:\.\d+)*"), "<n>"),
    (text_pattern(r"'[^']{1,200}'|\"[^\"]{1,200}\"|`[^`]{1,200}`"), "<quoted>"),
)
_META = text_pattern(r"([\\.+*?()|\[\]{}^$])")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A signature and a fixture to begin with."""

    signature: str
    """An entry for ``signatures.yaml``."""
    fixture: str
    """A file for ``fixtures/``."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Unknown failures that are the same up to numbers, paths and names."""

    key: str
    """Stable id of the cluster."""
    trace: str
    """What its members have in common."""
    members: tuple[str, ...]
    """Names of the logs or checks."""
    proposal: Proposal


def normalised(statement: Statement) -> str:
    """A statement and its innermost frames, without what differs from one run to the next."""
    frames = [f"{frame.file}:{frame.function}" for frame in statement.frames[-_FRAMES:]]
    return "\n".join([_generalised(statement.text), *frames])


def cluster(evidence: Iterable[tuple[str, Evidence]], catalogue: Catalogue | None = None) -> list[Cluster]:
    """Put the unknown ones among some failures together, the largest group first.

    Args:
        evidence: pairs of a name and what was said.
        catalogue: the known failures; the shipped ones unless given.
    """
    groups: dict[str, list[tuple[str, Evidence, Statement]]] = {}
    for name, item in evidence:
        diagnosis = classify(item, catalogue, guess=False)
        statement = unexplained(item, catalogue)
        if diagnosis.failure and diagnosis.family is Reason.UNKNOWN and statement is not None:
            groups.setdefault(normalised(statement), []).append((name, item, statement))
    found = [
        Cluster(_key(trace), trace, tuple(name for name, _, _ in members), _propose(members[0][2], trace))
        for trace, members in groups.items()
    ]
    return sorted(found, key=lambda item: (-len(item.members), item.key))


def propose(evidence: Evidence, catalogue: Catalogue | None = None) -> Proposal | None:
    """A signature for a failure that nothing recognises; None when nothing was said to be wrong."""
    statement = unexplained(evidence, catalogue)
    return _propose(statement, normalised(statement)) if statement is not None else None


def _key(trace: str) -> str:
    return hashlib.sha256(trace.encode()).hexdigest()[:10]


def _generalised(text: str) -> str:
    for pattern, replacement in _VARIABLE:
        text = pattern.sub(replacement, text)
    return text


def _propose(statement: Statement, trace: str) -> Proposal:
    name = f"unknown-{_key(trace)}"
    message = statement.text.partition(": ")[2] if statement.type else statement.text
    packages = [frame.file.split("/", 1)[0] for frame in statement.frames if "/" in frame.file]
    entry: dict[str, object] = {
        "id": name,
        "family": str(Reason.UNKNOWN),
        "when": {"text": _expression(message or statement.text)} | ({"project": packages[-1]} if packages else {}),
        "title": "TODO: what happened, in one line",
        "cause": "TODO: why",
        "remedy": "TODO: what to change",
        "source": "TODO: a public address, or own run",
    }
    stream = io.StringIO()
    writer = YAML()
    writer.width = 4096
    writer.dump([entry], stream)
    frames = [
        f'  File "{frame.file}", line {frame.line}, in {frame.function}\n    {frame.text}' for frame in statement.frames
    ]
    log = "\n".join((["Traceback (most recent call last):", *frames] if frames else []) + [statement.text])
    return Proposal(
        stream.getvalue(), f"#: match\n#: origin: TODO\n{log}\n\n#: near miss\n#: origin: synthetic\nTODO\n"
    )


def _expression(message: str) -> str:
    """An expression for a message: its words as they are, what varies left open."""
    text = _generalised(message[:200])
    for _, mark in _VARIABLE:
        text = text.replace(mark, "\0")
    return _META.sub(r"\\\1", text).replace("\0", r".{1,80}")
