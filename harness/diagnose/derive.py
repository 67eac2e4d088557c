"""Deriving the version table from the packages themselves: fetch releases, read their sources, see where names are.

Nothing of a package is imported or run. A release is fetched, its Python files are parsed, and it is thrown away.
One release of each minor version is looked at, then every gap between two that differ is halved until the two
neighbouring releases are known.
"""

from __future__ import annotations

import ast
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from packaging.version import Version

from harness.diagnose.boundaries import TABLE
from harness.environments.uv import run_uv

Fetch = Callable[[str], AbstractContextManager[Path]]
"""Gives the folder that holds a version's sources for as long as it is needed."""
_ADJACENT = 2
Runs = dict[str, tuple[tuple[str, str], ...]]
_ALL = re.compile(r"^__all__ = [\[(](?P<names>.*?)[\])]", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r"[\"'](\w+)[\"']")
_ITEM = re.compile(r"(?P<name>\w+)\[(?P<key>[\w.]+)\]")

TRANSFORMERS_NAMES = (
    "transformers.AutoModelForImageTextToText",
    "transformers.AutoModelForVision2Seq",
    "transformers.BeamSearchScorer",
    "transformers.Cache",
    "transformers.DisjunctiveConstraint",
    "transformers.DynamicCache",
    "transformers.EncoderDecoderCache",
    "transformers.HybridCache",
    "transformers.InternVLForConditionalGeneration",
    "transformers.Qwen2VLForConditionalGeneration",
    "transformers.Qwen2_5_VLForConditionalGeneration",
    "transformers.Qwen3VLForConditionalGeneration",
    "transformers.StaticCache",
    "transformers.activations.PytorchGELUTanh",
    "transformers.cache_utils.SlidingWindowCache",
    "transformers.generation.logits_process.LogitsWarper",
    "transformers.modeling_flash_attention_utils.FlashAttentionKwargs",
    "transformers.modeling_layers.GradientCheckpointingLayer",
    "transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS",
    "transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS[default]",
    "transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS",
    "transformers.modeling_utils.shard_checkpoint",
    "transformers.models.qwen2_5_vl",
    "transformers.models.qwen2_vl",
    "transformers.models.qwen2_vl.image_processing_qwen2_vl_fast",
    "transformers.models.qwen2_vl.processing_qwen2_vl.Qwen2VLProcessor.image_token",
    "transformers.models.qwen3_vl",
    "transformers.processing_utils.ImagesKwargs",
    "transformers.processing_utils.ProcessingKwargs",
    "transformers.processing_utils.TextKwargs",
    "transformers.processing_utils.Unpack",
    "transformers.processing_utils._validate_images_text_input_order",
    "transformers.pytorch_utils.is_torch_greater_or_equal_than_1_13",
    "transformers.utils.LossKwargs",
    "transformers.utils.is_flash_attn_greater_or_equal_2_10",
    "transformers.utils.is_safetensors_available",
    "transformers.utils.generic.check_model_inputs",
)
"""Names whose coming and going has broken engines or model code."""


def derive(names: Sequence[str], versions: Sequence[str], fetch: Fetch) -> tuple[Runs, list[str]]:
    """Where each name begins and ends.

    Args:
        names: dotted names of modules, their attributes, attributes of their classes (``package.module.Class.field``)
            or entries of their dictionaries (``package.module.TABLE[key]``).
        versions: the releases to choose from, ascending.
        fetch: how to get at a release's sources.

    Returns:
        The runs of versions that have each name, and the versions that were fetched.
    """
    seen: dict[str, frozenset[str]] = {}

    def look(version: str) -> frozenset[str]:
        if version not in seen:
            with fetch(version) as folder:
                release = Release(folder)
                seen[version] = frozenset(name for name in names if release.has(name))
        return seen[version]

    samples = _samples(versions)
    for low, high in pairwise(samples):
        _halve(versions.index(low), versions.index(high), versions, look)
    known = sorted(seen, key=Version)
    return {name: _runs(name, known, seen) for name in names}, known


def _samples(versions: Sequence[str]) -> list[str]:
    """The first release, the last of each minor version, so in the end the newest."""
    last = {Version(text).release[:2]: text for text in versions}
    return [versions[0], *(text for text in last.values() if text != versions[0])]


def _halve(low: int, high: int, versions: Sequence[str], look: Callable[[str], frozenset[str]]) -> None:
    if look(versions[low]) == look(versions[high]) or high - low < _ADJACENT:
        return
    middle = (low + high) // 2
    _halve(low, middle, versions, look)
    _halve(middle, high, versions, look)


def _runs(name: str, known: Sequence[str], seen: Mapping[str, frozenset[str]]) -> tuple[tuple[str, str], ...]:
    runs: list[tuple[str, str]] = []
    previous = False
    for version in known:
        present = name in seen[version]
        if present:
            runs[-1:] = [(runs[-1][0], version)] if previous else [*runs[-1:], (version, version)]
        previous = present
    return tuple(runs)


def exists(name: str, folder: Path) -> bool:
    """Whether a dotted name is in the sources below ``folder``, as far as reading them can tell."""
    return Release(folder).has(name)


class Release:
    """The sources of one release, each file read once."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that the release was unpacked into."""
        self._folder = folder
        self._modules: dict[Path, dict[str, ast.AST]] = {}
        self._packages: dict[Path, set[str]] = {}

    def has(self, name: str) -> bool:
        """Whether a dotted name is there, as far as reading can tell."""
        module, rest = self._module_of(name.split("."))
        if module is None:
            return False
        if not rest:
            return True
        names = self._top_level(module)
        if len(rest) == 1 and (item := _ITEM.fullmatch(rest[0])):
            return item["key"] in _dictionary_keys(names.get(item["name"]))
        if len(rest) == 1:
            return rest[0] in names or (module.name == "__init__.py" and rest[0] in self._lazy_names(module))
        owner, field = rest[0], rest[-1]
        return rest == [owner, field] and field in _class_fields(names.get(owner))

    def _module_of(self, parts: Sequence[str]) -> tuple[Path | None, list[str]]:
        """The file of the longest prefix that is a module, and what is left of the name."""
        for length in range(len(parts), 0, -1):
            base = self._folder.joinpath(*parts[:length])
            for candidate in (base.with_name(base.name + ".py"), base / "__init__.py"):
                if candidate.is_file():
                    return candidate, list(parts[length:])
        return None, list(parts)

    def _top_level(self, module: Path) -> dict[str, ast.AST]:
        if module not in self._modules:
            self._modules[module] = _bound_names(ast.parse(module.read_text(encoding="utf-8")).body)
        return self._modules[module]

    def _lazy_names(self, package: Path) -> set[str]:
        """Names that a lazily loading package offers: those its ``__init__`` spells, and its modules' ``__all__``."""
        if package not in self._packages:
            names = {
                node.value
                for node in ast.walk(ast.parse(package.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            deep = (package.parent / "models").is_dir()
            for module in package.parent.glob("models/*/*.py" if deep else "*.py"):
                declared = _ALL.search(module.read_text(encoding="utf-8"))
                names |= set(_QUOTED.findall(declared["names"])) if declared else set()
            self._packages[package] = names
        return self._packages[package]


def _bound_names(body: Sequence[ast.stmt]) -> dict[str, ast.AST]:
    """Names that a module binds at its top level, guards such as ``if`` and ``try`` included."""
    names: dict[str, ast.AST] = {}
    for node in _statements(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update({(alias.asname or alias.name.split(".")[0]): node for alias in node.names})
        elif isinstance(node, ast.Assign):
            names.update({target.id: node.value for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = node.value or node
    return names


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            inner = [*node.body, *getattr(node, "orelse", []), *getattr(node, "finalbody", [])]
            inner += [statement for handler in getattr(node, "handlers", []) for statement in handler.body]
            yield from _statements(inner)
        else:
            yield node


def _dictionary_keys(node: ast.AST | None) -> set[str]:
    if not isinstance(node, ast.Dict):
        return set()
    return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}


def _class_fields(node: ast.AST | None) -> set[str]:
    """Attributes that a class or its methods assign, and its methods."""
    if not isinstance(node, ast.ClassDef):
        return set()
    fields: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef):
            fields.add(inner.name)
        elif isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            fields.add(inner.attr)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            fields.add(inner.id)
    return fields


@contextmanager
def fetch_release(package: str, version: str) -> Iterator[Path]:
    """A release of ``package``, unpacked by uv into a folder that is deleted afterwards.

    Raises:
        harness.environments.uv.UvFailure: uv could not fetch it.
    """
    with tempfile.TemporaryDirectory(prefix="boundary-") as name:
        target = Path(name)
        arguments = ["pip", "install", "--no-deps", "--no-cache", "--only-binary", ":all:", "--target", name]
        run_uv([*arguments, f"{package}=={version}"], folder=target)
        yield target


def released(package: str) -> list[str]:
    """The final releases of ``package``, ascending, as pip lists them.

    Raises:
        harness.environments.uv.UvFailure: the index could not be read.
    """
    with tempfile.TemporaryDirectory() as name:
        text = run_uv(["tool", "run", "pip", "index", "versions", package], folder=Path(name))
    line = next((line for line in text.splitlines() if line.startswith("Available versions:")), "")
    versions = [part.strip() for part in line.partition(":")[2].split(",") if part.strip()]
    return sorted((text for text in versions if not Version(text).is_prerelease), key=Version)


def refresh(package: str = "transformers", first: str = "4.33.0", path: Path = TABLE) -> int:
    """Derive the table anew from the index and write it; answers how many releases were fetched.

    Raises:
        harness.environments.uv.UvFailure: the index could not be read.
    """
    versions = [text for text in released(package) if Version(text) >= Version(first)]
    runs, known = derive(TRANSFORMERS_NAMES, versions, lambda version: fetch_release(package, version))
    table = {
        "package": package,
        "derived": datetime.now(UTC).date().isoformat(),
        "versions": versions,
        "fetched": known,
        "names": runs,
    }
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return len(known)
