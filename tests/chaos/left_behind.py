"""What a package leaves in its scratch folder for the harness to stumble over: links, pipes, depths, locked folders."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from tests.chaos.ground import orphans
from tests.chaos.processes import run_one
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from tests.chaos.registry import Setting, Tally

GIB = 1024**3
FIND_ROOTS = """
import os, sys
request = sys.orig_argv[-1]
own = os.path.dirname(os.environ["TMPDIR"])
stack = os.path.dirname(__import__("torch").__file__)
roots = [os.path.dirname(request), own]
sources = "".join(f"{stack}/made_up_{number}.py\\n" for number in range(200))
def leave(name, make):
    for root in roots:
        path = os.path.join(root, name)
        try:
            if os.path.lexists(path):
                os.unlink(path)
            make(path)
        except OSError:
            pass
"""
"""What every package here begins with: the folders to look for a place in, and a list long enough to be compiled."""
LEFT = {
    "a link where the harness writes": """
leave("uncompiled.txt", lambda path: open(path, "w").write(sources))
for name in ("compile.txt", "request-0.json", "batch.json", "uncompiled.txt.part"):
    leave(name, lambda path: os.symlink({victim!r}, path))
""",
    "a link to what never ends where the harness reads": """
for name in ("uncompiled.txt", "request-0.events.jsonl", "events-0.jsonl"):
    leave(name, lambda path: os.symlink("/dev/zero", path))
""",
    "a pipe where the harness reads": """
for name in ("uncompiled.txt", "request-0.events.jsonl", "events-0.jsonl", "home/.cache", "tmp/x"):
    leave(name, os.mkfifo)
""",
    "a file without end where the harness reads": """
def endless(path):
    with open(path, "w") as file:
        file.write(sources)
        file.truncate(40 * 1024**3)
leave("uncompiled.txt", endless)
""",
    "links to folders outside": """
for name in ("home", "tmp", "work-0"):
    leave(f"{{name}}-", lambda path: os.symlink(os.path.dirname({victim!r}), path))
    path = os.path.join(own, name)
    try:
        os.rename(path, path + "=")
        os.symlink(os.path.dirname({victim!r}), path)
    except OSError:
        pass
""",
    "2,000 folders in each other": """
os.chdir(own)
for _ in range(2000):
    os.mkdir("d")
    os.chdir("d")
""",
    "folders that nobody may enter": """
os.chdir(os.environ["TMPDIR"])
for _ in range(50):
    os.mkdir("d")
    open("f", "w").close()
    os.chdir("d")
for _ in range(50):
    os.chdir("..")
    os.chmod("d", 0)
os.chmod(os.environ["TMPDIR"], 0)
os.chmod(os.environ["HOME"], 0)
os.chmod(own, 0)
""",
}


def _little_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (6 * GIB, 6 * GIB))


@fault(
    "untrusted", "left-behind", "a package leaves links, pipes, endless files, deep and closed folders in its scratch"
)
def left_behind(setting: Setting, tally: Tally) -> None:
    """The harness goes on, writes nothing elsewhere, and its scratch is gone (which run_one counts)."""
    folder = setting.ground.new_folder("victim")
    folder.mkdir()
    victim = folder / "precious"
    for name, code in LEFT.items():
        victim.write_text("precious")
        with tally.injection(name):
            told = FIND_ROOTS + code.format(victim=str(victim)) + "\nraise RuntimeError('tried')"
            record = run_one(setting.ground, tally, told, before=_little_memory)
            changed = [each.name for each in folder.iterdir()] != ["precious"] or victim.read_text() != "precious"
            tally.escaped += changed
            expect(not changed, "something was written or deleted outside the scratch")
            expect(record.verdict.startswith("fail/import/"), f"the verdict is {record.verdict}")
    tally.orphans += orphans()
