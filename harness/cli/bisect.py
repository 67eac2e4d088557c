"""``lmdeploy-harness bisect`` and ``lmdeploy-harness drift``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from packaging.version import InvalidVersion, Version

from harness.bisect.changes import changes_between
from harness.bisect.coupling import needs_of
from harness.bisect.ends import FORMS, End, find_end
from harness.bisect.search import Search
from harness.bisect.trial import Trials
from harness.cli.bisect_output import culprit_json, drift_json, print_culprit, print_drift, print_trial
from harness.cli.console import make_console
from harness.cli.guard import guarded
from harness.cli.options import format_option, project_options
from harness.core.errors import ExitCode
from harness.core.verdict import Stage
from harness.matrix import Backend, Combination
from harness.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from harness.bisect.coupling import Requirements
    from harness.environments.lock import Lock
    from harness.matrix.project import Project

    F = TypeVar("F", bound=Callable[..., object])

DEFAULTS = {"python": "3.12", "backend": "pytorch", "model": "canary"}


def _subject_options(command: F) -> F:
    """What is asked for where an end is a day, and what is tried where an end is only a lock file."""
    for option in (
        click.option("--lmdeploy", metavar="VERSION", help="Where an end is a day: of this lmdeploy."),
        click.option("--transformers", metavar="VERSION", help="And this transformers [default: what that day gives]"),
        click.option("--python", metavar="VERSION", help="On this Python [default: 3.12]"),
        click.option("--backend", type=click.Choice([str(each) for each in Backend]), help="[default: pytorch]"),
        click.option("--model", metavar="NAME", help="With this model of models/ [default: canary]"),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("green")
@click.argument("red")
@_subject_options
@click.option("--stage", type=click.Choice([str(each) for each in Stage]), help="Go no further than this stage.")
@click.option("--fresh", is_flag=True, help="Try again what was tried before.")
@project_options
@format_option
@guarded
def bisect(  # noqa: PLR0913, PLR0917 - one parameter for each option
    green: str,
    red: str,
    lmdeploy: str | None,
    transformers: str | None,
    python: str | None,
    backend: str | None,
    model: str | None,
    stage: str | None,
    fresh: bool,
    project: Project,
    form: str,
) -> int:
    """Find the smallest set of package changes between stack GREEN and stack RED that turns the verdict.

    Each is a combination's id, ID@ATTEMPT, the path of a pylock.toml, a lock's name, a day such as 2026-01-04, or
    'today'. Stacks between the two are installed and tried; what a change brings along by its own requirements moves
    with it. Every trial is remembered, so an interrupted search goes on where it was.
    """
    session = Session(project, fresh=fresh)
    subject = _Subject(session, lmdeploy, transformers, python, backend, model)
    first, second = subject.ends(green, red)
    combination = subject.combination(first, second)
    trials = Trials(session, combination, Stage(stage) if stage else None)
    progress = make_console(stderr=True)

    def needs(lock: Lock) -> Requirements:
        return needs_of(session.environments.folder(lock), combination.python)

    found = Search(
        first.lock,
        second.lock,
        trials,
        needs,
        said=lambda tried: print_trial(progress, tried),
        told=lambda text: progress.print(text, style="dim", markup=False, soft_wrap=True),
    ).run()
    if form == "json":
        click.echo(culprit_json(found))
    else:
        print_culprit(make_console(), found)
    return ExitCode.OK


@click.command()
@click.argument("green", metavar="BEFORE")
@click.argument("red", metavar="AFTER")
@_subject_options
@click.option("--locks-only", is_flag=True, help="Compare the packages and run nothing.")
@project_options
@format_option
@guarded
def drift(  # noqa: PLR0913, PLR0917 - one parameter for each option
    green: str,
    red: str,
    lmdeploy: str | None,
    transformers: str | None,
    python: str | None,
    backend: str | None,
    model: str | None,
    locks_only: bool,
    project: Project,
    form: str,
) -> int:
    """The same combination as of two days, side by side: both verdicts, and the packages that moved.

    BEFORE and AFTER take the same forms as the ends of 'lmdeploy-harness bisect'; usually they are days.
    """
    session = Session(project)
    subject = _Subject(session, lmdeploy, transformers, python, backend, model)
    ends = subject.ends(green, red)
    verdicts = None
    changes = changes_between(ends[0].lock, ends[1].lock)
    if not locks_only:
        trials = Trials(session, subject.combination(*ends))
        first, second = (trials.verdict(each.lock, keep=True) for each in ends)
        verdicts = (str(first), str(second))
    if form == "json":
        click.echo(drift_json(ends, verdicts, changes))
        return ExitCode.OK
    print_drift(make_console(), ends, verdicts, changes)
    if verdicts is not None and verdicts[0] != verdicts[1]:
        click.echo("the verdict turned; 'lmdeploy-harness bisect' with the same words finds the change that did it")
    return ExitCode.OK


class _Subject:
    """What is tried: said by the options, or by a combination that is one of the ends."""

    def __init__(  # noqa: PLR0913, PLR0917 - one for each option
        self,
        session: Session,
        lmdeploy: str | None,
        transformers: str | None,
        python: str | None,
        backend: str | None,
        model: str | None,
    ) -> None:
        self._session = session
        self._versions = {"lmdeploy": lmdeploy, "transformers": transformers}
        self._said = {"python": python, "backend": backend, "model": model}
        for name, text in self._versions.items():
            _check_version(name, text)

    def ends(self, green: str, red: str) -> tuple[End, End]:
        """Both ends; a day is of the combination at the other end, or of what the options say."""
        base = self._asked()
        if base is None:
            known = [find_end(each, self._session, None) for each in (green, red) if not _is_day(each)]
            base = next((each.combination for each in known if each.combination is not None), None)
        return find_end(green, self._session, base), find_end(red, self._session, base)

    def combination(self, green: End, red: End) -> Combination:
        """What is tried with every stack."""
        known = green.combination or red.combination
        if known is not None:
            return known
        stack = red.lock.stack
        if "lmdeploy" not in stack or "transformers" not in stack:
            raise click.UsageError(f"{red.label} holds no lmdeploy and transformers; there is nothing to try in it")
        return self._made(stack["lmdeploy"], stack["transformers"], ())

    def _asked(self) -> Combination | None:
        lmdeploy, transformers = self._versions["lmdeploy"], self._versions["transformers"]
        if lmdeploy is None:
            return None
        model = self._session.models.get(self._chosen("model"))
        extra = model.requirements_for(Version(lmdeploy)) if model is not None else ()
        pinned = (f"transformers=={transformers}",) if transformers else ("transformers",)
        return self._made(lmdeploy, transformers or "any", (f"lmdeploy=={lmdeploy}", *pinned, *extra))

    def _made(self, lmdeploy: str, transformers: str, requirements: tuple[str, ...]) -> Combination:
        model = self._chosen("model")
        if model not in self._session.models:
            raise click.UsageError(f"there is no model {model!r}; there are: {', '.join(self._session.models)}")
        return Combination(
            id=f"lmdeploy{lmdeploy}-{self._chosen('backend')}-{model}-py{self._chosen('python')}",
            python=self._chosen("python"),
            lmdeploy=lmdeploy,
            transformers=transformers,
            backend=Backend(self._chosen("backend")),
            model=model,
            requirements=requirements,
            allow_source=self._session.models[model].allow_source,
        )

    def _chosen(self, name: str) -> str:
        return self._said[name] or DEFAULTS[name]


def _is_day(text: str) -> bool:
    return text == "today" or (len(text) == 10 and text[4:8:3] == "--")  # noqa: PLR2004 - 2026-01-04


def _check_version(name: str, text: str | None) -> None:
    try:
        Version(text or "0")
    except InvalidVersion:
        raise click.UsageError(f"--{name} {text!r} is not a version; write e.g. --{name} 0.11.1") from None


__all__ = ["FORMS", "bisect", "drift"]
