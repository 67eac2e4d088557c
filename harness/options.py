"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path

import click

matrix_option = click.option(
    "--matrix",
    "matrix_file",
    type=click.Path(path_type=Path),
    default=Path("matrix.yaml"),
    show_default=True,
    metavar="FILE",
    help="The matrix; models/ and reports/ are looked for beside it.",
)
reports_option = click.option(
    "--reports", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Where results are written."
)
tags_option = click.option(
    "-t", "--tag", "tags", multiple=True, help="Only combinations with this tag (repeatable: any of)."
)
words_option = click.option(
    "-k", "words", multiple=True, metavar="TEXT", help="Only ids that hold this text (all of them)."
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=None, help="Combinations at a time [default: one per core, ≤ 8]"
)
refresh_option = click.option("--refresh", is_flag=True, help="Ask the index and the resolver again (else once a day).")
format_option = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
verbose_option = click.option("-v", "--verbose", count=True, help="A line for every stage.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Only what is unexpected.")
patterns_option = click.argument("patterns", nargs=-1, metavar="[ID]...")
