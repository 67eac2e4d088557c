"""The page in a real headless Chromium: filters, links, copying, comparing, keyboard, and no request."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests import ROOT
from tests.report.browser import FAILED, PASSED, SUBSTITUTE, UNCLEAN, Sheet
from tests.report.samples import START

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.browser


def tally(page: Page) -> str:
    return page.locator("#tally").inner_text()


def text_of(page: Page, selector: str) -> str:
    """The text of the first match, in view or not, on one line."""
    return " ".join((page.locator(selector).first.text_content() or "").split())


def test_it_opens_without_complaint_or_request(visit: Callable[..., Sheet], report_file: Path) -> None:
    sheet = visit()
    sheet.page.goto(report_file.as_uri() + f"#c={FAILED}")
    sheet.page.goto(report_file.as_uri() + f"#c={PASSED}")
    assert sheet.complaints == []
    assert {url.split("#")[0] for url in sheet.requests if not url.startswith("data:")} == {report_file.as_uri()}


def test_filters_narrow_map_list_and_address(visit: Callable[..., Sheet]) -> None:
    page = visit("#matrix").page
    assert tally(page).startswith("All 229 combinations")
    page.select_option("#filter-backend", "turbomind")
    page.fill("#filter-q", "imageskwargs 0.11.1")
    assert tally(page) == "3 of 230 combinations: 3 fail."
    playwright_api.expect(page.locator("#list tbody tr")).to_have_count(3)
    assert page.locator("#maps .facet:visible").count() == 3
    playwright_api.expect(page.locator("#maps .facet:not([hidden]) .map a:not(.out)")).to_have_count(3)
    assert "backend=turbomind" in page.url
    assert "q=imageskwargs" in page.url


def test_an_address_brings_back_the_view(visit: Callable[..., Sheet]) -> None:
    page = visit("#state=fail&model=canary&sort=-transformers&group=backend&q=0.11").page
    assert page.input_value("#filter-state") == "fail"
    assert page.input_value("#filter-q") == "0.11"
    playwright_api.expect(page.locator("#list .group")).to_have_count(3)
    assert page.locator("#list .of-transformers[aria-sort=descending]").count() == 1
    page.click("#reset")
    assert tally(page).startswith("All 229")


def test_root_causes_group_the_list(visit: Callable[..., Sheet]) -> None:
    page = visit("#group=cause&state=fail").page
    assert "BeamSearchScorer was removed from transformers 60" in text_of(page, "#list .group")
    page.locator("#list .group button").first.click()
    playwright_api.expect(page.locator("#list tbody").first.locator("tr")).to_have_count(61)


def test_a_cause_leads_to_its_combinations(visit: Callable[..., Sheet]) -> None:
    page = visit().page
    page.locator("#fails summary").nth(1).click()
    page.get_by_text("Show these 30 combinations").click()
    assert tally(page).startswith("30 of 230")


def test_columns_sort_up_and_down(visit: Callable[..., Sheet]) -> None:
    page = visit("#backend=pytorch").page
    page.locator("[data-sort=seconds]").click()
    first = text_of(page, "#list tbody tr")
    page.locator("[data-sort=seconds]").click()
    assert text_of(page, "#list tbody tr") != first
    assert page.locator(".of-seconds[aria-sort=descending]").count() == 1


def test_the_list_grows_on_demand(visit: Callable[..., Sheet]) -> None:
    page = visit().page
    rows = page.locator("#list tbody tr")
    playwright_api.expect(rows).to_have_count(100)
    page.get_by_role("button", name="Show 129 more").click()
    playwright_api.expect(rows).to_have_count(229)


def test_a_failed_combination_is_told_whole(visit: Callable[..., Sheet]) -> None:
    page = visit(f"#c={FAILED}").page
    text = page.locator("#combination").inner_text()
    for words in ("Fails at import.", "ImagesKwargs is not there yet", "Use transformers 4.42.0", "Reproduce it alone"):
        assert words in text
    assert page.locator(".log .decided").first.inner_text().startswith("ImportError: cannot import name 'ImagesKwargs'")
    assert page.locator(".stages > li").count() == 4
    assert "transformers 4.38.2 → 4.57.3" in text
    assert FAILED in page.title()


def test_a_passed_combination_shows_both_passes(visit: Callable[..., Sheet]) -> None:
    page = visit(f"#c={PASSED}").page
    picture = page.get_by_role("img", name="The image shown: top left red, top right blue")
    assert picture.locator("rect").count() == 4
    text = page.locator("#combination").inner_text()
    assert "What colours are in the four quarters of the picture?" in text
    assert "top left red, top right blue, bottom left green, bottom right yellow" in text
    assert "median of 6" in text
    assert page.locator(".passes .badge").all_text_contents() == ["✓ right", "✓ right"]
    assert "Earlier attempts" in text


def test_the_engine_and_its_memory_are_told(visit: Callable[..., Sheet]) -> None:
    page = visit(f"#c={PASSED}").page
    told = " ".join(page.locator("section[aria-labelledby=engine]").inner_text().split())
    assert "pytorch as asked lmdeploy.pytorch.engine.engine.Engine" in told
    assert "Example GPU, driver 580.10" in told
    assert "6.1 GiB at most: fits 8.0 GiB, 1.9 GiB to spare." in told
    plot = page.get_by_role("img", name="GPU memory over 29.5 s: 6.1 GiB at most, allowed 8.0 GiB")
    assert plot.locator("polyline").count() == 1
    assert plot.locator(".limit").count() == 1
    rows = page.locator(".unlike .diff tbody tr").all_inner_texts()
    assert rows == ["numpy\t2.3.5\t2.2.6", "package-003\t1.1.0\tabsent", "torch\t2.10.0\t2.11.0+cu130"]


def test_what_is_not_clean_or_does_not_fit_says_so(visit: Callable[..., Sheet]) -> None:
    page = visit(f"#c={UNCLEAN}").page
    badges = page.locator("#combination header .badge").all_text_contents()
    assert badges == ["✓ pass", "too large for the target", "not clean"]
    text = page.locator("#combination").inner_text()
    assert "9.2 GiB at most: 1.2 GiB too much for 8.0 GiB." in text
    assert "one process from outside used the card meanwhile" in text
    page.goto(page.url.split("#")[0] + f"#c={SUBSTITUTE}")
    playwright_api.expect(page.locator("#combination")).to_contain_text("not what was asked for")


@pytest.mark.parametrize(
    "view", ["answer", "fails", "changes", "matrix", "gpu", "methods", "scan", "incidents", "gate", "trend", "legend"]
)
def test_every_view_has_an_address(visit: Callable[..., Sheet], view: str) -> None:
    page = visit(f"#{view}").page
    assert page.locator(f"nav.sections a[href='#{view}']").count() == 1
    playwright_api.expect(page.locator(f"#{view} h2").first).to_be_in_viewport()


def test_evidence_links_lead_to_it(visit: Callable[..., Sheet]) -> None:
    page = visit("#incidents").page
    page.get_by_role("link", name="the failure of").first.click()
    playwright_api.expect(page.locator("#combination h2")).to_contain_text("LMDeploy 0.12.3")


def test_the_counts_at_the_top_filter(visit: Callable[..., Sheet]) -> None:
    page = visit().page
    page.get_by_role("link", name="pass: show them", exact=False).first.click()
    playwright_api.expect(page.locator("#tally")).to_contain_text("39 of 230 combinations: 39 pass.")


def test_back_returns_to_the_filtered_matrix(visit: Callable[..., Sheet]) -> None:
    page = visit("#state=fail&backend=pytorch").page
    page.locator("#list tbody a").first.click()
    page.wait_for_selector("#combination h2")
    page.get_by_role("link", name="Back to the matrix").click()
    playwright_api.expect(page.locator("#overview")).to_be_visible()
    assert page.input_value("#filter-state") == "fail"
    page.go_back()
    page.wait_for_selector("#combination:not([hidden])")
    page.go_back()
    assert tally(page).endswith("fail.")


def test_next_walks_the_filtered_list(visit: Callable[..., Sheet]) -> None:
    page = visit("#state=pass&backend=pytorch&at=matrix").page
    page.locator("#list tbody a").first.click()
    assert "1 of 1" in page.locator(".steps").inner_text()


def test_stacks_compare_with_any_other(visit: Callable[..., Sheet]) -> None:
    page = visit(f"#c={FAILED}").page
    page.fill("#against", PASSED)
    rows = page.locator(".diff tbody tr").all_inner_texts()
    assert "transformers\t4.38.2\t5.17.0" in rows
    assert "vs=" in page.url
    shared = visit(page.url[page.url.index("#") :]).page
    assert shared.locator(".diff tbody tr").all_inner_texts() == rows


def test_an_unknown_combination_says_so(visit: Callable[..., Sheet]) -> None:
    page = visit("#c=nothing").page
    assert "This report has no combination nothing." in page.locator("#combination").inner_text()


def test_copies_arrive(visit: Callable[..., Sheet]) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"]).page
    read = "navigator.clipboard.readText()"
    page.get_by_role("button", name="Copy: Launch the server").first.click()
    assert "lmdeploy serve api_server Qwen/Qwen2-VL-2B-Instruct --backend pytorch" in page.evaluate(read)
    page.goto(page.url + f"#c={FAILED}")
    page.get_by_role("button", name="Copy requirements.txt").click()
    assert "transformers==4.38.2\n" in page.evaluate(read)
    page.get_by_role("button", name="Copy bug report").click()
    report = page.evaluate(read)
    for heading in (
        "[Bug] ImportError",
        "### Checklist",
        "### Describe the bug",
        "### Reproduction",
        "### Environment",
    ):
        assert heading in report
    assert "lmdeploy: 0.11.1" in report
    assert "gemma3_vl.py" in report.partition("### Error traceback")[2]


def test_the_keyboard_reaches_everything(visit: Callable[..., Sheet]) -> None:
    page = visit("#matrix").page
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter-q"
    first = page.locator("#maps .map a").first
    first.focus()
    assert "transformers 4.38.2" in page.locator("#hint").inner_text()
    page.keyboard.press("ArrowRight")
    assert "transformers 4.57.3" in page.locator("#hint").inner_text()
    page.keyboard.press("ArrowDown")
    assert "LMDeploy 0.16.0" in page.locator("#hint").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#hint").is_hidden()
    page.keyboard.press("Enter")
    page.wait_for_selector("#combination h2")
    assert page.evaluate("document.activeElement.id") == "combination"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Back to the matrix"


def test_the_scan_s_reasons_are_told_on_focus(visit: Callable[..., Sheet]) -> None:
    page = visit("#scan").page
    cells = page.locator("#scan .map button")
    assert page.locator("#scan .map button[tabindex='0']").count() == 1
    cells.first.focus()
    assert "predicted fail, measured fail" in page.locator("#hint").inner_text()
    assert "transformers.processing_utils.ImagesKwargs" in page.locator("#hint").inner_text()
    page.keyboard.press("ArrowRight")
    assert "transformers 4.57.3: predicted pass, measured pass" in page.locator("#hint").inner_text()


def test_one_cell_of_a_map_is_in_the_tab_order(visit: Callable[..., Sheet]) -> None:
    page = visit("#maps").page
    page.locator("#maps .facet").first.scroll_into_view_if_needed()
    assert page.locator("#maps .facet").first.locator(".map a:not([tabindex='-1'])").count() == 1


def test_the_reader_s_theme_wins_and_stays(visit: Callable[..., Sheet]) -> None:
    page = visit(color_scheme="light").page
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    page.get_by_role("button", name="Auto").click()
    assert page.evaluate(background) == light


def test_without_scripts_the_core_is_there(visit: Callable[..., Sheet]) -> None:
    page = visit(java_script_enabled=False).page
    text = page.locator("body").inner_text()
    assert "this stack" in text
    assert "the same facts are in report.json" in text
    assert page.locator("#maps .map a").count() == 230
    assert page.locator("#filters").is_hidden()
    page.locator("#maps .map a").first.click()
    assert (
        page.locator(":target").inner_text() == "py3.11-lmdeploy0.18.0-transformers4.38.2-pytorch-qwen2-vl-2b-instruct"
    )


@pytest.mark.parametrize("file", [None, ROOT / "reports" / "reference" / "index.html"], ids=["sample", "reference"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1400])
def test_thirty_seconds_from_the_page_to_the_command_and_its_evidence(
    visit: Callable[..., Sheet], report_file: Path, width: int, scheme: str, file: Path | None
) -> None:
    may = ["clipboard-read", "clipboard-write"]
    window = {"width": width, "height": 900}
    page = visit("#answer", file or report_file, permissions=may, viewport=window, color_scheme=scheme).page
    answer = page.locator("#answer")
    for words in ("Shown.", "Not shown.", "Why this one:"):
        playwright_api.expect(answer).to_contain_text(words)
    answer.get_by_role("button", name="Copy: Install").first.click()
    assert "uv pip " in page.evaluate("navigator.clipboard.readText()")  # sync where there is a lock
    answer.get_by_role("link", name="Evidence").first.click()
    playwright_api.expect(page.locator("#combination h3").first).to_contain_text("The stages")


def test_combinations_are_told_apart_by_day_and_start_and_found_by_stack(visit: Callable[..., Sheet]) -> None:
    page = visit("#at=combinations").page
    lock = page.evaluate("location.hash = document.querySelector('#answer a[href^=\"#lock=\"]').getAttribute('href')")
    playwright_api.expect(page.locator("#tally")).to_contain_text("of 230 combinations")
    assert lock.startswith("#lock=")
    page.goto(page.url.split("#")[0] + "#level=stand-in served&at=combinations")
    assert page.input_value("#filter-level") == "stand-in served"


def test_a_miniature_s_maps_are_folded_and_found_by_a_filter(visit: Callable[..., Sheet], models_file: Path) -> None:
    page = visit("#matrix", models_file).page
    assert page.locator("#tiny-maps").get_attribute("open") is None
    page.goto(models_file.as_uri() + "#model=qwen3&at=matrix")
    playwright_api.expect(page.locator("#tiny-maps .facet")).to_be_visible()
    cells = page.locator("table.architectures td a")
    cells.first.focus()
    assert "pytorch, emulated, 0.18.0" in page.locator("#hint").inner_text()
    page.keyboard.press("ArrowRight")
    assert cells.nth(1).evaluate("(cell) => cell === document.activeElement")


def test_a_page_that_grew_old_says_so(visit: Callable[..., Sheet]) -> None:
    page = visit().page
    assert page.locator("#old-evidence").is_hidden()
    page.clock.set_system_time(START + timedelta(days=80))
    page.reload()
    told = page.locator("#old-evidence").inner_text()
    assert re.search(r"this machine: (79|80) days, of 2026-11-2\d", told)
