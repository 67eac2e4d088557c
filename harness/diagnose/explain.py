"""A diagnosis for a person or a program: text, JSON or Markdown."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, BinaryIO, Literal

from packaging.requirements import InvalidRequirement, Requirement

from harness.core.errors import HarnessError
from harness.core.markdown import block, plain
from harness.core.verdict import Reason
from harness.core.visible import visible, without_colour
from harness.diagnose.catalogue import Catalogue, shipped
from harness.diagnose.classify import Diagnosis, classify
from harness.diagnose.cluster import Proposal, propose
from harness.diagnose.evidence import Evidence
from harness.process.redaction import redact, redact_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Format = Literal["text", "json", "markdown"]
FORMATS: tuple[Format, ...] = ("text", "json", "markdown")
_SURE = 0.75
_LIKELY = 0.5


class StackError(HarnessError, ValueError):
    """A file that should name installed packages does not; the message says what is wrong."""


def explain(
    source: str | Path | bytes | BinaryIO,
    stack: Mapping[str, str] | None = None,
    form: Format = "text",
    catalogue: Catalogue | None = None,
) -> str:
    """Say what went wrong in a log.

    Args:
        source: the log: its text, its bytes, an open binary file, or the path of a file.
        stack: installed packages, name to version, if known.
        form: ``text``, ``json`` or ``markdown``.
        catalogue: the known failures; the shipped ones unless given.

    Raises:
        OSError: the file cannot be read.
    """
    catalogue = catalogue or shipped()
    evidence = Evidence.from_log(source, stack)
    diagnosis = classify(evidence, catalogue)
    unknown = diagnosis.failure and (diagnosis.guessed or diagnosis.family is Reason.UNKNOWN)
    proposal = propose(evidence, catalogue) if unknown else None
    answer = redact_tree(_answer(diagnosis, evidence, catalogue, proposal))
    if form == "json":
        return json.dumps(answer, indent=2, ensure_ascii=False)
    return _as_text(answer) if form == "text" else _as_markdown(answer)


def _answer(
    diagnosis: Diagnosis, evidence: Evidence, catalogue: Catalogue, proposal: Proposal | None
) -> dict[str, object]:
    return {
        "failure": diagnosis.failure,
        "family": str(diagnosis.family) if diagnosis.failure else None,
        "signature": diagnosis.signature,
        "title": diagnosis.title,
        "detail": diagnosis.detail,
        "captures": {name: value for name, value in diagnosis.captures.items() if value},
        "confidence": diagnosis.confidence,
        "guess": diagnosis.guessed,
        "line": visible(without_colour(diagnosis.line)).strip(),
        "line_number": diagnosis.number,
        "cause": diagnosis.cause,
        "remedy": diagnosis.remedy,
        "source": diagnosis.source,
        "noise": [{"signature": name, "title": catalogue[name].title} for name in diagnosis.benign],
        "proposal": {"signature": proposal.signature, "fixture": proposal.fixture} if proposal else None,
        "log": {"bytes": evidence.size, "complete": evidence.complete},
    }


def _certainty(confidence: object) -> str:
    value = confidence if isinstance(confidence, float) else 0.0
    return "sure" if value >= _SURE else "likely" if value >= _LIKELY else "a guess"


def _as_text(answer: Mapping[str, object]) -> str:
    lines: list[str] = []
    if not answer["failure"]:
        lines.append("No failure found: nothing in this log was said to be wrong.")
    elif answer["signature"] is None:
        lines += ["Unknown failure: no signature recognises it.", _where(answer)]
    else:
        lines += [
            f"{answer['title']}",
            "",
            f"  family     {answer['family']}",
            f"  signature  {answer['signature']} ({_certainty(answer['confidence'])}, {answer['confidence']})",
            f"  {_where(answer)}",
            f"  cause      {answer['cause']}",
            f"  remedy     {answer['remedy']}",
            f"  source     {answer['source']}",
        ]
    lines += [f"  ignored    {item['title']}" for item in _entries(answer["noise"])]
    if isinstance(proposal := answer["proposal"], dict):
        lines += ["", "A signature to begin with (harness/diagnose/signatures.yaml):", "", str(proposal["signature"])]
    return "\n".join(lines).rstrip()


def _where(answer: Mapping[str, object]) -> str:
    number = f"line {answer['line_number']}" if answer["line_number"] else "raised"
    return f"{number:<10} {answer['line']}"


def _entries(value: object) -> list[dict[str, str]]:
    return value if isinstance(value, list) else []


def _as_markdown(answer: Mapping[str, object]) -> str:
    if not answer["failure"]:
        text = "**No failure found.** Nothing in this log was said to be wrong.\n"
    elif answer["signature"] is None:
        text = f"**Unknown failure.** No signature recognises it.\n\n{block(str(answer['line']), 'text')}"
    else:
        text = f"**{plain(str(answer['title']))}**\n\n{block(str(answer['line']), 'text')}\n"
        certainty = _certainty(answer["confidence"])
        text += f"- Family: `{answer['family']}`, signature `{answer['signature']}` ({certainty})\n"
        text += f"- Cause: {plain(str(answer['cause']))}\n- Remedy: {plain(str(answer['remedy']))}\n"
        text += f"- Source: {answer['source']}\n"
    text += "".join(f"- Ignored: {plain(item['title'])}\n" for item in _entries(answer["noise"]))
    if isinstance(proposal := answer["proposal"], dict):
        text += f"\nA signature to begin with:\n\n{block(str(proposal['signature']), 'yaml')}"
    return text.rstrip()


def read_stack(path: Path) -> dict[str, str]:
    """Installed packages from a ``pylock.toml`` or from lines ``name==version`` (``pip freeze``).

    Raises:
        StackError: it is neither.
        OSError: it cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".toml":
        return _from_pylock(text, path)
    found = dict(_pinned(line, path) for line in text.splitlines() if "==" in line and not line.startswith(("#", "-")))
    if not found:
        raise StackError(f"{path} holds no line of the form name==version, and is no pylock.toml")
    return found


def _from_pylock(text: str, path: Path) -> dict[str, str]:
    try:
        packages = tomllib.loads(text)["packages"]
        return {entry["name"]: entry["version"] for entry in packages if "version" in entry}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StackError(f"{path} is not a pylock.toml: {error}") from error


def _pinned(line: str, path: Path) -> tuple[str, str]:
    name, _, version = line.partition(";")[0].partition("==")
    try:
        return Requirement(name.strip()).name, redact(version.strip().split()[0])
    except (InvalidRequirement, IndexError) as error:
        raise StackError(f"{path}: {line.strip()!r} is not of the form name==version") from error
