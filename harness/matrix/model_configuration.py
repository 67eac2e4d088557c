"""What follows from a model's ``config.json``: architecture, quantisation, whether it sees, how large it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LARGEST = 4 * 1024 * 1024
"""Bytes of a config.json; published ones have up to 0.2 MB (quantisation tables)."""
DEEPEST = 40
"""Levels of nesting; published ones have up to 5."""
GIB = 1024**3
_VISION = (
    "vision_config",
    "visual",
    "vision_cfg",
    "mm_vision_tower",
    "vision_tower",
    "image_token_id",
    "img_processor",
)
"""Keys of models that take images, in published configurations."""
_TEXT = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where configurations with parts keep that of the language model."""
_QUANTISED = {
    "awq": "awq-int4",
    "gptq": "gptq-int4",
    "fp8": "fp8",
    "mxfp4": "mxfp4",
    "smooth_quant": "w8a8",
    "compressed-tensors": "compressed-tensors",
}
"""``quant_method`` of quantization_config, as lmdeploy's loaders know it."""
_INT4 = ("awq-int4", "gptq-int4")
"""With another number of bits they are methods that LMDeploy does not name."""
_BYTES = {
    "awq-int4": 0.55,
    "gptq-int4": 0.55,
    "mxfp4": 0.55,
    "compressed-tensors": 0.55,
    "fp8": 1.0,
    "w8a8": 1.0,
    "float32": 4.0,
}
"""Bytes a parameter, scales included; everything else is stored in 16 bits."""


class UnusableConfiguration(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the file
    """A config.json that says no model; the message names what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """A config.json, read."""

    content: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        """The first of ``architectures``."""
        return str(self.content["architectures"][0])

    @property
    def model_type(self) -> str:
        """``model_type``."""
        return str(self.content.get("model_type") or "")

    @property
    def text(self) -> Mapping[str, Any]:
        """The part that describes the language model; the whole where there are no parts."""
        found = self.content
        for _ in _TEXT:
            inner = next((found[name] for name in _TEXT if isinstance(found.get(name), dict)), None)
            if inner is None:
                break
            found = inner
        return found

    @property
    def sees(self) -> bool:
        """Whether the model takes images."""
        parts = [self.content, *(each for each in self.content.values() if isinstance(each, dict))]
        return any(part.get(name) is not None for part in parts for name in _VISION)

    @property
    def quantisation(self) -> str:
        """The method that the weights are stored with, in the words of model specs; ``none`` without one."""
        found = self.content.get("quantization_config") or self.text.get("quantization_config")
        if not isinstance(found, dict):
            return "none"
        method = str(found.get("quant_method") or found.get("quant_algo") or "unnamed").lower()
        known = _QUANTISED.get(method, "other")
        return "other" if known in _INT4 and found.get("bits", found.get("w_bit", 4)) != 4 else known  # noqa: PLR2004 - bits

    @property
    def remote_code(self) -> bool:
        """Whether the checkpoint brings Python code that loads it."""
        return bool(self.content.get("auto_map"))

    @property
    def parameters(self) -> int:
        """An estimate of the number of parameters, from the sizes alone: within a tenth for the families tried."""
        return sum(_parameters_of(part) for part in self._stacks())

    @property
    def weights_gib(self) -> float:
        """An estimate of what the weights take."""
        stored = self.quantisation
        stored = stored if stored in _BYTES else str(self.content.get("torch_dtype") or self.text.get("torch_dtype"))
        return self.parameters * _BYTES.get(stored, 2.0) / GIB

    def _stacks(self) -> Iterator[Mapping[str, Any]]:
        """The language model, and each encoder beside it."""
        yield self.text
        parts = [each for name, each in self.content.items() if isinstance(each, dict) and name not in _TEXT]
        for part in parts:
            if part.get("hidden_size") and _layers(part):
                yield {**part, "vocab_size": 0}


def read_configuration(file: Path) -> ModelConfiguration:
    """The configuration in a file.

    Raises:
        UnusableConfiguration: it cannot be read, or does not describe a model.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise UnusableConfiguration(f"{file} cannot be read: {error.strerror}") from error
    return parse_configuration(data, str(file))


def parse_configuration(data: bytes, name: str) -> ModelConfiguration:
    """The configuration in the bytes of a file; ``name`` is what messages call it.

    Raises:
        UnusableConfiguration: it does not describe a model.
    """
    if len(data) > LARGEST:
        raise UnusableConfiguration(
            f"{name} is larger than {LARGEST // 1024**2} MiB; that is no config.json of a model"
        )
    try:
        content = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UnusableConfiguration(f"{name} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnusableConfiguration(f"{name} holds no object; a config.json begins with {{")
    if _depth(content) > DEEPEST:
        raise UnusableConfiguration(f"{name} is nested more than {DEEPEST} levels deep")
    architectures = content.get("architectures")
    if not (isinstance(architectures, list) and architectures and isinstance(architectures[0], str)):
        raise UnusableConfiguration(
            f'{name} names no architecture; add e.g. "architectures": ["Qwen3ForCausalLM"], as published ones have'
        )
    return ModelConfiguration(content)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _depth(value: object, level: int = 1) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if level > DEEPEST:
        return level
    return max((_depth(each, level + 1) for each in inner), default=level)


def _number(part: Mapping[str, Any], *names: str) -> int:
    """The first of these keys that holds a whole number; 0 where none does."""
    for name in names:
        value = part.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9:
            return value
    return 0


def _layers(part: Mapping[str, Any]) -> int:
    return _number(part, "num_hidden_layers", "n_layers", "num_layers", "depth", "n_layer")


def _parameters_of(part: Mapping[str, Any]) -> int:
    """Parameters of a stack of transformer layers with its embedding."""
    hidden = _number(part, "hidden_size", "embed_dim", "n_embd", "d_model")
    layers = _layers(part)
    heads = _number(part, "num_attention_heads", "num_heads", "n_head") or 1
    width = _number(part, "head_dim") or hidden // heads
    shared = _number(part, "num_key_value_heads", "multi_query_group_num") or heads
    attention = hidden * width * heads * 2 + hidden * width * shared * 2
    compressed = _number(part, "kv_lora_rank")
    if compressed:
        rope, nope, value = (_number(part, name) for name in ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"))
        query = _number(part, "q_lora_rank")
        asked = (hidden + heads * (rope + nope)) * query if query else hidden * heads * (rope + nope)
        attention = asked + hidden * (compressed + rope) + compressed * heads * (nope + value) + heads * value * hidden
    inner = _number(part, "intermediate_size", "ffn_hidden_size", "n_inner", "mlp_dim") or 4 * hidden
    gated = 3 if _number(part, "vocab_size") else 2  # encoders of images have two matrices, language models three
    dense = gated * hidden * inner
    experts = _number(part, "num_local_experts", "num_experts", "n_routed_experts")
    if experts:
        each = _number(part, "moe_intermediate_size") or inner
        always = _number(part, "n_shared_experts") * each or _number(part, "shared_expert_intermediate_size")
        sparse = 3 * hidden * (each * experts + always) + hidden * experts
        first = _number(part, "first_k_dense_replace")
        feed = first * dense + (layers - first) * sparse
    else:
        feed = layers * dense
    embeddings = _number(part, "vocab_size") * hidden * (1 if part.get("tie_word_embeddings") else 2)
    return layers * attention + feed + embeddings
