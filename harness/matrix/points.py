"""Which points a matrix has: its axes crossed, its includes, its locks read."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version
from pydantic import ValidationError

from harness.engines import LAUNCHES, Launch
from harness.matrix.deployed import UnreadableLock
from harness.matrix.engine_source import is_source, read_source
from harness.matrix.patterns import Rulebook
from harness.matrix.point import AxisValue, Point
from harness.matrix.problems import suggestion
from harness.matrix.project import FURTHER
from harness.matrix.versions import VersionRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from pydantic import JsonValue

    from harness.matrix.deployed import Deployed, LockReader
    from harness.matrix.models import ModelSpec
    from harness.matrix.point import Place
    from harness.matrix.problems import Problem
    from harness.matrix.schema import Axes, Include, Matrix
    from harness.matrix.versions import Releases

MAX_COMBINATIONS = 20_000
"""More than anybody runs; stops a matrix that multiplies by accident."""


class Points:
    """Which combinations there are."""

    def __init__(
        self, matrix: Matrix, models: Mapping[str, ModelSpec], releases: Releases, locks: LockReader | None
    ) -> None:
        self.problems: list[Problem] = []
        self._locks = locks
        self._matrix = matrix
        self._document = matrix.document
        self._models = models
        self._releases = releases
        self._excludes = Rulebook.of((exclude, exclude) for exclude in matrix.exclude)
        self._count = 0

    def all(self) -> list[Point]:
        """Every point once, in the order of the file."""
        self._check_models_of_rules()
        kept: dict[str, Point] = {}
        for point in self._written():
            first = kept.setdefault(point.id, point)
            if first is point:
                continue
            if first.entry is None and point.entry is not None and self._excludes.about(first):
                kept[point.id] = point  # the axes leave it out, the include wants it
            elif first.rules == point.rules:
                self._refuse_duplicate(first, point)
            elif point.rules == (None, None):
                kept[point.id] = point  # the entry that was written out says more than the rule
        return list(kept.values())

    def _written(self) -> Iterator[Point]:
        matrix = self._matrix
        if matrix.axes is not None:
            yield from self._crossed(matrix.axes, None, matrix.as_of, ("axes",))
        for number, entry in enumerate(matrix.include):
            as_of = entry.as_of if "as_of" in entry.model_fields_set else matrix.as_of
            yield from self._crossed(entry, entry, as_of, ("include", number))

    def _crossed(
        self, axes: Axes | Include, entry: Include | None, as_of: date | None, place: Place
    ) -> Iterator[Point]:
        models = self._known_models(axes.model, (*place, "model"))
        packages = {
            name: self._versions(name, written, as_of, (*place, "packages", name))
            for name, written in axes.packages.items()
        }
        settings = self._settings(axes, entry, place)
        sources = list(itertools.product(axes.cuda or ("",), axes.index or ("",)))
        for python in self._pythons(axes, entry, place):
            deployed = self._deployed(entry, python, as_of, place)
            if entry is not None and entry.lock is not None and deployed is None:
                continue
            lmdeploy = self._engines(axes, deployed, as_of, place)
            transformers = self._axis("transformers", axes.transformers, deployed, as_of, place)
            backends = dict.fromkeys(axes.backend)
            further = [dict(zip(packages, each, strict=True)) for each in itertools.product(*packages.values())]
            lengths = [len(lmdeploy), len(transformers), len(models), len(backends), len(further), len(sources)]
            self._count += math.prod(lengths) * len(settings)
            if self._count > MAX_COMBINATIONS:
                message = f"these make more than {MAX_COMBINATIONS:,} combinations"
                self.problems.append(self._document.problem(place, message, "narrow an axis or a version rule"))
                return
            for engine, library, model, backend, chosen, (cuda, index), told in itertools.product(
                lmdeploy, transformers, models, backends, further, sources, settings
            ):
                yield Point(
                    python, engine, library, backend, model, as_of, entry, place, chosen, cuda, index, told, deployed
                )

    def _pythons(self, axes: Axes | Include, entry: Include | None, place: Place) -> list[str]:
        if axes.python or entry is None or entry.lock is None or self._locks is None:
            return list(dict.fromkeys(axes.python))
        try:
            found = self._locks.python(self._beside(entry.lock))
        except UnreadableLock as error:
            self.problems.append(self._document.problem((*place, "lock"), str(error)))
            return []
        if found is None:
            message = f"nothing beside {entry.lock} says on which Python it runs"
            self.problems.append(self._document.problem((*place, "lock"), message, 'write e.g. `python: "3.11"`'))
        return [found] if found is not None else []

    def _deployed(self, entry: Include | None, python: str, as_of: date | None, place: Place) -> Deployed | None:
        if entry is None or entry.lock is None:
            return None
        try:
            if self._locks is None:
                raise UnreadableLock("a lock is not read here")  # noqa: TRY301 - told like any other
            found = self._locks.read(self._beside(entry.lock), python, entry.groups, entry.extras, as_of)
        except UnreadableLock as error:
            self.problems.append(self._document.problem((*place, "lock"), str(error)))
            return None
        adding = next((name for name in ("requirements", "overrides") if getattr(entry, name)), None)
        if adding is not None and found.complete:
            message = f"{entry.lock} says every package, so nothing can be added to it"
            hint = f"drop `{adding}`, or move a version with `packages`"
            self.problems.append(self._document.problem((*place, adding), message, hint))
        return found

    def _beside(self, name: str) -> Path:
        """A file of the matrix's folder; of the project's, for a matrix in its folder of matrices."""
        folder = Path(self._document.file).absolute().parent
        near = folder / Path(name).expanduser()
        return near if near.exists() or folder.name != FURTHER else folder.parent / name

    def _settings(self, axes: Axes | Include, entry: Include | None, place: Place) -> list[dict[str, JsonValue]]:
        """What the engines are told, one after another; each has to be able to take it."""
        told: list[dict[str, JsonValue]] = [
            dict(zip(axes.engine, each, strict=True)) for each in itertools.product(*axes.engine.values())
        ]
        launch = entry.launch if entry is not None else Launch.LIBRARY
        if axes.engine and not LAUNCHES[launch].tells:
            message = f"an engine that is started by {launch} cannot be told anything"
            self.problems.append(self._document.problem((*place, "engine"), message, "drop `engine`, or the launch"))
        for backend in axes.backend if axes.engine else ():
            configuration = backend.engine.configuration
            if configuration is None:
                message = f"{backend} is no engine of lmdeploy and takes no settings"
                self.problems.append(
                    self._document.problem(
                        (*place, "engine"), message, "write them in an include of the other backends"
                    )
                )
                continue
            try:
                for each in told:
                    configuration.settings("none", each)
            except ValidationError as error:
                wrong = error.errors(include_url=False)[0]
                name = str(wrong["loc"][0])
                known = type(configuration.smoke).model_fields
                hint = suggestion(name, known) if wrong["type"] == "extra_forbidden" else wrong["msg"]
                message = f"{configuration.name} cannot be told {name}={wrong['input']}"
                self.problems.append(self._document.problem((*place, "engine", name), message, hint))
        return told

    def _engines(
        self, axes: Axes | Include, deployed: Deployed | None, as_of: date | None, place: Place
    ) -> list[AxisValue]:
        """Versions of lmdeploy, from wherever they come."""
        texts = tuple(text for text in axes.lmdeploy if not is_source(text))
        asked = bool(texts) or not axes.lmdeploy
        found = self._axis("lmdeploy", texts, deployed, as_of, place) if asked else []
        for number, text in enumerate(axes.lmdeploy):
            if is_source(text):
                try:
                    source = read_source(text, Path(self._document.file).absolute().parent)
                except ValueError as error:
                    self.problems.append(self._document.problem((*place, "lmdeploy", number), str(error)))
                else:
                    found.append(AxisValue(source.version, None, source))
        return found

    def _axis(
        self, package: str, written: tuple[str, ...], deployed: Deployed | None, as_of: date | None, place: Place
    ) -> list[AxisValue]:
        if written or deployed is None:
            return self._versions(package, written, as_of, (*place, package))
        return [AxisValue(Version(deployed.versions[package]), None, moved=False)]

    def _versions(self, package: str, written: tuple[str, ...], as_of: date | None, place: Place) -> list[AxisValue]:
        chosen: dict[Version, AxisValue] = {}
        for number, text in enumerate(written):
            rule = VersionRule.parse(text)
            if rule.exact is not None:
                chosen[rule.exact] = AxisValue(rule.exact, None)
                continue
            known = self._releases.versions(package, as_of)
            found = rule.expand(known)
            for version in found:
                chosen.setdefault(version, AxisValue(version, text))
            if not found:
                when = f" as of {as_of}" if as_of else ""
                hint = f"the newest known release is {known[-1]}" if known else "no release at all is known"
                message = f"no release of {package} matches '{text}'{when}"
                self.problems.append(self._document.problem((*place, number), message, hint))
        return list(chosen.values())

    def _known_models(self, names: tuple[str, ...], place: Place) -> list[str]:
        for number, name in enumerate(names):
            if name not in self._models:
                message = f"there is no model '{name}'"
                self.problems.append(self._document.problem((*place, number), message, suggestion(name, self._models)))
        return [name for name in dict.fromkeys(names) if name in self._models]

    def _check_models_of_rules(self) -> None:
        matrix = self._matrix
        for number, exclude in enumerate(matrix.exclude):
            self._known_models(exclude.model, ("exclude", number, "model"))
        whens = {
            "rules": [rule.when for rule in matrix.rules],
            "expect": [rule.when for rule in matrix.expect],
            "tags": [rule.when for rule in matrix.tags],
        }
        for section, listed in whens.items():
            for number, when in enumerate(listed):
                self._known_models(when.model, (section, number, "when", "model"))

    def _refuse_duplicate(self, first: Point, second: Point) -> None:
        line = self._document.place(first.place)[0]
        message = f"this combination stands already on line {line}: {first.id}"
        self.problems.append(self._document.problem(second.place, message, "remove one, or give one a `label`"))
