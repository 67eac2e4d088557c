"""Pairs are run as any combination is; what goes wrong is told, and not taken for an empty answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.environments.interpreters import NoInterpreter, find_interpreter
from harness.matrix import MatrixError
from harness.scan.answers.truth import Group
from harness.session.pairs import run_pairs
from tests.miniatures import make_project

if TYPE_CHECKING:
    from pathlib import Path


def test_pairs_become_records(
    tmp_path: Path, miniature_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_interpreter("3.12")
    except NoInterpreter:
        pytest.skip("pairs are run on Python 3.12")
    for name in ("UV_CONFIG_FILE", "UV_CACHE_DIR", "UV_OFFLINE"):
        monkeypatch.setenv(name, miniature_environment[name])
    monkeypatch.delenv("HARNESS_HOME", raising=False)
    models = make_project(tmp_path / "project").root / "models"
    told: list[str] = []
    groups = [Group("1.0", "transformers", "mini", ("4.57.3",)), Group("3.0", "pytorch", "mini", ("4.57.3",))]
    records = run_pairs(groups, models=models, folder=tmp_path / "work", keep=False, progress=told.append)
    assert [each.verdict.partition("(")[0] for each in records] == ["pass", "fail/resolve/resolver-conflict"]
    assert len(told) == 2
    assert not (tmp_path / "work" / "state" / "environments").exists()


def test_a_pair_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    models = make_project(tmp_path / "project").root / "models"
    with pytest.raises(MatrixError, match="there-is-none"):
        run_pairs(
            [Group("1.0", "transformers", "there-is-none", ("4.57.3",))],
            models=models,
            folder=tmp_path / "work",
            keep=False,
            progress=None,
        )
