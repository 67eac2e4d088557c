"""lmdeploy's own model for a checkpoint, with its weights, on the CPU."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from ..engines.pytorch import build_keywords, load_model_config
from .stand_ins import Assumed

if TYPE_CHECKING:
    from ..running.request import Request

BLOCK_SIZE = 64
"""Tokens in a block of the cache: what the engine takes by default."""
BLOCKS = 8
"""Blocks of the cache: more than both passes need."""


class EmulatedModel:
    """The patched model with a cache of its own: what the engine's model agent holds, without streams and GPU."""

    def __init__(self, request: Request, folder: str) -> None:
        self.torch = importlib.import_module("torch")
        self.agent = importlib.import_module("lmdeploy.pytorch.engine.model_agent")
        self.forward_function = model_forward(self.agent)
        self.configuration = load_model_config(request, folder)
        self.model = built(self.configuration)
        load_weights(self.model, folder)
        self.cache_configuration = cache_configuration()
        self.caches = self.empty_caches()

    def empty_caches(self) -> List[Any]:
        """Zeroed key and value blocks for every layer, in the backend's own shape."""
        backend = importlib.import_module("lmdeploy.pytorch.backends").get_backend()
        found = self.configuration
        layers = found.num_layers
        size = found.k_head_dim if getattr(found, "k_head_dim", None) is not None else found.head_dim
        arguments = (BLOCK_SIZE, found.num_key_value_heads, size, found.dtype)
        shapes = (backend.get_k_block_shape(*arguments), backend.get_v_block_shape(*arguments))
        return [tuple(self.torch.zeros((BLOCKS, *shape), dtype=found.dtype) for shape in shapes) for _ in range(layers)]

    def forward(self, inputs: Any) -> Tuple[Any, Any]:
        """Logits of every position that goes in, float32, and the model's own notes for the next step."""
        known = inspect.signature(self.forward_function).parameters
        engine = Assumed(
            model_config=self.configuration,
            cache_config=self.cache_configuration,
            gpu_cache=self.caches,
            block_caches={},
        )
        wanted: Dict[str, Any] = {
            "model": self.model,
            "inputs": inputs,
            "model_config": self.configuration,
            "cache_engine": engine,
            "state_cache_engine": Assumed(state_caches=None, named_state_caches={}),
            "stream": None,
        }
        with self.torch.inference_mode():
            output = self.forward_function(**{name: value for name, value in wanted.items() if name in known})
            logits = self.model.get_logits(output["hidden_states"])
        return logits.float().reshape(-1, logits.shape[-1]), output.get("model_metas")


def model_forward(agent: Any) -> Any:
    """The engine's own function for one step, wherever this version keeps it."""
    found = getattr(agent, "model_forward", None)
    return found if found is not None else importlib.import_module(f"{agent.__name__}.agent").model_forward


def built(configuration: Any) -> Any:
    """The patched model of the configuration, its parameters on the CPU."""
    torch = importlib.import_module("torch")
    patch = importlib.import_module("lmdeploy.pytorch.models.patch")
    with torch.device("cpu"):
        return patch.build_patched_model(
            configuration, device=torch.device("cpu"), **build_keywords(patch, configuration)
        )


def load_weights(model: Any, folder: str) -> None:
    """Load the checkpoint through lmdeploy's own loader."""
    torch = importlib.import_module("torch")
    loader = importlib.import_module("lmdeploy.pytorch.weight_loader.model_weight_loader")
    loader.load_model_weights(model, folder, device=torch.device("cpu"))


def cache_configuration() -> Any:
    """The engine's configuration of a small cache."""
    kind = importlib.import_module("lmdeploy.pytorch.config").CacheConfig
    wanted = {
        "max_batches": 1,
        "block_size": BLOCK_SIZE,
        "kernel_block_size": BLOCK_SIZE,
        "num_cpu_blocks": 0,
        "num_gpu_blocks": BLOCKS,
    }
    known = {item.name for item in fields(kind)}
    return kind(**{name: value for name, value in wanted.items() if name in known})
