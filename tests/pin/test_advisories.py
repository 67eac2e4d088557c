"""Known vulnerabilities of a stack."""

from __future__ import annotations

from harness.pin.advisories import audit
from tests.pin.osv import osv_server
from tests.pin.samples import HASH


def test_a_database_that_does_not_answer_is_told_plainly() -> None:
    requirements = f"some==1.0 --hash=sha256:{HASH}\n"
    with osv_server({}, status=503) as address:
        broken = audit(requirements, address)
        gone = address
    unreached = audit(requirements, gone)
    for found in (broken, unreached):
        assert found.sentence().startswith("Not checked: ")
        assert "127.0.0.1:" not in found.trouble.replace("localhost", "")
        assert (found.checked, found.found) == (0, ())
