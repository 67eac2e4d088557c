"""Plain transformers."""

from __future__ import annotations

import pytest

from harness.probes.engines import transformers


def test_the_first_token_is_the_second_put() -> None:
    clock = transformers.FirstTokenClock()
    clock.put("prompt")
    assert clock.first is None
    clock.put("token")
    first = clock.first
    clock.put("token")
    assert first is not None
    assert clock.first == first


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match=r"options\.dtype is 'int4'"):
        transformers.cast(None, "int4")
