"""The file-system calls of a process, watched from outside by ptrace: counted, killed at the n-th, or made to fail.

It needs Linux on x86-64 or aarch64 and the right to trace one's own children, no program and no compiler; where that
is not given, `why_not` says so.
"""

import ctypes
import errno
import os
import platform
import signal
from dataclasses import dataclass
from pathlib import Path

_TRACEME, _PEEKUSER, _POKEUSER, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 3, 6, 24, 0x4200, 0x420E
_SYSGOOD, _CHILDREN, _EXITKILL = 1, 0b1110, 1 << 20  # children: threads, forks and vforks
_WALL = 0x40000000
_ORIG_RAX, _RAX, _RDX = 15 * 8, 10 * 8, 12 * 8  # places in struct user of x86-64

FD, PATH, AT = "descriptor", "path", "folder and path"

_CALLS = {  # name: (number on x86-64, on aarch64, which arguments name a file)
    "open": (2, None, {0: PATH}),
    "creat": (85, None, {0: PATH}),
    "openat": (257, 56, {0: AT}),
    "openat2": (437, 437, {0: AT}),
    "close": (3, 57, {0: FD}),
    "read": (0, 63, {0: FD}),
    "readv": (19, 65, {0: FD}),
    "pread64": (17, 67, {0: FD}),
    "write": (1, 64, {0: FD}),
    "writev": (20, 66, {0: FD}),
    "pwrite64": (18, 68, {0: FD}),
    "lseek": (8, 62, {0: FD}),
    "fsync": (74, 82, {0: FD}),
    "fdatasync": (75, 83, {0: FD}),
    "ftruncate": (77, 46, {0: FD}),
    "truncate": (76, 45, {0: PATH}),
    "fallocate": (285, 47, {0: FD}),
    "sendfile": (40, 71, {0: FD, 1: FD}),
    "copy_file_range": (326, 285, {0: FD, 2: FD}),
    "flock": (73, 32, {0: FD}),
    "fcntl": (72, 25, {0: FD}),
    "ioctl": (16, 29, {0: FD}),
    "mmap": (9, 222, {4: FD}),
    "getdents64": (217, 61, {0: FD}),
    "stat": (4, None, {0: PATH}),
    "lstat": (6, None, {0: PATH}),
    "fstat": (5, 80, {0: FD}),
    "newfstatat": (262, 79, {0: AT}),
    "statx": (332, 291, {0: AT}),
    "access": (21, None, {0: PATH}),
    "faccessat": (269, 48, {0: AT}),
    "faccessat2": (439, 439, {0: AT}),
    "readlink": (89, None, {0: PATH}),
    "readlinkat": (267, 78, {0: AT}),
    "chdir": (80, 49, {0: PATH}),
    "mkdir": (83, None, {0: PATH}),
    "mkdirat": (258, 34, {0: AT}),
    "rmdir": (84, None, {0: PATH}),
    "unlink": (87, None, {0: PATH}),
    "unlinkat": (263, 35, {0: AT}),
    "rename": (82, None, {0: PATH, 1: PATH}),
    "renameat": (264, 38, {0: AT, 2: AT}),
    "renameat2": (316, 276, {0: AT, 2: AT}),
    "link": (86, None, {0: PATH, 1: PATH}),
    "linkat": (265, 37, {0: AT, 2: AT}),
    "symlink": (88, None, {1: PATH}),
    "symlinkat": (266, 36, {1: AT}),
    "chmod": (90, None, {0: PATH}),
    "fchmod": (91, 52, {0: FD}),
    "fchmodat": (268, 53, {0: AT}),
    "utimensat": (280, 88, {0: AT}),
}
_MACHINE = platform.machine()
_BY_NUMBER = {
    numbers[_MACHINE != "x86_64"]: (name, files)
    for name, (*numbers, files) in _CALLS.items()
    if numbers[_MACHINE != "x86_64"] is not None
}
CHANGING = frozenset(
    (
        *("creat", "write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "truncate", "fallocate"),
        *("sendfile", "copy_file_range", "flock", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename"),
        *("renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    )
)
"""Calls that change the disk or what is safe on it; an `open` does too if it creates or cuts a file."""


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("_pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),  # on entry; on exit the result
        ("arguments", ctypes.c_uint64 * 6),
    )


@dataclass(frozen=True)
class Call:
    """A file-system call that is about to be made on something in the watched folder.

    Attributes:
        name: "write", ...
        path: The file, as the call names it.
        arguments: The six raw arguments.
        thread: Who makes it.
    """

    name: str
    path: str
    arguments: tuple[int, ...]
    thread: int

    @property
    def changes(self):
        """Whether it may change the disk."""
        if self.name in {"open", "openat"}:
            return bool(self.arguments[1 + (self.name == "openat")] & (os.O_CREAT | os.O_TRUNC))
        return self.name in CHANGING

    def half_of_write(self):
        """Return, for a `write`, the first half of its bytes and where in the file they go; None for its end."""
        descriptor, address, count = self.arguments[:3]
        with Path(f"/proc/{self.thread}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            data = memory.read(count // 2)
        lines = Path(f"/proc/{self.thread}/fdinfo/{descriptor}").read_text().splitlines()
        known = dict(line.split(":", 1) for line in lines)
        return data, None if int(known["flags"], 8) & os.O_APPEND else int(known["pos"])


FAULTS = _MACHINE == "x86_64"
"""Whether calls can be halved and made to fail here: that is written for the registers of x86-64 alone."""

KILL, HALF = "kill", "half"
"""What may be done at a call: SIGKILL before it; for a write, SIGKILL after half of it. A number is an errno."""


def run_watched(task, folder, decide):
    """Fork a process that runs a task, and stop it before each call on a folder.

    Args:
        task: A function; the process ends with exit code 0 after it, 1 if it raises, or with the integer it returns.
        folder: The folder.
        decide: Called with each `Call`; returns None to let it happen, `KILL`, `HALF`, or an errno.

    Returns:
        The process's exit code, negative for a signal.
    """
    folder = os.path.realpath(folder)
    process = os.fork()
    if process == 0:
        code = 1
        try:
            _ptrace(_TRACEME, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            code = task() or 0
        except BaseException as error:  # noqa: BLE001  a forked process must never return into its parent's code
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os._exit(code)
    os.waitpid(process, 0)
    _ptrace(_SETOPTIONS, process, 0, _SYSGOOD | _CHILDREN | _EXITKILL)
    return _Watch(process, folder, decide).run()


class _Watch:
    """Steps a traced process and its threads from call to call."""

    def __init__(self, process, folder, decide):
        self._process, self._folder, self._decide = process, folder, decide
        self._inside = {}  # thread -> what to do when the call it is in ends, or None

    def run(self):
        _ptrace(_SYSCALL, self._process, 0, 0)
        while True:
            thread, status = os.waitpid(-1, _WALL)
            if not os.WIFSTOPPED(status):
                if thread == self._process:
                    return os.waitstatus_to_exitcode(status)
                continue
            delivered = 0
            if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
                self._at_call(thread)
            elif os.WSTOPSIG(status) not in {signal.SIGTRAP, signal.SIGSTOP}:
                delivered = os.WSTOPSIG(status)
            _ptrace(_SYSCALL, thread, 0, delivered, gone=True)

    def _at_call(self, thread):
        if thread in self._inside:
            ending = self._inside.pop(thread)
            if ending == HALF:
                os.kill(self._process, signal.SIGKILL)
            elif ending is not None:
                _ptrace(_POKEUSER, thread, _RAX, -ending)
            return
        self._inside[thread] = None
        call = self._read_call(thread)
        if call is None:
            return
        decision = self._decide(call)
        if decision == KILL:
            os.kill(self._process, signal.SIGKILL)
        elif decision == HALF:
            _ptrace(_POKEUSER, thread, _RDX, call.arguments[2] // 2)
        elif decision is not None:
            _ptrace(_POKEUSER, thread, _ORIG_RAX, -1)  # no such call: the kernel does nothing
        self._inside[thread] = None if decision == KILL else decision

    def _read_call(self, thread):
        info = _Info()
        if _ptrace(_GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.addressof(info), gone=True) <= 0:
            return None
        found = _BY_NUMBER.get(info.number)
        if found is None:
            return None
        name, files = found
        arguments = tuple(info.arguments)
        for index, kind in files.items():
            path = self._path(thread, arguments, index, kind)
            if path is not None and (path == self._folder or path.startswith(self._folder + "/")):
                return Call(name, path, arguments, thread)
        return None

    def _path(self, thread, arguments, index, kind):
        try:
            if kind == FD:
                return str(Path(f"/proc/{thread}/fd/{ctypes.c_int32(arguments[index]).value}").readlink())
            text = self._text(thread, arguments[index + (kind == AT)])
            if Path(text).is_absolute():
                return os.path.normpath(text)
            start = ctypes.c_int32(arguments[index]).value if kind == AT else -100
            link = f"/proc/{thread}/cwd" if start == -100 else f"/proc/{thread}/fd/{start}"
            return os.path.normpath(Path(link).readlink() / text)
        except OSError:
            return None

    def _text(self, thread, address):
        if address == 0:
            return ""
        with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            data = b""
            while b"\0" not in data:
                data += memory.read(min(256, 4096 - (address + len(data)) % 4096))
        return os.fsdecode(data[: data.index(b"\0")])


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def _ptrace(request, thread, address, data, *, gone=False):
    """Call ptrace; with `gone`, a thread that has just been killed is no error."""
    result = _libc.ptrace(request, thread, address, data)
    if result == -1 and not (gone and ctypes.get_errno() == errno.ESRCH):
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace request {request}: {os.strerror(number)}")
    return result


def why_not(*, faults=False):
    """Return why processes cannot be watched here, or None if they can.

    Args:
        faults: Whether calls are to fail.
    """
    if platform.system() != "Linux" or _MACHINE not in {"x86_64", "aarch64"}:
        return f"system calls are watched on Linux, x86-64 and aarch64; this is {platform.system()} {_MACHINE}"
    if faults and not FAULTS:
        return f"system calls are made to fail on x86-64; this is {_MACHINE}"
    seen = []
    try:
        code = run_watched(lambda: Path("/").stat() and 0, "/", seen.append)
    except OSError as error:
        return f"this process may not trace its children: {error}"
    return None if code == 0 and seen else f"tracing does not work here: code {code}, {len(seen)} calls seen"
