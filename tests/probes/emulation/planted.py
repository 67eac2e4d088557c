"""Runs inside a real environment: defects planted in lmdeploy, one after the other, and what the comparison says.

    ENVIRONMENT/bin/python -I tests/probes/emulation/planted.py harness/probes/start.py REQUEST.json FOUND.json

REQUEST.json is a request of the stage ``emulate`` (see tests.real); FOUND.json gets one entry for each defect. Only the
image's prompt is run, which takes a tenth of the whole stage, but for the defect that the answer does not show.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
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


DEFECTS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
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
    asked = request.model.smoke["see"]
    image = questions.smoke_image(request.model.smoke["image"])
    found: dict[str, Any] = {}
    for name, planted in DEFECTS.items():
        with planted():
            question = questions.Question(asked["prompt"], asked["max_new_tokens"] if name in ANSWERED else 1, image)
            engine = engines.EmulatedEngine(request, folder, reference, events)
            late.late_names()
            told = engine.ask(question)
            theirs, own = (run(told.ids, question) for run in (reference.logits, reference.own_float16))
            found[name] = comparison.compared(told.logits, theirs, own, experts=reference.experts)
            if name in ANSWERED:
                found[name]["answer"] = told.reply.text
        sys.stdout.write("{}: {ratio:.3g}, {largest_difference:.3g}\n".format(name, **found[name]))
    Path(found_file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
