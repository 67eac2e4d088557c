"""The page as a file: self-contained, inert, readable without scripts, bounded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from jinja2 import UndefinedError

from harness.report import build_context, pack, render, render_html, write_report
from harness.report.render import HEAD_SCRIPT, HERE, SCRIPTS, STYLES
from tests.report.columns import decoded
from tests.report.extras import sample_extras
from tests.report.hostile import ATTACKS, hostile, hostile_extras
from tests.report.samples import START, grid, story

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report import ReportContext


KNOWN_TAGS = {
    *("a", "article", "aside", "body", "br", "button", "code", "dd", "details", "div", "dl", "dt", "em", "footer"),
    *("form", "h1", "h2", "h3", "h4", "head", "header", "html", "i", "kbd", "li", "link", "main", "meta", "nav"),
    *("noscript", "p", "pre", "rect", "script", "section", "span", "strong", "style", "summary", "sup", "svg", "table"),
    *("tbody", "td", "th", "thead", "title", "tr", "ul"),
}


class Page(HTMLParser):
    """What a browser would make of the file: its elements with attributes, and the text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        """An element ends."""
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        """Text, of the page or of a script or style."""
        if self._inside:
            self.raw[self._inside][-1] += data
        else:
            self.words.append(data)

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute."""
        return [value for _, attributes in self.elements if (value := attributes.get(attribute)) is not None]


@pytest.fixture(scope="module")
def context() -> ReportContext:
    return build_context(story(), generated=START, extras=sample_extras())


@pytest.fixture(scope="module")
def page(context: ReportContext) -> Page:
    return Page(render_html(context))


@pytest.fixture(scope="module")
def hostile_text() -> str:
    return render_html(build_context(hostile(), generated=START, extras=hostile_extras()))


def data_of(page: Page) -> object:
    encoding = next(attributes["data-encoding"] for tag, attributes in page.elements if attributes.get("id") == "data")
    text = page.raw["script"][1]
    return json.loads(zlib.decompress(base64.b64decode(text), -15) if encoding == "deflate-raw" else text)


def test_every_asset_is_in_the_page() -> None:
    shipped = {path.name for path in (HERE / "assets").iterdir()}
    assert shipped == {HEAD_SCRIPT, *STYLES, *SCRIPTS}


def test_rendering_is_deterministic(context: ReportContext) -> None:
    assert render_html(context) == render_html(context)


def test_nothing_is_fetched(page: Page) -> None:
    assert page.values("src") == []
    links = [attributes["href"] for tag, attributes in page.elements if tag == "link"]
    assert links == ["data:,"]
    assert all(
        value.startswith("#") for tag, attributes in page.elements if tag == "a" and (value := attributes["href"])
    )
    assert not re.search(r"@import|url\(", page.raw["style"][0])


def test_the_policy_allows_these_scripts_and_styles_and_nothing_else(page: Page) -> None:
    policy = next(attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes)
    assert policy is not None
    inert = page.raw["script"].pop(1)
    assert inert
    for kind in ("script", "style"):
        digests = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.raw[kind]}
        allowed = set(re.findall(r"sha256-([\w+/=]+)", policy.partition(f"{kind}-src")[2].partition(";")[0]))
        assert allowed == digests
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    page.raw["script"].insert(1, inert)


def test_no_attack_becomes_markup(hostile_text: str) -> None:
    page = Page(hostile_text)
    assert len(page.raw["script"]) == 3
    assert {tag for tag, _ in page.elements} <= KNOWN_TAGS
    attributes = {name for _, attributes in page.elements for name in attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert all(value.startswith("#") for tag, held in page.elements if tag == "a" and (value := held["href"]))
    assert "49" not in "".join(word for word in page.words if "7 * 7" in word)


def test_attacks_are_shown_not_swallowed(hostile_text: str) -> None:
    words = "".join(Page(hostile_text).words)
    assert "<script>window.hacked = 1</script>" in words
    assert "⟨U+202E⟩" in words
    assert "⟨U+D800⟩" in words


def test_no_hidden_character_is_in_the_file(hostile_text: str) -> None:
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", hostile_text
    )
    hostile_text.encode("utf-8")


def test_the_hostile_page_is_bounded(hostile_text: str) -> None:
    assert len(hostile_text) < 3_000_000


def test_the_data_cannot_end_its_element(hostile_text: str) -> None:
    text = Page(hostile_text).raw["script"][1]
    assert "<" not in text
    assert isinstance(data_of(Page(hostile_text)), dict)


def test_inert_json_means_the_same() -> None:
    for attack in ATTACKS:
        text = json.dumps({"key": attack})
        assert json.loads(pack.inert(text)) == json.loads(text)


def test_the_data_is_the_same_compressed(context: ReportContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "PLAIN_LIMIT", 10**9)
    plain = pack.page_data(context)
    monkeypatch.setattr(pack, "PLAIN_LIMIT", 0)
    packed = pack.page_data(context)
    assert (plain.encoding, packed.encoding) == ("json", "deflate-raw")
    assert json.loads(plain.text) == json.loads(zlib.decompress(base64.b64decode(packed.text), -15))
    assert len(packed.text) < len(plain.text) / 4


def test_logs_give_way_before_the_page_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    context = build_context(list(grid(60, filler=3)), generated=START)
    whole = pack.page_data(context)
    monkeypatch.setattr(pack, "LOG_BUDGET", 5_000)
    short = pack.page_data(context)
    assert len(short.text) < len(whole.text)
    logs = [check["log"] for check in decoded(json.loads(short.text)["checks"]) if check["log"]]
    deciding = [log["lines"][log["deciding"]] for log in logs if log["deciding"] is not None]
    assert deciding, "the deciding line stays whatever is cut"
    assert all("ImportError" in line for line in deciding)


def test_every_cell_leads_to_its_combination_without_scripts(context: ReportContext) -> None:
    text = render_html(context)
    assert text.count("<noscript>") == 1
    ids = {html.unescape(found) for found in re.findall(r'<li id="(c=[^"]*)"', text)}
    cells = re.findall(r'<a href="#(c=[^"]*)" class="s-', text)
    assert len(cells) == len(context.combinations)
    assert {unquote(cell) for cell in cells} == ids


def test_the_answer_stands_in_the_page_itself(page: Page) -> None:
    words = " ".join("".join(page.words).split())
    assert "Use this stack" in words or "Try this stack" in words
    assert "Not shown. By no machine:" in words
    assert "lmdeploy serve api_server Qwen/Qwen2-VL-2B-Instruct --backend pytorch" in words


def test_synthetic_records_are_announced(page: Page) -> None:
    assert "Made-up records." in page.words


def test_an_empty_report_renders() -> None:
    assert "No answer yet" in render_html(build_context([], generated=START))


def test_a_template_that_asks_for_what_is_not_there_fails() -> None:
    with pytest.raises(UndefinedError):
        render._environment().from_string("{{ report.nothing.at_all }}").render(report={})


def test_both_files_are_written_whole(tmp_path: Path) -> None:
    path = write_report(story()[:3], tmp_path / "new" / "folder", generated=START)
    assert path.name == "index.html"
    assert path.read_text("utf-8").endswith("</html>\n") or path.read_text("utf-8").endswith("</html>")
    assert json.loads((path.parent / "report.json").read_text("utf-8"))["schema_version"] == 2
    assert sorted(it.name for it in path.parent.iterdir()) == ["index.html", "report.json", "report.schema.json"]


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_report(story()[:3], tmp_path, generated=START)
    before = path.read_text("utf-8")

    def broken(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.core.files.os.fsync", broken)
    with pytest.raises(OSError, match="No space left"):
        write_report(story()[:4], tmp_path, generated=START)
    assert path.read_text("utf-8") == before
    assert sorted(it.name for it in tmp_path.iterdir()) == ["index.html", "report.json", "report.schema.json"]
