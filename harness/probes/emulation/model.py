"""lmdeploy's own model for a checkpoint, with its weights and its caches, on the CPU."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from ..engines.pytorch import build_keywords, load_model_config
from . import kernels
from .device import on_the_cpu
from .stand_ins import Assumed

if TYPE_CHECKING:
    from ..running.request import Request

BLOCK_SIZE = 64
"""Tokens in a block of the cache: what the engine takes by default."""
BLOCKS = 40
"""Blocks of the cache: more than both passes need."""
STATES = 4
"""Slots for the states of linear attention; the engine keeps the first for itself."""


class EmulatedModel:
    """The patched model with caches of its own: what the engine's model agent holds, without streams and GPU."""

    def __init__(self, request: Request, folder: str) -> None:
        self.torch = importlib.import_module("torch")
        self.agent = importlib.import_module("lmdeploy.pytorch.engine.model_agent")
        self.forward_function = model_forward(self.agent)
        self.configuration = load_model_config(request, folder)
        self.made_up = in_float16(self.configuration)
        self.made_up += kernels.prepare()
        with on_the_cpu(), kernels.in_place():
            self.model = built(self.configuration)
            self.never_written = load_weights(self.model, folder)
            self.cache_configuration = cache_configuration(self.configuration)
            self.runner = runner(self.model, self.configuration, self.cache_configuration)
            self.cache, self.states = caches(self.model, self.configuration, self.cache_configuration)

    def begin(self, slot: Any) -> None:
        """Clear the states that a new sequence finds in its slot, as the engine does."""
        clear = getattr(self.states, "zero_slots", None) or getattr(self.states, "init_caches", None)
        if clear is not None and self.configuration.states_shapes:
            clear(slot, self.torch.tensor([True]))

    def forward(self, inputs: Any) -> Tuple[Any, Any]:
        """Logits of every position that goes in, float32, and the model's own notes for the next step."""
        known = inspect.signature(self.forward_function).parameters
        wanted: Dict[str, Any] = {
            "model": self.runner,
            "inputs": inputs,
            "model_config": self.configuration,
            "cache_engine": self.cache,
            "state_cache_engine": self.states,
            "stream": None,
        }
        with self.torch.inference_mode(), on_the_cpu(), kernels.in_place():
            output = self.forward_function(**{name: value for name, value in wanted.items() if name in known})
            logits = self.runner.get_logits(output["hidden_states"])
        return logits.float().reshape(-1, logits.shape[-1]), output.get("model_metas")


def model_forward(agent: Any) -> Any:
    """The engine's own function for one step, wherever this version keeps it."""
    found = getattr(agent, "model_forward", None)
    return found if found is not None else importlib.import_module(f"{agent.__name__}.agent").model_forward


def in_float16(configuration: Any) -> List[str]:
    """Have states of the model's own type where they are bfloat16 for every model; what was changed."""
    shapes = getattr(configuration, "states_shapes", None) or []
    narrow = importlib.import_module("torch").bfloat16
    if not any(kind is narrow for _, kind in shapes):
        return []
    configuration.states_shapes = [(shape, configuration.dtype if kind is narrow else kind) for shape, kind in shapes]
    return ["bfloat16 states in float16"]


def built(configuration: Any) -> Any:
    """The patched model of the configuration, its parameters on the CPU and NaN until something writes them."""
    torch = importlib.import_module("torch")
    patch = importlib.import_module("lmdeploy.pytorch.models.patch")
    torch.use_deterministic_algorithms(True, warn_only=True)  # which also fills new memory with NaN
    try:
        with torch.device("cpu"):
            return patch.build_patched_model(
                configuration, device=torch.device("cpu"), **build_keywords(patch, configuration)
            )
    finally:
        torch.use_deterministic_algorithms(False)


def load_weights(model: Any, folder: str) -> List[str]:
    """Load the checkpoint through lmdeploy's own loader; parameters that it did not write, or not all of."""
    torch = importlib.import_module("torch")
    loader = importlib.import_module("lmdeploy.pytorch.weight_loader.model_weight_loader")
    loader.load_model_weights(model, folder, device=torch.device("cpu"))
    written = (*model.named_parameters(), *model.named_buffers())
    return [name for name, value in written if value.is_floating_point() and bool(torch.isnan(value.float()).any())]


def cache_configuration(configuration: Any) -> Any:
    """The engine's configuration of a small cache, with the block size that its executor chooses for the model."""
    kind = importlib.import_module("lmdeploy.pytorch.config").CacheConfig
    wanted = {
        "max_batches": 1,
        "block_size": BLOCK_SIZE,
        "kernel_block_size": BLOCK_SIZE,
        "num_cpu_blocks": 0,
        "num_gpu_blocks": BLOCKS,
        "num_state_caches": STATES,
        "states_shapes": getattr(configuration, "states_shapes", []),
    }
    known = {item.name for item in fields(kind)}
    made = kind(**{name: value for name, value in wanted.items() if name in known})
    executor = importlib.import_module("lmdeploy.pytorch.engine.executor.base").ExecutorBase
    if hasattr(executor, "_adjust_block_size"):
        executor._adjust_block_size(Assumed(model_config=configuration, cache_config=made))  # noqa: SLF001 - its choice
    return made


def runner(model: Any, configuration: Any, cache: Any) -> Any:
    """A plain runner of lmdeploy's around the model, which captures no graphs."""
    kind = importlib.import_module("lmdeploy.pytorch.backends.graph_runner").GraphRunner
    return kind(model, configuration, cache, None, importlib.import_module("torch").device("cpu"))


def caches(model: Any, configuration: Any, cache: Any) -> Tuple[Any, Any]:
    """The engine's own holders of blocks and of states."""
    module = importlib.import_module("lmdeploy.pytorch.engine.cache_engine")
    stream = Assumed(name="of the cache")
    keywords: Dict[str, Any] = {"model_config": configuration, "world_size": 1, "cache_stream": stream}
    known = inspect.signature(module.CacheEngine).parameters
    if "block_cache_plan" in known:
        plan = importlib.import_module(f"{module.__name__}.plan").build_block_cache_plan
        collect = importlib.import_module(f"{module.__name__}.collector").collect_block_cache_requests
        keywords["block_cache_plan"] = plan(configuration, cache, 1, request_collector=partial(collect, model))
    blocks = module.CacheEngine(cache, **{name: keywords[name] for name in keywords if name in known})
    kind = getattr(module, "StateCacheEngine", None)
    if kind is None:
        return blocks, None
    wanted = [cache, configuration][: len(inspect.signature(kind).parameters)]
    return blocks, kind(*wanted)
