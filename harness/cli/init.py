"""``lmdeploy-harness init``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.adopt.look import look
from harness.adopt.write import (
    ADDED,
    HOOKS,
    IGNORED,
    KEPT,
    MATRIX,
    NEW,
    PROJECT,
    WORKFLOW,
    NothingToTest,
    Written,
    matrix_toml,
    matrix_yaml,
    with_hook,
    workflow,
)
from harness.cli.guard import guarded
from harness.core.files import read_text, write_atomically
from harness.core.program import NAME
from harness.matrix.model_files import load_families
from harness.matrix.project import BASELINE, SHIPPED, Project, find_matrix
from harness.session.session import Session

if TYPE_CHECKING:
    from harness.adopt.look import Repository


@click.command()
@click.option("--dry-run", is_flag=True, help="Show the files and write none.")
@click.option("--pre-commit", is_flag=True, help="Also a hook that scans the project's own imports.")
@click.option("--pyproject", is_flag=True, help="Put the matrix into pyproject.toml instead of a file of its own.")
@guarded
def init(dry_run: bool, pre_commit: bool, pyproject: bool) -> None:
    """Set the harness up in this repository: a matrix of what it deploys, and a workflow that gates every bump.

    What is deployed is read from the first of these that holds lmdeploy: uv.lock, pylock.toml, poetry.lock,
    Pipfile.lock, requirements.txt, environment.yml, a Dockerfile, pyproject.toml. What is there already is left as it
    is, or added to, and that is said.
    """
    folder = Path.cwd()
    session = Session(Project.of(folder / MATRIX))
    session.project.hide_state()
    found = look(folder, session.lock_files, load_families(SHIPPED / "models"))
    if not found.locks:
        looked = "".join(f"\n  {name}: {why}" for name, why in found.passed_over) or "; there is none that could"
        raise NothingToTest(f"no file here says that lmdeploy is deployed{looked}")
    files = [_matrix(folder, found, pyproject=pyproject)]
    files += [_workflow(folder, found, files[0].path.name), *_ignore(folder)]
    if pre_commit:
        files += _hook(folder, found)
    _tell(found)
    for file in files:
        name = file.path.relative_to(folder)
        click.echo(f"{file.what}: {name}{f' ({file.why})' if file.why else ''}")
        if not file.changes:
            continue
        if dry_run:
            before = read_text(file.path) if file.what == ADDED else ""
            click.echo(_indented(file.text.removeprefix(before) if file.text.startswith(before) else file.text))
        else:
            write_atomically(file.path, file.text)
    click.echo(f"next: {NAME} plan, then run, then baseline; commit {files[0].path.name}, {BASELINE} and {WORKFLOW}")


def _matrix(folder: Path, found: Repository, *, pyproject: bool) -> Written:
    there = find_matrix(folder)
    if there is not None:
        return Written(there, "", KEPT, "there is a matrix already")
    if not pyproject:
        return Written(folder / MATRIX, matrix_yaml(found), NEW)
    file = folder / PROJECT
    if not file.is_file():
        raise click.UsageError(f"there is no {PROJECT} here; leave --pyproject out for a {MATRIX}")
    before = read_text(file)
    return Written(file, before.rstrip("\n") + "\n" + matrix_toml(found), ADDED)


def _workflow(folder: Path, found: Repository, matrix: str) -> Written:
    file = folder / WORKFLOW
    if file.exists():
        return Written(file, "", KEPT, "there is a workflow already")
    if (folder / ".gitlab-ci.yml").exists() and not (folder / ".github").is_dir():
        return Written(folder / ".gitlab-ci.yml", "", KEPT, "GitLab: include the harness's template by hand")
    return Written(file, workflow(found, matrix), NEW)


def _ignore(folder: Path) -> list[Written]:
    """Reports are made anew by every run: git need not see them."""
    if not (folder / ".git").exists():
        return []
    command = ["git", "check-ignore", "-q", "reports/index.html"]
    if subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 0:
        return []
    file = folder / IGNORED
    before = read_text(file) if file.is_file() else ""
    whole = before + ("\n" if before and not before.endswith("\n") else "")
    return [Written(file, f"{whole}/reports/\n", ADDED if before else NEW)]


def _hook(folder: Path, found: Repository) -> list[Written]:
    if not found.code:
        click.echo("no hook: no Python file here imports lmdeploy or transformers")
        return []
    return [with_hook(folder / HOOKS, found)]


def _tell(found: Repository) -> None:
    for lock in found.locks:
        versions = ", ".join(f"{name} {version}" for name, version in lock.deployed.versions.items())
        count = len(lock.deployed.requirements)
        size = f"all {count} packages" if lock.deployed.complete else f"{count} pins, the rest is resolved"
        further = ", ".join((*lock.groups, *lock.extras))
        python = f"Python {lock.python}" if lock.read_python else f"Python {lock.python}, which nothing here says"
        click.echo(f"{lock.name}{f' with {further}' if further else ''}: {versions}; {size}; {python}")
        for each in lock.deployed.untested:
            click.echo(f"  not tested: {each}")
    for name, why in found.passed_over:
        click.echo(f"not used: {name}: {why}")


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.strip("\n").splitlines())
