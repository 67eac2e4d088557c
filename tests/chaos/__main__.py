"""``python -m tests.chaos``: bring about the faults and say what became of them (``nox -s chaos``)."""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import os
import pkgutil
import sys
import tempfile
import time
from pathlib import Path

import click

from harness.core.untrusted_files import remove_tree
from tests.chaos.registry import all_faults
from tests.chaos.table import TABLE, document, one_line, store, stored
from tests.chaos.together import bring_all_about

SEED = 8


def main() -> int:
    """Parse the options, run the scenarios, write the table if asked; 0 when all was survived."""
    parser = argparse.ArgumentParser(prog="nox -s chaos --", description=__doc__)
    parser.add_argument("--only", action="append", metavar="PATTERN", help="e.g. disk/* or kills/twice; repeatable")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of every random choice (default {SEED})")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions of the same, for every push")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="faults at a time (default: cores)")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE}")
    parser.add_argument("--outcomes", type=Path, metavar="FILE", help="add the outcomes to this file")
    parser.add_argument("--table-of", type=Path, metavar="FILE", help=f"only write {TABLE.name}, from such a file")
    parser.add_argument("--list", action="store_true", help="only say which faults there are")
    options = parser.parse_args()
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name != "__main__":
            importlib.import_module(f"tests.chaos.{module.name}")
    patterns = options.only or ["*"]
    chosen = [each for each in all_faults() if any(fnmatch.fnmatch(each.identity, one) for one in patterns)]
    if not chosen:
        parser.error(f"no fault is called {' or '.join(patterns)}; --list names them")
    if options.list:
        for each in chosen:
            click.echo(f"{each.identity:34}  {each.what}")
        return 0
    if options.table_of is not None:
        TABLE.write_text(document(stored(options.table_of), quick=options.quick))
        return 0
    outcomes = []
    started = time.monotonic()
    # not a TemporaryDirectory: every fork that ends like a program would remove it
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    file = options.outcomes or folder / "outcomes.jsonl"
    try:
        for outcome in bring_all_about(chosen, folder, options.seed, jobs=options.jobs, quick=options.quick):
            store(file, outcome)
            outcomes.append(outcome)
            click.echo(one_line(outcome))
        took = f"{(time.monotonic() - started) / 60:.0f} minutes, {options.jobs} at a time"
        click.echo(took)
        if options.write:
            TABLE.write_text(document(stored(file), quick=options.quick, took=took))
            click.echo(f"written: {TABLE}")
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return 130
    finally:
        remove_tree(folder)
    return 0 if all(each.tally.good() for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
