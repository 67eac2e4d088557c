"""What the harness adds to a request's latency on a GPU, against a bare loop that makes the same request.

On a host with a GPU, with an unpacked bundle:

    PYTHONPATH=BUNDLE/source:BUNDLE/runtime python3 benchmarks/gpu_overhead.py BUNDLE ID --model FOLDER --out FILE

One engine is booted once. Blocks of requests alternate between the harness's way (its request thread, its timer, and
meanwhile its sampling of the card, which has been going on since the boot) and a plain ``stream_infer`` loop with
nothing around it, so that both see the same engine in the same minute. The figure is the ratio of the medians, with a
bootstrap interval.
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
from pathlib import Path

import click

from harness.bundle.host import HostWorkbench
from harness.bundle.manifest import MANIFEST
from harness.gpus import SAMPLE_SECONDS, Garage, Lease, this_garage
from harness.project import Project

WARM = 12
BUDGET_MIB = 8192

_CHILD = """
import json, sys, time
sys.path.append(sys.argv[1])  # last: the package has folders named like modules of the standard library
from probes import boot_lmdeploy
from probes.events import Events
from probes.preprocess import messages
from probes.request import Model, Request
from probes.smoke_image import draw_quadrants
from probes.two_pass import Question, timed
folder, events, size, rounds, block, warm, told = (json.loads(each) for each in sys.argv[2:9])
request = Request("two-pass", sys.argv[9], events, told["scratch"], Model("m", folder, folder, smoke={}),
                  options={"gpu_budget_mib": told["budget"], "weights_mib": told["weights"]})
engine = boot_lmdeploy.boot(request, Events(events))
question = Question("Name the colour of each quarter of the image.", 32,
                    draw_quadrants(["red", "blue", "green", "yellow"], size))
settings = boot_lmdeploy.generation_settings(question.max_new_tokens)
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
for turn in range(rounds):
    for name, call in ([("bare", bare), ("harness", harness)][:: 1 if turn % 2 else -1]):
        print(json.dumps({"block": name}), flush=True)
        sys.stdin.readline()
        for _ in range(block):
            print(json.dumps({name: call()}), flush=True)
print(json.dumps({"done": True}), flush=True)
import os; os._exit(0)
"""


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name", metavar="ID")
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True, help="The checkpoint's folder.")
@click.option("--weights-mib", default=10)
@click.option("--size", default=112, help="The image's edge.")
@click.option("--rounds", default=24, help="Blocks of each kind.")
@click.option("--block", default=40, help="Requests of a block.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(  # noqa: PLR0913, PLR0917 - one parameter for each option
    bundle: Path, name: str, model: Path, weights_mib: int, size: int, rounds: int, block: int, out: Path
) -> None:
    """Boot once, alternate, compare."""
    bundle = bundle.absolute()
    project = Project(bundle / MANIFEST, bundle / "models", bundle / "results", bundle / "state")
    bench = HostWorkbench(project, 1, bundle=bundle)
    packed = next(each for each in bench.manifest.combinations if each.id == name)
    environments = bench.run([], _NoListener()).workshop.environments
    environment = environments.build(bench.locks[packed.lock], Path(sys.executable))
    samples: dict[str, list[float]] = {"bare": [], "harness": []}
    with tempfile.TemporaryDirectory() as scratch:
        told = {"scratch": scratch, "budget": BUDGET_MIB, "weights": weights_mib}
        arguments: list[object] = [str(model.absolute()), f"{scratch}/events", size, rounds, block, WARM, told]
        command = [str(environment.folder / "bin" / "python"), "-c", _CHILD, str(bundle / "source" / "harness")]
        command += [*(json.dumps(each) for each in arguments), str(packed.backend)]
        _alternate(command, dict(environment.variables), this_garage(), samples)
    ratio = statistics.median(samples["harness"]) / statistics.median(samples["bare"])
    low, high = _interval(samples)
    table = {
        "combination": name,
        "requests_each": len(samples["bare"]),
        "bare_median_seconds": round(statistics.median(samples["bare"]), 5),
        "harness_median_seconds": round(statistics.median(samples["harness"]), 5),
        "ratio": round(ratio, 4),
        "ratio_95_percent": [round(low, 4), round(high, 4)],
    }
    out.write_text(json.dumps(table, indent=1) + "\n")
    click.echo(json.dumps(table))


def _alternate(command: list[str], variables: dict[str, str], garage: Garage, samples: dict[str, list[float]]) -> None:
    """Let the child go from block to block; the card is sampled only during the harness's."""
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables}
    )
    assert child.stdin is not None  # noqa: S101 - piped above
    assert child.stdout is not None  # noqa: S101 - piped above
    sampling, done = threading.Event(), threading.Event()
    lease = Lease(garage.cards[0], BUDGET_MIB, "overhead", alone=True)
    watcher = threading.Thread(target=_watch, args=(lease, sampling, done), daemon=True)
    watcher.start()
    for line in child.stdout:
        if not line.startswith("{"):
            sys.stderr.write(line)
            continue
        said = json.loads(line)
        if "block" in said or "done" in said:
            if said.get("block") == "harness":
                sampling.set()
            else:
                sampling.clear()
            child.stdin.write("go\n")
            child.stdin.flush()
            if "done" in said:
                break
        else:
            for kind, seconds in said.items():
                samples[kind].append(float(seconds))
    done.set()
    child.wait(60)


def _watch(lease: Lease, sampling: threading.Event, done: threading.Event) -> None:
    lease.look()
    while not done.wait(SAMPLE_SECONDS):
        if sampling.is_set():
            lease.look()


def _interval(samples: dict[str, list[float]]) -> tuple[float, float]:
    """The middle 95 % of the ratio of medians over resampled requests."""
    source = random.Random(0)  # noqa: S311 - a fixed seed, so that the figure can be repeated
    ratios = sorted(
        statistics.median(source.choices(samples["harness"], k=len(samples["harness"])))
        / statistics.median(source.choices(samples["bare"], k=len(samples["bare"])))
        for _ in range(2000)
    )
    return ratios[50], ratios[1949]


class _NoListener:
    def stage_reached(self, *_: object) -> None:
        """Nothing to say."""

    def finished(self, *_: object, known: bool) -> None:
        """Nothing to say."""


if __name__ == "__main__":
    main()
