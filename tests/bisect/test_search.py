"""The change that turns a verdict, found on made-up locks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from harness.bisect.coupling import Requirements
from harness.bisect.search import NothingTurns, Search
from harness.core.verdict import Stage, Verdict
from tests.bisect.samples import GREEN_LOCK, NAMES, NO_NEEDS, RED_LOCK

if TYPE_CHECKING:
    from harness.environments.lock import Lock


RED = Verdict.parse("fail/import/symbol-removed-or-not-yet-added(big.utils.gone)")


PASSED = Verdict.parse("pass/import")


OTHER = Verdict.parse("fail/import/crash(SIGSEGV)")


@dataclass
class Made:
    """Verdicts by rule, counted."""

    rule: object
    run: int = 0
    known: int = 0
    seen: list[str] = field(default_factory=list)
    last: Stage | None = None

    def stop_after(self, stage: Stage | None) -> None:
        """Remember it."""
        self.last = stage

    def verdict(self, lock: Lock, *, keep: bool = False) -> Verdict:
        """What the rule says of the stack."""
        assert lock.name not in self.seen, "the same stack was tried twice"
        if not keep:
            self.seen.append(lock.name)
        self.run += 1
        return self.rule(lock.stack)  # type: ignore[no-any-return, operator]


def search(rule: object, green: Requirements = NO_NEEDS, red: Requirements = NO_NEEDS) -> Search:
    return Search(GREEN_LOCK, RED_LOCK, Made(rule), lambda lock: green if lock is GREEN_LOCK else red)


def test_the_culprit_is_named() -> None:
    found = search(lambda stack: RED if stack["big"] == "5.0" else PASSED).run()
    assert list(found.cause) == ["big"]
    assert found.sentence().startswith("big 4.0 → 5.0 breaks it")
    assert found.tests <= found.bounds[0]
    assert not found.along


def test_what_metadata_demands_moves_along_and_is_told() -> None:
    green = Requirements({"big": [Requirement("hub<1")]})
    red = Requirements({"big": [Requirement("hub>=1"), Requirement("same>=7")]})

    def rule(stack: dict[str, str]) -> Verdict:
        coupled = (stack["big"] == "5.0") == (stack["hub"] == "1.0")
        return OTHER if not coupled else RED if stack["big"] == "5.0" else PASSED

    found = search(rule, green, red).run()
    assert list(found.cause) == ["big"]
    assert found.along == {"hub": "big 5.0 requires hub>=1"}
    assert found.unresolved == 0
    assert found.alone is False


def chain_of(*names: str) -> dict[str, list[Requirement]]:
    """Requirements under which each of the names moves only with the next."""
    versions = {"big": "5.0", "hub": "1.0", "web": "2.0"}
    return {
        owner: [Requirement(f"{needed}>={versions.get(needed, '2')}")] for owner, needed in itertools.pairwise(names)
    }


@pytest.mark.parametrize("blamed", ["big", "hub", "p03", "p05"])
def test_coupled_changes_take_no_more_trials_than_a_single_one(blamed: str) -> None:
    """Eleven changes, each of which brings the next along; any of them may be to blame."""
    needs = Requirements(chain_of("big", "hub", *NAMES[:9]))
    found = search(lambda stack: RED if stack[blamed] in {"5.0", "1.0", "2"} else PASSED, red=needs).run()
    assert list(found.cause) == [blamed]
    assert found.tests <= found.bounds[0] + 1


def test_what_moves_only_together_is_told_from_what_it_brings_along() -> None:
    """``big`` and ``hub`` cannot be had without each other, and bring ``web`` along, which is to blame alone."""
    green = Requirements({"big": [Requirement("hub<1")]})
    red = Requirements({"big": [Requirement("hub>=1"), Requirement("web>=2")]})
    found = search(lambda stack: RED if stack["web"] == "2.0" else PASSED, green, red).run()
    assert list(found.cause) == ["web"]
    found = search(lambda stack: RED if stack["big"] == "5.0" else PASSED, green, red).run()
    assert set(found.cause) | set(found.along) == {"big", "hub", "web"}
    assert found.cause[0] in {"big", "hub"}
    assert any(set(each.moved) == {"web"} for each in found.trials)


def test_another_failure_is_neither_green_nor_red() -> None:
    def rule(stack: dict[str, str]) -> Verdict:
        moved = (stack["big"] == "5.0", stack["web"] == "2.0")
        return RED if all(moved) else OTHER if any(moved) else PASSED

    found = search(rule).run()
    assert sorted(found.cause) == ["big", "web"]
    assert found.unresolved > 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda _stack: PASSED, "does not fail"),
        (lambda _stack: RED, "the green end fails, too"),
    ],
)
def test_ends_that_do_not_differ_are_refused(rule: object, said: str) -> None:
    with pytest.raises(NothingTurns, match=said):
        search(rule).run()
