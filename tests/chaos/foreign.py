"""Files that a person or another machine hands over, spoilt value by value, and every command that reads them."""

from __future__ import annotations

import json
import os
import re
import shutil
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ruamel.yaml import YAML

from harness.bundle import unpack
from harness.cli.bundle_host import run as host_run
from harness.core.errors import ExitCode
from harness.core.untrusted_files import remove_tree
from tests import ROOT
from tests.chaos.commands import COMMANDS, finished
from tests.chaos.registry import Missed, expect, fault

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.chaos.ground import Ended
    from tests.chaos.registry import Setting, Tally
    from tests.miniatures import MiniProject

    Way = Callable[..., object]

_MARK = "MARKED"
VALUES = (
    *("null", "true", "-1", "0", "NaN", "-Infinity", "1e999", "9" * 5000, '""', '"x"', '"\\ud800"', '"\\u0000"'),
    *(
        "[]",
        "{}",
        "[null]",
        "[{}]",
        '{"": null}',
        '{"x": {"y": []}}',
        "[" * 3000 + "]" * 3000,
        '"' + "x" * 100_000 + '"',
    ),
    *(
        '"../../../etc/passwd"',
        '"\\u202e"',
        '"9999-99-99"',
        '"pass"',
        '"fail/boot/crash(x)"',
        "3.5",
        '"' + "9" * 5000 + '"',
    ),
)
"""What a value is replaced by, as JSON, or as what readers of JSON take for it."""
_Way = TypeVar("_Way")
SPOILT: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda _, __: b"",
    "binary": lambda _, chance: chance.randbytes(300),
    "cut": lambda content, chance: content[: chance.randrange(len(content) or 1)],
    "no UTF-8": lambda content, chance: _inserted(content, chance, b"\xff\xfe"),
    "a NUL": lambda content, chance: _inserted(content, chance, b"\x00"),
    "UTF-16": lambda content, _: content.decode(errors="replace").encode("utf-16"),
    "a mark at the start": lambda content, _: b"\xef\xbb\xbf" + content,
    "brackets": lambda _, __: b"[" * 200_000,
    "braces": lambda _, __: b'{"a":' * 100_000,
    "null": lambda _, __: b"null\n",
    "a list": lambda _, __: b"[]\n",
    "a word": lambda _, __: b"x\n",
    "a number": lambda _, __: b"1e999\n",
    "twice": lambda content, _: content + content,
    "lines without end": lambda content, _: content.replace(b"\n", b"\r"),
}
"""What is done to a file as a whole."""
STANDS = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "itself": lambda path: path.symlink_to(path.name),
}
"""What stands in a file's place."""
READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "reports/results.jsonl": (
        *(("report",), ("report", "--joined"), ("results",), ("results", "--format", "csv", "--attempts")),
        *(("results", "--differ", "--everywhere"), ("stacks",), ("pin", "--partial", "--no-verify"), ("plan",)),
        *(("baseline", "--baseline", "new.yaml"), ("gate", "transformers==5.0.0", "--dry-run"), ("gc", "--dry-run")),
        *(("compare", "reports", "kept"), ("compare", "kept", "reports"), ("import", "--name", "x", "reports")),
        *(("suggest", "--known", "--model", "mini"), ("run",), ("remedy", "nothing"), ("bisect", "{id}", "{id}@1")),
        ("drift", "--locks-only", "{id}", "{id}@1"),
    ),
    "reports/imported/other/results.jsonl": (
        *(("report",), ("report", "--joined"), ("results", "--everywhere"), ("stacks",), ("stacks", "--badges", "b")),
        *(("pin", "--partial", "--no-verify"), ("suggest", "--known", "--model", "mini")),
    ),
    "reports/imported/other/origin.json": (("report",), ("import", "--name", "y", "kept")),
    "reports/imported/other/scan.json": (("report", "--joined"), ("stacks",)),
    "reports/scan.json": (("report",), ("stacks",), ("run",), ("plan",), ("gate", "transformers==5.0.0", "--dry-run")),
    "reports/incidents.json": (("report",), ("report", "--all"), ("run", "--fresh"), ("gc", "--dry-run")),
    "reports/remedies.json": (("report",), ("report", "--all"), ("gc", "--dry-run")),
    "reports/gate.json": (("report",),),
    "reports/report.json": (
        ("compare", "kept", "reports/report.json"),
        ("import", "--name", "x", "reports/report.json"),
    ),
    "reports/gate/gate.json": (("gate-merge", "reports/gate/gate.json"), ("report",)),
    "reports/locks/{lock}/pylock.toml": (
        *(("report",), ("pin", "--partial"), ("bisect", "{id}", "{id}@1"), ("plan",), ("stacks",)),
        *(("import", "--name", "x", "reports"), ("drift", "--locks-only", "{id}", "reports/locks/{lock}/pylock.toml")),
    ),
    "baseline.yaml": (("gate", "transformers==5.0.0", "--dry-run"), ("baseline",), ("gate", "--dry-run")),
    "reports/pins/{pin}/pin.json": (("pin", "verify", "reports/pins/{pin}"),),
    "reports/pins/{pin}/requirements.txt": (("pin", "verify", "reports/pins/{pin}"),),
    "bundle/unpacked/bundle.json": (("HOST", "bundle/unpacked"),),
    "bundle/unpacked/locks/{lock}/pylock.toml": (("HOST", "bundle/unpacked"),),
    "matrix.yaml": (("plan",), ("gate", "--dry-run"), ("report",), ("stacks",), ("init", "--dry-run")),
    "models/mini.yaml": (("plan",), ("report",), ("model", "list"), ("stacks",)),
    "pyproject.toml": (("plan",), ("init", "--dry-run"), ("gate", "--from-diff", "pyproject.toml", "--dry-run")),
    "host.json": (("bundle", "--out", "b2", "--host-packages", "host.json"),),
    "shard/results.jsonl": (("merge", "shard"),),
    "shard/shard.json": (("merge", "shard"),),
    "deployed/uv.lock": (("plan", "--matrix", "deployed/uv.lock.yaml"),),
    "deployed/requirements.txt": (("plan", "--matrix", "deployed/requirements.txt.yaml"),),
    "deployed/poetry.lock": (("plan", "--matrix", "deployed/poetry.lock.yaml"),),
    "deployed/Pipfile.lock": (("plan", "--matrix", "deployed/Pipfile.lock.yaml"),),
    "deployed/environment.yml": (("plan", "--matrix", "deployed/environment.yml.yaml"),),
    "deployed/pylock.toml": (("plan", "--matrix", "deployed/pylock.toml.yaml"),),
    "cases.yaml": (("catalogue", "health", "--cases", "cases.yaml"),),
}


DEPLOYED = {
    "uv.lock": """\
version = 1
requires-python = ">=3.11"
[[package]]
name = "p"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "lmdeploy" }, { name = "transformers" }]
[[package]]
name = "lmdeploy"
version = "7.0"
source = { registry = "https://x.invalid/simple" }
wheels = [{ url = "https://x.invalid/lmdeploy-7.0-py3-none-any.whl", hash = "sha256:00", size = 5 }]
[[package]]
name = "transformers"
version = "4.57.3"
source = { registry = "https://x.invalid/simple" }
wheels = [{ url = "https://x.invalid/transformers-4.57.3-py3-none-any.whl", hash = "sha256:00" }]
""",
    "requirements.txt": "lmdeploy==7.0 --hash=sha256:00\ntransformers==4.57.3 ; python_version >= '3.8'\npillow\n",
    "poetry.lock": """\
[[package]]
name = "lmdeploy"
version = "7.0"
files = [{file = "lmdeploy-7.0-py3-none-any.whl", hash = "sha256:00"}]
[package.dependencies]
transformers = ">=4"
[[package]]
name = "transformers"
version = "4.57.3"
groups = ["main"]
markers = "python_version >= '3.8'"
[metadata]
lock-version = "2.1"
python-versions = ">=3.11"
""",
    "Pipfile.lock": """\
{"_meta": {"requires": {"python_version": "3.11"}, "sources": [{"name": "pypi", "url": "https://x.invalid/simple"}]},
 "default": {"lmdeploy": {"version": "==7.0", "hashes": ["sha256:00"], "index": "pypi"},
 "transformers": {"version": "==4.57.3", "markers": "python_version >= '3.8'"}}, "develop": {}}
""",
    "environment.yml": """\
name: e
channels: [conda-forge]
dependencies:
  - python=3.11
  - numpy=1.26
  - pip:
      - lmdeploy==7.0
      - transformers==4.57.3
""",
    "pylock.toml": """\
lock-version = "1.0"
created-by = "uv"
requires-python = ">=3.11"
[[packages]]
name = "lmdeploy"
version = "7.0"
wheels = [{ url = "https://x.invalid/lmdeploy-7.0-py3-none-any.whl", size = 5, hashes = { sha256 = "00" } }]
[[packages]]
name = "transformers"
version = "4.57.3"
marker = "python_version >= '3.8'"
wheels = [{ url = "https://x.invalid/transformers-4.57.3-py3-none-any.whl", hashes = { sha256 = "00" } }]
""",
}
OF_A_FILE = """\
version: 1
include:
  - {{lock: {name}, backend: transformers, model: mini}}
"""


@fault(
    "input", "foreign", "files that others hand over, value by value and whole, before every command that reads them"
)
def foreign(setting: Setting, tally: Tally) -> None:
    """One line and an exit code; no number that is none reaches a page."""
    ground = setting.ground
    version = ground.good_lmdeploys(1)[0]
    with finished(setting, version, "transformers") as project:
        names = _prepare(setting, project, version)
        backup = ground.new_folder("backup")
        shutil.copytree(project.root, backup, symlinks=True)
        for where, commands in READERS.items():
            path = project.root / where.format(**names)
            expect(path.is_file(), f"there is no {path}")
            content = path.read_bytes()
            for what, spoil in _chosen(setting, path, content):
                command = setting.random.choice(commands)
                told = tuple(each.format(**names) for each in command)
                with tally.injection(f"{where}, {what[:60]}: {' '.join(told)}"):
                    _restore(backup, project.root, path)
                    spoil(path)
                    _answers(tally, _asked(setting, project, told), project)


def _prepare(setting: Setting, project: MiniProject, version: str) -> dict[str, str]:
    """Whatever the harness writes for others, and what others write for it, once each."""
    ground, root = setting.ground, project.root
    for command in (("run",), *(COMMANDS[each] for each in ("baseline", "pin", "gate", "bundle"))):
        ended = ground.start(project, *command).wait(600)
        expect(ended.code in {0, 1}, f"{command[0]} ends with {ended.code} undisturbed: {ended.err[-300:]}")
    unpack.unpack(unpack.check(root / "bundle"), root / "bundle" / "unpacked")
    for command in (("run", "--shard", "1/1", "--reports", "shard"), ("import", "--name", "other", "reports")):
        ended = ground.start(project, *command).wait(600)
        expect(ended.code in {0, 1}, f"{command[0]} ends with {ended.code} undisturbed: {ended.err[-300:]}")
    shutil.copytree(root / "reports", root / "kept")
    record = ground.records(project)[0]
    reference = ROOT / "reports" / "reference" / "cpu"
    predicted = json.loads((reference / "scan.json").read_bytes())
    predicted |= {"rows": [version], "columns": ["4.57.3"], "cells": [predicted["cells"][0][:1]]}
    row = {"combination": record.id, "change": "c", "outcome": "verified", "by": record.id, "note": "pass"}
    incident = {"id": "5", "title": "t", "remedy": "r", "combination": record.id, "reproduces": True, "by": record.id}
    for name, told in {
        "scan": predicted,
        "remedies": {"rows": [row]},
        "incidents": {"rows": [incident]},
        "gate": {"bump": "b", "baseline": "b", "decision": "d", "exit_code": 0, "rows": []},
        "imported/other/scan": predicted,
    }.items():
        (root / "reports" / f"{name}.json").write_text(json.dumps(told))
    (root / "host.json").write_text(json.dumps([{"name": "torch", "version": "1.0"}]))
    (root / "cases.yaml").write_text('- text: "ImportError: x"\n  expect: unknown\n')
    (root / "deployed").mkdir()
    for name, text in DEPLOYED.items():
        (root / "deployed" / name).write_text(text)
        (root / "deployed" / f"{name}.yaml").write_text(OF_A_FILE.format(name=name))
    shutil.copytree(root / "models", root / "deployed" / "models")
    pin = next((root / "reports" / "pins").iterdir()).name
    return {"id": record.id, "lock": str(record.lock), "pin": pin}


def _restore(backup: Path, root: Path, spoilt: Path) -> None:
    """Put back what the last command was given and what it may have written."""
    for each in root.iterdir():
        if not (backup / each.name).exists() or each.name == "reports":
            remove_tree(each)
    shutil.copytree(backup / "reports", root / "reports", symlinks=True)
    for each in (spoilt, root / "baseline.yaml"):
        if os.path.lexists(each):
            remove_tree(each)
        each.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(backup / each.relative_to(root), each)


def _chosen(setting: Setting, path: Path, content: bytes) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Ways to spoil the file, with what they are called."""
    chance = setting.random
    for name, spoil in _picked(chance, SPOILT, setting.times(len(SPOILT), 2)):
        yield name, partial(_write, content=spoil(content, chance))
    for name, put in _picked(chance, STANDS, setting.times(len(STANDS), 1)):
        yield name, partial(_put_instead, put=put)
    for _ in range(setting.times(20, 3)):
        value = chance.choice(VALUES)
        spoilt = _with_value(path, content, value, chance)
        if spoilt is not None:
            yield spoilt[0], partial(_write, content=spoilt[1])


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _put_instead(path: Path, put: Callable[[Path], object]) -> None:
    path.unlink()
    put(path)


def _picked(chance: random.Random, ways: dict[str, _Way], count: int) -> list[tuple[str, _Way]]:
    return chance.sample(sorted(ways.items(), key=lambda each: each[0]), count)


def _with_value(path: Path, content: bytes, value: str, chance: random.Random) -> tuple[str, bytes] | None:
    """The file with one of its values replaced, or an item more; what that value is."""
    text = content.decode()
    if path.suffix in {".toml", ".txt", ".lock"} and not text.startswith("{"):
        values = list(re.finditer(r"(?<=[=:\[{,])\s*(?:\"[^\"\n]*\"|[^\s\"\[\]{},=:]+)", text))
        found = chance.choice(values)
        return f"{found[0].strip()[:20]} -> {value[:20]}", (text[: found.start()] + value + text[found.end() :]).encode(
            errors="surrogatepass"
        )
    lines = [text]
    if path.suffix == ".jsonl":
        lines = text.splitlines()
    number = chance.randrange(len(lines))
    tree = YAML(typ="safe").load(lines[number]) if path.suffix in {".yaml", ".yml"} else json.loads(lines[number])
    places = list(_places(tree, ()))
    place = chance.choice(places)
    marked = _replaced(tree, place, _MARK)
    lines[number] = json.dumps(marked, default=str).replace(f'"{_MARK}"', value)
    return f"{'.'.join(map(str, place))[:40]} -> {value[:20]}", "\n".join(lines).encode() + b"\n"


def _places(tree: Any, place: tuple[int | str, ...]) -> Iterator[tuple[int | str, ...]]:
    yield place
    for key, each in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from _places(each, (*place, key))


def _replaced(tree: Any, place: tuple[int | str, ...], value: object) -> Any:
    if not place:
        return value
    first, *rest = place
    if isinstance(tree, dict):
        return {key: _replaced(each, tuple(rest), value) if key == first else each for key, each in tree.items()}
    return [_replaced(each, tuple(rest), value) if number == first else each for number, each in enumerate(tree)]


def _asked(setting: Setting, project: MiniProject, command: tuple[str, ...]) -> Ended:
    if command[0] == "HOST":
        return setting.ground.start(project, *command[1:], program=host_run).wait(60)
    return setting.ground.start(project, *command).wait(60)


def _answers(tally: Tally, ended: Ended, project: MiniProject) -> None:
    """Demand one line and an exit code, and pages that say what can be read."""
    said = (ended.err + ended.out)[-400:]
    tally.tracebacks += ended.traceback
    expect(not ended.traceback, f"it showed a traceback: {said}")
    expect(ended.code in set(ExitCode), f"it ended with {ended.code}: {said}")
    expect(ended.code == 0 or ended.err.strip() or ended.out.strip(), f"it ended with {ended.code} and says nothing")
    file, page = project.root / "reports" / "report.json", project.root / "reports" / "index.html"
    if "report.json" in said:
        return
    try:
        json.loads(file.read_bytes(), parse_constant=_refused)
        data = page.read_text().partition('data-encoding="json">')[2].partition("</script>")[0]
        json.loads(data or "null", parse_constant=_refused)
    except ValueError as error:
        raise Missed(f"the page holds {error}") from error


def _refused(text: str) -> NoReturn:
    raise ValueError(text)


def _inserted(content: bytes, chance: random.Random, added: bytes) -> bytes:
    place = chance.randrange(len(content) or 1)
    return content[:place] + added + content[place:]
