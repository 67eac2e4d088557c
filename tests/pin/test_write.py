"""What a pin's files say."""

from __future__ import annotations

import pytest

from harness.environments.lock import Lock
from harness.pin.write import is_public
from tests.pin.samples import HASH, PUBLIC


@pytest.mark.parametrize(
    ("place", "public"),
    [
        (f'url = "{PUBLIC}"', True),
        ('url = "https://user:word@mirror.example/some-1.0-py3-none-any.whl"', False),
        ('path = "wheels/some-1.0-py3-none-any.whl"', False),
    ],
)
def test_only_public_addresses_are_written(place: str, public: bool) -> None:
    lock = Lock(
        'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.12"\n\n[[packages]]\nname = "some"\n'
        f'version = "1.0"\nwheels = [{{ {place}, hashes = {{ sha256 = "{HASH}" }} }}]\n'
    )
    assert is_public(lock) is public
