"""Compatibility told from the wheels' sources alone: nothing is installed, nothing is executed.

A pair of releases is scanned by :class:`harness.scan.pair.Scanner`, the whole map by
:func:`harness.scan.grid.make_grid`, a supposed deadlock is settled by :func:`harness.scan.deadlock.settle`, and a
single name is looked up by :func:`harness.scan.symbols.symbol_versions`. Everything said here is a prediction;
:mod:`harness.scan.truth` measures it against real environments.
"""
