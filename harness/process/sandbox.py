"""What a probe's process may touch: its scratch folder and nothing else, and no network.

Loaded by the supervisor (standard library only, single-threaded) and entered between fork and exec. It uses what Linux
gives to ordinary users: a user namespace, in it a mount namespace in which everything but the scratch is read-only,
and a network namespace with nothing but a loopback of its own. No capability is left, so nothing of it can be undone
from inside. Where the host does not allow it the child runs without, and its record says so.
"""

from __future__ import annotations

import _socket  # the part of socket that is needed; all of it takes longer to load than the rest together
import ctypes
import errno
import os
import struct
import sys
from typing import TYPE_CHECKING

if sys.platform != "win32":  # where nothing is shut in, and only the words below are asked for
    import fcntl
    import resource

if TYPE_CHECKING:
    from collections.abc import Sequence

ENTERED = "namespaces"
"""What :func:`enter` says when all of it holds."""

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 0x1000, 0x4000, 0x40000, 0x2, 0x4
_SYS_MOUNT_SETATTR = 442
"""The same number on every architecture; Linux 5.12."""
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 0x1
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_LAST_CAPABILITY = 63
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a fresh one is mounted over it
_SHARED_MEMORY_OPTIONS = b"mode=1777"
LARGEST_FILE = 64 * 1024**3
"""Bytes one file of a child may have: more than any wheel or checkpoint shard, less than a disk."""
_FIRST_TO_GO = 1000


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


def enter(writable: Sequence[str], folder: str) -> str:
    """Shut this process in; to be called in a single-threaded process that is about to exec.

    Args:
        writable: folders that stay writable.
        folder: the working folder, entered again from inside.

    Returns:
        ``namespaces``, or why there is no such protection here; then nothing has changed.

    Raises:
        OSError: it worked halfway, which leaves a process that must not go on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if not _read_only_can_be_asked_for(libc):
        return "this kernel cannot make a tree of mounts read-only (Linux 5.12 can)"
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWUTS | _CLONE_NEWIPC):
        return f"this host gives no user namespaces ({os.strerror(ctypes.get_errno())})"
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    _shut_files(libc, writable)
    _shut_network()
    os.chdir(folder)
    _drop_capabilities(libc)
    return ENTERED


def _read_only_can_be_asked_for(libc: ctypes.CDLL) -> bool:
    """Asked with an impossible flag: a kernel that knows the call refuses the flag, an older one the call."""
    libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", 0xFFFF, None, 0)
    return ctypes.get_errno() != errno.ENOSYS


def _shut_files(libc: ctypes.CDLL, writable: Sequence[str]) -> None:
    _mount(libc, None, "/", _MS_REC | _MS_PRIVATE)
    for folder in writable:
        _mount(libc, folder, folder, _MS_BIND | _MS_REC)
    own = list(writable)
    if os.path.isdir(_SHARED_MEMORY):  # noqa: PTH112 - pathlib costs every child an import
        _mount(libc, "tmpfs", _SHARED_MEMORY, _MS_NOSUID | _MS_NODEV, kind="tmpfs", options=_SHARED_MEMORY_OPTIONS)
        own.append(_SHARED_MEMORY)
    _set_read_only(libc, "/", read_only=True)
    for folder in own:
        _set_read_only(libc, folder, read_only=False)


def _mount(  # noqa: PLR0913, PLR0917 - mount(2) has these
    libc: ctypes.CDLL,
    source: str | None,
    target: str,
    flags: int,
    kind: str | None = None,
    options: bytes | None = None,
) -> None:
    given = [os.fsencode(each) if each is not None else None for each in (source, target, kind)]
    if libc.mount(given[0], given[1], given[2], ctypes.c_ulong(flags), options):
        raise _trouble(f"mount {target}")


def _set_read_only(libc: ctypes.CDLL, target: str, *, read_only: bool) -> None:
    attributes = struct.pack(
        "QQQQ", _MOUNT_ATTR_RDONLY if read_only else 0, 0 if read_only else _MOUNT_ATTR_RDONLY, 0, 0
    )
    if libc.syscall(
        _SYS_MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(target),
        _AT_RECURSIVE,
        attributes,
        ctypes.c_size_t(len(attributes)),
    ):
        raise _trouble(f"mount_setattr {target}")


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
