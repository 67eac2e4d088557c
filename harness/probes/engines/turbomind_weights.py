"""TurboMind's view of a checkpoint, without a GPU: which tensors its loader reads, and which it asks for in vain.

The loader is Python up to the last step, which hands tensors to the compiled engine; that step is left out. So this
says nothing of shapes, kernels or numbers. Up to lmdeploy 0.13 readers walk over the layers of a checkpoint
(``lmdeploy.turbomind.deploy``); later each model asks a checkpoint object for what it wants.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Set
from unittest import mock

from ..running.events import Events, Failed, summary
from ..running.exceptions import without_prefixes
from . import gpu_stand_ins, turbomind

if TYPE_CHECKING:
    from ..running.request import Request

LARGEST = 1 << 30
"""Bytes of a checkpoint that is still read into memory."""
SHOWN = 12
RESOLVER = "weight_format.py"
"""Where lmdeploy looks for a layer's tensors in all the forms it knows, and gives up where there is none."""
HANDING = ("add_", "set_", "_add_")
"""How methods begin that hand a tensor to the compiled engine."""


@dataclass
class View:
    """What was seen of a checkpoint."""

    there: Set[str] = field(default_factory=set)
    read: Set[str] = field(default_factory=set)
    in_vain: Set[str] = field(default_factory=set)
    """Asked for and not there, where the loader goes on without."""
    missing: List[str] = field(default_factory=list)
    """Asked for and not there, where it cannot."""

    def asked(self, name: str, *, needed: bool) -> None:
        """A tensor that was asked for."""
        if name in self.there:
            self.read.add(name)
        elif needed:
            self.missing.append(name)
        else:
            self.in_vain.add(name)

    @property
    def never_read(self) -> Dict[str, int]:
        """What the loader leaves where it is: each part of which it reads nothing, and how many tensors that has."""
        found: Dict[str, int] = {}
        for name in sorted(self.there - self.read):
            parts = name.split(".")
            starts = (".".join(parts[:end]) for end in range(1, len(parts)))
            part = next((each for each in starts if not any(one.startswith(f"{each}.") for one in self.read)), name)
            found[part] = found.get(part, 0) + 1
        return found

    def facts(self) -> Dict[str, Any]:
        """For the record."""
        return {
            "tensors": len(self.there),
            "read": len(self.read),
            "never_read": dict(list(self.never_read.items())[:SHOWN]),
            "asked_in_vain": sorted(self.in_vain)[:SHOWN],
            "missing": self.missing[:SHOWN],
        }


class WatchedTensors(Dict[str, Any]):
    """A reader's tensors, which tell what is asked of them."""

    def __init__(self, tensors: Dict[str, Any], view: View) -> None:
        super().__init__(tensors)
        self.view = view
        view.there |= set(tensors)

    def __getitem__(self, name: str) -> Any:
        self.view.asked(name, needed=True)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any dictionary."""
        self.view.asked(name, needed=False)
        return super().get(name, default)


class WatchedCheckpoint:
    """A checkpoint that tells what is asked of it."""

    def __init__(self, inner: Any, view: View) -> None:
        self.inner = inner
        self.view = view
        view.there |= set(inner.keys())

    def get(self, key: str, index: Any = None) -> Any:
        """A tensor."""
        self.view.asked(key, needed=True)
        return self.inner.get(key, index=index)

    pop = get
    """Nothing is taken out: what is asked for twice is there twice."""

    def has(self, key: str) -> bool:
        """Whether it is there."""
        found = bool(self.inner.has(key))
        if not found:
            self.view.asked(key, needed=False)
        return found

    def keys(self) -> Iterator[str]:
        """All names."""
        return iter(self.inner.keys())


def weight_view(request: Request, events: Events) -> None:
    """Let TurboMind's loader read the checkpoint; facts: what it read, what it left, what it asked for in vain."""
    with events.answering("configure") as answer:
        why = unread(request.model.folder)
        if why:
            events.fact("weight_view", {"why_not": why})
            answer.message = f"the weight loader was not asked: {why}"
            return
        folder = str(request.model.folder)
        gpu_stand_ins.install(triton=False)
        turbomind.require_support(request, folder, {}, events)
        view = View()
        ended = ""
        try:
            with on_the_cpu():
                look(turbomind.made(request, folder, turbomind.plain_settings()), folder, view)
        except Exception as error:  # over stand-ins: what the compiled part would have answered is not known
            frame = traceback.extract_tb(error.__traceback__)[-1]
            if isinstance(error, KeyError) and Path(frame.filename).name == RESOLVER:
                view.missing.append(str(error.args[0]))
            if not view.missing:
                ended = f"{summary(error)} ({without_prefixes(frame.filename)}:{frame.lineno})"
        facts = view.facts()
        events.fact("weight_view", {**facts, "ended": ended, "over_stand_in": True})
        if view.missing:
            raise Failed(
                f"turbomind's loader asks for what the checkpoint does not have: {view.missing[0]}",
                "weights-missing-or-corrupt",
            )
        answer.message = told(facts, ended)


def told(facts: Dict[str, Any], ended: str) -> str:
    """The view in a sentence."""
    words = f"the weight loader, without its compiled part, reads {facts['read']} of {facts['tensors']} tensors"
    left = ", ".join(f"{part} ({count})" if count > 1 else part for part, count in facts["never_read"].items())
    left = f"; never read: {left}" if left else ""
    return f"{words}; it ended early: {ended}" if ended else words + left


def unread(folder: Any) -> str:
    """Why a checkpoint is not looked at; empty where it is."""
    if folder is None:
        return "no checkpoint of this model is on this machine"
    size = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
    if not size:
        return "the checkpoint has no safetensors"
    return f"the checkpoint is larger than {LARGEST >> 20} MiB" if size > LARGEST else ""


@contextlib.contextmanager
def on_the_cpu() -> Iterator[None]:
    """What would be moved to the GPU stays where it is."""
    torch = importlib.import_module("torch")
    stay = mock.patch.object(torch.Tensor, "cuda", lambda self, *_arguments, **_keywords: self)
    with stay, mock.patch.object(torch.cuda, "empty_cache"):
        yield


def look(model: Any, folder: str, view: View) -> None:
    """Let the loader of this version go over the checkpoint."""
    if hasattr(model, "input_model"):
        for index, reader in model.input_model.readers():
            reader.params = WatchedTensors(reader.params, view)
            model.model(index, reader)
        return
    checkpoints = importlib.import_module("lmdeploy.turbomind.checkpoint")
    builders = importlib.import_module("lmdeploy.turbomind.builders._base")
    mappings = getattr(model, "_loader_mappings", [])
    watched = WatchedCheckpoint(checkpoints.create_checkpoint(folder, mappings=mappings), view)
    half = builders._torch_dtype_to_cpp(importlib.import_module("torch").float16)  # noqa: SLF001 - in the engine's words
    one_card = {"devices": [contextlib.nullcontext()], "gemm": turbomind.Recorder(), "data_type": half}
    context = filled(builders.Context, one_card)
    alone = builders.ParallelGroup(1, [0])
    bound = dict.fromkeys(inspect.signature(model.bind_runtime).parameters, alone)
    model.bind_runtime(**{**bound, "ctx": context, "root_handles": [turbomind.Recorder()]})
    with contextlib.ExitStack() as stack:
        for kind in kinds_of(builders.Builder):
            for name in [each for each in vars(kind) if each.startswith(HANDING) or each == "build"]:
                stack.enter_context(mock.patch.object(kind, name, built if name == "build" else nothing))
        model.model(checkpoints.Prefix(watched))


def kinds_of(kind: Any) -> List[Any]:
    """A class and all that derive from it."""
    return [kind, *(inner for each in kind.__subclasses__() for inner in kinds_of(each))]


def filled(kind: Any, known: Dict[str, Any]) -> Any:
    """An object of a class whose other arguments do not matter here."""
    return kind(**{name: known.get(name) for name in inspect.signature(kind).parameters})


def nothing(_builder: Any, *_arguments: Any, **_keywords: Any) -> None:
    """Hand nothing to the compiled part."""


def built(_builder: Any) -> Any:
    """A module without handles."""
    return importlib.import_module("lmdeploy.turbomind.builders._base").BuiltModule([])
