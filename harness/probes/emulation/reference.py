"""What the logits are compared with: the same weights under transformers, in float32."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Dict, List, Set

from ..engines.preprocess import image_token_id
from ..engines.transformers import model_inputs

if TYPE_CHECKING:
    from ..smoke.question import Question

EPSILON = 2.0**-10
"""Distance from 1 to the next float16."""
LARGEST = 6.0
"""Largest difference allowed at any position, in steps of float16 at the largest logit. Seen: up to 1.5."""
TYPICAL = 0.5
"""Root mean square allowed over all positions, in the same steps. Seen: up to 0.1."""


class Reference:
    """The checkpoint under transformers, its weights rounded to float16 as the engine has them."""

    def __init__(self, folder: str, architecture: str) -> None:
        self.torch = importlib.import_module("torch")
        transformers = importlib.import_module("transformers")
        model = getattr(transformers, architecture).from_pretrained(folder, local_files_only=True)
        self.model = model.eval().half().float()
        self.processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.image_token = image_token_id(folder)
        self.stops = stop_ids(transformers, folder, self.tokenizer)

    def logits(self, ids: List[int], question: Question) -> Any:
        """Logits of every position for these ids; the image comes from transformers' own processor."""
        torch = self.torch
        tokens = torch.tensor([ids])
        inputs: Dict[str, Any] = {}
        if question.image is not None:
            made = model_inputs(self.processor, question)[1]
            inputs = {name: value for name, value in made.items() if name in ("pixel_values", "image_grid_thw")}
            if "mm_token_type_ids" in made:  # transformers 5 tells image tokens from text with it
                inputs["mm_token_type_ids"] = (tokens == self.image_token).long()
        with torch.inference_mode():
            found = self.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False, **inputs)
        return found.logits[0].float()


def stop_ids(transformers: Any, folder: str, tokenizer: Any) -> Set[int]:
    """Tokens that end an answer, as the checkpoint says."""
    told = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    listed = told if isinstance(told, list) else [told]
    return {int(number) for number in [*listed, tokenizer.eos_token_id] if number is not None}


def compared(mine: Any, theirs: Any) -> Dict[str, Any]:
    """Both sets of logits position by position; ``within``: inside both tolerances, and no NaN."""
    torch = importlib.import_module("torch")
    step = EPSILON * float(theirs.abs().max())
    differences = (mine - theirs).abs()
    by_position = differences.amax(dim=-1)
    place = int(by_position.nan_to_num(nan=float("inf")).argmax())
    largest = float(by_position[place])
    typical = float(differences.pow(2).mean().sqrt())
    nan = bool(torch.isnan(mine).any())
    return {
        "positions": int(mine.shape[0]),
        "largest_difference": largest,
        "at_position": place,
        "largest_allowed": LARGEST * step,
        "typical_difference": typical,
        "typical_allowed": TYPICAL * step,
        "same_first_choice": int((mine.argmax(dim=-1) == theirs.argmax(dim=-1)).sum()),
        "largest_logit": float(theirs.abs().max()),
        "nan": nan,
        "within": not nan and largest <= LARGEST * step and typical <= TYPICAL * step,
    }
