"""Writes the canary as a GPTQ or AWQ checkpoint folder, and turns such a folder back into a plain one."""
# torch and its like live where training runs, not where types are checked:
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import canary_packing
import canary_quantisers
import canary_recipe as recipe
import canary_tokenizer
import canary_training
import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

QUANTISATION: dict[str, dict[str, Any]] = {
    "gptq": {
        "bits": canary_packing.BITS,
        "checkpoint_format": "gptq",
        "damp_percent": canary_quantisers.DAMPING,
        "dataset": None,
        "desc_act": False,
        "group_size": canary_packing.GROUP,
        "modules_in_block_to_quantize": None,
        "modules_to_not_convert": ["visual"],
        "quant_method": "gptq",
        "sym": True,
        "true_sequential": True,
    },
    "awq": {
        "bits": canary_packing.BITS,
        "group_size": canary_packing.GROUP,
        "modules_to_not_convert": ["visual"],
        "quant_method": "awq",
        "version": "gemm",
        "zero_point": True,
    },
}
"""config.json's quantization_config, in the keys of the published Qwen2-VL checkpoints."""
WRITE: dict[str, Callable[[canary_packing.Quantised], dict[str, Tensor]]] = {
    "gptq": canary_packing.to_gptq,
    "awq": canary_packing.to_awq,
}
READ: dict[str, Callable[[dict[str, Tensor]], canary_packing.Quantised]] = {
    "gptq": canary_packing.from_gptq,
    "awq": canary_packing.from_awq,
}
QUANTISE = {"gptq": canary_quantisers.quantise_layer_gptq, "awq": canary_quantisers.quantise_layer_awq}


def make(source: Path, out: Path, method: str, calibration: int, seed: int) -> None:
    """Quantise the canary in ``source`` and write it to ``out``.

    Args:
        source: folder of the plain canary.
        out: folder to write to; made when missing.
        method: ``gptq`` or ``awq``.
        calibration: how many arrangements of colours, all shown in training, are asked about in every way.
        seed: the seed the canary was trained with.

    Raises:
        FileNotFoundError: when ``source`` holds no weights.
    """
    if not (source / "model.safetensors").is_file():
        raise FileNotFoundError(f"{source} holds no model.safetensors; make the canary first")
    plain = load_file(source / "model.safetensors")
    model = _model(source, plain)
    codes = _quantise(model, method, calibration, seed)
    tensors = _published(model)
    for name, layer in codes.items():
        del tensors[f"{name}.weight"]
        tensors |= {f"{name}.{part}": tensor for part, tensor in WRITE[method](layer).items()}
    out.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.suffix in {".json", ".txt"} and path.name not in {"TRAINING.json", "CHECKS.json"}:
            shutil.copyfile(path, out / path.name)
    _rewrite_config(out, QUANTISATION[method])
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, out / "model.safetensors", {"format": "pt"}
    )


def expand(folder: Path, out: Path) -> None:
    """Turn a quantised checkpoint into a plain one with the weights that its codes stand for.

    Raises:
        FileNotFoundError: when the folder holds no checkpoint.
        ValueError: when the checkpoint is not quantised in a way that is known here.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    method = config.get("quantization_config", {}).get("quant_method")
    if method not in READ:
        raise ValueError(f"{folder}/config.json names the quantisation {method!r}; known: {', '.join(READ)}")
    tensors = load_file(folder / "model.safetensors")
    for name in [name.removesuffix(".qweight") for name in tensors if name.endswith(".qweight")]:
        parts = {part: tensors.pop(f"{name}.{part}", None) for part in ("qweight", "qzeros", "scales", "g_idx")}
        layer = READ[method]({part: tensor for part, tensor in parts.items() if tensor is not None})
        tensors[f"{name}.weight"] = layer.weight().contiguous()
    for path in folder.iterdir():
        if path.suffix in {".json", ".txt"}:
            shutil.copyfile(path, out / path.name)
    _rewrite_config(out, None)
    save_file(tensors, out / "model.safetensors", {"format": "pt"})


def _model(source: Path, plain: dict[str, Tensor]) -> Any:  # noqa: ANN401 - transformers' models carry no useful types
    """The canary in float32, its weights put in by their published names."""
    model = canary_training.new_model(source, "cpu").eval()
    state = model.state_dict()
    for name in state:
        if name != "lm_head.weight":
            state[name] = plain[canary_training.published_name(name)].float()
    state["lm_head.weight"] = plain["model.embed_tokens.weight"].float()
    model.load_state_dict(state)
    return model


def _quantise(model: Any, method: str, calibration: int, seed: int) -> dict[str, canary_packing.Quantised]:  # noqa: ANN401 - as above
    """Quantise one decoder layer after the other, each on what the layers before it now give."""
    assembler = canary_training.Assembler(model, canary_tokenizer.build(), "cpu")
    shown = recipe.arrangements(seed)[0][:calibration]
    batches = [assembler.batch([(variant, colours) for colours in shown]) for variant in recipe.VARIANTS]

    def run() -> None:
        for batch in batches:
            canary_training.logits_of(model, batch)

    codes: dict[str, canary_packing.Quantised] = {}
    with torch.no_grad():
        for number, layer in enumerate(model.model.language_model.layers):
            done = QUANTISE[method](layer, canary_quantisers.watch(layer, run))
            codes |= {f"model.layers.{number}.{name}": quantised for name, quantised in done.items()}
    return codes


def _published(model: Any) -> dict[str, Tensor]:  # noqa: ANN401 - as above
    """All tensors in float16 under their published names, without the tied output layer."""
    return {
        canary_training.published_name(name): tensor.half()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight"
    }


def _rewrite_config(folder: Path, quantisation: dict[str, Any] | None) -> None:
    """Set or remove quantization_config; either way the other tensors are float16, which the int4 kernels want."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["torch_dtype"] = "float16"
    config.pop("quantization_config", None)
    if quantisation is not None:
        config["quantization_config"] = quantisation
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
