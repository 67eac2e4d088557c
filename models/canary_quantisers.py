"""Two published ways to choose four-bit weights, in plain torch: GPTQ (arXiv 2210.17323) and AWQ (arXiv 2306.00978)."""
# torch lives where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"
# ruff: noqa: ANN401 - transformers' models carry no useful types

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from canary_packing import GROUP, LEVELS, Quantised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

MIDDLE = (LEVELS + 1) // 2
"""Zero point of symmetric codes."""
DAMPING = 0.01
"""Part of the mean curvature that GPTQ adds to the diagonal, as AutoGPTQ does."""
EXPONENTS = 20
"""Steps of AWQ's search for the strength of its scaling."""
SEARCH_SAMPLES = 2048
"""Inputs, about, that AWQ's search looks at."""

Inputs = dict[str, "Tensor"]
"""What went into each linear layer of a decoder layer: [samples, in], by the layer's short name."""


def symmetric(group: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point of a group [out, inputs] around a fixed middle."""
    scale = group.abs().amax(dim=1) * 2 / LEVELS
    return scale.clamp(min=1e-5).half(), torch.full_like(scale, MIDDLE)


def asymmetric(group: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point of a group [out, inputs] from its least to its greatest weight."""
    low, high = group.amin(dim=1).clamp(max=0), group.amax(dim=1).clamp(min=0)
    scale = ((high - low) / LEVELS).clamp(min=1e-5).half()
    return scale, (-low / scale.float()).round().clamp(0, LEVELS)


def round_to_nearest(weight: Tensor) -> Quantised:
    """Asymmetric codes without any calibration."""
    groups = weight.split(GROUP, dim=1)
    grids = [asymmetric(group) for group in groups]
    codes = [
        (group / scale.float()[:, None]).round().add(zero[:, None]).clamp(0, LEVELS)
        for group, (scale, zero) in zip(groups, grids, strict=True)
    ]
    return Quantised(
        torch.cat(codes, dim=1), torch.stack([s for s, _ in grids], 1), torch.stack([z for _, z in grids], 1)
    )


def gptq(weight: Tensor, inputs: Tensor) -> Quantised:
    """Quantise column by column; each column's error moves to the columns that are still free."""
    samples = inputs.double()
    hessian = samples.T @ samples * (2 / len(samples))
    columns = len(hessian)
    hessian += torch.eye(columns) * (DAMPING * hessian.diagonal().mean())
    spread = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    left = weight.double().clone()
    codes = torch.empty_like(left)
    scales: list[Tensor] = []
    zeros: list[Tensor] = []
    for column in range(columns):
        if column % GROUP == 0:
            scale, zero = symmetric(left[:, column : column + GROUP])
            scales.append(scale)
            zeros.append(zero)
        code = (left[:, column] / scales[-1].double()).round().add(zeros[-1]).clamp(0, LEVELS)
        codes[:, column] = code
        error = (left[:, column] - (code - zeros[-1]) * scales[-1].double()) / spread[column, column]
        left[:, column:] -= error[:, None] * spread[column, column:]
    return Quantised(codes, torch.stack(scales, 1), torch.stack(zeros, 1))


def quantise_layer_gptq(layer: Any, inputs: Inputs) -> dict[str, Quantised]:
    """Quantise the seven linear layers of a decoder layer in place; returns their codes."""
    done: dict[str, Quantised] = {}
    for name, linear in linears(layer).items():
        done[name] = gptq(linear.weight.data, inputs[name])
        linear.weight.data = done[name].weight()
    return done


def quantise_layer_awq(layer: Any, inputs: Inputs) -> dict[str, Quantised]:
    """Scale salient inputs up, fold the inverse into what produces them, then round to nearest, in place.

    The value projection can take the output projection's scaling only because there are as many key-value heads as
    heads here.
    """
    attention, mlp = layer.self_attn, layer.mlp
    for producer, consumers, name in (
        (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj), "self_attn.q_proj"),
        (attention.v_proj, (attention.o_proj,), "self_attn.o_proj"),
        (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj), "mlp.gate_proj"),
        (mlp.up_proj, (mlp.down_proj,), "mlp.down_proj"),
    ):
        _fold(_best_scale([linear.weight.data for linear in consumers], inputs[name]), producer, consumers)
    done: dict[str, Quantised] = {}
    for name, linear in linears(layer).items():
        done[name] = round_to_nearest(linear.weight.data)
        linear.weight.data = done[name].weight()
    return done


def _best_scale(weights: Sequence[Tensor], inputs: Tensor) -> Tensor:
    """The scaling of inputs, a power of their mean size, after which rounding changes the outputs least."""
    inputs = inputs[:: max(1, len(inputs) // SEARCH_SAMPLES)]
    size = inputs.abs().mean(dim=0).clamp(min=1e-4)
    wanted = [inputs @ weight.T for weight in weights]
    best, least = torch.ones_like(size), float("inf")
    for step in range(EXPONENTS):
        scale = size ** (step / EXPONENTS)
        scale = scale / (scale.max() * scale.min()).sqrt()
        error = 0.0
        for weight, output in zip(weights, wanted, strict=True):
            rounded = round_to_nearest(weight * scale).weight() / scale
            error += float((inputs @ rounded.T - output).square().mean())
        if error < least:
            best, least = scale, error
    return best


def _fold(scale: Tensor, producer: Any, consumers: Sequence[Any]) -> None:
    """Multiply the consumers' inputs' weights, divide what the producer gives; the product stays as it was."""
    for linear in consumers:
        linear.weight.data = linear.weight.data * scale
    if producer.weight.dim() == 1:
        producer.weight.data = producer.weight.data / scale
        return
    producer.weight.data = producer.weight.data / scale[:, None]
    if producer.bias is not None:
        producer.bias.data = producer.bias.data / scale


def linears(layer: Any) -> dict[str, Any]:
    """The linear layers of a decoder layer by their short names."""
    return {name: module for name, module in layer.named_modules() if isinstance(module, torch.nn.Linear)}


def watch(layer: Any, run: Callable[[], None]) -> Inputs:
    """Run the model and keep what enters each linear layer of one decoder layer."""
    kept: dict[str, list[Tensor]] = {}

    def hook(name: str) -> Callable[[Any, tuple[Tensor, ...], Any], None]:
        def keep(_module: Any, arguments: tuple[Tensor, ...], _output: Any) -> None:
            kept.setdefault(name, []).append(arguments[0].detach().flatten(0, -2))

        return keep

    handles = [linear.register_forward_hook(hook(name)) for name, linear in linears(layer).items()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(parts) for name, parts in kept.items()}
