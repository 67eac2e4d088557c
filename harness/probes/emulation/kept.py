"""Transformers against itself: its numbers here against those kept with a miniature, and the engine's against both.

A miniature comes with float32 logits of the transformers that made it, for fixed ids and, where it sees, for a fixed
image as that version's processor left it. Where this environment's transformers gives others, transformers changed.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from ..smoke.comparison import compared

if TYPE_CHECKING:
    from .engine import EmulatedEngine
    from .reference import Reference

FILE = "reference.safetensors"
TEXT = "text"
CHANGED = 0.5
"""Transformers has changed where it is off by more than this times what float16 costs it: both are float32."""


class Kept:
    """The inputs and logits that came with a checkpoint; none of them for one that brings none."""

    def __init__(self, folder: str) -> None:
        file = Path(folder, FILE)
        tensors = importlib.import_module("safetensors.torch").load_file(str(file)) if file.is_file() else {}
        self.logits: Dict[str, Any] = {}
        self.inputs: Dict[str, Dict[str, Any]] = {}
        for name, value in tensors.items():
            prompt, kind, *rest = name.split(".", 2)
            if kind == "logits":
                self.logits[prompt] = value
            else:
                self.inputs.setdefault(prompt, {})[rest[0]] = value

    def against(self, reference: Reference) -> Dict[str, Any]:
        """Transformers here against what was kept: with the attention that the engine is compared with, and by itself.

        By itself it takes the attention that it takes for fastest, which is not always the same function.
        """
        found: Dict[str, Any] = {}
        for name, right in self.logits.items():
            own = reference.run_inputs(reference.half_model, self.inputs[name])
            for label, model in (("eager", reference.model), ("default", reference.unasked)):
                here = reference.run_inputs(model, self.inputs[name])
                values = compared(here, right, own, experts=reference.experts)
                values["changed"] = not values["ratio"] <= CHANGED
                found[f"{name}, {label} attention"] = values
        return found

    def blame(self, engine: EmulatedEngine, reference: Reference, itself: Dict[str, Any]) -> Optional[str]:
        """Which side is off where they differ: ``engine``, ``transformers`` or ``both``; None where nothing was kept.

        Where transformers changed, the engine is asked with the text's ids that were kept.
        """
        if not itself:
            return None
        if not any(each["changed"] for name, each in itself.items() if "eager" in name):
            return "engine"
        ids = [int(number) for number in self.inputs[TEXT]["input_ids"][0]]
        own = reference.run_inputs(reference.half_model, self.inputs[TEXT])
        found = compared(engine.prefill(ids), self.logits[TEXT], own, experts=reference.experts)
        return "transformers" if found["within"] else "both"
