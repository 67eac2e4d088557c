"""How long ``lmdeploy-harness explain`` takes on large logs, and how the time grows with their size.

Run ``python -m benchmarks.explain_speed``; it prints one line for each kind of log and size: seconds of wall time,
seconds of processor time, and peak memory added. Every measurement runs in a process of its own and reads the log
from a file, as the command does. The catalogue's loading is measured once, apart.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

MEGABYTE = 1_000_000
_INFO = (
    b"(EngineCore_0 pid=123) INFO 01-04 09:33:01 [loggers.py:123] Engine 000: Avg prompt throughput: 0.0 tokens/s, "
    b"Avg generation throughput: 12.0 tokens/s, Running: 1 reqs\n"
)
_TRACEBACK = b"""Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/lmdeploy/vl/model/gemma3_vl.py", line 6, in <module>
    from transformers.processing_utils import ImagesKwargs, ProcessingKwargs
ImportError: cannot import name 'ImagesKwargs' from 'transformers.processing_utils' (/venv/x/processing_utils.py)
"""


def _repeated(line: bytes, size: int) -> bytes:
    return line * (size // len(line))


def _numbered(template: bytes, size: int) -> bytes:
    return b"".join(template.replace(b"%d", str(number).encode()) for number in range(size // len(template)))


def make_log(kind: str, size: int) -> bytes:
    """A log of about ``size`` bytes.

    Raises:
        KeyError: there is no such kind.
    """
    half = size // 2
    makers = {
        "server": lambda: _repeated(_INFO, half) + _TRACEBACK + _repeated(_INFO, half),
        "errors": lambda: (
            _numbered(b"2026-01-04 03:28:52,036 - engine - ERROR - request %d failed\n", size) + _TRACEBACK
        ),
        "tracebacks": lambda: _numbered(_TRACEBACK.replace(b"ImagesKwargs", b"Name%d"), size),
        "matches": lambda: _numbered(b"cannot import name 'name%d' from\n", size),
        "one line": lambda: b"a" * half + _TRACEBACK.replace(b"\n", b" ") + b"a" * half,
        "progress": lambda: (
            _repeated(b"Loading: 10%|####    | 1/10 [00:01<00:02, 1.0it/s]\r", size) + b"\n" + _TRACEBACK
        ),
        "colours": lambda: _repeated(b"\x1b[32mINFO\x1b[0m \x1b[1mall\x1b[0m is well\n", size) + _TRACEBACK,
        "zeros": lambda: b"\0" * size,
    }
    return makers[kind]()


KINDS = ("server", "errors", "tracebacks", "matches", "one line", "progress", "colours", "zeros")


def _peak_mib() -> int:
    """Peak memory of this process; what the operating system counts for it includes the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


def measure(path: Path) -> dict[str, float | str | None]:
    """Classify one log in this process."""
    from harness.diagnose import Evidence, classify  # noqa: PLC0415 - its loading is part of what is measured
    from harness.diagnose.catalogue import shipped  # noqa: PLC0415 - same reason

    started = time.perf_counter()
    shipped()
    loaded = time.perf_counter()
    before, processor = _peak_mib(), time.process_time()
    diagnosis = classify(Evidence.from_log(path))
    return {
        "load_s": round(loaded - started, 3),
        "wall_s": round(time.perf_counter() - loaded, 3),
        "processor_s": round(time.process_time() - processor, 3),
        "memory_mib": _peak_mib() - before,
        "signature": diagnosis.signature,
    }


@click.command()
@click.option("--sizes", default="25,50,100", show_default=True, help="Megabytes, separated by commas.")
@click.option("--one", type=click.Path(path_type=Path), hidden=True)
def main(sizes: str, one: Path | None) -> None:
    """Measure how fast logs are explained."""
    if one is not None:
        click.echo(json.dumps(measure(one)))
        return
    for kind in KINDS:
        for size in (int(text) for text in sizes.split(",")):
            with tempfile.NamedTemporaryFile(suffix=".log") as file:
                file.write(make_log(kind, size * MEGABYTE))
                file.flush()
                command = [sys.executable, "-m", "benchmarks.explain_speed", "--one", file.name]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
            click.echo(f"{kind:12} {size:4} MB  {done.stdout.strip()}")


if __name__ == "__main__":
    main()
