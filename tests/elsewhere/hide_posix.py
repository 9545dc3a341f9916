"""Make this process look as on Windows to what is imported from now on: what only POSIX has is gone.

`python hide_posix.py CODE` runs code so. What must be loaded as it is (a framework, the standard library's own modules)
is named after `--first`, separated by commas.
"""

from __future__ import annotations

import importlib
import importlib.abc
import os
import signal
import sys
from pathlib import Path

MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
OF_OS = {
    "O_CLOEXEC",
    "O_DIRECTORY",
    "O_NOCTTY",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "O_SYNC",
    "chown",
    "fchmod",
    "fchown",
    "fork",
    "forkpty",
    "geteuid",
    "getgid",
    "getpgid",
    "getuid",
    "killpg",
    "major",
    "memfd_create",
    "mkfifo",
    "nice",
    "posix_fadvise",
    "posix_fallocate",
    "pread",
    "preadv",
    "pwrite",
    "pwritev",
    "register_at_fork",
    "sched_getaffinity",
    "sched_setaffinity",
    "sendfile",
    "setsid",
    "statvfs",
    "sync",
    "sysconf",
    "uname",
    "wait4",
    "WNOHANG",
}
OF_SIGNAL = {
    "SIGALRM",
    "SIGCHLD",
    "SIGHUP",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "pthread_kill",
    "pthread_sigmask",
    "setitimer",
}


class _Refuses(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def _open_folder_as_windows_does(opened):
    def refuse(path, *args, **named):
        if not isinstance(path, int) and Path(path).is_dir():
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return opened(path, *args, **named)

    return refuse


def _kill(process, number):
    raise AssertionError(f"os.kill({process}, {number}) would end that process")


def hide(first=()):
    """Take away what only POSIX has; the compiled kernel too, which is not built there."""
    # what the standard library holds of POSIX it holds before; it has ways of its own on Windows
    for name in (
        "asyncio",
        "concurrent.futures",
        "logging",
        "multiprocessing.connection",
        "platform",
        "pydoc",
        "shutil",
        "socket",
        "subprocess",
        "tempfile",
        *first,
    ):
        importlib.import_module(name)
    os.environ["DOWNSLOPE_KERNEL"] = "off"
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, _Refuses())
    for owner, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
    sys.platform = "win32"
    os.open = _open_folder_as_windows_does(os.open)
    os.kill = _kill


if __name__ == "__main__":
    _, *words = sys.argv
    wanted = words.pop(0).partition("=")[2].split(",") if words[0].startswith("--first=") else ()
    code, *sys.argv[1:] = words
    hide(wanted)
    exec(code, {"__name__": "__main__"})  # noqa: S102
