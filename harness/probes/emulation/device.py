"""Calls for the GPU, made on the CPU: engines name the device themselves, and place what they make there."""

from __future__ import annotations

import importlib
from typing import Any, Dict


def on_the_cpu() -> Any:
    """A context in which whatever torch is asked to make or move on a GPU is made or left on the CPU."""
    torch = importlib.import_module("torch")
    overrides = importlib.import_module("torch.overrides")
    staying = {torch.Tensor.cuda, torch.Tensor.pin_memory}
    whether = torch.Tensor.is_cuda.__get__

    def place(value: Any) -> Any:
        named = isinstance(value, str) and value.partition(":")[0] == "cuda"
        return "cpu" if named or (isinstance(value, torch.device) and value.type == "cuda") else value

    class OnTheCpu(overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in staying:
                return args[0]
            if func == whether:
                return True
            keywords: Dict[str, Any] = dict(kwargs or {})
            keywords.pop("pin_memory", None)
            if "device" in keywords:
                keywords["device"] = place(keywords["device"])
            if func is torch.Tensor.to:
                args = tuple(map(place, args))
            return func(*args, **keywords)

    return OnTheCpu()
