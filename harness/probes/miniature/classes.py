"""Which class of transformers an architecture's name means."""

from __future__ import annotations

from typing import Any, Dict

CLASSES = (
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
    "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
)
"""Where transformers keeps which class loads a model type."""


class Unknown(Exception):  # noqa: N818 - reads as what it says of the architecture
    """This transformers has no class for the configuration."""


def model_class(transformers: Any, config: Dict[str, Any]) -> Any:
    """The class that the configuration names, also where transformers spells it otherwise (PhiMoE, KimiK25).

    Raises:
        Unknown: there is none.
    """
    wanted = config["architectures"][0]
    auto = transformers.models.auto.modeling_auto
    listed = (getattr(auto, name, {}).get(config["model_type"]) for name in CLASSES)
    for name in (wanted, *listed):
        if isinstance(name, str) and spelled(name) == spelled(wanted) and hasattr(transformers, name):
            return getattr(transformers, name)
    raise Unknown(f"transformers {transformers.__version__} has no class {wanted}")


def spelled(name: str) -> str:
    """A class's name without what families spell differently."""
    return name.replace("_", "").lower()
