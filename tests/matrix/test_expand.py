"""Which combinations a matrix means."""

from __future__ import annotations

from datetime import date

import pytest

from harness.core.verdict import Expectation, Stage
from harness.matrix import MatrixError
from harness.matrix.combination import Timeout
from tests.matrix.samples import SMALL, FakeReleases, expanded, problems_of


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
