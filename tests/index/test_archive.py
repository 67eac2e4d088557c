"""Reading parts of wheels over HTTP, whole source archives, and what is kept between releases."""

from __future__ import annotations

import io
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from harness.index.cache import Store, StoreUnusable
from harness.index.download import IndexUnavailable
from harness.scan.sources.release import Library, NoSuchRelease
from tests.scan.miniatures import LINUX, publish, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {"pkg/__init__.py": "from .a import X\n", "pkg/a.py": "X = 1\n", "pkg/big.bin": "0" * 900_000}


class _Handler(BaseHTTPRequestHandler):
    """Serves a folder, with or without ranges."""

    def __init__(self, folder: Path, ranges: bool, asked: list[str], *args: object) -> None:
        self.folder, self.ranges, self.asked = folder, ranges, asked
        super().__init__(*args)  # type: ignore[arg-type] # as the server calls it

    def do_GET(self) -> None:
        name = self.path.strip("/")
        path = self.folder / name
        path = path / "index.json" if path.is_dir() else path
        if not path.exists():
            self.send_error(404)
            return
        data = path.read_bytes()
        status, wanted = 200, self.headers.get("Range")
        if wanted and self.ranges:
            start, end = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
            status, data = 206, data[start : end + 1]
        self.asked.append(f"{status} {name} {len(data)}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


@contextmanager
def served(folder: Path, *, ranges: bool = True) -> Iterator[tuple[str, list[str]]]:
    """The address of an index over HTTP, and what was asked of it."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder, ranges, asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    publish(folder, "pkg", wheel("pkg", "1.0", FILES), wheel("pkg", "1.1", FILES | {"pkg/a.py": "X = Y = 1\n"}))
    return folder


def test_only_stretches_of_a_wheel_are_fetched(index: Path, tmp_path: Path) -> None:
    with served(index) as (url, asked):
        library = Library(tmp_path / "cache", index_url=url)
        release = library.release("pkg", "1.0")
        assert release.source("pkg.a") == b"X = 1\n"
        library.close()
    wheels = [line for line in asked if line.split()[1].endswith(".whl")]
    assert wheels
    assert all(line.startswith("206") for line in wheels)


def test_a_server_without_ranges_is_asked_once_for_the_whole(index: Path, tmp_path: Path) -> None:
    with served(index, ranges=False) as (url, asked):
        library = Library(tmp_path / "cache", index_url=url)
        release = library.release("pkg", "1.0")
        assert release.source("pkg.a") == b"X = 1\n"
        assert release.source("pkg") == b"from .a import X\n"
        library.close()
    assert sum(line.split()[1].endswith(".whl") for line in asked) == 1


def test_an_unchanged_file_is_fetched_and_parsed_once_for_all_releases(index: Path, tmp_path: Path) -> None:
    with served(index) as (url, asked):
        library = Library(tmp_path / "cache", index_url=url)
        first, second = library.release("pkg", "1.0"), library.release("pkg", "1.1")
        assert first.content_of("pkg") == second.content_of("pkg")
        assert first.facts("pkg") is second.facts("pkg")
        before = len(asked)
        second.source("pkg")
        assert asked[before:] == []
        library.close()


def test_a_second_library_asks_for_nothing(index: Path, tmp_path: Path) -> None:
    with served(index) as (url, asked):
        for _ in range(2):
            library = Library(tmp_path / "cache", index_url=url)
            release = library.release("pkg", "1.0")
            release.facts("pkg")
            assert release.requirements == ()
            library.close()
            seen = len(asked)
            asked.clear()
        assert seen == 0


def test_a_damaged_file_is_refused(index: Path, tmp_path: Path) -> None:
    path = next((index / "pkg").glob("*1.0*.whl"))
    data = bytearray(path.read_bytes())
    place = data.index(b"pkg/a.py") + len(b"pkg/a.py")
    data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    with pytest.raises(IndexUnavailable, match=r"pkg/a\.py"):
        library.release("pkg", "1.0").source("pkg.a")
    library.close()


def test_a_source_archive_is_read_without_running_it(tmp_path: Path) -> None:
    index = tmp_path / "index"
    files = {"setup.py": "raise SystemExit", "src/gen/__init__.py": "from transformers import X\n"}
    publish(index, "gen", sdist("gen", "0.1", files))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    release = library.release("gen", "0.1")
    assert release.path_of("gen") == "gen/__init__.py"
    assert release.source("gen") == b"from transformers import X\n"
    library.close()


def test_a_source_archive_of_old_days_is_a_zip(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("Gen-0.1/Gen/__init__.py", "X = 1\n")
    publish(tmp_path / "index", "gen", ("Gen-0.1.zip", stream.getvalue()))
    library = Library(tmp_path / "cache", index_url=(tmp_path / "index").as_uri())
    assert library.release("gen", "0.1").source("Gen") == b"X = 1\n"
    library.close()


def test_a_damaged_source_archive_is_the_indexs_trouble(tmp_path: Path) -> None:
    for number, name in enumerate(("gen-0.1.zip", "gen-0.2.tar.gz"), 1):
        publish(tmp_path / "index", "gen", (name, b"PK nothing"))
        library = Library(tmp_path / "cache", index_url=(tmp_path / "index").as_uri())
        with pytest.raises(IndexUnavailable, match=f"{name} cannot be read"):
            library.release("gen", f"0.{number}").has("gen")
        library.close()


def test_yanked_releases_count_only_when_named(tmp_path: Path) -> None:
    index = tmp_path / "index"
    built = wheel("pkg", "2.0", FILES)
    publish(index, "pkg", wheel("pkg", "1.0", FILES), built, wheel("pkg", "3.0rc1", FILES), yanked=[built[0]])
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    assert [str(version) for version in library.versions("pkg")] == ["1.0"]
    assert library.release("pkg", "2.0").has("pkg")
    library.close()


def test_the_wheel_for_the_asked_python_is_read(tmp_path: Path) -> None:
    index = tmp_path / "index"
    other = wheel("pkg", "1.0", FILES, tag="cp310-cp310-win_amd64")
    publish(index, "pkg", other, wheel("pkg", "1.0", FILES, tag=LINUX))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    assert LINUX in library.release("pkg", "1.0").archive.file.filename
    library.close()


def test_an_unknown_version_names_its_neighbours(index: Path, tmp_path: Path) -> None:
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    with pytest.raises(NoSuchRelease, match=r"1\.7 is not in the package index; near it: 1\.0, 1\.1"):
        library.release("pkg", "1.7")
    with pytest.raises(NoSuchRelease, match="is not a version"):
        library.release("pkg", "latest!")
    library.close()


def test_an_unknown_package_is_told(index: Path, tmp_path: Path) -> None:
    with served(index) as (url, _):
        library = Library(tmp_path / "cache", index_url=url)
        with pytest.raises(NoSuchRelease, match="no package absent"):
            library.versions("absent")
        with pytest.raises(NoSuchRelease, match="no package absent"):
            library.release("absent", "1.0")
        library.close()


def test_requirements_come_without_extras(tmp_path: Path) -> None:
    index = tmp_path / "index"
    requires = ["torch<=2.8.0,>=2.0.0", "flax; extra == 'flax'", "triton; sys_platform == 'linux'"]
    publish(index, "pkg", wheel("pkg", "1.0", FILES, requires))
    library = Library(tmp_path / "cache", index_url=index.as_uri())
    assert [requirement.name for requirement in library.release("pkg", "1.0").requirements] == ["torch", "triton"]
    library.close()


def test_readings_are_kept_for_the_next_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_reading("c", "k", [1])
    assert store.reading("c", "k") == [1]
    assert store.readings(["c", "d"], "k") == {"c": [1]}
    store.close()
    store = Store(tmp_path)
    assert store.reading("c", "k") == [1]
    store.forget_readings()
    assert store.reading("c", "k") is None
    store.close()


def test_a_cache_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="--cache"):
        Store(tmp_path / "file" / "cache")
