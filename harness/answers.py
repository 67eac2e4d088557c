"""Answers to questions already asked: one file for each, named by the hash of everything the answer depends on.

A question is one check of one stage in one environment. Two combinations whose questions have the same key share the
answer, in one run and across runs; a run that is killed loses at most the question it was asking.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from harness.durable import write_atomically
from harness.records import ExceptionRecord
from harness.verdict import Reason, Stage, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class StageAnswer(BaseModel):
    """What one check says of one stage, before the catalogue of known failures has looked at it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    outcome: Status
    message: str = ""
    reason: Reason | None = None
    """The family, when the child or the harness itself knows it; otherwise the diagnosis decides."""
    exception: ExceptionRecord | None = None
    facts: dict[str, JsonValue] = {}
    seconds: float = 0.0


class Answer(BaseModel):
    """What came of one child process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    check: str
    stages: list[StageAnswer]
    seconds: float
    peak_memory_mib: float | None = None
    log_tail: str = ""
    final: bool = True
    """False when asking again could change it (killed from outside, out of time): never kept."""


@dataclass(slots=True)
class AnswerBook:
    """The answers in one folder."""

    folder: Path
    _asking: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def recall(self, key: str) -> Answer | None:
        """The kept answer, or None. A damaged file counts as none."""
        try:
            return Answer.model_validate_json(self._file(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def ask(self, key: str, find_out: Callable[[], Answer], *, fresh_since: float | None = None) -> tuple[Answer, bool]:
        """The answer to ``key``, found out unless it is kept; and whether it was kept.

        Nobody asks the same question twice at once, in this process or another.

        Args:
            key: the question's hash.
            find_out: asks it.
            fresh_since: an answer kept before this moment (seconds since the epoch) does not count.
        """
        with self._guard:
            lock = self._asking[key]
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        with lock, FileLock(file.with_suffix(".lock")):
            if fresh_since is None or (file.exists() and file.stat().st_mtime >= fresh_since):
                kept = self.recall(key)
                if kept is not None:
                    return kept, True
            answer = find_out()
            if answer.final:
                write_atomically(file, answer.model_dump_json(), durable=True)
            return answer, False

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
