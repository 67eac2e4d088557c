"""The order of a budget: what tells most comes first, and everything comes once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.results.store import Known
from harness.scheduling.priority import InTurn, MostInformative, predictions_of
from tests.scheduling.samples import LINE, record_of

if TYPE_CHECKING:
    from harness.matrix import Combination


def known(one: Combination, verdict: str) -> Known:
    record = record_of(one, verdict)
    return Known(one.id, 1, "", verdict, record.model_dump_json().encode())


def test_the_order_halves_the_stretch_in_which_a_verdict_changes() -> None:
    order = MostInformative()
    ends = {LINE[0].id: known(LINE[0], "fail/import/crash(x)"), LINE[8].id: known(LINE[8], "pass")}
    order.begin([(each,) for each in LINE[1:8]], ends)
    taken = []
    for _ in range(3):
        work = order.take()
        assert work is not None
        taken.append(work[0])
        order.learn(record_of(work[0], "pass" if LINE.index(work[0]) >= 3 else "fail/import/crash(x)"))
    assert taken == [LINE[4], LINE[2], LINE[3]]


def test_the_scans_boundary_is_tried_first() -> None:
    words = ["fail"] * 6 + ["pass"] * 3
    scan = {
        "model": "mini",
        "backend": "pytorch",
        "rows": ["1.0"],
        "columns": [each.transformers for each in LINE],
        "cells": [[{"prediction": word} for word in words]],
    }
    order = MostInformative(predictions_of(scan, LINE))
    order.begin([(each,) for each in LINE], {})
    first, second = order.take(), order.take()
    assert {first, second} == {(LINE[5],), (LINE[6],)}


@pytest.mark.parametrize("order", [InTurn(), MostInformative()])
def test_an_order_gives_out_everything_once(order: InTurn | MostInformative) -> None:
    order.begin([(each,) for each in LINE], {})
    given: list[Combination] = []
    while (work := order.take()) is not None:
        given += work
    assert sorted(each.id for each in given) == sorted(each.id for each in LINE)
