"""Where the work of a run is done: on this machine (``local``), or on the nodes of a Ray cluster (``ray``).

An executor takes pieces of work from a run, has them done, and hands every result back. It writes nothing: the run is
the only writer of records, whichever executor it has.
"""

from harness.scheduling.executors.interface import Executor, Outlet, Work
from harness.scheduling.executors.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor", "Outlet", "Work"]
