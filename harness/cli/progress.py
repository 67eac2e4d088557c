"""What a person sees while combinations run: what is running and for how long, what came of the rest, when it ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli.console import make_console
from harness.cli.run_output import reason_line, verdict_text
from harness.core.verdict import Stage, Status, Verdict
from harness.scheduling.budget import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from harness.core.records import Record, StageRecord
    from harness.matrix import Combination
    from harness.session.execute import Display

BEAT = 60.0
"""Seconds of silence after which a run that nobody watches on a terminal says that it goes on."""
SHOWN = 8
"""Lines for what is running; a cluster has more under way than a screen has lines."""
BEGINNING = "resolve, install, import"
"""What is asked of a stack before the first of its combinations is taken up."""


@dataclass(slots=True)
class _Running:
    since: float
    now: str
    beside: int = 0
    """Further combinations of the same stack that begin with it."""


@dataclass(slots=True)
class Progress:
    """Counts what is running, done and left. Not safe for threads: the display guards it."""

    total: int
    excluded: int = 0
    """Those that the matrix leaves out: they take no time."""
    clock: Callable[[], float] = time.monotonic
    _running: dict[str, _Running] = field(default_factory=dict)
    _ended: Counter[Status] = field(default_factory=Counter)
    _known: int = 0
    _ran: int = 0
    """Ended in this run, and took time."""
    _begun: float | None = None

    @property
    def done(self) -> int:
        """How many have a verdict."""
        return self._ended.total()

    def begin(self, work: Sequence[Combination]) -> None:
        """Somebody takes these up: a stack's combinations, or one of them whose stack is ready."""
        now = self.clock()
        self._begun = now if self._begun is None else self._begun
        taken = [each for each in work if each.excluded is None]
        if not taken:
            return
        first, *others = taken
        before = self._running.get(first.id)
        if others:
            self._running[first.id] = _Running(now, BEGINNING, len(others))
        elif before is None or before.beside:
            self._running[first.id] = _Running(now if before is None else before.since, BEGINNING)

    def reach(self, identity: str, stage: StageRecord) -> None:
        """A stage was answered."""
        running = self._running.setdefault(identity, _Running(self.clock(), BEGINNING))
        running.now = f"after {stage.stage}"

    def end(self, record: Record, *, known: bool) -> None:
        """One is done."""
        status = Verdict.parse(record.verdict).status
        self._running.pop(record.id, None)
        self._ended[status] += 1
        self._known += known
        self._ran += not known and status is not Status.SKIPPED

    def seconds_left(self) -> float | None:
        """How long the rest takes if it goes on like this; None as long as nothing shows it."""
        if not self._ran or self._begun is None:
            return None
        left = self.total - self.excluded - (self.done - self._ended[Status.SKIPPED])
        return max(0, left) * (self.clock() - self._begun) / self._ran

    def counts(self) -> str:
        """``12 of 245 done (9 pass, 3 fail, 4 of them known), 233 left, about 48m to the end``."""
        parts = [f"{self._ended[status]} {status}" for status in Status if self._ended[status]]
        parts += [f"{self._known} of them known"] if self._known else []
        came_of = f" ({', '.join(parts)})" if parts else ""
        text = f"{self.done} of {self.total} done{came_of}, {self.total - self.done} left"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {in_words(left)} to the end"

    def running(self) -> list[str]:
        """A line for each that is running, the longest first."""
        now = self.clock()
        lines = [
            f"{in_words(now - each.since):>6}  {identity}"
            + (f" and {each.beside} more of its stack" if each.beside else "")
            + f"  {each.now}"
            for identity, each in sorted(self._running.items(), key=lambda item: item[1].since)
        ]
        further = len(lines) - SHOWN
        return lines if further <= 0 else [*lines[:SHOWN], f"        and {further} more"]


@dataclass(slots=True)
class RunDisplay:
    """On a terminal a bar and what is running; elsewhere a line now and then; a line for each that is finished."""

    console: Console
    progress: Progress
    verbosity: int = 0
    """-1: only what is unexpected; 0: one line a combination; 1: one a stage, too."""
    told_elsewhere: bool = False
    """Somebody else prints the verdicts, as nox does."""
    beat: float = BEAT
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _live: Live | None = None
    _left: threading.Event = field(default_factory=threading.Event)
    _beating: threading.Thread | None = None
    _spoke: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        if self.verbosity < 0:
            return self
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=2, transient=True)
            self._live.start()
        else:
            self._left.clear()
            self._beating = threading.Thread(target=self._go_on_saying, name="progress", daemon=True)
            self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._beating is not None:
            self._beating.join()
            self._beating = None

    def begun(self, work: Sequence[Combination]) -> None:
        """Show that it is running."""
        with self._lock:
            self.progress.begin(work)

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """Show the stage where somebody watches."""
        with self._lock:
            self.progress.reach(combination.id, stage)
            if self.verbosity > 0 and not self.told_elsewhere:
                emulated = "  [dim](emulated)[/]" if stage.stage is Stage.EMULATE else ""
                self._say(f"  {combination.id}  {escape(stage.verdict)}  {stage.seconds:.1f} s{emulated}")

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """Count it, and print its line; why, where it says nothing about versions or was not expected."""
        with self._lock:
            self.progress.end(record, known=known)
            quiet = self.verbosity < 0 or (known and self.verbosity < 1)
            if self.told_elsewhere or (quiet and record.as_expected is not False):
                return
            number = f"[dim][{self.progress.done}/{self.progress.total}][/dim]"
            self._say(f"{number} {combination.id}  {verdict_text(record)}{' [dim](known)[/]' if known else ''}")
            why = reason_line(record)
            infra = Verdict.parse(record.verdict).status is Status.INFRA
            if why and (record.as_expected is False or infra or self.verbosity > 0):
                self._say(f"        [dim]{escape(why)}[/]")

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        self.console.print(text)

    def _picture(self) -> Group:
        with self._lock:
            head = Table.grid(padding=(0, 2))
            bar = ProgressBar(total=max(1, self.progress.total), completed=self.progress.done, width=32)
            head.add_row(bar, self.progress.counts())
            lines = [Text(each, style="dim", no_wrap=True, overflow="ellipsis") for each in self.progress.running()]
            return Group(head, *lines)

    def _go_on_saying(self) -> None:
        while not self._left.wait(max(0.0, self._spoke + self.beat - time.monotonic())):
            with self._lock:
                if time.monotonic() >= self._spoke + self.beat:
                    lines = [self.progress.counts(), *(f"  {each}" for each in self.progress.running())]
                    self._say(escape("\n".join(lines)))


def display(verbosity: int) -> Display:
    """What shows a run on standard error; -1 says nothing but what is unexpected."""
    return lambda chosen: RunDisplay(make_console(stderr=True), progress_of(chosen), verbosity)


def progress_of(chosen: Sequence[Combination]) -> Progress:
    """A count of nothing yet."""
    return Progress(len(chosen), sum(each.excluded is not None for each in chosen))
