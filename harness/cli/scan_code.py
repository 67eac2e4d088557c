"""``harness scan --code`` and ``scan --package``: what somebody's own code imports, and where all of it is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from harness.core.errors import ExitCode
from harness.environments.lock_files.reader import named_in
from harness.scan.answers.code import scan_code
from harness.scan.answers.findings import Prediction
from harness.scan.answers.symbols import presence_of
from harness.scan.evaluation.code import code_at, code_of
from harness.scan.evaluation.engine import ROOT
from harness.scan.evaluation.outside import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.core.presence import Presence
    from harness.scan.answers.code import Asked, CodeScan
    from harness.scan.evaluation.code import Code
    from harness.scan.evaluation.failures import Failure
    from harness.scan.sources.release import Library

_USUAL = (Requirement(ROOT), Requirement(PROVIDER))


def requirement(text: str, option: str) -> Requirement:
    """A package with or without versions, as an option has it."""
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise click.UsageError(f"{option} '{text}' is not a requirement: {error}") from error


def of_lock(file: Path, wanted: Sequence[Requirement], python: str) -> list[Requirement]:
    """What is asked about, in the versions that a project's lock has; a package that it does not name, in any.

    Raises:
        UnreadableLock: the file cannot be read.
    """
    asked = wanted or _USUAL
    named = named_in(file, {canonicalize_name(each.name) for each in asked if not each.specifier}, python)
    if not named and not any(each.specifier for each in asked):
        raise click.UsageError(f"--lock {file} names no {' and no '.join(each.name for each in asked)}")
    there = {canonicalize_name(each.name) for each in named}
    return [*named, *(each for each in asked if canonicalize_name(each.name) not in there)]


def codes(library: Library, paths: Sequence[Path], packages: Sequence[str]) -> Iterator[Code]:
    """The code that the options name.

    Raises:
        NoCode: there is none at a path.
        NoSuchRelease: the index has no such package.
        IndexUnavailable: the index cannot be asked.
    """
    yield from (code_at(path) for path in paths)
    for text in packages:
        wanted = requirement(text, "--package")
        release = library.newest(wanted.name, [wanted])
        if release is None:
            raise click.UsageError(f"--package '{text}': the index has no such version of {wanted.name}")
        yield code_of(release)


def answer(  # noqa: PLR0913 - what is asked, and how it is told
    library: Library,
    asking: Sequence[Code],
    wanted: Sequence[Requirement],
    *,
    form: str,
    everything: bool,
    ranges: bool,
    progress: Callable[[str], None] | None,
) -> ExitCode:
    """Print what is found; unexpected when no version of a package gives everything that the code needs."""
    found: list[tuple[Code, list[CodeScan]]] = []
    for code in asking:
        answers = [scan_code(library, code, each, progress=progress) for each in wanted or _USUAL]
        found.append((code, [each for each in answers if each is not None]))
    if form == "json":
        click.echo(json.dumps([scan.to_json() for _, scans in found for scan in scans], indent=1))
    else:
        for code, scans in found:
            click.echo("\n".join(_told(library, code, scans, wanted, everything=everything, ranges=ranges)))
    failing = any(scan.verdict is Prediction.FAIL for _, scans in found for scan in scans)
    return ExitCode.UNEXPECTED if failing else ExitCode.OK


def _told(  # noqa: PLR0913 - as above
    library: Library,
    code: Code,
    scans: Sequence[CodeScan],
    wanted: Sequence[Requirement],
    *,
    everything: bool,
    ranges: bool,
) -> Iterator[str]:
    for scan in scans:
        if len(scan.lacks) == 1:
            yield from _one_version(library, scan, everything=everything, ranges=ranges)
        else:
            yield from _versions(scan, everything=everything)
    for path, reason in code.unread.items():
        yield f"{path}: not read, {reason}"
    named = {canonicalize_name(each.name) for each in wanted or _USUAL}
    if not scans:
        yield f"{code.name} imports nothing of {' or '.join(sorted(named))}"
    others = sorted(root for root in code.roots if canonicalize_name(root) not in named)
    if others and (everything or not scans):
        yield f"it imports besides: {', '.join(others)} (--provider NAME looks at one)"


def _one_version(library: Library, scan: CodeScan, *, everything: bool, ranges: bool) -> Iterator[str]:
    (version, lacks), *_ = scan.lacks.items()
    count = len({each.need.symbol for each in scan.asked})
    head = f"{scan.verdict}: {scan.code} with {scan.package} {version}"
    yield f"{head}: {_names(count)} asked (a prediction from sources)"
    kinds = [("at import", lacks.at_import), ("", lacks.when_called), ("behind a test", lacks.behind_a_test)]
    if everything:
        kinds.append(("where that is caught", lacks.caught))
    missing = [failure.symbol for _, failures in kinds for failure in failures]
    there = presence_of(library, missing, package=scan.package) if ranges and missing else {}
    for how, failures in kinds:
        for failure in failures:
            where = f"; there in {_span(there[failure.symbol])}" if failure.symbol in there else ""
            yield f"  {failure.symbol} is missing {how or f'in {failure.function}()'}, {_place(failure)}{where}"


def _versions(scan: CodeScan, *, everything: bool) -> Iterator[str]:
    symbols = {each.need.symbol for each in scan.asked}
    yield f"{scan.code} asks {_names(len(symbols))} of {scan.package} (a prediction from sources)"
    yield f"  everything is there in: {_span(scan.complete)}"
    if scan.importable.runs != scan.complete.runs:
        yield f"  it can be imported with: {_span(scan.importable)}"
    if scan.whatever_holds.runs != scan.complete.runs:
        yield f"  what stands behind a test too: {_span(scan.whatever_holds)}"
    rows: dict[tuple[str, str], list[Asked]] = {}
    for each in scan.asked:
        if everything or len(each.there.versions) < len(scan.lacks):
            rows.setdefault((each.need.symbol, each.how), []).append(each)
    for (symbol, how), places in rows.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        place = f"{places[0].need.file}:{places[0].need.line}{more}"
        yield f"  {symbol}: {_span(places[0].there)}; {how}, {place}"
    hidden = len(symbols - {symbol for symbol, _ in rows})
    if hidden:
        yield f"  {_names(hidden)} in every release looked at (--all lists them)"


def _place(failure: Failure) -> str:
    return f"{failure.file}:{failure.line}"


def _names(count: int) -> str:
    return f"{count} name{'' if count == 1 else 's'}"


def _span(there: Presence) -> str:
    """The versions that have it, a stretch that reaches the newest left open."""
    if not there.runs:
        return f"none of {len(there.looked_at)} releases"
    parts = []
    for first, last in there.runs:
        if first == last:
            parts.append(str(first))
        else:
            newest = ", the newest" if last == there.looked_at[-1] else ""
            parts.append(f"{first} to {last}{newest}")
    return " or ".join(parts)
