"""Build here, boot there: a bundle of miniatures goes to a folder that plays the host, and its records come home."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness import __version__
from harness.bundle.carry import HOST_KEEPS, Luggage, WheelStore, WheelUnavailable, choose, host_packages
from harness.bundle.manifest import Manifest, PackedCombination, PackedStack
from harness.bundle.pack import rewrite, write_bundle
from harness.environments.lock import Lock, LockedWheel
from harness.matrix.project import Project
from harness.results.store import ResultStore
from harness.session.session import Session
from tests.miniatures import MiniProject, make_project, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Harness = Callable[..., subprocess.CompletedProcess[str]]

MATRIX = """\
version: 1
axes: {python: "3.11", lmdeploy: ["1.0"], transformers: ["4.57.3", "5.0.0"], backend: [transformers], model: [mini]}
"""
NO_PLACE = "https://wheels.invalid/"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True)
class Packed:
    """A bundle and where it came from."""

    home: MiniProject
    folder: Path


def lock_of(wheels: Path, store: WheelStore, versions: dict[str, str]) -> Lock:
    """A lock of miniatures whose wheels are in the store already, so that nothing is downloaded."""
    lines = ['lock-version = "1.0"', 'created-by = "the tests"']
    for name, version in versions.items():
        path = wheels / f"{name}-{version}-py3-none-any.whl"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        kept = store.folder / digest[:16] / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())
        wheel = f'{{url = "{NO_PLACE}{path.name}", hashes = {{sha256 = "{digest}"}}}}'
        lines += ["[[packages]]", f'name = "{name}"', f'version = "{version}"', f"wheels = [{wheel}]"]
    return Lock("\n".join(lines) + "\n")


def pack(root: Path, index: Path, *, compress: bool, part_bytes: int) -> Packed:
    """What ``harness bundle`` does, with locks made by hand: resolving needs the harness's own packages' index."""
    home = make_project(root / "home", MATRIX)
    session = Session(Project.of(home.matrix))
    store = WheelStore(root / "wheels")
    luggage = Luggage({"pillow": "0.1"}, keeps=())
    combinations: list[PackedCombination] = []
    stacks: dict[str, PackedStack] = {}
    locks: dict[str, str] = {}
    wheels: dict[str, Path] = {}
    for each in session.combinations:
        versions = {"lmdeploy": each.lmdeploy, "transformers": each.transformers, "torch": "1.0", "pillow": "1.0"}
        lock = lock_of(index / "wheels", store, versions)
        locks[lock.name] = lock.text
        stacks[lock.name], files = choose(lock, each.requirements, PYTHON, luggage, store)
        wheels |= files
        combinations.append(PackedCombination.of(each, lock.name))
    manifest = Manifest(
        made=datetime.now(UTC),
        harness=__version__,
        python=PYTHON,
        combinations=combinations,
        stacks=stacks,
        models=["mini"],
    )
    models = {
        str(path.relative_to(session.project.models)): path
        for path in session.project.models.rglob("*")
        if path.is_file()
    }
    out = root / "bundle"
    write_bundle(
        out,
        manifest,
        wheels=wheels,
        lent=[],
        runtime=[],
        locks=locks,
        model_files=models,
        part_bytes=part_bytes,
        compress=compress,
    )
    return Packed(home, out)


def unpack(packed: Packed, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start it as on a host: with another home, and no harness to import but the one that travelled."""
    host = packed.folder.parent / "host-home"
    host.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "unpack.py", *arguments],
        cwd=packed.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(host), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.xdist_group("bundle")
@pytest.mark.parametrize("compress", [False, True], ids=["wheels as they are", "compressed"])
def test_a_bundle_goes_to_a_host_and_its_records_come_home(
    tmp_path: Path, miniature_index: Path, run_harness: Harness, *, compress: bool
) -> None:
    packed = pack(tmp_path, miniature_index, compress=compress, part_bytes=100_000)
    parts = sorted(packed.folder.glob("bundle.tar.*"))
    assert len(parts) > 1
    assert {part.stat().st_size for part in parts[:-1]} == {100_000}

    done = unpack(packed)
    assert done.returncode == 1, done.stdout + done.stderr  # one of the two answers wrongly, which nobody expects

    imported = run_harness(packed.home, "import", str(packed.folder / "bundle" / "results" / "results.tar.gz"))
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.startswith("2 records taken, 0 were here already")
    records = {each.axes["transformers"]: each for each in ResultStore(packed.home.root / "reports").records()}
    assert records["4.57.3"].verdict == "pass"
    assert records["5.0.0"].verdict.startswith("fail/see/wrong-answer")
    for record in records.values():
        assert record.differences == {"pillow": importlib.metadata.version("pillow")}
        assert (packed.home.root / "reports" / "locks" / str(record.lock) / "pylock.toml").exists()
    page = (packed.home.root / "reports" / "index.html").read_text()
    assert "pillow" in page

    again = run_harness(packed.home, "import", str(packed.folder / "bundle" / "results" / "results.tar.gz"))
    assert again.stdout.startswith("0 records taken, 2 were here already")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, miniature_index: Path) -> Packed:
    return pack(tmp_path_factory.mktemp("packed"), miniature_index, compress=False, part_bytes=100_000)


def test_damaged_and_missing_parts_are_told_before_anything_is_unpacked(packed: Packed) -> None:
    part = packed.folder / "bundle.tar.001"
    whole = part.read_bytes()
    part.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    damaged = unpack(packed)
    assert damaged.returncode == 1
    assert damaged.stderr.startswith("unpack.py: bundle.tar.001 is damaged")
    part.unlink()
    missing = unpack(packed)
    assert missing.stderr.startswith("unpack.py: bundle.tar.001 is missing")
    assert not (packed.folder / "bundle").exists()
    part.write_bytes(whole)


def test_what_the_host_has_stays_at_home(miniature_index: Path, tmp_path: Path) -> None:
    store = WheelStore(tmp_path)
    versions = {"lmdeploy": "1.0", "transformers": "4.57.3", "torch": "1.0", "pillow": "1.0"}
    lock = lock_of(miniature_index / "wheels", store, versions)
    roots = ("lmdeploy==1.0", "transformers==4.57.3")

    stack, _ = choose(lock, roots, PYTHON, Luggage({}, HOST_KEEPS), store)
    assert stack.left_out == ["torch"]  # a GPU host without torch is told by the record, not sent gigabytes
    assert [each.partition("-")[0] for each in stack.wheels] == ["lmdeploy", "pillow", "transformers"]

    host = {"torch": "2.11.0", "transformers": "5.17.0", "pillow": "12.0"}
    stack, _ = choose(lock, roots, PYTHON, Luggage(host), store)
    assert stack.host_has == {"pillow": "12.0", "torch": "2.11.0"}
    assert [each.partition("-")[0] for each in stack.wheels] == ["lmdeploy", "transformers"]  # another was asked for

    stack, _ = choose(lock, roots, PYTHON, Luggage(host, carry=("pillow",), leave_out=("pillow",)), store)
    assert "pillow" not in stack.host_has


def test_a_wheel_whose_hash_is_another_is_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(WheelUnavailable, match=r"mini-1-py3-none-any\.whl could not be downloaded"):
        WheelStore(tmp_path).fetch(LockedWheel("mini-1-py3-none-any.whl", NO_PLACE + "mini", "0" * 64, None))


@pytest.mark.parametrize("stored", [False, True])
def test_a_rewritten_wheel_is_a_whole_one(tmp_path: Path, *, stored: bool) -> None:
    wheel = make_wheel(tmp_path, "mini", "1.0", {"mini/__init__.py": "x = 1", "mini/lib/big.so": "#" * 10_000})
    made = tmp_path / "made.whl"
    with made.open("wb") as target:
        rewrite(wheel, target, left_out=["mini/lib/big.so"], stored=stored)
    with zipfile.ZipFile(made) as archive:
        assert archive.testzip() is None
        assert "mini/lib/big.so" not in archive.namelist()
        assert "big.so" not in archive.read("mini-1.0.dist-info/RECORD").decode()
        kinds = {item.compress_type for item in archive.infolist()}
        assert kinds == {zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED}


def test_a_host_listing_is_read_as_pip_writes_it() -> None:
    listing = json.loads('[{"name": "Jinja2", "version": "3.1.6"}, {"name": "torch", "version": "2.11.0+cu130"}]')
    assert host_packages(listing) == {"jinja2": "3.1.6", "torch": "2.11.0"}


def test_usage_errors_say_what_to_do(tmp_path: Path, run_harness: Harness) -> None:
    home = make_project(tmp_path / "home", MATRIX)
    (home.root / "host.json").write_text("not json")
    refused = run_harness(home, "bundle", "--host-packages", "host.json")
    assert refused.returncode == 2
    assert "is not the output of 'pip list --format json'" in refused.stderr
    refused = run_harness(home, "bundle", "--trim", "lmdeploy")
    assert refused.returncode == 2
    assert "--trim takes PACKAGE:FILES" in refused.stderr
    (home.root / "no.tar.gz").write_bytes(b"nothing")
    refused = run_harness(home, "import", "no.tar.gz")
    assert refused.returncode == 2
    assert "cannot be read as the results of a bundle" in refused.stderr
