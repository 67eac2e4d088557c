"""Many real imports from few environments: ``python -m benchmarks.scan_overlays --pairs FILE --write FILE``.

An environment for each pair costs minutes. Here one finished environment of the harness's working folder
(``HARNESS_HOME``) serves many pairs with the same torch: what a pair's own lock has otherwise is installed into a
folder of its own, which comes first on the path of a forked process, and what the lock does not have is hidden. That
process makes the harness's own checks of the stages import, configure and preprocess. A pair for whose torch there is
no environment is left out, and said so.

The written table holds what ``lmdeploy-harness scan-truth --measured FILE`` compares the predictions with.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.core.verdict import Stage
from harness.environments.lock import Lock
from harness.environments.resolve import Resolver
from harness.environments.uv import run_uv
from harness.index.package_index import PackageIndex
from harness.matrix import expand, load_matrix
from harness.matrix.model_files import load_models
from harness.pipeline.check_runner import CheckCall, Subject
from harness.pipeline.checkpoints import find_checkpoint
from harness.pipeline.checks import checks_of
from harness.pipeline.stack import resolve
from harness.scan.answers.truth import Group, matrix_text, read_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.matrix import Combination
    from harness.matrix.models import ModelSpec

RUNGS = (Stage.IMPORT, Stage.CONFIGURE, Stage.PREPROCESS)
HEAVY = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")
HERE = Path(__file__).parent
WALL = 480.0
"""Seconds for all checks of a pair."""


def installed(folder: Path) -> dict[str, str]:
    """What is installed in an environment, by normalised name."""
    found = {}
    for entry in folder.glob("lib/python3*/site-packages/*.dist-info"):
        name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found


def base_for(stack: Mapping[str, str], environments: Mapping[Path, Mapping[str, str]]) -> Path | None:
    """The environment with the stack's torch, its engine if possible, and the fewest packages to add or to hide."""
    fitting = {
        folder: (
            packages.get("lmdeploy") != stack["lmdeploy"],
            len(packages.keys() - stack.keys()),
            sum(packages.get(name) != version for name, version in stack.items()),
        )
        for folder, packages in environments.items()
        if all(packages.get(name) == version for name, version in stack.items() if HEAVY.fullmatch(name))
    }
    return min(fitting, key=lambda folder: fitting[folder]) if fitting else None


def modules_of(base: Path, package: str) -> list[str]:
    """The top-level modules of a package that is installed in an environment."""
    for folder in base.glob("lib/python3*/site-packages/*.dist-info"):
        if re.sub(r"[-_.]+", "-", folder.name.removesuffix(".dist-info").rpartition("-")[0]).lower() == package:
            listed = folder / "top_level.txt"
            if listed.exists():
                return listed.read_text("utf-8").split()
    return [package.replace("-", "_")]


def ordered(combination: Combination, spec: ModelSpec, folder: Path) -> list[tuple[str, str]]:
    """The requests of a pair, written down: request file and events file of each."""
    requests: list[tuple[str, str]] = []
    for stage in RUNGS:
        for check in checks_of(combination, spec, stage):
            path = folder / f"request-{len(requests)}.json"
            events, scratch = path.with_suffix(".events.jsonl"), folder / f"work-{len(requests)}"
            scratch.mkdir(parents=True)
            subject = Subject(combination, spec, find_checkpoint(spec, folder), Lock(""))
            asked = CheckCall(check, subject).request(threads=1)
            path.write_text(json.dumps({**asked, "events": str(events), "scratch": str(scratch)}), "utf-8")
            requests.append((str(path), str(events)))
    return requests


def decided(requests: list[tuple[str, str]]) -> str:
    """The verdict of the first check that did not pass, or of the highest stage that did."""
    last = ""
    for _, events in requests:
        path = Path(events)
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        results = [event for event in map(json.loads, lines) if event["event"] == "result"]
        if not results:
            return last and f"fail/{last.partition('/')[2]}/timeout"
        for result in results:
            if result["outcome"] != "pass":
                what = (result.get("exception") or {}).get("message") or result.get("message", "")
                reason = result.get("reason") or "unknown"
                return f"{result['outcome']}/{result['stage']}/{reason}({re.sub('[()]', '', what)[:120]})"
            last = f"pass/{result['stage']}"
    return last


class Overlays:
    """One run of this program."""

    def __init__(self, home: Path, models: Path, work: Path) -> None:
        self.home, self.models, self.work = home, models, work
        finished = [marker.parent for marker in home.glob("environments/*/harness-finished.json")]
        self.environments = {folder: installed(folder) for folder in finished}
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "models").exists():
            (work / "models").symlink_to(models.resolve())

    def climb(self, group: Group) -> list[dict[str, str]]:
        """One engine release with a model and a backend, under several transformers releases."""
        matrix = self.work / "scan-overlays.yaml"
        matrix.write_text(matrix_text(group), "utf-8")
        models = load_models(self.models)
        spec = models[group.model]
        rows: list[dict[str, str]] = []
        orders: dict[Path, list[tuple[dict[str, str], dict[str, Any]]]] = {}
        with PackageIndex(self.home / "index", timedelta(days=1)) as index:
            combinations = expand(load_matrix(matrix), models, index)
        for combination in combinations:
            row = {"lmdeploy": group.lmdeploy, "transformers": combination.transformers, "backend": group.backend}
            row |= {"model": group.model, "decided": "", "how": "overlay"}
            rows.append(row)
            lock = resolve(combination, Resolver(self.home / "resolutions")).lock
            if lock is None:
                row["decided"] = "fail/resolve/resolver-conflict"
                continue
            base = base_for(lock.stack, self.environments)
            if base is None:
                print(f"left out: {combination.id}: no environment with torch {lock.stack.get('torch')}")
                continue
            folder = Path(tempfile.mkdtemp(prefix="pair-", dir=self.work))
            site = folder / "site"
            self.install(base, lock.stack, site, combination.allow_source)
            requests = ordered(combination, spec, folder)
            hidden = [
                module
                for package in self.environments[base].keys() - lock.stack.keys() - {"pip"}
                if not HEAVY.fullmatch(package)  # they share their modules with others
                for module in modules_of(base, package)
            ]
            order: dict[str, Any] = {"site": str(site), "log": str(folder / "log.txt"), "requests": requests}
            order["hidden"] = hidden
            orders.setdefault(base, []).append((row, order))
        for base, pairs in orders.items():
            self.run(base, [order for _, order in pairs])
            for row, order in pairs:
                row["decided"] = decided(order["requests"])
                print(row["lmdeploy"], row["transformers"], row["backend"], row["model"], row["decided"], flush=True)
                shutil.rmtree(order["site"], ignore_errors=True)  # a pair that lacked nothing has none
        return rows

    def install(self, base: Path, stack: Mapping[str, str], site: Path, sources: tuple[str, ...]) -> None:
        """What the base lacks of the stack, into a folder of its own."""
        wanted = [
            f"{name}=={version}" for name, version in stack.items() if self.environments[base].get(name) != version
        ]
        if wanted:
            built = [part for name in sources for part in ("--no-binary", name)]
            options = ["--quiet", "--no-deps", "--target", str(site), "--python", str(base / "bin" / "python")]
            run_uv(
                ["pip", "install", *options, "--only-binary", ":all:", *built, *wanted], folder=self.work, timeout=900.0
            )

    def run(self, base: Path, pairs: list[dict[str, Any]]) -> None:
        """Make the checks in the base environment."""
        start = HERE.parent / "harness" / "probes" / "start.py"
        order = {"start": str(start), "preload": ["torch", "torchvision"], "wall": WALL, "pairs": pairs}
        (self.work / "order.json").write_text(json.dumps(order), "utf-8")
        command = [
            str(base / "bin" / "python"),
            "-I",
            str(HERE / "scan_overlay_child.py"),
            str(self.work / "order.json"),
        ]
        subprocess.run(command, cwd=self.work, check=True)


def main() -> None:
    """Pipeline and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--work", type=Path, default=Path(".harness/scan-overlays"))
    parser.add_argument("--write", type=Path, required=True, help="the table; pairs that it has already are left alone")
    given = parser.parse_args()
    known = json.loads(given.write.read_text("utf-8")) if given.write.exists() else []
    done = {(row["lmdeploy"], row["backend"], row["model"], row["transformers"]) for row in known if row["decided"]}
    overlays = Overlays(Path(os.environ.get("HARNESS_HOME", ".harness")), given.models, given.work.absolute())
    for group in read_pairs(given.pairs):
        key = (group.lmdeploy, group.backend, group.model)
        rest = tuple(version for version in group.transformers if (*key, version) not in done)
        if rest:
            known += overlays.climb(Group(*key, rest))
            given.write.write_text(json.dumps(known, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
