"""Writing the pin's folder: lock, requirements, launch script, Dockerfile, evidence."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.durable import write_atomically
from harness.launch_script import CONFIGURATIONS, PORT, launch_script
from harness.models import HubWeights
from harness.pin.choose import gpu_peak_mib, latency_of
from harness.pin.sbom import sbom
from harness.secrets import redact

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lock import Lock
    from harness.models import ModelSpec
    from harness.pin.choose import Candidate, Chosen, Wish

FACTS = "pin.json"
PUBLIC = re.compile(r"https://files\.pythonhosted\.org/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/?#\"]+")
AUDIT = "uvx pip-audit --disable-pip --no-deps --require-hashes -r requirements.txt"


def write_pin(folder: Path, chosen: Candidate, outcome: Chosen, wish: Wish, spec: ModelSpec) -> list[str]:
    """Write the pin and return the names of its files.

    Raises:
        OSError: the folder cannot be written.
        InvalidLock: a package of the lock has no hash.
    """
    record, lock = chosen.record, chosen.lock
    now = datetime.now(UTC)
    files = {
        "requirements.txt": requirements(lock, spec),
        "sbom.cdx.json": sbom(lock, record.id, now),
        "EVIDENCE.md": evidence(chosen, outcome, wish, spec, now),
        FACTS: json.dumps({"stack": lock.name, "python": record.axes["python"], "packages": dict(lock.stack)}, indent=1)
        + "\n",
    }
    if is_public(lock):
        files["pylock.toml"] = lock.text
    backend = record.axes["backend"]
    if backend in CONFIGURATIONS:
        model = spec.weights.hub_id if isinstance(spec.weights, HubWeights) else f"models/{spec.name}"
        files["launch_server.py"] = launch_script(model, backend, settings_of(chosen))
        files["Dockerfile"] = dockerfile(record.axes["python"])
    for name, text in files.items():
        write_atomically(folder / name, redact(text) if name.endswith(".md") else text)
    return sorted(files)


def is_public(lock: Lock) -> bool:
    """Whether every file of the lock has a public address: only then does the lock mean the same everywhere."""
    places = re.findall(r'\b(?:url|path|index) = "([^"]*)"', lock.text)
    return bool(places) and all(PUBLIC.fullmatch(each) for each in places)


def requirements(lock: Lock, spec: ModelSpec) -> str:
    """The stack as hash-checked requirements, for any index."""
    head = ["--only-binary :all:", *(f"--no-binary {name}" for name in spec.allow_source)]
    return "\n".join(head) + "\n" + lock.requirements().replace(" --hash=", " \\\n    --hash=")


def settings_of(chosen: Candidate) -> dict[str, object]:
    """The engine's settings that were tested; empty where no engine came up."""
    for stage in chosen.record.stages:
        for check in stage.checks:
            boot = check.facts.get("boot")
            settings = boot.get("settings") if isinstance(boot, dict) else None
            if isinstance(settings, dict):
                return {str(name): value for name, value in settings.items()}
    return {}


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


def evidence(chosen: Candidate, outcome: Chosen, wish: Wish, spec: ModelSpec, now: datetime) -> str:
    """EVIDENCE.md: what was shown of the stack, where and when, and what was not."""
    record, answer = chosen.record, chosen.answer
    machine = record.machine
    peak, latency = gpu_peak_mib(record), latency_of(record)
    gpu = f"{peak:.0f} MiB" if peak else f"not measured; by the model spec {spec.memory.gpu_gib:g} GiB"
    days = (now - record.finished.astimezone(UTC)).days
    lines = [
        f"# Evidence for {record.id}",
        "",
        answer.claim,
        "",
        *(f"- Not shown: {each}" for each in answer.not_proven),
    ]
    lines += [
        f"- Verdict: `{record.verdict}`, attempt {record.attempt}",
        f"- Tested {record.finished:%Y-%m-%d %H:%M} UTC, {days} days before this pin was made ({now:%Y-%m-%d})",
        (
            f"- On {machine.os}{' under WSL2' if machine.wsl else ''}, GPU: {', '.join(machine.gpus) or 'none'}, "
            f"driver: {machine.driver or 'none'}"
        ),
        (
            f"- Target: Python {wish.python or 'any'}, backend {wish.backend or 'any'}, "
            f"GPU memory {f'{wish.gpu_memory_gib:g} GiB' if wish.gpu_memory_gib else 'not said'}"
        ),
        f"- GPU memory taken: {gpu}",
        f"- Both passes, warm: {f'{latency:.3f} s' if latency is not None else 'not measured'}",
        f"- Stack: `{chosen.lock.name}`, {len(chosen.lock.stack)} packages",
        f"- Known vulnerabilities: not checked. This checks: `{AUDIT}`",
        "",
        "| stage | verdict | seconds |",
        "|---|---|---|",
        *(f"| {each.stage} | `{each.verdict}` | {each.seconds:.1f} |" for each in record.stages),
        "",
        "## Not taken",
        "",
        *(f"- {name}: {why}" for name, why in sorted(outcome.rejected.items())),
    ]
    if not is_public(chosen.lock):
        lines += ["", "There is no pylock.toml: not every file of the stack has a public address."]
    if record.axes["backend"] not in CONFIGURATIONS:
        lines += ["", "There is no launch script: this was shown with plain transformers, not LMDeploy's engines."]
    else:
        lines += ["", "The Dockerfile was written, not built."]
    return "\n".join(lines).rstrip() + "\n"
