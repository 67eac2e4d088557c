"""Runs inside a real environment: the stage ``emulate`` with a defect planted in lmdeploy (see test_emulate_real)."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def weight_loading() -> None:
    """Keys and values change places while the weights are loaded."""
    kind = importlib.import_module("lmdeploy.pytorch.models.qwen2_vl").Qwen2VLForConditionalGeneration
    original = kind.load_weights
    places = {"k_proj": "v_proj", "v_proj": "k_proj"}

    def load_weights(self: Any, weights: Any) -> None:
        def moved() -> Any:
            for name, tensor in weights:
                found = next((part for part in places if f".{part}." in name), None)
                yield (name.replace(found, places[found]) if found else name), tensor

        original(self, moved())

    kind.load_weights = load_weights


def mrope_positions() -> None:
    """Height and width change places in the image's positions."""
    kind = importlib.import_module("lmdeploy.pytorch.models.qwen2_vl").Qwen2VLInputProcessor
    original = kind.make_mrope
    kind.make_mrope = staticmethod(lambda grid: original(grid)[:, [0, 2, 1]])


def patch_order() -> None:
    """The image's patches come in the opposite order."""
    kind = importlib.import_module("lmdeploy.pytorch.models.qwen2_vl").Qwen2VLInputProcessor
    original = kind.preprocess_input

    def preprocess_input(self: Any, input_ids: Any, input_multimodals: Any = None, **others: Any) -> Any:
        result = original(self, input_ids, input_multimodals, **others)
        for image in result.input_multimodals["image"]:
            image.data = image.data.flip(0)
        return result

    kind.preprocess_input = preprocess_input


def attention_scale() -> None:
    """Attention of the language model is scaled by a tenth too little."""
    kind = importlib.import_module("lmdeploy.pytorch.nn.attention").Attention
    original = kind.__init__

    def initialise(self: Any, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        self.impl.scale *= 0.9

    kind.__init__ = initialise


def blind_control() -> None:
    """The negative control changes nothing, so it must not count."""
    engine = importlib.import_module("harness_probes.emulate_engine").EmulatedEngine
    contextlib: Any = importlib.import_module("contextlib")
    engine.one_projection_zeroed = lambda _self: contextlib.nullcontext("nothing")


DEFECTS: dict[str, Callable[[], None]] = {
    "weight-loading": weight_loading,
    "mrope-positions": mrope_positions,
    "patch-order": patch_order,
    "attention-scale": attention_scale,
    "blind-control": blind_control,
}


def main(start_file: str, defect: str, request: str) -> None:
    """Plant the defect and answer the request."""
    spec = importlib.util.spec_from_file_location("start", start_file)
    assert spec is not None
    assert spec.loader is not None
    start: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    start.load_package()
    start.prepare()
    stand_ins = start.sibling("emulate_stand_ins")
    stand_ins.prepare()
    stand_ins.install()
    DEFECTS[defect]()
    start.answer_request(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
