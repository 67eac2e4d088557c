"""Files that something untrusted could write: never followed, never endless, always removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.untrusted_files import read_untrusted, remove_tree, temporary_folder
from tests import ROOT


def nest(folder: Path, depth: int) -> None:
    """Folders in each other, deeper than a path can name, with something of each kind in them."""
    before = Path.cwd()
    os.chdir(folder)
    for _ in range(depth):
        Path("file").touch()
        os.mkfifo("pipe")
        Path("link").symlink_to("/etc")
        Path("deeper").mkdir()
        os.chdir("deeper")
    os.chdir(before)


def test_an_ordinary_file_is_read_up_to_the_bound(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"0123456789")
    assert read_untrusted(tmp_path, "a/file", 4) == b"0123"
    assert read_untrusted(tmp_path, "a/file", 40) == b"0123456789"


@pytest.mark.parametrize("name", ["link", "linked/file", "pipe", "folder", "nothing", "folder/nothing"])
def test_what_is_no_ordinary_file_below_the_folder_is_not_read(tmp_path: Path, name: str) -> None:
    below = tmp_path / "below"
    (below / "folder").mkdir(parents=True)
    (below / "folder" / "file").write_text("inside")
    (below / "link").symlink_to(below / "folder" / "file")
    (below / "linked").symlink_to(below / "folder")
    os.mkfifo(below / "pipe")
    assert read_untrusted(below, name, 100) is None


def test_a_tree_is_removed_whatever_its_depth_and_nothing_it_links_to(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    tree.mkdir()
    nest(tree, 1050)  # more than Python calls itself
    (tree / "way out").symlink_to(outside)
    remove_tree(tree)
    assert [each.name for each in tmp_path.iterdir()] == ["outside"]
    assert (outside / "precious").read_text() == "precious"


def test_a_link_is_removed_and_what_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    remove_tree(tmp_path / "link")
    remove_tree(tmp_path / "nothing")
    assert [each.name for each in tmp_path.iterdir()] == ["target"]


CLOSED = """
import os, sys
from pathlib import Path
from harness.core.untrusted_files import remove_tree
os.chdir(sys.argv[1])
for number in range(40):
    os.mkdir("closed")
    open("file", "w").close()
    os.chdir("closed")
for number in range(40):
    os.chdir("..")
    os.chmod("closed", 0)
remove_tree(Path("closed").absolute())
print(os.listdir())
"""


def test_folders_that_nobody_may_enter_are_removed(tmp_path: Path) -> None:
    """As root, which may do anything, this shows nothing; the fault suite is run as an ordinary user too."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSED, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "['file']\n"


def test_what_cannot_be_removed_is_told_and_the_rest_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    for name in ("one", "two"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").touch()
    unlink = os.unlink

    def refuse_one(name: str, *, dir_fd: int) -> None:
        if Path(f"/proc/self/fd/{dir_fd}").readlink().name == "one":
            raise PermissionError(13, "immutable")
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse_one)
    with pytest.raises(PermissionError, match="immutable"):
        remove_tree(tree)
    monkeypatch.undo()
    assert [str(each.relative_to(tree)) for each in sorted(tree.rglob("*"))] == ["one", "one/file"]


def test_a_temporary_folder_goes_with_what_was_put_into_it(tmp_path: Path) -> None:
    with temporary_folder("x-", tmp_path) as folder:
        nest(folder, 3)
    assert list(tmp_path.iterdir()) == []
