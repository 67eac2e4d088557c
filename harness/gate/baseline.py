"""The baseline: verdicts that a person accepted, as a small sorted file that is reviewed like code.

``must`` and ``limits`` are a person's own and are kept, comments included, when a new run is accepted.
"""

from __future__ import annotations

import fnmatch
from datetime import UTC, date, datetime
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from harness.core.files import digest, open_ordinary, read_text, shaped, write_atomically
from harness.core.records import Record
from harness.core.verdict import Stage, Status, Verdict
from harness.gate.noise import machine_name, samples_of
from harness.matrix.document import read_document
from harness.matrix.schema import WRITTEN_BY_HAND
from harness.matrix.validation import validate
from harness.pipeline.stack import asked_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from harness.matrix import Combination

_HEAD = (
    "What the gate compares with. `lmdeploy-harness baseline` accepts a run; `must` and `limits` are written by hand.\n"
)
_MOST_SAMPLES = 20


def _verdict(text: str) -> str:
    return str(Verdict.parse(text))


class Must(BaseModel):
    """Combinations that the gate insists on, as far up as it says."""

    model_config = WRITTEN_BY_HAND

    match: str = Field(
        min_length=1, description="A combination's id, or a pattern of it.", examples=["lmdeploy0.18.0-*"]
    )
    stage: Stage = Field(default=Stage.STRUCTURE, description="The highest stage that must pass.")


class Tolerances(BaseModel):
    """How much worse a measurement may be: 0.25 is a quarter more."""

    model_config = WRITTEN_BY_HAND

    latency: float = Field(default=0.25, gt=0, description="Share by which a latency may grow.", examples=[0.25])
    memory: float = Field(default=0.10, gt=0, description="Share by which GPU memory may grow.", examples=[0.1])


class Accepted(BaseModel):
    """One combination as it was accepted."""

    model_config = WRITTEN_BY_HAND

    verdict: Annotated[str, AfterValidator(_verdict)] = Field(description="Its verdict.", examples=["pass"])
    asks: str = Field(description="Hash of what the matrix asked for; another one means the matrix changed.")
    day: date | None = Field(
        default=None, description="Day whose packages its stack was made of, where that is another than `accepted`."
    )
    machine: str = Field(default="", description="Where its samples were taken.")
    samples: dict[str, tuple[float, ...]] = Field(default={}, description="Clean measurements by quantity.")


class Baseline(BaseModel):
    """The whole file."""

    model_config = WRITTEN_BY_HAND

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    accepted: str = Field(default="", description="Day of the newest run that was accepted, UTC.")
    must: tuple[Must, ...] = Field(default=(), description="What has to be tested and pass.")
    limits: Tolerances = Field(default=Tolerances(), description="Of latency and memory.")
    combinations: dict[str, Accepted] = Field(default={}, description="By id.")

    @property
    def label(self) -> str:
        """How a reader knows it."""
        return f"the baseline of {self.accepted or 'an unknown day'}, {len(self.combinations)} combinations"

    @property
    def digest(self) -> str:
        """Hash of all it says."""
        return digest(self.model_dump(mode="json"))

    def day_of(self, name: str) -> date | None:
        """The day whose packages the accepted stack was made of; None: not told."""
        known = self.combinations.get(name)
        if known is not None and known.day is not None:
            return known.day
        try:
            return date.fromisoformat(self.accepted)
        except ValueError:
            return None

    def must_reach(self, *ids: str) -> Stage | None:
        """The highest stage that the list demands of a combination known by these ids; None: nothing."""
        wanted = [each.stage for each in self.must for name in ids if fnmatch.fnmatchcase(name, each.match)]
        return max(wanted, key=lambda stage: stage.position, default=None)


def asks_of(combination: Combination) -> str:
    """Hash of what the matrix asks for; expectations, tags and notes are talk and do not count."""
    return digest(
        [
            *asked_of(combination)[:4],  # what it keeps is the gate's own, and nothing that the matrix asks
            *([sorted(combination.constraints)] if combination.constraints else []),
            combination.options,
            combination.axes,
            combination.excluded is not None,
        ]
    )[:12]


def read_baseline(file: Path) -> Baseline:
    """The baseline in a file.

    Raises:
        MatrixError: it cannot be read or is not a baseline; every problem is listed with its line.
    """
    return validate(read_document(file), Baseline)


def accept(
    combinations: Sequence[Combination],
    attempts: Mapping[str, Sequence[Record]],
    earlier: Baseline | None,
    *,
    measured: bool = False,
) -> Baseline:
    """The baseline with the latest attempts at ``combinations``; others that it had are kept.

    Args:
        combinations: what is accepted; those without an attempt are left out.
        attempts: every attempt on file, by id, oldest first.
        earlier: the baseline so far.
        measured: take these attempts' times and memory where the baseline has another machine's; otherwise those are
            kept as long as the verdict is, so that a baseline made elsewhere differs in verdicts only.
    """
    base = earlier or Baseline(version=1)
    kept = dict(base.combinations)
    days = {name: base.day_of(name) for name in kept}
    for combination in combinations:
        records = attempts.get(combination.id)
        if not records:
            continue
        last = records[-1]
        same = [each for each in records if each.lock == last.lock and each.machine == last.machine]
        samples = {name: tuple(found[-_MOST_SAMPLES:]) for name, found in samples_of(same).items()}
        made = Accepted(
            verdict=last.verdict,
            asks=asks_of(combination),
            machine=machine_name(last.machine) if samples else "",
            samples=samples,
        )
        before = kept.get(combination.id)
        if before is not None and not measured and _measured_elsewhere(before, made):
            made = made.model_copy(update={"machine": before.machine, "samples": before.samples})
        kept[combination.id] = made
        days[combination.id] = last.started.date() if last.lock is not None else None
    newest = max((day for day in days.values() if day is not None), default=datetime.now(UTC).date())
    dated = {
        name: each.model_copy(update={"day": days[name] if days[name] != newest else None})
        for name, each in sorted(kept.items())
    }
    return base.model_copy(update={"accepted": str(newest), "combinations": dated})


def _measured_elsewhere(before: Accepted, now: Accepted) -> bool:
    same = (before.verdict, before.asks) == (now.verdict, now.asks)
    return same and bool(before.samples) and before.machine != now.machine


def attempts_in(file: Path) -> dict[str, list[Record]]:
    """Every attempt on file by id, oldest first; lines that are no records are left out."""
    found: dict[str, list[Record]] = {}
    if not file.exists():
        return found
    with open_ordinary(file) as opened:
        lines = opened.read().splitlines()
    for line in lines:
        try:
            record = Record.model_validate_json(line)
        except ValidationError:
            continue  # torn by a crash; 'lmdeploy-harness report' tells of it
        found.setdefault(record.id, []).append(record)
    return found


def unusable(records: Sequence[Record]) -> list[Record]:
    """Records that say nothing about versions and cannot be accepted."""
    return [each for each in records if Verdict.parse(each.verdict).status is Status.INFRA]


def write_baseline(file: Path, baseline: Baseline) -> None:
    """Write it, keeping what a person wrote about ``must`` and ``limits``.

    Raises:
        OSError: it cannot be written; the old file is still there.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    if file.exists():
        with shaped(file):  # a number of thousands of digits, which the reader above takes for text
            document = yaml.load(read_text(file))
    else:
        document = CommentedMap({"version": 1})
        document.yaml_set_start_comment(_HEAD)
    document["accepted"] = baseline.accepted
    document.setdefault("must", [])
    document.pop("combinations", None)
    document["combinations"] = {
        name: each.model_dump(mode="json", exclude_defaults=True) for name, each in baseline.combinations.items()
    }
    text = StringIO()
    yaml.dump(document, text)
    write_atomically(file, text.getvalue(), durable=True)
