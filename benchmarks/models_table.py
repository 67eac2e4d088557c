"""The map of architectures as a page: ``python -m benchmarks.models_table [RESULTS.jsonl]``.

Made from the records of matrices/models.yaml and from benchmarks/models_causes.yaml; the page is
docs/models-measured.md. The lists of architectures are read from the wheels. The exit status is 1 where a red cell, a
difference of transformers from itself, or an architecture without a miniature has no cause in that file.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.version import Version

from benchmarks.models_causes import FILE, Cause, Causes, read_causes
from benchmarks.scan_models import MODELS, RESULTS, latest
from harness.core.verdict import Stage, Status, Verdict
from harness.engines import ENGINES, Backend
from harness.matrix.model_files import load_models
from harness.scan.evaluation.engine import ROOT as LMDEPLOY
from harness.scan.evaluation.engine import EngineRelease
from harness.scan.evaluation.importing import Consumers
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.core.records import Record

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "models-measured.md"
HEAD = """\
# Architectures, measured

Made by `python -m benchmarks.models_table` from the records of `matrices/models.yaml`: {measured}. What a miniature
shows and what not stands in [Your own model](models.md), how its numbers are judged in [emulate.md](emulate.md).

## Every architecture on every stack

{told}

A number is how far the engine is from transformers, in units of what float16 costs transformers itself: **bold** is a
wrong answer, *slanted* a measurable difference that leaves the tokens the same. With a `t` transformers is what is off,
and the engine agrees with the reference that came with the miniature. A word is the stage at which the stack failed;
`-` means that this lmdeploy does not list the architecture, `?` that nothing was learned.

"""
ITSELF = """
## Transformers against itself

How far each release of transformers is from the one that made the miniature, in the same units, at the part that is
furthest off: with eager attention, and with the one that it takes unasked where that differs by more. Above {changed:g}
it is a change.

"""
RED = """
## Causes of what is red

"""
COVERAGE = """
## LMDeploy's own lists

Read from the wheels of {versions}: in which of them each engine lists the architecture, and what stands for it here.

| architecture | pytorch | turbomind | miniature |
|---|---|---|---|
"""
SUPPORT = "backend-support"
"""The check that compares an architecture with the engine's own list."""
CHANGED = 0.5
"""As in the probe that compares transformers with itself."""


class Stack(NamedTuple):
    """Versions of both."""

    lmdeploy: str
    transformers: str

    @property
    def order(self) -> tuple[Version, Version]:
        """By version."""
        return Version(self.lmdeploy), Version(self.transformers)


def stack_of(record: Record) -> Stack:
    """The stack of a record."""
    return Stack(record.axes["lmdeploy"], record.axes["transformers"])


def facts_of(record: Record) -> Mapping[str, Any]:
    """The facts of the stage ``emulate``; none where it was not reached."""
    stage = next((stage for stage in record.stages if stage.stage is Stage.EMULATE), None)
    return stage.checks[0].facts if stage is not None and stage.checks else {}


def verdict_of(record: Record) -> Verdict:
    """Of the stage ``emulate``, or of the one on which the climb ended."""
    found = next((stage.verdict for stage in record.stages if stage.stage is Stage.EMULATE), None)
    return Verdict.parse(found or record.verdict)


def is_red(record: Record) -> bool:
    """Whether the cell is somebody's fault: not for want of a checkpoint, and not unlisted."""
    return verdict_of(record).status is Status.FAIL and not is_unlisted(record)


def is_unlisted(record: Record) -> bool:
    """Whether this lmdeploy does not have the architecture, or has it no more.

    The reason alone would not tell: a type that transformers does not know has the same one.
    """
    support = [check for stage in record.stages for check in stage.checks if check.name == SUPPORT]
    return any(check.outcome is Status.FAIL for check in support)


def ratio_of(record: Record) -> float | None:
    """The ratio of the part that is furthest off."""
    compared = facts_of(record).get("comparison")
    found = compared.get("ratio") if isinstance(compared, dict) else None
    return float(found) if isinstance(found, int | float) else None


def cell(record: Record | None) -> str:
    """A cell of the first table."""
    if record is None:
        return ""
    verdict, ratio = verdict_of(record), ratio_of(record)
    if verdict.status is Status.PASS and ratio is not None:
        facts = facts_of(record)
        if facts.get("blame") == "transformers":
            return f"{number(ratio)} t"
        return number(ratio) if facts["comparison"]["within"] else f"*{number(ratio)}*"
    if is_unlisted(record):
        return "-"
    if verdict.status is not Status.FAIL:
        return "?"
    return f"**{number(ratio)}**" if ratio is not None else str(verdict.stage)


def number(ratio: float) -> str:
    """Two digits, or three before the point."""
    return f"{ratio:.2g}" if ratio < 10 or not math.isfinite(ratio) else f"{ratio:.0f}"  # noqa: PLR2004 - one digit


def cells(records: Sequence[Record]) -> list[str]:
    """Every architecture on every stack."""
    stacks = sorted({stack_of(record) for record in records}, key=lambda stack: stack.order)
    by_cell = {(record.axes["model"], stack_of(record)): record for record in records}
    head = ["miniature", *(f"{lmdeploy}<br>{transformers}" for lmdeploy, transformers in stacks)]
    models = sorted({record.axes["model"] for record in records})
    rows = [row([model, *(cell(by_cell.get((model, stack))) for stack in stacks)]) for model in models]
    return [row(head), row("---" for _ in head), *rows]


def told(records: Sequence[Record]) -> str:
    """The sums of the first table."""
    states = Counter(state(record) for record in records)
    agreeing = {record.axes["model"] for record in records if state(record) == "agree"}
    return (
        f"{len(records)} cells of {len({record.axes['model'] for record in records})} miniatures on "
        f"{len({stack_of(record) for record in records})} stacks: "
        f"{', '.join(f'{count} {name}' for name, count in states.most_common())}. "
        f"{len(agreeing)} miniatures agree somewhere."
    )


def state(record: Record) -> str:
    """What a cell says, in a word."""
    if is_unlisted(record):
        return "not listed"
    if not is_red(record):
        return "agree" if verdict_of(record).status is Status.PASS else "taught nothing"
    return "wrong in their numbers" if ratio_of(record) is not None else "fail with an exception"


def itself(records: Sequence[Record], causes: Causes) -> tuple[list[str], list[str]]:
    """Transformers against itself, and the miniatures whose difference is not explained."""
    found: dict[str, dict[str, list[float]]] = {}
    for record in records:
        measured = facts_of(record).get("transformers_itself")
        if isinstance(measured, dict) and measured:
            off = {name: float(each["ratio"]) for name, each in measured.items()}
            eager = max((value for name, value in off.items() if "eager" in name), default=0.0)
            row_of = found.setdefault(record.axes["model"], {})
            row_of[record.axes["transformers"]] = [eager, max(off.values())]
    versions = sorted({version for row_of in found.values() for version in row_of}, key=Version)
    lines = [row(["miniature", *versions, "cause"]), row("---" for _ in range(len(versions) + 2))]
    unexplained = []
    for model, row_of in sorted(found.items()):
        changed = [version for version, values in row_of.items() if not max(values) <= CHANGED]
        cause = causes.of_difference(model, changed) if changed else None
        if changed and cause is None:
            unexplained.append(f"transformers against itself: {model} with {', '.join(sorted(changed, key=Version))}")
        said = f"{cause.cause} {where(cause.where)}" if cause is not None else "**not explained**" if changed else ""
        lines.append(row([model, *(shown(row_of.get(version)) for version in versions), said]))
    return lines, unexplained


def shown(values: list[float] | None) -> str:
    """The two ratios of a release, the second where it says more."""
    if values is None:
        return ""
    eager, either = values
    text = number(eager) if either <= max(CHANGED, eager) else f"{number(eager)}, unasked {number(either)}"
    return f"**{text}**" if not either <= CHANGED else text


def red(records: Sequence[Record], causes: Causes) -> tuple[list[str], list[str]]:
    """The causes of the red cells, and the cells that have none."""
    by_cause: dict[Cause, list[Record]] = {}
    unexplained = []
    for record in filter(is_red, records):
        stack, verdict = stack_of(record), str(verdict_of(record))
        cause = causes.of_cell(record.axes["model"], *stack, verdict)
        if cause is None:
            unexplained.append(f"{record.axes['model']} on {stack.lmdeploy} with {stack.transformers}: {verdict}")
        else:
            by_cause.setdefault(cause, []).append(record)
    lines = []
    for cause in (each for each in causes.cells if each in by_cause):
        found = by_cause[cause]
        lines += [f"### {cause.id}", "", f"{cause.cause} {where(cause.where)}", ""]
        lines += [f"- side: {cause.side}", f"- cells: {len(found)}: {in_words(found)}"]
        lines += [f"- shown by: {cause.proof}"] if cause.proof else []
        lines += [f"- report: {cause.report}"] if cause.report else []
        lines.append("")
    if unexplained:
        lines += ["### No cause known", "", *(f"- {each}" for each in unexplained), ""]
    unused = [cause.id for cause in causes.cells if cause not in by_cause]
    return lines, [*unexplained, *(f"the cause '{name}' explains no cell; drop it" for name in unused)]


def in_words(records: Iterable[Record]) -> str:
    """``qwen3-next on 0.12.3 (5.6.2, 5.17.0), 0.14.0 (5.6.2)``."""
    by_model: dict[str, dict[str, list[str]]] = {}
    for record in sorted(records, key=lambda record: (record.axes["model"], stack_of(record).order)):
        lmdeploy, transformers = stack_of(record)
        by_model.setdefault(record.axes["model"], {}).setdefault(lmdeploy, []).append(transformers)
    told_of = {
        model: ", ".join(f"{lmdeploy} ({', '.join(each)})" for lmdeploy, each in stacks.items())
        for model, stacks in by_model.items()
    }
    return "; ".join(f"{model} on {stacks}" for model, stacks in told_of.items())


def where(place: str) -> str:
    """A place in the sources, if there is one."""
    return f"(`{place}`)" if place else ""


def coverage(
    lists: Mapping[str, Mapping[str, frozenset[str]]], stands: Mapping[str, str], causes: Causes
) -> tuple[list[str], list[str]]:
    """Every architecture that an engine lists, and those for which nothing stands and no reason does.

    Args:
        lists: of each version and backend.
        stands: for each architecture with a verdict, its miniature.
        causes: with the reasons.
    """
    names = {name for engines in lists.values() for listed in engines.values() for name in listed}
    lines, unexplained = [], []
    for name in sorted(names, key=str.lower):
        here = stands.get(name) or causes.without.get(name)
        if here is None:
            unexplained.append(f"{name} has neither a miniature nor a reason")
        places = [
            span([version for version, engines in lists.items() if name in engines[backend]], list(lists))
            for backend in (Backend.PYTORCH, Backend.TURBOMIND)
        ]
        own = f"`{here}`" if name in stands else f"none: {here}" if here else "**none, for no known reason**"
        lines.append(row([f"`{name}`", *places, own]))
    return lines, unexplained


def standing(records: Iterable[Record]) -> dict[str, str]:
    """The miniature of each architecture, where at least one of its cells says something."""
    judged = {record.axes["model"] for record in records if verdict_of(record).status in (Status.PASS, Status.FAIL)}
    specs = load_models(MODELS)
    return {specs[name].architecture: name for name in sorted(judged & specs.keys(), reverse=True)}


def span(found: Sequence[str], every: Sequence[str]) -> str:
    """``all``, ``up to 0.14.0``, ``from 0.16.0``."""
    if not found or list(found) == list(every):
        return "all" if found else ""
    first, last = found[0] == every[0], found[-1] == every[-1]
    if len(found) != every.index(found[-1]) - every.index(found[0]) + 1:
        return ", ".join(found)
    return f"up to {found[-1]}" if first else f"from {found[0]}" if last else f"{found[0]} to {found[-1]}"


def lists_of(library: Library, versions: Iterable[str]) -> dict[str, dict[str, frozenset[str]]]:
    """The architectures that each version's engines list."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for version in versions:
        release = library.release(LMDEPLOY, version)
        release.fetch(release.modules)
        engine = EngineRelease(release, Consumers({LMDEPLOY: release}))
        found[version] = {backend: engine.architectures(backend) for backend in ENGINES}
    return found


def row(values: Iterable[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(value.replace('|', '/') for value in values)} |"


def page(
    records: Sequence[Record], lists: Mapping[str, Mapping[str, frozenset[str]]], causes: Causes
) -> tuple[str, list[str]]:
    """The page, and what has no cause."""
    days = sorted({f"{record.finished:%Y-%m-%d}" for record in records})
    measured = f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, no GPU"
    own, changed = itself(records, causes)
    reds, unknown = red(records, causes)
    covered, uncovered = coverage(lists, standing(records), causes)
    lines = [
        *HEAD.format(measured=measured, told=told(records)).splitlines(),
        *cells(records),
        *ITSELF.format(changed=CHANGED).splitlines(),
        *own,
        *RED.splitlines(),
        *reds,
        *COVERAGE.format(versions=", ".join(lists)).strip("\n").splitlines(),
        *covered,
    ]
    return "\n".join(lines) + "\n", [*unknown, *changed, *uncovered]


def main() -> int:
    """Read, write the page, name what has no cause."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, help="records of matrices/models.yaml")
    parser.add_argument("--causes", type=Path, default=FILE, help="why cells are red")
    parser.add_argument("--cache", type=Path, help="folder of the scan's cache")
    parser.add_argument("--write", type=Path, default=TABLE, help="the page")
    parser.add_argument("--red", action="store_true", help="print the exception of each cell without a cause, as JSON")
    given = parser.parse_args()
    if not given.results.is_file():
        parser.error(f"{given.results} is not there; run matrices/models.yaml, or name its results.jsonl")
    records = [record for record in latest(given.results) if record.axes["backend"] == Backend.PYTORCH]
    causes = read_causes(given.causes)
    library = Library(given.cache)
    try:
        versions = {record.axes["lmdeploy"] for record in records}
        newest = str(library.versions(LMDEPLOY)[-1])
        lists = lists_of(library, sorted({*versions, newest}, key=Version))
    finally:
        library.close()
    text, missing = page(records, lists, causes)
    given.write.write_text(text, encoding="utf-8")
    for each in missing:
        sys.stdout.write(f"{each}\n")
    if given.red:
        for record in filter(is_red, records):
            sys.stdout.write(f"{json.dumps(exception_of(record))}\n")
    sys.stdout.write(f"{given.write}: {told(records)}\n")
    return 1 if missing else 0


def exception_of(record: Record) -> dict[str, Any]:
    """What ended a climb: the exception and the last lines of lmdeploy's that it passed."""
    checks = [check for stage in record.stages for check in stage.checks if check.outcome is Status.FAIL]
    error = checks[0].exception if checks else None
    frames = [] if error is None else [f"{frame.file}:{frame.line}" for frame in error.frames]
    return {
        "model": record.axes["model"],
        "stack": stack_of(record),
        "verdict": str(verdict_of(record)),
        "error": "" if error is None else f"{error.type}: {error.message}",
        "frames": frames[-3:],
        "layers": facts_of(record).get("layers"),
        "blame": facts_of(record).get("blame"),
    }


if __name__ == "__main__":
    sys.exit(main())
