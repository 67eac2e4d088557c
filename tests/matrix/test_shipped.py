"""The matrix and the model specs that are shipped, and the schemas that are published."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING

import pytest

from harness.core.verdict import Expectation
from harness.matrix import Backend, Launch, expand, load_matrix
from harness.matrix.__main__ import schemas
from harness.matrix.model_files import load_models
from tests import ROOT
from tests.matrix.samples import FakeReleases, make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from harness.matrix import Combination


@pytest.fixture(scope="module")
def shipped() -> tuple[Combination, ...]:
    models = {name: make_spec(name) for name in re.findall(r"^name: (.*)$", _specs(), re.MULTILINE)}
    return expand(load_matrix(ROOT / "matrix.yaml"), models, FakeReleases())


def _specs() -> str:
    return "\n".join(path.read_text("utf-8") for path in (ROOT / "models").glob("*.yaml"))


def test_the_shipped_matrix_has_the_axes_it_promises(shipped: tuple[Combination, ...]) -> None:
    assert {"0.11.1", "0.12.3", "0.14.0", "0.16.0", "0.18.0"} <= {combination.lmdeploy for combination in shipped}
    wanted = {"4.38.2", "4.57.3", "5.0.0", "5.17.0", "5.23.0"}
    assert wanted <= {combination.transformers for combination in shipped}
    every = {Backend.PYTORCH, Backend.TURBOMIND, Backend.TRANSFORMERS}
    assert {combination.backend for combination in shipped} == every
    assert {"canary", "qwen2-vl-2b-instruct", "qwen-vl-chat-int4"} <= {combination.model for combination in shipped}


def test_the_shipped_matrix_tells_the_log(shipped: tuple[Combination, ...]) -> None:
    log = [combination for combination in shipped if "log" in combination.tags]
    told = {(c.transformers, c.backend, c.model, c.launch): str(c.expect) for c in log if c.as_of == date(2026, 1, 4)}
    removed = "fail/import/symbol-removed-or-not-yet-added"
    moved = "fail/import/entrypoint-moved-or-misused"
    assert told["4.57.3", Backend.PYTORCH, "canary", Launch.LEGACY_MODULE] == moved
    assert (
        told["4.57.3", Backend.PYTORCH, "canary", Launch.NO_BACKEND_CONFIG] == "fail/boot/entrypoint-moved-or-misused"
    )
    assert told["4.57.3", Backend.TURBOMIND, "qwen-vl-chat-int4", Launch.LIBRARY] == removed
    assert told["4.38.2", Backend.PYTORCH, "qwen-vl-chat-int4", Launch.LIBRARY] == removed
    assert told["4.57.3", Backend.PYTORCH, "qwen2-vl-2b-instruct", Launch.LIBRARY] == "pass"
    assert {combination.lmdeploy for combination in log} == {"0.11.1", "0.18.0"}


def test_what_the_resolver_refuses_is_expected_to_be_refused(shipped: tuple[Combination, ...]) -> None:
    refused = {
        (combination.lmdeploy, combination.transformers)
        for combination in shipped
        if str(combination.expect) == "fail/resolve/resolver-conflict"
    }
    newer = {(lmdeploy, old) for lmdeploy in ("0.14.0", "0.16.0", "0.18.0") for old in ("4.38.2", "5.0.0")}
    assert refused == {("0.12.3", "4.38.2"), *newer}


def test_a_selection_of_the_shipped_matrix_is_quick(shipped: tuple[Combination, ...]) -> None:
    quick = [combination for combination in shipped if "quick" in combination.tags and combination.excluded is None]
    stacks = {(combination.requirements, combination.as_of) for combination in quick}
    assert 10 <= len(quick) <= 30
    assert len(stacks) <= 6
    assert any(str(combination.expect) == "pass" for combination in quick)


def test_every_shipped_exclusion_and_failure_is_explained(shipped: tuple[Combination, ...]) -> None:
    for combination in shipped:
        assert combination.excluded is None or len(combination.excluded) > 20
        assert combination.expect == Expectation.parse("pass") or combination.note, combination.id


def test_ids_are_safe_for_files_and_shells(shipped: tuple[Combination, ...]) -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]+", combination.id) for combination in shipped)
    assert len({combination.id for combination in shipped}) == len(shipped)


def test_the_published_schemas_are_current() -> None:
    for name, text in schemas().items():
        published = (ROOT / "docs" / name).read_text("utf-8")
        assert published == text, f"run: python -m harness.matrix docs  ({name} is out of date)"


def test_shipped_files_name_their_schema() -> None:
    assert _schema_line(ROOT / "matrix.yaml") == "docs/matrix.schema.json"
    for path in (*(ROOT / "matrices").iterdir(), *(ROOT / "models").glob("qwen*.yaml")):
        assert (path.parent / _schema_line(path)).is_file()


def test_the_schema_accepts_single_values_where_the_loader_does() -> None:
    axes = json.loads(schemas()["matrix.schema.json"])["$defs"]["Axes"]["properties"]
    assert axes["lmdeploy"]["anyOf"][0] == {"type": ["string", "number"]}
    assert axes["model"]["description"]


def _schema_line(path: Path) -> str:
    first = path.read_text("utf-8").split("\n", 1)[0]
    assert first.startswith("# yaml-language-server: $schema=")
    return first.partition("=")[2]


def test_shipped_models_load() -> None:
    assert {file.stem for file in (ROOT / "models").glob("*.yaml")} <= set(load_models(ROOT / "models"))
