"""Making the miniatures that a run needs and this machine has not made yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.core.files import write_atomically
from harness.matrix.models import MiniatureWeights
from harness.pipeline.checkpoints import problem_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.matrix.models import ModelSpec
    from harness.session.session import Session


def made_by_a_run(spec: ModelSpec, weights: Path) -> bool:
    """Whether a run makes the model's checkpoint itself, as far as anybody has tried."""
    possible = isinstance(spec.weights, MiniatureWeights) and spec.published_config is not None
    return possible and not problem_file(weights, spec.name).exists()


def make_missing(session: Session, specs: Iterable[ModelSpec]) -> None:
    """Make the miniatures among the models; why one cannot be made is kept for whoever looks for its checkpoint.

    Raises:
        MakerBroken: the process that makes them did not begin.
        UvFailure: an environment for it could not be built.
    """
    wanted = {
        spec.name: (spec.published_config, spec.weights.seed)
        for spec in specs
        if isinstance(spec.weights, MiniatureWeights) and spec.published_config is not None
    }
    if not wanted:
        return
    from harness.miniatures.make import Maker, make_miniatures  # noqa: PLC0415 - most runs have no miniature

    into = session.project.weights
    maker = Maker(session.resolver, session.environments, session.project.scratch)
    problems = make_miniatures(wanted, into, maker)
    for name in wanted:
        file = problem_file(into, name)
        if name in problems:
            write_atomically(file, str(problems[name]))
        else:
            file.unlink(missing_ok=True)
