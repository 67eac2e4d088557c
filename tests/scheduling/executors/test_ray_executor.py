"""Real Ray clusters on this machine, and miniatures on their nodes: the records of a local run, whatever goes down."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from harness.core.errors import RunBroken
from harness.results.store import ResultStore
from harness.scheduling.executors.ray_cluster import ENVIRONMENT, FOLDER, demand_answer
from tests.miniatures import MiniProject, make_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.core.records import Record
    from tests.miniatures import Harness

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
NEEDS_RAY = pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed")
MARK = "HARNESS_TEST_OF_RAY"
"""Environment variable by which everything that a run started is known again."""
HANGS = """\
version: 1
axes:
  python: "3.11"
  lmdeploy: ["1.0", "2.0"]
  transformers: "4.57.3"
  backend: pytorch
  model: mini
"""
SETTLES = 90.0
"""Seconds within which a Ray whose driver is gone has to be gone, too; itself it looks every few."""


def records_of(project: MiniProject) -> Mapping[str, Record]:
    return {each.id: each for each in ResultStore(project.root / "reports").records()}


def essence(record: Record) -> list[object]:
    """What must not depend on where it ran."""
    stages = [[str(stage.stage), stage.verdict, [check.name for check in stage.checks]] for stage in record.stages]
    return [record.verdict, record.as_expected, record.lock, record.stack, record.tags, record.command, stages]


def lines_of(project: MiniProject) -> int:
    file = project.root / "reports" / "results.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def marked(mark: str) -> list[psutil.Process]:
    """Living processes with this mark in their environment."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            if each.environ().get(MARK) == mark and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def wait_for(happens: Callable[[], object], seconds: float) -> bool:
    """Whether it happens in time."""
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def start(project: MiniProject, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    with (project.root / "printed.txt").open("wb") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "harness", "run", "--executor", "ray", *arguments],
            cwd=project.root,
            env=environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
        )


@pytest.fixture(scope="module")
def at_home(tmp_path_factory: pytest.TempPathFactory, run_harness: Harness) -> Mapping[str, Record]:
    """Records of a local run of all miniatures."""
    project = make_project(tmp_path_factory.mktemp("local") / "project")
    assert run_harness(project, "run").returncode == 1
    return records_of(project)


class Nodes:
    """A cluster whose nodes have a folder each, as hosts have."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - an optional requirement, and seconds to load

        self._folder = folder
        self.cluster = Cluster(initialize_head=True, head_node_args=self._node(folder / "head"))
        self.address = self.cluster.address

    def add(self) -> tuple[Any, Path]:
        """One more, and its folder."""
        home = self._folder / f"node-{len(list(self._folder.iterdir()))}"
        return self.cluster.add_node(**self._node(home), node_ip_address="127.0.0.2"), home

    def anchor(self) -> None:
        """A driver joins a node with the address of the latest one, and goes down with it: that must be another."""
        head: Any = self.cluster.head_node
        anchor = {**NODE, "num_cpus": 0, "node_ip_address": head.node_ip_address}
        self.cluster.add_node(**anchor)

    def kill(self, node: Any) -> None:
        """Its raylet, and everything below."""
        (raylet,) = [each[0].process for name, each in node.all_processes.items() if name == "raylet"]
        everything = [psutil.Process(raylet.pid), *psutil.Process(raylet.pid).children(recursive=True)]
        for each in everything:
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)

    def homes(self) -> list[Path]:
        """The folders of those that have done something."""
        return sorted(each for each in self._folder.iterdir() if (each / "answers").is_dir())

    def _node(self, home: Path) -> dict[str, Any]:
        home.mkdir()
        return {**NODE, "env_vars": {"HARNESS_HOME": str(home)}}


@contextmanager
def clustered(folder: Path, environment: Mapping[str, str]) -> Iterator[Nodes]:
    """One node with one core, ended afterwards with all that were added."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**environment, **ENVIRONMENT}.items():
            patch.setenv(name, value)
        Path("/tmp/ray").mkdir(exist_ok=True)  # noqa: S108 - Ray's own folder, which its test cluster takes for granted
        made = Nodes(folder)
        yield made
        made.cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def nodes(miniature_environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes, each with one core."""
    with clustered(tmp_path_factory.mktemp("nodes"), miniature_environment) as made:
        made.add()
        yield made


@pytest.fixture
def lone_node(miniature_environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A cluster of one node, which every driver joins."""
    with clustered(tmp_path_factory.mktemp("node"), miniature_environment) as made:
        yield made


@pytest.mark.ray
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")
@NEEDS_RAY
def test_the_records_are_those_of_a_local_run(
    nodes: Nodes,
    at_home: Mapping[str, Record],
    mini_project: MiniProject,
    miniature_environment: Mapping[str, str],
) -> None:
    code = start(mini_project, miniature_environment, "--address", nodes.address).wait(300)
    printed = (mini_project.root / "printed.txt").read_text()
    assert "Traceback" not in printed
    assert code == 1, printed  # the matrix expects what miniatures do not deliver
    found = records_of(mini_project)
    assert {name: essence(each) for name, each in found.items()} == {
        name: essence(each) for name, each in at_home.items()
    }
    assert len({each.machine.node for each in found.values()}) == 2
    assert all(each.machine.node for each in found.values())
    assert len(nodes.homes()) == 2
    reports = mini_project.root / "reports"
    assert {each.lock for each in found.values() if each.lock} == {each.name for each in (reports / "locks").iterdir()}
    asked = {check.key for each in found.values() for stage in each.stages[2:] for check in stage.checks}
    assert asked <= {each.stem for each in (reports / "logs").iterdir()}
    assert start(mini_project, miniature_environment, "--address", nodes.address).wait(300) == 1
    assert lines_of(mini_project) == len(found)  # all known


@pytest.mark.ray
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")
@NEEDS_RAY
def test_a_node_that_dies_costs_no_verdict(
    nodes: Nodes,
    at_home: Mapping[str, Record],
    mini_project: MiniProject,
    miniature_environment: Mapping[str, str],
) -> None:
    doomed, home = nodes.add()
    nodes.anchor()
    running = start(mini_project, miniature_environment, "--address", nodes.address)
    assert wait_for(lambda: (home / "resolutions").is_dir() or running.poll() is not None, 200)
    assert wait_for(lambda: lines_of(mini_project) >= 2 or running.poll() is not None, 200)
    assert running.poll() is None  # results are on file while the run goes on
    nodes.kill(doomed)
    assert running.wait(300) == 1, (mini_project.root / "printed.txt").read_text()
    found = records_of(mini_project)
    assert {name: essence(each) for name, each in found.items()} == {
        name: essence(each) for name, each in at_home.items()
    }
    assert lines_of(mini_project) == len(at_home)  # one writer: each once, whatever was done twice


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
@NEEDS_RAY
def test_a_driver_that_loses_its_own_node_says_so_and_goes_on_later(
    lone_node: Nodes,
    at_home: Mapping[str, Record],
    mini_project: MiniProject,
    miniature_environment: Mapping[str, str],
) -> None:
    running = start(mini_project, miniature_environment, "--address", lone_node.address)
    assert wait_for(lambda: lines_of(mini_project) >= 2 or running.poll() is not None, 200)
    assert running.poll() is None
    lone_node.kill(lone_node.cluster.head_node)
    code = running.wait(120)
    printed = (mini_project.root / "printed.txt").read_text()
    assert code == 4, printed
    assert "Ray on this machine does not answer any more" in printed
    assert "Traceback" not in printed
    kept = lines_of(mini_project)
    assert 2 <= kept < len(at_home)
    lone_node.add()
    assert start(mini_project, miniature_environment, "--address", lone_node.address).wait(300) == 1
    assert lines_of(mini_project) == len(at_home)  # what was finished is not done again
    assert {name: each.verdict for name, each in records_of(mini_project).items()} == {
        name: each.verdict for name, each in at_home.items()
    }


@pytest.mark.ray
@pytest.mark.timeout(400)
@NEEDS_RAY
@pytest.mark.parametrize("end", [None, signal.SIGINT, signal.SIGKILL], ids=["its end", "Ctrl-C", "kill -9"])
def test_a_ray_of_the_runs_own_ends_with_it(
    tmp_path: Path, miniature_environment: Mapping[str, str], end: signal.Signals | None
) -> None:
    project = make_project(tmp_path / "project", HANGS)
    environment = {**miniature_environment, MARK: str(tmp_path)}
    running = start(project, environment, "-j", "2", *(["-k", "lmdeploy1.0"] if end is None else []))
    assert wait_for(lambda: lines_of(project) or running.poll() is not None, 200)
    words = " ".join(word for each in marked(str(tmp_path)) for word in _words(each))
    folders = {Path(each) for each in re.findall(rf"/\w+/{FOLDER}\w+", words)}
    if end is not None:
        assert folders
        running.send_signal(end)
    code = running.wait(60)
    assert code == {None: 1, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[end]
    assert wait_for(lambda: not marked(str(tmp_path)), SETTLES), [_words(each) for each in marked(str(tmp_path))]
    assert lines_of(project) == 1
    assert end is signal.SIGKILL or not any(each.exists() for each in folders)
    for each in folders:
        shutil.rmtree(each, ignore_errors=True)


def _words(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def test_without_ray_one_line_says_what_to_install(
    mini_project: MiniProject, run_harness: Harness, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ray'] = None\n")
    done = run_harness(mini_project, "run", "--executor", "ray", PYTHONPATH=str(tmp_path))
    assert done.returncode == 4
    assert "lmdeploy-harness[ray]" in done.stderr
    assert "Traceback" not in done.stderr
    assert run_harness(mini_project, "run", "-k", "5.0.0-pytorch", PYTHONPATH=str(tmp_path)).returncode == 0


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "a b:1", ":6379"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(RunBroken, match=re.escape(address)):
        demand_answer(address)


def test_an_address_that_does_not_answer_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # bound, and nobody listens
        with pytest.raises(RunBroken, match="ray start --head"):
            demand_answer(address)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(RunBroken, match="ray start --head"):
            demand_answer("auto")
        taken.listen()
        demand_answer(address)
    monkeypatch.delenv("RAY_ADDRESS")
    demand_answer("auto")
    demand_answer(None)
