"""What a failure lacks, which versions have it, and what to type."""

from __future__ import annotations

from packaging.version import Version

from harness.core.presence import Presence
from harness.diagnose import Evidence, classify
from harness.diagnose.boundaries import Boundaries
from harness.diagnose.commands import commands_of, contradiction

VERSIONS = tuple(map(Version, ("1.0", "1.1", "1.2", "2.0")))


def name(first: str, last: str) -> Presence:
    return Presence("widgets", VERSIONS, ((Version(first), Version(last)),))


TABLE = Boundaries(
    "2026-01-01",
    {
        "widgets.Old": name("1.0", "1.2"),
        "widgets.New": name("1.1", "2.0"),
        "widgets.Newest": name("2.0", "2.0"),
        "widgets.Always": name("1.0", "2.0"),
        "widgets.Frob_Ni2": Presence("widgets", VERSIONS, ()),
        "widgets.FrobNi2": name("1.0", "2.0"),
        "widgets.Maker(size)": name("1.2", "2.0"),
        "widgets.tools.Box.fill(level)": name("1.0", "1.1"),
        "widgets.Maker(anything)": name("1.0", "2.0"),
        "transformers.models.x.XConfig(size)": name("1.1", "1.2"),
    },
)


def log(*names: str) -> str:
    return "".join(f"$ python serve.py\nImportError: cannot import name '{each}' from 'widgets'\n" for each in names)


def lines(text: str, stack: dict[str, str] | None = None) -> list[str]:
    evidence = Evidence.from_log(text, stack)
    return [command.line for command in commands_of(classify(evidence, lookup=TABLE), evidence.installed)]


def test_a_missing_name_gives_a_command_with_the_versions_that_have_it() -> None:
    assert lines(log("Old")) == ['uv pip install "widgets<=1.2"']


def test_attempts_after_one_another_are_all_named_and_their_versions_intersected() -> None:
    found = classify(Evidence.from_log(log("Old", "New")), lookup=TABLE)
    assert [other.missing for other in found.others] == ["widgets.New"]
    assert lines(log("Old", "New")) == ['uv pip install "widgets>=1.1,<=1.2"']


def test_the_version_of_a_later_attempt_says_nothing_of_an_earlier_failure() -> None:
    text = f"$ pip install widgets==2.0\n{log('Old')}$ pip install widgets==1.0\n{log('New')}"
    assert "another copy" not in classify(Evidence.from_log(text), lookup=TABLE).remedy
    assert lines(text) == ['uv pip install "widgets>=1.1,<=1.2"']


def test_each_failure_is_held_against_the_version_of_its_own_attempt() -> None:
    text = f"$ pip install widgets==2.0\n{log('New')}$ pip install widgets==1.0\n{log('New')}"
    found = classify(Evidence.from_log(text), lookup=TABLE)
    assert "widgets 2.0 has widgets.New" in found.remedy
    later = f"With widgets 1.0:\n{log('New')[18:]}and then with widgets 2.0:\n{log('Old')[18:]}"
    assert lines(later) == ['uv pip install "widgets>=1.1,<=1.2"']


def test_names_that_no_release_has_together_are_told_apart() -> None:
    found = classify(Evidence.from_log(log("Old", "Newest")), lookup=TABLE)
    apart = contradiction(found)
    assert apart is not None
    assert apart.package == "widgets"
    assert lines(log("Old", "Newest")) == []


def test_the_versions_of_the_log_and_of_the_stack_say_from_where_the_command_leads() -> None:
    evidence = Evidence.from_log("$ pip install widgets==2.0\n" + log("Old"))
    (command,) = commands_of(classify(evidence, lookup=TABLE), evidence.installed)
    assert (command.before, command.after) == ("2.0", "1.2")


def test_a_name_that_the_installed_version_has_is_no_matter_of_versions() -> None:
    evidence = Evidence.from_log(log("Old"), {"widgets": "1.1"})
    found = classify(evidence, lookup=TABLE)
    assert "another copy" in found.remedy
    assert commands_of(found, evidence.installed) == []


def test_a_name_that_every_release_has_stopped_while_it_was_loaded() -> None:
    assert (
        "Every known release of widgets, from 1.0 on, has widgets.Always"
        in classify(Evidence.from_log(log("Always")), lookup=TABLE).remedy
    )


def test_a_name_that_no_release_has_is_corrected() -> None:
    assert "did you mean FrobNi2?" in classify(Evidence.from_log(log("Frob_Ni2")), lookup=TABLE).remedy


def refused(callee: str, argument: str, package: str = "widgets") -> str:
    frame = f'  File "/v/lib/python3.11/site-packages/{package}/x.py", line 1, in f\n    call()\n'
    error = f"TypeError: {callee}() got an unexpected keyword argument '{argument}'"
    return f"Traceback (most recent call last):\n{frame}{error}\n"


def test_an_argument_is_looked_up_in_the_package_whose_code_was_running() -> None:
    assert lines(refused("Maker.__init__", "size")) == ['uv pip install "widgets>=1.2"']
    assert lines(refused("Box.fill", "level")) == ['uv pip install "widgets<=1.1"']


def test_an_argument_of_a_well_known_package_needs_no_traceback() -> None:
    text = "TypeError: XConfig.__init__() got an unexpected keyword argument 'size'"
    assert classify(Evidence.from_log(text), lookup=TABLE).missing == "transformers.models.x.XConfig(size)"


def test_an_argument_that_every_release_takes_is_no_matter_of_versions() -> None:
    assert lines(refused("Maker.__init__", "anything")) == []
    assert "Every release" not in classify(Evidence.from_log(refused("Maker", "anything")), lookup=TABLE).remedy
    assert lines(refused("Nobody.__init__", "size")) == []
    assert lines(refused("Maker.forward", "size")) == []
