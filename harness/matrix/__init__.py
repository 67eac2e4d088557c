"""The matrix: which combinations are tested, read from matrix.yaml and expanded.

The usual way through::

    models = load_models(folder)                      # harness.matrix.models
    combinations = expand(load_matrix(path), models, PackageIndex(cache, ttl))
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
