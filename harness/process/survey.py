"""What the system says of a child's whole tree: its processes, their memory and time, the disk that they take.

Loaded by the supervisor (standard library only). Paths are text: ``pathlib`` is slow to load and to use, and this is
asked four times a second. Memory and disk are bytes, times are seconds.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False  # typing takes long to load
if TYPE_CHECKING:
    from collections.abc import Callable

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Survey:
    """What ``/proc`` says of every living descendant at one moment.

    The two processes that stand between the supervisor and a child that is shut in are kept apart.
    """

    def __init__(self, root: int, outermost: int | None = None) -> None:
        self.pids: list[int] = []
        self.between: list[int] = []
        self.cpu = 0.0
        self.memory = 0
        self._mapped = 0
        apart = {outermost}
        children = _children_by_kernel if _KERNEL_LISTS_CHILDREN else _children_by_search()
        queue = children(root)
        while queue:
            pid = queue.pop()
            with contextlib.suppress(OSError, ValueError, IndexError):
                # a process may vanish between the listing and the read
                fields = _stat(pid)
                below = children(pid)
                queue += below
                if pid in apart:
                    apart |= set(below) if pid == outermost else set()
                    self.between += [pid] if fields[0] != "Z" else []
                elif fields[0] != "Z":
                    self.pids.append(pid)
                    self.cpu += (int(fields[11]) + int(fields[12])) / _TICK
                    self.memory += int(fields[21]) * _PAGE

    def add_files_in_memory(self) -> None:
        """Count files in memory as far as no process has them mapped: memfd, and what lies in /dev/shm."""
        files: dict[tuple[int, int], int] = {}
        mapped = shared = 0
        for pid in self.pids:
            with contextlib.suppress(OSError, ValueError, IndexError):  # it may vanish meanwhile
                mapped += _shared_memory(pid)
                files |= _memory_files(pid)
        for pid in self.pids[:1]:
            with contextlib.suppress(OSError):
                told = os.statvfs(f"/proc/{pid}/root/dev/shm")
                shared = (told.f_blocks - told.f_bfree) * told.f_frsize if self.between else 0
        self.memory += max(0, sum(files.values()) + shared - mapped)


def _shared_memory(pid: int) -> int:
    """Bytes of files in memory that a process has mapped and used."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as said above
        told = file.read().partition("RssShmem:")[2].split()
    return int(told[0]) * 1024 if told else 0


def _memory_files(pid: int) -> dict[tuple[int, int], int]:
    """The files in memory that a process holds open, by what they are, with their bytes."""
    found: dict[tuple[int, int], int] = {}
    for each in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - as said above
        path = f"/proc/{pid}/fd/{each}"
        with contextlib.suppress(OSError):
            if os.readlink(path).startswith("/memfd:"):  # noqa: PTH115 - as said above
                status = os.stat(path)  # noqa: PTH116 - as said above
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return found


_KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # noqa: PTH110 - as said above


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third (the state) on."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as said above
        return file.read().rpartition(")")[2].split()


def _children_by_kernel(pid: int) -> list[int]:
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - as said above
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:  # noqa: PTH123 - as said above
            found += [int(each) for each in file.read().split()]
    return found


def _children_by_search() -> Callable[[int], list[int]]:
    """The same from one look at all processes, for kernels that do not list children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - as said above
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
    return lambda pid: children.get(pid, [])


def free(folder: str | None) -> int:
    """What the disk of a folder has left for an ordinary user; 0 where the folder is not there."""
    with contextlib.suppress(OSError):  # whoever starts the child is told that its folder is not there
        if folder is not None:
            told = os.statvfs(folder)
            return told.f_bavail * told.f_frsize
    return 0


def bytes_in(folder: str) -> int:
    """What the files below a folder take of the disk, as far as they can be looked at."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found += os.lstat(f"{place}/{name}").st_blocks * 512
    return found


def unnamed(pid: int) -> int:
    """What open files without a name take of the disk."""
    found = 0
    with contextlib.suppress(OSError):
        for each in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - as said above
            with contextlib.suppress(OSError):
                status = os.stat(f"/proc/{pid}/fd/{each}")  # noqa: PTH116 - as said above
                found += status.st_blocks * 512 if not status.st_nlink else 0
    return found
