"""``lmdeploy-harness bundle`` and ``lmdeploy-harness import``."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import requires
from pathlib import Path
from typing import TYPE_CHECKING

import click
from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from harness import __version__
from harness.bundle.arrivals import take
from harness.bundle.carry import (
    HOST_KEEPS,
    Luggage,
    WheelStore,
    WheelUnavailable,
    choose,
    to_lend,
    wheel_version,
)
from harness.bundle.carry import host_packages as host_packages_of
from harness.bundle.kept_manifests import keep_manifest
from harness.bundle.manifest import Manifest, PackedCombination, PackedStack
from harness.bundle.pack import SUMS, UNPACK, write_bundle
from harness.bundle.proposal import left_out, sizes, trimmed
from harness.bundle.recipes import described
from harness.bundle.remote import RemoteHost
from harness.cli.guard import guarded
from harness.cli.options import SelectedIds, matrix_option, project_options, selection_options
from harness.core.files import read_text
from harness.core.verdict import Stage
from harness.environments.interpreters import find_interpreter
from harness.environments.resolve import ResolveRequest
from harness.matrix.models import FAMILIES, MINIATURES, CanaryWeights, MiniatureWeights, RandomWeights
from harness.matrix.project import Project
from harness.miniatures.make import Maker
from harness.pipeline.checks import cards_of
from harness.pipeline.limits import LIMITS
from harness.pipeline.stack import resolve
from harness.results.store import ResultStore
from harness.session.publish import Publisher
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.environments.lock import Lock, LockedWheel
    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec

NOT_ON_THE_HOST = frozenset({"uv", "httpx", "stamina", "tomli-w"})
"""What the harness needs only where it resolves and installs."""
FOR_WEIGHTS = ("ml-dtypes", "safetensors", "numpy")


def _a_version(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"3\.\d{1,3}(\.\d{1,3})?", value):
        raise click.BadParameter(f"{value!r} is no version of Python such as 3.11")
    return value


@click.command("bundle")
@selection_options
@matrix_option
@click.option(
    "--host-packages",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The host's 'pip list --format json'; without it everything travels.",
)
@click.option(
    "--python",
    "python",
    metavar="VERSION",
    callback=_a_version,
    help="The host's Python [default: the combinations' own].",
)
@click.option(
    "--keep", multiple=True, metavar="PATTERN", help=f"Host's own, whatever its version [{' '.join(HOST_KEEPS)}]."
)
@click.option("--leave-out", multiple=True, metavar="PATTERN", help="More packages that the tests can do without.")
@click.option("--whole", is_flag=True, help="Leave out and trim only what is named, not what no boot of these loads.")
@click.option("--carry", multiple=True, metavar="PATTERN", help="Packages that travel whatever the rest says.")
@click.option(
    "--lend",
    multiple=True,
    metavar="PATTERN",
    help="Packages of which one serves all stacks: the newest, NAME==VERSION, or a wheel's file.",
)
@click.option("--card", metavar="CAPABILITY", help="Only machine code that such a card runs, for example 9.0.")
@click.option("--compress", is_flag=True, help="Make the parts as small as can be; takes minutes for gigabytes.")
@click.option("--trim", multiple=True, metavar="PACKAGE:FILES", help="Files to take out of a wheel, as a pattern.")
@click.option(
    "--part-mb", type=click.IntRange(1, 100_000), default=60, show_default=True, help="Size of a part, 10^6 bytes."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("bundle"), show_default=True)
@click.option("--on", "host", metavar="HOST", help="Pack for a host that ssh reaches, run there, and import.")
@click.option("--run", "run_arguments", metavar="ARGUMENTS", default="", help="With --on: what the run there is given.")
@guarded
def bundle_command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    selection: SelectedIds,
    matrix_file: Path | None,
    host_packages: Path | None,
    python: str | None,
    keep: tuple[str, ...],
    leave_out: tuple[str, ...],
    carry: tuple[str, ...],
    lend: tuple[str, ...],
    card: str | None,
    compress: bool,
    trim: tuple[str, ...],
    part_mb: int,
    out: Path,
    whole: bool,
    host: str | None,
    run_arguments: str,
) -> None:
    """Pack the chosen combinations for a host without a network.

    Copy the parts, SHA256SUMS and unpack.py to the host and run 'python3 unpack.py' there; bring results.tar.gz back
    and give it to 'lmdeploy-harness import'. With --on HOST all of that is done over ssh.
    """
    if host is not None and (host_packages is not None or python is not None):
        raise click.UsageError("--on asks the host itself; leave --host-packages and --python out")
    if run_arguments and host is None:
        raise click.UsageError("--run goes with --on")
    remote = RemoteHost(host) if host is not None else None
    python = remote.python().rpartition(".")[0] if remote is not None else python
    session = Session(Project.found(matrix_file))
    chosen = [each for each in session.select(*selection) if each.excluded is None]
    proposed, trims = ({}, {}) if whole else _proposed(session, chosen)
    for name, what_for in proposed.items():
        click.echo(f"left out: {name}, for {what_for}", err=True)
    packages = host_packages_of(remote.packages()) if remote is not None else _host(host_packages)
    trims = {name: (*trims.get(name, ()), *_trims(trim).get(name, ())) for name in {*trims, *_trims(trim)}}
    luggage = Luggage(packages, keep or HOST_KEEPS, (*leave_out, *proposed), carry, trim=trims)
    parts = _pack(session, chosen, python, luggage, lend, out, part_mb * 1_000_000, compress=compress, card=_card(card))
    size = sum(path.stat().st_size for path in parts)
    click.echo(f"{len(chosen)} combinations in {len(parts)} parts, {size / 1e6:.1f} MB, in {out}")
    if remote is None:
        return
    remote.send([*parts, out / SUMS, out / UNPACK])
    remote.run(shlex.split(run_arguments))
    _import(remote.fetch(out), None, session.project)


def _proposed(session: Session, chosen: Sequence[Combination]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """What these combinations do without: packages with what they are for, and files by package."""
    architectures = {session.models[each.model].architecture for each in chosen}
    several = any(cards_of(each) > 1 for each in chosen)
    return left_out(architectures, several_cards=several), trimmed({str(each.backend) for each in chosen})


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--name", metavar="NAME", help="Folder below reports/imported [default: after the source].")
@project_options
@guarded
def import_command(source: Path, name: str | None, project: Project) -> None:
    """Take over the records of another machine, and render the report.

    SOURCE is the results.tar.gz of a bundle's run, a reports folder (a shard's too), a results.jsonl, or a report.json.
    The records stay in a folder of their own and are marked as another machine's; nothing of this one's is overwritten,
    and a record that is damaged or cannot be true is refused with its line.
    """
    if name is not None and (Path(name).name != name or name.startswith(".")):
        raise click.UsageError(f"--name {name!r} is no plain name; write one without slashes")
    _import(source, name, project)


def _import(source: Path, name: str | None, project: Project) -> None:
    taken = take(source, project.reports, project.state, name)
    page = Publisher(ResultStore(project.reports), Session(project)).publish()
    words = "were here already" if taken.known else "records taken"
    click.echo(f"{taken.records} {words}, in {taken.folder}; {page}")


def _pack(  # noqa: PLR0913, PLR0917 - the parts a bundle is made of
    session: Session,
    chosen: Sequence[Combination],
    python: str | None,
    luggage: Luggage,
    lend: Sequence[str],
    out: Path,
    part_bytes: int,
    *,
    compress: bool,
    card: int | None,
) -> list[Path]:
    store = WheelStore(session.project.state / "wheels")
    packed: list[PackedCombination] = []
    locks: dict[str, Lock] = {}
    roots: dict[str, tuple[str, ...]] = {}
    for combination in chosen:
        lock = resolve(combination, session.resolver).lock
        if lock is None:
            click.echo(f"not packed: {combination.id}: the resolver refuses it", err=True)
            continue
        packed.append(PackedCombination(combination=combination, lock=lock.name))
        locks[lock.name] = lock
        roots[lock.name] = combination.requirements
    if not packed:
        raise click.UsageError("nothing to pack: the resolver refuses every chosen combination")
    version = python or packed[0].combination.python
    own = _own_wheels([each for each in lend if each.endswith(".whl")])
    named = [each for each in lend if not each.endswith(".whl")]
    lent = to_lend(locks.values(), [each for each in named if "==" not in each], version)
    lent |= _exactly(session, [each for each in named if "==" in each], version)
    versions = {name: str(wheel_version(wheel)) for name, wheel in lent.items()}
    luggage = replace(luggage, lent={**versions, **{name: version for name, (version, _) in own.items()}})
    stacks: dict[str, PackedStack] = {}
    wheels: dict[str, Path] = {}
    for name, lock in locks.items():
        stacks[name], files = choose(lock, roots[name], version, luggage, store)
        wheels |= files
    for name, size in sizes({name: path.stat().st_size for name, path in wheels.items()}):
        click.echo(f"{size / 1e6:6.1f} MB  {name}", err=True)
    specs = {name: session.models[name] for name in sorted({each.combination.model for each in packed})}
    random = [name for name, spec in specs.items() if isinstance(spec.weights, RandomWeights)]
    manifest = Manifest(
        made=datetime.now(UTC),
        harness=__version__,
        python=version,
        combinations=packed,
        stacks=stacks,
        lent=dict(luggage.lent),
        models=list(specs),
        make_weights=random,
        card=card,
    )
    keep_manifest(session.project.state, manifest)
    return write_bundle(
        out,
        manifest,
        wheels=wheels,
        lent=[
            *(store.fetch(wheel) for name, wheel in lent.items() if name not in own),
            *(file for _, file in own.values()),
        ],
        runtime=_runtime(session, version, store, luggage.host, weights=bool(random)),
        locks={name: lock.text for name, lock in locks.items()},
        files=_model_files(session.project, specs) | _miniatures(session, specs),
        part_bytes=part_bytes,
        compress=compress,
    )


def _exactly(session: Session, wanted: Sequence[str], python: str) -> dict[str, LockedWheel]:
    """The wheels of packages named with their version."""
    interpreter = str(find_interpreter(python))
    found: dict[str, LockedWheel] = {}
    for each in wanted:
        lock = session.resolver.resolve(ResolveRequest(interpreter, (each,)), LIMITS[Stage.RESOLVE]).lock
        if lock is None:
            raise WheelUnavailable(f"--lend {each}: there is no such version for Python {python}")
        found |= lock.wheels(python)
    return found


def _runtime(session: Session, python: str, store: WheelStore, host: Mapping[str, str], *, weights: bool) -> list[Path]:
    """Wheels of what the harness itself needs on the host."""
    own = [Requirement(each) for each in requires("lmdeploy-harness") or ()]
    wanted = [str(each) for each in own if each.marker is None and each.name not in NOT_ON_THE_HOST]
    if weights:
        wanted += [name for name in FOR_WEIGHTS if name not in host]
    request = ResolveRequest(str(find_interpreter(python)), tuple(sorted(wanted)))
    found = session.resolver.resolve(request, LIMITS[Stage.RESOLVE])
    if found.lock is None:
        why = f": {found.failure.message}" if found.failure is not None else ""
        raise WheelUnavailable(f"the harness's own dependencies do not resolve for Python {python}{why}")
    return [store.fetch(wheel) for wheel in found.lock.wheels(python).values()]


def _model_files(project: Project, specs: Mapping[str, ModelSpec]) -> dict[str, Path]:
    """Specs, configurations and canaries, by their path in the bundle."""
    found: dict[str, Path] = {}
    for name, spec in specs.items():
        folder = spec.folder
        file = folder / f"{name}.yaml"
        found |= {file.name: file} if file.exists() else {}  # a published configuration is a model by itself
        match spec.weights:
            case CanaryWeights():
                wanted = [spec.checkpoint_folder]
            case RandomWeights():
                wanted = [spec.config_folder]
                for tool in (project.model_file("make_random.py"), *project.model_file("canary").iterdir()):
                    found[tool.name if tool.suffix == ".py" else f"canary/{tool.name}"] = tool
            case MiniatureWeights():
                wanted = [spec.published_config, folder / MINIATURES / FAMILIES]
            case _:
                wanted = [spec.config_folder]
        for each in wanted:
            paths = [] if each is None else [each] if each.is_file() else each.rglob("*")
            found |= {str(path.relative_to(folder)): path for path in paths if path.is_file()}
    return {f"models/{name}": path for name, path in found.items()}


def _miniatures(session: Session, specs: Mapping[str, ModelSpec]) -> dict[str, Path]:
    """The miniatures that are made, by their path in the bundle; the others are named."""
    weights = session.project.weights
    names = [name for name, spec in specs.items() if isinstance(spec.weights, MiniatureWeights)]
    missing = [name for name in names if not (weights / name).is_dir()]
    if missing:
        click.echo(
            f"not made here, and without a checkpoint there (lmdeploy-harness weights NAME): {' '.join(missing)}",
            err=True,
        )
    made = {name: weights / name for name in names if name not in missing}
    maker = Maker(session.resolver, session.environments, session.project.scratch)
    folders = described(made, session.project.state / "recipes", maker)
    return {f"state/weights/{name}/{path.name}": path for name, folder in folders.items() for path in folder.glob("*")}


def _own_wheels(files: Sequence[str]) -> dict[str, tuple[str, Path]]:
    """Version and file of wheels on this machine, by name."""
    found: dict[str, tuple[str, Path]] = {}
    for each in files:
        file = Path(each)
        try:
            name, version, *_ = parse_wheel_filename(file.name)
        except InvalidWheelFilename as error:
            raise click.UsageError(f"--lend {each}: {error}") from error
        if not file.is_file():
            raise click.UsageError(f"--lend {each}: there is no such file")
        found[str(name)] = str(version), file
    return found


def _card(text: str | None) -> int | None:
    """A compute capability as compilers count it: 90 for 9.0."""
    if text is None:
        return None
    said = re.fullmatch(r"([0-9]{1,2})\.([0-9])", text)
    if said is None:
        raise click.UsageError(f"--card takes a compute capability such as 9.0, not {text!r}")
    return int(said[1]) * 10 + int(said[2])


def _host(listing: Path | None) -> dict[str, str]:
    if listing is None:
        return {}
    try:
        return host_packages_of(json.loads(read_text(listing)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise click.UsageError(f"{listing} is not the output of 'pip list --format json': {error}") from error


def _trims(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        package, colon, pattern = text.partition(":")
        if not colon or not pattern:
            raise click.UsageError(f"--trim takes PACKAGE:FILES, such as 'lmdeploy:lmdeploy/lib/*', not {text!r}")
        found[package] = (*found.get(package, ()), pattern)
    return found
