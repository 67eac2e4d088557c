"""Questions to the record file: what is understood, what is refused, and that no word of the reader becomes SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.results.language import BadQuery, parse
from harness.results.store import ResultStore
from harness.results.table import COLUMNS, ask, version_key
from tests.report.samples import grid

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    made = ResultStore(tmp_path)
    for record in list(grid(60)):
        made.append(record)
    return made


def ids(store: ResultStore, question: str) -> set[str]:
    return {row[0] for row in ask({"here": store.file}, parse(question, COLUMNS), ["id"]).rows}


def test_a_question_finds_what_python_finds(store: ResultStore) -> None:
    records = store.records()
    failed = {each.id for each in records if each.verdict.startswith("fail/import")}
    assert failed
    assert ids(store, "status=fail and stage=import") == failed
    assert ids(store, "not (status=fail and stage=import)") == {each.id for each in records} - failed
    assert ids(store, "") == {each.id for each in records}
    some = records[0].axes["transformers"]
    same = {each.id for each in records if each.axes["transformers"] == some}
    assert ids(store, f"transformers='{some}' or id=nothing-like-it") == same
    assert ids(store, f"verdict=fail/* and transformers={some}") == same & {
        each.id for each in records if each.verdict.startswith("fail/")
    }


@pytest.mark.parametrize(
    ("lower", "higher"), [("4.9.0", "4.38.2"), ("5.0.0rc1", "5.0.0"), ("0.9", "0.11.1"), ("8.6", "10.0")]
)
def test_versions_compare_as_versions(lower: str, higher: str) -> None:
    assert version_key(lower) < version_key(higher)


@pytest.mark.parametrize(
    "hostile",
    [
        "id='x'' OR 1=1 --'",
        'id="x\'; DROP TABLE records; --"',
        "id=');DROP",
        "detail='\\'",
        'id="\' UNION SELECT sql FROM sqlite_master --"',
    ],
)
def test_what_looks_like_sql_is_a_value_or_refused(store: ResultStore, hostile: str) -> None:
    try:
        condition = parse(hostile, COLUMNS)
    except BadQuery:
        return
    assert "DROP" not in condition.sql
    assert "UNION" not in condition.sql
    assert not ask({"here": store.file}, condition, ["id"]).rows
    assert len(ids(store, "")) == 60


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("statsu=fail", "did you mean 'status'"),
        ("status", "ends where one of ="),
        ("status=", "ends where a value"),
        ("status=fail family=x", "stands where 'and' or 'or'"),
        ("(status=fail", "ends where ')'"),
        ("seconds>long", "is a number"),
        ("(" * 60 + "status=fail" + ")" * 60, "parentheses deep"),
        ("status='fail", "is not understood"),
        ("status=fial", "no status is 'fial'; did you mean 'fail'"),
        ("stage!=imports", "did you mean 'import'"),
        ("lmdeploy>=banana", "'banana' is none"),
    ],
)
def test_a_complaint_says_where_and_what(question: str, said: str) -> None:
    with pytest.raises(BadQuery, match=said.replace("(", r"\(").replace(")", r"\)")):
        parse(question, COLUMNS)


def test_a_value_that_exists_may_still_be_nobody_s(store: ResultStore) -> None:
    assert ids(store, "status=infra") == set()
    assert ids(store, "not status=infra") == ids(store, 'status!=""')


def test_records_of_before_runs_had_names_are_read(store: ResultStore) -> None:
    named = store.file.read_text()
    store.file.write_text(named.replace(',"run":""', ""))
    assert '"run"' in named
    assert '"run"' not in store.file.read_text()
    assert {each.run for each in ResultStore(store.folder).records()} == {""}
    assert ask({"here": store.file}, parse('run=""', COLUMNS), ["id"]).damaged == 0


def test_damaged_lines_are_counted_and_left_out(store: ResultStore) -> None:
    with store.file.open("a") as file:
        file.write('{"id": "half\n[1, 2]\n')
    found = ask({"here": store.file}, parse("", COLUMNS), ["id"])
    assert (len(found.rows), found.damaged) == (60, 2)
