"""What uv's words mean: only the resolver's own answer is one about versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.environments.uv import UvFailure, _kind, run_uv

if TYPE_CHECKING:
    from pathlib import Path

NEWER = "error: No solution found when resolving dependencies\n  cause: "
OLDER = "  \u00d7 No solution found when resolving dependencies:\n  ╰─▶ "

NO_WHEEL = (
    "error: Distribution `x` can't be installed because it doesn't have a source distribution or wheel for the current "
    "platform"
)


@pytest.mark.parametrize("heading", [NEWER, OLDER])
@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Because there is no version of b==9 and you require b==9, your requirements are unsatisfiable.", "conflict"),
        ("Because zzz was not found in the package registry and c depends on zzz, c cannot be used.", "conflict"),
        ("you require torch<1 and torch>2, which are incompatible", "conflict"),
        ("Because timeout-decorator==1 depends on tls-client, connection reset, we conclude.", "conflict"),
        ("Because d==1.0 has no wheels with a matching Python ABI tag (e.g., `cp311`), you cannot use it.", "no-wheel"),
        ("Because b was not found in the cache and you require b, your requirements are unsatisfiable.", "network"),
        ("Because b was not found, and\nhint: Packages were unavailable because the network was disabled.", "network"),
    ],
)
def test_an_answer_of_the_resolver(heading: str, said: str, kind: str) -> None:
    assert _kind(heading + said) == kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (NO_WHEEL, "no-wheel"),
        ("error: Failed to initialize cache at `/c`\n  cause: Not a directory (os error 20)", "disk"),
        ("error: failed to create directory `/c`: File exists (os error 17)", "disk"),
        ("error: failed to open file `/c`: Permission denied (os error 13)", "disk"),
        ("error: No space left on device (os error 28)", "disk"),
        ("error: invalid value 'zz' for '--link-mode <LINK_MODE>'\n  [possible values: clone, copy]", "settings"),
        ("error: invalid value for UV_PYTHON_DOWNLOADS, expected one of 'auto', 'never'", "settings"),
        ("error: a value is required for '--cache-dir <CACHE_DIR>' but none was supplied", "settings"),
        ("error: Failed to parse environment variable `UV_HTTP_TIMEOUT` with invalid value `abc`", "settings"),
        ("error: Failed to parse: uv.toml\n  cause: TOML parse error at line 1, column 14", "settings"),
        ("error: Failed to download `b==1.0`\n  cause: Hash mismatch for `b==1.0`", "hash"),
        ("error: Failed to fetch: http://h/\n  cause: Connection refused (os error 111)", "network"),
        ("error: Failed to build `x==1.0`\n  there are no versions, unsatisfiable, no source distribution", "other"),
        ("error: something that nobody has seen", "other"),
        ("", "other"),
    ],
)
def test_words_under_other_headings_blame_no_version(said: str, kind: str) -> None:
    assert _kind(said) == kind


def test_a_uv_that_cannot_write_its_cache_is_trouble_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "in").touch()
    with pytest.raises(UvFailure) as failure:
        run_uv(["pip", "compile", "--quiet", "in"], folder=tmp_path)
    assert failure.value.kind == "disk"
    assert not failure.value.of_versions
