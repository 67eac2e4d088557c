"""The smoke test's image: four quadrants in named, flat colours, drawn the same way by training and by every probe.

Standard library and Pillow only, Python 3.10 syntax: this file also runs inside tested environments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
"""The named colours as sRGB: the corners of the RGB cube, the farthest apart that eight colours can be."""

POSITIONS: tuple[str, ...] = ("top left", "top right", "bottom left", "bottom right")
"""The quadrants in the order in which colours are given."""


def draw_quadrants(colours: Sequence[str], size: int) -> Image:
    """Draw a square RGB image of four flat quadrants.

    Args:
        colours: four names from :data:`PALETTE`, in the order of :data:`POSITIONS`.
        size: edge length in pixels, at least 2; with an odd size the right and bottom quadrants are a pixel larger.

    Raises:
        ValueError: when the number of colours is not four, a name is unknown or the size is too small.
    """
    from PIL import Image as PillowImage

    check_colours(colours)
    if size < 2:  # noqa: PLR2004 - two pixels are the least that four quadrants need
        raise ValueError(f"size of the smoke image is {size}; it must be at least 2 pixels")
    half = size // 2
    corners = ((0, 0, half, half), (half, 0, size, half), (0, half, half, size), (half, half, size, size))
    image = PillowImage.new("RGB", (size, size))
    for name, box in zip(colours, corners):  # noqa: B905 - strict= is covered by check_colours
        image.paste(PALETTE[name], box)
    return image


def check_colours(colours: Sequence[str]) -> None:
    """Refuse anything but four known colour names.

    Raises:
        ValueError: naming the offending colour and the known ones.
    """
    if len(colours) != len(POSITIONS):
        raise ValueError(f"expected {len(POSITIONS)} colours ({', '.join(POSITIONS)}), got {len(colours)}")
    for name in colours:
        if name not in PALETTE:
            raise ValueError(f"unknown colour {name!r}; known: {', '.join(PALETTE)}")


def sentence(colours: Sequence[str]) -> str:
    """The right answer to pass 1: ``top left red, top right blue, bottom left green, bottom right yellow``."""
    check_colours(colours)
    return ", ".join(f"{position} {name}" for position, name in zip(POSITIONS, colours))  # noqa: B905 - as above


def facts(colours: Sequence[str]) -> dict[str, str]:
    """The right answer to pass 2 as a mapping: ``{"top_left": "red", …}``."""
    check_colours(colours)
    return {position.replace(" ", "_"): name for position, name in zip(POSITIONS, colours)}  # noqa: B905 - as above
