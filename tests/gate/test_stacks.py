"""The stack before a change, and the very same after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from harness.environments.lock import Lock
from harness.environments.resolve import Resolution, ResolveRequest
from harness.environments.uv import UvFailure
from harness.gate.baseline import Accepted, Baseline
from harness.gate.stacks import Goal, LockedCombination, moved_to, moves, stacks_after, stacks_before
from harness.matrix import Backend, Combination

if TYPE_CHECKING:
    from collections.abc import Callable

DAY, LATER = date(2026, 1, 4), date(2026, 4, 13)
ONE = Combination(
    id="one",
    python="3.11",
    lmdeploy="0.11.1",
    transformers="4.57.3",
    backend=Backend.PYTORCH,
    model="canary",
    requirements=("lmdeploy==0.11.1", "pillow==11.0"),
    overrides=("numpy<3",),
)
BASELINE = Baseline(version=1, accepted="2026-03-01", combinations={"one": Accepted(verdict="pass", asks="x")})


def lock(**stack: str) -> Lock:
    packages = "".join(
        f'[[packages]]\nname = "{name}"\nversion = "{held}"\ndirectory = {{ path = "." }}\n'
        for name, held in stack.items()
    )
    return Lock(f'lock-version = "1.0"\ncreated-by = "test"\n{packages}')


@dataclass
class FakeSession:
    """Its resolver answers by the question's date."""

    answer: Callable[[ResolveRequest], Lock | UvFailure]
    workers: int = 1
    asked: list[ResolveRequest] = field(default_factory=list)

    @property
    def resolver(self) -> Any:
        """Itself."""
        return self

    def resolve(self, request: ResolveRequest, _: object) -> Resolution:
        """What it was made to answer."""
        self.asked.append(request)
        found = self.answer(request)
        failed = isinstance(found, UvFailure)
        return Resolution(None if failed else found, found if failed else None, 0.0, reused=False)  # type: ignore[arg-type]


def test_an_undated_combination_is_resolved_as_on_the_day_of_its_acceptance() -> None:
    session = FakeSession(lambda _: lock(pydantic="2.12.5"))
    stack = stacks_before(session, [ONE], BASELINE)["one"]  # type: ignore[arg-type]
    assert (stack.combination.as_of, stack.version_of("pydantic")) == (date(2026, 3, 1), "2.12.5")
    assert session.asked[0].exclude_newer == "2026-03-02T00:00:00Z"


def test_an_index_that_tells_no_dates_is_asked_without_one() -> None:
    session = FakeSession(lambda asked: UvFailure("conflict", "") if asked.exclude_newer else lock(pydantic="2.14"))
    stack = stacks_before(session, [ONE], BASELINE)["one"]  # type: ignore[arg-type]
    assert (stack.combination.as_of, stack.version_of("pydantic")) == (None, "2.14")


def test_what_never_resolved_and_what_is_excluded_is_not_asked() -> None:
    session = FakeSession(lambda _: lock())
    refused = Accepted(verdict="fail/resolve/resolver-conflict", asks="x")
    baseline = BASELINE.model_copy(update={"combinations": {"one": refused}})
    found = stacks_before(session, [ONE, replace(ONE, id="two", excluded="why")], baseline)  # type: ignore[arg-type]
    assert [stack.lock for stack in found.values()] == [None, None]
    assert session.asked == []


def test_after_a_bump_all_else_stays_and_the_date_moves_to_the_new_version() -> None:
    before = LockedCombination(replace(ONE, as_of=DAY), lock(pydantic="2.12.5", numpy="2.4.0"))
    session = FakeSession(lambda _: lock(pydantic="2.13.0", numpy="2.4.0"))
    goals = {"pydantic": Goal(Version("2.13.0"), LATER)}

    def made(day: date | None) -> Combination:
        return moved_to(replace(ONE, as_of=day), goals)

    after = stacks_after(session, {"one": before}, {"one": made}, {"one": goals})["one"]  # type: ignore[arg-type]
    (asked,) = session.asked
    assert (asked.exclude_newer, asked.kept) == ("2026-04-14T00:00:00Z", ("numpy==2.4.0",))
    assert "pydantic==2.13.0" in asked.requirements
    assert after.combination.id == "one-with-pydantic2.13.0"
    assert moves(before, after) == ["pydantic 2.12.5 → 2.13.0"]


def test_a_version_that_needs_something_younger_is_tried_as_of_today() -> None:
    today = datetime.now(UTC).date()
    before = LockedCombination(replace(ONE, as_of=DAY), lock(pydantic="2.12.5"))
    session = FakeSession(
        lambda asked: UvFailure("conflict", "") if asked.exclude_newer < str(today) else lock(pydantic="2.13.0")  # type: ignore[operator]
    )
    goals = {"pydantic": Goal(Version("2.13.0"), LATER)}
    made = {"one": lambda day: replace(ONE, as_of=day)}
    after = stacks_after(session, {"one": before}, made, {"one": goals})["one"]  # type: ignore[arg-type]
    assert (after.combination.as_of, after.version_of("pydantic")) == (today, "2.13.0")


def test_the_matrix_s_own_pin_of_what_moves_gives_way() -> None:
    goals = {"pillow": Goal(Version("12.0"), None), "numpy": Goal(Version("3.0"), None)}
    moved = moved_to(ONE, goals)
    assert moved.requirements == ("lmdeploy==0.11.1", "pillow==12.0", "numpy==3.0")
    assert moved.overrides == ("numpy==3.0",)
