"""Reading bumps from a unified diff of requirement, project and lock files, as Renovate and Dependabot produce them.

Each file is read twice, as the old text and as the new one, and what the two pin differently is the bump. So a lock's
unchanged ``name`` line above a changed ``version`` line is seen, and a line that only moved is no change. What changed
and is not understood is told by file and line: nobody tested it.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from harness.gate.change import AXES, Bump, UnusableChange
from harness.gate.pins import BREAK, COMMANDS, kind_of, without_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from packaging.specifiers import SpecifierSet

    from harness.gate.pins import Kind, Line, PinnedVersion

_HUNK = re.compile(r"@@ -(?P<from>\d{1,9})(?:,(?P<old>\d{1,9}))? \+(?P<start>\d{1,9})(?:,(?P<new>\d{1,9}))? @@")
_FILES = re.compile(r'diff --git "?a/(?P<old>.+?)"? "?b/(?P<new>.+?)"?')
_TALK = frozenset({".md", ".rst", ".ipynb", ".html", ".css", ".js", ".ts", ".svg"})
"""Suffixes of files that install nothing."""
_INSTALLS = re.compile(rf"\b(?:{'|'.join(AXES)})\b.*\d|\bpip3? install\b.*\d", re.IGNORECASE)
"""What a line says of any other file that may install packages."""
_OF_SCRIPT = re.compile(r"""#\s+["']|#\s*dependencies\s*=""")
"""What a script declares in its head (PEP 723)."""
MAX_BYTES = 50_000_000
"""A diff larger than this is no dependency update."""
_WHOLE = 1_000_000
"""Lines of context: whole files, so that a version is never far from its package's name."""
_SHOWN = 120
"""Characters of a line that was not understood."""


@dataclass(slots=True)
class _File:
    """What a diff shows of one file."""

    name: str
    old: list[Line] = field(default_factory=list)
    new: list[Line] = field(default_factory=list)
    removed: list[Line] = field(default_factory=list)
    added: list[Line] = field(default_factory=list)
    came: bool = False
    went: bool = False
    moved: bool = False
    """Renamed, or of another mode."""

    def note_old(self, number: int, line: str, *, changed: bool) -> None:
        """A line as it was."""
        self.old.append((number, line))
        if changed:
            self.removed.append((number, line))

    def note_new(self, number: int, line: str, *, changed: bool) -> None:
        """A line as it is."""
        self.new.append((number, line))
        if changed:
            self.added.append((number, line))

    def skip(self) -> None:
        """Lines are left out here, and what was read above them says nothing of what comes."""
        self.old.append((0, BREAK))
        self.new.append((0, BREAK))


@dataclass(frozen=True, slots=True)
class DiffReading:
    """What a diff says."""

    bumps: tuple[Bump, ...]
    files: tuple[str, ...]
    """Every file it touches, of whatever kind."""
    untested: tuple[str, ...] = ()
    """What changed and is not understood, with its place."""


def read_diff(text: str, known: Collection[str] = AXES) -> DiffReading:
    """The bumps in a unified diff. Where a range and a lock both tell of a package, the lock counts.

    Args:
        text: the diff.
        known: packages that are held somewhere: a variable ``TORCH_VERSION`` means the package only if there is one.

    Raises:
        UnusableChange: the text is not a unified diff.
    """
    files = _files(text)
    if text.strip() and not files:
        raise UnusableChange("this is not a unified diff; give the output of 'git diff', or a revision to compare with")
    found: list[Bump] = []
    untested: list[str] = []
    for file in files.values():
        kind = kind_of(file.name)
        if kind is None:
            untested += _mentions(file)
            continue
        bumps, vague = _read(file, kind, known)
        found += bumps
        untested += vague
    return DiffReading(_settled(found), tuple(files), tuple(dict.fromkeys(untested)))


def diff_since(revision: str, folder: Path) -> str:
    """What the working tree changed since it left ``revision``; the changed files are shown whole.

    Raises:
        UnusableChange: git does not know the revision, or this is no repository.
    """
    # --text: a lock may be marked as binary to keep it out of reviews
    command = ["git", "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--text", f"--unified={_WHOLE}"]
    command += ["--src-prefix=a/", "--dst-prefix=b/", "--merge-base", "--end-of-options", revision, "--"]
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


def _files(text: str) -> dict[str, _File]:  # noqa: C901 - one branch for each kind of line
    """The files, by the counts in the hunks' headers: a removed line ``-- x`` is not taken for a file's name."""
    files: dict[str, _File] = {}
    file, gone = _File(""), ""
    old = new = old_number = number = 0
    for line in text.replace("\r\n", "\n").split("\n"):
        if old > 0 or new > 0:
            sign, rest = line[:1], line[1:]
            if sign == "\\":
                continue
            if sign != "+":
                file.note_old(old_number, rest, changed=sign == "-")
                old, old_number = old - 1, old_number + 1
            if sign != "-":
                file.note_new(number, rest, changed=sign == "+")
                new, number = new - 1, number + 1
            continue
        header, names = _HUNK.match(line), _FILES.fullmatch(line)
        if header is not None:
            old, new = int(header["old"] or 1), int(header["new"] or 1)
            old_number, number = int(header["from"]), int(header["start"])
            file.skip()
        elif names is not None:
            file, gone = files.setdefault(names["new"], _File(names["new"])), ""
        elif line.startswith("--- "):
            gone = _name(line)
        elif line.startswith("+++ "):
            name = _name(line) or gone
            file = files.setdefault(name, _File(name))
            file.came, file.went = not gone, not _name(line)
        elif line.startswith(("rename to ", "new mode ")):
            file.moved = True
    return files


def _name(line: str) -> str:
    """The file that a line ``--- a/…`` or ``+++ b/…`` names; empty: there is none on that side."""
    name = line[4:].split("\t", 1)[0].strip().strip('"')
    return "" if name == "/dev/null" else re.sub(r"^[abciow]/", "", name)


def _read(file: _File, kind: Kind, known: Collection[str]) -> tuple[list[Bump], list[str]]:
    """What a file bumps, and which of its changed lines are not understood."""
    if file.went or file.came:
        return [], [f"{file.name}: {'is gone' if file.went else 'is new'}, so there is nothing to compare it with"]
    if not file.added and not file.removed:
        return [], [] if file.moved else [f"{file.name}: the diff shows none of its lines"]
    old, new = _sure(kind.read(file.old), known), _sure(kind.read(file.new), known)
    moved = [(before, after) for before, after in _moved(old, new) if before is not None or not kind.locked]
    bumps = [Bump(after.package, after.wanted, _before(before), file.name, after.line) for before, after in moved]
    builds = [each for each in bumps if each.of_build]
    other = [_place(each.file, each.line, f"another build: {each}") for each in builds]
    return [each for each in bumps if each not in builds], [*other, *_vague(file, kind, (old, new), known)]


def _sure(pins: Iterable[PinnedVersion], known: Collection[str]) -> list[PinnedVersion]:
    return [each for each in pins if not each.guessed or each.package in known]


def _moved(
    old: Sequence[PinnedVersion], new: Sequence[PinnedVersion]
) -> Iterator[tuple[PinnedVersion | None, PinnedVersion]]:
    """Each pin that is new, with the one that it replaces; a lock may hold a package in several versions."""
    for package in dict.fromkeys(pin.package for pin in new):
        gone = Counter(pin.wanted for pin in old if pin.package == package)
        left: list[PinnedVersion] = []
        for pin in new:
            if pin.package != package:
                continue
            if gone[pin.wanted]:
                gone[pin.wanted] -= 1
            else:
                left.append(pin)
        before = [pin for pin in old if pin.package == package]
        over = [pin for pin in before if gone[pin.wanted] and (gone.subtract([pin.wanted]) is None)]
        for number, pin in enumerate(left):
            yield (over[min(number, len(over) - 1)] if over else None), pin


def _before(pin: PinnedVersion | None) -> str | None:
    return str(pin.wanted).removeprefix("==") if pin is not None else None


def _vague(
    file: _File, kind: Kind, pins: tuple[Sequence[PinnedVersion], Sequence[PinnedVersion]], known: Collection[str]
) -> Iterator[str]:
    """The changed lines of a file that say something of packages and are no pin, each with its place."""
    sides = (file.removed, file.added)
    shapes = [{without_pins(line, known) for _, line in side} for side in sides]
    for side in (1, 0):
        pinned = {pin.line for pin in pins[side]}
        apart = _of_packages_that_came(sides[side], pins[side], pins[1 - side]) if kind.locked else set()
        for number, line in sides[side]:
            if number in apart or kind.silent.match(line) or not kind.loud.match(line):
                continue
            alike = without_pins(line, known) in shapes[1 - side]
            if not (alike if kind is COMMANDS else number in pinned):
                yield _place(file.name, number, line if side else f"was: {line.strip()}")


def _of_packages_that_came(
    lines: Sequence[tuple[int, str]], here: Sequence[PinnedVersion], there: Sequence[PinnedVersion]
) -> set[int]:
    """Lines, behind its version, of a package that only this side of a lock has: where it is from moves nothing."""
    changed, others = {number for number, _ in lines}, {pin.package for pin in there}
    found: set[int] = set()
    for pin in here:
        number = pin.line
        while pin.package not in others and number in changed:
            found.add(number)
            number += 1
            if number in {each.line for each in here}:
                break
    return found


def _mentions(file: _File) -> Iterator[str]:
    """Changed lines of a file of another kind that look as if they installed something."""
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix in _TALK:
        return
    for number, line in file.added:
        if _INSTALLS.search(line) and (suffix != ".py" or _OF_SCRIPT.match(line)):
            yield _place(file.name, number, line)


def _place(file: str, line: int, text: str) -> str:
    return f"{file}:{line}: {text.strip()[:_SHOWN]}"


def _settled(bumps: Sequence[Bump]) -> tuple[Bump, ...]:
    """Each bump once, by package; where a package has exact ones, its ranges say nothing more."""
    exact = {bump.package for bump in bumps if bump.exact is not None}
    kept: dict[tuple[str, SpecifierSet, str | None], Bump] = {}
    for bump in bumps:
        if bump.exact is not None or bump.package not in exact:
            kept.setdefault((bump.package, bump.wanted, bump.before), bump)
    told = {bump.package for bump in kept.values() if bump.before is not None}
    found = [each for each in kept.values() if each.before is not None or each.package not in told]
    return tuple(sorted(found, key=lambda each: each.package))
