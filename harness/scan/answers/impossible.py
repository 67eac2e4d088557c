"""Leaving out what the scan is sure about: combinations whose boot certainly ends early, with the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.matrix import Launch
from harness.scan.answers.findings import Prediction
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.engine import ROOT
from harness.scan.evaluation.outside import PROVIDER
from harness.scan.evaluation.target import target_of
from harness.scan.sources.release import NoSuchRelease

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec
    from harness.scan.evaluation.target import ScanTarget
    from harness.scan.sources.release import Library

_PAIR = {ROOT, PROVIDER}
_NAMES = 3
"""Names told in a reason; ``lmdeploy-harness scan`` tells all."""


def without_impossible(
    combinations: Sequence[Combination],
    models: Mapping[str, ModelSpec],
    library: Library,
    known: Iterable[str] = (),
) -> tuple[Combination, ...]:
    """The same combinations, those excluded that the scan foresees to fail or to be refused.

    A warning excludes nothing, and neither does a prediction about another day's index, about packages that the matrix
    overrides, about a project's own lock, or about another way to start the engine: the scan does not look at those.

    Args:
        combinations: what would run.
        models: the model specs by name.
        library: where the scan reads releases.
        known: ids of combinations that were run before: what was found out is not replaced by a prediction.

    Raises:
        IndexUnavailable: the index cannot be asked.
    """
    scanners: dict[ScanTarget, Scanner] = {}
    ran = frozenset(known)
    left = []
    for each in combinations:
        special = each.as_of is not None or each.overrides or each.lock or each.launch is not Launch.LIBRARY
        if each.excluded is None and not special and each.id not in ran:
            target = _target(each, models[each.model])
            scanner = scanners.setdefault(target, Scanner(library, target))
            left.append(_judged(each, scanner))
        else:
            left.append(each)
    return tuple(left)


def _target(combination: Combination, spec: ModelSpec) -> ScanTarget:
    """The model on the combination's backend and interpreter, with the packages that the matrix adds."""
    base = replace(target_of(spec), backend=str(combination.backend), python=combination.python)
    added = [text for text in combination.requirements if canonicalize_name(Requirement(text).name) not in _PAIR]
    return base.with_imports((), tuple(added))


def _judged(combination: Combination, scanner: Scanner) -> Combination:
    try:
        verdict, names = scanner.verdict(Version(combination.lmdeploy), Version(combination.transformers))
    except NoSuchRelease:
        return combination  # the resolver has the word on it
    if verdict is Prediction.FAIL:
        more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        why = f"foreseen by the scan, not run: it would lack {', '.join(names[:_NAMES])}{more}"
    elif verdict is Prediction.REFUSED:
        why = "foreseen by the scan, not run: the metadata of the two releases refuse each other"
    else:
        return combination
    return replace(combination, excluded=why)
