"""The remedy for a name that only some releases have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from harness.diagnose.missing import is_argument, is_attribute, meant
from harness.diagnose.models import has, is_entry
from harness.diagnose.successors import successor

if TYPE_CHECKING:
    from harness.core.presence import Presence
    from harness.diagnose.missing import Lookup


def by_versions(  # noqa: PLR0913 - each is a fact of its own
    remedy: str, missing: str, presence: Presence, installed: str, lookup: Lookup, *, told: bool
) -> str:
    """The remedy for somebody who lacks a name, with what the releases say of it.

    Args:
        remedy: that of the signature.
        missing: the dotted name.
        presence: the versions that have it.
        installed: the version that is there; empty: not known.
        lookup: knows names beside it.
        told: whether the remedy names the versions already.
    """
    package = presence.package
    if not presence.runs:
        if is_entry(missing):
            return f"No release of {package} up to {presence.looked_at[-1]} {has(missing)}: {remedy}"
        name = meant(missing, lookup)
        ask = f"did you mean {name}?" if name else "correct it, or find the fork or the branch that has it."
        span = f"from {presence.looked_at[0]} to {presence.looked_at[-1]}"
        return f"No release of {package} {span} has {missing}: {ask}"
    everywhere = len(presence.versions) == len(presence.looked_at)
    if everywhere or (installed and _is_in(installed, presence)):
        known = f"Every known release of {package}, from {presence.looked_at[0]} on,"
        which = f"{package} {installed}" if installed and not everywhere else known
        why = "its module stopped while it was loaded, or another copy or file hides the package"
        why += "" if installed else ", or yours is older still"
        alone = f"{which} {has(missing)}, so {why}: import it alone to see which."
        return f"{alone} {'' if told else remedy}".strip()
    remedy = remedy if told else f"Install {' or '.join(presence.requirements())}, which {has(missing)}. {remedy}"
    return f"{remedy} {_successor(missing, presence, lookup)}".rstrip()


def _successor(missing: str, presence: Presence, lookup: Lookup) -> str:
    """What the newest releases have in the place of a name that they took out."""
    if presence.looked_at[-1] in presence:
        return ""
    if known := successor(missing):
        return f"In newer releases: {known}."
    if is_argument(missing) or is_attribute(missing) or is_entry(missing):
        return ""
    home = lookup.home(missing.rpartition(".")[2], [missing.partition(".")[0]], deep=True)
    there = lookup.of(home) if home and home != missing else None
    return f"In newer releases it is {home}." if there is not None and there.looked_at[-1] in there else ""


def _is_in(version: str, presence: Presence) -> bool:
    try:
        return Version(version) in presence
    except InvalidVersion:
        return False
