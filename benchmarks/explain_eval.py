"""How often ``lmdeploy-harness explain`` names the right family and a remedy that helps, on texts of public reports.

Run ``python -m benchmarks.explain_eval``: shares of each split, and how sure the answers were against how often they
were right. ``--offline`` asks no index for versions, ``--all`` lists every answer that is not right.
"""

from __future__ import annotations

import re
from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
from packaging.requirements import Requirement
from packaging.version import Version
from pydantic import BaseModel, BeforeValidator, ConfigDict
from ruamel.yaml import YAML

from harness.core.verdict import Reason
from harness.diagnose import Diagnosis, Evidence, classify
from harness.diagnose.boundaries import shipped
from harness.diagnose.commands import commands_of
from harness.diagnose.missing import InTurn
from harness.scan.answers.symbols import NamesOfReleases
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.diagnose.missing import Lookup

REPORTS = Path(__file__).with_name("explain_reports.yaml")


class Split(StrEnum):
    """What a text was used for."""

    BUILDING = "building"
    JUDGING = "judging"


class Grade(StrEnum):
    """What a remedy is worth."""

    RIGHT = "right"
    VAGUE = "vague"
    WRONG = "wrong"


class Report(BaseModel):
    """One text, and what a good answer to it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    split: Split
    series: int = 4
    """Which collection it came with; the first four are not told apart."""
    family: Annotated[tuple[Reason, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
    """Those that are right; empty where nothing failed."""
    says: tuple[str, ...] = ()
    """Each must occur in the remedy, its commands or those of further failures."""
    never: tuple[str, ...] = ()
    """None may."""
    versions: str = ""
    """A requirement: the versions that end the failure."""
    text: str

    def recognised(self, diagnosis: Diagnosis) -> bool:
        """Whether the family is right, or, where nothing failed, nothing is called a failure."""
        return diagnosis.family in self.family if self.family else not diagnosis.failure


def load(path: Path = REPORTS) -> list[Report]:
    """The texts.

    Raises:
        OSError: the file cannot be read.
        ValueError: an entry has another form.
    """
    return [Report.model_validate(entry) for entry in YAML(typ="safe").load(path.read_text(encoding="utf-8"))]


def grade(report: Report, diagnosis: Diagnosis, evidence: Evidence) -> Grade:
    """By rule: right as the report says; wrong where it says what never helps, or is of another family; else vague."""
    if not report.family:
        return Grade.WRONG if diagnosis.failure else Grade.RIGHT
    commands = [command.line for command in commands_of(diagnosis, evidence.installed)]
    said = "\n".join([diagnosis.remedy, *(other.remedy for other in diagnosis.others), *commands])
    if any(re.search(never, said) for never in report.never):
        return Grade.WRONG
    good = all(re.search(word, said) for word in report.says)
    if good and (not report.versions or _within(commands, report.versions)):
        return Grade.RIGHT
    return Grade.VAGUE if diagnosis.family in report.family or not diagnosis.remedy else Grade.WRONG


def _within(commands: Iterable[str], wanted: str) -> bool:
    """Whether a command names the package, and every version that it would take does."""
    truth = Requirement(wanted)
    for command in commands:
        named = Requirement(command.split('"')[1])
        if named.name == truth.name:
            known = next((each.looked_at for each in shipped().names.values() if each.package == truth.name), ())
            bounds = [Version(clause.version) for clause in named.specifier if not clause.version.endswith("*")]
            taken = [version for version in (*bounds, *known) if named.specifier.contains(version)]
            return bool(taken) and truth.specifier.contains(max(taken))
    return False


@click.command()
@click.option("--offline", is_flag=True, help="Ask no index for the versions of names.")
@click.option("--all", "every", is_flag=True, help="List every answer that is not right.")
@click.option("--series", type=int, help="Only the texts of one collection.")
def main(*, offline: bool, every: bool, series: int | None) -> None:
    """Measure explain on public reports."""
    library = None if offline else Library()
    lookup: Lookup = shipped() if library is None else InTurn(shipped(), NamesOfReleases(library))
    rows: dict[Split, list[tuple[Report, Diagnosis, Grade]]] = defaultdict(list)
    for report in load():
        if series is not None and report.series != series:
            continue
        evidence = Evidence.from_log(report.text)
        diagnosis = classify(evidence, lookup=lookup)
        rows[report.split].append((report, diagnosis, grade(report, diagnosis, evidence)))
    if library is not None:
        library.close()
    for split, answers in rows.items():
        click.echo(_shares(split, answers))
        click.echo(_by_family(answers))
        click.echo(_calibration(answers))
        for report, diagnosis, worth in answers if every else ():
            if worth is not Grade.RIGHT or not report.recognised(diagnosis):
                click.echo(f"  {report.source}: {diagnosis.family} ({diagnosis.signature}), remedy {worth}")


def _shares(split: Split, answers: Sequence[tuple[Report, Diagnosis, Grade]]) -> str:
    total = len(answers)
    family = sum(report.recognised(diagnosis) for report, diagnosis, _ in answers)
    grades = {each: sum(worth is each for _, _, worth in answers) for each in Grade}
    shares = ", ".join(f"{each} {count / total:.0%}" for each, count in grades.items())
    return f"{split}: {total} texts, family {family / total:.0%} ({family}), remedy {shares}"


def _by_family(answers: Sequence[tuple[Report, Diagnosis, Grade]]) -> str:
    """How many texts there are of each kind, by the first family that is right, and how many answers are."""
    rows: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for report, diagnosis, worth in answers:
        kind = str(report.family[0]) if report.family else "nothing failed"
        rows[kind].append((report.recognised(diagnosis), worth is Grade.RIGHT))
    return "\n".join(
        f"  {kind:<34} {len(row):>3} texts, family {sum(f for f, _ in row)}, remedy {sum(r for _, r in row)}"
        for kind, row in sorted(rows.items())
    )


def _calibration(answers: Sequence[tuple[Report, Diagnosis, Grade]]) -> str:
    lines = []
    for what in ("cause", "remedy"):
        told: dict[float, list[bool]] = defaultdict(list)
        for report, diagnosis, worth in answers:
            if what == "cause":
                told[diagnosis.confidence].append(report.recognised(diagnosis))
            else:
                told[diagnosis.remedy_confidence].append(worth is Grade.RIGHT)
        for value, right in sorted(told.items(), reverse=True):
            lines.append(
                f"  {what:<6} told {value:.2f}: right {sum(right)}/{len(right)} = {sum(right) / len(right):.2f}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
