"""Giving disk space back: environments, answers, logs and locks that nothing known refers to any more."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import ExitCode, HarnessError
from harness.core.untrusted_files import remove_tree
from harness.environments.environment import Environments
from harness.environments.resolve import ASKING
from harness.process.scratch import occupied, sweep
from harness.results.store import ResultStore

if TYPE_CHECKING:
    from pathlib import Path

    from harness.matrix.project import Project


class RunUnderWay(HarnessError, RuntimeError):  # noqa: N818 - reads as what is the matter
    """Another harness works in the same folder; the message says so."""

    exit_code = ExitCode.INFRASTRUCTURE


@dataclass(frozen=True, slots=True)
class Freed:
    """What went. Files that other places link to (uv's cache, sibling environments) free nothing and count nothing."""

    bytes: int
    what: str


def collect_garbage(project: Project, *, everything: bool = False, dry_run: bool = False) -> Freed:
    """Delete what no latest record needs; with ``everything``, whatever can be made again.

    Raises:
        RunUnderWay: another harness is using what would go.
        OSError: something could not be deleted.
    """
    if not dry_run and (occupied(project.scratch) or occupied(project.resolutions / ASKING)):
        raise RunUnderWay("another harness is running in this folder; 'lmdeploy-harness gc' again when it is done")
    if not dry_run:
        sweep(project.scratch)
        sweep(project.retries)
    locks, keys = _in_use(project)
    lock_folders = [each for each in _folders(project.locks) if each.name not in locks]
    if everything:
        locks, keys = set(), set()
    environments = [each for each in _folders(project.environments) if each.name not in locks]
    answers = [each for each in _files(project.answers) if each.stem not in keys]
    logs = [each for each in _files(project.logs) if each.stem not in keys]
    scratch = _folders(project.scratch)
    size = sum(_size(each) for each in [*environments, *lock_folders, *answers, *logs, *scratch])
    what = f"{len(environments)} environments, {len(answers)} answers, {len(logs)} logs, {len(lock_folders)} locks"
    if not dry_run:
        keeper = Environments(project.environments)
        for folder in environments:
            keeper.remove(folder.name)
        for folder in [*lock_folders, *scratch]:
            remove_tree(folder)
        for file in [*answers, *logs]:
            file.unlink(missing_ok=True)
    return Freed(size, what)


def _in_use(project: Project) -> tuple[set[str], set[str]]:
    locks: set[str] = set()
    keys: set[str] = set()
    for record in ResultStore(project.reports).records():
        if record.lock is not None:
            locks.add(record.lock)
        keys.update(check.key for stage in record.stages for check in stage.checks)
    return locks, keys


def _folders(parent: Path) -> list[Path]:
    return [each for each in parent.iterdir() if each.is_dir()] if parent.is_dir() else []


def _files(parent: Path) -> list[Path]:
    return [each for each in parent.rglob("*") if each.is_file()] if parent.is_dir() else []


def _size(path: Path) -> int:
    """Bytes that deleting ``path`` gives back: those of files with no other name."""
    total, waiting = 0, [str(path)]
    while waiting:
        place = waiting.pop()
        facts = os.lstat(place)
        if stat.S_ISDIR(facts.st_mode):
            waiting += [each.path for each in os.scandir(place)]
        elif facts.st_nlink == 1:
            total += facts.st_size
    return total
