"""Following the engine's functions on a model's path, to see what they ask of the packages around them.

This is not an interpreter. It knows configurations, processors, constants and the engine's own functions and classes;
everything else is unknown. What happens behind a test that cannot be decided is noted as possible, what happens
otherwise as certain. Statements are here, what expressions give is in :mod:`harness.scan.evaluation.expressions`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from harness.scan.evaluation.expressions import Expressions, Frame
from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.importing import Flow, catches
from harness.scan.evaluation.provider import absolute
from harness.scan.evaluation.values import Constant, Instance, Object, Symbol, Value, constant
from harness.scan.sources.reading import caught, error_name, from_import_of, imports_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from harness.scan.evaluation.values import EngineFunction, FunctionNode

_DEPTH = 12


class _End(Enum):
    """How a block ends."""

    ON = "goes on"
    LEFT = "returned"
    RAISED = "raised"
    PERHAPS = "may have returned"


@dataclass(slots=True)
class Walk(Expressions):
    """One walk; ``flow`` gathers what it finds."""

    def call(self, function: EngineFunction, given: Mapping[str, Value], depth: int = 0) -> Value:
        """Walk through a function of the engine; what is not given is unknown."""
        node = self.sources.definition(function.module, function.name)
        if node is None or isinstance(node, ast.ClassDef) or depth > _DEPTH or function in self.active:
            return None
        frame = Frame(function, _parameters(node, function, given), depth=depth)
        self.active.append(function)
        certain = self.certain
        self._block(node.body, frame)
        self.certain = certain
        self.active.pop()
        return frame.returned

    def probe(self, function: EngineFunction, given: Mapping[str, Value]) -> Value:
        """What a function returns, without noting what goes wrong in it."""
        outer, self.flow = self.flow, Flow()
        result = self.call(function, given)
        self.flow = outer
        return result

    def _block(self, body: Iterable[ast.stmt], frame: Frame) -> _End:
        for node in body:
            end = self._statement(node, frame)
            if end in (_End.LEFT, _End.RAISED):
                return end
            if end is _End.PERHAPS:
                self.certain = False
        return _End.ON

    def _statement(self, node: ast.stmt, frame: Frame) -> _End:  # noqa: C901, PLR0911, PLR0912 - one case per statement
        match node:
            case ast.Import() | ast.ImportFrom():
                if not self._import(node, frame):
                    return _End.RAISED
            case ast.Assert(test=test):
                if self.truth(test, frame) is False:
                    self.note(self.failure(Topic.RAISES, "", "", "AssertionError", node.lineno, frame))
                    return _End.RAISED
            case ast.Return(value=value):
                frame.returned = self.value(value, frame) if value is not None else Constant(None)
                return _End.LEFT
            case ast.Raise(exc=error):
                if error is not None:
                    self.note(
                        self.failure(Topic.RAISES, "", "", error_name(error), node.lineno, frame),
                        only_certain=True,
                    )
                return _End.RAISED
            case ast.Assign(targets=targets, value=value):
                result = self.value(value, frame)
                for target in targets:
                    self._assign(target, result, frame)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self.value(value, frame), frame)
            case ast.AugAssign(target=target, value=value):
                self.value(value, frame)
                self._assign(target, None, frame)
            case ast.Expr(value=value):
                self.value(value, frame)
            case ast.If():
                return self._if(node, frame)
            case ast.For(target=target, iter=over, body=body) | ast.AsyncFor(target=target, iter=over, body=body):
                self.value(over, frame)
                self._assign(target, None, frame)
                return _End.PERHAPS if self._block(body, frame) is _End.LEFT else _End.ON
            case ast.While(test=test, body=body):
                self.value(test, frame)
                with self.possibly():
                    self._block(body, frame)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    self.value(item.context_expr, frame)
                return self._block(body, frame)
            case ast.Try():
                return self._try(node, frame)
            case ast.Continue() | ast.Break():
                return _End.LEFT
        return _End.ON

    def _if(self, node: ast.If, frame: Frame) -> _End:
        value = self.truth(node.test, frame)
        if value is not None:
            return self._block(node.body if value else node.orelse, frame)
        before = dict(frame.names)
        with self.possibly():
            first = self._block(node.body, frame)
            after_first = frame.names
            frame.names = dict(before)
            second = self._block(node.orelse, frame)
        frame.names = _merged(after_first, first, frame.names, second)
        if first is second and first is not _End.ON:
            return first
        return _End.PERHAPS if _End.LEFT in (first, second) or _End.PERHAPS in (first, second) else _End.ON

    def _try(self, node: ast.Try, frame: Frame) -> _End:
        outer, self.flow = self.flow, Flow()
        end = self._block(node.body, frame)
        body, self.flow = self.flow, outer
        self.flow.caught.update(body.caught)
        if body.raised:
            end = self._handle(node, body, frame)
        elif end is _End.ON:
            end = self._block(node.orelse, frame)
        self._block(node.finalbody, frame)
        return end

    def _handle(self, node: ast.Try, body: Flow, frame: Frame) -> _End:
        first = next(iter(body.raised))
        handler = next((h for h in node.handlers if catches(caught(h.type), first.error)), None)
        if handler is None:
            self.flow.raised.update(body.raised)
            return _End.RAISED
        again = next((inner for inner in handler.body if isinstance(inner, ast.Raise)), None)
        if again is not None:
            for failure in body.raised:
                self.flow.raised[replace(failure, error=error_name(again.exc) or first.error)] = None
            return _End.RAISED
        for failure in body.raised:
            self.flow.caught[replace(failure, guarded="try")] = None
        return self._block(handler.body, frame)

    def _import(self, node: ast.Import | ast.ImportFrom, frame: Frame) -> bool:
        """Import something; False where it is of a package that nothing installs."""
        module = frame.function.module
        absent = next((root for root in _roots(node) if self.absent(root)), None)
        if absent is not None:
            if self.certain:
                self.note(self.failure(Topic.MODULE, absent, "", "ModuleNotFoundError", node.lineno, frame))
            return False
        inner = Flow()
        self.importer.run(module, imports_of(node), inner, frame.function.name)
        for failure in inner.raised:
            self.note(failure)
        self.flow.caught.update(inner.caught)
        if isinstance(node, ast.ImportFrom):
            release = self.consumers.release(module)
            step = from_import_of(node)
            target = absolute(module, release is not None and release.is_package(module), step)
            own = self.consumers.own(target) is not None
            for name, alias in step.names:
                frame.names[alias] = self.sources.lookup(target, name) if own else Symbol(target, name)
        return True

    def _assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        match target:
            case ast.Name(id=name):
                frame.names[name] = value
            case ast.Attribute(value=inner, attr=name):
                owner = self.value(inner, frame)
                if isinstance(owner, Instance):
                    owner.attributes[name] = value
                elif isinstance(owner, Object):
                    owner.added[name] = value if self.certain else None
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._assign(part, None, frame)
            case ast.Subscript(value=inner):
                self.value(inner, frame)


def _roots(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The top-level modules that an import names outright."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [node.module.partition(".")[0]] if node.module and not node.level else []


def _parameters(node: FunctionNode, function: EngineFunction, given: Mapping[str, Value]) -> dict[str, Value]:
    arguments = node.args
    names: dict[str, Value] = {}
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [constant(d) for d in arguments.defaults]
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += [(a, constant(d) if d else None) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    for argument, default in pairs:
        names[argument.arg] = given.get(argument.arg, default)
    if function.bound is not None and positional:
        names[positional[0].arg] = function.bound
    return names


def _merged(first: dict[str, Value], end: _End, second: dict[str, Value], other_end: _End) -> dict[str, Value]:
    """What is known of names after two branches, of which those that left do not count."""
    if end in (_End.LEFT, _End.RAISED):
        return second
    if other_end in (_End.LEFT, _End.RAISED):
        return first
    both: dict[str, Value] = {name: value if second.get(name) == value else None for name, value in first.items()}
    return both | {name: None for name in second if name not in first}
