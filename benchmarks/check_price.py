"""What it costs to start a child, shut in and free, by this source and by an earlier one, in turns in one run.

``python -m benchmarks.check_price BEFORE`` where BEFORE is a checkout of an earlier commit
(``git worktree add --detach FOLDER 41622c2``). Wall-clock milliseconds of a child that does nothing; least and median.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
ROUNDS = 15
EACH = 8
_CHILD = """
import sys, tempfile, time
from pathlib import Path
try:
    from harness.process.child import Children
except ImportError:
    from harness.child import Children
children = Children()
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    def once(writable):
        began = time.perf_counter()
        children.run([sys.executable, "-I", "-S", "-c", ""], environment={}, folder=folder, writable=writable)
        return (time.perf_counter() - began) * 1000
    once([folder])
    for writable in ([folder], None):
        print(*[once(writable) for _ in range(int(sys.argv[1]))])
"""


def main() -> int:
    """Measure and print."""
    sources = {"before": Path(sys.argv[1]), "now": HERE}
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for name, source in sources.items():
            command = [sys.executable, "-c", _CHILD, str(EACH)]
            told = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True).stdout
            for kind, line in zip(("shut in", "free"), told.splitlines(), strict=True):
                found.setdefault((kind, name), []).extend(map(float, line.split()))
    for (kind, name), times in sorted(found.items()):
        print(f"{kind:8} {name:7} least {min(times):6.1f} ms  median {statistics.median(times):6.1f} ms")
    for kind in ("shut in", "free"):
        more = statistics.median(found[kind, "now"]) - statistics.median(found[kind, "before"])
        print(f"{kind:8} now - before: {more:+.1f} ms at the median")
    return 0


if __name__ == "__main__":
    sys.exit(main())
