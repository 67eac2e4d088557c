"""Running a bundle on the host it was made for: ``python -m harness.cli.bundle_host BUNDLE``, started by unpack.py."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import ValidationError

from harness.bundle.manifest import FORMAT, MANIFEST, Manifest
from harness.bundle.overlay import OverlayEnvironments, PackedResolver, host_paths
from harness.bundle.recipes import make
from harness.cli.console import make_console
from harness.cli.guard import exit_code, guarded
from harness.cli.progress import display
from harness.cli.run_output import print_summary
from harness.core.files import LARGEST_JSON, read_bounded, read_json, read_text
from harness.environments.interpreters import NAMED
from harness.environments.lock import Lock
from harness.matrix.models import RandomWeights
from harness.matrix.project import Project
from harness.pipeline.stack import asked_of
from harness.session.execute import run_all
from harness.session.session import NothingSelected, Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.environments.environment import Environments
    from harness.environments.resolve import Resolver
    from harness.matrix import Combination


@dataclass(frozen=True)
class HostSession(Session):
    """A bundle, opened on the host."""

    bundle: Path = Path()
    use_host: bool = True

    @cached_property
    def manifest(self) -> Manifest:
        """What the bundle says of itself.

        Raises:
            NothingSelected: it is damaged, or of another format.
        """
        file = self.bundle / MANIFEST
        told = (read_json(file) or {}).get("format", FORMAT)
        if told != FORMAT:
            raise NothingSelected(f"{file} is of format {told}, this harness reads {FORMAT}; pack and unpack it again")
        try:
            return Manifest.model_validate_json(read_bounded(file, LARGEST_JSON))
        except (OSError, ValidationError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
            raise NothingSelected(f"{file} is not a bundle's: {why}; unpack the bundle again") from error

    @cached_property
    def locks(self) -> dict[str, Lock]:
        """The stacks' locks, by name."""
        folder = self.bundle / "locks"
        return {name: Lock(read_text(folder / name / "pylock.toml")) for name in self.manifest.stacks}

    @cached_property
    def combinations(self) -> tuple[Combination, ...]:
        """What was packed."""
        return tuple(each.combination for each in self.manifest.combinations)

    @cached_property
    def resolver(self) -> Resolver:
        """The locks that travelled."""
        packed = {asked_of(each.combination): self.locks[each.lock] for each in self.manifest.combinations}
        return PackedResolver(self.project.resolutions, packed=packed)

    @cached_property
    def environments(self) -> Environments:
        """Built from the wheels that travelled, before the host's own packages."""
        return OverlayEnvironments(self.project.environments, self.bundle, self.manifest, self.use_host)

    def make_miniatures(self, combinations: Sequence[Combination]) -> dict[str, str]:
        """Make the weights of the miniatures that the combinations ask for, with the host's own torch; why not."""
        folders = [self.project.weights / name for name in sorted({each.model for each in combinations})]
        return make(folders, sys.executable, max(1, (os.cpu_count() or 1) // 2), host_paths())

    def make_weights(self, combinations: Sequence[Combination]) -> None:
        """Make the random weights that the combinations ask for, with the host's own numpy and safetensors.

        Raises:
            NothingSelected: the script failed; its last line tells why.
        """
        for name in sorted(set(self.manifest.make_weights) & {each.model for each in combinations}):
            spec = self.models[name]
            folder = self.project.weights / name
            if (folder / "harness-made.json").exists() or not isinstance(spec.weights, RandomWeights):
                continue
            arguments = ["--out", str(folder), "--config", str(spec.config_folder)]
            arguments += ["--tokenizer", str(self.project.models / "canary"), "--seed", str(spec.weights.seed)]
            script = str(self.project.models / "make_random.py")
            path = os.pathsep.join([str(self.bundle / "runtime"), *host_paths()])
            made = subprocess.run(
                [sys.executable, script, *arguments],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": path},
            )
            if made.returncode != 0:
                last = (made.stderr.strip().splitlines() or ["no message"])[-1]
                raise NothingSelected(f"the random weights of {name} could not be made: {last}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("patterns", nargs=-1, metavar="[ID]...")
@click.option("-k", "words", multiple=True, metavar="TEXT", help="Only ids that hold this text (all of them).")
@click.option("-t", "--tag", "tags", multiple=True, help="Only combinations with this tag.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="Combinations at a time.")
@click.option("--measure", is_flag=True, help="One boot at a time on each GPU, so that latencies mean something.")
@click.option("--fresh", is_flag=True, help="Run again what is known already.")
@click.option("--ignore-host-packages", is_flag=True, help="Use only what travelled.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Results [default: BUNDLE/results].")
@guarded
def run(  # noqa: PLR0913, PLR0917 - one parameter for each option
    bundle: Path,
    patterns: tuple[str, ...],
    words: tuple[str, ...],
    tags: tuple[str, ...],
    jobs: int,
    measure: bool,
    fresh: bool,
    ignore_host_packages: bool,
    out: Path | None,
) -> int:
    """Run the bundle's combinations and write results.tar for 'lmdeploy-harness import'."""
    os.environ[NAMED] = sys.executable
    results = (out or bundle / "results").absolute()
    bundle = bundle.absolute()
    project = Project(bundle / MANIFEST, bundle / "models", results, bundle / "state")
    session = HostSession(project, jobs, fresh=fresh, measure=measure, bundle=bundle, use_host=not ignore_host_packages)
    chosen = session.select(patterns, tags, words)
    session.make_weights(chosen)
    for name, why in session.make_miniatures(chosen).items():
        click.echo(f"no miniature of {name}: {why}", err=True)
    records = run_all(session, chosen, display(1), publish=False, make=False)  # made ones travelled
    partial = results / ".results.tar.gz"
    with tarfile.open(partial, "w:gz") as archive:
        archive.add(session.store.file, "results.jsonl")
        for log in sorted(project.logs.glob("*.log")):
            archive.add(log, f"logs/{log.name}")
        for lock in sorted(project.locks.glob("*/pylock.toml")):
            archive.add(lock, f"locks/{lock.parent.name}/pylock.toml")
    partial.replace(results / "results.tar.gz")
    print_summary(make_console(), records, results / "results.tar.gz")
    return exit_code(records)


if __name__ == "__main__":
    run()
