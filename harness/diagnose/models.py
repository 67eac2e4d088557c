"""Models that a release is older than: the type in transformers, the architecture in an engine's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.diagnose.patterns import text_pattern
from harness.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TYPES = "transformers.models."
_ARCHITECTURE = text_pattern(r"^[A-Z]\w+(?:For\w+|LMHeadModel|ChatModel|VLModel)$")
_PREPARES = text_pattern(r"^[A-Z]\w*(?:Tokenizer(?:Fast)?|TokenizersBackend|ImageProcessor(?:Fast)?|Processor)$")
_SIZE = text_pattern(
    r"^(?P<family>[A-Za-z].*?)[-_](?:\d+(?:\.\d+)?[BMbm]|A\d+B|[Ii]nstruct|[Cc]hat|[Bb]ase)(?:[-_].*)?$"
)
_LMDEPLOY = text_pattern(r"(?i)lmdeploy|Can not found rewrite")
_TURBOMIND = text_pattern(r"(?i)turbomind")
_VLLM = text_pattern(r"(?i)\bvllm\b|are not supported for now|failed to be inspected")
_LISTS = {
    engine: f"{listed.module}.{listed.table}" for engine, each in ENGINES.items() if (listed := each.architectures)
}
"""Where lmdeploy's engines list what they run."""
_PACKAGES = ("lmdeploy", "vllm", "transformers")
_VLLM_LIST = "vllm.model_executor.models.registry.*"


def model_from(text: str, captures: Mapping[str, str], files: Sequence[str]) -> str:
    """What a release has that knows the model which a failure names, as a dotted name; empty where none is named.

    Args:
        text: what was said.
        captures: what its signature captured.
        files: what was running, the innermost first.
    """
    if captures.get("attribute") or captures.get("symbol"):
        return ""  # it is there, and lacks something
    if kind := captures.get("model_type") or _type_of(captures.get("checkpoint", "")):
        return f"{_TYPES}{kind.replace('-', '_').lower()}."
    named = next((captures[name] for name in ("architecture", "class", "missing", "model") if captures.get(name)), "")
    if _PREPARES.match(named):
        return f"transformers.{named}"
    listed = _list_of(text, files) if _ARCHITECTURE.match(named) else None
    if listed is None:
        return ""
    return f"{listed}[{named}]" if listed else f"transformers.{named}"


def _type_of(checkpoint: str) -> str:
    """The model type that a checkpoint's name begins with."""
    match = _SIZE.match(checkpoint.rstrip("/").replace("\\", "/").rpartition("/")[2])
    return (match.group("family") or "").replace(".", "_") if match else ""


def _list_of(text: str, files: Sequence[str]) -> str | None:
    """The list that was looked into: empty where it was transformers' own, None where it is not known."""
    package, folder = next((found for file in files if (found := _place(file))), ("", ""))
    if package == "vllm" or (not package and _VLLM.search(text)):
        return _VLLM_LIST
    if package == "lmdeploy" or (not package and (_LMDEPLOY.search(text) or _TURBOMIND.search(text))):
        return _LISTS.get(folder or ("turbomind" if _TURBOMIND.search(text) else "pytorch"))
    return ""


def _place(file: str) -> tuple[str, str] | None:
    """The package among these that a file is of, installed or in a checkout, and the folder in it."""
    parts = file.split("/")
    places = [0, *range(len(parts) - 2, 0, -1)]
    return next(((parts[at], parts[at + 1]) for at in places if parts[at] in _PACKAGES and at + 1 < len(parts)), None)


def is_entry(name: str) -> bool:
    """Whether the name is an entry of an engine's list."""
    return name.endswith("]")


def is_model_type(name: str) -> bool:
    """Whether the name is a model type of transformers."""
    return name.startswith(_TYPES) and name.removesuffix(".").count(".") == _TYPES.count(".")


def has(name: str) -> str:
    """What a release does that has a name, in words."""
    if is_entry(name):
        return f"lists {name.partition('[')[2].removesuffix(']')}"
    return f"knows {name.rpartition('.')[2]}" if is_model_type(name) else f"has {name}"
