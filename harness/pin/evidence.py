"""EVIDENCE.md: what was shown of the stack, where, when and for which target, what was not, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from harness.core.markdown import code, plain, table
from harness.evidence.told import conflict_lines, level_words, memory_line, not_shown_line, shown_line
from harness.pin.choose import latency_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from harness.core.records import Record
    from harness.evidence.stacks import Knowledge
    from harness.matrix.models import ModelSpec
    from harness.pin.advisories import Audit
    from harness.pin.choose import Chosen, TestedStack, Wish


@dataclass(frozen=True, slots=True)
class Pin:
    """Everything that a pin says."""

    chosen: TestedStack
    outcome: Chosen
    knowledge: Knowledge
    wish: Wish
    spec: ModelSpec
    audited: Audit
    made: datetime


VERIFY = "`lmdeploy-harness pin verify` on this folder installs it afresh and compares."


def evidence(pin: Pin, notes: Sequence[str]) -> str:
    """The whole file.

    Args:
        pin: what is pinned, and why.
        notes: what is to be known of the folder's other files.
    """
    known, record, wish = pin.chosen.known, pin.chosen.record, pin.wish
    memory = memory_line(pin.knowledge, known, wish.gpu_memory_gib)
    lines = [
        f"# Evidence for {pin.chosen.name}",
        "",
        f"Level {known.level.mark} of 6, {level_words(known)}.",
        "",
        f"- {plain(shown_line(pin.knowledge, known).text)}",
        f"- {plain(not_shown_line(known))}",
        *([f"- {plain(memory.text)}"] if memory is not None else []),
        *(f"- {plain(each.text)}" for each in conflict_lines(known)),
        f"- The record: {code(record.id)}, {code(record.verdict)}, from {_source(pin)}",
        f"- Tested {record.finished:%Y-%m-%d %H:%M} UTC, {_age(pin)} before this pin was made ({pin.made:%Y-%m-%d})",
        _place(record),
        (
            f"- Target: Python {wish.python or 'any'}, backend {wish.backend or 'any'}, "
            f"GPU memory {f'{wish.gpu_memory_gib:g} GiB' if wish.gpu_memory_gib else 'not said'}"
        ),
        f"- Both passes, warm: {_latency(record)}",
        f"- Stack: `{pin.chosen.lock.name}`, {len(pin.chosen.lock.stack)} packages",
        f"- Known vulnerabilities: {pin.audited.sentence()}",
        f"- Reproduction: {VERIFY}",
        "",
        table(
            ("stage", "verdict", "seconds"),
            [(each.stage, code(each.verdict), f"{each.seconds:.1f}") for each in record.stages],
        ),
        *(f"{note}\n" for note in notes),
    ]
    if pin.audited.found:
        lines += ["## Known vulnerabilities\n", _advisories(pin.audited)]
    lines += ["## Not taken\n", *(f"- {plain(each.words)}" for each in pin.outcome.rejected)]
    return "\n".join(lines).rstrip() + "\n"


def with_reproduction(text: str, said: str) -> str:
    """The evidence with what a fresh installation came to.

    Args:
        text: the file as :func:`evidence` made it.
        said: one sentence.
    """
    return text.replace(f"- Reproduction: {VERIFY}", f"- Reproduction: {said} {VERIFY}", 1)


def _age(pin: Pin) -> str:
    days = (pin.made - pin.chosen.record.finished.astimezone(UTC)).days
    return f"{days} day{'' if days == 1 else 's'}"


def _place(record: Record) -> str:
    machine = record.machine
    system = f"{machine.os}{' under WSL2' if machine.wsl else ''}"
    return f"- On {system}, GPU: {', '.join(machine.gpus) or 'none'}, driver: {machine.driver or 'none'}"


def _source(pin: Pin) -> str:
    best = pin.chosen.known.best
    return code(best.sighting.source) if best is not None and best.sighting.source else "this machine"


def _latency(record: Record) -> str:
    latency = latency_of(record)
    return f"{latency:.3f} s" if latency is not None else "not measured"


def _advisories(audited: Audit) -> str:
    rows = [
        (
            f"{each.package} {each.version}",
            plain(", ".join((each.id, *each.aliases))),
            ", ".join(each.fixed) or "no release yet",
            plain(each.summary),
        )
        for each in audited.found
    ]
    return table(("package", "advisory", "fixed in", "what"), rows)
