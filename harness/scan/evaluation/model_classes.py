"""Which attributes an object of a provider's class has: configurations and processors of a model type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from harness.scan.sources.calls import CallSignatures, signatures_of
from harness.scan.sources.classes import KIND, ClassFacts, Keywords, class_from_json, read_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.scan.evaluation.provider import Provider

Checkpoint: TypeAlias = "Mapping[str, object] | None"
"""A model's configuration file: values by key, those of a nested table behind its own name,
``text_config.bos_token_id``.
"""
_ALWAYS = frozenset(dir(object)) | {"__dict__"}
_AUTO = "models.auto"
_ANY = "AutoConfig"
_KEEPERS = frozenset({"PretrainedConfig", "PreTrainedConfig"})
"""Bases that make an attribute of every keyword that is left."""
_TABLE_MODULES = {
    "CONFIG_MAPPING_NAMES": ("configuration_auto", "auto_mappings"),
    "PROCESSOR_MAPPING_NAMES": ("processing_auto", "auto_mappings"),
}


@dataclass(frozen=True, slots=True)
class ClassRef:
    """A class by the module that defines it."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class _ModuleClasses:
    classes: Mapping[str, ClassFacts]
    tables: Mapping[str, Mapping[str, str]]
    aliases: Mapping[str, str]


class ModelClasses:
    """The configuration and processor classes of one release."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._read: dict[str, _ModuleClasses] = {}
        self._called: dict[str, CallSignatures] = {}
        self._lines: dict[ClassRef, list[tuple[ClassRef, ClassFacts]]] = {}

    def knows(self, model_type: str) -> bool:
        """Whether ``AutoConfig`` knows the model type."""
        return model_type in self._configs

    def config(self, model_type: str) -> ClassRef | None:
        """The configuration class of a model type."""
        return self._located(self._configs.get(model_type, ""))

    def processor(self, model_type: str) -> ClassRef | None:
        """The processor class of a model type."""
        return self._located(self._processors.get(model_type, ""))

    def part(self, ref: ClassRef, attribute: str, model_type: str = "") -> ClassRef | None:
        """The class of the configuration kept in an attribute; ``model_type``: the part's own, in the checkpoint.

        Many classes leave it to that type which class a part has: it is ``AutoConfig`` then.
        """
        for owner, facts in self._line(ref):
            if attribute in facts.parts:
                found = self._resolve(owner.module, facts.parts[attribute])
                return self.config(model_type) if found is not None and found.name == _ANY else found
        return None

    def generic(self) -> ClassRef | None:
        """The class of a configuration whose type is not known."""
        return self._located("PretrainedConfig")

    def has(self, ref: ClassRef, attribute: str, checkpoint: Checkpoint) -> bool | None:
        """Whether an object of the class has an attribute; None when that cannot be told.

        Args:
            ref: the class.
            attribute: the attribute.
            checkpoint: what the object is made from, None when that is not known; keys that a class does not name
                them becomes attributes too, unless it hands them to a part.
        """
        line = self._line(ref)
        own = line[0][1]
        named = any(attribute in facts.attributes or attribute in facts.listed for _, facts in line)
        if named or attribute in _ALWAYS or attribute in own.parameters:
            return True  # a processor keeps what its constructor names
        if not all(self._known_base(owner, base) for owner, facts in line for base in facts.bases):
            return None
        if (checkpoint is None or attribute in checkpoint) and self._kept(line, attribute):
            return None if checkpoint is None else True
        if not any(facts.hook for owner, facts in line if not _is_base(owner)):
            return False
        return self._in_part(line[0], attribute, checkpoint) if own.parts else None

    def accepts(self, module: str, name: str, attribute: str, keyword: str) -> bool | None:
        """Whether what a name stands for, or its method, may be called with a keyword; None when that cannot be told.

        Args:
            module: where the name is imported from.
            name: a function or a class.
            attribute: the method that is called; empty for the function or the class itself.
            keyword: the keyword.
        """
        found = self._provider.definition(module, name)
        if found is None:
            return None
        home, defined = found
        signatures = self._signatures(home)
        if defined in signatures.functions:
            return None if attribute else signatures.functions[defined].accepts(keyword)
        ref = ClassRef(home, self._facts(home).aliases.get(defined, defined))
        return self._method_accepts(ref, attribute or "__init__", keyword)

    def arguments(self, module: str, name: str, attribute: str) -> frozenset[str]:
        """The keywords that what a name stands for, or its method, names; the same arguments as :meth:`accepts`."""
        found = self._provider.definition(module, name)
        if found is None:
            return frozenset()
        home, defined = found
        signatures = self._signatures(home)
        if defined in signatures.functions:
            return signatures.functions[defined].parameters
        ref = ClassRef(home, self._facts(home).aliases.get(defined, defined))
        for owner, _ in self._line(ref):
            own = self._signatures(owner.module)
            if (method := own.methods.get(owner.name, {}).get(attribute or "__init__")) is not None:
                return method.parameters
            if fields := own.generated.get(owner.name):
                return fields
        return frozenset()

    def _method_accepts(self, ref: ClassRef, method: str, keyword: str) -> bool | None:
        fields: set[str] = set()
        for owner, facts in self._line(ref):
            signatures = self._signatures(owner.module)
            own = signatures.methods.get(owner.name, {}).get(method)
            if own is not None:
                return own.accepts(keyword)
            generated = signatures.generated.get(owner.name, frozenset())
            if generated is None or not all(self._known_base(owner, base) for base in facts.bases):
                return None
            fields |= generated if method == "__init__" else set()
        return keyword in fields if fields else None

    def _signatures(self, module: str) -> CallSignatures:
        if module not in self._called:
            self._called[module] = signatures_of(self._provider.release, module)
        return self._called[module]

    def _kept(self, line: list[tuple[ClassRef, ClassFacts]], attribute: str) -> bool:
        """Whether a key of the checkpoint that the class does not name becomes an attribute."""
        own = (f.keywords for owner, f in line if owner.name not in _KEEPERS)
        handled = next((each for each in own if each is not Keywords.INHERITED), Keywords.KEPT)
        if handled is Keywords.DROPPED or any(attribute in f.taken for owner, f in line if not _is_base(owner)):
            return False
        return handled is Keywords.KEPT or not self._taken_by_part(*line[0], attribute)

    def _in_part(self, own: tuple[ClassRef, ClassFacts], attribute: str, checkpoint: Checkpoint) -> bool:
        """Whether a part has the attribute: a class with a hook of its own looks there."""
        owner, facts = own
        for place in facts.parts:
            keys = keys_of_part(checkpoint, place)
            part = self.part(owner, place, type_of(keys))
            if part is None or self.has(part, attribute, keys) is not False:
                return True
        return False

    def _taken_by_part(self, ref: ClassRef, facts: ClassFacts, attribute: str) -> bool:
        for name in facts.parts.values():
            part = self._resolve(ref.module, name)
            if part is not None and any(attribute in inner.parameters for _, inner in self._line(part)):
                return True
        return False

    def _line(self, ref: ClassRef) -> list[tuple[ClassRef, ClassFacts]]:
        """A class and its known bases, nearest first."""
        if ref not in self._lines:
            found = self._lines[ref] = []
            pending, seen = [ref], set()
            while pending:
                current = pending.pop(0)
                facts = self._classes(current.module).get(current.name)
                if facts is not None and current not in seen:
                    seen.add(current)
                    found.append((current, facts))
                    bases = (self._resolve(current.module, text) for text in facts.bases)
                    pending.extend(base for base in bases if base is not None)
        return self._lines[ref]

    def _known_base(self, owner: ClassRef, base: str) -> bool:
        if base in {"object", "ABC", "abc.ABC", "Protocol", "Generic", "PushToHubMixin"}:
            return True
        ref = self._resolve(owner.module, base)
        return ref is not None and ref.name in self._classes(ref.module)

    def _resolve(self, module: str, name: str) -> ClassRef | None:
        """The class that a name in a module stands for."""
        last = name.rpartition(".")[2]
        found = self._provider.definition(module, last)
        if found is None:
            return ClassRef(module, last) if last in self._classes(module) else None
        home, defined = found
        return ClassRef(home, self._facts(home).aliases.get(defined, defined))

    def _located(self, name: str) -> ClassRef | None:
        return self._resolve(self._provider.root, name) if name else None

    @cached_property
    def _configs(self) -> Mapping[str, str]:
        return self._table("CONFIG_MAPPING_NAMES")

    @cached_property
    def _processors(self) -> Mapping[str, str]:
        return self._table("PROCESSOR_MAPPING_NAMES")

    def _table(self, table: str) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for last in _TABLE_MODULES[table]:
            module = f"{self._provider.root}.{_AUTO}.{last}"
            if module in self._provider.release.modules:
                found |= self._facts(module).tables.get(table, {})
        return found

    def _classes(self, module: str) -> Mapping[str, ClassFacts]:
        return self._facts(module).classes

    def _facts(self, module: str) -> _ModuleClasses:
        if module not in self._read:
            data = self._provider.release.reading(module, KIND, read_classes)
            classes = {name: class_from_json(row) for name, row in data["classes"].items()}
            self._read[module] = _ModuleClasses(classes, data["tables"], data["aliases"])
        return self._read[module]


def keys_of_part(checkpoint: Checkpoint, part: str) -> Checkpoint:
    """What a part is made from: its own table, or the same one where the file is flat."""
    if not checkpoint:
        return checkpoint
    own = {key.removeprefix(f"{part}."): value for key, value in checkpoint.items() if key.startswith(f"{part}.")}
    return own or checkpoint


def type_of(checkpoint: Checkpoint) -> str:
    """The model type that the file of a model, or of a part, says; empty where it says none."""
    return str((checkpoint or {}).get("model_type") or "")


def _is_base(ref: ClassRef) -> bool:
    """Whether a class is one of the library's own bases, whose hooks only serve attribute maps."""
    return ref.module.endswith((".configuration_utils", ".processing_utils", ".utils.hub"))
