"""The scan's answers in words, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines import Backend
from harness.scan.answers.findings import Prediction, Severity
from harness.scan.answers.symbols import presence_of
from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.outside import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.core.presence import Presence
    from harness.scan.answers.deadlock import Settlement
    from harness.scan.answers.findings import Finding, PairScan
    from harness.scan.answers.grid import Grid
    from harness.scan.answers.requirements import Requirement
    from harness.scan.answers.suggestion import Suggestion
    from harness.scan.answers.truth import Comparison
    from harness.scan.sources.release import Library

_MARKS = {Prediction.PASS: "·", Prediction.WARN: "!", Prediction.FAIL: "x", Prediction.REFUSED: "-"}
_SHOWN = 12
_WAYS_OUT = {
    Topic.QUANTISATION: "another engine may know it: {others}",
    Topic.ARCHITECTURE: "another engine or release may: {others}, or lmdeploy-harness suggest without --lmdeploy",
    Topic.REQUIREMENT: "with it in the stack: --package NAME",
}


def pair(found: PairScan, *, everything: bool = False) -> str:
    """One pair, its verdict first, then what decided it."""
    head = f"{found.verdict}: lmdeploy {found.lmdeploy} with transformers {found.transformers}"
    lines = [f"{head} for {found.model} ({found.backend}, Python {found.python}; a prediction from sources)"]
    for severity in Severity:
        chosen = [finding for finding in found.findings if finding.severity is severity]
        if severity is Severity.NOTE and not everything:
            if chosen:
                lines.append(f"{len(chosen)} notes; --all shows them")
            continue
        lines += [_line(finding) for finding in chosen]
    lines += _declared(found.declared)
    return "\n".join(lines)


def ranges_of(
    library: Library, found: PairScan, progress: Callable[[str], None] | None
) -> dict[str, tuple[str | None, str | None]]:
    """First and last version that has each missing name of transformers; no last when the newest has it.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    names = [
        finding.name
        for finding in found.findings
        if finding.kind in (Topic.NAME, Topic.MODULE)
        and finding.severity is not Severity.NOTE
        and finding.name.startswith(f"{PROVIDER}.")
    ]
    ranges: dict[str, tuple[str | None, str | None]] = {}
    for name, there in (presence_of(library, names, progress=progress) if names else {}).items():
        if there.runs:
            first, last = there.runs[0][0], there.runs[-1][1]
            ranges[name] = (str(first), None if last == there.looked_at[-1] else str(last))
    return ranges


def presence(name: str, found: Presence) -> str:
    """In which versions a name is."""
    ranges = " or ".join(text.removeprefix(found.package) or "any" for text in found.requirements())
    return f"{name.rpartition('.')[2]}: {f'{found.package} {ranges}' if ranges else f'in no {found.package}'}"


def settlement(found: Settlement) -> str:
    """Why-not's answer."""
    what = f"lmdeploy {found.lmdeploy} with {found.model} on the {found.backend} backend"
    span = f"of {len(found.considered)} transformers releases ({found.considered[0]} to {found.considered[-1]})"
    if found.left:
        lines = [f"not a deadlock: {len(found.left)} {span} satisfy everything that {what} asks (from sources)"]
        for run in found.runs:
            lines.append(f"  {run.first} to {run.last}" if run.first != run.last else f"  {run.first}")
            if run.below is not None:
                lines.append(f"    not older: {run.below}")
            if run.above is not None:
                lines.append(f"    not newer: {run.above}")
        return "\n".join(lines)
    lines = [f"a deadlock: none {span} satisfies everything that {what} asks (from sources)"]
    lines.append("these cannot all be met:" if len(found.conflict) > 1 else "this is never met:")
    lines.extend(f"  {each}\n    met by {_runs(found, each) or 'no version'}" for each in found.conflict)
    others = " or ".join(f"--backend {each}" for each in Backend if each != found.backend)
    lines.extend(f"  {_WAYS_OUT[each.kind].format(others=others)}" for each in found.conflict if each.kind in _WAYS_OUT)
    return "\n".join(lines)


def settlement_json(found: Settlement) -> dict[str, Any]:
    """Why-not's answer as plain data."""
    return {
        "lmdeploy": str(found.lmdeploy),
        "model": found.model,
        "backend": found.backend,
        "deadlock": not found.left,
        "considered": [str(version) for version in found.considered],
        "versions": [str(version) for version in found.left],
        "bounds": [
            {
                "first": str(run.first),
                "last": str(run.last),
                "not_older": None if run.below is None else _requirement(found, run.below),
                "not_newer": None if run.above is None else _requirement(found, run.above),
            }
            for run in found.runs
        ],
        "conflict": [_requirement(found, requirement) for requirement in found.conflict],
        "requirements": [_requirement(found, requirement) for requirement in found.satisfied_by],
        "prediction": True,
    }


def suggestions(found: Sequence[Suggestion]) -> str:
    """The versions that remain, a line for each engine release."""
    lines = []
    none = sorted(each.lmdeploy for each in found if each.best is None)
    for each in found:
        if each.best is None:
            continue
        names = [str(version.version) for version in each.versions]
        also = f"; also {', '.join(names[1:_SHOWN])}" if names[1:] else ""
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        lines.append(f"lmdeploy {each.lmdeploy}: transformers {each.best}{also}{more}")
    if none:
        which = str(none[0]) if len(none) == 1 else f"{none[0]} to {none[-1]}, {len(none)} releases"
        lines.append(f"lmdeploy {which}: no transformers version remains; lmdeploy-harness why-not tells why")
    return "\n".join(lines)


def grid(found: Grid) -> str:
    """The map, a line for each engine release and a mark for each transformers release."""
    lines = [
        f"{found.model} on the {found.backend} engine, Python {found.python}: predictions from the wheels' sources"
    ]
    lines.append("· pass   ! warning   x fails   - the resolver refuses")
    width = max((len(str(version)) for version in found.lmdeploy), default=0)
    for row in found.lmdeploy:
        marks = "".join(_MARKS[found.cells[row, column].verdict] for column in found.transformers)
        lines.append(f"{row!s:>{width}} {marks}")
    if found.transformers:
        lines.append(f"{'':>{width}} transformers {found.transformers[0]} … {found.transformers[-1]}")
    seconds = f"{found.seconds_reading:.1f} s reading, {found.seconds_pairs:.1f} s for {len(found.cells)} pairs"
    lines.append(f"{seconds}, {found.evaluations} of them evaluated in full, {found.peak_mib} MiB at most")
    return "\n".join(lines)


def truth(rows: Sequence[Comparison], sums: dict[str, int]) -> str:
    """The comparison of predictions with what really happened."""
    lines = [f"{'lmdeploy':>12} {'transformers':>12}  {'backend':<9}  {'model':<17}  {'foreseen':<8}  found"]
    lines.extend(
        f"{row.lmdeploy:>12} {row.transformers:>12}  {row.backend:<9}  {row.model:<17}  {row.predicted:<8}  "
        f"{row.kind}: {row.decided or 'nothing'}"
        for row in rows
    )
    told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in sums.items())
    return "\n".join([*lines, told])


def _line(finding: Finding) -> str:
    guarded = f" [{finding.guarded}]" if finding.guarded else ""
    versions = ""
    if finding.first_version is not None:
        versions = f" (there from {finding.first_version} to {finding.last_version or 'the newest'})"
    return f"  {finding.severity:<7} {finding.message}{guarded}{versions}"


def _declared(facts: dict[str, Any]) -> list[str]:
    if not facts:
        return []
    torch = f"{facts['torch']} → {facts['torch_newest']}" if facts["torch"] else "none"
    cuda = f", CUDA {facts['cuda']}" if facts["cuda"] else ""
    return [
        f"declared: requires {facts['requires'] or 'no transformers'}",
        f"          warns outside {facts['warns_outside'] or 'nothing'}",
        f"          torch {torch}{cuda}; wheels for {', '.join(facts['wheels_for'])}",
        *([f"          undeclared: {', '.join(facts['undeclared'])}"] if facts["undeclared"] else []),
    ]


def _requirement(found: Settlement, requirement: Requirement) -> dict[str, Any]:
    return {
        "name": requirement.subject,
        "kind": str(requirement.kind),
        "required_by": requirement.package,
        "file": requirement.file,
        "line": requirement.line,
        "met_by": [[str(first), str(last)] for first, last in found.satisfied_by.get(requirement, ())],
    }


def _runs(found: Settlement, requirement: Requirement) -> str:
    runs = found.satisfied_by.get(requirement, ())
    return ", ".join(f"{first} to {last}" if first != last else str(first) for first, last in runs)
