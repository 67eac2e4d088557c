"""A bundle's account of itself: every combination comes out as it went in, and an older one is refused in words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from harness.bundle.manifest import MANIFEST, Manifest, PackedCombination
from harness.cli.bundle_host import HostSession
from harness.core.verdict import Expectation, Stage
from harness.engines import Backend, Launch
from harness.matrix import Combination, Platform, TargetMachine, Timeout
from harness.matrix.project import Project
from harness.session.session import NothingSelected

if TYPE_CHECKING:
    from pathlib import Path

FULL = Combination(
    id="full",
    python="3.12",
    lmdeploy="0.11.1",
    transformers="4.57.3",
    backend=Backend.TURBOMIND,
    model="canary",
    as_of=date(2026, 1, 4),
    launch=Launch.SERVER,
    requirements=("lmdeploy==0.11.1", "transformers==4.57.3"),
    overrides=("pydantic<2",),
    allow_source=("flash-attn",),
    tags=("quick",),
    expect=Expectation.parse("fail/import/version-gate(pydantic)"),
    note="a word",
    excluded="not today",
    timeouts={Stage.BOOT: Timeout(1200, None), Stage.INSTALL: Timeout(None, 30)},
    target=TargetMachine(8.0, Platform.WSL2, ">=550", ">=8.0"),
    written={"transformers": "latest"},
    source="matrix.yaml:12",
)


def test_a_combination_travels_whole() -> None:
    packed = Manifest(
        made=datetime.now(UTC),
        harness="0",
        python="3.12",
        combinations=[PackedCombination(combination=FULL, lock="a" * 16)],
        stacks={},
        models=["canary"],
    )
    (back,) = Manifest.model_validate_json(packed.model_dump_json()).combinations
    assert back.combination == FULL
    assert back.combination.target.compute_capability == ">=8.0"
    assert (back.combination.timeouts, back.combination.written) == (FULL.timeouts, FULL.written)


@pytest.mark.parametrize(
    ("content", "said"),
    [('{"format": 1}', "is of format 1, this harness reads 2; pack and"), ("{}", "unpack the bundle")],
)
def test_another_format_is_refused_in_words(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    session = HostSession(Project(tmp_path / MANIFEST, tmp_path, tmp_path, tmp_path), bundle=tmp_path)
    with pytest.raises(NothingSelected, match=said):
        session.manifest  # noqa: B018 - reads it
