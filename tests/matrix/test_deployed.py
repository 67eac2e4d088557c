"""Combinations that a project's own lock names, and axes of one's own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.matrix import MatrixError, expand, parse_matrix
from harness.matrix.deployed import Deployed, UnreadableLock
from tests.matrix.samples import FakeReleases, make_spec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from harness.matrix import Combination

LOCKED = "version: 1\ninclude:\n  - {lock: uv.lock, backend: pytorch, model: canary%s}\n"
AXES = "version: 1\naxes: {python: '3.11', lmdeploy: 0.18.0, transformers: 5.17.0, backend: pytorch, model: canary%s}\n"
STACK = ("lmdeploy==0.11.1", "transformers==4.57.3", "numpy==1.26.4")
VERSIONS = {"lmdeploy": "0.11.1", "transformers": "4.57.3"}


class Files:
    """A project whose one file deploys what it is told to."""

    def __init__(self, found: Deployed | str, python: str | None = "3.11") -> None:
        self.found = found
        self.said = python
        self.asked: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = []

    def python(self, _file: Path) -> str | None:
        """As told."""
        return self.said

    def read(
        self, file: Path, python: str, groups: Sequence[str], extras: Sequence[str], _as_of: date | None
    ) -> Deployed:
        """As told, or the complaint."""
        self.asked.append((file.name, python, tuple(groups), tuple(extras)))
        if isinstance(self.found, str):
            raise UnreadableLock(self.found)
        return self.found


WHOLE = Deployed(STACK, complete=True, versions=VERSIONS, indexes=("https://a/simple",))
PARTLY = Deployed(STACK, versions=VERSIONS, constraints=("pillow<12",))


def made(text: str, files: Files | None = None, folder: Path | None = None) -> tuple[Combination, ...]:
    matrix = parse_matrix(text.encode(), str(folder / "matrix.yaml") if folder is not None else "matrix.yaml")
    return expand(matrix, {"canary": make_spec("canary", packages=["einops"])}, FakeReleases(), files)


def complaint(text: str, files: Files | None = None, folder: Path | None = None) -> str:
    with pytest.raises(MatrixError) as caught:
        made(text, files, folder)
    return str(caught.value)


def test_a_lock_that_says_every_package_is_the_stack_and_nothing_is_added() -> None:
    files = Files(WHOLE)
    (it,) = made(LOCKED % ", groups: [web], extras: gpu" + "requirements: [sentencepiece]\n", files)
    assert it.id == "lmdeploy0.11.1-transformers4.57.3-pytorch-canary-py3.11-uv.lock-web-gpu"
    assert it.requirements == STACK
    assert (it.complete, it.lock, it.indexes) == (True, "uv.lock[web,gpu]", ("https://a/simple",))
    assert it.axes["lock"] == "uv.lock[web,gpu]"
    assert files.asked == [("uv.lock", "3.11", ("web",), ("gpu",))]


def test_of_pins_the_rest_is_resolved_with_what_the_model_needs() -> None:
    (it,) = made(LOCKED % ", requirements: [sentencepiece]", Files(PARTLY))
    assert it.requirements == (*STACK, "einops", "sentencepiece")
    assert (it.complete, it.constraints) == (False, ("pillow<12",))


def test_a_version_moved_in_a_lock_leaves_the_other_pins_as_they_are() -> None:
    moved, and_numpy = made(LOCKED % ", transformers: 5.0.0, packages: {numpy: [1.26.4, 2.3.5]}", Files(WHOLE))
    assert moved.id == "lmdeploy0.11.1-transformers5.0.0-pytorch-canary-py3.11-numpy1.26.4-uv.lock"
    assert moved.requirements == ("lmdeploy==0.11.1", "transformers==5.0.0", "numpy==1.26.4", "einops")
    assert (moved.kept, moved.complete) == ((), False)
    assert and_numpy.axes["numpy"] == "2.3.5"
    (alone,) = made(LOCKED % ", transformers: 5.0.0", Files(WHOLE))
    assert alone.kept == ("numpy==1.26.4",)


def test_what_a_lock_cannot_be_is_told_with_its_place() -> None:
    assert "include[0].lock: uv.lock has no lmdeploy" in complaint(LOCKED % "", Files("uv.lock has no lmdeploy"))
    assert "says every package, so nothing can be added" in complaint(LOCKED % ", requirements: [a]", Files(WHOLE))
    assert "drop `index` and `cuda`" in complaint(LOCKED % ", cuda: cu128", Files(WHOLE))
    assert "nothing beside uv.lock says on which Python" in complaint(LOCKED % "", Files(WHOLE, None))
    without = "version: 1\ninclude:\n  - {backend: pytorch, model: canary, lmdeploy: 0.18.0}\n"
    assert "the key 'python' is missing" in complaint(without)
    assert "groups and extras are a lock's" in complaint(
        "version: 1\ninclude:\n  - {backend: pytorch, model: canary, lmdeploy: 0.18.0, transformers: 5.17.0,"
        " python: '3.11', groups: dev}\n"
    )
    assert "the key 'axes' is missing" in complaint("version: 1\n")


def test_any_package_is_an_axis() -> None:
    found = made(AXES % ", packages: {torch: [2.8.0, 2.10.0]}")
    assert [each.id.partition("-py3.11-")[2] for each in found] == ["torch2.8.0", "torch2.10.0"]
    assert [each.axes["torch"] for each in found] == ["2.8.0", "2.10.0"]
    assert "torch==2.10.0" in found[1].requirements
    assert "'model' has a key of its own" in complaint(AXES % ", packages: {model: 1.0}")


def test_an_index_and_builds_of_torch() -> None:
    found = made(AXES % ", cuda: [cu126, cu128], index: https://example.org/nightly")
    assert [each.cuda for each in found] == ["cu126", "cu128"]
    assert found[0].indexes == ("https://example.org/nightly",)
    assert found[0].id.endswith("-py3.11-cu126-nightly")
    assert (found[0].axes["cuda"], found[0].axes["index"]) == ("cu126", "https://example.org/nightly")
    assert "give uv the credentials" in complaint(AXES % ", index: https://me:secret@example.org/simple")
    assert "is no variant of torch" in complaint(AXES % ", cuda: latest")


def test_engine_settings_are_in_the_id_and_in_the_record() -> None:
    found = made(AXES % ", engine: {tp: 2, session_len: [4096, 8192], eager_mode: false, cache_max_entry_count: 0.4}")
    assert found[1].id.endswith("-py3.11-tp2-session_len8192-no-eager_mode-cache_max_entry_count0.4")
    assert found[1].settings == {"tp": 2, "session_len": 8192, "eager_mode": False, "cache_max_entry_count": 0.4}
    assert found[1].axes["engine"] == "tp=2 session_len=8192 eager_mode=false cache_max_entry_count=0.4"


def test_what_an_engine_cannot_be_told_is_refused() -> None:
    assert "did you mean 'session_len'?" in complaint(AXES % ", engine: {sesion_len: 1}")
    assert "PytorchEngineConfig cannot be told tp=0" in complaint(AXES % ", engine: {tp: 0}")
    transformers = (AXES % ", engine: {tp: 2}").replace("backend: pytorch", "backend: [pytorch, transformers]")
    assert "transformers is no engine of lmdeploy" in complaint(transformers)
    turbomind = (AXES % ", engine: {eager_mode: true}").replace("backend: pytorch", "backend: turbomind")
    assert "TurbomindEngineConfig cannot be told eager_mode" in complaint(turbomind)


def test_an_lmdeploy_from_a_wheel_is_known_by_its_content(tmp_path: Path) -> None:
    name = "lmdeploy-0.19.0rc1-cp311-cp311-manylinux2014_x86_64.whl"
    (tmp_path / "dist").mkdir()
    wheel = tmp_path / "dist" / name
    wheel.write_bytes(b"one")
    text = (AXES % "").replace("0.18.0", f"dist/{name}")
    (it,) = made(text, folder=tmp_path)
    content = hashlib.sha256(b"one").hexdigest()
    assert it.lmdeploy == f"0.19.0rc1+h{content[:8]}"
    assert it.requirements[0] == f"lmdeploy @ {wheel.as_uri()}#sha256={content}"
    wheel.write_bytes(b"two")
    assert made(text, folder=tmp_path)[0].id != it.id
    wheel.unlink()
    assert "there is no" in complaint(text, folder=tmp_path)


def test_an_lmdeploy_from_an_address_or_a_commit() -> None:
    address = "https://example.org/lmdeploy-0.19.0-py3-none-any.whl"
    (it,) = made((AXES % "").replace("0.18.0", address))
    assert Version(it.lmdeploy).public == "0.19.0"
    assert it.requirements[0] == f"lmdeploy @ {address}"
    commit = "git+https://github.com/InternLM/lmdeploy@0123456789abcdef0123456789abcdef01234567"
    (it,) = made((AXES % "").replace("0.18.0", f"'0.19.0.dev1 @ {commit}'"))
    assert it.lmdeploy == "0.19.0.dev1+g01234567"
    assert (it.requirements[0], it.allow_source) == (f"lmdeploy @ {commit}", ("lmdeploy",))
    assert "names no commit, and a branch moves" in complaint(
        (AXES % "").replace("0.18.0", "'0.19.0 @ git+https://github.com/InternLM/lmdeploy@main'")
    )
    assert "does not say which version the commit is" in complaint((AXES % "").replace("0.18.0", commit))
    other = "https://example.org/torch-2.0-py3-none-any.whl"
    assert "is a wheel of torch" in complaint((AXES % "").replace("0.18.0", other))
