"""Commands to copy: what a remedy asks for, from the version that is there to one that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from harness.diagnose.missing import in_common
from harness.diagnose.patterns import text_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.core.presence import Presence
    from harness.diagnose.classify import Diagnosis

_QUOTED = text_pattern(
    r'"(?P<quoted>[A-Za-z][\w.-]*(?:\[[\w,]+\])?(?:[<>=!~]=?[^"]*)?)"|'
    r"Install (?P<plain>[A-Za-z][\w.-]*(?:[<>=!~]=?\d[\w.]*)(?:,[<>=!~]=?\d[\w.]*)*)"
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and what it rests on."""

    line: str
    before: str = ""
    """The installed version, if known."""
    after: str = ""
    """The newest version that it would accept; empty when the versions were not looked at."""
    because: tuple[str, ...] = ()
    """The names that all of these versions have; empty for a remedy that the catalogue gives."""

    @property
    def requirement(self) -> str:
        """What it installs."""
        return self.line.split('"')[1]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {"command": self.line, "from": self.before, "to": self.after, "has": list(self.because)}


def commands_of(diagnosis: Diagnosis, installed: Mapping[str, str]) -> list[Command]:
    """What to type for a failure, and for the others of its text together."""
    every = [diagnosis, *diagnosis.others]
    ranged = [each.presence for each in every if each.presence is not None]
    found = [command for each in in_common(ranged) if (command := _of_range(each, every, installed)) is not None]
    done = {_name_of(command) for command in found}
    found += [command for command in _quoted(diagnosis, installed) if _name_of(command) not in done]
    return found


def contradiction(diagnosis: Diagnosis) -> Presence | None:
    """A package no release of which has all the names that the failures of a text lack."""
    every = [each.presence for each in (diagnosis, *diagnosis.others) if each.presence and each.presence.runs]
    return next((each for each in in_common(every) if not each.runs), None)


def _of_range(found: Presence, every: Sequence[Diagnosis], installed: Mapping[str, str]) -> Command | None:
    everywhere = len(found.versions) == len(found.looked_at)
    before = installed.get(found.package, "")
    if not found.runs or everywhere or (len(every) == 1 and _inside(before, found)):
        return None
    requirements = found.requirements()
    place = _nearest(found, before)
    names = tuple(each.missing for each in every if each.presence and each.presence.package == found.package)
    return Command(f'uv pip install "{requirements[place]}"', before, str(found.runs[place][1]), names)


def _nearest(found: Presence, before: str) -> int:
    """The stretch of versions nearest to the one that is there; the newest where that is not known."""
    version = _version(before)
    if version is None:
        return len(found.runs) - 1
    lower = [place for place, (first, _) in enumerate(found.runs) if first <= version]
    return lower[-1] if lower else 0


def _inside(version: str, found: Presence) -> bool:
    number = _version(version)
    return number is not None and number in found


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _quoted(diagnosis: Diagnosis, installed: Mapping[str, str]) -> Iterator[Command]:
    """Requirements that a remedy names in quotation marks or as the first thing to install, one of each package."""
    named: set[str] = set()
    for match in _QUOTED.finditer(diagnosis.remedy):
        if match.group("plain") and diagnosis.presence is not None:
            continue  # the versions that have the name were weighed already
        try:
            requirement = Requirement((match.group("quoted") or match.group("plain") or "").rstrip("."))
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        typed = diagnosis.remedy[: match.start()].endswith("pip install ")
        if (requirement.specifier or requirement.extras or typed) and name not in named:
            named.add(name)
            yield Command(f'uv pip install "{requirement}"', installed.get(name, ""))


def _name_of(command: Command) -> str:
    return canonicalize_name(Requirement(command.requirement).name)
