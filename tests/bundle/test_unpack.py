"""Build here, boot there: a bundle of miniatures goes to a folder that plays the host, and its records come home."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from harness import __version__
from harness.bundle.carry import Luggage, WheelStore, choose
from harness.bundle.manifest import Manifest, PackedCombination, PackedStack
from harness.bundle.pack import write_bundle
from harness.matrix.project import Project
from harness.results.store import ResultStore
from harness.session.session import Session
from tests.bundle.samples import PYTHON, lock_of
from tests.miniatures import MiniProject, make_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.miniatures import Harness


MATRIX = """\
version: 1
axes: {python: "3.11", lmdeploy: ["1.0"], transformers: ["4.57.3", "5.0.0"], backend: [transformers], model: [mini]}
"""


@dataclass(frozen=True)
class Packed:
    """A bundle and where it came from."""

    home: MiniProject
    folder: Path


def pack(root: Path, index: Path, *, compress: bool, part_bytes: int) -> Packed:
    """What ``lmdeploy-harness bundle`` does, with locks made by hand, since resolving takes an index."""
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
        combinations.append(PackedCombination(combination=each, lock=lock.name))
    manifest = Manifest(
        made=datetime.now(UTC),
        harness=__version__,
        python=PYTHON,
        combinations=combinations,
        stacks=stacks,
        models=["mini"],
    )
    models = {
        f"models/{path.relative_to(session.project.models)}": path
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
        files=models,
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
    assert imported.stdout.startswith("2 records taken, in ")
    (folder,) = (packed.home.root / "reports" / "imported").iterdir()
    assert not (packed.home.root / "reports" / "results.jsonl").exists()
    records = {each.axes["transformers"]: each for each in ResultStore(folder).records()}
    assert records["4.57.3"].verdict == "pass"
    assert records["5.0.0"].verdict.startswith("fail/see/wrong-answer")
    for record in records.values():
        assert record.differences == {"pillow": importlib.metadata.version("pillow")}
        assert (folder / "locks" / str(record.lock) / "pylock.toml").exists()
    page = (packed.home.root / "reports" / "index.html").read_text()
    assert "pillow" in page

    again = run_harness(packed.home, "import", str(packed.folder / "bundle" / "results" / "results.tar.gz"))
    assert again.stdout.startswith("2 were here already")


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
