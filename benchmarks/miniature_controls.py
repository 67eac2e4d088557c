"""What each miniature shows, measured: ``python -m benchmarks.miniature_controls [NAME…]``.

Makes the miniatures of models/miniatures that are not there, measures their negative controls, and writes
docs/miniature-controls.md: the rules of shrinking, and for each miniature how far its logits move when one structural
choice is switched off in the reference, in multiples of transformers' own float16 error.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.environments.environment import Environments
from harness.environments.resolve import Resolver
from harness.matrix.models import MINIATURES
from harness.matrix.project import Project
from harness.miniatures.make import CONTROLS, RECORD, Maker, make_miniatures, measure_controls
from harness.probes.miniature.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs" / "miniature-controls.md"
HEAD = """\
# Miniatures: rules and controls

Made by `python -m benchmarks.miniature_controls`.

## How a configuration is shrunk

A key that no rule names is kept as published.

| keys | what becomes of them | why |
|---|---|---|
"""
CONTROL_HEAD = """
## What each miniature shows

A number says how many times transformers' own float16 error (root mean square over the prompt) the logits move when
the choice is switched off in the reference. Below 10, in brackets, the miniature does not vouch for the choice: 0 means
that no number changes, because the class does not read the key or the prompt does not reach it (a window longer than
160 tokens), and a dash that the class refuses to do without.

| miniature | made by transformers | choices |
|---|---|---|
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make, measure, and write the table; 0 when every miniature that could be made has its controls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="miniatures (default: all)")
    options = parser.parse_args(arguments)
    project = Project.of(ROOT / "matrix.yaml")
    maker = Maker(Resolver(project.resolutions), Environments(project.environments), project.scratch)
    files = {each.stem: each for each in sorted((ROOT / "models" / MINIATURES).glob("*.json"))}
    chosen = {name: (file, 0) for name, file in files.items() if not options.names or name in options.names}
    unmade = make_miniatures(chosen, project.weights, maker)
    problems = measure_controls([name for name in chosen if name not in unmade], project.weights, maker)
    for name, problem in {**unmade, **problems}.items():
        print(f"{name}: {problem}")
    TABLE.write_text(HEAD + "".join(_rules()) + CONTROL_HEAD + "".join(_controls(project.weights)), encoding="utf-8")
    return 1 if problems else 0


def _rules() -> Iterator[str]:
    for rule in RULES:
        yield f"| {', '.join(f'`{key}`' for key in rule.keys)} | {rule.becomes} | {rule.why} |\n"


def _controls(made: Path) -> Iterator[str]:
    for file in sorted(made.glob(f"*.{CONTROLS}")):
        name = file.name.removesuffix(f".{CONTROLS}")
        record = json.loads((made / name / RECORD).read_text(encoding="utf-8"))
        found = json.loads(file.read_text(encoding="utf-8"))["controls"]
        yield f"| {name} | {record['made_by']['transformers']} | {', '.join(map(_said, found))} |\n"


def _said(control: Mapping[str, Any]) -> str:
    times = control["times_float16"]
    if times is None:
        return f"{control['choice']} (-)"
    return f"{control['choice']} {times:g}" if control["shown"] else f"{control['choice']} ({times:g})"


if __name__ == "__main__":
    raise SystemExit(main())
