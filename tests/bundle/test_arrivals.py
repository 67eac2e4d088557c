"""Records of other machines: kept apart with where they come from, refused where they cannot be true."""

from __future__ import annotations

import io
import json
import tarfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.bundle.arrivals import ORIGIN, take
from harness.bundle.kept_manifests import packed_locks
from harness.bundle.merge import NotResults
from harness.core.files import write_atomically
from harness.core.verdict import Stage
from harness.evidence.levels import Level
from harness.evidence.sources import Sources
from harness.report import build_context
from harness.results.store import RECORD_FILE, ResultStore
from tests.evidence.samples import CPU, SUBJECTS, record

if TYPE_CHECKING:
    from pathlib import Path

    from harness.core.records import Record


def written(folder: Path, *records: Record) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / RECORD_FILE
    file.write_text("".join(f"{each.model_dump_json()}\n" for each in records))
    return file


def level(reports: Path) -> Level:
    (stack,) = Sources.of(reports).knowledge(SUBJECTS).stacks("model", "pytorch")
    return stack.level


@pytest.mark.parametrize("form", ["file", "folder", "archive", "report"])
def test_every_form_comes_home_marked_and_overwrites_nothing(tmp_path: Path, form: str) -> None:
    reports, elsewhere = tmp_path / "reports", tmp_path / "elsewhere"
    own = record("canary", machine=CPU, passed=Stage.EMULATE)
    ResultStore(reports).append(own)
    before = (reports / RECORD_FILE).read_bytes()
    source = written(elsewhere, record("canary"))
    if form == "folder":
        source = elsewhere
    elif form == "archive":
        source = elsewhere / "results.tar.gz"
        with tarfile.open(source, "w:gz") as archive:
            data = (elsewhere / RECORD_FILE).read_bytes()
            item = tarfile.TarInfo(RECORD_FILE)
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
    elif form == "report":
        shown = build_context([record("canary")], generated=datetime(2026, 11, 27, tzinfo=UTC))
        source = elsewhere / "report.json"
        source.write_text(shown.model_dump_json())
    assert level(reports) is Level.EMULATED
    taken = take(source, reports, tmp_path / "state", "lab")
    assert (taken.records, taken.known, taken.folder.name) == (1, False, "lab")
    assert (reports / RECORD_FILE).read_bytes() == before
    assert level(reports) is Level.STAND_IN
    assert {each.source for each in Sources.of(reports).knowledge(SUBJECTS).sightings} == {"", "imported/lab"}
    origin = json.loads((taken.folder / ORIGIN).read_text())
    assert (origin["source"], origin["records"], origin["harness"]) == (source.name, 1, ["0.1.0"])
    assert take(source, reports, tmp_path / "state", "again").known


def forged(**change: Any) -> Record:
    return record("canary").model_copy(update=change)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (record("canary", machine=CPU), "its engine needs a GPU, and its machine has none"),
        (forged(stages=[]), "it passes without a stage"),
        (forged(stages=record("canary").stages[:3]), "it passes without having passed the last stage"),
        (forged(id="lmdeploy9-other"), "its id does not name its python"),
        (forged(stack={"lmdeploy": "0.17.0", "transformers": "5.17.0"}), "its stack has lmdeploy 0.17.0"),
        (forged(stages=list(reversed(record("canary").stages))), "its stages are out of order"),
        (forged(lock="nothing"), "lock and stack do not belong together"),
        (forged(finished=datetime(2020, 1, 1, tzinfo=UTC)), "it ended before it began"),
    ],
)
def test_what_cannot_be_true_is_refused_with_its_line(tmp_path: Path, bad: Record, said: str) -> None:
    text = [record("canary", at=3).model_dump_json(), bad.model_dump_json()]
    write_atomically(tmp_path / "lab" / RECORD_FILE, "\n".join(text) + "\n")
    with pytest.raises(NotResults, match=r"line 2 of results\.jsonl cannot be true") as refused:
        take(tmp_path / "lab", tmp_path / "reports", tmp_path / "state")
    assert said in str(refused.value)
    assert not (tmp_path / "reports" / "imported" / "lab").exists()


NAN = record("canary", gpu={"peak_mib": 4321.5}).model_dump_json().replace("4321.5", "NaN")


@pytest.mark.parametrize("line", ['{"id": "torn', NAN], ids=["torn", "a number that is none"])
def test_damage_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    written(tmp_path / "lab", record("canary"))
    with (tmp_path / "lab" / RECORD_FILE).open("a") as file:
        file.write(line)
    with pytest.raises(NotResults, match=r"line 2 of results\.jsonl is not a record"):
        take(tmp_path / "lab", tmp_path / "reports", tmp_path / "state")


def test_a_lock_that_is_not_what_it_is_called_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "lab", record("canary"))
    write_atomically(
        tmp_path / "lab" / "locks" / ("a" * 16) / "pylock.toml", 'lock-version = "1.0"\ncreated-by = "x"\n'
    )
    with pytest.raises(NotResults, match="is not the lock that its name stands for"):
        take(tmp_path / "lab", tmp_path / "reports", tmp_path / "state")


def test_what_was_packed_here_comes_back_with_the_lock_it_was_given(tmp_path: Path) -> None:
    came = record("canary")
    packed = {"packed": {came.id: "c" * 16}}
    write_atomically(tmp_path / "state" / "bundles" / "one.json", json.dumps(packed))
    assert packed_locks(tmp_path / "state") == {came.id: {"c" * 16}}
    with pytest.raises(NotResults, match="it was packed here with the lock"):
        take(written(tmp_path / "lab", came), tmp_path / "reports", tmp_path / "state")


def test_a_record_here_that_cannot_be_true_is_no_evidence(tmp_path: Path) -> None:
    written(tmp_path / "reports", record("canary", machine=CPU))
    sources = Sources.of(tmp_path / "reports")
    assert sources.knowledge(SUBJECTS).sightings == []
    assert "its engine needs a GPU" in sources.doubtful[0]
