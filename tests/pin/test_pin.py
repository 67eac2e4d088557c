"""Pins: the choice is the report's, what is written is exact, and an installed pin is compared with what was tested."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from harness.environments.lock import Lock
from harness.pin.advisories import Advisory, Audit, audit
from harness.pin.sbom import sbom
from harness.pin.write import is_public
from harness.probes.engines.settings import cache_share
from tests.miniatures import MiniProject, make_project

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Harness = Callable[..., subprocess.CompletedProcess[str]]

PASSING = "lmdeploy1.0-transformers4.57.3-transformers-mini-py3.11"


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory, run_harness: Harness) -> MiniProject:
    """A project whose reference backend passed with two versions of transformers."""
    project = make_project(tmp_path_factory.mktemp("tested") / "project")
    run_harness(project, "run", "lmdeploy1.0-*-transformers-mini-*", "lmdeploy1.0-transformers4.57.3-pytorch-*")
    return project


def pin_folder(project: MiniProject, name: str = PASSING) -> Path:
    return project.root / "reports" / "pins" / name


def test_the_proven_stack_is_pinned_and_verified(tested: MiniProject, run_harness: Harness) -> None:
    done = run_harness(tested, "pin", "--python", "3.11", "--gpu-memory", "8GiB")
    assert done.returncode == 0, done.stderr
    folder = pin_folder(tested)
    told = (folder / "EVIDENCE.md").read_text()
    assert "| structure | `pass/structure` |" in told
    assert "Known vulnerabilities: Not checked: UV_OFFLINE is set" in told
    assert "4 packages installed; identical to the tested stack" in told
    assert "transformers5.0.0-transformers-mini-py3.11" in told
    text = (folder / "requirements.txt").read_text()
    assert "transformers==4.57.3" in text
    assert str(tested.root) not in text
    assert not (folder / "pylock.toml").exists()
    assert {each["name"] for each in json.loads((folder / "sbom.cdx.json").read_text())["components"]} == {
        "lmdeploy",
        "pillow",
        "torch",
        "transformers",
    }
    assert "4 packages installed; identical" in done.stdout


def test_a_pin_that_was_changed_is_noticed(tested: MiniProject, run_harness: Harness) -> None:
    run_harness(tested, "pin", "--no-verify", "--name", "changed")
    folder = pin_folder(tested, "changed")
    facts = json.loads((folder / "pin.json").read_text())
    facts["packages"]["torch"] = "2.0"
    (folder / "pin.json").write_text(json.dumps(facts))
    checked = run_harness(tested, "pin", "verify", str(folder))
    assert checked.returncode == 1
    assert "torch: tested 2.0, installed 1.0" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "pytorch"), "nearest: lmdeploy1.0-transformers4.57.3-pytorch-mini-py3.11"),
        (("--python", "3.12"), "tested on Python 3.11, not 3.12"),
        (("--gpu-memory", "512MiB"), "the target has less"),
    ],
)
def test_what_stands_in_the_way_is_told(
    tested: MiniProject, run_harness: Harness, arguments: tuple[str, ...], said: str
) -> None:
    done = run_harness(tested, "pin", *arguments)
    assert done.returncode == 3, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("--model", "nope"),
        ("--gpu-memory", "much"),
        ("--name", "../up"),
        ("--advisories", "nowhere"),
        ("verify", "nowhere"),
    ],
)
def test_mistakes_are_told_in_words(tested: MiniProject, run_harness: Harness, arguments: tuple[str, ...]) -> None:
    done = run_harness(tested, "pin", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


HASH = "ab" * 32
PUBLIC = f"https://files.example.org/packages/aa/bb/{'c' * 60}/some-1.0-py3-none-any.whl"


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


@contextmanager
def osv_server(known: Mapping[str, Mapping[str, Any]], status: int = 200) -> Iterator[str]:
    """The address of a server that answers as OSV's does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = known.get(f"{asked['package']['name']}=={asked['version']}")
            body = json.dumps({"vulns": [found]} if found else {}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    server.shutdown()
    server.server_close()


def test_known_vulnerabilities_are_told_with_the_release_that_ends_them(
    tested: MiniProject, run_harness: Harness
) -> None:
    bad = {
        "id": "PYSEC-2026-1",
        "aliases": ["CVE-2026-1"],
        "summary": "Reads <more> than | it should",
        "affected": [
            {
                "package": {"name": "pillow", "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.5"}]}],
            }
        ],
    }
    with osv_server({"pillow==1.0": bad}) as address:
        done = run_harness(tested, "pin", "--advisories", address, "--no-verify", "--name", "known")
    assert done.returncode == 0, done.stderr
    assert "known vulnerabilities: 1 known in 1 of 4 packages" in done.stdout
    folder = pin_folder(tested, "known")
    (found,) = json.loads((folder / "vulnerabilities.json").read_text())["found"]
    assert (found["package"], found["id"], found["aliases"], found["fixed"]) == (
        "pillow",
        "PYSEC-2026-1",
        ["CVE-2026-1"],
        ["1.5"],
    )
    row = r"| pillow 1.0 | PYSEC-2026-1, CVE-2026-1 | 1.5 | Reads &lt;more> than \| it should |"
    assert row in (folder / "EVIDENCE.md").read_text()
    assert json.loads((folder / "sbom.cdx.json").read_text())["vulnerabilities"][0]["id"] == "PYSEC-2026-1"


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


@pytest.mark.parametrize(("card", "weights", "share"), [(8192, 4219, 0.36), (81920, 4219, 0.8), (2048, 10, 0.13)])
def test_the_cache_leaves_room_to_work_on_the_targets_card(card: float, weights: float, share: float) -> None:
    assert round(cache_share(card, card, weights), 2) == share
