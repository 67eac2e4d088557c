"""What the logits are compared with: the same checkpoint under transformers, on the CPU."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Set

from ..engines.preprocess import THINKER, image_token_id
from ..engines.transformers import model_inputs
from ..miniature.classes import Unknown, model_class
from ..smoke.kept import EXPERTS

if TYPE_CHECKING:
    from ..smoke.question import Question

GPU_PACKAGES = ("fla", "causal_conv1d", "mamba_ssm", "flash_attn", "kernels")
"""Packages with GPU kernels: transformers calls them also where there is no GPU, and has torch code of its own."""
TEXT_KEYS = ("input_ids", "attention_mask")
NEWER = "mm_token_type_ids"
TOKEN_KINDS = (NEWER, "token_type_ids")
"""Inputs that tell image tokens from text, one for each token."""


class Reference:
    """The checkpoint under transformers, loaded in float32 and in float16."""

    def __init__(self, folder: str, architecture: str) -> None:
        self.torch = importlib.import_module("torch")
        self.transformers = importlib.import_module("transformers")
        self.folder = folder
        self.architecture = architecture
        self.configuration = self.transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        self.model = self.loaded(self.torch.float32)
        self._others: Dict[str, Any] = {}
        self.processor = self.transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.image_token = image_token_id(folder)
        self.stops = stop_ids(self.transformers, folder, self.tokenizer)

    @property
    def text(self) -> Any:
        """The configuration of the language model."""
        seen = getattr(self.configuration, THINKER, self.configuration)
        return getattr(seen, "text_config", None) or seen

    @property
    def experts(self) -> bool:
        """Whether the model chooses experts."""
        return any(getattr(self.text, name, None) for name in EXPERTS)

    @property
    def kind(self) -> Any:
        """The class of the checkpoint's architecture; transformers' own choice where none has that name."""
        named = {"architectures": [self.architecture], "model_type": self.configuration.model_type}
        try:
            return model_class(self.transformers, named)
        except Unknown:
            return self.transformers.AutoModelForCausalLM

    @property
    def half_model(self) -> Any:
        """The model in float16."""
        if "half" not in self._others:
            self._others["half"] = self.loaded(self.torch.float16)
        return self._others["half"]

    @property
    def unasked(self) -> Any:
        """The model in float32 with the attention that transformers takes when it is not asked."""
        if "unasked" not in self._others:
            self._others["unasked"] = self.loaded(self.torch.float32, attention=None)
        return self._others["unasked"]

    def loaded(self, dtype: Any, *, attention: Optional[str] = "eager") -> Any:
        """The model as transformers loads it in ``dtype``: casting it afterwards would round what stays in float32.

        Eager attention knows soft caps and sinks, which not every other one does.
        """
        newer = int(self.transformers.__version__.split(".")[0]) >= 5  # noqa: PLR2004 - where the keyword changed
        keywords: Dict[str, Any] = {"dtype" if newer else "torch_dtype": dtype}
        if attention is not None:
            keywords["attn_implementation"] = attention
        with without(GPU_PACKAGES):
            model = self.kind.from_pretrained(self.folder, local_files_only=True, **keywords).eval()
        return getattr(model, "thinker", model)  # Qwen3-Omni: the part that lmdeploy has

    def logits(self, ids: List[int], question: Optional[Question] = None) -> Any:
        """Logits of every position for these ids, float32; the image comes from transformers' own processor."""
        return self.run(self.model, ids, question)

    def own_float16(self, ids: List[int], question: Optional[Question] = None) -> Any:
        """The same in float16; None where transformers cannot, or not without overflow."""
        try:
            found = self.run(self.half_model, ids, question)
        except (RuntimeError, NotImplementedError):  # torch has not every operation in float16 on a CPU
            return None
        return found if bool(self.torch.isfinite(found).all()) else None

    def run(self, model: Any, ids: List[int], question: Optional[Question]) -> Any:
        """A model's logits of these ids."""
        tokens = self.torch.tensor([ids])
        inputs = {} if question is None else self.image_inputs(tokens, question)
        return self.run_inputs(model, {"input_ids": tokens, "attention_mask": self.torch.ones_like(tokens), **inputs})

    def run_inputs(self, model: Any, inputs: Dict[str, Any]) -> Any:
        """A model's logits, float32."""
        kind = next(model.parameters()).dtype
        typed = {name: self.cast(value, kind) for name, value in inputs.items()}
        images = inputs["input_ids"] == (-1 if self.image_token is None else self.image_token)
        if bool(images.any()) and NEWER in inspect.signature(model.forward).parameters:
            typed.setdefault(NEWER, images.long())  # inputs that an older version made have none
        with self.torch.inference_mode(), without(GPU_PACKAGES):
            return model(**typed, use_cache=False).logits[0].float()

    def cast(self, value: Any, dtype: Any) -> Any:
        """The value in the model's type, if it is of floats."""
        floats = isinstance(value, self.torch.Tensor) and value.is_floating_point()
        return value.to(dtype) if floats else value

    def image_inputs(self, tokens: Any, question: Question) -> Dict[str, Any]:
        """What transformers' processor makes of the image, and which tokens are the image's."""
        if question.image is None:
            return {}
        made = model_inputs(self.processor, question)[1]
        inputs = {name: value for name, value in made.items() if name not in (*TEXT_KEYS, *TOKEN_KINDS)}
        for name in TOKEN_KINDS:
            if name in made:
                inputs[name] = (tokens == self.image_token).long()
        return inputs


@contextlib.contextmanager
def without(packages: "tuple[str, ...]") -> Iterator[None]:
    """As if these packages were not installed."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages}
    for name in kept:
        del sys.modules[name]
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]  # None: cannot be imported
    try:
        yield
    finally:
        for name in packages:
            sys.modules.pop(name, None)
        sys.modules.update(kept)


def stop_ids(transformers: Any, folder: str, tokenizer: Any) -> Set[int]:
    """Tokens that end an answer, as the checkpoint says."""
    told = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    listed = told if isinstance(told, list) else [told]
    return {int(number) for number in [*listed, tokenizer.eos_token_id] if number is not None}
