"""Which stacks a bump touches: those that held what it comes from."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.gate.candidates import _goal_of, _goals_of, _notes
from harness.gate.change import Bump, UnusableChange, parse_bump
from harness.gate.stacks import LockedCombination
from tests.gate.test_stacks import ONE, lock

if TYPE_CHECKING:
    from collections.abc import Sequence


class FakeIndex:
    """torch, with a release candidate and without builds of its own."""

    def every_version(self, package: str) -> Sequence[Version]:
        """Oldest first."""
        known = ["2.8.0", "2.10.0", "2.12.0", "2.12.1", "2.13.0rc1"] if package == "torch" else []
        return [Version(each) for each in known]

    def versions(self, package: str, _: date | None) -> Sequence[Version]:
        """The same on every day."""
        return self.every_version(package)

    def day_of(self, _: str, version: Version) -> date | None:
        """A day of January."""
        return date(2026, 1, version.minor)


def touched(bump: Bump, *held: str) -> dict[str, str]:
    """What becomes of stacks that hold torch at these versions."""
    goal = _goal_of(bump, FakeIndex())  # type: ignore[arg-type]
    found = {each: _goals_of(LockedCombination(ONE, lock(torch=each)), [(bump, goal)], together=True) for each in held}
    return {each: str(goals["torch"].version) for each, goals in found.items() if goals}


@pytest.mark.parametrize(
    ("bump", "before", "moved"),
    [
        ("torch==2.12.0", "2.12.1", {"2.12.1": "2.12.0"}),
        ("torch==2.12.0", None, {"2.10.0": "2.12.0", "2.12.1": "2.12.0"}),
        ("torch==2.12.1", "2.12.1", {}),
        ("torch==2.12.1+cu130", "2.10.0+cu128", {"2.10.0": "2.12.1"}),
        ("torch<2.12", "<2.9", {}),
        ("torch<2.13", "<2.11", {"2.10.0": "2.12.1"}),
        ("torch>=2.12", ">=2.8", {"2.10.0": "2.12.1"}),
        ("torch==2.12.*", "2.10.*", {"2.10.0": "2.12.1"}),
    ],
)
def test_only_stacks_that_held_the_from_version_are_touched(
    bump: str, before: str | None, moved: dict[str, str]
) -> None:
    assert touched(parse_bump(bump, before), "2.10.0", "2.12.1") == moved


def test_a_version_or_a_range_without_a_release_is_a_mistake_that_names_the_nearest() -> None:
    for bump, named in (
        (parse_bump("torch==2.99"), "the nearest releases are 2.12.0 and 2.12.1"),
        (parse_bump("torch==2.9.0"), "the nearest releases are 2.8.0 and 2.10.0"),
        (parse_bump("torch>=3"), "the newest is 2.13.0rc1"),
        (parse_bump("torhc==1.0"), "has no package torhc"),
    ):
        with pytest.raises(UnusableChange, match=named):
            _goal_of(bump, FakeIndex())  # type: ignore[arg-type]
    assert _goal_of(parse_bump("torch==2.13.0rc1"), FakeIndex()).since == date(2026, 1, 13)  # type: ignore[arg-type]


def test_what_is_not_touched_is_told_with_what_it_holds() -> None:
    before = {each: LockedCombination(replace(ONE, id=each), lock(torch=each)) for each in ("2.8.0", "2.10.0")}
    bumps = [parse_bump("torch==2.12.0", "2.10.0"), parse_bump("ruff==1.0"), parse_bump("mypy==1.0")]
    assert list(_notes(bumps, before, {"2.10.0": {"torch": _goal_of(bumps[0], FakeIndex())}})) == [  # type: ignore[arg-type]
        "torch: not touched are the combinations that hold 2.8.0 (1)",
        "in no stack of the matrix: ruff, mypy",
    ]
