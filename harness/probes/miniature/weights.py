"""Random weights in which every structural choice shows.

Deterministic from the seed and each tensor's name, so a tensor's values depend on no other's. Every value is one that
bfloat16 and float16 both hold, so the precision a checkpoint is loaded in changes nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import re
from typing import Any, Dict, Iterator, Set, Tuple

from .rules import KEYS

GAIN = 1.3
"""Standard deviation times the root of a matrix's inputs: what goes in comes out about as large."""
EMBEDDING = 0.5
TIED = 3.0
"""Of an embedding that also makes the logits, times the root of its width: else every token answers itself."""
TABLE = 0.3
"""Of learned positions and single vectors."""
ROUTER = 2.0
"""Times the root of its inputs: wide enough apart to tell experts, not so wide that a sigmoid is 1 for half of them."""
STRONG = 2.5
"""More, for what else would drown: what attention and experts give, each a mean over much that differs."""
CAPPED = 2.0
"""More, for queries and keys whose product has a soft cap of 50, which else would never be reached."""
SPREAD = 0.1
"""Of norms around their neutral value, of biases and correction biases around 0."""
SINK = 1.0

IS_EMBEDDING = re.compile(r"embed_tokens|wte|word_embeddings|tok_embeddings")
IS_TABLE = re.compile(r"pos(?:ition)?_?emb|cls_token|class_embedding|newline|query|separator")
IS_STRONG = re.compile(r"self_attn\.(?:o_proj|dense)\.|linear_attn\.out_proj\.|(?<!shared_)experts\..*(?:down_proj|w2)")
IS_ASKING = re.compile(r"self_attn\.[qk]_proj\.")
IS_ROUTER = re.compile(
    r"(?:router|mlp\.gate|gate\.wg|block_sparse_moe\.gate|feed_forward\.gate|shared_expert_gate)\.weight$"
)


def fill(model: Any, seed: int) -> None:
    """Give every parameter and every stored buffer its values."""
    torch = importlib.import_module("torch")
    tied = tied_tables(model)
    capped = bool(getattr(model.config.get_text_config(), "attn_logit_softcapping", None))
    with torch.no_grad():
        for name, tensor in tensors(model):
            generator = torch.Generator().manual_seed(seed_of(name, seed))
            if not tensor.is_floating_point():  # DeepSeek-V4's table from tokens to experts
                chances = torch.rand((*tensor.shape[:-1], experts_of(model.config)), generator=generator)
                tensor.copy_(chances.argsort(dim=-1)[..., : tensor.shape[-1]])
                continue
            noise = torch.randn(tuple(tensor.shape), generator=generator, dtype=torch.float32)
            values = (
                TIED / math.sqrt(tensor.shape[-1]) * noise
                if id(tensor) in tied
                else drawn(name, tensor, noise, capped=capped)
            )
            tensor.copy_(rounded(values, torch))


def experts_of(configuration: Any) -> int:
    """How many experts the configuration has."""
    return next(int(getattr(configuration, key)) for key in KEYS["experts"] if hasattr(configuration, key))


def tied_tables(model: Any) -> Set[int]:
    """Embeddings with which the logits are made too: tensors that have two names."""
    counts: Dict[int, int] = {}
    for _, tensor in model.named_parameters(remove_duplicate=False):
        counts[id(tensor)] = counts.get(id(tensor), 0) + 1
    return {number for number, count in counts.items() if count > 1}


def tensors(model: Any) -> Iterator[Tuple[str, Any]]:
    """What a checkpoint holds of the model: its parameters, and buffers such as a router's correction bias."""
    stored = set(model.state_dict())
    yield from model.named_parameters()
    for name, buffer in model.named_buffers():
        if name in stored:
            yield name, buffer


def drawn(name: str, tensor: Any, noise: Any, *, capped: bool) -> Any:
    """The values of one tensor, float32.

    Args:
        name: of the tensor.
        tensor: as its class made it.
        noise: normal, of its shape.
        capped: whether the attention has a soft cap.
    """
    if name.endswith("sinks"):
        return SINK * noise
    if tensor.dim() <= 1 or name.endswith((".bias", "_bias")):
        neutral = float(tensor.detach().float().mean()) if tensor.numel() else 0.0
        # a norm starts at 1, or at 0 where its class adds 1; everything else of one dimension starts at 0
        return round(neutral) + SPREAD * noise
    if IS_EMBEDDING.search(name):
        return EMBEDDING * noise
    if IS_TABLE.search(name):
        return TABLE * noise
    gain = ROUTER if IS_ROUTER.search(name) else GAIN
    if IS_STRONG.search(name):
        gain *= STRONG
    if capped and IS_ASKING.search(name):
        gain *= CAPPED
    return gain / math.sqrt(inputs_of(name, tensor)) * noise


def inputs_of(name: str, tensor: Any) -> float:
    """How many inputs a matrix or a convolution has.

    Experts' matrices that lie in one tensor stand either way round; the mean of both sides serves.
    """
    if tensor.dim() == 3 and not name.endswith(".weight"):  # noqa: PLR2004 - experts, outputs, inputs
        return math.sqrt(float(tensor.shape[1] * tensor.shape[2]))
    return float(math.prod(tensor.shape[1:]))


def rounded(values: Any, torch: Any) -> Any:
    """To values that both half precisions hold."""
    return values.to(torch.bfloat16).to(torch.float16).to(torch.bfloat16).to(torch.float32)


def seed_of(name: str, seed: int) -> int:
    """A seed for each tensor."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:6], "big")
