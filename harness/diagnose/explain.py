"""A diagnosis for a person or a program: text, JSON or Markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from harness.core.markdown import block, plain
from harness.core.verdict import Reason
from harness.core.visible import visible, without_colour
from harness.diagnose.catalogue import Catalogue, shipped
from harness.diagnose.classify import Diagnosis, classify
from harness.diagnose.cluster import Proposal
from harness.diagnose.cluster import propose as proposal_for
from harness.diagnose.commands import Command, commands_of, contradiction
from harness.diagnose.evidence import Evidence
from harness.process.redaction import redact_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.diagnose.missing import Lookup

Format = Literal["text", "json", "markdown"]
Resolve: TypeAlias = "Callable[[Sequence[str], Mapping[str, str]], str]"
FORMATS: tuple[Format, ...] = ("text", "json", "markdown")
_SURE = 0.9
_LIKELY = 0.5
_TRACKERS = {
    "lmdeploy": "https://github.com/InternLM/lmdeploy/issues",
    "transformers": "https://github.com/huggingface/transformers/issues",
    "vllm": "https://github.com/vllm-project/vllm/issues",
    "sglang": "https://github.com/sgl-project/sglang/issues",
    "torch": "https://github.com/pytorch/pytorch/issues",
    "triton": "https://github.com/triton-lang/triton/issues",
    "huggingface_hub": "https://github.com/huggingface/huggingface_hub/issues",
    "peft": "https://github.com/huggingface/peft/issues",
    "swift": "https://github.com/modelscope/ms-swift/issues",
    "xinference": "https://github.com/xorbitsai/inference/issues",
}


def explain(  # noqa: PLR0913 - each is a question of its own
    source: str | Path | bytes | BinaryIO,
    stack: Mapping[str, str] | None = None,
    form: Format = "text",
    catalogue: Catalogue | None = None,
    *,
    lookup: Lookup | None = None,
    propose: bool = False,
    resolve: Resolve | None = None,
) -> str:
    """Say what went wrong in a log.

    Args:
        source: the log: its text, its bytes, an open binary file, or the path of a file.
        stack: installed packages, name to version, if known.
        form: ``text``, ``json`` or ``markdown``.
        catalogue: the known failures; the shipped ones unless given.
        lookup: in which versions a name is there; the shipped table unless given.
        propose: whether to propose a signature for a failure that none recognises.
        resolve: says whether there are versions for the requirements of the commands, beside what is installed.

    Raises:
        OSError: the file cannot be read.
    """
    catalogue = catalogue or shipped()
    evidence = Evidence.from_log(source, stack)
    diagnosis = classify(evidence, catalogue, lookup=lookup)
    unknown = diagnosis.failure and (diagnosis.guessed or diagnosis.family is Reason.UNKNOWN)
    proposal = proposal_for(evidence, catalogue) if propose and unknown else None
    commands = commands_of(diagnosis, evidence.installed)
    answer = _answer(diagnosis, evidence, catalogue, proposal, commands)
    if resolve is not None and commands:
        answer["resolved"] = resolve([command.requirement for command in commands], evidence.installed)
    answer = redact_tree(answer)
    if form == "json":
        return json.dumps(answer, indent=2, ensure_ascii=False)
    return _as_text(answer) if form == "text" else _as_markdown(answer)


def _answer(
    diagnosis: Diagnosis,
    evidence: Evidence,
    catalogue: Catalogue,
    proposal: Proposal | None,
    commands: Sequence[Command],
) -> dict[str, object]:
    apart = contradiction(diagnosis)
    return {
        "failure": diagnosis.failure,
        "empty": evidence.size == 0,
        "family": str(diagnosis.family) if diagnosis.failure else None,
        "signature": diagnosis.signature,
        "title": diagnosis.title,
        "detail": diagnosis.detail,
        "captures": {name: value for name, value in diagnosis.captures.items() if value},
        "confidence": diagnosis.confidence,
        "remedy_confidence": diagnosis.remedy_confidence,
        "guess": diagnosis.guessed,
        "line": visible(without_colour(diagnosis.line)).strip(),
        "line_number": diagnosis.number,
        "package": diagnosis.package,
        "cause": diagnosis.cause,
        "remedy": diagnosis.remedy,
        "commands": [command.to_json() for command in commands],
        "resolved": "",
        "apart": apart.package if apart else None,
        "source": diagnosis.source,
        "others": [
            {
                "signature": other.signature,
                "family": str(other.family),
                "title": other.title,
                "line_number": other.number,
                "remedy": other.remedy,
            }
            for other in diagnosis.others
        ],
        "report_to": _TRACKERS.get(diagnosis.package, "") if _to_report(diagnosis) else "",
        "noise": [{"signature": name, "title": catalogue[name].title} for name in diagnosis.benign],
        "proposal": {"signature": proposal.signature, "fixture": proposal.fixture} if proposal else None,
        "log": {"bytes": evidence.size, "complete": evidence.complete},
    }


def _to_report(diagnosis: Diagnosis) -> bool:
    return diagnosis.failure and (diagnosis.signature is None or diagnosis.guessed)


def _certainty(confidence: object) -> str:
    value = confidence if isinstance(confidence, float) else 0.0
    return f"{'sure' if value >= _SURE else 'likely' if value >= _LIKELY else 'a guess'}, {value:.2f}"


def _as_text(answer: Mapping[str, object]) -> str:
    lines: list[str] = []
    if not answer["failure"]:
        lines.append(_nothing(answer))
    elif answer["signature"] is None:
        lines += ["Unknown failure: no signature recognises it.", f"  {_where(answer)}", *_to_collect(answer)]
    else:
        lines += [
            f"{answer['title']}",
            "",
            f"  family     {answer['family']}",
            f"  signature  {answer['signature']}",
            f"  {_where(answer)}",
            f"  cause      {answer['cause']} ({_certainty(answer['confidence'])})",
            f"  remedy     {answer['remedy']} ({_certainty(answer['remedy_confidence'])})",
            *(f"  command    {line}" for line in _command_lines(answer)),
            f"  source     {answer['source']}",
            *_to_collect(answer),
        ]
    for other in _entries(answer["others"]):
        lines += [f"  also       line {other['line_number']}: {other['title']}", f"             {other['remedy']}"]
    if answer["apart"]:
        lines.append(f"  together   {_apart(answer)}")
    lines += [f"  ignored    {item['title']}" for item in _entries(answer["noise"])]
    if isinstance(proposal := answer["proposal"], dict):
        lines += ["", "A signature to begin with (harness/diagnose/signatures.yaml):", "", str(proposal["signature"])]
    return "\n".join(lines).rstrip()


def _nothing(answer: Mapping[str, object]) -> str:
    if answer["empty"]:
        return "No failure found: there is nothing in it. Was the log written somewhere else (2>&1)?"
    return "No failure found: nothing in this log was said to be wrong."


def _apart(answer: Mapping[str, object]) -> str:
    return (
        f"No release of {answer['apart']} has all that is missing: the packages that ask for it need environments of "
        "their own, or releases of the same time."
    )


def _where(answer: Mapping[str, object]) -> str:
    number = f"line {answer['line_number']}" if answer["line_number"] else "raised"
    return f"{number:<10} {answer['line']}"


def _command_lines(answer: Mapping[str, object]) -> list[str]:
    lines = []
    for command in _entries(answer["commands"]):
        change = f"{command['from'] or '?'} -> {command['to']}" if command["to"] else str(command["from"])
        lines.append(f"{command['command']}{f'   # {change}' if change else ''}")
        if command["has"]:
            lines.append(f"# seen in the releases' sources: {', '.join(command['has'])}")
    return [*lines, f"# {answer['resolved'] or 'not resolved here'}; not run"] if lines else []


def _to_collect(answer: Mapping[str, object]) -> list[str]:
    """What somebody who reports an unknown failure should send, and where."""
    if not answer["guess"] and answer["signature"] is not None:
        return []
    lines = [f"  package    {answer['package']}"] if answer["package"] else []
    lines.append(
        "  collect    the whole log from the first error, lmdeploy check_env or pip freeze, the command, config.json"
    )
    return [*lines, *([f"  report to  {answer['report_to']}"] if answer["report_to"] else [])]


def _entries(value: object) -> list[dict[str, str]]:
    return value if isinstance(value, list) else []


def _as_markdown(answer: Mapping[str, object]) -> str:
    if not answer["failure"]:
        text = f"**{_nothing(answer).replace(': ', '.** ', 1)}\n"
    elif answer["signature"] is None:
        text = f"**Unknown failure.** No signature recognises it.\n\n{block(str(answer['line']), 'text')}"
    else:
        text = f"**{plain(str(answer['title']))}**\n\n{block(str(answer['line']), 'text')}\n"
        text += f"- Family: `{answer['family']}`, signature `{answer['signature']}`\n"
        text += f"- Cause: {plain(str(answer['cause']))} ({_certainty(answer['confidence'])})\n"
        text += f"- Remedy: {plain(str(answer['remedy']))} ({_certainty(answer['remedy_confidence'])})\n"
        text += f"- Source: {answer['source']}\n"
    if lines := _command_lines(answer):
        text += f"\n{block(chr(10).join(lines), 'sh')}\n"
    text += "".join(f"- Also: {plain(item['title'])} {plain(item['remedy'])}\n" for item in _entries(answer["others"]))
    text += f"- Together: {plain(_apart(answer))}\n" if answer["apart"] else ""
    text += "".join(f"- {line.strip().replace('    ', ': ', 1)}\n" for line in _to_collect(answer))
    text += "".join(f"- Ignored: {plain(item['title'])}\n" for item in _entries(answer["noise"]))
    if isinstance(proposal := answer["proposal"], dict):
        text += f"\nA signature to begin with:\n\n{block(str(proposal['signature']), 'yaml')}"
    return text.rstrip()
