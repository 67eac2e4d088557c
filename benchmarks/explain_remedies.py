"""Whether what ``explain`` prints helps: its commands are typed as they stand, in fresh environments.

Run ``python -m benchmarks.explain_remedies``. Each case makes an environment, brings a failure about, hands what was
printed to ``explain``, runs the commands of the answer and nothing else, and tries again. It prints a table; the
environments are deleted. Small packages only, except for the cases that ``--large`` adds, which install torch.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from harness.diagnose import Diagnosis, Evidence, classify
from harness.diagnose.boundaries import shipped
from harness.diagnose.commands import commands_of
from harness.diagnose.stack import read_stack
from harness.environments.uv import uv_binary

_LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Case:
    """A failure that versions bring about."""

    name: str
    packages: tuple[str, ...]
    code: str
    """Fails with the packages, and prints nothing when it does not."""
    forced: tuple[str, ...] = ()
    """Packages that are put in afterwards against what the others declare."""
    large: bool = False


CASES = (
    Case("a class that was removed", ("transformers==4.57.3",), "from transformers import BeamSearchScorer"),
    Case(
        "a class that is not there yet",
        ("transformers==4.38.2",),
        "from transformers.processing_utils import ImagesKwargs",
    ),
    Case("a module that is not there yet", ("transformers==4.55.4",), "import transformers.models.qwen3_vl"),
    Case("a function that was removed", ("huggingface_hub==0.30.2",), "from huggingface_hub import cached_download"),
    Case("a function of another package", ("datasets==3.2.0",), "from datasets import load_metric"),
    Case(
        "an argument that was removed",
        ("openai==1.50.0", "httpx==0.28.1"),
        "import openai; openai.OpenAI(api_key='x', base_url='http://localhost:1')",
    ),
    Case("an alias of numpy 1", ("numpy==1.26.4",), "import numpy; numpy.bool"),
    Case("a name of numpy 1", ("numpy==2.1.3",), "import numpy; numpy.float_"),
    Case("pkg_resources", ("setuptools==82.0.0",), "import pkg_resources"),
    Case(
        "a gate of transformers",
        ("transformers==4.46.3",),
        "import transformers",
        forced=("tokenizers==0.19.1",),
    ),
    Case(
        "the hub's major version",
        ("transformers==4.57.3",),
        "import transformers",
        forced=("huggingface_hub==1.1.0",),
    ),
    Case(
        "an argument that is not there yet",
        ("peft==0.8.2", "transformers==4.38.2", "torch==2.8.0", "numpy<2"),
        "from peft import LoraConfig; LoraConfig(use_dora=True)",
        large=True,
    ),
)


def _environment(path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "VIRTUAL_ENV": str(path), "PATH": f"{path}/bin:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}


def _run(path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_LIMIT_S, env=_environment(path), cwd=path.parent
    )


def _tried(path: Path, code: str) -> str:
    """What trying printed; empty when it went well."""
    done = _run(path, str(path / "bin" / "python"), "-c", code)
    return "" if done.returncode == 0 else done.stderr


def _explained(path: Path, printed: str) -> tuple[Diagnosis, list[str]]:
    listing = path.parent / "installed.txt"
    listing.write_text(_run(path, uv_binary(), "pip", "freeze").stdout, encoding="utf-8")
    evidence = Evidence.from_log(printed, read_stack(listing))
    diagnosis = classify(evidence, lookup=shipped())
    return diagnosis, [command.line for command in commands_of(diagnosis, evidence.installed)]


def follow(case: Case, folder: Path) -> list[str]:
    """One row: the failure, what ``explain`` says to type, and what came of it.

    Raises:
        subprocess.CalledProcessError: the environment cannot be made.
    """
    path = folder / "environment"
    subprocess.run([uv_binary(), "venv", "-q", "--python", "3.11", str(path)], check=True)
    for packages, options in ((case.packages, ()), (case.forced, ("--no-deps",))):
        if packages:
            install = [uv_binary(), "pip", "install", "-q", *options, *packages]
            subprocess.run(install, check=True, env=_environment(path), timeout=_LIMIT_S)
    printed = _tried(path, case.code)
    if not printed:
        return [case.name, "no failure", "", ""]
    diagnosis, commands = _explained(path, printed)
    for command in commands:
        words = [word.strip('"') for word in command.split()]
        done = _run(path, uv_binary(), *words[1:])
        if done.returncode != 0:
            return [case.name, diagnosis.signature or "unknown", command, f"the command failed: {done.stderr[-200:]}"]
    again = _tried(path, case.code)
    after = "the error is gone"
    if again:
        following, _ = _explained(path, again)
        after = f"next: {following.signature or 'unknown'}, {following.remedy}"
    return [case.name, diagnosis.signature or "unknown", "; ".join(commands) or "none", after]


@click.command()
@click.option("--large", is_flag=True, help="With the cases that install torch.")
def main(*, large: bool) -> None:
    """Follow ten remedies literally."""
    click.echo("| failure | signature | typed | then |\n|---|---|---|---|")
    for case in CASES:
        if large or not case.large:
            with tempfile.TemporaryDirectory() as folder:
                click.echo(f"| {' | '.join(follow(case, Path(folder)))} |")


if __name__ == "__main__":
    main()
