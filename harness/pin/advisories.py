"""Known vulnerabilities of a stack, asked of PyPI's and OSV's advisories by pip-audit.

Advisories change by the day and say nothing about what was tested, so they are looked up when a pin is made. pip-audit
is run by uv and not installed beside the harness. It calls a package that the database does not know "no known
vulnerability"; here that counts as not checked.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.environments.uv import offline, uv_binary
from harness.environments.uv_settings import installer_variables
from harness.process.child import CHILDREN, Limits
from harness.process.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AUDITOR = "pip-audit>=2.9,<3"
PYPI, OSV = "pypi", "osv"
DATABASES = {PYPI: "PyPI's advisories", OSV: "OSV's advisories"}
_SECONDS = 600.0
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_MOST_SUMMARY = 200


@dataclass(frozen=True, slots=True)
class Advisory:
    """One known vulnerability of one package of the stack."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...] = ()
    """Other names of it, such as a CVE number."""
    fixed: tuple[str, ...] = ()
    """Versions without it; none when there is no such release."""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the advisories say of a stack."""

    database: str
    """In words; which databases were tried, where none answered."""
    checked: int = 0
    """Packages that the database knows."""
    found: tuple[Advisory, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Package to why the database says nothing of it."""
    trouble: str = ""
    """Why nothing was checked; empty when something was."""

    def sentence(self) -> str:
        """What was found, or plainly that nothing was checked."""
        if self.trouble:
            return f"Not checked: {self.trouble}"
        affected = len({each.package for each in self.found})
        told = f"{len(self.found)} known in {affected} of {self.checked} packages" if self.found else "None known"
        told += f", by {self.database}" if self.found else f" in {self.checked} packages, by {self.database}"
        if self.unchecked:
            told += f"; not checked, since it does not know them: {', '.join(sorted(self.unchecked))}"
        return told


class _Vulnerability(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    fix_versions: list[str] = []
    aliases: list[str] = []
    description: str = ""


class _Package(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    version: str = ""
    skip_reason: str = ""
    vulns: list[_Vulnerability] = []


class _Reading(BaseModel):
    """What pip-audit writes."""

    model_config = ConfigDict(extra="ignore")

    dependencies: list[_Package] = Field(min_length=1)


def audit(requirements: str, database: str | None = None) -> Audit:
    """Look the stack up.

    Args:
        requirements: hashed requirements that name every package.
        database: ``pypi``, ``osv`` or the address of a server that answers as OSV's does; None: PyPI's, and OSV's
            where that cannot be had.

    Raises:
        Cancelled: the harness is being stopped.
    """
    if database in {None, *DATABASES} and offline():
        return Audit("nobody", trouble="UV_OFFLINE is set, so nobody was asked")
    troubles = []
    for each in [database] if database is not None else [PYPI, OSV]:
        found = _asked(requirements, each)
        if not found.trouble:
            return found
        troubles.append(f"{found.database}: {found.trouble}")
    return Audit(
        " and ".join(DATABASES.values()) if database is None else _named(database), trouble="; ".join(troubles)
    )


def _asked(requirements: str, database: str) -> Audit:
    service = ["-s", database] if database in DATABASES else ["-s", OSV, "--osv-url", database]
    with tempfile.TemporaryDirectory(prefix="audit-") as name:
        folder = Path(name)
        (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
        asked = ["--requirement", "requirements.txt", "--require-hashes", "--disable-pip", *service]
        shown = ["--format", "json", "--desc", "on", "--aliases", "on", "--progress-spinner", "off"]
        report = CHILDREN.run(
            [*_auditor(), *asked, *shown, "--output", "audit.json"],
            environment=installer_variables() | {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"},
            folder=folder,
            limits=Limits(wall=_SECONDS, idle=_SECONDS),
        )
        try:
            # with findings it ends with 1, and with 1 as well when it broke: what it wrote is the truth
            reading = _Reading.model_validate_json((folder / "audit.json").read_bytes())
        except (OSError, ValidationError):
            return Audit(_named(database), trouble=_why(report.log) or report.message)
    return _read(reading.dependencies, database)


def _read(packages: Sequence[_Package], database: str) -> Audit:
    known = [each for each in packages if not each.skip_reason]
    unknown = {each.name: each.skip_reason for each in packages if each.skip_reason}
    if not known:
        return Audit(_named(database), trouble=f"it knows none of the {len(unknown)} packages")
    found = [
        Advisory(
            package.name,
            package.version,
            each.id,
            tuple(sorted(each.aliases)),
            tuple(each.fix_versions),
            _summary(each.description),
        )
        for package in known
        for each in package.vulns
    ]
    found.sort(key=lambda each: (each.package, each.id))
    return Audit(_named(database), len(known), tuple(found), unknown)


def _auditor() -> list[str]:
    """The one beside the harness where there is one, otherwise uv brings it."""
    if find_spec("pip_audit") is not None:
        return [sys.executable, "-m", "pip_audit"]
    return [uv_binary(), "tool", "run", "--quiet", "--from", AUDITOR, "pip-audit"]


def _named(database: str) -> str:
    return DATABASES.get(database, "the OSV server that was named")


def _why(log: str) -> str:
    """The last line with words in it; addresses of servers are nobody's business and may hold credentials."""
    lines = [line.strip() for line in log.splitlines() if re.search(r"[A-Za-z]{3}", line)]
    return _short(_ADDRESS.sub("…", redact(lines[-1]))) if lines else ""


def _summary(description: str) -> str:
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", description.strip())]
    words = next((part.lstrip("# ") for part in paragraphs if part.lstrip("# ").lower() not in {"", "impact"}), "")
    return _short(words)


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SUMMARY else f"{text[: _MOST_SUMMARY - 1]}…"


def audit_json(audited: Audit) -> str:
    """For programs."""
    told = {
        "database": audited.database,
        "checked": audited.checked,
        "trouble": audited.trouble,
        "unchecked": dict(sorted(audited.unchecked.items())),
        "found": [
            {
                "package": each.package,
                "version": each.version,
                "id": each.id,
                "aliases": each.aliases,
                "fixed": each.fixed,
                "summary": each.summary,
            }
            for each in audited.found
        ],
    }
    return json.dumps(told, indent=1) + "\n"
