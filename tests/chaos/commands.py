"""What other commands than ``run`` write: a disk that fills up under them, and secrets that must not be in it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from importlib.metadata import requires
from textwrap import dedent
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from harness.bundle import unpack
from harness.cli.bundle_host import run as host_run
from harness.cli.main import main as command_line
from harness.core.program import NAME
from tests.chaos.disk import FullDisk
from tests.chaos.ground import half_environments, lines, orphans, scratch_left
from tests.chaos.kills import MATRIX
from tests.chaos.network import PACKAGE, index
from tests.chaos.registry import expect, fault
from tests.chaos.secrets import LETTERS, planted
from tests.miniatures import make_wheel, transformers_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from tests.chaos.ground import Ended
    from tests.chaos.registry import Setting, Tally
    from tests.miniatures import MiniProject

BUMP = "transformers==5.0.0"
COMMANDS: dict[str, tuple[str, ...]] = {
    "report": ("report",),
    "plan": ("plan",),
    "baseline": ("baseline",),
    "pin": ("pin", "--partial"),
    "gate": ("gate", BUMP),
    "bundle": ("bundle", "--carry", "*", "--out", "bundle"),
    "host": ("bundle/unpacked",),
    "import": ("import", "bundle/unpacked/results/results.tar.gz"),
    "gc": ("gc",),
}
EACH = 6
"""Writes of one command that fail, at most; chosen at random where there are more."""


@contextmanager
def finished(
    setting: Setting, version: str, backend: str, url: str = "http://127.0.0.1:{}/simple"
) -> Iterator[MiniProject]:
    """A project that ran and was accepted, on an index of this machine, as a bundle needs it."""
    ground = setting.ground
    for each in map(Requirement, requires(NAME) or ()):  # a bundle carries what the harness needs on the host
        lowest = next((str(one.version) for one in each.specifier if one.operator == ">="), "1")
        make_wheel(ground.index / "wheels", each.name.replace("-", "_"), lowest, {})
    with index(setting, "private" if "@" in url else "good") as server:
        config = ground.new_folder("uv").with_suffix(".toml")
        config.write_text(f'[[index]]\nurl = "{url.format(server.server_port)}"\ndefault = true\n')
        ground.extra = {"UV_CONFIG_FILE": str(config), "UV_OFFLINE": "0"}
        project = ground.project(MATRIX.format(versions=f'"{version}"', backend=backend))
        (project.root / "pyproject.toml").write_text(
            '[project]\nname = "p"\nversion = "1"\ndependencies = ["pillow"]\n'
        )
        try:
            yield project
        finally:
            ground.extra = {}
            ground.clear(project)


def _program(name: str) -> click.Command:
    return host_run if name == "host" else command_line


@fault(
    "disk",
    "commands",
    "the disk is full from the n-th write of report, plan, baseline, pin, gate, bundle, host, import, gc",
)
def commands(setting: Setting, tally: Tally) -> None:
    """One clear line, and the same command again does what it should."""
    ground = setting.ground
    with finished(setting, ground.good_lmdeploys(1)[0], "transformers") as project:
        expect(ground.harness(project, "run").code == 0, "not even an undisturbed run ends as it should")
        backup = ground.new_folder("backup")
        sites = []
        for name, arguments in COMMANDS.items():
            shutil.rmtree(backup, ignore_errors=True)
            shutil.copytree(project.root, backup, symlinks=True)
            counter = ground.new_folder("writes")
            usual = ground.harness(
                project, *arguments, before=FullDisk(project.root, 0, counter), program=_program(name)
            ).code
            count = counter.stat().st_size if counter.exists() else 0
            sites.append(f"{name} {count}")
            expect(usual in {0, 1}, f"{name} ends with {usual} undisturbed")
            numbers = setting.random.sample(range(1, count + 1), min(count, setting.times(EACH, 1)))
            for number in sorted(numbers):
                shutil.rmtree(project.root)
                shutil.copytree(backup, project.root, symlinks=True)
                with tally.injection(f"{name}, write {number}"):
                    _once(setting, tally, project, name, number, usual)
            if name == "bundle":
                unpack.unpack(unpack.check(project.root / "bundle"), project.root / "bundle" / "unpacked")
        tally.figures.append(f"writes: {', '.join(sites)}")


def _once(setting: Setting, tally: Tally, project: MiniProject, name: str, number: int, usual: int) -> None:  # noqa: PLR0913, PLR0917 - what one fault is made of
    arguments, program = COMMANDS[name], _program(name)
    before = lines(project)
    ended = setting.ground.harness(project, *arguments, before=FullDisk(project.root, number), program=program)
    tally.tracebacks += ended.traceback
    expect(not ended.traceback, f"it showed a traceback: {ended.err[-400:]}")
    expect(ended.code in {usual, 4}, f"it ended with {ended.code}: {ended.err[-300:]}")
    expect(ended.code != 4 or "No space" in ended.err + ended.out, f"it does not say why: {ended.err[-300:]}")
    kept = lines(project)[: len(before)] == before
    tally.lost += not kept
    expect(kept, "what was on record is not there any more")
    again = setting.ground.harness(project, *arguments, program=program)
    tally.tracebacks += again.traceback
    tally.orphans += orphans() + scratch_left(project) + half_environments(project)
    expect(again.code == usual, f"the same command again ended with {again.code}: {again.err[-300:]}")


@fault(
    "secrets",
    "outputs",
    "a package prints the corpus, the index has a password; then every command writes what it writes",
)
def outputs(setting: Setting, tally: Tally) -> None:
    """Searched for in all files and in what was printed; the password even in the environments."""
    ground = setting.ground
    corpus = planted(setting.random)
    password = "".join(setting.random.choice(LETTERS) for _ in range(22))
    talkative = transformers_files()
    start = dedent(talkative["transformers/__init__.py"])
    talkative["transformers/__init__.py"] = (
        f"{start}\nfor _each in {[text for text, _ in corpus]!r}:\n    print(_each)\n"
    )
    make_wheel(ground.index / "wheels", PACKAGE, "4.57.9", talkative)
    version = ground.good_lmdeploys(1)[0]
    with finished(setting, version, "transformers", f"http://user:{password}@127.0.0.1:{{}}/simple") as project:
        project.matrix.write_text(project.matrix.read_text().replace("4.57.3", "4.57.9"))
        printed = [ground.harness(project, "run", "-v")]
        expect(ground.records(project), f"there is no record: {printed[0].err[-300:]}")
        for name, arguments in COMMANDS.items():
            with tally.injection(name):
                ended = ground.harness(project, *arguments, program=_program(name))
                printed.append(ended)
                tally.tracebacks += ended.traceback
                expect(ended.code in {0, 1}, f"it ended with {ended.code}: {ended.err[-300:]}")
                if name == "bundle":
                    unpack.unpack(unpack.check(project.root / "bundle"), project.root / "bundle" / "unpacked")
                out = _found(project, printed, [secret for _, secret in corpus], password)
                tally.leaked += len(out)
                expect(not out, f"came out: {out[:5]}")
        tally.orphans += orphans() + scratch_left(project)


def _found(project: MiniProject, printed: list[Ended], secrets: list[str], password: str) -> list[str]:
    """Where a secret stands. The package that prints the corpus holds it, as a wheel and installed: not counted."""
    found = [each.code for each in printed if any(secret in each.out + each.err for secret in [*secrets, password])]
    places = [f"printed by a command that ended with {code}" for code in found]
    for file in project.root.rglob("*"):
        if file.is_symlink() or not file.is_file():
            continue
        content = file.read_bytes()
        own = {"environments", "wheels", "site-packages"} & set(file.parts) or file.name.startswith("bundle.tar")
        if password.encode() in content or (not own and any(each.encode() in content for each in secrets)):
            places.append(str(file.relative_to(project.root)))
    return places
