"""Runs inside a real environment: defects planted in lmdeploy, one after the other, and what the comparison says.

    ENVIRONMENT/bin/python -I tests/probes/emulation/planted.py harness/probes/start.py REQUEST.json FOUND.json

REQUEST.json is a request of the stage ``emulate`` (see tests.real and benchmarks.planted); FOUND.json gets one entry
for each defect that met its model. The canary has its own, and is shown its image; a miniature of any architecture has
those of the parts that lmdeploy builds models from, and is asked a text. Only the prompt is run, which takes a tenth of
the whole stage, but for the defect that the answer does not show.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QWEN2_VL = "lmdeploy.pytorch.models.qwen2_vl"


@contextlib.contextmanager
def nothing() -> Iterator[None]:
    """Lmdeploy as it is."""
    yield


@contextlib.contextmanager
def weight_loading() -> Iterator[None]:
    """Keys and values change places while the weights are loaded."""
    kind = importlib.import_module(QWEN2_VL).Qwen2VLForConditionalGeneration
    original = kind.load_weights
    places = {"k_proj": "v_proj", "v_proj": "k_proj"}

    def load_weights(self: Any, weights: Any) -> None:
        def moved() -> Any:
            for name, tensor in weights:
                found = next((part for part in places if f".{part}." in name), None)
                yield (name.replace(found, places[found]) if found else name), tensor

        original(self, moved())

    with mock.patch.object(kind, "load_weights", load_weights):
        yield


@contextlib.contextmanager
def mrope_positions() -> Iterator[None]:
    """Height and width change places in the image's positions."""
    kind = importlib.import_module(QWEN2_VL).Qwen2VLInputProcessor
    original = kind.make_mrope
    with mock.patch.object(kind, "make_mrope", staticmethod(lambda grid: original(grid)[:, [0, 2, 1]])):
        yield


@contextlib.contextmanager
def patches(change: Callable[[Any], Any]) -> Iterator[None]:
    """The image's patches are changed on their way to the model."""
    kind = importlib.import_module(QWEN2_VL).Qwen2VLInputProcessor
    original = kind.preprocess_input

    def preprocess_input(self: Any, input_ids: Any, input_multimodals: Any = None, **others: Any) -> Any:
        result = original(self, input_ids, input_multimodals, **others)
        for image in result.input_multimodals["image"]:
            image.data = change(image.data)
        return result

    with mock.patch.object(kind, "preprocess_input", preprocess_input):
        yield


def reversed_order(data: Any) -> Any:
    """The last patch first."""
    return data.flip(0)


def row_by_row(data: Any) -> Any:
    """Patches row by row over the whole image instead of block by block of those that are merged."""
    return data.unflatten(0, (4, 4, 2, 2)).permute(0, 2, 1, 3, 4).flatten(0, 3)


@contextlib.contextmanager
def attention_scale() -> Iterator[None]:
    """Attention of the language model is scaled by a tenth too little."""
    kind = importlib.import_module("lmdeploy.pytorch.nn.attention").Attention
    original = kind.__init__

    def initialise(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        self.impl.scale *= 0.9

    with mock.patch.object(kind, "__init__", initialise):
        yield


class Part:
    """A class that lmdeploy builds models from, and a change of one of its methods."""

    def __init__(self, module: str, kind: str, change: Callable[..., Any], method: str = "forward") -> None:
        self.module, self.kind, self.change, self.method = module, kind, change, method

    @contextlib.contextmanager
    def planted(self, met: list[str]) -> Iterator[None]:
        """The change in place; ``met`` gets the class's name whenever the model comes by."""
        kind = getattr(importlib.import_module(f"lmdeploy.pytorch.nn.{self.module}"), self.kind, None)
        if kind is None:
            yield
            return
        original = getattr(kind, self.method)

        def changed(part: Any, *arguments: Any, **keywords: Any) -> Any:
            met.append(self.kind)
            return self.change(original, part, *arguments, **keywords)

        with mock.patch.object(kind, self.method, changed):
            yield


def scaled_too_little(original: Any, part: Any, *arguments: Any, **keywords: Any) -> None:
    """Attention's scale is a tenth too small."""
    original(part, *arguments, **keywords)
    part.impl.scale *= 0.9


def turned_backwards(original: Any, part: Any, *turned: Any, **keywords: Any) -> Any:
    """Positions turn the other way."""
    query, key, cos, sin = turned
    return original(part, query, key, cos, -sin, **keywords)


def two_percent_more(original: Any, part: Any, *arguments: Any, **keywords: Any) -> Any:
    """A norm's output is 2 % too large."""
    made = original(part, *arguments, **keywords)
    return (made[0] * 1.02, *made[1:]) if isinstance(made, tuple) else made * 1.02


def halves_swapped(original: Any, part: Any, x: Any) -> Any:
    """Gate and up change places."""
    first, second = x.chunk(2, dim=-1)
    return original(part, importlib.import_module("torch").cat([second, first], dim=-1))


def next_expert(original: Any, part: Any, *routed: Any) -> Any:
    """Each chosen expert is the one beside it."""
    hidden_states, weights, chosen = routed
    return original(part, hidden_states, weights, (chosen + 1) % part.num_experts)


PARTS = {
    "attention-scale": [Part("attention", "Attention", scaled_too_little, "__init__")],
    "rotary": [Part("rotary_embedding", "ApplyRotaryEmb", turned_backwards)],
    "norm": [Part("norm", "RMSNorm", two_percent_more), Part("norm", "LayerNorm", two_percent_more)],
    "gate-and-up": [
        Part("activation", "SiluAndMul", halves_swapped),
        Part("activation", "GeluAndMul", halves_swapped),
    ],
    "experts": [Part("moe.default", "FusedMoE", next_expert)],
}
"""Defects of what models of every architecture are built from."""


@contextlib.contextmanager
def in_parts(parts: list[Part], met: list[str]) -> Iterator[None]:
    """All of them changed."""
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(part.planted(met))
        yield


Defects: TypeAlias = "dict[str, Callable[[], contextlib.AbstractContextManager[None]]]"
DEFECTS: Defects = {
    "nothing": nothing,
    "weight-loading": weight_loading,
    "mrope-positions": mrope_positions,
    "patch-order": lambda: patches(reversed_order),
    "patch-order-unseen": lambda: patches(row_by_row),
    "attention-scale": attention_scale,
}
ANSWERED = frozenset({"patch-order-unseen"})
"""Asked for the whole answer, which stays right: the canary's quarters are flat."""


def main(start_file: str, request_file: str, found_file: str) -> None:
    """Plant each defect, compare, write down what was found."""
    spec = importlib.util.spec_from_file_location("start", start_file)
    assert spec is not None
    assert spec.loader is not None
    start: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    start.load_package()
    start.prepare()
    stand_ins, late, engines, references, comparison, questions = (
        start.sibling(name)
        for name in (
            "emulation.stand_ins",
            "emulation.interpreter",
            "emulation.engine",
            "emulation.reference",
            "smoke.comparison",
            "smoke.question",
        )
    )
    request = start.sibling("running.request").read(request_file)
    events = start.sibling("running.events").Events(request.events)
    stand_ins.prepare()
    stand_ins.install()
    folder = start.sibling("engines.model_folder").named_folder(request, events)
    reference = references.Reference(str(request.model.folder), request.model.architecture)
    canary = request.model.name == "canary"
    asked = request.model.smoke["see" if canary else "structure"]
    image = questions.smoke_image(request.model.smoke["image"]) if canary else None
    found: dict[str, Any] = {}
    met: list[str] = []
    anywhere: Defects = {"nothing": nothing, **{name: partial(in_parts, parts, met) for name, parts in PARTS.items()}}
    for name, planted in (DEFECTS if canary else anywhere).items():
        met.clear()
        with planted():
            question = questions.Question(asked["prompt"], asked["max_new_tokens"] if name in ANSWERED else 1, image)
            engine = engines.EmulatedEngine(request, folder, reference, events)
            late.late_names()
            told = engine.ask(question)
            if name in PARTS and not canary and not met:
                continue  # the model has no such part
            theirs, own = (run(told.reference_ids, question) for run in (reference.logits, reference.own_float16))
            found[name] = comparison.compared(told.logits, theirs, own, experts=reference.experts)
            if name in ANSWERED:
                found[name]["answer"] = told.reply.text
        sys.stdout.write("{}: {ratio:.3g}, {largest_difference:.3g}\n".format(name, **found[name]))
    Path(found_file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
