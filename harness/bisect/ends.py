"""What stands for a stack on the command line: a combination, one attempt at it, a lock file, or a day."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.core.files import open_ordinary, read_text
from harness.core.records import Record
from harness.environments.lock import Lock
from harness.pipeline.stack import resolve
from harness.session.session import NothingSelected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.matrix import Combination
    from harness.session.session import Session

LOCK_FILE = "pylock.toml"
TODAY = "today"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LOCK_NAME = re.compile(r"[0-9a-f]{16}")
FORMS = "a combination's id, ID@ATTEMPT, the path of a pylock.toml, a lock's name, a day such as 2026-01-04, or 'today'"


class NoSuchEnd(NothingSelected):
    """The words name no stack; the message says what they could."""


@dataclass(frozen=True, slots=True)
class End:
    """A stack with a name for people."""

    label: str
    lock: Lock
    combination: Combination | None
    """What it was made for, where that is known."""


def find_end(text: str, session: Session, base: Combination | None) -> End:
    """The stack that ``text`` names.

    Args:
        text: see :data:`FORMS`.
        session: the project.
        base: what is asked of the resolver where ``text`` is a day.

    Raises:
        NoSuchEnd: it names none.
        UvFailure: the stack of that day cannot be resolved.
    """
    if text == TODAY or _DAY.fullmatch(text):
        return _of_day(text, session, base)
    path = Path(text)
    if path.is_dir() and (path / LOCK_FILE).is_file():
        path /= LOCK_FILE
    if path.is_file():
        lock = Lock(read_text(path))
        lock.stack  # noqa: B018 - reads it: a file that is no lock is said to be none here and not later
        return End(str(path), lock, None)
    if _LOCK_NAME.fullmatch(text):
        return End(text, _kept(session, text), None)
    identity, _, number = text.partition("@")
    record = _record(session, identity, number)
    if record is not None and record.lock is not None:
        return End(text, _kept(session, record.lock), _combination(session, record))
    known = {each.id: each for each in session.combinations}
    if identity not in known or number:
        raise NoSuchEnd(f"{text!r} names no stack; give {FORMS}")
    return End(text, _resolved(session, known[identity]), known[identity])


def _of_day(text: str, session: Session, base: Combination | None) -> End:
    if base is None:
        raise NoSuchEnd(f"{text!r} is a day; say of what: --lmdeploy 0.11.1, or a combination's id as the other end")
    day = None if text == TODAY else _day(text)
    combination = replace(base, as_of=day)
    return End(f"lmdeploy {base.lmdeploy} as of {text}", _resolved(session, combination), combination)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise NoSuchEnd(f"{text!r} is no day of the calendar: {error}") from None


def _resolved(session: Session, combination: Combination) -> Lock:
    resolution = resolve(combination, session.resolver)
    if resolution.lock is None:
        raise NoSuchEnd(f"{combination.id} has no lock to compare: {resolution.failure}")
    return resolution.lock


def _kept(session: Session, name: str) -> Lock:
    file = session.project.locks / name / LOCK_FILE
    if not file.is_file():
        raise NoSuchEnd(f"the lock {name} is not in {session.project.locks}; run its combination again to have it back")
    lock = Lock(read_text(file))
    if lock.name != name:
        raise NoSuchEnd(f"{file} was changed since it was tested; run its combination again to have it back")
    return lock


def _record(session: Session, identity: str, number: str) -> Record | None:
    """The attempt of that number, or the latest."""
    found = None
    for record in _attempts(session, identity):
        if not number or str(record.attempt) == number:
            found = record
    if number and found is None:
        raise NoSuchEnd(f"there is no attempt {number} at {identity} in {session.store.file}")
    return found


def _attempts(session: Session, identity: str) -> Iterator[Record]:
    if not session.store.file.exists():
        return
    with open_ordinary(session.store.file) as lines:
        for line in lines:
            if identity.encode() not in line:
                continue
            try:
                record = Record.model_validate_json(line)
            except ValidationError:
                continue  # told by whoever reads all of them
            if record.id == identity:
                yield record


def _combination(session: Session, record: Record) -> Combination | None:
    return next((each for each in session.combinations if each.id == record.id), None)
