"""System calls that nothing which is tested needs, and with which a kernel is attacked or memory is hidden.

Loaded by the supervisor (standard library only). A call that is not there is answered as by a kernel that does not know
it, so that a program takes its other way; namespaces and mounts are refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOWED, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Where they stand in what the kernel hands to a filter."""
_NEW_NAMESPACES = 0x7E020080
"""Flags of clone and unshare: user, mount, process, network, IPC, UTS, cgroup, time."""
_X32 = 0x40000000
"""Numbers from here on are those of another way to call the same kernel."""
_NEW = {"clone3": 435, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_NEW_MOUNTS = (428, 429, 430, 431, 432, 433, 442)
"""The same numbers on every architecture."""
_CALLS = {
    "x86_64": (
        0xC000003E,
        {"clone": 56, "unshare": 272},
        {"shmget": 29, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248}
        | {"request_key": 249, "lookup_dcookie": 212},
        {"mount": 165, "umount2": 166, "pivot_root": 155, "setns": 308, "open_by_handle_at": 304, "kexec_load": 246}
        | {"kexec_file_load": 320, "syslog": 103},
    ),
    "aarch64": (
        0xC00000B7,
        {"clone": 220, "unshare": 97},
        {"shmget": 194, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "keyctl": 219, "add_key": 217}
        | {"request_key": 218, "lookup_dcookie": 18},
        {"mount": 40, "umount2": 39, "pivot_root": 41, "setns": 268, "open_by_handle_at": 265, "kexec_load": 104}
        | {"kexec_file_load": 294, "syslog": 116},
    ),
}
"""By machine: its number, calls that make namespaces, calls that are not there, calls that are refused."""


def forbid(libc: ctypes.CDLL) -> None:
    """Let this process, and what it becomes and starts, make those calls no more.

    A kernel without filters, or another machine, is left as it is: nothing else rests on this.
    """
    known = _CALLS.get(os.uname().machine)
    if known is None:
        return
    program = _program(*known)
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    order = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(order, len(order)), 0, 0)


def _program(architecture: int, makers: dict[str, int], absent: dict[str, int], refused: dict[str, int]) -> bytes:
    """The filter: one instruction a line, each test followed by its answer."""
    lines = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, architecture, 1, 0),
        _step(_ANSWER, _ERROR | errno.ENOSYS),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _step(_ANSWER, _ERROR | errno.ENOSYS),
    ]
    for number in (*absent.values(), *_NEW.values()):
        lines += [_step(_EQUAL, number, 0, 1), _step(_ANSWER, _ERROR | errno.ENOSYS)]
    for number in (*refused.values(), *_NEW_MOUNTS):
        lines += [_step(_EQUAL, number, 0, 1), _step(_ANSWER, _ERROR | errno.EPERM)]
    for number in makers.values():
        lines += [
            _step(_EQUAL, number, 0, 4),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_ANY_OF, _NEW_NAMESPACES, 0, 1),
            _step(_ANSWER, _ERROR | errno.EPERM),
            _step(_ANSWER, _ALLOWED),
        ]
    return b"".join([*lines, _step(_ANSWER, _ALLOWED)])


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)
