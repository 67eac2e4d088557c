"""Pip's settings of package indexes, as uv's variables.

uv, which builds the environments, reads none of them. Somebody whose pip is set to another index than PyPI means every
installer, so they hold where uv's own settings name no index.
"""

from __future__ import annotations

import os
import sys
from configparser import Error, RawConfigParser
from pathlib import Path

from platformdirs import site_config_path, user_config_path


def pip_as_uv() -> dict[str, str]:
    """Uv's variables that stand for pip's settings; none where pip names no index of its own.

    Raises:
        ValueError: pip's configuration cannot be read.
    """
    pip = _settings()
    if "index-url" not in pip:
        return {}
    found = {"UV_DEFAULT_INDEX": pip["index-url"].strip()}
    if further := pip.get("extra-index-url", "").split():
        found |= {"UV_INDEX": " ".join(further), "UV_INDEX_STRATEGY": "unsafe-best-match"}  # to pip all are alike
    if links := pip.get("find-links", "").split():
        found["UV_FIND_LINKS"] = ",".join(links)
    return found


def _settings() -> dict[str, str]:
    """What pip would be told when it installs: its files, and its variables."""
    parser = RawConfigParser()
    try:
        parser.read(_files(), "utf-8")
    except (Error, UnicodeDecodeError) as error:
        raise ValueError(f"pip's configuration cannot be read: {error}") from error
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if section in parser:
            found |= parser[section]
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def _files() -> list[Path]:
    """In the order in which later ones win."""
    given = os.environ.get("PIP_CONFIG_FILE")
    if given == os.devnull:
        return []
    name, home = ("pip.ini", "pip") if os.name == "nt" else ("pip.conf", ".pip")
    folders = [site_config_path("pip", appauthor=False), Path("/etc"), Path.home() / home]
    folders += [user_config_path("pip", appauthor=False, roaming=True), Path(sys.prefix)]
    return [*(folder / name for folder in folders), *([Path(given)] if given else [])]
