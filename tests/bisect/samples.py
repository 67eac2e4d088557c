"""A green and a red lock, far apart."""

from __future__ import annotations

from harness.bisect.coupling import Requirements
from harness.environments.lock import Lock

NAMES = [f"p{number:02}" for number in range(64)]


def lock_of(**versions: str) -> Lock:
    head = 'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.12"\n\n'
    part = '[[packages]]\nname = "{0}"\nversion = "{1}"\nwheels = [{{ url = "https://example.org/{0}-{1}-py3-none-any.whl", hashes = {{ sha256 = "{2}" }} }}]\n\n'  # noqa: E501 - one line of a lock
    return Lock(head + "".join(part.format(name, versions[name], "0" * 64) for name in sorted(versions)))


GREEN_LOCK = lock_of(big="4.0", hub="0.3", web="1.0", gone="1", same="7", **dict.fromkeys(NAMES, "1"))
RED_LOCK = lock_of(big="5.0", hub="1.0", web="2.0", new="1", same="7", **dict.fromkeys(NAMES, "2"))
NO_NEEDS = Requirements({})
