"""Trouble of uv's and the machine's: settings that cannot be, caches and folders that are something else."""

from __future__ import annotations

import shutil
from textwrap import dedent
from typing import TYPE_CHECKING

from tests.chaos.disk import completes, project_of
from tests.chaos.ground import lines
from tests.chaos.processes import MATRIX
from tests.chaos.registry import expect, fault
from tests.miniatures import make_wheel, transformers_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chaos.ground import Ground
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


@fault("disk", "other-settings", "the index becomes another one between two runs; uv's settings would install more")
def other_settings(setting: Setting, tally: Tally) -> None:
    """Each index has its own answer, a date given or not; what is installed is the lock, whatever uv is told."""
    ground = setting.ground
    ground.good_lmdeploys(1)
    lists = []
    for code, begin in (("raise RuntimeError('this index')", "fail/import/"), ("", "pass")):
        folder = ground.new_folder("list")
        shutil.copytree(ground.index / "wheels", folder)
        _transformers(folder, "4.58.0", code)
        (folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
        lists.append((folder / "uv.toml", begin))
    for dated in ("", "as_of: 2030-01-01\n"):
        project = _project(ground, "4.58.0", dated)
        for file, begin in (*lists, lists[0]):
            with tally.injection(f"{dated.strip() or 'no date'}: an index where it is {begin}"):
                verdicts = _run_with(ground, project, tally, {"UV_CONFIG_FILE": str(file)})
                expect(len(verdicts) == 1 and verdicts[0].startswith(begin), f"the verdicts are {verdicts}")
        ground.clear(project)
    _transformers(
        ground.index / "wheels", "4.58.1", "import importlib.util\nassert not importlib.util.find_spec('pip'), 'more'"
    )
    project = _project(ground, "4.58.1")
    with tally.injection("UV_VENV_SEED"):
        verdicts = _run_with(ground, project, tally, {"UV_VENV_SEED": "1"})
        expect(verdicts == ["pass"], f"the verdicts are {verdicts}")
    ground.clear(project)


def _transformers(folder: Path, version: str, code: str) -> None:
    """A transformers that runs that code first."""
    files = transformers_files()
    files["transformers/__init__.py"] = f"{code}\n{dedent(files['transformers/__init__.py'])}"
    make_wheel(folder, "transformers", version, files)


def _project(ground: Ground, version: str, more: str = "") -> MiniProject:
    matrix = MATRIX.format(version=ground.good_lmdeploys(1)[0], idle=5, wall=30)
    return ground.project(matrix.replace("pytorch", "transformers").replace("4.57.3", version) + more)


def _run_with(ground: Ground, project: MiniProject, tally: Tally, extra: Mapping[str, str]) -> list[str]:
    ground.extra.update(extra)
    try:
        ended = ground.harness(project, "run")
    finally:
        for each in extra:
            del ground.extra[each]
    tally.tracebacks += ended.traceback
    return [each.verdict for each in ground.records(project)]
