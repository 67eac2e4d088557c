"""Make the README's pictures from the reference reports: ``python docs/images/make.py``, with playwright and Chromium.

A picture whose report, or whose part of it, is not there is left as it is, and said so.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent.parent / "reports" / "reference"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
WIDTH = 1180
TALLEST = 1000
"""Pixels: what is below is cut off."""


class Picture(NamedTuple):
    """One file, and what is on it."""

    name: str
    report: str
    at: str
    """The hash to open."""
    parts: tuple[str, ...]
    """From the top of the first to the end of the last, as far as the picture goes."""
    dark: bool = False


ENGINE = ("[aria-labelledby=engine]", "[aria-labelledby=passes]")
FAILURE = ("#combination",)
PICTURES = (
    Picture("report-answer", "cpu", "", (".top", "#answer")),
    Picture("report-matrix", "cpu", "#matrix", ("#matrix",)),
    Picture("report-incidents", "cpu", "#incidents", ("#incidents",)),
    Picture(
        "report-failure", "cpu", "#state=fail&q=import%20canary%20pytorch&at=combinations", ("#combination",), dark=True
    ),
    Picture("report-gpu", "gpu", "#gpu", ("#gpu", "#methods")),
    Picture("report-passes", "gpu", "#state=pass&backend=pytorch&at=combinations", ENGINE),
)


def main() -> int:
    """Make what can be made; 0 when that was everything."""
    path = os.environ.get("HARNESS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        sys.exit("no Chromium on PATH: apt-get install chromium, or set HARNESS_CHROMIUM")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        missing = [picture.name for picture in PICTURES if not made(browser, picture)]
        browser.close()
    return 1 if missing else 0


def made(browser: Browser, picture: Picture) -> bool:
    """Whether the picture was made; prints which, or why not."""
    file = REFERENCE / picture.report / "index.html"
    if not file.exists():
        print(f"{picture.name}: left as it is, {file} is not there")
        return False
    scheme: Literal["dark", "light"] = "dark" if picture.dark else "light"
    page = browser.new_page(viewport={"width": WIDTH, "height": TALLEST}, color_scheme=scheme)
    page.goto(file.as_uri() + picture.at)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(500)
    if picture.at.endswith("at=combinations"):
        first = page.locator("#list tbody a").first
        if first.count() == 0:
            print(f"{picture.name}: left as it is, nothing matches {picture.at}")
            return False
        first.click()
        page.wait_for_selector("#combination h2")
    told = [page.locator(part) for part in picture.parts]
    if not all(part.count() for part in told):
        print(f"{picture.name}: left as it is, the report has no {' or no '.join(picture.parts)}")
        return False
    shoot(page, told, HERE / f"{picture.name}.png")
    page.close()
    return True


def shoot(page: Page, parts: list[Locator], file: Path) -> None:
    """The page from the first part to the last, without what sticks to its top."""
    page.evaluate("document.querySelector('nav.sections').hidden = true")
    boxes = [box for part in parts if (box := part.bounding_box()) is not None]
    top = boxes[0]["y"] + page.evaluate("scrollY")
    height = min(TALLEST, boxes[-1]["y"] + boxes[-1]["height"] - boxes[0]["y"] + 12)
    page.screenshot(path=file, full_page=True, clip={"x": 0, "y": top, "width": WIDTH, "height": height})
    print(f"{file.name}: {WIDTH} by {height:.0f}")


if __name__ == "__main__":
    raise SystemExit(main())
