"""What remains, ranked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.scan.answers.suggestion import suggestions
from harness.scan.evaluation.target import QWEN2_VL

if TYPE_CHECKING:
    from harness.scan.sources.release import Library


def test_what_remains_is_ranked(library: Library) -> None:
    found = suggestions(library, QWEN2_VL)
    assert [str(each.lmdeploy) for each in found] == ["0.9.1", "0.9.0"]
    assert [str(each.version) for each in found[1].versions] == ["4.44.0", "4.43.0", "4.42.0"]
    assert str(found[0].best) == "4.44.0"
