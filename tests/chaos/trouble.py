"""Trouble of uv's and the machine's: settings that cannot be, caches and folders that are something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.disk import completes, project_of
from tests.chaos.ground import lines
from tests.chaos.registry import expect, fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chaos.registry import Setting, Tally
    from tests.miniatures import MiniProject

FOLDERS = (
    ".harness",
    ".harness/answers",
    ".harness/environments",
    ".harness/index",
    ".harness/resolutions",
    ".harness/resolutions/asking",
    ".harness/scratch",
    "reports",
    "reports/locks",
    "reports/logs",
)
FILES = {
    "no TOML": "index-url = [",
    "another type": "find-links = 3\n",
    "a place that is not there": 'no-index = true\nfind-links = ["/nowhere/at/all"]\n',
    "a place beside it that is not there": 'no-index = true\nfind-links = ["nowhere"]\n',
    "an index that is not there": 'index-url = "/nowhere/at/all"\n',
    "an index of files that is not there": 'no-index = false\nindex-url = "file:///nowhere"\n',
    "a cache that cannot be": 'cache-dir = "/proc/nowhere"\n',
    "a word that is none": 'link-mode = "sideways"\n',
}


def _variables(setting: Setting) -> dict[str, Mapping[str, str]]:
    """Environment variables that make uv's work impossible."""
    file = setting.ground.new_folder("file")
    file.write_text("")
    found: dict[str, Mapping[str, str]] = {
        "a cache that nobody can make": {"UV_CACHE_DIR": "/proc/nowhere"},
        "a cache that is a file": {"UV_CACHE_DIR": str(file)},
        "a cache below a file": {"UV_CACHE_DIR": f"{file}/cache"},
        "no cache at all": {"UV_CACHE_DIR": ""},
        "a time-out that is no number": {"UV_HTTP_TIMEOUT": "soon"},
        "a link mode that is none": {"UV_LINK_MODE": "sideways"},
        "an index strategy that is none": {"UV_INDEX_STRATEGY": "all"},
        "a date that is none": {"UV_EXCLUDE_NEWER": "yesterday evening"},
        "an index without a host": {"UV_DEFAULT_INDEX": "http://"},
        "settings that are not there": {"UV_CONFIG_FILE": "/nowhere/uv.toml"},
        "settings that are a folder": {"UV_CONFIG_FILE": str(file.parent)},
        "an index that is not there": {"UV_DEFAULT_INDEX": "file:///nowhere", "UV_OFFLINE": "0"},
        "links that are not there": {"UV_FIND_LINKS": "/nowhere /nowhere/else"},
    }
    for name, text in FILES.items():
        config = setting.ground.new_folder("uv.toml")
        config.write_text(text)
        found[f"settings: {name}"] = {"UV_CONFIG_FILE": str(config)}
    return found


def _suffers(setting: Setting, tally: Tally, project: MiniProject) -> None:
    """Run under the trouble: infrastructure, in words."""
    ended = setting.ground.harness(project, "run", "--refresh")
    tally.tracebacks += ended.traceback
    said = (ended.err + ended.out).strip()
    expect(not ended.traceback, f"it showed a traceback: {said[-400:]}")
    expect(ended.code == 4, f"it ended with {ended.code}: {said[-400:]}")
    expect(said, "it does not say why")
    readable = (project.root / "reports").is_dir()
    verdicts = [each.verdict for each in setting.ground.records(project)] if readable else []
    expect(all(each.startswith("infra/") for each in verdicts), f"a version is blamed: {verdicts}, {said[-300:]}")


@fault("disk", "uv-settings", "uv's cache, variables or settings files cannot be what they are said to be")
def uv_settings(setting: Setting, tally: Tally) -> None:
    """Infrastructure; without the trouble the same command completes."""
    ground = setting.ground
    troubles = _variables(setting)
    for name in sorted(troubles) if not setting.quick else setting.random.sample(sorted(troubles), 5):
        project = project_of(ground)
        with tally.injection(name):
            ground.extra.update(troubles[name])
            try:
                _suffers(setting, tally, project)
            finally:
                for each in troubles[name]:
                    del ground.extra[each]
            completes(setting, tally, project, ground.harness(project, "run"), lines(project))
        ground.clear(project)


@fault("disk", "no-folder", "a folder of the harness's is a file, or a place where nobody can write")
def no_folder(setting: Setting, tally: Tally) -> None:
    """Infrastructure; with a folder in its place the same command completes."""
    ground = setting.ground
    cases = [(name, kind) for name in FOLDERS for kind in ("file", "closed")]
    for name, kind in cases if not setting.quick else setting.random.sample(cases, 5):
        project = project_of(ground)
        with tally.injection(f"{name}: {kind}"):
            place = project.root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _put(place, kind)
            if name == ".harness/index":  # nothing of these miniatures is asked of an index
                completes(setting, tally, project, ground.harness(project, "run"), [])
            else:
                try:
                    _suffers(setting, tally, project)
                finally:
                    place.unlink()
                completes(setting, tally, project, ground.harness(project, "run"), lines(project))
        ground.clear(project)


def _put(place: Path, kind: str) -> None:
    if kind == "file":
        place.write_text("")
    else:
        place.symlink_to("/proc")  # a place in which nobody can write
