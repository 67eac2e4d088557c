"""Running combinations while somebody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from harness.scheduling.run import LeftOver
from harness.session.miniatures import make_missing
from harness.session.publish import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from harness.core.records import Record, StageRecord
    from harness.matrix import Combination
    from harness.scheduling.run import Listener, Run
    from harness.session.session import Session


Display: TypeAlias = "Callable[[Sequence[Combination]], AbstractContextManager[Listener]]"
"""Makes what shows a run of those combinations."""


def run_all(
    session: Session, chosen: Sequence[Combination], display: Display, *, publish: bool = True, make: bool = True
) -> list[Record]:
    """Run the combinations with a display, and return their records in order; what a budget left over has none.

    ``make`` says whether miniatures that are not on this machine are made.

    Raises:
        RunBroken: the harness could not go on.
        HarnessError: a miniature that the run needs could not be tried to be made.
        KeyboardInterrupt: stopped from the keyboard; no child is left.
    """
    if make:
        models = {each.model for each in chosen if each.excluded is None}
        make_missing(session, [session.models[name] for name in sorted(models)])
    publisher = Publisher(session.store, session)
    with display(chosen) as shown:
        running = session.run(chosen, Announcer(shown, publisher if publish else None))
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

    def __init__(self, display: Listener, publisher: Publisher | None) -> None:
        self._display = display
        self._publisher = publisher

    def begun(self, work: Sequence[Combination]) -> None:
        """Show it."""
        self._display.begun(work)

    def stage_reached(self, combination: Combination, stage: StageRecord) -> None:
        """Show it."""
        self._display.stage_reached(combination, stage)

    def finished(self, combination: Combination, record: Record, *, known: bool) -> None:
        """Show it, and render the report now and then."""
        self._display.finished(combination, record, known=known)
        if not known and self._publisher is not None:
            self._publisher.note_result()
