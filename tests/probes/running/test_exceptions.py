"""Exceptions, as they are told."""

from __future__ import annotations

from harness.probes.running import exceptions


def test_a_cyclic_chain_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    told = exceptions.record(first)
    assert (told["message"], told["cause"]["message"], told["cause"]["cause"]) == ("first", "second", None)
