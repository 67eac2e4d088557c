"""What a record says of itself."""

from __future__ import annotations

import pytest

from tests.report.samples import record_of
from tests.report.troubles import BEAM_SEARCH, NO_GPU, Trouble

AXES = {"python": "3.11", "lmdeploy": "0.11.1", "transformers": "4.57.3", "backend": "pytorch", "model": "canary"}


@pytest.mark.parametrize("trouble", [BEAM_SEARCH, NO_GPU, None])
def test_the_decisive_diagnosis_is_of_the_check_that_ended_as_the_whole_did(trouble: Trouble | None) -> None:
    decisive = record_of(AXES, trouble).decisive
    assert (decisive.title if decisive is not None else None) == (trouble.title if trouble is not None else None)


def test_a_check_that_only_lacked_something_does_not_explain_a_failure() -> None:
    blocked, failed = record_of(AXES, NO_GPU), record_of(AXES, BEAM_SEARCH)
    both = failed.model_copy(update={"stages": [blocked.stages[-1], *failed.stages]})
    assert both.decisive == failed.decisive
