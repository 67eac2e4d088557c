"""Emulated against real, cell by cell: ``python -m benchmarks.agreement [EMULATED.jsonl] [REAL.jsonl]``.

A cell is one miniature on one lmdeploy and one transformers, emulated on a CPU (matrices/models.yaml) and booted on a
GPU (matrices/gpu.yaml). The page is docs/agreement-measured.md. The exit status is 1 where the two differ and
``on_a_gpu`` of benchmarks/models_causes.yaml does not say why. What that says of no cell that differs is named.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models_causes import FILE, Causes, Disagreement, read_causes
from benchmarks.models_table import Stack, facts_of, number, ratio_of, row, stack_of, verdict_of, where
from benchmarks.scan_models import RESULTS, latest
from harness.core.verdict import Reason, Status, Verdict
from harness.engines import Backend

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.core.records import Record

ROOT = Path(__file__).parent.parent
REAL = ROOT / "reports" / "reference" / "gpu-miniatures" / "results.jsonl"
PAGE = ROOT / "docs" / "agreement-measured.md"
HEAD = """\
# Emulated and on a GPU, measured

Made by `python -m benchmarks.agreement` from the records of `matrices/models.yaml` (emulated on a CPU) and of
`matrices/gpu.yaml` (booted on a GPU), for the pytorch engine: each miniature on each lmdeploy and transformers that
both reached. Python and torch differ: the emulation has those of its lock, the GPU its host's.

{told}

The emulation compares with the stack's own transformers, also what the engine makes of an image. The GPU compares a
text with the logits that are kept with the miniature. Both give the distance in units of what float16 costs
transformers itself: first emulated, then on the GPU, **bold** where that is a wrong answer. A word is the stage at
which it failed. ≠ marks a cell in which the two differ.

"""
DIFFERENT = """
## Why they differ

"""
SILENT = """
## Wrong without an error, on the GPU too

"""
AFTER_A_BOOT = frozenset({"emulate", "boot", "see", "structure"})
"""What fails in the engine itself fails at one of these, by the way that it is run."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell, both ways."""

    emulated: Record
    real: Record

    @property
    def model(self) -> str:
        """The miniature."""
        return self.emulated.axes["model"]

    @property
    def stack(self) -> Stack:
        """Both versions."""
        return stack_of(self.emulated)

    @property
    def verdicts(self) -> tuple[Verdict, Verdict]:
        """Emulated, and real."""
        return verdict_of(self.emulated), Verdict.parse(self.real.verdict)

    @property
    def image_aside(self) -> bool:
        """Whether the emulation was wrong about an image alone, which the GPU does not compare."""
        facts = facts_of(self.emulated)
        seen, text = facts.get("emulated_see"), facts.get("compared_structure")
        if not isinstance(seen, dict) or not seen.get("image") or not isinstance(text, dict):
            return False
        return all(part["within"] for part in text.values() if isinstance(part, dict))

    @property
    def agree(self) -> bool:
        """Whether the two say the same, as far as both look."""
        emulated, real = self.verdicts
        if emulated.status is not real.status:
            return is_wrong(emulated) and real.status is Status.PASS and self.image_aside
        if real.status is Status.PASS or is_wrong(emulated) or is_wrong(real):
            return is_wrong(emulated) is is_wrong(real)
        places = {str(each.stage) for each in (emulated, real)}
        return (emulated.reason, emulated.detail) == (real.reason, real.detail) and (
            len(places) == 1 or places <= AFTER_A_BOOT
        )


def is_wrong(verdict: Verdict) -> bool:
    """Whether it booted, answered, and was wrong."""
    return verdict.status is Status.FAIL and verdict.reason is Reason.WRONG_ANSWER


def pairs(emulated: Iterable[Record], real: Iterable[Record]) -> list[Pair]:
    """The cells of which both learned something, by model and version."""
    on_a_gpu = {cell_of(record): record for record in real if counts(record)}
    found = [
        Pair(record, on_a_gpu[cell_of(record)])
        for record in emulated
        if cell_of(record) in on_a_gpu and verdict_of(record).status in (Status.PASS, Status.FAIL)
    ]
    return sorted(found, key=lambda pair: (pair.model, pair.stack.order))


def cell_of(record: Record) -> tuple[str, Stack]:
    """Model and versions."""
    return record.axes["model"], stack_of(record)


def counts(record: Record) -> bool:
    """Whether it says something of the pytorch engine as it is, with a miniature."""
    plain = record.axes["backend"] == Backend.PYTORCH and not {"engine", "launch"} & record.axes.keys()
    learned = Verdict.parse(record.verdict).status in (Status.PASS, Status.FAIL)
    return plain and learned and "miniatures" in record.tags


def ratio_on_gpu(record: Record) -> float | None:
    """How far its logits were from the kept ones."""
    found = None
    for check in (check for stage in record.stages for check in stage.checks):
        numbers = check.facts.get("numbers")
        ratio = numbers.get("ratio") if isinstance(numbers, dict) else None
        found = float(ratio) if isinstance(ratio, int | float) else found
    return found


def side(verdict: Verdict, ratio: float | None) -> str:
    """One half of a cell."""
    if verdict.status is Status.PASS:
        return number(ratio) if ratio is not None else "pass"
    if is_wrong(verdict):
        return f"**{number(ratio) if ratio is not None else verdict.detail or 'wrong'}**"
    return str(verdict.stage)


def cell(pair: Pair | None) -> str:
    """A cell of the table."""
    if pair is None:
        return ""
    emulated, real = pair.verdicts
    text = f"{side(emulated, ratio_of(pair.emulated))}, {side(real, ratio_on_gpu(pair.real))}"
    if not pair.agree:
        return f"{text} ≠"
    return text if emulated.status is real.status else f"{text} (image aside)"


def told(found: Sequence[Pair]) -> str:
    """The sums."""
    agreeing = [pair for pair in found if pair.agree]
    kinds = Counter(kind(pair) for pair in agreeing)
    return (
        f"{len(found)} cells of {len({pair.model for pair in found})} miniatures on "
        f"{len({pair.stack for pair in found})} stacks: {len(agreeing)} say the same "
        f"({', '.join(f'{count} {name}' for name, count in kinds.most_common())}), {len(found) - len(agreeing)} do not."
    )


def kind(pair: Pair) -> str:
    """What both say."""
    real = pair.verdicts[1]
    return "right" if real.status is Status.PASS else "wrong without an error" if is_wrong(real) else "failed alike"


def differences(found: Sequence[Pair], causes: Causes) -> tuple[list[str], list[str], list[str]]:
    """Why cells differ, which have no reason, and reasons that no cell has."""
    by_cause: dict[Disagreement, list[Pair]] = {}
    missing = []
    for pair in found:
        if pair.agree:
            continue
        cause = causes.of_disagreement(pair.model, *pair.stack)
        if cause is None:
            missing.append(f"not explained: {in_words(pair)}")
        else:
            by_cause.setdefault(cause, []).append(pair)
    lines = [
        f"- {'; '.join(map(in_words, own))}. {cause.cause} {where(cause.where)}".rstrip()
        + (f" Shown by: {cause.proof}" if cause.proof else "")
        for cause, own in by_cause.items()
    ]
    unused = [f"explains no cell; drop it: {each.cause}" for each in causes.on_a_gpu if each not in by_cause]
    return [*lines, *(f"- {each}" for each in missing)], missing, unused


def in_words(pair: Pair) -> str:
    """Both verdicts."""
    emulated, real = pair.verdicts
    return f"{pair.model} on {' with '.join(pair.stack)}: emulated `{plain(emulated)}`, on the GPU `{plain(real)}`"


def plain(verdict: Verdict) -> str:
    """The verdict in a line without its numbers."""
    return str(verdict).partition("(")[0] if is_wrong(verdict) else str(verdict)


def page(found: Sequence[Pair], causes: Causes) -> tuple[str, list[str], list[str]]:
    """The page, what has no explanation, and explanations of nothing."""
    stacks = sorted({pair.stack for pair in found}, key=lambda stack: stack.order)
    by_cell = {(pair.model, pair.stack): pair for pair in found}
    models = sorted({pair.model for pair in found})
    rows = [row([model, *(cell(by_cell.get((model, stack))) for stack in stacks)]) for model in models]
    why, missing, unused = differences(found, causes)
    silent = [pair for pair in found if all(map(is_wrong, pair.verdicts))]
    lines = [
        *HEAD.format(told=told(found)).splitlines(),
        row(["miniature", *("<br>".join(stack) for stack in stacks)]),
        row("---" for _ in range(len(stacks) + 1)),
        *rows,
        *(DIFFERENT.splitlines() if why else []),
        *why,
        *SILENT.splitlines(),
        *(f"- {pair.model} on {' with '.join(pair.stack)}: {cell(pair)}" for pair in silent),
    ]
    return "\n".join(lines) + "\n", missing, unused


def main() -> int:
    """Read, write the page, name what has no explanation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("emulated", type=Path, nargs="?", default=RESULTS, help="records of matrices/models.yaml")
    parser.add_argument("real", type=Path, nargs="?", default=REAL, help="records of matrices/gpu.yaml")
    parser.add_argument("--causes", type=Path, default=FILE, help="why the two differ")
    parser.add_argument("--write", type=Path, default=PAGE, help="the page")
    given = parser.parse_args()
    for file in (given.emulated, given.real):
        if not file.is_file():
            parser.error(f"{file} is not there; run its matrix, or name its results.jsonl")
    emulated = [record for record in latest(given.emulated) if record.axes["backend"] == Backend.PYTORCH]
    found = pairs(emulated, latest(given.real))
    if not found:
        parser.error("no cell is in both files; run both matrices on one lmdeploy and one transformers at least")
    text, missing, unused = page(found, read_causes(given.causes))
    given.write.write_text(text, encoding="utf-8")
    sys.stdout.write("".join(f"{each}\n" for each in [*missing, *unused]) + f"{given.write}: {told(found)}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
