"""The shards of one run, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.results.store import ResultStore
from harness.scheduling.merge import merge, part_of, write_part
from harness.scheduling.shards import Shard, UnusableShards
from tests.scheduling.samples import LINE, record_of

if TYPE_CHECKING:
    from pathlib import Path


def test_shards_are_the_whole_and_merge_only_when_complete(tmp_path: Path) -> None:
    folders = []
    everything: list[str] = []
    for index in (1, 2, 3):
        mine, part = part_of(LINE, Shard(index=index, count=3))
        folder = tmp_path / f"part-{index}"
        folders.append(folder)
        write_part(folder, part)
        for each in mine:
            ResultStore(folder).append(record_of(each, "pass").model_copy(update={"run": f"run-{index}"}))
        everything += [each.id for each in mine]
    assert sorted(everything) == sorted(each.id for each in LINE)
    store = ResultStore(tmp_path / "whole")
    for wrong, said in (
        (folders[:2], "missing: 3"),
        ([*folders, folders[0]], "twice: 1"),
        ([], "no shards"),
        ([tmp_path], "not the reports folder of a shard"),
    ):
        with pytest.raises(UnusableShards, match=said):
            merge(wrong, store)
    assert not store.file.exists()
    assert len(merge(folders, store).added) == len(LINE)
    assert merge(folders, store).known == len(LINE)
    assert {each.run for each in store.records()} == {"run-1"}
    for record in store.records():
        (source,) = (it for folder in folders for it in ResultStore(folder).records() if it.id == record.id)
        assert record == source.model_copy(update={"run": "run-1", "attempt": record.attempt})
    lines = (folders[0] / "results.jsonl").read_text().splitlines(keepends=True)
    (folders[0] / "results.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(UnusableShards, match="has no record of 1 of its"):
        merge(folders, store)
    other = part_of(LINE[1:], Shard(index=3, count=3))[1]
    write_part(folders[2], other)
    with pytest.raises(UnusableShards, match="different runs"):
        merge(folders, store)


def test_a_record_that_cannot_be_true_is_refused(tmp_path: Path) -> None:
    mine, part = part_of(LINE[:1], Shard(index=1, count=1))
    write_part(tmp_path, part)
    forged = record_of(mine[0], "pass").model_copy(update={"synthetic": False, "stages": []})
    ResultStore(tmp_path).append(forged)
    with pytest.raises(UnusableShards, match=r"results\.jsonl: the record of .* cannot be true"):
        merge([tmp_path], ResultStore(tmp_path / "whole"))
