"""A miniature's folder: configuration, weights, tokenizer, processor."""

from __future__ import annotations

import importlib
import json
import os
from dataclasses import asdict
from typing import Any, Dict

from . import controls, reference
from .classes import Unknown, model_class
from .names import publish
from .shrink import Shrunk, id_keys, shrink
from .vocabulary import Vocabulary
from .weights import fill

RECORD = "miniature.json"
CONTROLS = "controls.json"
GENERATION_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


LARGEST = 400_000_000
"""Parameters of a miniature. Those of published families have up to 50 million."""
LARGEST_GRID = 4
"""Tiles a side that a processor's file may name."""


class TooLarge(Exception):  # noqa: N818 - reads as what it says of the configuration
    """The shrunken model is still too large to be made."""


def make(request: Dict[str, Any]) -> None:
    """Make the checkpoint that a request describes.

    Args:
        request: ``config`` as published, ``tokenizer`` and ``processors`` as its family's are published,
            ``folder`` and ``seed``.

    Raises:
        Unknown: transformers does not know the architecture.
        TooLarge: a size is left that no rule shrinks.
    """
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    published, folder = request["config"], request["folder"]
    os.makedirs(folder, exist_ok=True)
    filled = filled_in(transformers, published)
    vocabulary = Vocabulary(request["tokenizer"], id_keys(filled))
    shrunk = shrink(published, filled, vocabulary.new_id)
    kind = model_class(transformers, published)
    configuration = kind.config_class.from_dict(shrunk.config)
    require_small(torch, kind, configuration)
    torch.manual_seed(0)
    model = kind(configuration).eval()
    fill(model, int(request["seed"]))
    # float16 whatever the configuration says: bfloat16 holds the same values, and an engine that is told to compute in
    # float16 then changes weights (Gemma's 1 + w) in float16 as well
    model.half().save_pretrained(folder)
    publish(folder, published["model_type"])
    write(folder, "config.json", shrunk.config)
    write(folder, "generation_config.json", generation(shrunk.config))
    vocabulary.write(folder)
    for name, content in request["processors"].items():
        write(folder, name, resized(content, shrunk))
    if request["processors"]:
        write(folder, "chat_template.json", {"chat_template": request["tokenizer"]["template"]})
    record = {
        "digest": request["digest"],
        "architecture": published["architectures"][0],
        "seed": request["seed"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "made_by": {"transformers": transformers.__version__, "torch": torch.__version__},
        "changes": [asdict(change) for change in shrunk.changes],
        "cannot_show": CANNOT_SHOW,
        "reference": referenced(torch, kind, folder, vocabulary),
    }
    write(folder, RECORD, record)


CANNOT_SHOW = (
    "what depends on the real sizes, such as kernels chosen by them, memory and tensor parallelism",
    "speed",
    "long contexts, and windows longer than the prompt",
    "quantised weights",
    "the quality of answers",
)


def referenced(torch: Any, kind: Any, folder: str, vocabulary: Vocabulary) -> Dict[str, Any]:
    """The reference: inputs and logits to a file, facts for the record."""
    prompts = reference.prompts(torch, folder, vocabulary.words, list(vocabulary.moved.values()))
    model = reference.loaded(kind, folder, torch.float32)
    right = {name: reference.logits(torch, model, inputs) for name, inputs in prompts.items()}
    reference.keep(folder, prompts, right)
    facts: Dict[str, Any] = {
        name: {"positions": len(found), "largest_logit": round(float(found.abs().max()), 3)}
        for name, found in right.items()
    }
    half = reference.loaded(kind, folder, torch.float16)
    for name, inputs in prompts.items():
        try:
            facts[name]["float16"] = reference.distance(reference.logits(torch, half, inputs), right[name])
        except RuntimeError as error:  # DeepSeek-V4's class computes parts in float32 whatever it is loaded as
            facts[name] |= {"float16": None, "no_float16": str(error)[:200]}
    return facts


def control(request: Dict[str, Any]) -> None:
    """Measure the negative controls of a miniature that is there; ``controls.json`` in its folder."""
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    folder = request["folder"]
    config, record = read(folder, "config.json"), read(folder, RECORD)
    kind = model_class(transformers, config)
    prompts = reference.kept_inputs(folder)
    own = {name: record["reference"][name]["float16"] for name in prompts}
    noise = {name: float(found["typical"]) for name, found in own.items() if found}
    if not noise:
        raise ValueError("there is no float16 error of its own to compare with")
    model = reference.loaded(kind, folder, torch.float32)
    found = controls.measure(torch, kind, config, model, {name: prompts[name] for name in noise}, noise)
    write(folder, CONTROLS, {"digest": record["digest"], "controls": found})


def read(folder: str, name: str) -> Dict[str, Any]:
    """Read a JSON file."""
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return dict(json.load(file))


def filled_in(transformers: Any, published: Dict[str, Any]) -> Dict[str, Any]:
    """The configuration with its class's defaults.

    Raises:
        Unknown: there is no class for it.
    """
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    if published.get("model_type") not in known:
        raise Unknown(f"transformers {transformers.__version__} knows no model type {published.get('model_type')!r}")
    without = {key: value for key, value in published.items() if key != "quantization_config"}
    made = known[published["model_type"]].from_dict(without)
    return dict(json.loads(made.to_json_string(use_diff=False)))


def require_small(torch: Any, kind: Any, configuration: Any) -> None:
    """Count the parameters without making them.

    Raises:
        TooLarge: there are too many.
    """
    with torch.device("meta"):
        model = kind(configuration)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    if sum(sizes.values()) > LARGEST:
        name = max(sizes, key=lambda name: sizes[name])
        shape = tuple(model.get_parameter(name).shape)
        raise TooLarge(
            f"{sum(sizes.values()) / 1e6:.0f} M parameters are left, {shape} in {name}: no rule shrinks that"
        )


def generation(config: Dict[str, Any]) -> Dict[str, Any]:
    """generation_config.json: the ids that begin, end and pad."""
    sections = [config, *(value for value in config.values() if isinstance(value, dict))]
    found = {
        name: next((section[name] for section in sections if section.get(name) is not None), None)
        for name in GENERATION_IDS
    }
    return {name: value for name, value in found.items() if value is not None}


def resized(content: Any, shrunk: Shrunk) -> Any:
    """A processor's file with the image's size and number of tokens as they became."""
    if isinstance(content, dict):
        return {
            key: shrunk.tokens.get(value, value)
            if key == "image_seq_length" and isinstance(value, int)
            else resized(value, shrunk)
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [resized(value, shrunk) for value in content]
    if isinstance(content, int) and not isinstance(content, bool):
        for old, new in shrunk.images.items():
            if content and content % old == 0 and content // old <= LARGEST_GRID:
                return content // old * new
    return content


def write(folder: str, name: str, content: Any) -> None:
    """Write a JSON file."""
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")
