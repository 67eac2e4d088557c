"""Corrupted matrices and model specs: a clear error or a valid plan, never another exception.

200 examples by default; ``HARNESS_CORRUPTIONS=2000`` for the thorough run.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.matrix import MatrixError, expand, load_matrix
from harness.matrix.model_files import load_model
from tests import ROOT
from tests.matrix.samples import FakeReleases, make_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from harness.matrix.models import ModelSpec

MATRIX = (ROOT / "matrix.yaml").read_bytes()
SPECS = {path.name: path.read_bytes() for path in sorted((ROOT / "models").glob("*.yaml"))}
MODELS: Mapping[str, ModelSpec] = {name.removesuffix(".yaml"): make_spec(name.removesuffix(".yaml")) for name in SPECS}

CORRUPTIONS = settings(
    max_examples=int(os.environ.get("HARNESS_CORRUPTIONS", "200")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

BOMB = "\n".join(["b0: &b0 [x]"] + [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 12)])
VALUES = (
    *("", "null", "~", "true", "[]", "{}", "''", "-", "?", ":", "|", ">", "&", "*", "%", "@", "`", "!", "!!", "<<"),
    *("9" * 400, "-1", "0", "1e999", "0x7f", "0o17", "1_000", ".nan", ".inf", "-.inf", "nan", "3.10", "1.5", "1e3"),
    *("2026-01-04", "2026-13-45", "0000-00-00", "9999-12-31", "2026-01-04T10:00:00Z", "12:30:45", "-2026-01-04"),
    *("[1, [2, [3]]]", "{a: {b: c}}", "[{}]", "{? [a] : b}", "{[a]: b}", "{1: 2}", "{null: 1}", "{true: 1}"),
    *("&a [*a]", "&a {k: *a}", "*nowhere", "&x 1", "!!python/object:os.system x", "!!binary aGk=", "!!set {a}"),
    *("!!int x", "!!float x", "!!timestamp x", "!local x", "[" * 60, "{a: " * 60, "]" * 5, "- - - -", "? ? ?"),
    *('"\\UFFFFFFFF"', '"\\ud800"', '"\\x00"', '"\\q"', '"unfinished', "'unfinished", "\u2028", "\ufeff", "\u0085"),
    *("latest", ">=0", "<0", "==*", "latest <0", "last-patch-of-each-minor", "!=", "~=1", ">=1,<", "===x", "1!2+l.3"),
    *("fail/import/unknown(x)", "skipped", "blocked/boot", "fail/", "/", "pass/pass", "fail/import/x(", "💥", "é" * 99),
    *("../../etc", "a b", "CON", "-rf", "$(x)", "x" * 30_000, "%YAML 9.9", "# x", "a: b: c", "{answer}", "'a''b'"),
)
LINES = (
    *(BOMB, "---", "...", "%YAML 1.1\n---", "%TAG ! tag:x,2000:", "<<: {a: b}", "? a\n: b", "? [a, b]\n: c", "\t- x"),
    *("version: 1", "axes: {}", "include: &i [*i]", "exclude: {}", "timeouts: {boot: [1]}", "timeouts: {1: 2}"),
    *("target: []", "as_of: 2026-01-04", "rules: [{when: null}]", "expect: [[]]", "tags: [null]", "weights: {}"),
    *("smoke: null", "weights: {kind: [hub]}", "weights: {kind: null}", "imports: {a: b}", "name: [a]", "memory: 8"),
    *("requirements: [' ']", "overrides: ['a @ file:///x']", "overrides: ['a[b;c']", "axes: *axes", "a: &axes {}"),
)
BYTES = (b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\x1b[31m", b"\t", b"\r", b"\x85")


@dataclass(frozen=True)
class Corruption:
    """What to do to a file, chosen by a seed so that a failure is found again."""

    kind: str
    seed: int

    def apply(self, content: bytes) -> bytes:
        """The content with this done to it."""
        return KINDS[self.kind](content, random.Random(self.seed))  # noqa: S311 - tests want repeatable, not secret


def _lines(change: Callable[[list[bytes], int, random.Random], None]) -> Callable[[bytes, random.Random], bytes]:
    def corrupt(content: bytes, chance: random.Random) -> bytes:
        lines = content.split(b"\n")
        written = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith(b"#")]
        if written:
            change(lines, chance.choice(written), chance)
        return b"\n".join(lines)

    return corrupt


def _replace_value(lines: list[bytes], at: int, chance: random.Random) -> None:
    key, colon, _ = lines[at].partition(b": ")
    if colon:
        lines[at] = key + colon + chance.choice(VALUES).encode("utf-8", "surrogatepass")
    else:
        lines[at] += b" " + chance.choice(VALUES).encode("utf-8", "surrogatepass")


def _replace_word(lines: list[bytes], at: int, chance: random.Random) -> None:
    words = lines[at].split(b" ")
    words[chance.randrange(len(words))] = chance.choice(VALUES).encode("utf-8", "surrogatepass")
    lines[at] = b" ".join(words)


def _misspell_key(lines: list[bytes], at: int, chance: random.Random) -> None:
    key, colon, rest = lines[at].partition(b":")
    if colon and key:
        cut = chance.randrange(len(key))
        lines[at] = (
            key[:cut] + chance.choice((b"", b"x", b"-", b" ", b"'", b"\xc3\xa9")) + key[cut + 1 :] + colon + rest
        )


def _insert_line(lines: list[bytes], at: int, chance: random.Random) -> None:
    lines.insert(at, b" " * chance.choice((0, 0, 2, 4, 7)) + chance.choice(LINES).encode())


def _indent(lines: list[bytes], at: int, chance: random.Random) -> None:
    lines[at] = chance.choice((b" ", b"   ", b"\t", b"- ")) + lines[at]


def _splice(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    junk = chance.choice((chance.choice(BYTES), chance.randbytes(chance.randrange(1, 9))))
    return content[:at] + junk + content[at + chance.randrange(3) :]


KINDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "replace a value": _lines(_replace_value),
    "replace a word": _lines(_replace_word),
    "misspell a key": _lines(_misspell_key),
    "insert a line": _lines(_insert_line),
    "indent a line": _lines(_indent),
    "delete a line": _lines(lambda lines, at, _: lines.__delitem__(at)),
    "duplicate a line": _lines(lambda lines, at, _: lines.insert(at, lines[at])),
    "move a line": _lines(lambda lines, at, chance: lines.insert(chance.randrange(len(lines)), lines.pop(at))),
    "splice bytes": _splice,
    "truncate": lambda content, chance: content[: chance.randrange(len(content) + 1)],
    "delete a stretch": lambda content, chance: (
        content[: (at := chance.randrange(len(content) + 1))] + content[at + chance.randrange(200) :]
    ),
    "random bytes": lambda _, chance: chance.randbytes(chance.randrange(300)),
    "only this": lambda _, chance: chance.choice((*VALUES, *LINES)).encode("utf-8", "surrogatepass"),
}

corruptions = st.lists(
    st.builds(Corruption, st.sampled_from(sorted(KINDS)), st.integers(0, 2**32)), min_size=1, max_size=4
)


def corrupted(content: bytes, changes: list[Corruption]) -> bytes:
    for change in changes:
        content = change.apply(content)
    return content


def check_problems(error: MatrixError, path: Path, content: bytes) -> None:
    lines = content.count(b"\n") + content.count(b"\r") + 2
    assert error.problems
    for problem in error.problems:
        assert problem.file == str(path)
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.message
        assert len(str(problem)) < 5000
        assert "Traceback" not in str(problem)
        assert "pydantic" not in str(problem)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    for name in ("canary", "qwen2-vl-2b", *MODELS):
        (made / name).mkdir(exist_ok=True)
        (made / name / "config.json").write_text("{}")
    return made


@CORRUPTIONS
@given(changes=corruptions)
@example(changes=[Corruption("only this", seed) for seed in range(1)])
def test_a_corrupted_matrix_is_an_error_with_a_place_or_a_plan(folder: Path, changes: list[Corruption]) -> None:
    path = folder / "matrix.txt"
    content = corrupted(MATRIX, changes)
    path.write_bytes(content)
    try:
        combinations = expand(load_matrix(path), MODELS, FakeReleases())
    except MatrixError as error:
        check_problems(error, path, content)
    else:
        ids = [combination.id for combination in combinations]
        assert ids
        assert len(set(ids)) == len(ids)


@CORRUPTIONS
@given(name=st.sampled_from(sorted(SPECS)), changes=corruptions)
def test_a_corrupted_model_spec_is_an_error_with_a_place_or_a_spec(
    folder: Path, name: str, changes: list[Corruption]
) -> None:
    path = folder / name
    content = corrupted(SPECS[name], changes)
    path.write_bytes(content)
    try:
        spec = load_model(path)
    except MatrixError as error:
        check_problems(error, path, content)
    else:
        assert spec.name == path.stem


@pytest.mark.parametrize("value", [*VALUES, *LINES])
def test_every_nasty_value_in_every_place(folder: Path, value: str) -> None:
    """Each value once as a top-level entry, in an axis and in a rule: the corners that chance may miss."""
    text = MATRIX.decode()
    path = folder / "matrix.txt"
    for changed in (
        f"{text}\n{value}\n",
        text.replace("lmdeploy: 0.18.0", f"lmdeploy: {value}"),
        text.replace('python: "3.11"', f"python: {value}", 1),
        text.replace("verdict: fail/import/symbol-removed-or-not-yet-added", f"verdict: {value}", 1),
        text.replace("gpu_memory: 8GiB", f"gpu_memory: {value}"),
    ):
        content = changed.encode("utf-8", "surrogatepass")
        path.write_bytes(content)
        try:
            assert expand(load_matrix(path), MODELS, FakeReleases())
        except MatrixError as error:
            check_problems(error, path, content)
