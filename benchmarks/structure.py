"""How ``harness/`` is laid out, as figures and as a diagram.

    uv run python -m benchmarks.structure                  # the working tree
    uv run python -m benchmarks.structure 41622c2 HEAD     # two revisions side by side
    uv run python -m benchmarks.structure --diagram        # the diagram in docs/architecture.md, drawn anew

Every import counts, those for types alone and those inside functions included. A cycle is a group of modules each of
which leads to all others. The diagram's arrows are the imports between folders, without those that follow from others.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = "harness"

Imports = dict[str, frozenset[str]]
"""What each one imports."""


def module_imports(folder: Path) -> Imports:
    """The imports between the modules of the package in ``folder``."""
    sys.path.insert(0, str(folder))
    try:
        graph = grimp.build_graph(PACKAGE, cache_dir=None)
    finally:
        sys.path.remove(str(folder))
    return {each: frozenset(graph.find_modules_directly_imported_by(each)) for each in graph.modules}


def between_parts(imports: Imports) -> Imports:
    """The same between what stands in the package's root: folders, and modules beside them."""
    parts: dict[str, set[str]] = {}
    for module, imported in imports.items():
        if _part(module):
            parts.setdefault(_part(module), set()).update(_part(each) for each in imported)
    return {part: frozenset(imported - {part, ""}) for part, imported in parts.items()}


def _part(module: str) -> str:
    return ".".join(module.split(".")[1:2])


def reachable(imports: Mapping[str, Iterable[str]]) -> Imports:
    """What each one imports, directly or through others."""
    reached = {each: frozenset(imported) for each, imported in imports.items()}
    while True:
        further = {each: near.union(*(reached[one] for one in near)) for each, near in reached.items()}
        if further == reached:
            return reached
        reached = further


def cycles(imports: Imports) -> list[frozenset[str]]:
    """Groups that import each other, each once."""
    reached = reachable(imports)
    groups = {frozenset(one for one in far if each in reached[one]) for each, far in reached.items() if each in far}
    return sorted(groups, key=sorted)


def longest_chain(imports: Imports) -> int:
    """How many stand on one another, each of a cycle's members counted."""
    group = {each: members for members in cycles(imports) for each in members}

    @cache
    def height(members: frozenset[str]) -> int:
        below = {group.get(each, frozenset({each})) for one in members for each in imports[one]} - {members}
        return len(members) + max(map(height, below), default=0)

    return max(height(group.get(each, frozenset({each}))) for each in imports)


def figures(folder: Path) -> dict[str, int]:
    """The figures of the package in ``folder``."""
    package = folder / PACKAGE
    sources = {each: each.read_text(encoding="utf-8") for each in package.rglob("*.py")}
    imports = module_imports(folder)
    parts = between_parts(imports)
    return {
        "modules in the root": sum(each.parent == package and not each.stem.startswith("__") for each in sources),
        "folders": sum(each.parent.parent == package and each.name == "__init__.py" for each in sources),
        "import cycles": len(cycles(imports)),
        "import cycles between folders": len(cycles(parts)),
        "longest chain of imports": longest_chain(imports),
        "longest chain between folders": longest_chain(parts),
        "Python files that name turbomind": sum("turbomind" in text.lower() for text in sources.values()),
        "lines of Python": sum(text.count("\n") for text in sources.values()),
    }


def figures_of(revision: str) -> dict[str, int]:
    """The figures of a git revision."""
    archive = subprocess.run(
        ["git", "archive", "--format=tar", revision, PACKAGE], cwd=ROOT, check=True, stdout=subprocess.PIPE
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
        return figures(Path(folder))


def diagram() -> str:
    """The working tree's folders and their imports, as Mermaid."""
    imports = between_parts(module_imports(ROOT))
    folders = sorted(each for each in imports if (ROOT / PACKAGE / each).is_dir())
    reached = reachable(imports)
    lines = ["flowchart TD"]
    for folder in folders:
        below = imports[folder]
        direct = below - frozenset().union(*(reached[each] for each in below))
        lines += [f"    {folder} --> {each}" for each in sorted(direct)]
    return "\n".join(lines) + "\n"


def with_diagram(page: str) -> str:
    """The page with its diagram drawn anew."""
    before, opening, rest = page.partition("```mermaid\n")
    return before + opening + diagram() + rest[rest.index("```") :]


def main() -> int:
    """Print the figures, or draw the diagram."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="git revisions; none for the working tree")
    parser.add_argument("--diagram", action="store_true", help=f"write the diagram into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    if options.diagram:
        PAGE.write_text(with_diagram(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    columns = {each: figures_of(each) for each in options.revisions} or {"working tree": figures(ROOT)}
    print(f"{'':36}" + "".join(f"{each:>14}" for each in columns))
    for name in next(iter(columns.values())):
        print(f"{name:36}" + "".join(f"{each[name]:>14,}" for each in columns.values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
