"""What a lock says."""

from __future__ import annotations

import pytest

from harness.environments.lock import InvalidLock, Lock

LOCK = """\
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "torch-thing"
version = "2.8.0"
wheels = [
  { url = "https://x.org/torch_thing-2.8.0-cp311-cp311-linux_x86_64.whl", size = 800, hashes = { sha256 = "aa" } },
  { url = "https://x.org/torch_thing-2.8.0-py3-none-any.whl", size = 5, hashes = { sha256 = "bb" } },
]
"""


def test_a_lock_knows_its_stack_and_what_to_fetch() -> None:
    lock = Lock(LOCK)
    assert lock.stack == {"torch-thing": "2.8.0"}
    assert lock.requirements() == "torch-thing==2.8.0 --hash=sha256:aa --hash=sha256:bb\n"
    assert list(lock.download_sizes("3.11").values()) == [800]
    assert list(lock.download_sizes("3.12").values()) == [5]
    assert Lock(LOCK + "\n").name != lock.name


@pytest.mark.parametrize("text", ["", "[[packages]]", "lock-version = '9.0'", "not toml ["])
def test_what_is_not_a_lock_is_refused(text: str) -> None:
    with pytest.raises(InvalidLock, match="PEP 751"):
        _ = Lock(text).stack


ELSEWHERE = """\
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "from-address"
version = "1.0"
archive = { url = "https://x.org/from_address-1.0-py3-none-any.whl", hashes = { sha256 = "cc" } }
[[packages]]
name = "from-here"
version = "2.0"
archive = { path = "/here/from_here-2.0-py3-none-any.whl", hashes = { sha256 = "dd" } }
"""
COMMIT = """\
[[packages]]
name = "from-commit"
version = "3.0"
vcs = { type = "git", url = "https://x.org/r.git", commit-id = "abc" }
"""


def test_what_is_not_from_an_index_is_installed_from_where_it_is() -> None:
    lock = Lock(ELSEWHERE)
    assert lock.requirements().splitlines() == [
        "from-address @ https://x.org/from_address-1.0-py3-none-any.whl --hash=sha256:cc",
        "from-here @ file:///here/from_here-2.0-py3-none-any.whl --hash=sha256:dd",
    ]
    assert lock.source_arguments == ["--require-hashes"]
    assert Lock(ELSEWHERE + COMMIT).requirements().splitlines()[2] == "from-commit @ git+https://x.org/r.git@abc"
    assert Lock(ELSEWHERE + COMMIT).source_arguments == []  # uv demands hashes of all or of none


def test_a_lock_remembers_the_indexes_that_it_came_from() -> None:
    told = '[tool.lmdeploy-harness]\nindexes = ["https://x.org/simple"]\ncuda = "cu128"\n'
    index = ["--index", "https://x.org/simple", "--index-strategy", "unsafe-best-match"]
    assert Lock(LOCK + told).source_arguments == ["--require-hashes", *index, "--torch-backend", "cu128"]
