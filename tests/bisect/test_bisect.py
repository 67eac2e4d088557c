"""Bisection finds the change that turns a verdict: on sets, on made-up locks and (marked long) on real packages."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from harness.bisect.changes import Mixer, changes_between
from harness.bisect.coupling import Coupling, Needs
from harness.bisect.ddmin import Outcome, bound_at_worst, bound_for_one, ddmin
from harness.bisect.search import NothingTurns, Search
from harness.core.verdict import Stage, Verdict
from harness.environments.lock import Lock
from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RED = Verdict.parse("fail/import/symbol-removed-or-not-yet-added(big.utils.gone)")
PASSED = Verdict.parse("pass/import")
OTHER = Verdict.parse("fail/import/crash(SIGSEGV)")
NAMES = [f"p{number:02}" for number in range(64)]


@given(st.sets(st.sampled_from(NAMES), min_size=1, max_size=4))
def test_the_smallest_set_is_found_within_the_bound(culprits: set[str]) -> None:
    asked: list[int] = []

    def test(moved: object) -> Outcome:
        asked.append(1)
        return Outcome.RED if culprits <= set(moved) else Outcome.GREEN  # type: ignore[call-overload]

    assert set(ddmin(NAMES, test)) == culprits
    assert len(asked) <= (bound_for_one(64) if len(culprits) == 1 else bound_at_worst(64))


def lock_of(**versions: str) -> Lock:
    head = 'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.12"\n\n'
    part = '[[packages]]\nname = "{0}"\nversion = "{1}"\nwheels = [{{ url = "https://example.org/{0}-{1}-py3-none-any.whl", hashes = {{ sha256 = "{2}" }} }}]\n\n'  # noqa: E501 - one line of a lock
    return Lock(head + "".join(part.format(name, versions[name], "0" * 64) for name in sorted(versions)))


GREEN_LOCK = lock_of(big="4.0", hub="0.3", web="1.0", gone="1", same="7", **dict.fromkeys(NAMES, "1"))
RED_LOCK = lock_of(big="5.0", hub="1.0", web="2.0", new="1", same="7", **dict.fromkeys(NAMES, "2"))
NO_NEEDS = Needs({})


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


def search(rule: object, green: Needs = NO_NEEDS, red: Needs = NO_NEEDS) -> Search:
    return Search(GREEN_LOCK, RED_LOCK, Made(rule), lambda lock: green if lock is GREEN_LOCK else red)


def test_a_mix_takes_each_package_from_one_end() -> None:
    changes = changes_between(GREEN_LOCK, RED_LOCK)
    assert "same" not in changes
    assert str(changes["new"]) == "new (none) → 1"
    assert str(changes["gone"]) == "gone 1 → (none)"
    mixer = Mixer.of(GREEN_LOCK, RED_LOCK)
    assert mixer.mix(()).stack == GREEN_LOCK.stack
    assert mixer.mix(changes).stack == RED_LOCK.stack
    mixed = mixer.mix({"big", "new", "gone"}).stack
    assert (mixed["big"], mixed["hub"], mixed["new"], mixed.get("gone")) == ("5.0", "0.3", "1", None)


def test_the_culprit_is_named() -> None:
    found = search(lambda stack: RED if stack["big"] == "5.0" else PASSED).run()
    assert list(found.cause) == ["big"]
    assert found.sentence().startswith("big 4.0 → 5.0 breaks it")
    assert found.tests <= found.bounds[0]
    assert not found.along


def test_what_metadata_demands_moves_along_and_is_told() -> None:
    green = Needs({"big": [Requirement("hub<1")]})
    red = Needs({"big": [Requirement("hub>=1"), Requirement("same>=7")]})

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
    needs = Needs(chain_of("big", "hub", *NAMES[:9]))
    found = search(lambda stack: RED if stack[blamed] in {"5.0", "1.0", "2"} else PASSED, red=needs).run()
    assert list(found.cause) == [blamed]
    assert found.tests <= found.bounds[0] + 1


def test_what_moves_only_together_is_told_from_what_it_brings_along() -> None:
    """``big`` and ``hub`` cannot be had without each other, and bring ``web`` along, which is to blame alone."""
    green = Needs({"big": [Requirement("hub<1")]})
    red = Needs({"big": [Requirement("hub>=1"), Requirement("web>=2")]})
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


def test_a_change_brings_along_what_it_needs_and_no_more() -> None:
    changes = changes_between(GREEN_LOCK, RED_LOCK)
    coupling = Coupling.of(changes, NO_NEEDS, Needs({"big": [Requirement("hub>=1"), Requirement("web")]}))
    assert coupling.closed(["big"]) == {"big", "hub"}
    assert coupling.closed(["hub"]) == {"hub"}
    assert coupling.without({"big", "hub"}, "hub") == frozenset()
    assert coupling.without({"big", "hub"}, "big") == {"hub"}


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_real_culprit_is_found(tmp_path: Path) -> None:
    """As of the troubleshooting log's day lmdeploy 0.11.1 imports; as of today it does not."""
    (tmp_path / "matrix.yaml").write_text((ROOT / "matrix.yaml").read_text())
    (tmp_path / "models").symlink_to(ROOT / "models")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "bisect", "2026-01-04", "today", "--lmdeploy", "0.11.1", "--format", "json"],
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=2900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert [each["package"] for each in found["cause"]] == ["transformers"]
    assert found["tests"] <= found["bound_worst"]
