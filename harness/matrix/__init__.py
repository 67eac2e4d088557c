"""The matrix: which combinations are tested, read from matrix.yaml and expanded.

The way through: :mod:`schema` says what may stand in a matrix and :mod:`models` what in a model's spec; :mod:`load` and
:mod:`model_files` read such files (:mod:`document`), :mod:`validation` words what is wrong with one. :mod:`points`
crosses the axes, knows which model a name means and refuses what stands twice, :mod:`patterns` applies the rules, and
:mod:`expand` makes each :mod:`combination`. In code::

    models = load_models(folder)                      # harness.matrix.model_files
    combinations = expand(load_matrix(path), models, PackageIndex(cache, ttl))

Imports only ``core`` and ``engines``.
"""

from __future__ import annotations

from harness.engines import Backend, Launch
from harness.matrix.combination import Combination, TargetMachine, Timeout
from harness.matrix.expand import expand
from harness.matrix.load import load_matrix, parse_matrix
from harness.matrix.problems import MatrixError, Problem
from harness.matrix.schema import Matrix, Platform, json_schema
from harness.matrix.versions import Releases

__all__ = [
    "Backend",
    "Combination",
    "Launch",
    "Matrix",
    "MatrixError",
    "Platform",
    "Problem",
    "Releases",
    "TargetMachine",
    "Timeout",
    "expand",
    "json_schema",
    "load_matrix",
    "parse_matrix",
]
