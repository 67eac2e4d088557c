"""A project's own files, read as what they deploy; nothing is asked of a network."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from harness.environments.lock import Lock
from harness.environments.lock_files.kinds import Kind, files_in, kind_of
from harness.environments.lock_files.reader import LockFiles, named_in
from harness.environments.resolve import Resolution, Resolver, ResolveRequest
from harness.environments.uv import UvFailure
from harness.matrix.deployed import UnreadableLock
from harness.process.child import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.matrix.deployed import Deployed

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
PINS = "lmdeploy==0.11.1\ntransformers==4.57.3\n"


@dataclass
class Told:
    """A resolver that answers what it is told to, and remembers what it was asked."""

    answer: Resolution | None = None
    asked: list[ResolveRequest] = field(default_factory=list)

    def resolve(self, request: ResolveRequest, _limits: Limits) -> Resolution:
        """The answer; a test that gives none expects no question."""
        self.asked.append(request)
        assert self.answer is not None, request
        return self.answer


def read(
    file: Path, groups: Sequence[str] = (), extras: Sequence[str] = (), python: str = "3.11", told: Told | None = None
) -> Deployed:
    return LockFiles(cast("Resolver", told or Told()), Limits(60)).read(file, python, groups, extras, None)


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_requirements_with_includes_constraints_hashes_markers_and_extras(tmp_path: Path) -> None:
    written(tmp_path, "requirements/base.txt", PINS + "-c limits.txt\n")
    written(tmp_path, "requirements/limits.txt", "numpy==1.26.4\n")
    file = written(
        tmp_path,
        "requirements.txt",
        "# what we deploy\n"
        "-r requirements/base.txt\n"
        "--extra-index-url https://example.org/simple\n"
        "fastapi[standard]==0.121.3 ; python_version < '3.12'  # the web\n"
        "tomli==2.0 ; python_version < '3.11'\n"
        "pywin32==306 ; sys_platform == 'win32'\n"
        "pydantic==2.12.5 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "-e .\n",
    )
    found = read(file)
    assert found.requirements == (*PINS.split(), "fastapi[standard]==0.121.3", "pydantic==2.12.5")
    assert found.constraints == ("numpy==1.26.4",)
    assert found.indexes == ("https://example.org/simple",)
    assert (found.complete, found.untested) == (False, (".",))
    assert found.versions == {"lmdeploy": "0.11.1", "transformers": "4.57.3"}
    assert "fastapi[standard]==0.121.3" not in read(file, python="3.12").requirements


def test_what_pins_leave_open_is_asked_of_the_resolver(tmp_path: Path) -> None:
    file = written(tmp_path, "requirements.txt", "lmdeploy==0.11.1\n")
    package = '[[packages]]\nname = "{0}"\nversion = "{1}"\nvcs = {{type = "git", url = "a", commit-id = "c"}}\n'
    text = package.format("lmdeploy", "0.11.1") + package.format("transformers", "4.57.6")
    lock = Lock(f'lock-version = "1.0"\ncreated-by = "test"\n{text}')
    told = Told(Resolution(lock, None, 0.1, reused=False))
    assert read(file, python=HERE, told=told).versions == {"lmdeploy": "0.11.1", "transformers": "4.57.6"}
    assert told.asked[0].requirements == ("lmdeploy==0.11.1",)
    refused = Told(Resolution(None, UvFailure("conflict", "because of that"), 0.1, reused=False))
    with pytest.raises(UnreadableLock, match="uv finds no versions that fit it: because of that"):
        read(file, python=HERE, told=refused)
    cut = Told(Resolution(None, UvFailure("network", "no route"), 0.1, reused=False))
    with pytest.raises(UvFailure, match="no route"):
        read(file, python=HERE, told=cut)


UV_PROJECT = """\
[project]
name = "service"
version = "1"
requires-python = ">=3.10"
dependencies = ["lmdeploy", "transformers"]
[project.optional-dependencies]
web = ["fastapi"]
[dependency-groups]
dev = ["pytest"]
"""


def uv_package(name: str, version: str, needs: str = "") -> str:
    return (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        f'source = {{ registry = "https://pypi.org/simple" }}\n{needs}'
        f'wheels = [{{ url = "https://files/{name}-{version}-py3-none-any.whl", '
        f'hash = "sha256:{"0" * 64}", size = 1 }}]\n\n'
    )


UV_LOCK = (
    'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n\n'
    + uv_package("fastapi", "0.121.3")
    + uv_package("lmdeploy", "0.11.1", 'dependencies = [{ name = "tiktoken" }]\n')
    + uv_package("pytest", "8.4.2")
    + uv_package("tiktoken", "0.12.0")
    + uv_package("transformers", "4.57.3")
    + uv_package("pywin32", "306")
    + """\
[[package]]
name = "service"
version = "1"
source = { virtual = "." }
dependencies = [
    { name = "lmdeploy" }, { name = "transformers" }, { name = "pywin32", marker = "sys_platform == 'win32'" },
]
[package.optional-dependencies]
web = [{ name = "fastapi" }]
[package.dev-dependencies]
dev = [{ name = "pytest" }]
[package.metadata]
requires-dist = [
    { name = "fastapi", marker = "extra == 'web'" }, { name = "lmdeploy" }, { name = "transformers" },
]
provides-extras = ["web"]
[package.metadata.requires-dev]
dev = [{ name = "pytest" }]
"""
)


def test_a_lock_of_uv_is_the_whole_stack_and_its_groups_are_asked_for(tmp_path: Path) -> None:
    written(tmp_path, "pyproject.toml", UV_PROJECT)
    file = written(tmp_path, "uv.lock", UV_LOCK)
    found = read(file, python=HERE)
    assert found.complete
    assert set(found.requirements) == {*PINS.split(), "tiktoken==0.12.0"}
    more = read(file, ["dev"], ["web"], python=HERE)
    assert set(more.requirements) - set(found.requirements) == {"pytest==8.4.2", "fastapi==0.121.3"}
    with pytest.raises(UnreadableLock, match="Extra `nonsense` is not defined"):
        read(file, extras=["nonsense"], python=HERE)
    (tmp_path / "pyproject.toml").unlink()
    with pytest.raises(UnreadableLock, match=r"no pyproject\.toml beside it"):
        read(file, python=HERE)


POETRY_2 = """\
[[package]]
name = "lmdeploy"
version = "0.11.1"
optional = false
groups = ["main"]
[[package]]
name = "transformers"
version = "4.57.3"
optional = false
groups = ["main", "dev"]
markers = {main = "python_version >= '3.10'", dev = "python_version < '3'"}
[[package]]
name = "colorama"
version = "0.4.6"
optional = false
groups = ["main"]
markers = "sys_platform == 'win32'"
[[package]]
name = "rich"
version = "14.0.0"
optional = true
groups = ["main"]
markers = "extra == 'pretty'"
[[package]]
name = "pytest"
version = "8.4.2"
optional = false
groups = ["dev"]
[metadata]
lock-version = "2.1"
python-versions = ">=3.11,<3.13"
"""
POETRY_1 = """\
[[package]]
name = "lmdeploy"
version = "0.11.1"
optional = false
[package.dependencies]
Transformers = "*"
colorama = {version = "*", markers = "sys_platform == 'win32'"}
pretty = {version = "*", optional = true}
[[package]]
name = "transformers"
version = "4.57.3"
optional = false
[[package]]
name = "colorama"
version = "0.4.6"
optional = false
[[package]]
name = "pretty"
version = "1.0"
optional = true
[[package]]
name = "pytest"
version = "8.4.2"
optional = false
[metadata]
lock-version = "2.0"
python-versions = "^3.11"
"""
POETRY_PROJECT = """\
[tool.poetry.dependencies]
python = "^3.11"
lmdeploy = "0.11.1"
[tool.poetry.group.dev.dependencies]
pytest = "*"
"""


def test_a_lock_of_poetry_by_its_groups(tmp_path: Path) -> None:
    file = written(tmp_path, "poetry.lock", POETRY_2 + "[extras]\npretty = ['rich']\n")
    assert read(file).requirements == ("lmdeploy==0.11.1", "transformers==4.57.3")
    assert set(read(file, ["dev"], ["pretty"]).requirements) == {*PINS.split(), "pytest==8.4.2", "rich==14.0.0"}


def test_groups_and_extras_that_a_lock_of_poetry_does_not_have_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "poetry.lock", POETRY_2)
    with pytest.raises(UnreadableLock, match="has no group 'serve'; it has dev, main"):
        read(file, ["serve"])
    with pytest.raises(UnreadableLock, match="has no extra 'web'; it has none"):
        read(file, (), ["web"])


def test_an_older_lock_of_poetry_is_followed_from_its_project(tmp_path: Path) -> None:
    file = written(tmp_path, "poetry.lock", POETRY_1)
    with pytest.raises(UnreadableLock, match=r"no pyproject\.toml beside it"):
        read(file)
    written(tmp_path, "pyproject.toml", POETRY_PROJECT)
    assert read(file).requirements == ("lmdeploy==0.11.1", "transformers==4.57.3")
    assert read(file, ["dev"]).requirements[-1] == "pytest==8.4.2"


def test_a_lock_of_pip_and_one_of_pipenv(tmp_path: Path) -> None:
    wheel = 'wheels = [{{url = "https://f/{0}-{1}-py3-none-{2}.whl", hashes = {{sha256 = "a"}}}}]\n'
    package = '[[packages]]\nname = "{0}"\nversion = "{1}"\n' + wheel
    lock = 'lock-version = "1.0"\ncreated-by = "pip"\nrequires-python = ">=3.11"\n'
    text = lock + package.format("lmdeploy", "0.11.1", "any") + package.format("transformers", "4.57.3", "any")
    assert read(written(tmp_path, "pylock.toml", text)).requirements == tuple(PINS.split())
    elsewhere = lock + package.format("lmdeploy", "0.11.1", "win_amd64")
    with pytest.raises(UnreadableLock, match="lmdeploy"):
        read(written(tmp_path, "pylock.bad.toml", elsewhere))
    pipenv = {
        "_meta": {"requires": {"python_version": "3.11"}, "sources": [{"url": "https://pypi.org/simple"}]},
        "default": {
            "lmdeploy": {"version": "==0.11.1", "hashes": ["sha256:a"]},
            "transformers": {"version": "==4.57.3", "markers": "python_version >= '3.9'"},
            "colorama": {"version": "==0.4.6", "markers": "sys_platform == 'win32'"},
        },
        "develop": {"pytest": {"version": "==8.4.2"}},
    }
    file = written(tmp_path, "Pipfile.lock", json.dumps(pipenv))
    assert read(file).requirements == tuple(PINS.split())
    assert read(file, ["develop"]).requirements == (*PINS.split(), "pytest==8.4.2")
    with pytest.raises(UnreadableLock, match="has groups and no extras"):
        read(file, (), ["web"])
    with pytest.raises(UnreadableLock, match="no group 'nonsense'; it has default, develop"):
        read(file, ["nonsense"])


def test_the_pip_section_of_a_conda_environment(tmp_path: Path) -> None:
    pip = "".join(f"    - {pin}\n" for pin in PINS.split())
    text = f"dependencies:\n  - python=3.11\n  - cudatoolkit=12.1\n  - pip:\n{pip}"
    file = written(tmp_path, "environment.yml", text)
    assert read(file).requirements == tuple(PINS.split())
    assert read(file).untested == ("cudatoolkit=12.1 (conda)",)
    assert LockFiles(cast("Resolver", Told()), Limits(60)).python(file) == "3.11"
    with pytest.raises(UnreadableLock, match="no pip section"):
        read(written(tmp_path, "environment.yaml", "dependencies: [python=3.11]\n"))


DOCKERFILE = """\
ARG LMDEPLOY=0.11.1
FROM python:3.11-slim
ENV PIP_NO_CACHE_DIR=1
COPY requirements.txt /app/
RUN apt-get update && apt-get install -y git
RUN pip install --upgrade pip setuptools && \\
    pip install --no-cache-dir -r /app/requirements.txt "lmdeploy==${LMDEPLOY}"
"""


def test_what_a_dockerfile_installs(tmp_path: Path) -> None:
    written(tmp_path, "requirements.txt", "transformers==4.57.3\n")
    file = written(tmp_path, "Dockerfile", DOCKERFILE)
    assert set(read(file).requirements) == set(PINS.split())
    assert LockFiles(cast("Resolver", Told()), Limits(60)).python(file) == "3.11"
    for text, told in {
        "RUN pip install lmdeploy==$VERSION\n": "Dockerfile:1: 'lmdeploy==$VERSION' depends on a variable",
        "RUN uv sync --frozen\n": "Dockerfile:1: uv sync installs from a lock; name that lock",
        "RUN pip install -r other.txt\n": "Dockerfile:1: other.txt is not beside Dockerfile",
        "RUN make\n": "no line RUN pip install",
    }.items():
        with pytest.raises(UnreadableLock) as caught:
            read(written(tmp_path, "Dockerfile", text))
        assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "python"),
    [
        (
            "FROM nvidia/cuda:12.8.1\nRUN apt-get install -y python3.10 python3.10-venv\nRUN pip3.10 install {}\n",
            "3.10",
        ),
        ("FROM nvidia/cuda:12.8.1\nRUN python3.12 -m pip install {}\n", "3.12"),
        ("FROM ubuntu\nRUN apt-get install -y python3.10 python3.12 && pip install {}\n", None),
        ("FROM ubuntu\nRUN pip install {}\n", None),
    ],
)
def test_an_image_that_is_not_pythons_own_may_say_its_python(tmp_path: Path, text: str, python: str | None) -> None:
    file = written(tmp_path, "Dockerfile", text.format("lmdeploy==0.11.1 transformers==4.57.3"))
    assert set(read(file).requirements) == set(PINS.split())
    assert LockFiles(cast("Resolver", Told()), Limits(60)).python(file) == python


def test_mistakes_are_told_with_their_line(tmp_path: Path) -> None:
    for name, text, told in [
        ("requirements.txt", "a==1\nlmdeploy=0.11.1\n", "requirements.txt:2: 'lmdeploy=0.11.1' is not a requirement"),
        ("requirements.txt", "-r missing.txt\n", "missing.txt cannot be read"),
        ("requirements.txt", "-r requirements.txt\n", "includes itself"),
        ("requirements.txt", "-i https://${USER}@a/simple\n", "takes its value from a variable"),
        ("requirements.txt", "flask==3\n", "requirements.txt has no lmdeploy, so there is nothing to test"),
        ("poetry.lock", POETRY_2.replace('"lmdeploy"', '"flask"'), "is it in a group or an extra?"),
        ("poetry.lock", "nonsense = ", "cannot be read"),
        ("Pipfile.lock", "[]", "holds no object"),
        ("pylock.toml", "a = 1\n", "pylock.toml"),
        ("notes.md", "", "is no file of packages that is understood; name uv.lock"),
    ]:
        with pytest.raises(UnreadableLock) as caught:
            read(written(tmp_path, name, text))
        assert told in str(caught.value), (name, str(caught.value))


@pytest.mark.parametrize(
    ("files", "python"),
    [
        ({".python-version": "3.12.4\n", "uv.lock": 'requires-python = ">=3.10"\n'}, "3.12.4"),
        ({"uv.lock": 'requires-python = ">=3.11, <3.13"\n'}, "3.11"),
        ({"poetry.lock": '[metadata]\npython-versions = "^3.12"\n'}, "3.12"),
        ({"requirements.txt": "", "pyproject.toml": '[project]\nrequires-python = "==3.12.*"\n'}, "3.12"),
        ({"requirements.txt": ""}, None),
    ],
)
def test_the_python_is_what_the_project_says(files: dict[str, str], python: str | None, tmp_path: Path) -> None:
    for name, text in files.items():
        written(tmp_path, name, text)
    named = next(name for name in files if name in {"uv.lock", "poetry.lock", "requirements.txt"})
    assert LockFiles(cast("Resolver", Told()), Limits(60)).python(tmp_path / named) == python


def test_files_are_told_by_their_names(tmp_path: Path) -> None:
    for name in ("uv.lock", "requirements-dev.txt", "notes.txt", "prod.Dockerfile", "pylock.prod.toml", "README.md"):
        written(tmp_path, name, "")
    assert [(kind, file.name) for kind, file in files_in(tmp_path)] == [
        (Kind.UV, "uv.lock"),
        (Kind.PYLOCK, "pylock.prod.toml"),
        (Kind.REQUIREMENTS, "requirements-dev.txt"),
        (Kind.DOCKERFILE, "prod.Dockerfile"),
    ]
    assert kind_of("README.md") is None


POETRY = '[[package]]\nname = "{}"\nversion = "{}"\ngroups = ["serve"]\n\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", '[[package]]\nname = "lmdeploy"\nversion = "0.11.1"\n[[package]]\nname = "mine"\n'),
        ("poetry.lock", POETRY.format("lmdeploy", "0.11.1") + POETRY.format("torch", "2.8.0")),
        ("pylock.toml", '[[packages]]\nname = "lmdeploy"\nversion = "0.11.1"\n'),
        (
            "Pipfile.lock",
            json.dumps({"default": {"lmdeploy": {"version": "==0.11.1"}, "torch": {"version": "==2.8.0"}}}),
        ),
        ("requirements.txt", "LMDeploy==0.11.1 \\\n    --hash=sha256:aa\ntorch==2.8.0\n"),
        ("Dockerfile", "FROM python:3.11\nRUN pip install lmdeploy==0.11.1 torch==2.8.0\n"),
    ],
)
def test_packages_are_found_by_name_and_nothing_is_resolved(tmp_path: Path, name: str, text: str) -> None:
    (found,) = named_in(written(tmp_path, name, text), {"lmdeploy", "transformers"}, "3.11")
    assert (found.name.lower(), str(found.specifier)) == ("lmdeploy", "==0.11.1")
