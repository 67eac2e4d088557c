"""Writing the pin's folder: lock, requirements, bill of materials, advisories, launch script, Dockerfile, facts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from harness.core.files import write_atomically
from harness.engines import configuration_of
from harness.engines.launch_script import PORT, launch_script
from harness.evidence.settings import launch_settings
from harness.matrix.models import HubWeights
from harness.pin.advisories import audit_json
from harness.pin.evidence import Pin, evidence
from harness.pin.sbom import sbom
from harness.process.redaction import redact

if TYPE_CHECKING:
    from pathlib import Path

    from harness.environments.lock import Lock
    from harness.matrix.models import ModelSpec

FACTS = "pin.json"
EVIDENCE = "EVIDENCE.md"
PUBLIC = re.compile(r"https://files\.[a-z]+\.org/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/?#\"]+")


def write_pin(folder: Path, pin: Pin) -> list[str]:
    """Write the pin and return the names of its files; an earlier pin of that name is replaced.

    Raises:
        OSError: the folder cannot be written.
        InvalidLock: a package of the lock has no hash.
    """
    known, lock, spec = pin.chosen.known, pin.chosen.lock, pin.spec
    python, backend = known.python, known.backend
    facts = {"stack": lock.name, "python": python, "packages": dict(lock.stack)}
    files = {
        "requirements.txt": requirements(lock, spec),
        "sbom.cdx.json": sbom(lock, pin.chosen.name, python, pin.audited, pin.made),
        "vulnerabilities.json": audit_json(pin.audited),
        FACTS: json.dumps(facts, indent=1) + "\n",
    }
    if is_public(lock):
        files["pylock.toml"] = lock.text
    notes = _notes(pin)
    configuration = configuration_of(backend)
    if configuration is not None:
        settings = launch_settings(pin.knowledge, known, pin.wish.gpu_memory_gib)
        fields = dict(settings.fields)
        if isinstance(spec.weights, HubWeights) and spec.weights.revision is not None:
            fields["revision"] = spec.weights.revision
        files["launch_server.py"] = launch_script(configuration, _model(spec), fields)
        files["Dockerfile"] = dockerfile(python)
        notes.append(f"Engine settings in `launch_server.py`: {settings.origin}.")
    files[EVIDENCE] = redact(evidence(pin, notes))
    for name in ("pylock.toml", "launch_server.py", "Dockerfile"):
        if name not in files:
            (folder / name).unlink(missing_ok=True)  # of an earlier pin of that name
    for name, text in files.items():
        write_atomically(folder / name, text, durable=True)
    return sorted(files)


def is_public(lock: Lock) -> bool:
    """Whether every file of the lock has a public address: only then does the lock mean the same everywhere."""
    places = re.findall(r'\b(?:url|path|index) = "([^"]*)"', lock.text)
    return bool(places) and all(PUBLIC.fullmatch(each) for each in places)


def requirements(lock: Lock, spec: ModelSpec) -> str:
    """The stack as hash-checked requirements, for any index."""
    head = ["--only-binary :all:", *(f"--no-binary {name}" for name in spec.allow_source)]
    return "\n".join(head) + "\n" + lock.requirements().replace(" --hash=", " \\\n    --hash=")


def dockerfile(python: str) -> str:
    """An image of the stack. Triton compiles its launcher when the engine starts, hence the compiler."""
    return f"""\
FROM python:{python}-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /srv
COPY requirements.txt launch_server.py ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt
EXPOSE {PORT}
CMD ["python", "launch_server.py"]
"""


def _model(spec: ModelSpec) -> str:
    if isinstance(spec.weights, HubWeights):
        return spec.weights.hub_id or str(spec.weights.local_path)
    return f"models/{spec.name}"


def _notes(pin: Pin) -> list[str]:
    """What a reader of the folder has to know of its files."""
    notes = []
    if not is_public(pin.chosen.lock):
        notes.append("There is no pylock.toml: not every file of the stack has a public address.")
    backend = pin.chosen.known.backend
    if configuration_of(backend) is None:
        notes.append(f"There is no launch script: this was shown with plain {backend}, not LMDeploy's engines.")
        return notes
    notes.append("The Dockerfile was written, not built.")
    if not isinstance(pin.spec.weights, HubWeights):
        notes.append(f"The image holds no model: mount the checkpoint at `/srv/{_model(pin.spec)}`.")
    return notes
