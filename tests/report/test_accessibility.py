"""The page for every reader, in a real headless Chromium: any width, on paper, and what axe-core finds.

The accessibility checks need npm and its registry once, and are skipped, with the reason, where they cannot be had.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.report.browser import FAILED, PASSED, UNCLEAN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.report.browser import Sheet

pytestmark = pytest.mark.browser

AXE = "axe-core@4.14.1"


@pytest.mark.parametrize("width", [390, 768, 1280, 2200])
@pytest.mark.parametrize("at", ["", f"#c={FAILED}", f"#c={PASSED}"])
def test_no_width_scrolls_sideways(visit: Callable[..., Sheet], width: int, at: str) -> None:
    page = visit(at, viewport={"width": width, "height": 900}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_prints(visit: Callable[..., Sheet]) -> None:
    page = visit().page
    page.emulate_media(media="print")
    assert page.locator("#filters").is_hidden()
    assert page.pdf().startswith(b"%PDF")


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """The accessibility checker's script, fetched through npm once and kept in pytest's cache."""
    folder = pytestconfig.cache.mkdir("axe-core")
    script = folder / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed, so axe-core cannot be fetched")
        packed = subprocess.run(
            [npm, "pack", AXE, "--pack-destination", str(folder)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if packed.returncode != 0:
            pytest.skip(f"npm could not fetch {AXE}: {packed.stderr.strip()[-200:]}")
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            script.write_bytes(member.read())
    return script.read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "at", ["", "#state=fail&group=cause", f"#c={FAILED}", f"#c={PASSED}&vs={FAILED}", f"#c={UNCLEAN}"]
)
def test_axe_finds_no_violation(visit: Callable[..., Sheet], axe: str, at: str, width: int, scheme: str) -> None:
    demand_clean(visit(at, viewport={"width": width, "height": 900}, color_scheme=scheme).page, axe)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation_in_the_map_of_models(
    visit: Callable[..., Sheet], models_file: Path, axe: str, width: int, scheme: str
) -> None:
    view = {"width": width, "height": 900}
    page = visit("#models", models_file, viewport=view, color_scheme=scheme).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    demand_clean(page, axe)


def demand_clean(page: Page, axe: str) -> None:
    """Everything of the page opened and drawn, axe-core finds nothing in it."""
    page.evaluate("for (const row of document.querySelectorAll('main:not([hidden]) details')) row.open = true")
    page.evaluate("document.styleSheets[0].insertRule('* { content-visibility: visible !important }')")
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    told = [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
    assert not told, "\n".join(told)
