"""What the harness adds to a request's latency on a GPU, against a bare loop that makes the same request.

On a host with a GPU, with an unpacked bundle:

    PYTHONPATH=BUNDLE/source:BUNDLE/runtime python3 benchmarks/gpu_overhead.py BUNDLE ID --model FOLDER --out FILE

One engine is booted once. Requests are made in turns: a few the harness's way (its request thread, its timer, and
meanwhile its sampling of the card, which has been going on since the boot) and as many by a plain ``stream_infer`` loop
with nothing around it, in an order drawn for each turn, so that both see the same engine in the same second.

The figure is the ratio of the medians of all requests, with a bootstrap interval over turns, which keeps together what
one slow second did to both. A request's time has a floor and a long tail, so the same of the lower quartiles stands
beside it: there the tail matters least, and whatever every request costs shows most.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from harness.bundle.manifest import MANIFEST
from harness.cli.bundle_host import HostSession
from harness.core.verdict import Stage
from harness.matrix.project import Project
from harness.pipeline.gpus import SAMPLE_SECONDS, GpuPool, Lease, gpus_of_this_machine
from harness.pipeline.limits import LIMITS

WARM = 12
RESAMPLED = 2000
BUDGET_MIB = 8192

_CHILD = """
import json, sys, time
sys.path.append(sys.argv[1])  # last: the package has folders named like modules of the standard library
from probes.engines import lmdeploy
from probes.engines.preprocess import messages
from probes.engines.two_pass import timed
from probes.running.events import Events
from probes.running.request import Model, Request
from probes.smoke.image import draw_quadrants
from probes.smoke.question import Question
folder, events, size, block, warm, told, backend = (json.loads(each) for each in sys.argv[2:9])
request = Request(
    check="two-pass", stage="boot", probe="", backend=backend, events=events, scratch=told["scratch"],
    model=Model("m", folder, folder, smoke={}), engine=told["engine"],
)
engine = lmdeploy.boot(request, Events(events))
question = Question("Name the colour of each quarter of the image.", 32,
                    draw_quadrants(["red", "blue", "green", "yellow"], size))
settings = lmdeploy.generation_settings(question.max_new_tokens)
asked = messages(question)
pipeline = engine.pipeline
def bare():
    started = time.perf_counter()
    text = "".join(part.text or "" for part in pipeline.stream_infer(messages(question), gen_config=settings))
    return time.perf_counter() - started
def harness():
    return timed(engine, question).total_seconds
for _ in range(warm):
    bare(); harness()
calls = {"bare": bare, "harness": harness}
print(json.dumps({"booted": True}), flush=True)
for line in sys.stdin:
    print(json.dumps({"seconds": [calls[line.strip()]() for _ in range(block)]}), flush=True)
import os; os._exit(0)
"""


@dataclass
class Turn:
    """A few requests of each kind, made in the same second; seconds each."""

    bare: list[float] = field(default_factory=list)
    harness: list[float] = field(default_factory=list)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name", metavar="ID")
@click.option("--model", type=click.Path(path_type=Path, exists=True), help="Its folder [default: random weights].")
@click.option("--weights-mib", default=10)
@click.option("--size", default=112, help="The image's edge.")
@click.option("--seconds", default=240.0, help="How long turns are taken.")
@click.option("--block", default=4, help="Requests of each kind in a turn.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(  # noqa: PLR0913, PLR0917 - one parameter for each option
    bundle: Path, name: str, model: Path | None, weights_mib: int, size: int, seconds: float, block: int, out: Path
) -> None:
    """Boot once, alternate, compare."""
    bundle = bundle.absolute()
    project = Project(bundle / MANIFEST, bundle / "models", bundle / "results", bundle / "state")
    session = HostSession(project, 1, bundle=bundle)
    packed = next(each for each in session.manifest.combinations if each.combination.id == name)
    if model is None:
        session.make_weights([packed.combination])
        model = project.weights / packed.combination.model
    environments = session.environments
    environment = environments.build(session.locks[packed.lock], Path(sys.executable), LIMITS[Stage.INSTALL])
    with tempfile.TemporaryDirectory() as scratch:
        engine = packed.combination.backend.engine
        if engine.configuration is None:
            raise click.UsageError(f"{packed.combination.backend} has no engine to time")
        budget = {"smoke": engine.configuration.smoke.fields, "budget_mib": BUDGET_MIB, "weights_mib": weights_mib}
        told = {"scratch": scratch, "engine": {**engine.told(), **budget}}
        arguments: list[object] = [str(model.absolute()), f"{scratch}/events", size, block, WARM, told]
        command = [str(environment.folder / "bin" / "python"), "-c", _CHILD, str(bundle / "source" / "harness")]
        command += [json.dumps(each) for each in (*arguments, packed.combination.backend)]
        turns = _alternate(command, dict(environment.variables), gpus_of_this_machine(), seconds)
    bare = [seconds for each in turns for seconds in each.bare]
    table = {
        "combination": name,
        "turns": len(turns),
        "requests_each": len(bare),
        "bare_quartiles_seconds": [round(each, 5) for each in statistics.quantiles(bare, n=4)],
        "ratio_of_medians": round(_ratio(turns, 0.5), 4),
        "ratio_of_medians_95_percent": _interval(turns, 0.5),
        "ratio_of_lower_quartiles": round(_ratio(turns, 0.25), 4),
        "ratio_of_lower_quartiles_95_percent": _interval(turns, 0.25),
    }
    out.write_text(json.dumps(table, indent=1) + "\n")
    samples = [{"bare": each.bare, "harness": each.harness} for each in turns]
    out.with_suffix(".samples.json").write_text(json.dumps(samples))
    click.echo(json.dumps(table))


def _alternate(command: list[str], variables: dict[str, str], gpu_pool: GpuPool, seconds: float) -> list[Turn]:
    """Let the child take turns; the card is sampled during the harness's requests alone."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    sampling, done = threading.Event(), threading.Event()
    lease = Lease(gpu_pool.cards[:1], BUDGET_MIB, "overhead", alone=True)
    threading.Thread(target=_watch, args=(lease, sampling, done), daemon=True).start()
    order = random.Random(0)  # noqa: S311 - a fixed seed, so that the order can be repeated
    _told(child)
    turns: list[Turn] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        turn = Turn()
        for kind in order.sample(["bare", "harness"], 2):
            (sampling.set if kind == "harness" else sampling.clear)()
            setattr(turn, kind, _told(child, kind)["seconds"])
        turns.append(turn)
    done.set()
    child.communicate(timeout=60)
    return turns


def _told(child: subprocess.Popen[str], asked: str = "") -> dict[str, list[float]]:
    """The child's next message of ours; what else it says goes to standard error.

    Raises:
        click.ClickException: the child has ended.
    """
    assert child.stdin is not None  # noqa: S101 - piped
    assert child.stdout is not None  # noqa: S101 - piped
    if asked:
        child.stdin.write(asked + "\n")
        child.stdin.flush()
    for line in child.stdout:
        if line.startswith(('{"seconds"', '{"booted"')):
            said: dict[str, list[float]] = json.loads(line)
            return said
        sys.stderr.write(line)
    raise click.ClickException(f"the engine's process ended ({child.wait()}); its output is above")


def _watch(lease: Lease, sampling: threading.Event, done: threading.Event) -> None:
    lease.look()
    while not done.wait(SAMPLE_SECONDS):
        if sampling.is_set():
            lease.look()


def _ratio(turns: list[Turn], share: float) -> float:
    """The harness's time below which that share of its requests lies, over the bare loop's."""
    harness = sorted(seconds for each in turns for seconds in each.harness)
    bare = sorted(seconds for each in turns for seconds in each.bare)
    return harness[int(len(harness) * share)] / bare[int(len(bare) * share)]


def _interval(turns: list[Turn], share: float) -> list[float]:
    """The middle 95 % of that over resampled turns."""
    source = random.Random(0)  # noqa: S311 - a fixed seed, so that the figure can be repeated
    ratios = sorted(_ratio(source.choices(turns, k=len(turns)), share) for _ in range(RESAMPLED))
    return [round(ratios[int(RESAMPLED * each)], 4) for each in (0.025, 0.975)]


class _NoListener:
    def stage_reached(self, *_: object) -> None:
        """Nothing to say."""

    def finished(self, *_: object, known: bool) -> None:
        """Nothing to say."""


if __name__ == "__main__":
    main()
