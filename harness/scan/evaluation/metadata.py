"""What the metadata says about a pair: what a resolver makes of it, and what the engine itself warns about."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.tags import cpython_tags
from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.environments.lock import LINUX_PLATFORMS
from harness.scan.evaluation.engine import ROOT, Place
from harness.scan.evaluation.outside import PROVIDER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement

    from harness.scan.sources.release import Library, Release

_CHECKS = (f"{ROOT}.pytorch.check_env.transformers", f"{ROOT}.pytorch.check_env")
_LOWEST, _HIGHEST, _RANGE = "MIN_TRANSFORMERS_VERSION", "MAX_TRANSFORMERS_VERSION", "TRANSFORMERS_VERSION_SPEC"
_TORCH, _TORCHVISION = "torch", "torchvision"
_CUDA_PACKAGES = ("nvidia-cuda-runtime", "cuda-toolkit", "cuda-bindings")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Requirements that no version satisfies together."""

    package: str
    requirements: tuple[str, ...]
    """Each as ``who requires what``."""

    def __str__(self) -> str:
        return f"no {self.package} satisfies: {'; '.join(self.requirements)}"


@dataclass(frozen=True, slots=True)
class WarnedRange:
    """The versions of transformers that the engine does not warn about."""

    specifier: SpecifierSet
    place: Place

    def contains(self, version: Version) -> bool:
        """Whether the engine stays silent."""
        return self.specifier.contains(version, prereleases=True)


@dataclass(frozen=True, slots=True)
class TorchPin:
    """What the engine declares about torch, and the newest release that fits."""

    requirement: str
    newest: Version | None
    cuda: str | None
    """CUDA runtime that the newest fitting torch is built for; None when its metadata does not say."""


def marker_environment(python: str) -> dict[str, str]:
    """What environment markers are evaluated against: this Python on 64-bit Linux."""
    return {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python if python.count(".") > 1 else f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def applying(requirements: Iterable[Requirement], python: str) -> list[Requirement]:
    """The requirements whose markers hold on this Python."""
    environment = marker_environment(python)
    return [r for r in requirements if r.marker is None or r.marker.evaluate(environment)]


class Metadata:
    """What a resolver makes of pairs, on one Python; what was read of releases is kept for the next pair.

    Told from the two releases' own metadata: ranges on each other, on this Python, and on packages both need. What
    those packages require in turn is left to the resolver, which has nearly always an older one to fall back on.
    """

    def __init__(self, library: Library, python: str) -> None:
        self._library = library
        self._python = python
        self._known: dict[Release, dict[str, SpecifierSet]] = {}
        self._shared: dict[tuple[str, SpecifierSet, SpecifierSet], bool] = {}
        self._pythons: dict[Release, tuple[Conflict, ...]] = {}

    def conflicts(self, engine: Release, provider: Release) -> list[Conflict]:
        """Why a resolver refuses the pair; none when it accepts it.

        Raises:
            IndexUnavailable: metadata or a package's versions cannot be fetched.
        """
        found = [*self._on_python(engine), *self._on_python(provider)]
        ours, theirs = self._ranges(engine), self._ranges(provider)
        own = ours.get(PROVIDER)
        if own is not None and not own.contains(provider.version, prereleases=True):
            found.append(Conflict(PROVIDER, (f"{engine} requires {PROVIDER}{own}", f"asked for {provider.version}")))
        for package in sorted(ours.keys() & theirs.keys()):
            if str(ours[package]) and str(theirs[package]) and not self._satisfiable(package, ours, theirs):
                texts = (f"{who} requires {package}{of[package]}" for who, of in ((engine, ours), (provider, theirs)))
                found.append(Conflict(package, tuple(texts)))
        return found

    def _ranges(self, release: Release) -> dict[str, SpecifierSet]:
        if release not in self._known:
            self._known[release] = ranges_of(applying(release.requirements, self._python))
        return self._known[release]

    def _satisfiable(self, package: str, ours: Mapping[str, SpecifierSet], theirs: Mapping[str, SpecifierSet]) -> bool:
        key = (package, ours[package], theirs[package])
        if key not in self._shared:
            both = key[1] & key[2]
            self._shared[key] = any(both.contains(version) for version in self._library.versions(package))
        return self._shared[key]

    def _on_python(self, release: Release) -> tuple[Conflict, ...]:
        if release not in self._pythons:
            self._pythons[release] = tuple(_on_python(self._library, release, self._python))
        return self._pythons[release]


def wheel_pythons(library: Library, package: str, version: Version) -> list[str]:
    """The interpreters a release has wheels for, as tags: ``cp310``, ``py3``."""
    files = library.index.files(package, version)
    return sorted({tag.split("-")[0] for file in files for tag in file.tags}, key=_tag_order)


def warned_range(engine: Release) -> WarnedRange | None:
    """The range of transformers that the engine's own check accepts without a warning."""
    for module in _CHECKS:
        if module in engine.modules:
            constants = {name: (text, line) for name, text, line in _constants(engine.tree(module))}
            specifier = _range_of(constants)
            if specifier is not None:
                line = min(line for name, (_, line) in constants.items() if name in {_LOWEST, _HIGHEST, _RANGE})
                return WarnedRange(specifier, Place(module, engine.path_of(module), line))
    return None


def newest_torch(library: Library, engine: Release, python: str) -> tuple[str, Version | None]:
    """What the engine requires of torch, and the newest release that fits it and what else it requires.

    A torch release asks for one triton, and a torchvision release for one torch, so the engine's ranges on those decide
    too.

    Raises:
        IndexUnavailable: torch's versions or metadata cannot be fetched.
    """
    ranges = ranges_of(applying(engine.requirements, python))
    wanted = [r for r in applying(engine.requirements, python) if canonicalize_name(r.name) == _TORCH]
    if not wanted:
        return "", None
    newest_first = reversed([v for v in library.versions(_TORCH) if ranges[_TORCH].contains(v)])
    newest = next((v for v in newest_first if _fits(library, v, ranges, python)), None)
    return str(wanted[0]), newest


def torch_release(library: Library, version: Version, python: str, package: str = "torch") -> Release:
    """A release of torch as an installer on 64-bit Linux takes it; other platforms' wheels require less.

    Raises:
        NoSuchRelease: the index does not have it.
        IndexUnavailable: the index cannot be asked.
    """
    major, minor = (int(part) for part in python.split(".")[:2])
    return library.release(package, version, [*cpython_tags((major, minor), platforms=LINUX_PLATFORMS)])


def _fits(library: Library, torch: Version, ranges: Mapping[str, SpecifierSet], python: str) -> bool:
    """Whether a torch release can be installed beside what else is required."""
    theirs = ranges_of(applying(torch_release(library, torch, python).requirements, python))
    for package in ranges.keys() & theirs.keys():
        both = ranges[package] & theirs[package]
        if str(ranges[package]) and not any(both.contains(v) for v in library.versions(package)):
            return False
    vision = ranges.get(_TORCHVISION)
    if vision is None or not str(vision):
        return True
    candidates = reversed([v for v in library.versions(_TORCHVISION) if vision.contains(v)])
    for version in candidates:
        needed = ranges_of(applying(torch_release(library, version, python, _TORCHVISION).requirements, python))
        pin = needed.get(_TORCH, SpecifierSet())
        if pin.contains(torch):
            return True
        if all(_below(part, torch) for part in pin):
            return False  # older ones ask for still older torches
    return False


def _below(part: Specifier, torch: Version) -> bool:
    return part.operator == "==" and Version(part.version.removesuffix(".*")) < torch


def torch_pin(library: Library, engine: Release, python: str) -> TorchPin:
    """What the engine declares about torch, with the CUDA of the newest release that fits.

    Raises:
        IndexUnavailable: torch's metadata cannot be fetched.
    """
    requirement, newest = newest_torch(library, engine, python)
    if newest is None:
        return TorchPin(requirement, None, None)
    return TorchPin(requirement, newest, _cuda_of(torch_release(library, newest, python).requirements))


def _cuda_of(requirements: Sequence[Requirement]) -> str | None:
    for prefix in _CUDA_PACKAGES:
        for requirement in requirements:
            if canonicalize_name(requirement.name).startswith(prefix):
                versions = [part.version for part in requirement.specifier if part.operator in {"==", "~=", ">="}]
                if versions:
                    return ".".join(versions[0].split(".")[:2])
    return None


def _on_python(library: Library, release: Release, python: str) -> Iterator[Conflict]:
    asked = f"asked for {python}"
    range_ = release.requires_python
    if range_ and not _contains(range_, python):
        yield Conflict("python", (f"{release} requires Python {range_}", asked))
    tags = wheel_pythons(library, release.package, release.version)
    own = f"cp{''.join(python.split('.')[:2])}"
    if tags and not {own, "py3", "py2"} & set(tags):
        yield Conflict("python", (f"{release} has wheels for {', '.join(tags)} only", asked))


def _contains(range_: str, python: str) -> bool:
    try:
        return SpecifierSet(range_).contains(python if python.count(".") > 1 else f"{python}.99")
    except InvalidSpecifier:
        return True  # written before the standard was; installers ignore it


def ranges_of(requirements: Iterable[Requirement]) -> dict[str, SpecifierSet]:
    """The range that requirements leave of each package, by normalised name."""
    found: dict[str, SpecifierSet] = {}
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        found[name] = found.get(name, SpecifierSet()) & requirement.specifier
    return found


def _range_of(constants: Mapping[str, tuple[str, int]]) -> SpecifierSet | None:
    if _RANGE in constants:
        return SpecifierSet(constants[_RANGE][0])
    parts = []
    if _LOWEST in constants:
        parts.append(f">={constants[_LOWEST][0]}")
    if _HIGHEST in constants:
        parts.append(f"<={constants[_HIGHEST][0]}")
    return SpecifierSet(",".join(parts)) if parts else None


def _constants(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text, node.lineno


def _tag_order(tag: str) -> tuple[str, int]:
    digits = "".join(character for character in tag if character.isdigit())
    return tag.rstrip("0123456789"), int(digits[1:] or 0)
