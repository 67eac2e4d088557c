"""Runs inside a real environment: kernels computed in step and one program after the other have to agree, bit by bit.

ENVIRONMENT/bin/python -I tests/probes/emulation/in_step.py harness/probes/start.py FOUND.json
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

os.environ["TRITON_INTERPRET"] = "1"

import torch  # type: ignore[import-not-found]
import triton  # type: ignore[import-not-found]
import triton.language as tl  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable


def strided_rows(source: Any, made: Any, rows: Any, width: tl.constexpr) -> Any:
    offsets = tl.arange(0, width)
    for row in tl.range(tl.program_id(0), rows, tl.num_programs(0)):
        block = tl.load(source + row * width + offsets).to(tl.float32)
        tl.store(made + row * width + offsets, block * tl.math.rsqrt(tl.sum(block * block, 0) + 1e-6))


def masked_softmax(source: Any, made: Any, width: Any, block: tl.constexpr) -> Any:
    row = tl.program_id(0)
    offsets = tl.arange(0, block)
    mask = (offsets < width) & (offsets <= row)
    values = tl.where(mask, tl.load(source + row * width + offsets, mask=mask, other=0.0), -float("inf"))
    weights = tl.exp(values - tl.max(values, 0))
    tl.store(made + row * width + offsets, weights / tl.sum(weights, 0), mask=offsets < width)


def product_of_blocks(  # noqa: PLR0913, PLR0917 - a kernel has neither keywords nor objects
    left: Any, right: Any, made: Any, m: Any, n: Any, k: Any, side: tl.constexpr
) -> Any:
    at_left = tl.make_block_ptr(left, (m, k), (k, 1), (tl.program_id(0) * side, 0), (side, side), (1, 0))
    at_right = tl.make_block_ptr(right, (k, n), (n, 1), (0, tl.program_id(1) * side), (side, side), (1, 0))
    total = tl.zeros((side, side), dtype=tl.float32)
    for _ in range(tl.cdiv(k, side)):
        a = tl.load(at_left, boundary_check=(0, 1), padding_option="zero")
        b = tl.load(at_right, boundary_check=(0, 1), padding_option="zero")
        total += tl.dot(a, b)
        at_left = tl.advance(at_left, (0, side))
        at_right = tl.advance(at_right, (side, 0))
    rows = tl.program_id(0) * side + tl.arange(0, side)
    columns = tl.program_id(1) * side + tl.arange(0, side)
    inside = (rows[:, None] < m) & (columns[None, :] < n)
    tl.store(made + rows[:, None] * n + columns[None, :], total, mask=inside)


def parting_after_a_store(source: Any, made: Any, width: tl.constexpr) -> Any:
    row = tl.program_id(0)
    offsets = tl.arange(0, width)
    tl.store(made + row * width + offsets, tl.load(made + row * width + offsets) + 1.0)
    if row % 3 == 1:
        return
    length = row + 1
    total = tl.zeros((width,), dtype=tl.float32)
    for at in range(length):
        total += tl.load(source + at * width + offsets)
    tl.store(made + row * width + offsets, tl.load(made + row * width + offsets) + total)


def larger_of_two(first_value: Any, first_place: Any, second_value: Any, second_place: Any) -> Any:
    take = second_value * second_value >= first_value * first_value
    return tl.where(take, second_value, first_value), tl.where(take, second_place, first_place)


def product_of_two(first: Any, second: Any) -> Any:
    return first * second * 1.01


larger_second, running_product = map(triton.jit, (larger_of_two, product_of_two))


def folds(source: Any, made: Any, places: Any, width: tl.constexpr) -> Any:
    row = tl.program_id(0)
    offsets = tl.arange(0, width)
    values = tl.load(source + row * width + offsets)
    _, place = tl.reduce((values, offsets), 0, larger_second)
    tl.store(places + row, place)
    pairs = tl.reshape(values, (width // 2, 2))
    scanned = tl.associative_scan(pairs, 0, running_product)
    turned = tl.cumsum(tl.trans(scanned), 1)
    tl.store(made + row * width + offsets, tl.reshape(tl.trans(turned), (width,)))


def counted(source: Any, made: Any, width: tl.constexpr) -> Any:
    values = tl.load(source + tl.program_id(0) * width + tl.arange(0, width))
    tl.atomic_add(made + tl.program_id(0) % 2, tl.sum(values, 0))


def counted_twice(source: Any, made: Any, width: tl.constexpr) -> Any:
    values = tl.load(source + tl.program_id(0) * width + tl.arange(0, width))
    before = tl.atomic_add(made, tl.sum(values, 0))
    tl.atomic_add(made + 1, before * 0.5)


def cases() -> dict[str, Callable[[], list[Any]]]:
    """What is launched, by name; each gives what its kernel wrote."""
    torch.manual_seed(0)
    small = torch.randn(37, 64)
    halves = [torch.randn(70, 50).half(), torch.randn(50, 45).half()]

    def rows() -> list[Any]:
        made = torch.zeros_like(small)
        triton.jit(strided_rows)[(8,)](small, made, 37, 64)
        return [made]

    def softmax() -> list[Any]:
        made = torch.zeros(37, 60)
        triton.jit(masked_softmax)[(37,)](small[:, :60].contiguous(), made, 60, 64)
        return [made]

    def product() -> list[Any]:
        made = torch.zeros(70, 45)
        triton.jit(product_of_blocks)[(5, 3)](*halves, made, 70, 45, 50, 16)
        return [made]

    def parting() -> list[Any]:
        made = torch.ones_like(small)
        triton.jit(parting_after_a_store)[(37,)](small, made, 64)
        return [made]

    def folding() -> list[Any]:
        made, places = torch.zeros_like(small), torch.zeros(37, dtype=torch.int32)
        triton.jit(folds)[(37,)](small, made, places, 64)
        return [made, places]

    def atomics() -> list[Any]:
        made = torch.zeros(2)
        triton.jit(counted)[(37,)](small, made, 64)
        return [made]

    def atomics_again() -> list[Any]:
        made = torch.zeros(2)
        triton.jit(counted_twice)[(37,)](small, made, 64)
        return [made]

    return {
        "rows": rows,
        "softmax": softmax,
        "product": product,
        "parting": parting,
        "folding": folding,
        "atomics": atomics,
        "atomics-again": atomics_again,
    }


def main() -> int:
    """Launch each both ways; what was found, by name."""
    package = ModuleType("harness_probes")
    package.__path__ = [str(Path(sys.argv[1]).resolve().parent)]
    sys.modules["harness_probes"] = package
    lock_step = importlib.import_module("harness_probes.emulation.lock_step")
    programs = importlib.import_module("harness_probes.emulation.programs").PROGRAMS
    importlib.import_module("harness_probes.emulation.interpreter").scalars_as_integers()
    one_by_one = {name: launch() for name, launch in cases().items()}
    replaced = lock_step.install()
    found: dict[str, Any] = {"replaced": replaced}
    for name, launch in cases().items():
        before = set(programs.alone)
        made = launch()
        found[name] = {
            "equal": all(torch.equal(mine, theirs) for mine, theirs in zip(made, one_by_one[name], strict=True)),
            "in_step": programs.alone == before,
        }
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
