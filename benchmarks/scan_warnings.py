"""How often the scan's warnings are true: ``python -m benchmarks.scan_warnings [--write FILE]``.

A warning says that a release of transformers lacks a name, a module or an attribute, or that a function does not take a
keyword. Whether it does is asked of the release itself: installed into a folder of its own, beside the torch of a
finished environment of the harness's working folder (``HARNESS_HOME``), and imported. The sample is every distinct
warning that any engine release since 0.4.0 gets, with either engine, under the given transformers releases; and of
keywords and attributes every claim, whether it is told as an error, a warning or a note.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from packaging.version import Version

from harness.engines import Backend, configuration_of
from harness.environments.uv import run_uv
from harness.index.cache import default_folder
from harness.scan.answers.findings import Severity
from harness.scan.answers.grid import ENGINE_SINCE
from harness.scan.answers.scanner import Scanner
from harness.scan.evaluation.failures import Topic
from harness.scan.evaluation.target import find_target
from harness.scan.sources.release import Library

SAMPLE = "4.42.4 4.45.2 4.46.3 4.48.3 4.50.3 4.52.4 4.55.4 4.57.6 5.0.0 5.6.2 5.12.0 5.24.0"
CHECK = r"""
import importlib, inspect, json, re, sys
sys.path.insert(0, sys.argv[1])

def found(dotted):
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            thing = getattr(thing, name)
        return thing
    raise ModuleNotFoundError(dotted)

def true(kind, name):
    keyword = re.fullmatch(r"(.*)\((\w+)=\)", name)
    if keyword:
        parameters = inspect.signature(found(keyword[1])).parameters
        return keyword[2] not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if kind == "attribute-missing":
        owner, _, attribute = name.rpartition(".")
        owner = owner if owner.startswith("transformers.") else f"transformers.{owner}"
        return not hasattr(found(owner)(), attribute)
    try:
        found(name)
    except (ImportError, AttributeError):
        return True
    return False

answers = []
for kind, name in json.load(sys.stdin):
    try:
        answers.append([kind, name, true(kind, name), ""])
    except Exception as error:
        answers.append([kind, name, None, repr(error)[:200]])
print("ANSWERS" + json.dumps(answers))
"""


def warnings_under(scanners: list[Scanner], version: Version) -> set[tuple[str, str]]:
    """Topic and name of every claim of the sample about one transformers release."""
    found = set()
    for scanner in scanners:
        for engine in scanner.library.versions("lmdeploy"):
            if engine >= ENGINE_SINCE:
                for each in scanner.scan(engine, version, full=False).findings:
                    counts = each.severity is Severity.WARNING or each.kind in {
                        Topic.KEYWORD,
                        Topic.ATTRIBUTE,
                    }
                    if counts and each.name.startswith(("transformers.", "Qwen2VL")):
                        found.add((str(each.kind), each.name))
    return found


def checked(version: Version, claims: set[tuple[str, str]], python: Path) -> list[list[object]]:
    """The claims with what the installed release says of each."""
    with tempfile.TemporaryDirectory(prefix="scan-warnings-") as name:
        site = Path(name) / "site"
        options = ["--quiet", "--target", str(site), "--python", str(python), "--only-binary", ":all:"]
        run_uv(["pip", "install", *options, f"transformers=={version}"], folder=Path(name), timeout=900.0)
        command = [str(python), "-I", "-c", CHECK, str(site)]
        ended = subprocess.run(
            command, input=json.dumps(sorted(claims)), capture_output=True, text=True, check=True, cwd=name
        )
    answers: list[list[object]] = json.loads(ended.stdout.rpartition("ANSWERS")[2])
    return answers


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transformers", nargs="*", default=SAMPLE.split())
    parser.add_argument("--environment", type=Path, help="a finished environment with torch")
    parser.add_argument("--cache", type=Path, default=default_folder())
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    home = Path(os.environ.get("HARNESS_HOME", ".harness"))
    environment = given.environment or next(iter(sorted(home.glob("environments/*/harness-finished.json")))).parent
    library = Library(given.cache)
    scanners = [
        Scanner(library, find_target("canary", Path("models"), backend))
        for backend in Backend
        if configuration_of(backend)
    ]
    rows, counts = [], Counter[tuple[str, str]]()
    for text in given.transformers:
        version = Version(text)
        claims = warnings_under(scanners, version)
        for kind, name, true, failure in checked(version, claims, environment / "bin" / "python") if claims else ():
            word = {True: "true", False: "false", None: "unknown"}[true]  # type: ignore[index] # a truth value
            counts[str(kind), word] += 1
            rows.append({"transformers": text, "kind": kind, "name": name, "claim": word, "failure": failure})
        print(text, len(claims), "warnings", flush=True)
    library.close()
    for (kind, word), count in sorted(counts.items()):
        print(f"{kind:<24} {word:<8} {count}")
    for row in rows:
        if row["claim"] != "true":
            print(row)
    if given.write is not None:
        summary = [[kind, word, count] for (kind, word), count in sorted(counts.items())]
        given.write.write_text(json.dumps({"summary": summary, "claims": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
