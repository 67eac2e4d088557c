"""Versions in reading order."""

from __future__ import annotations

from functools import lru_cache

from packaging.version import InvalidVersion, Version


@lru_cache(maxsize=10_000)
def version_key(text: str) -> tuple[int, Version, str]:
    """Sorts versions as versions; whatever is not one comes first, by its text."""
    try:
        return (1, Version(text), text)
    except InvalidVersion:
        return (0, Version("0"), text)
