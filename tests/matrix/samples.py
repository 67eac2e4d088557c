"""A small matrix, made-up releases and model specs for the tests of the matrix."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.matrix import Matrix, MatrixError, expand, parse_matrix
from harness.matrix.models import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.matrix import Combination

SMALL = """\
version: 1
axes:
  python: 3.10
  lmdeploy: [0.11.1, 0.18.0]
  transformers: 4.57.3
  backend: [pytorch, transformers]
  model: canary
"""


@dataclass
class FakeReleases:
    """Releases with the day each appeared, and a list of what was asked."""

    known: dict[str, dict[str, date]] = field(
        default_factory=lambda: {
            "lmdeploy": {"0.16.0": date(2026, 8, 19), "0.17.0": date(2026, 9, 2), "0.18.0": date(2026, 9, 28)},
            "transformers": {
                "4.57.2": date(2025, 11, 1),
                "4.57.3": date(2025, 11, 25),
                "5.0.0rc1": date(2025, 12, 1),
                "5.0.0": date(2026, 1, 26),
                "5.17.0": date(2026, 9, 9),
                "5.23.0": date(2026, 11, 13),
            },
        }
    )
    asked: list[tuple[str, date | None]] = field(default_factory=list)

    def versions(self, package: str, as_of: date | None) -> Sequence[Version]:
        """What is known as of that day, and note the question."""
        self.asked.append((package, as_of))
        return [Version(text) for text, day in self.known[package].items() if as_of is None or day <= as_of]


def make_spec(name: str, **changes: object) -> ModelSpec:
    smoke = {
        "image": {"pattern": "quadrants", "size": 112, "colours": ["red", "blue", "green", "yellow"]},
        "see": {"prompt": "What?", "max_new_tokens": 8, "judge": "contains", "expected": "red"},
        "structure": {"prompt": "{answer}", "max_new_tokens": 8, "judge": "json", "expected": {"top_left": "red"}},
    }
    spec: dict[str, object] = {
        "name": name,
        "title": name,
        "architecture": "Qwen2VLForConditionalGeneration",
        "model_type": "qwen2_vl",
        "quantisation": "none",
        "weights": {"kind": "canary", "folder": name},
        "licence": "Apache-2.0",
        "memory": {"weights_gib": 0.01, "gpu_gib": 2},
        "smoke": smoke,
        "sources": ["made up for a test"],
    }
    return ModelSpec.model_validate(spec | changes)


MODELS: Mapping[str, ModelSpec] = {
    "canary": make_spec("canary", engine_packages=[{"package": "qwen-vl-utils", "lmdeploy": "<0.16"}]),
    "old": make_spec("old", packages=["einops"], allow_source=["transformers_stream_generator"]),
}


def parsed(text: str) -> Matrix:
    return parse_matrix(text.encode(), "m.yaml")


def expanded(text: str, releases: FakeReleases | None = None) -> tuple[Combination, ...]:
    return expand(parsed(text), MODELS, releases or FakeReleases())


def problems_of(text: str) -> list[str]:
    """Every problem of a matrix, as ``line:column key: message | hint``."""
    with pytest.raises(MatrixError) as caught:
        expanded(text)
    assert {problem.file for problem in caught.value.problems} == {"m.yaml"}
    return [f"{p.line}:{p.column} {p.key}: {p.message} | {p.hint}" for p in caught.value.problems]
