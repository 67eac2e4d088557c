"""The report open in a real headless Chromium: fixtures of the modules that look at it.

Skipped, with the reason, where there is no Chromium (``HARNESS_CHROMIUM`` names one that is not on PATH) or no
playwright.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

from harness.report import write_report
from tests.report.extras import sample_extras
from tests.report.samples import START, story
from tests.report.test_architectures import EXTRAS, RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FAILED = "py3.11-lmdeploy0.11.1-transformers4.38.2-pytorch-canary"
PASSED = "py3.12-lmdeploy0.18.0-transformers5.17.0-pytorch-canary"
UNCLEAN = "py3.12-lmdeploy0.18.0-transformers5.17.0-turbomind-canary"
SUBSTITUTE = "py3.12-lmdeploy0.14.0-transformers5.17.0-turbomind-canary"


class Sheet(NamedTuple):
    """An open page and what it complained of or asked for."""

    page: Page
    complaints: list[str]
    requests: list[str]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("HARNESS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium, or set HARNESS_CHROMIUM")
    with playwright_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(story(), tmp_path_factory.mktemp("report"), sample_extras(), generated=START)


@pytest.fixture(scope="session")
def models_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a map of models."""
    return write_report(RECORDS, tmp_path_factory.mktemp("models"), EXTRAS, generated=START)


@pytest.fixture
def visit(browser: Browser, report_file: Path) -> Iterator[Callable[..., Sheet]]:
    """Open the report, or another file, at a hash; extra keywords go to the browser's context."""
    contexts: list[BrowserContext] = []

    def open_page(at: str = "", file: Path = report_file, **options: object) -> Sheet:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]  # options of playwright's own
        context.set_default_timeout(60_000)  # a busy machine is slow, not wrong
        contexts.append(context)
        sheet = Sheet(context.new_page(), [], [])
        sheet.page.on("console", lambda message: sheet.complaints.append(message.text))
        sheet.page.on("pageerror", lambda error: sheet.complaints.append(str(error)))
        sheet.page.on("request", lambda request: sheet.requests.append(request.url))
        sheet.page.goto(file.as_uri() + at)
        if options.get("java_script_enabled", True):
            sheet.page.wait_for_selector("html[data-ready]")
        return sheet

    yield open_page
    for context in contexts:
        context.close()
