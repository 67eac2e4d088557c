"""What a probe is asked: the request file, read and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Dict, List, Optional, Type, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """The model as far as probes need it (see the model specs under ``models/``)."""

    name: str = ""
    weights: str = "hub"
    """``hub``, ``random``, ``canary`` or ``miniature``."""
    folder: Optional[str] = None
    """Checkpoint with weights; None when this machine has none."""
    config_folder: Optional[str] = None
    """A folder with at least ``config.json``."""
    architecture: str = ""
    model_type: str = ""
    quantisation: str = "none"
    """How the weights are stored, in the words of model specs; ``none``: in 16 bits."""
    imports: List[str] = field(default_factory=list)
    trust_remote_code: bool = False
    smoke: Dict[str, Any] = field(default_factory=dict)

    @property
    def configuration(self) -> Optional[str]:
        """The folder to read the model's configuration from, if there is one."""
        return self.config_folder or self.folder


@dataclass(frozen=True)
class Request:
    """One check to be made in this environment."""

    check: str
    stage: str
    """The first that it answers."""
    probe: str
    """The function that answers it: ``engines.imports:engine_modules``."""
    backend: str
    events: str
    scratch: str
    model: Model
    lmdeploy: str = ""
    transformers: str = ""
    engine: Dict[str, Any] = field(default_factory=dict)
    """What the host knows of the backend: modules, configuration, settings."""
    options: Dict[str, Any] = field(default_factory=dict)


def read(path: str) -> Request:
    """The request in the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a request; the message says what is wrong.
    """
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(data, dict) or not isinstance(data.get("model", {}), dict):
        raise ValueError(  # noqa: TRY004 - the file's content is wrong, not a type of this program
            f"{path} does not hold a request: an object with an object 'model' is needed"
        )
    return _made(Request, {**data, "model": _made(Model, data.get("model", {}), path)}, path)


def _made(kind: Type[T], data: Dict[str, Any], path: str) -> T:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # both callers pass data classes
    try:
        return kind(**{name: value for name, value in data.items() if name in known})
    except TypeError as error:
        raise ValueError(f"{path} is not a request: {error}") from error
