"""Reading bumps from a unified diff of requirement, project and lock files, as Renovate and Dependabot produce them.

Each hunk is read twice, as the old text and as the new one, and what the two pin differently is the bump. So a lock's
unchanged ``name`` line above a changed ``version`` line is seen, and a line that only moved is no change.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from harness.gate.change import Bump, UnusableChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HUNK = re.compile(r"@@ -\d+(?:,(?P<old>\d{1,9}))? \+(?P<start>\d{1,9})(?:,(?P<new>\d{1,9}))? @@")
_NO_NUMBER = re.compile(r"\d{100}")
"""No part of a version; compared with one, Python would refuse to read it."""
_QUOTED = re.compile(r"""(["'])(?P<text>[A-Za-z0-9][^"']*)\1""")
_POETRY = re.compile(r"""\s*(?P<name>[A-Za-z0-9][\w.-]*)\s*=\s*(?:\{.*?version\s*=\s*)?["'](?P<spec>[^"']+)["']""")
_LOCK_LINE = re.compile(r"""\s*(?P<key>name|version)\s*=\s*["'](?P<value>[^"']+)["']""")
_NO_PACKAGES = frozenset({"version", "requires-python", "python", "name", "target-version", "python-version"})
MAX_BYTES = 50_000_000
"""A diff larger than this is no dependency update."""


@dataclass(slots=True)
class _Hunk:
    file: str
    start: int
    """First line in the new file."""
    old: list[str] = field(default_factory=list)
    new: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DiffReading:
    """What a diff says."""

    bumps: tuple[Bump, ...]
    files: tuple[str, ...]
    """Every file it touches, of whatever kind."""


def read_diff(text: str) -> DiffReading:
    """The bumps in a unified diff; of a package that several files pin, the last exact pin counts.

    Raises:
        UnusableChange: the text is not a unified diff.
    """
    hunks = list(_hunks(text))
    if text.strip() and not hunks and "diff --git" not in text:
        raise UnusableChange("this is not a unified diff; give the output of 'git diff', or a revision to compare with")
    found: dict[str, Bump] = {}
    read = [(hunk, reader) for hunk in hunks if (reader := _reader_of(hunk.file)) is not None]
    elsewhere: dict[tuple[str, str], SpecifierSet] = {}
    for hunk, reader in read:
        elsewhere |= {(hunk.file, name): spec for _, name, spec in reader([(0, line) for line in hunk.old])}
    for hunk, reader in read:
        before = {name: spec for _, name, spec in reader([(0, line) for line in hunk.old])}
        for line, name, spec in reader(hunk.new):
            was = before.get(name, elsewhere.get((hunk.file, name)))  # a line may move to another hunk
            if was == spec:
                continue
            bump = Bump(name, spec, str(was).removeprefix("==") if was is not None else None, hunk.file, line)
            if name not in found or bump.exact is not None or found[name].exact is None:
                found[name] = bump
    return DiffReading(tuple(found[name] for name in sorted(found)), tuple(dict.fromkeys(each.file for each in hunks)))


def diff_since(revision: str, folder: Path) -> str:
    """What the working tree changed since it left ``revision``.

    Raises:
        UnusableChange: git does not know the revision, or this is no repository.
    """
    command = ["git", "diff", "--no-color", "--no-ext-diff", "--merge-base", "--end-of-options", revision, "--"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise UnusableChange("git is not installed, so a revision cannot be compared with; give a diff file") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise UnusableChange(
            f"{revision!r} is neither a file nor a revision here: {said[0] if said else 'git said nothing'}"
        )
    return done.stdout


def load_diff(place: str, folder: Path, stdin: Callable[[], str]) -> str:
    """The diff's text: ``-`` reads standard input, a file is read, anything else is a git revision.

    Raises:
        UnusableChange: none of these.
    """
    if place == "-":
        return stdin()
    file = Path(place)
    if not file.is_file():
        return diff_since(place, folder)
    if file.stat().st_size > MAX_BYTES:
        raise UnusableChange(f"{place} is larger than {MAX_BYTES // 1_000_000} MB; that is no dependency update")
    return file.read_text(encoding="utf-8", errors="replace")


def _hunks(  # noqa: C901 - one branch for each kind of line
    text: str,
) -> Iterator[_Hunk]:
    """The hunks, by the counts in their headers, so that a removed line ``-- x`` is not taken for a file's name."""
    file, hunk, old, new = "", None, 0, 0
    for line in text.replace("\r\n", "\n").split("\n"):
        if hunk is not None and (old > 0 or new > 0):
            if line.startswith("\\"):
                continue
            if not line.startswith("+"):
                hunk.old.append(line[1:])
                old -= 1
            if not line.startswith("-"):
                hunk.new.append((hunk.start + len(hunk.new), line[1:]))
                new -= 1
            if old <= 0 and new <= 0:
                yield hunk
                hunk = None
            continue
        header = _HUNK.match(line)
        if header is not None:
            hunk = _Hunk(file, int(header["start"]))
            old, new = int(header["old"] or 1), int(header["new"] or 1)
        elif line.startswith(("--- ", "+++ ")):
            name = line[4:].split("\t")[0].strip().strip('"')
            if name != "/dev/null":
                file = re.sub(r"^[abciow]/", "", name)
    if hunk is not None:
        yield hunk  # cut short: what is there still says something


_Pins = list[tuple[int, str, SpecifierSet]]


def _reader_of(file: str) -> Callable[[list[tuple[int, str]]], _Pins] | None:
    path = PurePosixPath(file)
    name = path.name.lower()
    if name in {"pyproject.toml", "pipfile"}:
        return _project_pins
    if name == "setup.cfg":
        return _requirement_pins
    if name.endswith(".lock") or re.fullmatch(r"pylock(\..+)?\.toml", name):
        return _lock_pins
    if path.suffix in {".txt", ".in"} and (
        re.search(r"requirement|constraint", name) or "requirements" in path.parent.parts
    ):
        return _requirement_pins
    return None


def _requirement_pins(lines: list[tuple[int, str]]) -> _Pins:
    pins: _Pins = []
    for number, line in lines:
        text = re.split(r"\s#|\s--hash|\s*\\$", line.strip())[0].strip()
        if text and not text.startswith(("#", "-")):
            _add(pins, number, text)
    return pins


def _project_pins(lines: list[tuple[int, str]]) -> _Pins:
    pins: _Pins = []
    for number, line in lines:
        poetry = _POETRY.match(line)
        if poetry is not None:
            if poetry["name"] not in _NO_PACKAGES:
                spec = _poetry_spec(poetry["spec"])
                _add(pins, number, f"{poetry['name']}{spec}")
            continue
        for quoted in _QUOTED.finditer(line.split(" #")[0]):
            _add(pins, number, quoted["text"])
    return pins


def _lock_pins(lines: list[tuple[int, str]]) -> _Pins:
    pins: _Pins = []
    name = ""
    for number, line in lines:
        if line.strip().startswith("["):
            name = ""
        found = _LOCK_LINE.match(line)
        if found is None:
            continue
        if found["key"] == "name":
            name = found["value"]
        elif name:
            _add(pins, number, f"{name}=={found['value']}")
            name = ""
    return pins


def _poetry_spec(spec: str) -> str:
    """Poetry's ``^1.2`` in the words of PEP 440; other forms as they are."""
    caret = re.fullmatch(r"\^(\d{1,9}(?:\.\d{1,9})*)", spec.strip())
    if caret is not None:
        parts = [int(part) for part in caret[1].split(".")]
        place = next((number for number, part in enumerate(parts) if part), len(parts) - 1)
        upper = [*parts[:place], parts[place] + 1]
        return f">={caret[1]},<{'.'.join(map(str, upper))}"
    tilde = re.fullmatch(r"~(\d+\.\d+.*)", spec.strip())
    if tilde is not None:
        return f"~={tilde[1]}"
    return f"=={spec.strip()}" if re.match(r"\d", spec.strip()) else spec.strip()


def _add(pins: _Pins, number: int, text: str) -> None:
    """Take ``text`` for a pin if it is one: most strings of a project file are not."""
    if _NO_NUMBER.search(text):
        return
    try:
        requirement = Requirement(text)
        if requirement.specifier and not requirement.url:
            pins.append((number, str(canonicalize_name(requirement.name)), SpecifierSet(str(requirement.specifier))))
    except (InvalidRequirement, InvalidSpecifier):
        return
