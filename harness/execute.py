"""Running combinations while somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.console import RunDisplay, make_console
from harness.publish import Publisher
from harness.run import LeftOver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.matrix import Combination
    from harness.records import Record, StageRecord
    from harness.run import Run
    from harness.workbench import Workbench


def climb_all(bench: Workbench, chosen: Sequence[Combination], *, verbosity: int, publish: bool = True) -> list[Record]:
    """Run the combinations with a display, and return their records in order; what a budget left over has none.

    Raises:
        RunBroken: the harness could not go on.
        KeyboardInterrupt: stopped from the keyboard; no child is left.
    """
    publisher = Publisher(bench.store, bench)
    with RunDisplay(make_console(stderr=True), len(chosen), verbosity) as display:
        running = bench.run(chosen, Announcer(display, publisher if publish else None))
        try:
            running.start()
            return [record for each in chosen if (record := _record(running, each.id)) is not None]
        finally:
            running.stop()
            publisher.settle()


def _record(running: Run, identity: str) -> Record | None:
    try:
        return running.record(identity)
    except LeftOver:
        return None


class Announcer:
    """Tells the display and the report of every result."""

    def __init__(self, display: RunDisplay, publisher: Publisher | None) -> None:
        self._display = display
        self._publisher = publisher

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """Show it."""
        self._display.stage_reached(combination, stage)

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """Show it, and render the report now and then."""
        self._display.finished(combination, record, known=known)
        if not known and self._publisher is not None:
            self._publisher.note_result()
