"""What expressions in the engine's functions give, as far as it matters, and what they ask on the way."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from harness.scan.evaluation.failures import Failure, Topic
from harness.scan.evaluation.importing import Flow
from harness.scan.evaluation.outside import PROVIDER, holds
from harness.scan.evaluation.values import (
    Constant,
    EngineClass,
    EngineFunction,
    Instance,
    Object,
    Symbol,
    Table,
    constant,
)
from harness.scan.evaluation.written import written
from harness.scan.sources.conditions import read_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.scan.evaluation.importing import Consumers, Importer
    from harness.scan.evaluation.model_classes import ClassRef
    from harness.scan.evaluation.outside import Outside
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.evaluation.values import FunctionNode, Sources, Value

_CONFIG_MAKERS = {"AutoConfig", "PretrainedConfig", "PreTrainedConfig"}
_BACKENDS = "lmdeploy.pytorch.backends"
_CUDA = EngineClass(f"{_BACKENDS}.cuda.op_backend", "CudaOpsBackend")
_BUILTINS = {"hasattr", "getattr", "setattr", "isinstance"}


@dataclass(slots=True)
class Frame:
    """A running function."""

    function: EngineFunction
    names: dict[str, Value]
    returned: Value = None
    depth: int = 0


@dataclass(slots=True)
class Expressions(ABC):
    """Evaluates expressions; functions are followed by whoever inherits this."""

    consumers: Consumers
    sources: Sources
    importer: Importer
    outside: Outside
    target: ScanTarget
    flow: Flow = field(default_factory=Flow)
    certain: bool = True
    """Whether what happens now certainly happens."""
    active: list[EngineFunction] = field(default_factory=list)
    """The functions that are running, outermost first."""
    absent: Callable[[str], bool] = lambda _root: False
    """Whether nothing in the stack brings a top-level module."""
    registered: bool = False
    """Whether the engine brings the class of the model's configuration itself."""
    generic: bool = False
    """Whether the engine took the configuration as one of no particular type."""
    _config: Object | None = None

    @abstractmethod
    def call(self, function: EngineFunction, given: Mapping[str, Value], depth: int = 0) -> Value:
        """Walk through a function of the engine; what is not given is unknown."""

    def config(self) -> Object | None:
        """The model's configuration, if its type is known; one object, which the engine may add to."""
        if self._config is None:
            ref = cast("ClassRef | None", self.outside.ask(("config", self.target.model_type)))
            unknown = ref is None and not self.target.remote_code
            if unknown and (self.generic or self.registered):
                ref = cast("ClassRef | None", self.outside.ask(("generic",)))
            self._config = None if ref is None else Object(ref, open=unknown and self.registered)
        return self._config

    @contextmanager
    def possibly(self) -> Iterator[None]:
        """What is found inside the block need not happen."""
        certain, self.certain = self.certain, False
        yield
        self.certain = certain

    def note(self, failure: Failure, *, only_certain: bool = False) -> None:
        """Something went wrong, certainly or possibly."""
        if self.certain:
            self.flow.raised[failure] = None
        elif not only_certain:
            self.flow.caught[replace(failure, guarded="if")] = None

    def failure(  # noqa: PLR0913, PLR0917 - the parts of a failure
        self, kind: Topic, module: str, name: str, error: str, line: int, frame: Frame
    ) -> Failure:
        """A failure at a line of the running function."""
        consumer = frame.function.module
        release = self.consumers.release(consumer)
        return Failure(
            kind=kind,
            module=module,
            name=name,
            error=error,
            consumer=consumer,
            file=consumer if release is None else release.path_of(consumer),
            line=line,
            function=frame.function.name,
            chain=self.importer.chain(consumer),
        )

    def value(self, node: ast.expr, frame: Frame) -> Value:  # noqa: C901, PLR0911, PLR0912 - one answer per expression
        """What an expression gives, its parts evaluated on the way."""
        match node:
            case ast.Constant(value=value):
                return Constant(value)
            case ast.Name(id=name):
                return frame.names[name] if name in frame.names else self.sources.lookup(frame.function.module, name)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=name):
                return self._above(name, frame)
            case ast.Attribute():
                return self._attribute(self.value(node.value, frame), node.attr, node.lineno, frame)
            case ast.Call():
                return self._call(node, frame)
            case ast.BoolOp(op=op, values=values):
                return self._either(isinstance(op, ast.Or), values, frame)
            case ast.Compare():
                truth = self.truth(node, frame)
                return None if truth is None else Constant(truth)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self._choice(test, body, otherwise, frame)
            case ast.Subscript(value=inner, slice=index):
                return self._item(self.value(inner, frame), self.value(index, frame), node.lineno, frame)
            case ast.ListComp():
                return self._listed(node, frame)
            case ast.Lambda() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return None
            case ast.List() | ast.Tuple() | ast.Set():
                parts = [self.value(part, frame) for part in node.elts]
                known = [part.value for part in parts if isinstance(part, Constant)]
                return Constant(tuple(known)) if len(known) == len(parts) else constant(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, frame)
        return None

    def truth(self, node: ast.expr, frame: Frame) -> bool | None:
        """Whether a condition holds; None when that cannot be told."""
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.truth(operand, frame)
                return None if inner is None else not inner
            case ast.BoolOp(op=op, values=values):
                return self._all_or_any(isinstance(op, ast.Or), values, frame)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                found = _compared(self.value(left, frame), op, self.value(right, frame))
                return found if found is not None else self._tested(node)
            case ast.Compare(left=left, comparators=others):  # a < b < c
                for part in (left, *others):
                    self.value(part, frame)
                return self._tested(node)
        value = self.value(node, frame)
        if isinstance(value, Constant):
            return bool(value.value)
        return True if value is not None else self._tested(node)

    def _tested(self, node: ast.expr) -> bool | None:
        test = read_test(node)
        return None if test == ("unknown",) else holds(self.outside, test)

    def _choice(self, test: ast.expr, body: ast.expr, otherwise: ast.expr, frame: Frame) -> Value:
        truth = self.truth(test, frame)
        if truth is not None:
            return self.value(body if truth else otherwise, frame)
        with self.possibly():
            return self.value(body, frame) or self.value(otherwise, frame)

    def _all_or_any(self, any_: bool, values: list[ast.expr], frame: Frame) -> bool | None:
        certain, unknown = self.certain, False
        for value in values:
            truth = self.truth(value, frame)
            if truth is any_:
                self.certain = certain
                return any_
            unknown = unknown or truth is None
            self.certain = self.certain and not unknown
        self.certain = certain
        return None if unknown else not any_

    def _either(self, any_: bool, values: list[ast.expr], frame: Frame) -> Value:
        """``a or b``: the later ones are reached when the earlier ones do not decide."""
        certain = self.certain
        result: Value = None
        for value in values:
            result = self.value(value, frame)
            decided = bool(result.value) if isinstance(result, Constant) else True if result is not None else None
            if decided is any_:
                break
            self.certain = self.certain and decided is not None
        self.certain = certain
        return result

    def _attribute(self, owner: Value, name: str, line: int, frame: Frame) -> Value:
        if isinstance(owner, Object):
            return self._read(owner, name, line, frame)
        if isinstance(owner, Instance):
            if name in owner.attributes:
                return owner.attributes[name]
            found = self.sources.method(owner.of, name)
            return self.sources.class_constant(owner.of, name) if found is None else replace(found, bound=owner)
        if isinstance(owner, EngineClass):
            found = self.sources.method(owner, name)
            return self.sources.class_constant(owner, name) if found is None else replace(found, bound=owner)
        if isinstance(owner, Symbol) and not owner.attribute:
            return replace(owner, attribute=name)
        if isinstance(owner, Table) and name not in dir(dict):
            subject = f"{owner.name}.{name}"  # a dictionary has no such attribute
            missing = self.failure(Topic.ATTRIBUTE, owner.module, subject, "AttributeError", line, frame)
            self.note(missing, only_certain=True)
        return None

    def _item(self, owner: Value, index: Value, line: int, frame: Frame) -> Value:
        match owner, index:
            case Constant(value=tuple() as values), Constant(value=int(place)) if -len(values) <= place < len(values):
                return Constant(values[place])
            case Table(), Constant(value=str(key)) if key in owner.within:
                return replace(owner, name=f"{owner.name}[{key!r}]", within=frozenset())
            case Table(), Constant(value=str(key)) if key not in owner.keys:
                subject = f"{owner.name}[{key!r}]"
                missing = self.failure(Topic.KEY, owner.module, subject, "KeyError", line, frame)
                self.note(missing, only_certain=True)
        return None

    def _listed(self, node: ast.ListComp, frame: Frame) -> Value:
        """``[Layer(config, i) for i in range(…)]``: one of them is made; there are layers in every model."""
        for each in node.generators:
            self.value(each.iter, frame)
        match node.generators:
            case [ast.comprehension(iter=ast.Call(func=ast.Name(id="range")), ifs=[], target=ast.Name(id=name))]:
                before = frame.names.get(name)
                frame.names[name] = None
                self.value(node.elt, frame)
                frame.names[name] = before
        return None

    def _above(self, name: str, frame: Frame) -> Value:
        """``super().name``: the method of a base of the class that the running function stands in."""
        function = frame.function
        bound = function.bound
        owner = bound.of if isinstance(bound, Instance) else bound
        here = EngineClass(function.module, function.name.rpartition(".")[0])
        found = None if owner is None else self.sources.method(owner, name, above=here)
        return None if found is None else replace(found, bound=bound)

    def _read(self, owner: Object, name: str, line: int, frame: Frame) -> Value:
        if name in owner.added:
            return owner.added[name]
        if not owner.open and self.outside.ask(("has", owner.ref, owner.path, name)) is False:
            subject = f"{owner.ref.name}.{name}"
            self.note(self.failure(Topic.ATTRIBUTE, owner.ref.module, subject, "AttributeError", line, frame))
            return None
        if owner is self._config and name == "model_type":
            return Constant(self.target.model_type)
        if owner is self._config and name == "architectures":
            return Constant((self.target.architecture,))
        part = cast("ClassRef | None", self.outside.ask(("part", owner.ref, owner.path, name)))
        if part is None:
            whole = self.generic and owner is self._config
            return written(owner, name, self.target.checkpoint, as_it_is=whole)
        return owner.parts.setdefault(name, Object(part, (*owner.path, name)))

    def _call(self, node: ast.Call, frame: Frame) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id in _BUILTINS and len(node.args) > 1:
            return self._builtin(node.func.id, node.args, frame)
        function = self.value(node.func, frame)
        positional = [self.value(a.value if isinstance(a, ast.Starred) else a, frame) for a in node.args]
        named = {keyword.arg: self.value(keyword.value, frame) for keyword in node.keywords}
        if isinstance(function, Symbol):
            return self._from_provider(function, node.lineno, frame)
        if isinstance(function, EngineClass):
            made = Instance(function)
            constructor = self.sources.method(function, "__init__")
            if constructor is not None:
                self._follow(replace(constructor, bound=made), positional, named, frame)
            return made
        if isinstance(function, EngineFunction):
            return self._follow(function, positional, named, frame)
        return None

    def _builtin(self, name: str, arguments: list[ast.expr], frame: Frame) -> Value:
        if name in {"hasattr", "getattr"}:
            return self._asked(name, arguments, frame)
        first, second = (self.value(argument, frame) for argument in arguments[:2])
        if name == "isinstance":
            if isinstance(first, Instance) and isinstance(second, EngineClass):
                return Constant(second in self.sources.line(first.of))
            return None
        self.value(arguments[-1], frame)
        if isinstance(first, Object) and isinstance(second, Constant):
            first.added[str(second.value)] = None
        return None

    def _follow(
        self, function: EngineFunction, positional: list[Value], named: Mapping[str | None, Value], frame: Frame
    ) -> Value:
        if function.name == "get_backend" and function.module.startswith(_BACKENDS):
            return _CUDA
        target = self.sources.definition(function.module, function.name)
        if target is None or isinstance(target, ast.ClassDef):
            return None
        given = dict(zip(_positional(target, bound=function.bound is not None), positional, strict=False))
        given |= {name: value for name, value in named.items() if name is not None}
        return self.call(function, given, frame.depth + 1)

    def _asked(self, asked: str, arguments: list[ast.expr], frame: Frame) -> Value:
        """``hasattr`` and ``getattr`` with a default ask without failing."""
        owner, name = self.value(arguments[0], frame), self.value(arguments[1], frame)
        has_default = len(arguments) > 2  # noqa: PLR2004 - object, name, default
        default = self.value(arguments[2], frame) if has_default else None
        if not isinstance(owner, Object) or not isinstance(name, Constant):
            return None
        attribute = str(name.value)
        asked_for = ("has", owner.ref, owner.path, attribute)
        there = attribute in owner.added or (None if owner.open else cast("bool | None", self.outside.ask(asked_for)))
        if asked == "hasattr":
            return None if there is None else Constant(there)
        if there or not has_default:
            return self._read(owner, attribute, arguments[0].lineno, frame)
        return default if there is False else None

    def _from_provider(self, function: Symbol, line: int, frame: Frame) -> Value:
        if function.module.split(".", maxsplit=1)[0] != PROVIDER or function.attribute != "from_pretrained":
            return None
        if function.name in _CONFIG_MAKERS:
            unknown = self.outside.ask(("knows", self.target.model_type)) is False
            if unknown and function.name != "AutoConfig":
                self.generic = True
            elif unknown and not self.registered and not self.target.remote_code:
                self.note(self.failure(Topic.MODEL_TYPE, PROVIDER, self.target.model_type, "ValueError", line, frame))
            return self.config()
        if function.name == "AutoProcessor":
            ref = cast("ClassRef | None", self.outside.ask(("processor", self.target.model_type)))
            return None if ref is None or self.target.remote_code else Object(ref)
        return None


def _positional(node: FunctionNode, *, bound: bool) -> list[str]:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    return names[1:] if bound and not static else names


def _compared(left: Value, op: ast.cmpop, right: Value) -> bool | None:
    if isinstance(op, ast.Is | ast.IsNot) and right == Constant(None) and left is not None:
        same = left == Constant(None)
        return same if isinstance(op, ast.Is) else not same
    if not isinstance(left, Constant) or not isinstance(right, Constant):
        return None
    match op:
        case ast.Eq() | ast.Is():
            return left.value == right.value
        case ast.NotEq() | ast.IsNot():
            return left.value != right.value
        case ast.In() | ast.NotIn() if isinstance(right.value, tuple | str):
            inside = left.value in right.value if isinstance(right.value, tuple) else str(left.value) in right.value
            return inside if isinstance(op, ast.In) else not inside
    return None
