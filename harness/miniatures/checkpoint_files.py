"""What a family's checkpoints hold beside configuration and weights: a tokenizer, and image processors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The files of a family's checkpoints, as published."""

    tokenizer: Mapping[str, Any]
    processors: Mapping[str, Any]
    """Files of image processors by name; none for models of text alone, and for families that are not known."""

    @property
    def known(self) -> bool:
        """Whether the tokenizer is the family's own, and not the one that stands for any."""
        return bool(self.tokenizer["model_types"])


def files_for(config: Mapping[str, Any]) -> CheckpointFiles:
    """The files for a configuration, by its model type and the size of its vocabulary."""
    kind, size = str(config.get("model_type", "")), max(_vocabularies(config), default=0)
    tokenizers, processors = _load("tokenizers.yaml"), _load("processors.yaml")
    fitting = (each for each in tokenizers if kind in each["model_types"] and size >= each.get("vocabulary", 0))
    seeing = (each["files"] for each in processors if kind in each["model_types"])
    return CheckpointFiles(next(fitting, tokenizers[-1]), next(seeing, {}))


def _vocabularies(config: Mapping[str, Any]) -> Iterator[int]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _vocabularies(value)
        elif key.endswith("vocab_size") and isinstance(value, int):
            yield value


@cache
def _load(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = YAML(typ="safe").load((_FOLDER / name).read_text(encoding="utf-8"))
    return found
