"""What an engine is asked."""

from __future__ import annotations

import pytest

from harness.probes.smoke.question import smoke_image


def test_an_unknown_image_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown smoke image pattern 'stars'"):
        smoke_image({"pattern": "stars", "size": 4, "colours": []})
