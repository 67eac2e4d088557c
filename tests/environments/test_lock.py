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
