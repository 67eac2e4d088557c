"""What a probe's process may see and touch: what it was given, and nothing else of this machine.

Loaded by the supervisor (standard library only, single-threaded) and entered between fork and exec. It uses what Linux
gives to ordinary users: a user namespace, and in it a tree of files of its own (the system's programs and libraries and
the folders that the child was given, all but its scratch read-only, a /dev without devices, no /run, no home),
processes of its own with a /proc of their own, a network that is nothing but a loopback, and a filter of system calls.
No capability is left, so nothing of it can be undone from inside.

A program that is installed nearly everywhere, bubblewrap, does most of this; it tells of a child that a signal ended as
of one that exited with a number, and a verdict needs to know which it was.
"""

from __future__ import annotations

import _socket  # the part of socket that is needed; all of it takes longer to load than the rest together
import contextlib
import ctypes
import errno
import os
import signal
import stat
import struct
import sys
import time

if sys.platform != "win32":  # where nothing is shut in, and only the words below are asked for
    import fcntl
    import resource

TYPE_CHECKING = False  # typing takes long to load
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ENTERED = "namespaces"
"""What :func:`enter` says when all of it holds."""

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x4000, 0x40000, 0x2, 0x4, 0x8
_MNT_DETACH = 2
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
"""The same numbers on every architecture; Linux 5.2, and 5.12 for the last."""
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, 0o2000000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 0x1, 0x2, 0x4
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_LAST_CAPABILITY = 63
_BASE = "/tmp"  # noqa: S108 - any folder that there always is; the new tree is put together over it
SHARED_MEMORY = 2**30
"""Bytes that the files in /dev/shm may have together."""
_ROOT_BYTES = 2**20
"""The tree itself holds folders and links alone."""
LARGEST_FILE = 64 * 1024**3
"""Bytes one file of a child may have: more than any wheel or checkpoint shard, less than a disk."""
_FIRST_TO_GO = 1000
_GRACE = 0.3
"""Seconds within which processes that the child leaves behind may end by themselves."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys", "/nix/store", "/gnu/store")
_SETTINGS = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "group", "host.conf", "hosts", "ld.so.cache"),
    *("ld.so.conf", "ld.so.conf.d", "localtime", "machine-id", "magic", "mime.types", "nsswitch.conf", "OpenCL"),
    *("os-release", "passwd", "pki", "protocols", "services", "ssl", "timezone", "vulkan"),
)
"""Of /etc: what programs look up, and nothing that anybody keeps secret."""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
DRIVER = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps", "dxg")
"""Of /dev: what the GPU's driver needs beside the cards themselves."""


def confine() -> None:
    """Limits that need no namespace: no core files, no endless file, and first in line when memory runs out."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if hard == resource.RLIM_INFINITY or hard > LARGEST_FILE:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    try:
        _write("/proc/self/oom_score_adj", str(_FIRST_TO_GO))
    except OSError:
        return  # no such file on this system: the kernel chooses by size, which is nearly the same


def enter(given: Mapping[str, Sequence[str]], folder: str, tell: int) -> None:
    """Shut this process in; to be called in a single-threaded process that is about to exec.

    It returns in a process further down, the one that is to exec: between that and the caller's parent stand two that
    do nothing but pass on how it ended and collect what it orphans.

    Args:
        given: folders and files by what may be done with them: ``write`` and ``read``; ``devices`` are paths in /dev,
            ``temporary`` is the folder that stands for /tmp.
        folder: the working folder, entered again from inside.
        tell: where ``namespaces`` is written, and at the end the program's exit status and how many processes it left
            behind.

    Raises:
        OSError: there is no such protection here, or it worked halfway: the process must not go on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    machine = os.uname().machine
    if not _read_only_can_be_asked_for(libc) or machine not in _SYS_PIVOT_ROOT:
        raise OSError(errno.ENOSYS, "this kernel cannot make a tree of mounts read-only (Linux 5.12 can)")
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWPID):
        number = ctypes.get_errno()
        raise OSError(number, f"this host gives no user namespaces ({os.strerror(number)})")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    first = os.fork()
    if first:
        _stand_by(first)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _shut_files(libc, given, machine)
    _shut_network()
    os.chdir(folder)
    _drop_capabilities(libc)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # what runs beside it is not to look into it
    program = os.fork()
    if program:
        _be_first(program, tell)
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    os.setsid()  # whom it signals as its group are its own
    os.write(tell, ENTERED.encode())


def _stand_by(child: int) -> None:
    """Wait until the child ends, and end; never returns."""
    _let_go()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.SIGKILL)  # nothing else ends a first process
    os._exit(os.WEXITSTATUS(status))


def _be_first(program: int, tell: int) -> None:
    """Be the first process of the namespace: collect orphans until the program ends; never returns.

    The kernel ends everything in the namespace with this process. It cannot end itself by a signal, so how the program
    ended is passed on as a number.
    """
    _let_go(tell)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            break
    deadline = time.monotonic() + _GRACE
    while (left := _others()) and time.monotonic() < deadline:
        time.sleep(0.02)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with contextlib.suppress(OSError):  # nobody is left to hear it
        os.write(tell, f"\n{os.waitstatus_to_exitcode(status)} {left}".encode())
    os._exit(0)


def _others() -> int:
    found = 0
    for each in os.listdir("/proc"):  # noqa: PTH208 - pathlib costs every child an import
        if each.isdigit() and each != "1":
            with contextlib.suppress(OSError, IndexError), open(f"/proc/{each}/stat", "rb") as file:  # noqa: PTH123
                found += file.read().rpartition(b")")[2].split()[0] != b"Z"
    return found


def _let_go(*kept: int) -> None:
    """Hold no file open that somebody waits for, and let no request to end end this process before its child."""
    for request in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(request, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    begin = 3  # not by a list of them: the /proc of one of the two can be gone from under it
    for each in sorted(kept):
        os.closerange(begin, each)
        begin = each + 1
    os.closerange(begin, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2**20))


def _read_only_can_be_asked_for(libc: ctypes.CDLL) -> bool:
    """Asked with an impossible flag: a kernel that knows the call refuses the flag, an older one the call."""
    libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", 0xFFFF, None, 0)
    return ctypes.get_errno() != errno.ENOSYS


def _shut_files(libc: ctypes.CDLL, given: Mapping[str, Sequence[str]], machine: str) -> None:
    """Put a tree together of what is given, and leave the other one."""
    _mount(libc, None, "/", _MS_REC | _MS_PRIVATE)
    trees: list[tuple[str, int]] = []
    links: dict[str, str] = {}
    for path in _shortest_first([*_SYSTEM, *(f"/etc/{each}" for each in _SETTINGS), *given["read"]]):
        if os.path.islink(path):  # noqa: PTH114 - pathlib costs every child an import
            links[path] = os.readlink(path)  # noqa: PTH115 - as above
        elif os.path.exists(path):  # noqa: PTH110 - as above
            trees.append((path, _clone(libc, path, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)))
    trees += [(path, _clone(libc, path, _ATTR_NOSUID | _ATTR_NODEV)) for path in given["write"]]
    # first, since what is given can lie below it
    trees[:0] = [(_BASE, _clone(libc, path, _ATTR_NOSUID | _ATTR_NODEV)) for path in given["temporary"]]
    devices = [f"/dev/{each}" for each in _DEVICES] + [each for each in given["devices"] if os.path.exists(each)]  # noqa: PTH110
    nodes = [(path, _clone(libc, path, _ATTR_NOSUID)) for path in devices]
    _mount(libc, "tmpfs", _BASE, _MS_NOSUID | _MS_NODEV, "tmpfs", f"size={_ROOT_BYTES},mode=755")
    _make_folder("/dev")
    _mount(libc, "tmpfs", f"{_BASE}/dev", _MS_NOSUID | _MS_NOEXEC, "tmpfs", f"size={_ROOT_BYTES},mode=755")
    _make_folder("/dev/shm")  # noqa: S108 - of the new tree
    _mount(libc, "tmpfs", f"{_BASE}/dev/shm", _MS_NOSUID | _MS_NODEV, "tmpfs", f"size={SHARED_MEMORY},mode=1777")  # noqa: S108 - as above
    for name, target in _LINKS.items():
        os.symlink(target, f"{_BASE}/dev/{name}")  # noqa: PTH211 - as above
    for path, target in links.items():
        _make_folder(os.path.dirname(path))  # noqa: PTH120 - as above
        with contextlib.suppress(FileExistsError):  # it is in a folder that is there
            os.symlink(target, _BASE + path)  # noqa: PTH211 - as above
    for path, tree in [*trees, *nodes]:
        _place(libc, path, tree)
    _make_folder("/proc")
    _mount(libc, "proc", f"{_BASE}/proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "proc")
    for each in ("/dev", ""):
        _set_attributes(libc, _AT_FDCWD, _BASE + each, _ATTR_RDONLY)
    os.chdir(_BASE)
    if libc.syscall(_SYS_PIVOT_ROOT[machine], b".", b"."):
        raise _trouble("pivot_root")
    if libc.umount2(b".", _MNT_DETACH):
        raise _trouble("leaving the tree of files")
    os.chdir("/")


def _shortest_first(paths: Iterable[str]) -> list[str]:
    """Every path that is not in one of the others."""
    found: list[str] = []
    for path in sorted(set(paths), key=len):
        if not any(path.startswith(f"{each}/") for each in found):
            found.append(path)
    return found


def _clone(libc: ctypes.CDLL, path: str, attributes: int) -> int:
    tree = libc.syscall(
        _SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    )
    if tree < 0:
        raise _trouble(f"open_tree {path}")
    _set_attributes(libc, tree, "", attributes, _AT_EMPTY_PATH | _AT_RECURSIVE)
    return int(tree)


def _place(libc: ctypes.CDLL, path: str, tree: int) -> None:
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        _make_folder(path)
    else:
        _make_folder(os.path.dirname(path))  # noqa: PTH120 - as above
        os.close(os.open(_BASE + path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    if libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(_BASE + path), _MOVE_MOUNT_F_EMPTY_PATH):
        raise _trouble(f"move_mount {path}")
    os.close(tree)


def _make_folder(path: str) -> None:
    os.makedirs(_BASE + path, mode=0o755, exist_ok=True)  # noqa: PTH103 - as above


def _mount(  # noqa: PLR0913, PLR0917 - mount(2) has these
    libc: ctypes.CDLL, source: str | None, target: str, flags: int, kind: str | None = None, options: str | None = None
) -> None:
    given = [os.fsencode(each) if each is not None else None for each in (source, target, kind, options)]
    if libc.mount(given[0], given[1], given[2], ctypes.c_ulong(flags), given[3]):
        raise _trouble(f"mount {target}")


def _set_attributes(libc: ctypes.CDLL, place: int, path: str, attributes: int, flags: int = 0) -> None:
    told = struct.pack("QQQQ", attributes, 0, 0, 0)
    size = ctypes.c_size_t(len(told))
    if libc.syscall(_SYS_MOUNT_SETATTR, place, os.fsencode(path), flags, told, size):
        raise _trouble(f"mount_setattr {path}")


def _shut_network() -> None:
    """The new network has nothing but a loopback; engines that talk to themselves need it up, under a name."""
    any_socket = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        flags = struct.unpack("16sH14s", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | _IFF_UP, b""))
    finally:
        any_socket.close()
    _socket.sethostname("localhost")


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) and ctypes.get_errno() != errno.EINVAL:
            raise _trouble("dropping capabilities")


def _trouble(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
