"""The matrix: what a file may say, what its mistakes are called, and which combinations it means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from harness.matrix import Backend, Launch, Matrix, MatrixError, expand, load_matrix, parse_matrix
from harness.matrix.__main__ import schemas
from harness.matrix.combination import Timeout
from harness.matrix.document import parse_document
from harness.matrix.versions import VersionRule, version_fits, version_pattern
from harness.models import ModelSpec, load_models
from harness.verdict import Expectation, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.matrix import Combination

ROOT = Path(__file__).parent.parent

SMALL = """\
version: 1
axes:
  python: 3.10
  lmdeploy: [0.11.1, 0.18.0]
  transformers: 4.57.3
  backend: [pytorch, transformers]
  model: canary
"""


@dataclass
class FakeReleases:
    """Releases with the day each appeared, and a list of what was asked."""

    known: dict[str, dict[str, date]] = field(
        default_factory=lambda: {
            "lmdeploy": {"0.16.0": date(2026, 8, 19), "0.17.0": date(2026, 9, 2), "0.18.0": date(2026, 9, 28)},
            "transformers": {
                "4.57.2": date(2025, 11, 1),
                "4.57.3": date(2025, 11, 25),
                "5.0.0rc1": date(2025, 12, 1),
                "5.0.0": date(2026, 1, 26),
                "5.17.0": date(2026, 9, 9),
                "5.23.0": date(2026, 11, 13),
            },
        }
    )
    asked: list[tuple[str, date | None]] = field(default_factory=list)

    def versions(self, package: str, as_of: date | None) -> Sequence[Version]:
        """What is known as of that day, and note the question."""
        self.asked.append((package, as_of))
        return [Version(text) for text, day in self.known[package].items() if as_of is None or day <= as_of]


def make_spec(name: str, **changes: object) -> ModelSpec:
    smoke = {
        "image": {"pattern": "quadrants", "size": 112, "colours": ["red", "blue", "green", "yellow"]},
        "see": {"prompt": "What?", "max_new_tokens": 8, "judge": "contains", "expected": "red"},
        "structure": {"prompt": "{answer}", "max_new_tokens": 8, "judge": "json", "expected": {"top_left": "red"}},
    }
    spec: dict[str, object] = {
        "name": name,
        "title": name,
        "architecture": "Qwen2VLForConditionalGeneration",
        "model_type": "qwen2_vl",
        "quantisation": "none",
        "weights": {"kind": "canary", "folder": name},
        "licence": "Apache-2.0",
        "memory": {"weights_gib": 0.01, "gpu_gib": 2},
        "smoke": smoke,
        "sources": ["made up for a test"],
    }
    return ModelSpec.model_validate(spec | changes)


MODELS: Mapping[str, ModelSpec] = {
    "canary": make_spec("canary", engine_packages=[{"package": "qwen-vl-utils", "lmdeploy": "<0.16"}]),
    "old": make_spec("old", packages=["einops"], allow_source=["transformers_stream_generator"]),
}


def parsed(text: str) -> Matrix:
    return parse_matrix(text.encode(), "m.yaml")


def expanded(text: str, releases: FakeReleases | None = None) -> tuple[Combination, ...]:
    return expand(parsed(text), MODELS, releases or FakeReleases())


def problems_of(text: str) -> list[str]:
    """Every problem of a matrix, as ``line:column key: message | hint``."""
    with pytest.raises(MatrixError) as caught:
        expanded(text)
    assert {problem.file for problem in caught.value.problems} == {"m.yaml"}
    return [f"{p.line}:{p.column} {p.key}: {p.message} | {p.hint}" for p in caught.value.problems]


# --- reading -------------------------------------------------------------------------------------------------------


def test_numbers_that_are_versions_stay_as_they_are_written() -> None:
    matrix = parsed(SMALL.replace("0.18.0", "0.20"))
    assert matrix.axes.python == ("3.10",)
    assert matrix.axes.lmdeploy == ("0.11.1", "0.20")


def test_a_document_remembers_where_values_and_keys_stand() -> None:
    document = parse_document(b"a:\n  - x: 1\n    yy: two\n", "d.yaml")
    assert document.place(("a", 0, "yy")) == (3, 9, "a[0].yy")
    assert document.place(("a", 0, "yy"), of_key=True) == (3, 5, "a[0].yy")
    assert document.place(("a", 0, "missing")) == (2, 5, "a[0]")


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"version: 1\naxes: [\n", 3, 1, "not valid YAML"),
        (b"version: 1\n\taxes: 2\n", 2, 1, "tab"),
        (b"version: 1\nversion: 2\n", 2, 1, "a second time; first on line 1"),
        (b"version: \xff\n", 1, 10, "not UTF-8"),
        (b"version: 1\x00\n", 1, 11, "may not stand in YAML"),
        (b"a: &x [1]\nb: *y\n", 2, 4, "has no anchor"),
        (b"a: &x [*x]\n", 1, 8, "contains itself"),
        (b"a: !!python/name:os.system x\n", 1, 4, "tag"),
        (b"a: {<<: {b: 1}}\n", 1, 5, "merge keys"),
        (b"? [1, 2]\n: 3\n", 1, 3, "a key must be text"),
        (b"a: 1\n---\nb: 2\n", 2, 1, "second document"),
        (b"[" * 400, 1, 33, "nested deeper"),
        (b'a: "\\UFFFFFFFF"\n', 1, 1, "not valid YAML"),
        (b"", 1, 1, "empty"),
        (b"[1, 2]", 1, 1, "must be a mapping"),
    ],
)
def test_unreadable_files_are_located(content: bytes, line: int, column: int, words: str) -> None:
    with pytest.raises(MatrixError) as caught:
        parse_matrix(content, "m.yaml")
    first = caught.value.problems[0]
    assert (first.line, first.column) == (line, column), str(first)
    assert words in first.message + first.hint


def test_an_alias_bomb_is_stopped() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10))
    with pytest.raises(MatrixError, match="multiply into something huge"):
        parse_matrix(f"l0: &l0 [x]\n{levels}\n".encode())


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    windows = parse_matrix(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert windows.model_dump() == parsed(SMALL).model_dump()


def test_a_missing_file_is_a_problem_of_that_file(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match=r"nowhere\.yaml:1:1: cannot be read: No such file"):
        load_matrix(tmp_path / "nowhere.yaml")


# --- mistakes ------------------------------------------------------------------------------------------------------


def test_every_mistake_of_a_file_is_listed_with_place_and_remedy() -> None:
    text = SMALL.replace("backend: [pytorch, transformers]", "backend: [pytroch]") + (
        "exlude: []\n"
        "include:\n"
        "  - {python: 3.11, lmdeploy: 0.18.0, transformers: latst, backend: pytorch, model: canary, lunch: server}\n"
        "exclude:\n"
        "  - {lmdeploy: 0.11.1}\n"
        "timeouts: {boot: {wall: 300}}\n"
        "as_of: yesterday\n"
    )
    found = problems_of(text)
    assert len(found) == 7
    assert found[0].startswith("6:13 axes.backend[0]: 'pytroch' is not known here | did you mean 'pytorch'?")
    assert found[1].startswith("8:1 exlude: unknown key | did you mean 'exclude'? (allowed here: version, axes,")
    assert (
        "10:52 include[0].transformers: 'latst' is not a version or a version rule | write a version (0.18.0)"
        in (found[2])
    )
    assert ".lunch: unknown key | did you mean 'launch'?" in found[3]
    assert found[4].startswith("12:5 exclude[0]: the key 'reason' is missing | Why; shown in the report. write e.g.")
    assert "timeouts.boot.wall: not a duration | write a number with its unit: 90s, 5m or 1h30m" in found[5]
    assert found[6].startswith("14:8 as_of: must be a date like 2026-01-04, not 'yesterday'")


@pytest.mark.parametrize(
    ("addition", "key", "words"),
    [
        ("expect: [{when: {}, verdict: fail/imprt, because: x}]", "expect[0].verdict", "did you mean 'import'?"),
        ("expect: [{when: {}, verdict: fial, because: x}]", "expect[0].verdict", "did you mean 'fail'?"),
        (
            "expect: [{when: {model: canry}, verdict: fail, because: x}]",
            "expect[0].when.model",
            "did you mean 'canary'",
        ),
        ("expect: [{when: {lmdeploy: '>>1'}, verdict: fail, because: x}]", "expect[0].when.lmdeploy", "range"),
        ("requirements: ['numpy=1']", "requirements[0]", "numpy==2.3.5"),
        ("overrides: 'a b'", "overrides", "is not a requirement"),
        ("target: {gpu_memory: 8}", "target.gpu_memory", "8GiB"),
        ("target: {platform: wsl}", "target.platform", "did you mean 'wsl2'?"),
        ("timeouts: {bot: {wall: 5m}}", "timeouts.bot", "did you mean 'boot'?"),
        ("tags: [{name: 'a b', when: {}}]", "tags[0].name", "small letters"),
        ("version: 2", "version", "a second time"),
        ("axes2: {}", "", "did you mean 'axes'?"),
    ],
)
def test_a_mistake_names_its_key_and_what_to_write(addition: str, key: str, words: str) -> None:
    (found,) = problems_of(f"{SMALL}{addition}\n")
    assert f" {key}" in found or key == "version"
    assert words in found


def test_an_unknown_model_is_named_with_the_nearest() -> None:
    (found,) = problems_of(SMALL.replace("canary", "cannary"))
    assert found == "7:10 axes.model: there is no model 'cannary' | did you mean 'canary'? (allowed here: canary, old)"


def test_the_text_of_an_error_is_for_people() -> None:
    with pytest.raises(MatrixError) as caught:
        parsed(SMALL.replace("version: 1", "version: one"))
    text = str(caught.value)
    assert text.startswith("m.yaml:1:10: version: ")
    assert "pydantic" not in text
    assert "Traceback" not in text


# --- versions ------------------------------------------------------------------------------------------------------

RELEASES = [Version(text) for text in ("0.9.0", "0.9.2", "0.9.2.post1", "0.10.0", "0.10.1", "0.11.0a1", "1.0.0rc1")]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("0.4", ["0.4"]),
        ("1.0.0rc1", ["1.0.0rc1"]),
        ("latest", ["0.10.1"]),
        ("latest <0.10", ["0.9.2.post1"]),
        (">=0.10", ["0.10.0", "0.10.1"]),
        ("~=0.9.1", ["0.9.2", "0.9.2.post1"]),
        ("last-patch-of-each-minor", ["0.9.2.post1", "0.10.1"]),
        ("last-patch-of-each-minor>=0.10", ["0.10.1"]),
        (">=2", []),
    ],
)
def test_a_rule_means_final_releases_in_order(rule: str, expected: list[str]) -> None:
    assert [str(version) for version in VersionRule.parse(rule).expand(RELEASES)] == expected


@pytest.mark.parametrize("text", ["", "newest", "latest 5", "latest-5", ">=", "1.x", "last-patch-of-each-minor foo"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        VersionRule.parse(text)


@pytest.mark.parametrize(
    ("pattern", "version", "fits"),
    [
        ("5.0.0", "5.0", True),
        ("5.0.*", "5.0.7", True),
        ("5.0.*", "5.1.0", False),
        (">=5,<5.6", "5.5.9", True),
        (">=5", "5.1.0rc1", True),
        ("!=5.1", "5.1.0", False),
    ],
)
def test_patterns(pattern: str, version: str, fits: bool) -> None:
    assert version_fits(version_pattern(pattern), Version(version)) is fits


# --- expansion -----------------------------------------------------------------------------------------------------


def test_axes_are_crossed_in_the_order_of_the_file_and_ids_say_everything() -> None:
    assert [combination.id for combination in expanded(SMALL)] == [
        "lmdeploy0.11.1-transformers4.57.3-pytorch-canary-py3.10",
        "lmdeploy0.11.1-transformers4.57.3-transformers-canary-py3.10",
        "lmdeploy0.18.0-transformers4.57.3-pytorch-canary-py3.10",
        "lmdeploy0.18.0-transformers4.57.3-transformers-canary-py3.10",
    ]


def test_exact_versions_do_not_need_the_index() -> None:
    releases = FakeReleases()
    expanded(SMALL, releases)
    assert releases.asked == []


def test_rules_are_recorded_as_expanded() -> None:
    (first, *_) = expanded(SMALL.replace("4.57.3", "latest"))
    assert first.transformers == "5.23.0"
    assert first.written == {"transformers": "latest"}
    assert "transformers5.23.0" in first.id


def test_rules_see_only_what_existed_on_the_day() -> None:
    text = SMALL.replace("4.57.3", "latest") + "as_of: 2026-01-04\n"
    releases = FakeReleases()
    (first, *_) = expanded(text, releases)
    assert releases.asked == [("transformers", date(2026, 1, 4))]
    assert first.transformers == "4.57.3"
    assert first.id.endswith("-py3.10-as-of-2026-01-04")
    assert first.exclude_newer == "2026-01-05T00:00:00Z"


def test_a_rule_without_a_release_is_a_problem_of_its_line() -> None:
    (found,) = problems_of(SMALL.replace("4.57.3", "'>=99'"))
    assert found == (
        "5:17 axes.transformers: no release of transformers matches '>=99' | the newest known release is 5.23.0"
    )


def test_a_rule_and_an_exact_version_make_one_combination() -> None:
    both = expanded(SMALL.replace("4.57.3", "[latest, 5.23.0]"))
    assert len({combination.id for combination in both}) == len(both) == 4
    assert both[0].written == {}


INCLUDED = "  - {python: 3.10, lmdeploy: 0.18.0, transformers: 4.57.3, backend: pytorch, model: canary"


def test_a_duplicate_is_refused_with_both_lines() -> None:
    (found,) = problems_of(f"{SMALL}include:\n{INCLUDED}}}\n")
    assert found.startswith("9:5 include[0]: this combination stands already on line 3: lmdeploy0.18.0-")


def test_a_label_or_a_launch_or_a_date_makes_it_another_combination() -> None:
    text = f"{SMALL}include:\n{INCLUDED}, label: numpy-2.3, requirements: numpy<2.4}}\n{INCLUDED}, launch: server}}\n"
    labelled, server = expanded(text)[-2:]
    assert labelled.id.endswith("-py3.10-numpy-2.3")
    assert "numpy<2.4" in labelled.requirements
    assert server.id.endswith("-py3.10-server")
    assert server.options == {"launch": "server"}
    assert labelled.options == {}


def test_an_include_that_came_from_a_rule_gives_way_to_the_axes() -> None:
    text = SMALL.replace("4.57.3", "5.23.0") + f"include:\n{INCLUDED.replace('4.57.3', 'latest')}, note: mine}}\n"
    assert len(expanded(text)) == 4
    assert all(not combination.note for combination in expanded(text))


def test_excluded_combinations_stay_with_their_reason() -> None:
    text = f"{SMALL}exclude:\n  - {{lmdeploy: '<0.18', backend: pytorch, reason: too old}}\n"
    assert [combination.excluded for combination in expanded(text)] == ["too old", None, None, None]


def test_an_include_takes_back_what_the_axes_exclude() -> None:
    text = f"{SMALL}exclude:\n  - {{lmdeploy: 0.18.0, reason: new}}\ninclude:\n{INCLUDED}, note: but this}}\n"
    by_id = {combination.id: combination for combination in expanded(text)}
    assert len(by_id) == 4
    assert by_id["lmdeploy0.18.0-transformers4.57.3-pytorch-canary-py3.10"].excluded is None
    assert by_id["lmdeploy0.18.0-transformers4.57.3-transformers-canary-py3.10"].excluded == "new"


def test_the_last_expectation_counts_and_an_include_says_more() -> None:
    text = (
        f"{SMALL}include:\n{INCLUDED}, launch: server, expect: fail/boot, note: mine}}\n"
        "expect:\n"
        "  - {when: {lmdeploy: 0.18.0}, verdict: fail, because: first}\n"
        "  - {when: {lmdeploy: 0.18.0, backend: pytorch}, verdict: fail/import, because: second}\n"
        "  - {when: {as_of: 2026-01-04}, verdict: fail/resolve, because: other day}\n"
    )
    found = expanded(text)
    assert [str(combination.expect) for combination in found] == ["pass", "pass", "fail/import", "fail", "fail/boot"]
    assert [combination.note for combination in found] == ["", "", "second", "first", "mine"]
    assert found[2].expect == Expectation.parse("fail/import")


def test_a_when_can_ask_for_today_only() -> None:
    text = (
        f"{SMALL}include:\n{INCLUDED}, as_of: 2026-01-04}}\n"
        "tags:\n  - {name: today, when: {as_of: null}}\n  - {name: then, when: {as_of: 2026-01-04}}\n"
    )
    assert [combination.tags for combination in expanded(text)] == [("today",)] * 4 + [("then",)]


def test_an_include_may_go_back_to_today() -> None:
    text = f"{SMALL}as_of: 2026-01-04\ninclude:\n{INCLUDED}, as_of: null}}\n{INCLUDED}, launch: server}}\n"
    today, inherited = expanded(text)[-2:]
    assert today.as_of is None
    assert inherited.as_of == date(2026, 1, 4)


def test_requirements_come_from_the_model_the_top_the_rules_and_the_include() -> None:
    text = (
        f"{SMALL.replace('model: canary', 'model: [canary, old]')}requirements: top\noverrides: [numpy==2.3.5]\n"
        "allow_source: some-package\n"
        "rules:\n  - {when: {lmdeploy: 0.11.1}, requirements: ruled, overrides: torch<2.9, because: as ruled}\n"
    )
    by_id = {combination.id: combination for combination in expanded(text)}
    canary = by_id["lmdeploy0.11.1-transformers4.57.3-pytorch-canary-py3.10"]
    assert canary.requirements == ("lmdeploy==0.11.1", "transformers==4.57.3", "qwen-vl-utils", "top", "ruled")
    assert canary.overrides == ("numpy==2.3.5", "torch<2.9")
    assert canary.note == "as ruled"
    old = by_id["lmdeploy0.18.0-transformers4.57.3-pytorch-old-py3.10"]
    assert old.requirements == ("lmdeploy==0.18.0", "transformers==4.57.3", "einops", "top")
    assert old.allow_source == ("transformers-stream-generator", "some-package")


def test_durations_sizes_and_the_target_are_read() -> None:
    text = (
        f"{SMALL}timeouts: {{boot: {{wall: 1h30m, idle: 90s}}, install: {{wall: 5m}}}}\n"
        "target: {gpu_memory: 512MiB, platform: wsl2, driver: '>=550'}\n"
    )
    (first, *_) = expanded(text)
    assert first.timeouts == {Stage.BOOT: Timeout(5400, 90), Stage.INSTALL: Timeout(300, None)}
    assert (first.target.gpu_memory_gib, first.target.platform, first.target.driver) == (0.5, "wsl2", ">=550")


def test_a_matrix_that_multiplies_by_accident_is_stopped() -> None:
    releases = FakeReleases(known={"lmdeploy": {}, "transformers": {}})
    for package in releases.known:
        releases.known[package] = {f"0.{minor}.0": date(2026, 1, 1) for minor in range(150)}
    text = SMALL.replace("[0.11.1, 0.18.0]", "'>=0'").replace("4.57.3", "'>=0'")
    with pytest.raises(MatrixError, match="more than 20,000 combinations"):
        expanded(text, releases)


def test_axes_of_a_record() -> None:
    text = f"{SMALL}include:\n{INCLUDED}, as_of: 2026-01-04, launch: legacy-module}}\n"
    assert expanded(text)[-1].axes == {
        "python": "3.10",
        "lmdeploy": "0.18.0",
        "transformers": "4.57.3",
        "backend": "pytorch",
        "model": "canary",
        "as_of": "2026-01-04",
        "launch": "legacy-module",
    }


# --- what is shipped -----------------------------------------------------------------------------------------------


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
    assert {combination.backend for combination in shipped} == set(Backend)
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
    for path in (ROOT / "models").glob("qwen*.yaml"):
        assert (path.parent / _schema_line(path)).is_file()


def test_the_schema_accepts_single_values_where_the_loader_does() -> None:
    axes = json.loads(schemas()["matrix.schema.json"])["$defs"]["Axes"]["properties"]
    assert axes["lmdeploy"]["anyOf"][0] == {"type": ["string", "number"]}
    assert axes["model"]["description"]


def _schema_line(path: Path) -> str:
    first = path.read_text("utf-8").split("\n", 1)[0]
    assert first.startswith("# yaml-language-server: $schema=")
    return first.partition("=")[2]


def test_shipped_models_load(tmp_path: Path) -> None:
    for path in (ROOT / "models").glob("qwen*"):
        (tmp_path / path.name).symlink_to(path)
    assert set(load_models(tmp_path)) == {"qwen2-vl-2b-instruct", "qwen2-vl-2b-random", "qwen-vl-chat-int4"}
