"""Making miniatures: in an environment of their own, several in one process, each folder whole or not there."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.errors import ExitCode, HarnessError
from harness.core.files import digest, digest_of_files, read_json, write_atomically
from harness.core.untrusted_files import UnexpectedFiles, remove_tree, take_files
from harness.environments.interpreters import find_interpreter
from harness.environments.resolve import ResolveRequest
from harness.matrix.model_configuration import UnusableConfiguration, read_configuration
from harness.miniatures.checkpoint_files import files_for
from harness.process.child import CHILDREN, Limits
from harness.process.redaction import child_environment
from harness.process.scratch import own_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from harness.environments.environment import Environment, Environments
    from harness.environments.resolve import Resolver

RECORD = "miniature.json"
"""The file that is written last: what was made, from what, and what it cannot show."""
CONTROLS = "controls.json"
"""How far the logits move when one structural choice is switched off in the reference."""
EVENTS = "events.jsonl"
PYTHON = "3.11"
MAKERS = ("4.57.3", "5.24.0")
"""Versions of transformers that make them, the first that knows the architecture: 4.57 writes the published names."""
WRONG: Mapping[str, tuple[str, ...]] = {"deepseek_v2": ("4.57.3",)}
"""Makers whose numbers for a model type are not what the published code computes: 4.57 leaves out yarn's ``mscale``."""
_BESIDE = ("torch==2.8.0", "torchvision==0.23.0", "pillow", "sentencepiece")
_MAKER = Path(__file__).parents[1] / "probes" / "miniature"
_LIMITS = Limits(idle=300.0, memory=10 * 1024**3)
_RESOLVE, _INSTALL = Limits(wall=300, idle=300), Limits(wall=1800, idle=1800)
_LARGEST = 2**30
"""Bytes of all files of one miniature; the largest has some tens of millions."""
_EACH = 120.0
"""Seconds for one miniature; most take three."""


class NoMiniature(HarnessError, ValueError):  # noqa: N818 - reads as what it says of the configuration
    """No miniature can be made of a configuration; the message says why."""


class MakerBroken(HarnessError, RuntimeError):  # noqa: N818 - reads as what happened
    """The process that makes miniatures did not begin."""

    exit_code = ExitCode.INFRASTRUCTURE


class _Answer(BaseModel):
    """What the maker writes of one miniature: that it begins, or what came of it."""

    model_config = ConfigDict(frozen=True, strict=True)

    event: Literal["begin", "answer"]
    number: int = Field(ge=0)
    message: str = ""
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class _Order:
    """One miniature to be made."""

    name: str
    config: Mapping[str, Any]
    folder: Path
    seed: int

    @property
    def digest(self) -> str:
        """Hash of everything the miniature depends on."""
        files = files_for(self.config)
        beside = [dict(files.tokenizer), dict(files.processors)]
        sources = digest_of_files(_MAKER, _MAKER.glob("*.py"))
        return digest(["miniature", sources, dict(self.config), self.seed, beside, self.makers, _BESIDE])

    @property
    def makers(self) -> tuple[str, ...]:
        """Versions of transformers that can make it."""
        wrong = WRONG.get(str(self.config.get("model_type")), ())
        return tuple(version for version in MAKERS if version not in wrong)

    @property
    def is_made(self) -> bool:
        """Whether the folder holds this miniature, and not an earlier one."""
        return (read_json(self.folder / RECORD) or {}).get("digest") == self.digest


@dataclass(frozen=True, slots=True)
class Maker:
    """Where miniatures are made."""

    resolver: Resolver
    environments: Environments
    scratch: Path

    def environment(self, transformers: str) -> Environment:
        """The environment with that transformers.

        Raises:
            UvFailure: it could not be resolved or installed.
        """
        interpreter = find_interpreter(PYTHON)
        request = ResolveRequest(str(interpreter), tuple(sorted([*_BESIDE, f"transformers=={transformers}"])))
        resolution = self.resolver.resolve(request, _RESOLVE)
        if resolution.lock is None:
            raise resolution.failure or AssertionError("neither a lock nor a failure")
        return self.environments.build(resolution.lock, interpreter, _INSTALL)


def make_miniatures(
    wanted: Mapping[str, tuple[Path, int]], into: Path, maker: Maker
) -> dict[str, NoMiniature | UnusableConfiguration]:
    """Make every miniature that is not there, in a folder of its name; for those that cannot be made, why not.

    Args:
        wanted: the published config.json and the seed of each, by name.
        into: where their folders are.
        maker: where they are made.

    Raises:
        MakerBroken: the process that makes them did not begin.
        UvFailure: an environment for it could not be built.
    """
    problems: dict[str, NoMiniature | UnusableConfiguration] = {}
    left: list[_Order] = []
    for name, (file, seed) in wanted.items():
        try:
            order = _Order(name, read_configuration(file).content, into / name, seed)
        except UnusableConfiguration as error:
            problems[name] = error
            continue
        if not order.is_made:
            left.append(order)
    if not left:
        return problems
    into.mkdir(parents=True, exist_ok=True)
    with FileLock(into.with_name(f"{into.name}.lock")):  # another run waits, and finds them made
        return problems | _make_all([order for order in left if not order.is_made], maker)


def _make_all(orders: Sequence[_Order], maker: Maker) -> dict[str, NoMiniature | UnusableConfiguration]:
    """Make the orders, each by the first version that knows its architecture; why not, for those that cannot be."""
    problems: dict[str, NoMiniature | UnusableConfiguration] = {}
    left = orders
    for version in MAKERS:
        answers: dict[str, _Answer] = {}
        asked = [order for order in left if version in order.makers]
        while len(answers) < len(asked):  # a configuration that ends the process leaves the others to the next one
            answers |= _made([order for order in asked if order.name not in answers], maker, version)
        for order in asked:
            message = answers[order.name].message
            if message:
                problems[order.name] = NoMiniature(f"no miniature of {order.name}: {message}")
            else:
                problems.pop(order.name, None)
        left = [order for order in left if order not in asked or answers[order.name].unknown]
    return problems


def measure_controls(names: Iterable[str], made: Path, maker: Maker) -> dict[str, str]:
    """Measure the negative controls of miniatures: ``NAME.controls.json`` beside each one's folder.

    Not in it: a check's answer depends on every file of the checkpoint.

    Args:
        names: of the miniatures.
        made: where their folders are.
        maker: where they were made.

    Returns:
        Why there are none, by name, for those that have none.

    Raises:
        MakerBroken: the process that measures did not begin.
        UvFailure: an environment for it could not be built.
    """
    problems: dict[str, str] = {}
    by_version: dict[str, list[str]] = {}
    for name in names:
        record = read_json(made / name / RECORD)
        if record is None:
            problems[name] = f"there is no miniature in {made / name}; make it first"
        elif (read_json(made / f"{name}.{CONTROLS}") or {}).get("digest") != record["digest"]:
            by_version.setdefault(str(record["made_by"]["transformers"]), []).append(name)
    for version, left in by_version.items():
        answers: dict[str, _Answer] = {}
        while len(answers) < len(left):
            requests: dict[str, Mapping[str, Any]] = {name: {"task": "control"} for name in left if name not in answers}
            folders = {name: made / name for name in requests}
            answers |= _asked(requests, maker, version, lambda name, copy: _keep_controls(copy, made, name), folders)
        problems |= {name: answer.message for name, answer in answers.items() if answer.message}
    return problems


def _made(orders: Sequence[_Order], maker: Maker, version: str) -> dict[str, _Answer]:
    """Make the orders in one process, as far as it comes; what each came to."""
    requests = {order.name: _request(order) for order in orders}
    folders = {order.name: order.folder for order in orders}
    return _asked(requests, maker, version, lambda name, folder: _keep(folder, folders[name]))


def _asked(
    requests: Mapping[str, Mapping[str, Any]],
    maker: Maker,
    version: str,
    keep: Callable[[str, Path], None],
    copied: Mapping[str, Path] | None = None,
) -> dict[str, _Answer]:
    """Ask one process of the maker, as far as it comes; what each request came to.

    Args:
        requests: by name.
        maker: where.
        version: of transformers.
        keep: called with each name and the folder that its request worked in.
        copied: what those folders hold at first; None: nothing.

    Raises:
        MakerBroken: the process did not begin.
    """
    python = maker.environment(version).python
    scratch = Path(tempfile.mkdtemp(prefix="miniature-", dir=own_folder(maker.scratch)))
    try:
        names = list(requests)
        places = {name: scratch / f"folder-{number}" for number, name in enumerate(names)}
        for name, folder in (copied or {}).items():
            shutil.copytree(folder, places[name])
        files = [
            _write_request(scratch, number, {**requests[name], "folder": str(places[name])})
            for number, name in enumerate(names)
        ]
        report = CHILDREN.run(
            [str(python), "-I", str(_MAKER / "start.py"), *map(str, files)],
            environment=child_environment(home=str(scratch), scratch=str(scratch)),
            folder=scratch,
            limits=replace(_LIMITS, wall=_EACH * (len(names) + 1)),
            events=scratch / EVENTS,
            writable=[scratch],
            readable=[_MAKER.parent],
        )
        found: dict[str, _Answer] = {}
        for line in report.events.splitlines():
            with suppress(ValidationError, IndexError):  # what no maker writes: then its miniature has no answer
                event = _Answer.model_validate_json(line)
                ended = event.model_copy(update={"message": f"its maker ended over it: {report.message or report.end}"})
                found[names[event.number]] = event if event.event == "answer" else ended
        if not found:
            raise MakerBroken(f"the maker of miniatures did not begin: {report.end}\n{report.log[-2000:]}")
        for name in names:
            if name in found and not found[name].message:
                try:
                    keep(name, places[name])
                except UnexpectedFiles as error:
                    found[name] = found[name].model_copy(update={"message": f"its maker left {error}"})
        return found
    finally:
        with suppress(OSError):  # the next sweep tries again
            remove_tree(scratch)


def _request(order: _Order) -> Mapping[str, Any]:
    files = files_for(order.config)
    return {
        "task": "make",
        "config": dict(order.config),
        "tokenizer": dict(files.tokenizer),
        "processors": dict(files.processors),
        "seed": order.seed,
        "digest": order.digest,
    }


def _write_request(scratch: Path, number: int, request: Mapping[str, Any]) -> Path:
    file = scratch / f"request-{number}.json"
    told = {**request, "number": number, "events": str(scratch / EVENTS)}
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


def _keep(made: Path, folder: Path) -> None:
    """Put a finished miniature into its place, the record last.

    Raises:
        UnexpectedFiles: no maker leaves such files.
    """
    files = take_files(made, _LARGEST)
    if RECORD not in files:
        raise UnexpectedFiles(f"no {RECORD}")
    remove_tree(folder)
    folder.mkdir(parents=True)
    for name in sorted(files, key=lambda each: each == RECORD):
        (folder / name).write_bytes(files[name])


def _keep_controls(copy: Path, made: Path, name: str) -> None:
    files = take_files(copy, _LARGEST)
    if CONTROLS not in files:
        raise UnexpectedFiles(f"no {CONTROLS}")
    write_atomically(made / f"{name}.{CONTROLS}", files[CONTROLS].decode(errors="replace"))
