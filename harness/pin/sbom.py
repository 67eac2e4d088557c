"""The stack as a CycloneDX bill of materials."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from harness import __version__

if TYPE_CHECKING:
    from datetime import datetime

    from harness.environments.lock import Lock
    from harness.pin.advisories import Audit


def sbom(lock: Lock, name: str, python: str, audited: Audit, now: datetime) -> str:
    """CycloneDX 1.6 JSON: every package with its package URL, the hash of the wheel that was installed, what is known.

    Args:
        lock: the stack.
        name: what the bill is for.
        python: version of the interpreter, which decides which wheel of a package is installed.
        audited: what the advisories say.
        now: the bill's moment, UTC.
    """
    components = []
    files = lock.wheels(python)
    for package, version in lock.stack.items():
        component: dict[str, object] = {
            "type": "library",
            "bom-ref": _purl(package, version),
            "name": package,
            "version": version,
            "purl": _purl(package, version),
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
            "tools": {"components": [{"type": "application", "name": "lmdeploy-harness", "version": __version__}]},
            "component": {"type": "application", "bom-ref": "stack", "name": name, "version": lock.name},
            "properties": [{"name": "lmdeploy-harness:advisories", "value": audited.sentence()}],
        },
        "components": components,
    }
    if not audited.trouble:
        content["vulnerabilities"] = _vulnerabilities(audited)
    return json.dumps(content, indent=1) + "\n"


def _vulnerabilities(audited: Audit) -> list[dict[str, object]]:
    found = []
    for each in audited.found:
        entry: dict[str, object] = {
            "id": each.id,
            "references": [{"id": alias, "source": {"name": alias.split("-")[0]}} for alias in each.aliases],
            "description": each.summary,
            "affects": [{"ref": _purl(each.package, each.version)}],
        }
        if each.fixed:
            entry["recommendation"] = f"Fixed in {', '.join(each.fixed)}."
        found.append(entry)
    return found


def _purl(package: str, version: str) -> str:
    return f"pkg:pypi/{package}@{version}"
