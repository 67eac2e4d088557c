"""The catalogue is sound: every signature is well formed, has fixtures, and decides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.core.verdict import Reason
from harness.diagnose.catalogue import CatalogueError, Tier, load, shipped
from harness.diagnose.fixtures import FOLDER, FixtureError, bless, load_fixtures, marked, parse
from harness.diagnose.health import CasesError, cover, cover_without_own, examine, load_cases

if TYPE_CHECKING:
    from pathlib import Path

OWN_FAMILIES = {"backend-substituted", "wrong-answer", "timeout", "crash", "excluded", "unknown"}
ENTRY = """
signatures:
- id: {id}
  family: missing-dependency
  when: {{text: '{text}'}}
  title: A title
  cause: A cause
  remedy: {remedy}
  source: own run
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "signatures.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_catalogue_covers_all_twenty_families_with_enough_signatures() -> None:
    signatures = [s for s in shipped().signatures if s.tier not in (Tier.BENIGN, Tier.GUESS, Tier.HINT)]
    assert len(signatures) >= 120
    assert {str(s.family) for s in signatures} >= {str(reason) for reason in Reason} - OWN_FAMILIES


def test_every_signature_has_fixtures_and_decides_them() -> None:
    health = examine()
    assert health.dead == []
    assert health.shadowed == {}
    assert health.without_match == []
    assert health.without_near_miss == []
    assert health.mistaken == []


def test_the_marks_in_the_fixtures_are_up_to_date() -> None:
    stale = [p.name for p in FOLDER.glob("*.log") if p.read_text(encoding="utf-8") != marked(parse(p), shipped(), [])]
    assert stale == []


def test_fixtures_say_where_they_come_from() -> None:
    origins = {fixture.origin.split(",")[0] for fixture in load_fixtures()}
    assert origins == {"own run", "synthetic"}


def test_sources_are_public_addresses_or_own_runs() -> None:
    assert all(s.source == "own run" or s.source.startswith("https://") for s in shipped().signatures)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY.format(id="a", text="(?=b)", remedy="r"), "signature a: when.text.0: .*not an RE2 expression"),
        (ENTRY.format(id="a", text="b", remedy="Install {module}"), r"signature a: .*uses \{module\}"),
        (ENTRY.format(id="a", text="b", remedy='"{"'), "signature a"),
        ("signatures:\n- id: a\n  familly: x\n", "signature a: "),
        ("signatures: 3\n", "must hold a list"),
        ("signatures: [\n", "is not YAML"),
        (ENTRY.format(id="a", text="b", remedy="r") + ENTRY.format(id="a", text="b", remedy="r")[13:], "defined twice"),
    ],
)
def test_a_broken_catalogue_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(write(tmp_path, text))


def test_a_missing_catalogue_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot read"):
        load(tmp_path / "none.yaml")


def test_health_finds_dead_shadowed_and_mistaken_signatures(tmp_path: Path) -> None:
    first = ENTRY.format(id="broad", text="cannot load", remedy="r")
    catalogue = load(write(tmp_path, first + ENTRY.format(id="narrow", text="cannot load foo", remedy="r")[13:]))
    folder = tmp_path / "fixtures"
    folder.mkdir()
    near = "#: near miss\n#: origin: synthetic\nError: all is well\n"
    (folder / "narrow.log").write_text(f"#: match\n#: origin: synthetic\nError: cannot load foo\n\n{near}", "utf-8")
    (folder / "broad.log").write_text("#: near miss\n#: origin: synthetic\nError: cannot load bar\n", "utf-8")
    health = examine(catalogue, folder)
    assert health.shadowed == {"narrow": ["broad"]}
    assert health.dead == ["narrow"]
    assert health.without_match == ["broad"]
    assert health.mistaken == ["broad"]
    assert not health.sound


def test_blessing_writes_the_marks_and_reports_what_does_not_hold(tmp_path: Path) -> None:
    catalogue = load(write(tmp_path, ENTRY.format(id="broad", text="cannot load (?P<module>\\w+)", remedy="r")))
    path = tmp_path / "broad.log"
    near = "#: near miss\n#: origin: synthetic\nError: cannot load bar\n"
    path.write_text(f"#: match\n#: origin: own run, today\nError: cannot load foo\nbye\n\n{near}", "utf-8")
    (tmp_path / "stranger.log").write_text("x\n", "utf-8")
    problems = bless(tmp_path, catalogue)
    assert problems == [
        "broad: a near miss is taken for it",
        "stranger.log: there is no signature of this name",
    ]
    blessed = path.read_text("utf-8")
    assert "Error: cannot load foo\n#^ broad missing-dependency module=foo\nbye\n" in blessed
    bless(tmp_path, catalogue)
    assert path.read_text("utf-8") == blessed


@pytest.mark.parametrize("text", ["", "just a log\n", "#: match\nno origin\n", "#: maybe\n#: origin: synthetic\nx\n"])
def test_a_malformed_fixture_is_explained(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.log"
    path.write_text(text, "utf-8")
    with pytest.raises(FixtureError, match=r"x\.log"):
        parse(path)


def test_coverage_counts_by_family_and_tells_noise_from_failure(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(
        """
- {id: a, family: missing-dependency, benign: false, excerpt: "", exception: "No module named 'timm'"}
- {id: b, family: hub-network, benign: false, excerpt: "RuntimeError: Unsupported quant method: gptq", exception: "",
   source: InternLM/lmdeploy#2556}
- {id: c, family: platform-limits, benign: true, excerpt: "Using 'pin_memory=False' as WSL is detected.", exception: ""}
""",
        "utf-8",
    )
    cases = load_cases(path)
    coverage = cover(cases)
    assert coverage.right == {"missing-dependency": 1, "hub-network": 0, "noise": 1}
    assert [case.name for case, _ in coverage.missed] == ["b"]
    assert coverage.alarms == []
    alone = cover_without_own(cases)
    assert [diagnosis.signature for _, diagnosis in alone.missed] != ["lmdeploy-pytorch-quant-method"]


def test_malformed_cases_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text("- {id: a}\n", "utf-8")
    with pytest.raises(CasesError, match="labelled failures"):
        load_cases(path)
