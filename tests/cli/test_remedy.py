"""Which combination a pattern of ``remedy`` means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import click
import pytest

from harness.cli.remedy import failing
from tests.incidents.samples import the

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.matrix import Combination
    from harness.session.session import Session

ONE, OTHER = the("incident-4"), the("incident-5")


@dataclass
class Known:
    """A session that knows verdicts."""

    chosen: tuple[Combination, ...]
    verdicts: dict[str, str]

    def select(self, _patterns: Sequence[str]) -> tuple[Combination, ...]:
        """What fits."""
        return self.chosen

    def known_verdicts(self, _chosen: Sequence[Combination]) -> dict[str, str]:
        """What is known."""
        return self.verdicts


def meant(*chosen: Combination, **verdicts: str) -> Combination:
    known = {each.id: verdicts[name] for name, each in (("one", ONE), ("other", OTHER)) if name in verdicts}
    return failing(cast("Session", Known(chosen, known)), "x*")


def test_of_several_the_failing_one_is_meant() -> None:
    assert meant(ONE) is ONE
    assert meant(ONE, OTHER, one="pass/configure", other="fail/import/unknown(x)") is OTHER
    assert meant(ONE, OTHER, one="pass/configure") is OTHER


def test_otherwise_the_candidates_are_listed() -> None:
    with pytest.raises(click.UsageError, match="fits several combinations") as caught:
        meant(ONE, OTHER, one="fail/import/unknown(x)", other="fail/import/unknown(x)")
    assert ONE.id in caught.value.message
    assert OTHER.id in caught.value.message
