"""Which versions a rule means."""

from __future__ import annotations

import pytest
from packaging.version import Version

from harness.matrix.versions import VersionRule, version_fits, version_pattern

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


def test_a_number_of_thousands_of_digits_is_no_version() -> None:
    for text in ("1" * 5000, ">=" + "1" * 5000):
        with pytest.raises(ValueError, match="characters are no version"):
            VersionRule.parse(text)
        with pytest.raises(ValueError, match="characters are no version"):
            version_pattern(text)
