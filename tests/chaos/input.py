"""Bad input: files of every kind, changed at random, fed to whatever reads them."""

from __future__ import annotations

import io
import shutil
import tarfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import hypothesis
from hypothesis import strategies
from pydantic import ValidationError

from harness.bundle.arrivals import take
from harness.bundle.merge import NotResults
from harness.core.files import read_json
from harness.core.verdict import Verdict
from harness.diagnose.catalogue import CATALOGUE, CatalogueError
from harness.diagnose.catalogue import load as load_catalogue
from harness.engines import CHECKS
from harness.environments.environment import MARKER, Environments
from harness.environments.lock import InvalidLock, Lock
from harness.environments.resolve import Resolver, ResolveRequest
from harness.matrix import MatrixError
from harness.matrix.load import parse_matrix
from harness.matrix.model_files import load_model
from harness.pipeline.check_cache import CheckCache
from harness.pipeline.events import read_report
from harness.process.child import ChildReport, read_events
from harness.results.store import RECORD_FILE, ResultStore
from tests.chaos.kills import MATRIX as RUN_MATRIX
from tests.chaos.registry import Missed, fault
from tests.miniatures import MATRIX, MODEL

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from tests.chaos.registry import Setting, Tally

_WORDS: tuple[bytes, ...] = (
    b"",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"[]",
    b"{}",
    b'"\\ud800"',
    b"\x00",
    b"\xff\xfe",
    b"&a [*a]",
    b"\n- ",
)
_WORDS += (
    b"[" * 3000,
    b"9" * 5000,
    b"../../../../etc/passwd",
    b"!!python/object:os.system",
    b"\xe2\x80\xae",
    b": ",
    b"'",
)
EVENTS = (
    b'{"event": "start", "check": "vision-builder", "pid": 1}\n{"event": "fact", "name": "a", "value": [1, 2]}\n'
    b'{"event": "result", "stage": "import", "outcome": "fail", "message": "m", "exception": {"type": "E", "message": '
    b'"m", "frames": [{"file": "f", "line": 1, "function": "g"}]}, "seconds": 0.5}\n{"event": "end"}\n'
)
LOCK = b"""\
lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "torch-thing"
version = "2.8.0"
wheels = [ { url = "https://x.org/torch_thing-2.8.0-py3-none-any.whl", size = 5, hashes = { sha256 = "bb" } } ]
"""


def changed(original: bytes) -> strategies.SearchStrategy[bytes]:
    """``original`` with a few places cut, doubled or overwritten, or something else altogether."""
    change = strategies.tuples(
        strategies.integers(0, len(original)),
        strategies.integers(0, 40),
        strategies.one_of(strategies.sampled_from(_WORDS), strategies.binary(max_size=8)),
    )

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        content = original
        for place, length, new in changes:
            content = content[:place] + new + content[place + length :]
        return content

    return strategies.one_of(
        strategies.lists(change, min_size=1, max_size=4).map(apply), strategies.binary(max_size=200)
    )


def feed(setting: Setting, tally: Tally, original: bytes, count: int, read: Callable[[bytes], object]) -> None:
    """Give ``read`` that many changed originals; whatever it raises would be a traceback.

    A tenth is hypothesis's, which looks for odd shapes and is slow at it; the rest is changed at random places.
    """
    total = setting.times(count, max(20, count // 50))

    def one(content: bytes) -> None:
        with tally.injection(repr(content[:80])):
            try:
                read(content)
            except Missed:
                raise
            except Exception as error:
                tally.tracebacks += 1
                raise Missed(f"{type(error).__name__}: {str(error)[:200]}") from error

    @hypothesis.seed(setting.random.getrandbits(32))
    @hypothesis.settings(
        max_examples=total // 10,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(changed(original))
    def odd(content: bytes) -> None:
        one(content)

    before = tally.injected
    odd()
    while tally.injected - before < total:
        one(_mutated(setting.random, original))


def _mutated(chance: random.Random, original: bytes) -> bytes:
    content = original
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(content))
        new = chance.choice(_WORDS) if chance.random() < 0.5 else chance.randbytes(chance.randint(0, 8))
        if chance.random() < 0.2:
            start = chance.randint(0, len(content))
            new = content[start : start + chance.randint(0, 200)]
        content = content[:place] + new + content[place + chance.randint(0, 40) :]
    return content


def folder_of(setting: Setting) -> Path:
    folder = setting.ground.new_folder("fuzz")
    folder.mkdir()
    return folder


@fault("input", "matrices", "broken matrix.yaml files")
def matrices(setting: Setting, tally: Tally) -> None:
    """Every problem has its line."""

    def read(content: bytes) -> None:
        with suppress(MatrixError):
            parse_matrix(content)

    feed(setting, tally, MATRIX.encode(), 3000, read)


@fault("input", "specs", "broken model specs")
def specs(setting: Setting, tally: Tally) -> None:
    """As a matrix."""
    path = folder_of(setting) / "mini.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(MatrixError):
            load_model(path)

    feed(setting, tally, MODEL.encode(), 3000, read)


@fault("input", "records", "broken lines in the record file")
def records(setting: Setting, tally: Tally) -> None:
    """Left out, and named."""
    project = setting.ground.project(
        RUN_MATRIX.format(versions=f'"{setting.ground.good_lmdeploys(1)[0]}"', backend="transformers")
    )
    setting.ground.harness(project, "run")
    original = (project.root / "reports" / RECORD_FILE).read_bytes()
    folder = folder_of(setting)

    def read(content: bytes) -> None:
        (folder / RECORD_FILE).write_bytes(content)
        store = ResultStore(folder)
        store.records()
        store.damage()
        store.attempts()

    feed(setting, tally, original, 4000, read)


@fault("input", "events", "broken events of a probe")
def events(setting: Setting, tally: Tally) -> None:
    """A child can write anything."""
    path = folder_of(setting) / "events"
    check = CHECKS["vision-builder"]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        read_report("key", check, ChildReport("exited", 0, 1.0, 1.0, 0, "", read_events(path)))

    feed(setting, tally, EVENTS, 8000, read)


@fault("input", "locks", "broken locks")
def locks(setting: Setting, tally: Tally) -> None:
    """Refused as what they are."""

    def read(content: bytes) -> None:
        with suppress(InvalidLock):
            lock = Lock(content.decode(errors="replace"))
            _ = lock.stack
            lock.requirements()
            lock.download_sizes("3.11")
            lock.wheels("3.11")

    feed(setting, tally, LOCK, 12_000, read)


@fault("input", "state", "broken finish markers, remembered resolutions and answers")
def state(setting: Setting, tally: Tally) -> None:
    """All of it can be made again, so what is damaged counts as absent."""
    folder = folder_of(setting)
    lock, request = Lock(LOCK.decode()), ResolveRequest(python="3.11", requirements=("a",))
    (folder / "bin").mkdir()
    (folder / "bin" / "python").touch()
    environments, resolver, book = Environments(folder.parent), Resolver(folder), CheckCache(folder)
    home = environments.folder(lock)
    folder.rename(home)
    resolver, book = Resolver(home), CheckCache(home)

    def read(content: bytes) -> None:
        for path in (home / MARKER, resolver._file(request), book._file("abcd")):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        environments.find(lock)
        resolver.recall(request)
        book.recall("abcd")
        read_json(home / MARKER)

    feed(setting, tally, f'{{"lock": "{lock.name}", "at": 1.5, "failure": null, "seconds": 1}}'.encode(), 6000, read)
    shutil.rmtree(home, ignore_errors=True)


@fault("input", "verdicts", "broken verdicts")
def verdicts(setting: Setting, tally: Tally) -> None:
    """Each parses to itself or is refused."""

    def read(content: bytes) -> None:
        with suppress(ValueError):
            found = Verdict.parse(content.decode(errors="replace"))
            if Verdict.parse(str(found)) != found:
                raise Missed(f"{found} does not parse back")

    feed(setting, tally, b"fail/import/symbol-removed-or-not-yet-added(transformers.BeamSearchScorer)", 25_000, read)


@fault("input", "signatures", "broken signature catalogues")
def signatures(setting: Setting, tally: Tally) -> None:
    """Refused with the entry's name."""
    path = folder_of(setting) / "signatures.yaml"
    entries = CATALOGUE.read_bytes().split(b"\n\n")
    original = b"\n\n".join(entries[:3])

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(CatalogueError, ValidationError):
            load_catalogue(path)

    feed(setting, tally, original, 600, read)


@fault("input", "archives", "broken, hostile and bursting archives of a bundle's results")
def archives(setting: Setting, tally: Tally) -> None:
    """Nothing lands outside the reports, nothing is taken of a broken one."""
    folder = folder_of(setting)
    outside, reports = folder / "outside", folder / "deep" / "reports"
    path = folder / "results.tar.gz"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(NotResults):
            take(path, reports, folder / "state")

    names = ["results.jsonl", "../../outside", str(outside), "logs/../../../outside", "logs/0123456789abcdef.log"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            item = tarfile.TarInfo(name)
            item.size = 5 if name != "results.jsonl" else 0
            archive.addfile(item, io.BytesIO(b"spoil"[: item.size]))
        link = tarfile.TarInfo("logs/link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        archive.addfile(link)
    read(buffer.getvalue())
    feed(setting, tally, buffer.getvalue(), 4000, read)
    feed(setting, tally, zlib.decompress(buffer.getvalue(), 31), 2000, read)
    found = {each.name for each in reports.rglob("*") if each.is_file()}
    tally.escaped += outside.exists() + len(
        found - {"0123456789abcdef.log", "record.schema.json", ".results.jsonl.lock"}
    )
