"""Placeholders of causes and remedies: what was captured, and what can be computed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from harness.diagnose.boundaries import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.presence import Presence
    from harness.diagnose.catalogue import Signature
    from harness.diagnose.evidence import Evidence
    from harness.diagnose.statements import Statement

_ENGINES = ("lmdeploy", "vllm", "sglang")


class _Lenient(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return f"<{key}>"


def fill(template: str, known: Mapping[str, str]) -> str:
    """The template with its placeholders filled in; an unknown one stays visible as ``<name>``."""
    return template.format_map(_Lenient(known))


def detail(signature: Signature, captures: Mapping[str, str]) -> str:
    """The signature's detail, without words that only stand in for a capture."""
    names = {name: text for name, text in signature.defaults.items() if " " not in text}
    short = dict.fromkeys(signature.captures | set(signature.defaults), "") | names | dict(captures)
    return fill(signature.detail, short).strip(".: ")


def values(
    signature: Signature, captures: Mapping[str, str], statement: Statement, evidence: Evidence
) -> dict[str, str]:
    """What each placeholder of a signature stands for in this evidence.

    Beside the captures: ``consumer``, the package whose code failed; ``installed``, the provider's installed
    version; ``boundary``, in which versions the missing name exists; ``requirement``, what to install.
    """
    known = {**signature.defaults, **captures}
    for name in {"wanted", "rival_wanted"} & captures.keys():  # uv: >=4.56,<5 transformers>=5.10
        known[name] = captures[name].replace(f" {captures.get('needed', '')}", " or ")
    provider = (captures.get("provider") or captures.get("module") or "").split(".", 1)[0]
    package = canonicalize_name(provider) if provider else ""
    version = evidence.stack.get(package, "")
    known["consumer"] = _consumer(statement, evidence, provider)
    known["installed"] = f"{provider} {version}" if version else f"the installed {provider or 'package'}"
    name = f"{captures.get('provider', '')}.{captures.get('symbol', '')}".strip(".")
    known.update(_boundary(shipped().of(name), provider))
    return known


def _boundary(presence: Presence | None, provider: str) -> dict[str, str]:
    requirements = presence.requirements() if presence is not None else []
    if not requirements:
        return {
            "boundary": "is in no version table",
            "requirement": f"a version of {provider or 'the package'} that has it",
        }
    return {"boundary": f"exists in {' and '.join(requirements)}", "requirement": " or ".join(requirements)}


def _consumer(statement: Statement, evidence: Evidence, provider: str) -> str:
    """The package whose code was running: the innermost frame that is not the provider's own."""
    for frame in reversed(statement.frames):
        package = frame.file.split("/", 1)[0]
        if "/" in frame.file and package not in ("", provider, "<frozen importlib._bootstrap>"):
            return package
    return next((name for name in _ENGINES if name in evidence.mentions), "the importing package")
