"""Versions of a matrix that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from harness.matrix import parse_matrix
from harness.matrix.existence import missing_versions
from tests.matrix.samples import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

KNOWN = {"lmdeploy": ["0.11.1", "0.18.0"], "transformers": ["4.57.3", "5.0.0"], "numpy": ["2.4.5", "3.0.0a1"]}


class Known:
    """An index of three packages."""

    def every_version(self, package: str) -> Sequence[Version]:
        """Oldest first."""
        return [Version(each) for each in KNOWN.get(package, [])]


def test_each_is_told_with_its_line_and_the_nearest_that_exist() -> None:
    text = SMALL.replace("4.57.3", "[4.57.3, '99.0', '>=5', latest]")
    text += 'requirements: ["numpy==2.4.4", "numpy==3.0.0a1", "numpy>=99", "numpy==2.*"]\n'
    text += "include:\n  - {python: 3.11, lmdeploy: 0.18.1, transformers: 5.0.0, backend: pytorch, model: canary}\n"
    problems = missing_versions(parse_matrix(text.encode()), Known())
    assert [(each.line, each.key, each.message) for each in problems] == [
        (5, "axes.transformers[1]", "there is no transformers 99.0; the nearest releases are 4.57.3 and 5.0.0"),
        (8, "requirements[0]", "there is no numpy 2.4.4; the nearest release is 2.4.5"),
        (10, "include[0].lmdeploy", "there is no lmdeploy 0.18.1; the nearest releases are 0.11.1 and 0.18.0"),
    ]
