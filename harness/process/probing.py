"""Running probes in a tested environment, shut in as far as the host can, and what each request came to."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.untrusted_files import remove_tree
from harness.process.bytecode import keep_bytecode
from harness.process.child import CHILDREN, WITHOUT_SANDBOX, ChildReport, Limits, read_events
from harness.process.compiled import lend_compiled
from harness.process.given import GPU_DRIVER
from harness.process.redaction import child_environment
from harness.process.scratch import own_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LOG = logging.getLogger(__name__)
PROBES = Path(__file__).parents[1] / "probes"
_MARKED = re.compile("\n\x1e([^\x1e\n]+)\x1e\n")
"""Before each request's output, as the probes' batch writes it."""
LEAST_FREE = 2**20
"""Bytes; a probe that ended with fewer beside it may have failed for the want of more."""
_END = b'{"event": "end"}'
SWITCH = "HARNESS_SANDBOX"
"""Environment variable; ``off`` lets probes run without namespaces, ``on`` with them beside a GPU driver, too."""
_ON = {"on", "1", "yes"}
_WITHOUT = "none: switched off, or a GPU driver, beside which it has to be asked for"


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """Requests to the probes of one environment: one, or several of which neighbours share what is preloaded.

    ``limits.wall`` is each request's own.
    """

    python: Path
    interpreter: Path
    """What the environment was made with: nothing of what is tested is in it."""
    requests: Sequence[Mapping[str, object]]
    limits: Limits
    environment: Mapping[str, str] = field(default_factory=dict)
    preloads: Sequence[Sequence[str]] = ()
    """One for each of several requests."""
    readable: Sequence[Path] = ()
    """What of this machine they can see beside what their requests name."""
    places: Mapping[str, str] = field(default_factory=dict)
    """Folders of this machine, and what logs call them: the same failure reads the same everywhere."""


def run_probes(call: ProbeCall, scratch_root: Path, log: Path) -> list[ChildReport | None]:
    """Start the probes and return what each request came to; the scratch folder is gone afterwards.

    None stands for a request that was not begun, because the process ended over an earlier one.

    Raises:
        Cancelled: the run is being stopped.
        OSError: the scratch folder or the log cannot be written.
    """
    # the child can write in one folder of the scratch; everything else in it is the harness's own
    scratch = Path(tempfile.mkdtemp(prefix="probe-", dir=own_folder(scratch_root)))
    own = scratch / "child"
    try:
        for name in ("home", "tmp"):
            (own / name).mkdir(parents=True)
        files = [_write_request(scratch, number, request) for number, request in enumerate(call.requests)]
        batch = scratch / "batch.json"
        preloads = call.preloads or [()] * len(files)
        phases = [
            {"preload": list(preload), "requests": [str(file) for _, file in together]}
            for preload, together in groupby(zip(preloads, files, strict=True), key=itemgetter(0))
        ]
        order = {"batch": phases, "wall": call.limits.wall, "events": str(_events_of(batch))}
        batch.write_text(json.dumps(order))
        lend_compiled(CHILDREN, call.python, scratch, own / "home", shut_in=wanted())
        single = len(files) == 1
        report = CHILDREN.run(
            [str(call.python), "-I", str(PROBES / "start.py"), str(files[0] if single else batch)],
            environment=child_environment(home=str(own / "home"), scratch=str(own / "tmp"), extra=call.environment),
            folder=own,
            log=log,
            events=_events_of(files[0] if single else batch),
            limits=call.limits if single else replace(call.limits, wall=call.limits.wall * (len(files) + 1)),
            writable=[own] if wanted() else None,
            readable=[scratch, PROBES, *_named(call.requests), *call.readable],
        )
        roots = [call.python.parent.parent, PROBES]
        keep_bytecode(CHILDREN, call.interpreter, scratch, own, roots, shut_in=wanted())
        places = {**call.places, str(own): "<scratch>", str(scratch): "<scratch>"}
        parts = [_told(each, places, report.sandbox) for each in _parts(report, files)]
        if shutil.disk_usage(scratch).free >= LEAST_FREE:
            return parts
        return [replace(each, end="disk") if each is not None and each.end == "exited" else each for each in parts]
    finally:
        with suppress(OSError):  # the disk is broken: the next sweep tries again
            remove_tree(scratch)


def _named(value: object) -> Iterator[Path]:
    """Every file and folder that requests name: what they are asked about."""
    if isinstance(value, str):
        if value.startswith("/") and "\0" not in value and "\n" not in value and os.path.lexists(value):
            yield Path(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _named(each)


def _parts(report: ChildReport, files: Sequence[Path]) -> list[ChildReport | None]:
    return [report] if len(files) == 1 else _divided(report, files)


def wanted() -> bool:
    """Whether probes are to be shut in, as they are unless the user says otherwise or there is a GPU driver.

    The driver did not start where ``/proc`` is read-only (seen with an H200: ``cuInit`` answers 304), and a probe that
    cannot see the GPU would blame the stack for it. The ``/proc`` of a namespace of processes is not; until somebody
    saw a boot there, it is asked for by hand.
    """
    asked = os.environ.get(SWITCH, "").lower()
    return asked in _ON if asked or GPU_DRIVER.exists() else True


def sandbox_of_this_host() -> str:
    """``namespaces``, or why probes run without them here, which is told.

    Raises:
        Cancelled: the run is being stopped.
        OSError: it could not be found out.
    """
    if wanted():
        return CHILDREN.sandbox()
    _LOG.warning(WITHOUT_SANDBOX, _WITHOUT)
    return _WITHOUT


def _told(report: ChildReport | None, places: Mapping[str, str], sandbox: str) -> ChildReport | None:
    """The report, with this machine's folders called by their names in log and events, the longest first."""
    if report is None:
        return None
    log, events = report.log, report.events
    for folder in sorted(places, key=len, reverse=True):
        log = log.replace(folder, places[folder])
        written = json.dumps(folder, ensure_ascii=False)[1:-1]  # as the probes write
        events = events.replace(written.encode("utf-8", "surrogateescape"), places[folder].encode())
    return replace(report, log=log, events=events, sandbox=sandbox or _WITHOUT)


def _write_request(scratch: Path, number: int, request: Mapping[str, object]) -> Path:
    work = scratch / "child" / f"work-{number}"
    work.mkdir()
    file = scratch / f"request-{number}.json"
    file.write_text(json.dumps({**request, "events": str(_events_of(file)), "scratch": str(work)}))
    return file


def _events_of(request: Path) -> Path:
    return request.parent / "child" / f"{request.stem}.events.jsonl"


class _Ended(BaseModel):
    """How one fork of a batch ended, as the batch says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event: Literal["ended"]
    request: str
    end: Literal["exited", "wall"]
    exit: int = Field(ge=-64, le=255)
    seconds: float = Field(ge=0, le=10**6)
    peak: int = Field(ge=0, le=2**50)
    left: int = Field(ge=0, le=2**22)


def _divided(report: ChildReport, files: Sequence[Path]) -> list[ChildReport | None]:
    """The batch's report, one for each request: its own end, its own events, its own part of the log."""
    *lines, _ = report.events.split(b"\n")  # a last line without an end is that of a batch that died over it
    ended: dict[str, _Ended] = {}
    spoilt = ""
    for number, line in enumerate(lines, start=1):
        if line == _END and number == len(lines):
            break
        try:
            end = _Ended.model_validate_json(line)
        except ValidationError:
            end = None
        if end is None or end.request in ended or end.request != str(files[min(len(ended), len(files) - 1)]):
            spoilt = f"line {number} of the batch's events is not one that it writes"
            break
        ended[end.request] = end
    _, *marked = _MARKED.split(report.log)
    logs = dict(zip(marked[::2], marked[1::2], strict=True))
    found: list[ChildReport | None] = []
    for file in files:
        name = str(file)
        fork = ended.get(name)
        if fork is None and name not in logs:
            found.append(None)
            continue
        own = replace(report, log=logs.get(name, "").strip("\n"), events=read_events(_events_of(file)), spoilt=spoilt)
        if fork is not None:  # None: the one over which the process ended
            own = replace(
                own,
                end=fork.end,
                exit_code=fork.exit,
                seconds=fork.seconds,
                peak_memory_mib=round(fork.peak / 2**20, 1),
                leaked=fork.left,
            )
        found.append(own)
    return found
