"""``lmdeploy-harness scan``, ``why-not``, ``suggest``, ``symbol`` and ``scan-truth``, for the command line to mount."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from packaging.requirements import InvalidRequirement, Requirement

from harness.cli import scan_output
from harness.cli.console import unfiltered
from harness.cli.guard import guarded
from harness.cli.options import format_option, gpu_gib
from harness.core.visible import visible
from harness.engines import Backend
from harness.matrix.quantities import python_version
from harness.scan.answers.findings import Prediction
from harness.scan.evaluation.target import DEFAULT_MODEL, PYTHON, find_target
from harness.scan.sources.release import Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.scan.evaluation.target import ScanTarget

_FOLDER = click.Path(file_okay=False, path_type=Path)


def _interpreter(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """A version of Python, such as 3.11."""
    try:
        return python_version(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_models = click.option(
    "--models", "folder", type=_FOLDER, default=Path("models"), show_default=True, help="Folder of the model specs."
)
_TARGET = (
    click.option(
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        metavar="NAME",
        help="A model spec's name, or the start of it.",
    ),
    click.option(
        "--backend", type=click.Choice([str(each) for each in Backend]), default=str(Backend.PYTORCH), show_default=True
    ),
    click.option(
        "--python", default=PYTHON, show_default=True, metavar="X.Y", callback=_interpreter, help="The interpreter."
    ),
    click.option(
        "--import", "imports", multiple=True, metavar="MODULE", help="A module the model needs besides (repeatable)."
    ),
    click.option(
        "--package",
        "packages",
        multiple=True,
        metavar="REQUIREMENT",
        help="A package that brings such a module (repeatable); scan without versions reads what it imports itself.",
    ),
    _models,
)
_code = click.option(
    "--code",
    "paths",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Your own code, a file or a folder: what it imports is asked for (repeatable).",
)
_providers = click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="REQUIREMENT",
    help="With code: a package that it imports from, with or without versions [default: lmdeploy, transformers].",
)
_lock = click.option(
    "--lock",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With code: look only at the versions that your uv.lock, poetry.lock, requirements.txt, ... has.",
)
_LIBRARY = (
    click.option("--cache", type=_FOLDER, help="Folder of the scan's cache [default: the user's cache folder]."),
    click.option("--index-url", metavar="URL", help="Package index [default: the one uv uses]."),
)


def _of_target(command: Callable[..., int]) -> Callable[..., int]:
    """Options that say what is to be served; the command is given the ``target``."""

    @wraps(command)
    def run(  # noqa: PLR0913 - what the options say
        *args: Any,  # noqa: ANN401 - the command's own
        model: str,
        backend: str,
        python: str,
        imports: tuple[str, ...],
        packages: tuple[str, ...],
        folder: Path,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> int:
        for text in packages:
            try:
                Requirement(text)
            except InvalidRequirement as error:
                raise click.UsageError(f"--package '{text}' is not a requirement: {error}") from error
        target = find_target(model, folder, backend, python).with_imports(imports, packages)
        return command(*args, target=target, **kwargs)

    return reduce(lambda function, option: option(function), reversed(_TARGET), run)


def _with_library(command: Callable[..., int]) -> Callable[..., int]:
    """Options that say where releases come from; the command is given the ``library``."""

    @wraps(command)
    def run(*args: Any, cache: Path | None, index_url: str | None, **kwargs: Any) -> int:  # noqa: ANN401 - the command's own
        library = Library(cache, index_url=index_url)
        try:
            return command(*args, library=library, **kwargs)
        finally:
            library.close()

    return reduce(lambda function, option: option(function), reversed(_LIBRARY), run)


@click.command()
@click.argument("lmdeploy", required=False)
@click.argument("transformers", required=False)
@click.option("--ranges", is_flag=True, help="Tell in which versions each missing name is there.")
@click.option("--all", "everything", is_flag=True, help="Also what decides nothing.")
@click.option("--write", type=_FOLDER, metavar="REPORTS", help="Keep the map there for the report (scan.json).")
@_code
@_providers
@_lock
@format_option
@guarded
@_of_target
@_with_library
def scan(  # noqa: PLR0913, PLR0917 - one parameter for each option
    lmdeploy: str | None,
    transformers: str | None,
    target: ScanTarget,
    library: Library,
    ranges: bool,
    everything: bool,
    write: Path | None,
    paths: tuple[Path, ...],
    providers: tuple[str, ...],
    lock: Path | None,
    form: str,
) -> int:
    """Predict from the wheels' sources whether LMDEPLOY and TRANSFORMERS work together; nothing is installed.

    Without versions: the whole map, every lmdeploy since 0.4.0 against every transformers since 4.30.0.
    With --code, or --package without versions: for which versions everything is there that this code imports.
    Exit code 1 when the pair fails or is refused, or when no version gives what the code needs.
    """
    from harness.scan.answers.scanner import Scanner, with_ranges  # noqa: PLC0415 - keeps `--help` quick

    downstream = click.get_current_context().params["packages"] if lmdeploy is None and not target.imports else ()
    if paths or downstream:
        from harness.cli import scan_code  # noqa: PLC0415 - as above

        pins = {"lmdeploy": lmdeploy, "transformers": transformers}
        pinned = [f"{name}=={version}" for name, version in pins.items() if version is not None]
        wanted = [scan_code.requirement(text, "--provider") for text in (*pinned, *providers)]
        if lock is not None:
            wanted = scan_code.of_lock(lock, wanted, target.python)
        asking = list(scan_code.codes(library, paths, downstream))
        shown = _progress(form)
        return scan_code.answer(
            library, asking, wanted, form=form, everything=everything, ranges=ranges, progress=shown
        )
    if providers or lock is not None:
        what = "--provider" if providers else "--lock"
        raise click.UsageError(f"{what} is asked for code: name it with --code PATH or --package NAME==VERSION")
    if (lmdeploy is None) != (transformers is None):
        raise click.UsageError(
            "give both versions, or none for the whole map; e.g. lmdeploy-harness scan 0.11.1 4.57.3"
        )
    if lmdeploy is None or transformers is None:
        return _map(library, target, write, form)
    found = Scanner(library, target).scan(lmdeploy, transformers)
    if ranges:
        found = with_ranges(found, scan_output.ranges_of(library, found, _progress(form)))
    click.echo(
        json.dumps(found.to_json(), indent=1) if form == "json" else scan_output.pair(found, everything=everything)
    )
    return 1 if found.verdict in (Prediction.FAIL, Prediction.REFUSED) else 0


@click.command("why-not")
@click.option("--lmdeploy", required=True, metavar="VERSION")
@_code
@format_option
@guarded
@_of_target
@_with_library
def why_not(lmdeploy: str, paths: tuple[Path, ...], target: ScanTarget, library: Library, form: str) -> int:
    """Settle a supposed deadlock: which transformers versions satisfy everything, or which requirements cannot meet.

    With --code, what your own code imports is one of the requirements.
    Exit code 1 when nothing is left.
    """
    from harness.scan.answers.deadlock import settle  # noqa: PLC0415 - keeps `--help` quick
    from harness.scan.answers.scanner import Scanner  # noqa: PLC0415 - as above
    from harness.scan.evaluation.code import code_at  # noqa: PLC0415 - as above

    target = replace(target, codes=tuple(code_at(path) for path in paths))
    found = settle(Scanner(library, target), lmdeploy, progress=_progress(form))
    click.echo(
        json.dumps(scan_output.settlement_json(found), indent=1) if form == "json" else scan_output.settlement(found)
    )
    return 0 if found.left else 1


@click.command()
@click.option("--lmdeploy", metavar="VERSION", help="Only for this engine version [default: every one].")
@click.option("--gpu-memory", metavar="SIZE", help="What the target's GPU has, e.g. 8GiB.")
@click.option(
    "--reports",
    type=_FOLDER,
    default=Path("reports"),
    show_default=True,
    metavar="FOLDER",
    help="Where this machine's records are, and those taken over from others.",
)
@click.option("--known", "known_only", is_flag=True, help="Only what the records say; no index is asked.")
@format_option
@guarded
@_of_target
@_with_library
def suggest(  # noqa: PLR0913, PLR0917 - one parameter for each option
    lmdeploy: str | None,
    gpu_memory: str | None,
    reports: Path,
    known_only: bool,
    target: ScanTarget,
    library: Library,
    form: str,
) -> int:
    """Name the stack to use for a model, from everything that is known, and the transformers versions that remain.

    The first is what 'lmdeploy-harness stacks' and 'pin' answer; the second is the scan's prediction, the best first.
    Exit code 1 when there is neither.
    """
    from harness.cli.stacks import answer_for, answer_lines, to_json  # noqa: PLC0415 - keeps `harness --help` quick
    from harness.scan.answers.suggestion import suggestions  # noqa: PLC0415 - as above

    memory = gpu_gib(gpu_memory) if gpu_memory is not None else None
    models = click.get_current_context().params["folder"]
    knowledge, choice = answer_for(target.model, target.backend, memory, models=models, reports=reports)
    found = [] if known_only else suggestions(library, target, lmdeploy, progress=_progress(form))
    if form == "json":
        answer = None if choice is None else to_json(knowledge, choice)
        click.echo(json.dumps({"answer": answer, "predictions": [each.to_json() for each in found]}, indent=1))
    else:
        for line in answer_lines(knowledge, choice) if choice is not None else ["No machine's records tell of it."]:
            click.echo(line)
        if not known_only:
            click.echo(f"\nWhat the scan foresees:\n{scan_output.suggestions(found)}")
    known = choice is not None and choice.best is not None
    return 0 if known or any(each.versions for each in found) else 1


@click.command()
@click.argument("name")
@click.option("--package", help="The package that has it [default: the one called like its first part].")
@format_option
@guarded
@_with_library
def symbol(name: str, package: str | None, library: Library, form: str) -> int:
    """Tell in which versions of its package NAME is there, e.g. transformers.BeamSearchScorer.

    A module, a name in one, an attribute of a class (package.module.Class.field), an entry of a dictionary
    (package.module.TABLE[key]) or an argument (package.module.Class(argument)). Exit code 1 when it is in none.
    """
    from harness.scan.answers.symbols import presence_of  # noqa: PLC0415 - keeps `--help` quick

    if "." not in name:
        raise click.UsageError(f"write the module too: {package or 'transformers'}.{name}")
    found = presence_of(library, [name], package=package, progress=_progress(form))[name]
    if form == "json":
        runs = [[str(first), str(last)] for first, last in found.runs]
        click.echo(json.dumps({"symbol": name, "runs": runs, "requirements": found.requirements()}, indent=1))
    else:
        click.echo(scan_output.presence(name, found))
    return 0 if found.runs else 1


TRUTH = "scan-truth"


@click.command(TRUTH)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    help="File with 'LMDEPLOY TRANSFORMERS [BACKEND [MODEL]]' on each line [default: those of the package].",
)
@click.option("--folder", "work", type=_FOLDER, default=Path(".harness/scan-truth"), show_default=True)
@click.option("--keep", is_flag=True, help="Keep the environments.")
@click.option("--compare-only", is_flag=True, help="Run nothing; compare with what ran before.")
@click.option(
    "--records",
    "also",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    help="Compare with the records of this reports folder too (repeatable).",
)
@click.option(
    "--measured",
    "elsewhere",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Compare with a table of benchmarks/scan_overlays.py, or an earlier scan-truth.json, too (repeatable).",
)
@click.option("--write", type=_FOLDER, metavar="REPORTS", help="Keep the table there (scan-truth.json).")
@_models
@format_option
@guarded
@_with_library
def scan_truth(  # noqa: PLR0913, PLR0917 - one parameter for each option
    pairs: Path | None,
    work: Path,
    keep: bool,
    compare_only: bool,
    also: tuple[Path, ...],
    elsewhere: tuple[Path, ...],
    write: Path | None,
    folder: Path,
    library: Library,
    form: str,
) -> int:
    """Measure the scan: run pairs for real, and compare. Minutes per engine release, gigabytes for a new torch.

    Exit code 1 when the scan was wrong about a hard failure.
    """
    from harness.core.files import write_atomically  # noqa: PLC0415 - keeps `--help` quick
    from harness.results.store import ResultStore  # noqa: PLC0415 - as above
    from harness.scan.answers import truth  # noqa: PLC0415 - as above
    from harness.scan.answers.scanner import Scanner  # noqa: PLC0415 - as above
    from harness.session.pairs import run_pairs  # noqa: PLC0415 - as above

    groups = truth.read_pairs(pairs or truth.PAIRS)
    measured = [each for path in elsewhere for each in truth.read_measured(path)]
    for model in {group.model for group in groups}:
        find_target(model, folder)
    if compare_only:
        records = ResultStore(work / "reports").records()
    else:
        records = run_pairs(groups, models=folder, folder=work.absolute(), keep=keep, progress=_progress(form))
    records = [*(record for reports in also for record in ResultStore(reports).records()), *records]
    wanted = {(group.model, group.backend) for group in groups}
    scanners = {each: Scanner(library, find_target(each[0], folder, each[1])) for each in wanted}
    rows = truth.compare(lambda model, backend: scanners.get((model, backend)), records, measured)
    if not rows:
        raise click.UsageError("there is nothing to compare with: no pair was run; give --records or --measured")
    sums = truth.summary(rows)
    data = {"summary": sums, "pairs": [row.to_json() for row in rows]}
    if write is not None:
        write_atomically(write / f"{TRUTH}.json", json.dumps(data, indent=1))
    click.echo(json.dumps(data, indent=1) if form == "json" else scan_output.truth(rows, sums))
    return 1 if sums["misses"] or sums["false_alarms"] else 0


def _map(library: Library, target: ScanTarget, write: Path | None, form: str) -> int:
    from harness.core.files import read_json, shaped, write_atomically  # noqa: PLC0415 - keeps `--help` quick
    from harness.report.extras import read_view  # noqa: PLC0415 - as above
    from harness.results.store import ResultStore  # noqa: PLC0415 - as above
    from harness.scan.answers.grid import make_grid  # noqa: PLC0415 - as above
    from harness.scan.answers.report_data import declared_ranges, map_context  # noqa: PLC0415 - as above

    grid = make_grid(library, target, progress=_progress(form))
    records = ResultStore(write).records() if write is not None else ()
    truth = None
    if write is not None and (told := read_json(write / f"{TRUTH}.json")) is not None:
        with shaped(write / f"{TRUTH}.json"):
            truth = read_view(TRUTH, told)
    context: dict[str, Any] = map_context(grid, records, declared=declared_ranges(library, grid.lmdeploy), truth=truth)
    if write is not None:
        write_atomically(write / "scan.json", json.dumps(context))
    click.echo(json.dumps(context) if form == "json" else scan_output.grid(grid))
    return 0


def _progress(form: str) -> Callable[[str], None] | None:
    """A line that is written over, on a terminal and for people only."""
    if form == "json" or not sys.stderr.isatty():
        return None

    def show(what: str) -> None:
        click.echo(f"\r\033[K{visible(what)} …", file=unfiltered(sys.stderr), nl=False)

    return show


COMMANDS = (scan, why_not, suggest, symbol, scan_truth)
"""For the command line to mount."""
