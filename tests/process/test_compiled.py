"""The library that an import compiles: made once for an environment, by nothing that is tested, and lent as a copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.process.child import CHILDREN
from harness.process.compiled import CACHE, KEPT, lend_compiled

COMPILING = """
import os, pathlib
home = pathlib.Path(os.environ["HOME"], ".cache", "tvm-ffi")
home.mkdir(parents=True, exist_ok=True)
count = pathlib.Path({count!r})
count.write_text(str(int(count.read_text() or 0) + 1) if count.exists() else "1")
{then}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose tvm_ffi 'compiles' at each import, and whose torch is empty."""
    folder = tmp_path / "environments" / "abc"
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "tvm_ffi" / "utils").mkdir(parents=True)
    (site / "tvm_ffi" / "utils" / "_build_optional_torch_c_dlpack.py").touch()
    (site / "torch.py").touch()
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    return folder


def plant(environment: Path, then: str) -> Path:
    """Let the import do ``then``; the file that counts imports."""
    count = environment.parent / "count"
    package = next(environment.glob("lib/python*/site-packages/tvm_ffi"))
    (package / "__init__.py").write_text(COMPILING.format(count=str(count), then=then))
    return count


def lend(environment: Path, name: str) -> Path:
    """Lend to a new scratch folder; the cache its probes will see."""
    scratch = environment.parent.parent / name
    for each in ("home", "tmp"):
        (scratch / each).mkdir(parents=True)
    lend_compiled(CHILDREN, environment / "bin" / "python", scratch, scratch / "home", shut_in=False)
    return scratch / "home" / CACHE


def test_it_is_made_once_and_lent_as_a_copy(environment: Path) -> None:
    count = plant(environment, '(home / "libaddon.so").write_bytes(b"machine code"); (home / "build.log").touch()')
    first = lend(environment, "one")
    assert [each.name for each in first.iterdir()] == ["libaddon.so"]
    (first / "libaddon.so").write_bytes(b"poisoned by what is tested")
    assert (lend(environment, "two") / "libaddon.so").read_bytes() == b"machine code"
    assert count.read_text() == "1"


def test_an_environment_that_cannot_compile_is_asked_once(environment: Path) -> None:
    count = plant(environment, "raise SystemExit(1)")
    assert not lend(environment, "one").exists()
    assert not lend(environment, "two").exists()
    assert (environment / KEPT).is_dir()
    assert count.read_text() == "1"


def test_a_link_or_an_empty_file_is_not_taken(environment: Path) -> None:
    plant(environment, '(home / "a.so").symlink_to("/etc/passwd"); (home / "b.so").touch()')
    assert not lend(environment, "one").exists()


def test_other_environments_have_nothing_to_compile(environment: Path) -> None:
    next(environment.glob("lib/python*/site-packages/tvm_ffi/utils/*.py")).unlink()
    assert not lend(environment, "one").exists()
    assert not (environment / KEPT).exists()
