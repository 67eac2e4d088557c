"""Locks of miniatures."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

from harness.environments.lock import Lock

if TYPE_CHECKING:
    from pathlib import Path

    from harness.bundle.carry import WheelStore


NO_PLACE = "https://wheels.invalid/"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def lock_of(wheels: Path, store: WheelStore, versions: dict[str, str]) -> Lock:
    """A lock of miniatures whose wheels are in the store already, so that nothing is downloaded."""
    lines = ['lock-version = "1.0"', 'created-by = "the tests"']
    for name, version in versions.items():
        path = wheels / f"{name}-{version}-py3-none-any.whl"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        kept = store.folder / digest[:16] / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())
        wheel = f'{{url = "{NO_PLACE}{path.name}", hashes = {{sha256 = "{digest}"}}}}'
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{version}"', f"wheels = [{wheel}]"]
    return Lock("\n".join(lines) + "\n")
