"""Tables by columns: everything that goes in comes out, for Python here and for the page's script in its browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.columns import column_of
from harness.report.render import HERE
from tests.report.columns import decoded

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pydantic import JsonValue

TABLES: list[list[JsonValue]] = [
    [],
    [None, None],
    [1, None, 2.5, True],
    ["a long name", "a long name", None, "a long name"],
    ["one", 2, None, ["three"]],
    [{"id": "a", "log": None, "tags": ["x", "y"]}, {"id": "b", "log": {"lines": []}, "tags": []}],
    [{}, {}],
    [{"torch": "2.8"}, {"torch": "2.8", "numpy": None}, {}],
    [{"__proto__": "1"}, {"__proto__": "1"}],
    [{"facts": {"deep": [1]}, "more": 1}, {"facts": {"deep": [1]}, "more": 1}, {"facts": 0}],
]


scalars = st.none() | st.booleans() | st.integers() | st.text()
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
entries = st.fixed_dictionaries({"name": st.text(), "kind": st.sampled_from(["a", "b"]), "of": st.none() | trees})


@given(st.lists(trees) | st.lists(entries))
def test_what_goes_in_comes_out(values: list[JsonValue]) -> None:
    assert json.dumps(decoded(json.loads(json.dumps(column_of(values))))) == json.dumps(values)


def test_what_is_repeated_stands_once() -> None:
    text = json.dumps(column_of([{"id": number, "note": "the same long note"} for number in range(100)]))
    assert text.count("the same long note") == 1


@pytest.mark.browser
@pytest.mark.parametrize("values", TABLES, ids=str)
def test_the_page_reads_what_was_written(values: list[JsonValue], browser: Browser) -> None:
    page = browser.new_page()
    source = (HERE / "assets" / "data.js").read_text("utf-8")
    read = page.evaluate(f"(column) => {{ {source}; return JSON.stringify(decoded(column)); }}", column_of(values))
    page.close()
    assert json.loads(read) == values
