"""Four-bit weights as GPTQ and AWQ checkpoints store them: eight to an int32, with scales and zero points by group.

Both layouts are facts of published checkpoints (Qwen/Qwen2-VL-2B-Instruct-GPTQ-Int4, Qwen/Qwen2-VL-2B-Instruct-AWQ):

==========  ======================================  =================================================
tensor      GPTQ                                    AWQ, version "gemm"
==========  ======================================  =================================================
qweight     [in / 8, out], packed along the input   [in, out / 8], packed along the output, interleaved
qzeros      [groups, out / 8], zero point minus 1   [groups, out / 8], interleaved
scales      [groups, out], float16                  [groups, out], float16
g_idx       [in], the group of each input           none
==========  ======================================  =================================================
"""
# torch lives where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BITS = 4
LEVELS = 2**BITS - 1
"""The highest code."""
GROUP = 128
"""Inputs that share one scale and zero point."""
PER_WORD = 32 // BITS
INTERLEAVED = (0, 2, 4, 6, 1, 3, 5, 7)
"""AWQ's gemm kernels unpack two columns at a time, so column ``INTERLEAVED[n]`` of eight sits at bits 4n to 4n + 3."""


@dataclass(frozen=True)
class Quantised:
    """One linear layer's codes; ``(codes - zeros) * scales`` gives the weight back."""

    codes: Tensor
    """[out, in], 0 to 15."""
    scales: Tensor
    """[out, groups], float16."""
    zeros: Tensor
    """[out, groups], 0 to 15."""

    def weight(self) -> Tensor:
        """The weight that a kernel computes with, [out, in], float32."""
        scales = self.scales.float().repeat_interleave(GROUP, dim=1)
        zeros = self.zeros.float().repeat_interleave(GROUP, dim=1)
        return (self.codes.float() - zeros) * scales


def _pack(values: Tensor, order: tuple[int, ...]) -> Tensor:
    """Pack the last dimension, eight to an int32; code ``order[n]`` of eight goes to bits 4n to 4n + 3."""
    grouped = values.to(torch.int64).unflatten(-1, (-1, PER_WORD))[..., list(order)]
    words = (grouped << (BITS * torch.arange(PER_WORD))).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)


def _unpack(words: Tensor, order: tuple[int, ...]) -> Tensor:
    """Undo :func:`_pack`."""
    codes = (words.to(torch.int64)[..., None] >> (BITS * torch.arange(PER_WORD))) & LEVELS
    place = torch.argsort(torch.tensor(order))
    return codes[..., place].flatten(-2)


IN_ORDER = tuple(range(PER_WORD))


def to_gptq(layer: Quantised) -> dict[str, Tensor]:
    """The tensors of one layer in a GPTQ checkpoint."""
    inputs = layer.codes.shape[1]
    return {
        "qweight": _pack(layer.codes, IN_ORDER).T.contiguous(),
        "qzeros": _pack(layer.zeros.T - 1, IN_ORDER).contiguous(),
        "scales": layer.scales.T.contiguous(),
        "g_idx": (torch.arange(inputs) // GROUP).to(torch.int32),
    }


def from_gptq(tensors: dict[str, Tensor]) -> Quantised:
    """Read one layer of a GPTQ checkpoint; its groups must lie in order (``desc_act`` false).

    Raises:
        ValueError: when ``g_idx`` says otherwise.
    """
    expected = torch.arange(len(tensors["g_idx"])) // GROUP
    if not torch.equal(tensors["g_idx"].long(), expected):
        raise ValueError(f"g_idx does not number groups of {GROUP} in order; desc_act must be false")
    return Quantised(
        codes=_unpack(tensors["qweight"].T, IN_ORDER),
        scales=tensors["scales"].T,
        zeros=_unpack(tensors["qzeros"], IN_ORDER).T + 1,
    )


def to_awq(layer: Quantised) -> dict[str, Tensor]:
    """The tensors of one layer in an AWQ checkpoint."""
    return {
        "qweight": _pack(layer.codes.T, INTERLEAVED).contiguous(),
        "qzeros": _pack(layer.zeros.T, INTERLEAVED).contiguous(),
        "scales": layer.scales.T.contiguous(),
    }


def from_awq(tensors: dict[str, Tensor]) -> Quantised:
    """Read one layer of an AWQ checkpoint."""
    return Quantised(
        codes=_unpack(tensors["qweight"], INTERLEAVED).T,
        scales=tensors["scales"].T,
        zeros=_unpack(tensors["qzeros"], INTERLEAVED).T,
    )
