"""How right ``scan --code`` is: ``python -m benchmarks.scan_code --write FILE``.

Projects from the index, each in two versions, against environments that are really installed, one after the other. In
each, every import statement of the projects is really executed, and so is every file that imports outside of functions
(:mod:`benchmarks.scan_code_child`, which knows nothing of the scan). The scan says beforehand which names are missing,
and which files cannot be imported. A missing name that was not foreseen is a miss, one that was foreseen and works is a
false alarm. An import that fails for another reason (the package's module is there and breaks while it loads) says
nothing of the name and is counted apart, as is a file that a stand-in could not carry to its end.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from harness.core.files import write_atomically
from harness.environments.uv import run_uv
from harness.index.cache import default_folder
from harness.scan.evaluation.code import Code, OneRelease, code_of, lacking
from harness.scan.evaluation.outside import module_there, name_there
from harness.scan.evaluation.provider import Found
from harness.scan.sources.release import Library

PROJECTS = tuple(
    f"{name}=={version}"
    for name, versions in {"mineru": "2.7.6 4.0.12", "ms-swift": "3.9.3 4.6.0", "opencompass": "0.4.2 0.5.4"}.items()
    for version in versions.split()
)
ENVIRONMENTS = (
    ("0.10.2", "4.53.3", "2.8.0"),
    ("0.11.1", "4.57.3", "2.8.0"),
    ("0.13.0", "5.3.0", "2.8.0"),
    ("0.18.0", "5.17.0", "2.8.0"),
)
"""lmdeploy, transformers and torch; one torch, because it is what takes the space."""
ROOTS = ("lmdeploy", "transformers")
CHILD = Path(__file__).with_name("scan_code_child.py")
GONE = re.compile(r"cannot import name|No module named")


def answers_of(python: Path, projects: dict[str, str], work: Path) -> list[dict[str, Any]]:
    """What an environment says."""
    order = work / "order.json"
    order.write_text(json.dumps({"roots": ROOTS, "projects": projects}), "utf-8")
    command = [str(python), "-I", str(CHILD), str(order)]
    ran = subprocess.run(command, cwd=work, check=False, capture_output=True, text=True)
    if ran.returncode or "ANSWERS" not in ran.stdout:
        raise SystemExit(f"{python}: {ran.stderr[-3000:]}")
    found: list[dict[str, Any]] = json.loads(ran.stdout.rpartition("ANSWERS")[2])
    return found


def asked_of(
    lmdeploy: str, transformers: str, torch: str, projects: dict[str, str], work: Path
) -> list[dict[str, Any]]:
    """What an environment with these says, which is there for as long as that takes."""
    with tempfile.TemporaryDirectory(prefix="environment-", dir=work) as folder:
        run_uv(["venv", "--quiet", "--python", "3.11", folder + "/venv"], folder=work, timeout=300.0)
        python = Path(folder, "venv", "bin", "python")
        wanted = [f"lmdeploy=={lmdeploy}", f"transformers=={transformers}", f"torch=={torch}", "setuptools<81"]
        run_uv(["pip", "install", "--quiet", "--python", str(python), *wanted], folder=work, timeout=1800.0)
        return answers_of(python, projects, Path(folder))


def about(answer: dict[str, Any]) -> bool:
    """Whether what was raised is that the asked module or name is missing, not something it needs."""
    raised, module, name = answer["raised"], answer["module"], answer["name"]
    if f"cannot import name '{name}' from '{module}'" in raised:
        return True
    parts = module.split(".")
    return any(f"No module named '{'.'.join(parts[:end])}'" in raised for end in range(1, len(parts) + 1))


def compare(
    codes: dict[str, Code], worlds: dict[str, OneRelease], answers: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Each answer beside what the scan says."""
    read = {
        (name, root, need.file, need.line, need.module, need.name)
        for name, code in codes.items()
        for root in ROOTS
        for need in code.needs(root)
    }
    failing = {
        (name, root): {failure.file: failure for failure in reversed(lacking(code, worlds[root]).at_import)}
        for name, code in codes.items()
        for root in ROOTS
    }
    rows = []
    for answer in answers:
        root, project = answer["root"], answer["project"]
        if "executed" in answer:
            failure = failing[project, root].get(answer["file"])
            foreseen = failure is not None
            word, _, rest = answer["executed"].partition("|")
            really = word in {"ImportError", "ModuleNotFoundError", "AttributeError"} and root in rest
            unknown = not really and word != "ended"
            claim = "" if failure is None else f"line {failure.line}"
            kind = "file"
        else:
            world = worlds[root]
            module, name = answer["module"], answer["name"]
            found = name_there(world, module, name) if name and name != "*" else module_there(world, module)
            really, unknown, claim, kind = about(answer), bool(answer["raised"]) and not about(answer), "", "import"
            foreseen, perhaps = not found, found.found is Found.PERHAPS
            asked = (project, root, answer["file"], answer["line"], module, "" if name == "*" else name)
            if asked not in read:
                rows.append(answer | {"kind": "import", "result": "not read"})
                continue
        if kind == "import" and perhaps:
            rows.append(answer | {"kind": kind, "missing": really, "result": "perhaps"})
            continue
        result = "not told" if unknown else "right" if foreseen == really else "miss" if really else "false alarm"
        rows.append(answer | {"kind": kind, "missing": really, "claim": claim, "result": result})
    return rows


def main() -> None:
    """Install, ask, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=default_folder())
    parser.add_argument("--work", type=Path, default=Path(".harness/scan-code"))
    parser.add_argument("--only", help="one lmdeploy version")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    work = given.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    library = Library(given.cache)
    codes, projects = {}, {}
    for text in PROJECTS:
        name, _, version = text.partition("==")
        codes[text] = code_of(library.release(name, version))
        projects[text] = str(work / "projects" / text)
        options = ["--quiet", "--no-deps", "--python", "3.11", "--target", projects[text]]
        run_uv(["pip", "install", *options, text], folder=work, timeout=900.0)
    summary, notable = [], []
    for lmdeploy, transformers, torch in ENVIRONMENTS:
        if given.only not in {None, lmdeploy}:
            continue
        kept = work / f"answers-{lmdeploy}.json"
        if not kept.exists():
            kept.write_text(json.dumps(asked_of(lmdeploy, transformers, torch, projects, work)), "utf-8")
        answers = json.loads(kept.read_text("utf-8"))
        versions = {"lmdeploy": lmdeploy, "transformers": transformers}
        worlds = {root: OneRelease(library.release(root, version), root) for root, version in versions.items()}
        rows = compare(codes, worlds, answers)
        for project in PROJECTS:
            for kind in ("import", "file"):
                chosen = [row for row in rows if row["project"] == project and row["kind"] == kind]
                counts = Counter(row["result"] for row in chosen)
                missing = sum(bool(row.get("missing")) for row in chosen)
                line = {"project": project, "lmdeploy": lmdeploy, "transformers": transformers, "kind": kind}
                summary.append(line | {"asked": len(chosen), "missing": missing} | dict(counts))
                print(summary[-1], flush=True)
        notable += [row | {"lmdeploy": lmdeploy} for row in rows if row["result"] != "right"]
        for row in notable:
            if row["lmdeploy"] == lmdeploy:
                print("  ", {key: row[key] for key in row if key not in {"root", "kind"}}, flush=True)
    library.close()
    shutil.rmtree(work / "projects")
    if given.write is not None:
        write_atomically(given.write, json.dumps({"summary": summary, "not right": notable}, indent=1) + "\n")


if __name__ == "__main__":
    main()
