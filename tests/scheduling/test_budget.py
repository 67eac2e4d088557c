"""What a run may spend."""

from __future__ import annotations

from harness.scheduling.budget import Budget
from tests.report.samples import grid


def test_a_budget_of_gpu_time_stops_before_a_boot_that_would_not_fit() -> None:
    sample = next(each for each in grid(200) if each.stages and each.stages[-1].checks)
    stage = sample.stages[-1]
    check = stage.checks[0].model_copy(update={"facts": {"gpu": {}}, "seconds": 40.0, "reused": False})
    booted = sample.model_copy(update={"stages": [stage.model_copy(update={"checks": [check]})]})
    budget = Budget(gpu=100.0)
    budget.begin()
    budget.spend(booted)
    assert not budget.exhausted()
    budget.spend(booted)
    assert budget.exhausted()
    assert not budget.overdue()
    assert budget.spent_gpu == 80.0
    budget = Budget(gpu=100.0)
    again = check.model_copy(update={"reused": True})
    budget.spend(sample.model_copy(update={"stages": [stage.model_copy(update={"checks": [again]})]}))
    assert budget.spent_gpu == 0.0
