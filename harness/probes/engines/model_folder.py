"""The chat template that lmdeploy finds for a checkpoint, and a folder name under which it finds one.

Up to 0.9.2 the template is chosen by the folder's name alone: in a folder with another name the prompt is None, the
request dies in a future's callback and the caller waits for ever. Where that would happen, the folder is linked under a
published model's name.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..running.events import Blocked

if TYPE_CHECKING:
    from ..running.events import Events
    from ..running.request import Request

NO_TEMPLATE = "base"
"""lmdeploy's name for having found no template."""

PUBLISHED_NAMES = {
    "qwen": "Qwen-VL-Chat",
    "qwen2_vl": "Qwen2-VL-2B-Instruct",
    "qwen2_5_vl": "Qwen2.5-VL-3B-Instruct",
}
"""A published checkpoint's name by model type, as on the Hugging Face hub."""


def wanted_checkpoint(request: Request) -> str:
    """The checkpoint's folder.

    Raises:
        Blocked: this machine has none.
    """
    if request.model.folder is None:
        raise Blocked("no checkpoint of this model is on this machine", "weights-missing-or-corrupt")
    return request.model.folder


def template_name(folder: str) -> str:
    """The template that this version chooses for the folder; :data:`NO_TEMPLATE` when it finds none."""
    module = importlib.import_module("lmdeploy.model")
    best_match = getattr(module, "best_match_model", None)
    if best_match is not None:  # up to 0.11
        return str(best_match(folder) or NO_TEMPLATE)
    for name, template in module.MODELS.module_dict.items():
        if template.match(folder):
            return str(name)
    return NO_TEMPLATE


def named_folder(request: Request, events: Events) -> str:
    """The checkpoint's folder, or a link to it under a name that this version knows; facts: which, and why."""
    folder = str(request.model.folder)
    name = template_name(folder)
    if name == NO_TEMPLATE and request.model.model_type in PUBLISHED_NAMES:
        link = Path(request.scratch, PUBLISHED_NAMES[request.model.model_type])
        if not link.is_symlink():
            link.symlink_to(Path(folder).resolve(), target_is_directory=True)
        linked = template_name(str(link))
        if linked != NO_TEMPLATE:
            events.fact("folder_link", {"name": link.name, "why": "the template goes by the folder's name"})
            folder, name = str(link), linked
    events.fact("chat_template", name)
    return folder


def chat_template(folder: str, request: Request) -> Any:
    """This version's own template object for the folder."""
    module = importlib.import_module("lmdeploy.model")
    newer = getattr(module, "get_chat_template", None)
    if newer is not None:  # from 0.12
        trust = {"trust_remote_code": request.model.trust_remote_code} if takes(newer, "trust_remote_code") else {}
        return newer(folder, **trust)
    kind = module.ChatTemplateConfig
    where = {"model_path": folder} if takes(kind, "model_path") else {}
    return kind(template_name(folder), **where).chat_template


def takes(function: Any, name: str) -> bool:
    """Whether the callable has a parameter of this name."""
    return name in inspect.signature(function).parameters
