"""Putting the shards of a run together, only when nothing is missing and nothing does not belong."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness import __version__
from harness.core.files import LARGEST_JSON, digest, read_bounded, write_atomically
from harness.core.records import Frozen
from harness.evidence.soundness import flaw
from harness.pipeline.stack import groups_of, stack_key
from harness.results.store import RECORD_FILE, ResultStore
from harness.scheduling.shards import Shard, UnusableShards, deal, demand_complete

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.core.records import Record
    from harness.matrix import Combination
    from harness.results.store import Taken

FILE = "shard.json"
"""In the reports folder of a shard: what it was to do, and what the others were."""
_KEPT = re.compile(r"logs/[0-9a-f]{8,64}\.log|locks/[0-9a-f]{8,64}/pylock\.toml")


class Part(Frozen):
    """What one shard of a run was to do."""

    plan: str
    """Hash of the whole run's combinations and what each asks of the resolver."""
    shard: Shard
    combinations: list[str]
    """The whole run's, by id, sorted."""
    mine: list[str]


def part_of(chosen: Sequence[Combination], shard: Shard) -> tuple[tuple[Combination, ...], Part]:
    """The shard's share, and its part of the plan; combinations that share a stack stay together.

    Every machine that selects the same combinations of the same matrix deals them out alike.
    """
    ordered = sorted(chosen, key=lambda each: each.id)
    mine = {each.id for each in deal(groups_of(ordered), shard)}
    plan = digest(["run-1", __version__, [[each.id, stack_key(each)] for each in ordered]])
    part = Part(plan=plan, shard=shard, combinations=[each.id for each in ordered], mine=sorted(mine))
    return tuple(each for each in chosen if each.id in mine), part


def write_part(reports: Path, part: Part) -> None:
    """Keep it beside the records, before the first of them."""
    write_atomically(reports / FILE, part.model_dump_json(indent=1) + "\n")


def merge(folders: Sequence[Path], store: ResultStore) -> Taken:
    """Append the shards' records to ``store``, and take their logs and locks along.

    Each record keeps its machine, its times and the harness that wrote it.

    Raises:
        UnusableShards: a folder is no shard's, shards are missing or of different runs, a shard lacks a record of
            something that was its to run, or has one that cannot be true. Nothing was taken.
        OSError: the reports folder cannot be written.
    """
    if not folders:
        raise UnusableShards("no shards were given; name the reports folders that 'lmdeploy-harness run --shard' wrote")
    parts = [_read(each) for each in folders]
    demand_complete([each.shard for each in parts], [each.plan for each in parts], "runs")
    if sorted(name for each in parts for name in each.mine) != parts[0].combinations:
        raise UnusableShards("the shards do not add up to what was planned; run all of them from the same commit")
    records: list[Record] = []
    for folder, part in zip(folders, parts, strict=True):
        found = {each.id: each for each in ResultStore(folder).records()}
        lost = [name for name in part.mine if name not in found]
        if lost:
            raise UnusableShards(
                f"shard {part.shard} in {folder} has no record of {len(lost)} of its {len(part.mine)} combinations, "
                f"such as {lost[0]}; run that shard again to the end"
            )
        for name in part.mine:
            if not found[name].synthetic and (wrong := flaw(found[name])):
                raise UnusableShards(f"{folder / RECORD_FILE}: the record of {name} cannot be true: {wrong}")
        records += [found[name] for name in part.mine]
    for folder in folders:
        _take_files(folder, store.folder)
    run = min((each.run for each in records if each.run), default="")  # what was dealt out was one run
    return store.take_over(each.model_copy(update={"run": run}) for each in records)


def _read(folder: Path) -> Part:
    try:
        return Part.model_validate_json(read_bounded(folder / FILE, LARGEST_JSON))
    except OSError as error:
        raise UnusableShards(
            f"{folder} is not the reports folder of a shard ({FILE}: {error.strerror}); "
            "'lmdeploy-harness run --shard K/N --reports FOLDER' writes one"
        ) from error
    except ValidationError as error:
        raise UnusableShards(f"{folder / FILE} is damaged: {error.errors()[0]['msg']}") from error


def _take_files(folder: Path, to: Path) -> None:
    for file in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = file.relative_to(folder).as_posix()
        if _KEPT.fullmatch(name) and not (to / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to / name)
