"""Children: whatever they do, they end, their tree ends, and what they said is kept."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from harness.process.child import Cancelled, Children, ChildReport, Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., ChildReport]:
    """Run Python code as a child."""

    def run(code: str, children: Children | None = None, **limits: float) -> ChildReport:
        return (children or Children()).run(
            [sys.executable, "-c", code],
            environment={"EVENTS": str(tmp_path / "events"), "PATH": os.environ["PATH"]},
            folder=tmp_path,
            log=tmp_path / "log",
            events=tmp_path / "events",
            limits=Limits(**{"wall": 20.0, "idle": 10.0, **limits}),  # type: ignore[arg-type]  # memory is an int there
        )

    return run


def children_of_this_process() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE]


def test_an_ordinary_child(start: Callable[..., ChildReport]) -> None:
    report = start(
        "print('hello'); open(__import__('os').environ['EVENTS'], 'w').write('{\"event\": \"fact\"}\\n{torn')"
    )
    assert (report.end, report.exit_code, report.log, report.leaked) == ("exited", 0, "hello\n", 0)
    assert report.events == b'{"event": "fact"}\n{torn'


def test_a_silent_child_is_ended_by_the_idle_limit(start: Callable[..., ChildReport]) -> None:
    report = start("import time; print('once', flush=True); time.sleep(60)", idle=0.6)
    assert (report.end, report.log) == ("idle", "once\n")


def test_a_busy_child_is_not_idle_but_has_its_wall(start: Callable[..., ChildReport]) -> None:
    report = start("while True: pass", idle=3.0, wall=5.0)
    assert report.end == "wall"


def test_a_chatty_child_has_its_wall(start: Callable[..., ChildReport]) -> None:
    report = start("import time\nwhile True: print('.', flush=True); time.sleep(0.05)", idle=0.5, wall=1.5)
    assert report.end == "wall"


def test_a_child_that_ignores_sigterm_is_killed(start: Callable[..., ChildReport]) -> None:
    report = start("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)", wall=1.0)
    assert (report.end, report.signal_name) == ("wall", "SIGKILL")


def test_a_daemon_is_adopted_and_ended(start: Callable[..., ChildReport], tmp_path: Path) -> None:
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
while not os.path.exists({str(tmp_path / "pid")!r}): time.sleep(0.01)
"""
    report = start(code)
    assert (report.end, report.leaked) == ("exited", 1)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_memory_has_a_ceiling(start: Callable[..., ChildReport]) -> None:
    report = start("import time; x = b'x' * 400_000_000; time.sleep(30)", memory=200_000_000)
    assert report.end == "memory"
    assert report.peak_memory_mib > 190


def test_processes_have_a_ceiling(start: Callable[..., ChildReport]) -> None:
    code = "import os, time\nfor _ in range(40):\n  if os.fork() == 0: time.sleep(30)\ntime.sleep(30)"
    assert start(code, processes=8).end == "processes"


def test_a_child_that_said_its_end_and_lingers_is_ended(start: Callable[..., ChildReport]) -> None:
    code = """
import os, time
open(os.environ["EVENTS"], "w").write('{"event": "result", "stage": "import"}\\n{"event": "end"}\\n')
time.sleep(60)
"""
    report = start(code)
    assert report.end == "lingered"
    assert report.events.endswith(b'{"event": "end"}\n')


def test_gigabytes_of_output_stay_small(start: Callable[..., ChildReport], tmp_path: Path) -> None:
    report = start("import os\nfor i in range(3000): os.write(1, b'%06d' % i + b'x' * 65530)\nprint('the end')")
    assert (tmp_path / "log").stat().st_size < 3 * 2**20
    assert report.log.startswith("000000")
    assert "left out" in report.log
    assert report.log.endswith("the end\n")


def test_a_signal_is_named(start: Callable[..., ChildReport]) -> None:
    assert start("import os; os.abort()").signal_name == "SIGABRT"


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    report = Children().run(
        ["/no/such/program"],
        environment={},
        folder=tmp_path,
        log=tmp_path / "log",
        events=tmp_path / "events",
        limits=Limits(),
    )
    assert report.end == "not-started"
    assert "No such file" in report.message


def test_stopping_ends_what_runs_and_what_would_run(start: Callable[..., ChildReport]) -> None:
    children = Children()
    ended: list[type[BaseException]] = []

    def run() -> None:
        try:
            start("import time; time.sleep(60)", children)
        except Cancelled as error:
            ended.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(children_of_this_process()) < 2:
        time.sleep(0.02)
    children.stop()
    thread.join(10)
    assert ended == [Cancelled]
    assert children_of_this_process() == []
    with pytest.raises(Cancelled):
        start("pass", children)


def test_a_first_child_that_can_be_shut_in_halfway_alone_does_not_run(tmp_path: Path) -> None:
    children = Children()
    code = [sys.executable, "-c", "print('ran')"]
    halfway = children.run(code, environment={}, folder=tmp_path, writable=[tmp_path / "nowhere"])
    assert (halfway.end, halfway.log) == ("not-started", "")
    assert "the sandbox cannot be entered: open_tree" in halfway.message
    assert children.run(code, environment={}, folder=tmp_path, writable=[tmp_path]).sandbox == "namespaces"


def test_a_host_that_shuts_nobody_in_is_told_of_and_in_every_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = Children()
    code = [sys.executable, "-c", "print('ran')"]
    given = {"write": [str(tmp_path / "nowhere")], "read": [], "devices": [], "temporary": []}
    monkeypatch.setattr("harness.process.child.given_to", lambda *_: given)
    for _ in range(2):
        report = children.run(code, environment={}, folder=tmp_path, writable=[tmp_path])
        assert (report.end, report.log) == ("exited", "ran\n")
        assert "the sandbox cannot be entered: open_tree" in report.sandbox
    assert len(caplog.messages) == 1


def test_want_of_memory_is_no_reason_to_run_without_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children = Children()
    account = {"end": "not-started", "message": "Cannot allocate memory", "errno": 12}
    monkeypatch.setattr(Children, "_run", lambda *_: account)
    with pytest.raises(OSError, match="allocate"):
        children.run([sys.executable, "-c", ""], environment={}, folder=tmp_path, writable=[tmp_path])
    assert children._sandbox is None


def test_a_child_that_stops_its_supervisor_does_not_hang_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.process.child.PATIENCE", 0.5)
    code = "import os, time; os.kill(os.getppid(), 19); time.sleep(60)"
    report = Children().run(
        [sys.executable, "-c", code], environment={}, folder=tmp_path, limits=Limits(wall=0.5, idle=0.5)
    )
    assert report.signal_name == "SIGKILL"
    assert children_of_this_process() == []
