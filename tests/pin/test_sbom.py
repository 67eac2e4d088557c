"""The bill of materials."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from harness.environments.lock import Lock
from harness.pin.advisories import Advisory, Audit
from harness.pin.sbom import sbom
from tests.pin.samples import HASH, PUBLIC

AUDITED = Audit(
    "OSV's advisories", 1, (Advisory("some", "1.0", "PYSEC-1", ("CVE-2026-1", "GHSA-a"), ("1.1",), "It breaks."),)
)


@pytest.mark.parametrize("audited", [AUDITED, Audit("nobody", trouble="it could not be reached")])
def test_the_bill_of_materials_fits_its_schema_and_says_what_is_installed(audited: Audit) -> None:
    lock = Lock(
        'lock-version = "1.0"\ncreated-by = "uv"\nrequires-python = ">=3.12"\n\n[[packages]]\nname = "some"\n'
        f'version = "1.0"\nwheels = [{{ url = "{PUBLIC}", hashes = {{ sha256 = "{HASH}" }} }}]\n'
    )
    text = sbom(lock, "stack", "3.12", audited, datetime(2026, 1, 4, tzinfo=UTC))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    told = json.loads(text)
    (component,) = told["components"]
    assert component["purl"] == "pkg:pypi/some@1.0"
    assert component["hashes"] == [{"alg": "SHA-256", "content": HASH}]
    if audited.trouble:
        assert "vulnerabilities" not in told
        assert "could not be reached" in told["metadata"]["properties"][0]["value"]
    else:
        assert told["vulnerabilities"][0]["affects"] == [{"ref": component["bom-ref"]}]
