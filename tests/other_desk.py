"""Runs the command as on a desk that is not Linux: ``python -m tests.other_desk win32 explain server.log``.

Only what the harness itself asks for is taken away: its modules get an ``os``, a ``signal`` and a ``sys`` without what
that system lacks, and no module that is not there. Python and the libraries work as they do here.
"""

from __future__ import annotations

import builtins
import os
import platform
import signal
import sys
import types
from typing import TYPE_CHECKING, Any

import psutil
import pynvml
import rich.console  # noqa: F401 - with all that it imports, before anything is taken away

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINUX_ONLY = """
sched_getaffinity sched_setaffinity pidfd_open memfd_create unshare setns O_PATH O_TMPFILE posix_fadvise
copy_file_range splice getrandom
"""
_POSIX_ONLY = """
getuid geteuid getgid getegid getgroups setuid setgid fork forkpty setsid getsid killpg getpgid getpgrp setpgid uname
statvfs fstatvfs sysconf sysconf_names getloadavg nice chown fchown lchown mkfifo waitid wait WNOHANG WIFEXITED
WIFSIGNALED O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_NONBLOCK O_NOCTTY O_SYNC sendfile pread pwrite getpriority setpriority
posix_spawn openpty ttyname register_at_fork lockf chroot fchmod fchdir
"""
_SIGNALS = """
SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGSTOP SIGCONT SIGCHLD SIGALRM SIGPIPE SIGQUIT SIGTSTP pthread_sigmask setitimer alarm
sigwait pause
"""
_MODULES = "fcntl resource pwd grp termios tty pty syslog posix readline"
LACKS = {
    "win32": (_MODULES.split(), [*_LINUX_ONLY.split(), *_POSIX_ONLY.split()], _SIGNALS.split()),
    "darwin": ([], _LINUX_ONLY.split(), []),
}
"""Modules, names of ``os`` and names of ``signal`` that a system does not have."""


class Without(types.ModuleType):
    """A module without some names, or with others."""

    def __init__(self, module: types.ModuleType, lacking: Sequence[str], **changed: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update({k: v for k, v in vars(module).items() if k not in lacking} | changed)


def take_away(system: str) -> None:
    """From here on the harness is on another system."""
    modules, of_os, of_signal = LACKS[system]
    changed: dict[str, Any] = {
        "os": Without(os, of_os, name="nt" if system == "win32" else "posix", supports_dir_fd=set()),
        "signal": Without(signal, of_signal),
        "sys": Without(sys, (), platform=system),
    }
    real = builtins.__import__

    def imported(
        name: str,
        globals: Any = None,  # noqa: A002 - as Python calls them
        locals: Any = None,  # noqa: A002 - as above
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        root = name.partition(".")[0]
        if str((globals or {}).get("__name__", "")).startswith("harness") and not level:
            if root in modules:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name in changed or (root in changed and not fromlist):
                return changed[root]
        return real(name, globals, locals, fromlist, level)

    builtins.__import__ = imported
    platform.system = lambda: {"win32": "Windows", "darwin": "Darwin"}[system]


def main() -> None:
    """Take away, and run."""
    assert psutil, pynvml
    take_away(sys.argv[1])
    sys.argv[1:] = sys.argv[2:]
    from harness.__main__ import main as command  # noqa: PLC0415 - nothing of the harness before

    command()


if __name__ == "__main__":
    main()
