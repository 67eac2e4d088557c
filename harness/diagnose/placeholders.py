"""Placeholders of causes and remedies: what was captured, and what can be computed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from harness.diagnose.frames import package_of
from harness.diagnose.packages import companion, distribution, wheel_of
from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.core.presence import Presence
    from harness.diagnose.catalogue import Signature
    from harness.diagnose.evidence import Evidence
    from harness.diagnose.statements import Statement

_MOST_PARTIES = 6
_PARTY = text_pattern(
    r"The user requested (?P<asked>[A-Za-z][\w.\[\]-]*[<>=!~]\S+)|"
    r"(?P<who>[A-Za-z][\w.\[\]-]*)[ -](?P<version>\(?[<>=!~]*\d[\w.+!*<>=,|]*\)?) (?:depends on|requires) "
    r"(?P<what>[A-Za-z][\w.\[\]-]*(?: ?\(?[<>=!~]=?[\d][\w.+!*<>=,|~]*\)?)?)|"
    r"package (?P<conda>[\w.-]+?)-(?P<build>\d[\w.]*)-\w+ (?:requires|depends on|has constraint) "
    r"(?P<needs>\w[\w.-]*(?: [<>=!~]*\d[\w.*,<>=!]*)?)|"
    r"nothing provides (?P<absent>[^ ]+(?: [<>=!~]*\d[\w.*,<>=!]*)?) needed by (?P<by>\S+)"
)


_INSTALL = text_pattern(
    r"\b(?:uv )?pip3? install (?:-U |--upgrade |-q |--no-build-isolation )*[\"']?[A-Za-z][\w.\[\]<>=,~! -]*\w"
)


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
    signature: Signature,
    captures: Mapping[str, str],
    statement: Statement,
    evidence: Evidence,
    presence: Presence | None,
) -> dict[str, str]:
    """What each placeholder of a signature stands for in this evidence.

    Beside the captures: ``consumer``, the package whose code failed; ``installed``, the provider's installed
    version; ``boundary``, in which versions the missing name exists; ``requirement``, what to install; ``parties``, who
    needs what in a conflict; ``torchvision`` and ``triton``, those of the torch that is there; ``wheel``, what holds a
    library; ``install``, what to install for an import; ``generation``, the transformers that the code is made for.
    """
    known = {**signature.defaults, **captures}
    for name in {"wanted", "rival_wanted"} & captures.keys():  # uv: >=4.56,<5 transformers>=5.10
        known[name] = captures[name].replace(f" {captures.get('needed', '')}", " or ")
    provider = (captures.get("provider") or captures.get("module") or "").split(".", 1)[0]
    version = evidence.installed.get(canonicalize_name(provider), "") if provider else ""
    known["consumer"] = _consumer(statement, provider)
    known["installed"] = f"{provider} {version}" if version else f"the installed {provider or 'package'}"
    known["parties"] = _parties(statement.text)
    known.update(_boundary(presence, provider))
    there = evidence.installed_at(statement.number)
    known["torchvision"] = companion("torchvision", there)
    known["triton"] = companion("triton", there)
    wheel = wheel_of(statement.text)
    known["wheel"] = f'uv pip install "{wheel}"' if wheel else "reinstall the package whose folder should hold it"
    known["install"] = _install(captures)
    known["generation"] = _generation(there)
    return known


def _install(captures: Mapping[str, str]) -> str:
    """What to type for a module that is missing, where it is known what provides it."""
    kinds = ("module", "package", "command", "program")
    module = next((captures[name] for name in kinds if captures.get(name)), "it")
    known = distribution(module)
    return f'Install {known} (uv pip install "{known}")' if known else f"Install the package that provides {module}"


def _generation(installed: Mapping[str, str]) -> str:
    """The transformers that code is made for which stumbles over the one that is there."""
    version = installed.get("transformers", "")
    if version.startswith("5."):
        return f'"transformers<5", since {version} is there and most such code was written for version 4'
    return "the transformers that config.json names (transformers_version; transformers<5 for code from before 2026)"


def told_install(text: str) -> str:
    """The installing command that a message names; empty where it names none."""
    found = _INSTALL.search(text)
    return found.group() or "" if found else ""


def _boundary(presence: Presence | None, provider: str) -> dict[str, str]:
    requirements = presence.requirements() if presence is not None else []
    if not requirements:
        where = "is in no version table" if presence is None else f"is in no release of {presence.package}"
        return {"boundary": where, "requirement": f"a version of {provider or 'the package'} that has it"}
    return {"boundary": f"exists in {' and '.join(requirements)}", "requirement": " or ".join(requirements)}


def _consumer(statement: Statement, provider: str) -> str:
    """The package whose code was running: the innermost frame that is not the provider's own."""
    packages = [package_of(frame) for frame in reversed(statement.frames)]
    return next((package for package in packages if package not in ("", provider)), "the calling code")


def _parties(text: str) -> str:
    """Who needs what, as pip, poetry and conda explain a conflict."""
    found: list[str] = []
    for match in _PARTY.finditer(text):
        said = _party({name: text or "" for name, text in match.groupdict().items()})
        found += [said] if said not in found else []
    return "; ".join(found[:_MOST_PARTIES]) or "the explanation names them"


def _party(said: Mapping[str, str]) -> str:
    if said["asked"]:
        return f"you ask for {said['asked']}"
    if said["absent"]:
        return f"{said['by']} needs {said['absent']}, which no channel has"
    if said["conda"]:
        return f"{said['conda']} {said['build']} needs {said['needs']}"
    return f"{said['who']} {said['version'].strip('()')} needs {said['what']}"
