"""Installing a pin into a fresh environment, and comparing what is there with what was tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.core.files import read_json, read_text
from harness.core.untrusted_files import temporary_folder
from harness.core.verdict import Stage
from harness.environments.install import install, installed
from harness.environments.interpreters import find_interpreter
from harness.environments.lock import Lock
from harness.pin.write import FACTS
from harness.pipeline.limits import LIMITS

if TYPE_CHECKING:
    from pathlib import Path


class NoPin(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the folder
    """The folder holds no pin; the message says what is missing."""


def verify_pin(folder: Path) -> tuple[int, list[str]]:
    """The number of packages installed, and every difference from the tested stack; none: it is exactly that.

    The installer checks each file's hash against the pin while it installs.

    Raises:
        NoPin: the folder is not one that 'lmdeploy-harness pin' wrote.
        UvFailure: it could not be installed.
        NoInterpreter: its Python is not on this machine.
    """
    facts = read_json(folder / FACTS)
    requirements = (folder / "requirements.txt").absolute()
    whole = facts is not None and isinstance(facts.get("packages"), dict) and isinstance(facts.get("python"), str)
    if facts is None or not whole or not requirements.is_file():
        raise NoPin(f"{folder} is no pin: {FACTS} or requirements.txt is missing or damaged")
    wanted = {str(name): str(version) for name, version in facts["packages"].items()}
    problems = []
    lock_file = folder / "pylock.toml"
    if lock_file.is_file():
        lock = Lock(read_text(lock_file))
        if lock.name != facts.get("stack"):
            problems.append(f"pylock.toml is not the tested lock: {lock.name} instead of {facts.get('stack')}")
        written = set(read_text(requirements).replace("\\\n    ", "").splitlines())
        problems += [
            f"requirements.txt differs from the lock: {line.split()[0]}"
            for line in lock.requirements().splitlines()
            if line not in written
        ]
    interpreter = find_interpreter(str(facts["python"]))
    with temporary_folder("pin-") as scratch:
        install(scratch / "env", interpreter, requirements, None, LIMITS[Stage.INSTALL])
        found: dict[str, list[str]] = {}
        for name, version in installed(scratch / "env"):
            found.setdefault(name, []).append(version)
    for package in sorted({*wanted, *found}):
        versions = " and ".join(sorted(found.get(package, []))) or "none"
        if wanted.get(package) != versions:
            problems.append(f"{package}: tested {wanted.get(package, 'without')}, installed {versions}")
    return len(found), problems
