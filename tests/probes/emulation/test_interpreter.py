"""How the interpreter reads kernels: names at the time of the call, ``and`` and ``or`` between blocks."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.probes.emulation import interpreter
from tests.probes.samples import install

if TYPE_CHECKING:
    import pytest


def test_names_bound_at_import_are_looked_up_when_they_are_called() -> None:
    def log2(_value: float) -> str:
        return "the compiler's"

    log2.__module__ = "triton.language.math"
    language = SimpleNamespace(log2=log2, exp=lambda _value: "the language's")
    late = interpreter.late_function(language, log2)
    language.log2 = lambda _value: "the interpreter's"
    assert late(2.0) == "the interpreter's"

    def fast_expf(_value: float) -> str:
        return "the GPU's"

    fast_expf.__module__ = "triton.language.extra.cuda.libdevice"
    assert interpreter.late_function(language, fast_expf)(1.0) == "the language's"
    assert interpreter.late_function(language, len) is None
    assert interpreter.late_function(language, 3) is None


class Block:
    """A block of Triton's language, as far as masks go."""

    def __init__(self, *values: bool) -> None:
        self.values = values
        self.type = SimpleNamespace(is_block=lambda: True)
        self.numel = SimpleNamespace(value=len(values))

    def logical_and(self, other: Block) -> Block:
        """Element by element."""
        return Block(*(left and right for left, right in zip(self.values, other.values, strict=True)))


def test_and_between_masks_is_taken_element_by_element(monkeypatch: pytest.MonkeyPatch) -> None:
    class Transformer(ast.NodeTransformer):
        def visit_Assign(self, node: ast.Assign) -> Any:
            return node

    module: Any = install(monkeypatch, "triton.runtime.interpreter", ASTTransformer=Transformer)
    install(monkeypatch, "triton.language", tensor=Block)
    assert interpreter.elementwise_and_or()
    source = "mask = mask and window\nlazy = nothing and 1 / 0\nchosen = nothing or 5"
    rewritten = ast.fix_missing_locations(Transformer().visit(ast.parse(source)))
    names: dict[str, Any] = {**vars(module), "nothing": None}
    names.update(mask=Block(True, False, True), window=Block(True, True, False))
    exec(compile(rewritten, "kernel.py", "exec"), names)  # noqa: S102 - what the interpreter does with a kernel
    assert names["mask"].values == (True, False, False)
    assert names["lazy"] is None
    assert names["chosen"] == 5
