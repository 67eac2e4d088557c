"""The smoke image is what its colours say, in the order in which they are given."""

from __future__ import annotations

import pytest

from harness.probes.smoke import image

COLOURS = ("red", "blue", "green", "yellow")


@pytest.mark.parametrize("size", [2, 112, 113])
def test_each_quadrant_has_its_flat_colour(size: int) -> None:
    drawn = image.draw_quadrants(COLOURS, size)
    assert drawn.size == (size, size)
    last, half = size - 1, size // 2
    for colour, corner, inner in zip(
        COLOURS,
        ((0, 0), (last, 0), (0, last), (last, last)),
        ((half - 1, half - 1), (half, half - 1), (half - 1, half), (half, half)),
        strict=True,
    ):
        assert drawn.getpixel(corner) == image.PALETTE[colour]
        assert drawn.getpixel(inner) == image.PALETTE[colour]


def test_answers_name_positions_in_the_order_of_the_colours() -> None:
    assert image.sentence(COLOURS) == "top left red, top right blue, bottom left green, bottom right yellow"
    assert image.facts(COLOURS) == {
        "top_left": "red",
        "top_right": "blue",
        "bottom_left": "green",
        "bottom_right": "yellow",
    }


@pytest.mark.parametrize(
    ("colours", "size", "message"),
    [
        (("red", "blue", "green"), 112, "expected 4 colours"),
        (("red", "blue", "green", "mauve"), 112, "unknown colour 'mauve'; known: red,"),
        (COLOURS, 1, "must be at least 2 pixels"),
    ],
)
def test_bad_requests_say_what_is_wrong(colours: tuple[str, ...], size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image.draw_quadrants(colours, size)
