"""An engine's settings: fields of its configuration class, which the boot, the launch script and the pin share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """What both of lmdeploy's engines can be told; the module of each adds its own. None leaves it to the engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tp: Count | None = None
    dtype: Literal["auto", "float16", "bfloat16"] | None = None
    session_len: Count | None = None
    max_batch_size: Count | None = None
    max_prefill_token_num: Count | None = None
    cache_max_entry_count: Annotated[float, Field(gt=0)] | None = None
    """A share, below 1, of the memory that is free once the weights are loaded; or a number of blocks."""
    quant_policy: Literal[0, 4, 8, 16, 17, 42] | None = None
    """How the cache is stored, by lmdeploy's numbers: 0 as it is, 4 and 8 in so many bits, newer ones from 0.14."""
    enable_prefix_caching: bool | None = None
    """Whether blocks of the cache are used again by requests that begin alike."""

    @property
    def fields(self) -> dict[str, JsonValue]:
        """Those that are said, by name."""
        return self.model_dump(exclude_none=True)


def settings_text(settings: Mapping[str, JsonValue]) -> str:
    """The settings in a line, as a record keeps them: ``tp=2 eager_mode=true``."""
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()
    )


def settings_in(text: str) -> dict[str, JsonValue]:
    """The settings that a line says; what it says wrongly stays text, and the engine refuses it."""
    found: dict[str, JsonValue] = {}
    for each in text.split():
        name, _, value = each.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
