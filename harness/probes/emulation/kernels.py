"""Torch versions of kernels that only a GPU runs: those in tilelang, and those of packages with CUDA code of their own.

Linear attention needs them. They stand where lmdeploy imports the originals from while the engine is at work, and only
then, so that transformers does not take them for the packages. One sequence at a time.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType
from typing import Any, Dict, Iterator, List, Optional, Tuple

OWN = "lmdeploy.pytorch.kernels.cuda"


def activated(values: Any, activation: Optional[str]) -> Any:
    """The values after their activation.

    Raises:
        NotImplementedError: it is one that no kernel has.
    """
    if activation not in (None, "silu", "swish", "sigmoid"):
        raise NotImplementedError(f"activation {activation!r}")
    torch = importlib.import_module("torch")
    if activation == "sigmoid":
        return torch.sigmoid(values)
    return values if activation is None else torch.nn.functional.silu(values)


def causal_conv1d_fn(x: Any, weight: Any, bias: Any = None, seq_idx: Any = None, **others: Any) -> Any:
    """Convolve each channel of ``x`` (1, channels, length) over its own past.

    Raises:
        NotImplementedError: there is more than one sequence.
    """
    if seq_idx is not None and bool((seq_idx != seq_idx.flatten()[0]).any()):
        raise NotImplementedError("more than one sequence")
    torch = importlib.import_module("torch")
    width = weight.shape[-1]
    past = others.get("initial_states")
    if past is None:
        past = x.new_zeros(1, x.shape[1], width - 1)
    padded = torch.cat([past[..., 1 - width :].to(x.dtype), x], dim=-1).float()
    bias = None if bias is None else bias.float()
    made = torch.nn.functional.conv1d(padded, weight.float()[:, None], bias, groups=x.shape[1])
    return activated(made, others.get("activation")).to(x.dtype)


def causal_conv1d_update(x: Any, conv_state: Any, weight: Any, bias: Any = None, **others: Any) -> Any:
    """Convolve one more token, (1, channels) or (1, channels, 1), and move the state (slots, channels, width) on."""
    if others.get("cache_seqlens") is not None:
        raise NotImplementedError("circular states")
    torch = importlib.import_module("torch")
    slot = int(others["conv_state_indices"][0]) if others.get("conv_state_indices") is not None else 0
    token = x.reshape(x.shape[1], 1)
    state = torch.cat([conv_state[slot], token.to(conv_state.dtype)], dim=-1)[:, 1:]
    conv_state[slot] = state
    made = (state[:, -weight.shape[-1] :].float() * weight.float()).sum(dim=-1)
    made = made if bias is None else made + bias.float()
    return activated(made, others.get("activation")).to(x.dtype).reshape(x.shape)


def normalised(vectors: Any) -> Any:
    """The vectors, of length one."""
    values = vectors.float()
    return (values * (values.pow(2).sum(dim=-1, keepdim=True) + 1e-6).rsqrt()).to(vectors.dtype)


def chunk_gated_delta_rule(q: Any, k: Any, v: Any, **others: Any) -> Tuple[Any, Any]:
    """The rule over a prompt, token by token in float32.

    All are (1, length, heads, size); the state's last two sizes are keys and values, or the other way round.
    """
    torch = importlib.import_module("torch")
    kind, turned = v.dtype, bool(others.get("transpose_state_layout"))
    q, k, v = (each[0].float() for each in (q, k, v))
    if others.get("use_qk_l2norm_in_kernel"):
        q, k = normalised(q), normalised(k)
    repeats = v.shape[1] // q.shape[1]
    q, k = q.repeat_interleave(repeats, dim=1), k.repeat_interleave(repeats, dim=1)
    q = q * (q.shape[-1] ** -0.5 if others.get("scale") is None else others["scale"])
    ones = torch.ones_like(v[..., 0])
    decay = ones if others.get("g") is None else others["g"][0].float().exp()
    strength = ones if others.get("beta") is None else others["beta"][0].float()
    state = v.new_zeros(v.shape[1], k.shape[-1], v.shape[-1])
    if others.get("initial_state") is not None:
        given = others["initial_state"][0].float()
        state = given.transpose(-1, -2) if turned else given
    told: List[Any] = []
    for at in range(v.shape[0]):
        state = state * decay[at, :, None, None]
        change = (v[at] - (state * k[at, :, :, None]).sum(dim=1)) * strength[at, :, None]
        state = state + k[at, :, :, None] * change[:, None]
        told.append((state * q[at, :, :, None]).sum(dim=1))
    state = state.transpose(-1, -2) if turned else state
    return torch.stack(told).to(kind)[None], state[None] if others.get("output_final_state") else None


def fused_recurrent_gated_delta_rule(q: Any, k: Any, v: Any, **others: Any) -> Tuple[Any, Any]:
    """The rule for one more token, with the state in its slot, which is moved on where slots are told."""
    if others.get("cache_seqlens") is not None:
        raise NotImplementedError("circular states")
    indices = others.pop("state_indices", None)
    states = others["initial_state"]
    slot = 0 if indices is None else int(indices[0])
    made, last = chunk_gated_delta_rule(
        q, k, v, **{**others, "initial_state": states[slot : slot + 1], "output_final_state": True}
    )
    if indices is None:
        return made, last
    states[slot] = last[0].to(states.dtype)
    return made, states


def gated_norm_class() -> Any:
    """The class of the norm whose output is gated; a module of torch, which this one does not import."""
    torch = importlib.import_module("torch")

    class FusedRMSNormGated(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, hidden_size: int, eps: float = 1e-5, activation: str = "swish", **others: Any) -> None:
            super().__init__()
            made = torch.empty(hidden_size, device=others.get("device"), dtype=others.get("dtype"))
            self.weight = torch.nn.Parameter(made)
            self.eps, self.activation = eps, activation

        def forward(self, x: Any, gate: Any) -> Any:
            values = x.float()
            normed = values * torch.rsqrt(values.pow(2).mean(dim=-1, keepdim=True) + self.eps) * self.weight.float()
            return (normed * activated(gate.float(), self.activation)).to(x.dtype)

    return FusedRMSNormGated


def stand_ins() -> Dict[str, Dict[str, Any]]:
    """Modules by name, and what each holds."""
    convolution = {"causal_conv1d_fn": causal_conv1d_fn, "causal_conv1d_update": causal_conv1d_update}
    recurrent = {"fused_recurrent_gated_delta_rule": fused_recurrent_gated_delta_rule}
    return {
        "fla": {},
        "fla.ops": {},
        "fla.ops.gated_delta_rule": {"chunk_gated_delta_rule": chunk_gated_delta_rule, **recurrent},
        "fla.ops.utils": {"prepare_chunk_indices": lambda *_, **__: None},
        "fla.modules": {"FusedRMSNormGated": gated_norm_class()},
        "fla.modules.l2norm": {"l2norm_fwd": lambda x, **_: (normalised(x), None)},
        "causal_conv1d": convolution,
        f"{OWN}.causal_conv1d": convolution,
        f"{OWN}.gated_delta_rule": recurrent,
    }


MODULES: Dict[str, ModuleType] = {}
"""The stand-ins as modules, once :func:`prepare` has made them."""


@contextlib.contextmanager
def in_place() -> Iterator[None]:
    """Put them where lmdeploy imports them from, and take them away again."""
    kept = {name: sys.modules.get(name) for name in MODULES}
    sys.modules.update(MODULES)
    try:
        yield
    finally:
        for name, module in kept.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def prepare() -> List[str]:
    """Make the modules, once in a process; their names."""
    for name, content in stand_ins().items() if not MODULES else ():
        module = ModuleType(name)
        vars(module).update(content)
        if name in ("fla", "fla.ops", "fla.modules"):
            module.__path__ = []
        MODULES[name] = module
    return sorted(MODULES)
