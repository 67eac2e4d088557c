"""The stack as a CycloneDX bill of materials."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from harness.lock import Lock


def sbom(lock: Lock, name: str, now: datetime) -> str:
    """CycloneDX 1.6 JSON: every package with its package URL and the hash of the wheel that was installed."""
    components = []
    files = lock.wheels(_python(lock))
    for package, version in lock.stack.items():
        component: dict[str, object] = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{package}@{version}",
            "name": package,
            "version": version,
            "purl": f"pkg:pypi/{package}@{version}",
        }
        if package in files:
            component["hashes"] = [{"alg": "SHA-256", "content": files[package].sha256}]
        components.append(component)
    content = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:stack:{lock.name}')}",
        "version": 1,
        "metadata": {
            "timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "bom-ref": "stack", "name": name, "version": lock.name},
        },
        "components": components,
    }
    return json.dumps(content, indent=1) + "\n"


def _python(lock: Lock) -> str:
    """The Python that the lock was made for."""
    for line in lock.text.splitlines():
        if line.startswith("requires-python"):
            return ".".join(line.split('"')[1].lstrip(">=~ ").split(".")[:2])
    return "3.11"
