"""Installing a pin into a fresh environment, and comparing what is there with what was tested."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from harness.core.errors import HarnessError
from harness.core.files import read_json
from harness.environments.interpreters import find_interpreter
from harness.environments.lock import Lock
from harness.environments.uv import run_uv
from harness.pin.write import FACTS


class NoPin(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the folder
    """The folder holds no pin; the message says what is missing."""


def verify_pin(folder: Path) -> tuple[int, list[str]]:
    """The number of packages installed, and every difference from the tested stack; none: it is exactly that.

    The installer checks each file's hash against the pin while it installs.

    Raises:
        NoPin: the folder is not one that 'harness pin' wrote.
        UvFailure: it could not be installed.
        NoInterpreter: its Python is not on this machine.
    """
    facts = read_json(folder / FACTS)
    requirements = (folder / "requirements.txt").absolute()
    if facts is None or not requirements.is_file() or not isinstance(facts.get("packages"), dict):
        raise NoPin(f"{folder} is no pin: {FACTS} or requirements.txt is missing; name a folder of reports/pins")
    wanted = {str(name): str(version) for name, version in facts["packages"].items()}
    problems = []
    lock_file = folder / "pylock.toml"
    if lock_file.is_file():
        lock = Lock(lock_file.read_text(encoding="utf-8"))
        if lock.name != facts.get("stack"):
            problems.append(f"pylock.toml is not the tested lock: {lock.name} instead of {facts.get('stack')}")
        written = set(requirements.read_text(encoding="utf-8").replace("\\\n    ", "").splitlines())
        problems += [
            f"requirements.txt differs from the lock: {line.split()[0]}"
            for line in lock.requirements().splitlines()
            if line not in written
        ]
    interpreter = find_interpreter(str(facts["python"]))
    with tempfile.TemporaryDirectory(prefix="pin-") as name:
        scratch = Path(name)
        python = str(scratch / "env" / "bin" / "python")
        run_uv(["venv", "--quiet", "--no-project", "--python", str(interpreter), "env"], folder=scratch)
        sync = ["pip", "sync", "--quiet", "--python", python, "--require-hashes", str(requirements)]
        run_uv(sync, folder=scratch, timeout=1800)
        listed = json.loads(run_uv(["pip", "list", "--quiet", "--python", python, "--format", "json"], folder=scratch))
    found = {str(canonicalize_name(str(each["name"]))): str(each["version"]) for each in listed}
    for package in sorted({*wanted, *found}):
        if wanted.get(package) != found.get(package):
            problems.append(
                f"{package}: tested {wanted.get(package, 'without')}, installed {found.get(package, 'none')}"
            )
    return len(found), problems
