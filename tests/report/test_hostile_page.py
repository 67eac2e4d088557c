"""Hostile records in a real headless Chromium: nothing runs, nothing is asked for, no source becomes a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.report import render_html
from harness.report.context import build_context
from tests.report.hostile import hostile, hostile_extras
from tests.report.samples import START

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.report.browser import Sheet

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "index.html"
    path.write_text(render_html(build_context(hostile(), generated=START, extras=hostile_extras())), "utf-8")
    return path


def test_hostile_records_do_nothing(visit: Callable[..., Sheet], hostile_file: Path) -> None:
    sheet = visit("#group=cause", hostile_file)
    playwright_api.expect(sheet.page.locator("#list tbody a")).to_have_count(16)
    names = sheet.page.locator("#list tbody a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    assert len(names) == 16
    for name in names:
        sheet.page.goto(hostile_file.as_uri() + name)
        sheet.page.wait_for_selector("#combination h2")
        for summary in sheet.page.locator("#combination summary").all():
            if summary.is_visible():
                summary.click()
        assert sheet.page.locator("#combination img, #combination script").count() == 0
    assert sheet.page.evaluate("window.hacked") is None
    assert sheet.complaints == []
    assert {url.split("#")[0] for url in sheet.requests if not url.startswith("data:")} == {hostile_file.as_uri()}


def test_hostile_sources_are_no_links(visit: Callable[..., Sheet], hostile_file: Path) -> None:
    page = visit("", hostile_file).page
    playwright_api.expect(page.locator("#list tbody a")).to_have_count(16)
    for name in page.locator("#list tbody a").evaluate_all("links => links.map((link) => link.getAttribute('href'))"):
        page.goto(hostile_file.as_uri() + name)
        assert page.locator("a:not([href^='#'])").count() == 0
