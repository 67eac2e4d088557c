"""What bundles were packed with, kept where they were packed: what comes home is compared with it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from harness.core.files import digest, read_json, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from harness.bundle.manifest import Manifest

FOLDER = "bundles"


def keep_manifest(state: Path, manifest: Manifest) -> None:
    """Note the locks of the combinations that a bundle was packed with."""
    packed = {each.combination.id: each.lock for each in manifest.combinations}
    kept = {"made": manifest.made.isoformat(), "harness": manifest.harness, "packed": packed}
    write_atomically(state / FOLDER / f"{digest(kept)}.json", json.dumps(kept, indent=1) + "\n")


def packed_locks(state: Path) -> dict[str, set[str]]:
    """By combination, the locks that bundles packed here were given."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for file in sorted((state / FOLDER).glob("*.json")):
        for name, lock in ((read_json(file) or {}).get("packed") or {}).items():
            found[str(name)].add(str(lock))
    return dict(found)
