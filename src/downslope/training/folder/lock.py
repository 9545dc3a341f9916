"""The lock of a run folder, which keeps two processes apart: taking it, and seeing from outside who has it.

It is a regular file of the folder's own, never a link to another: what holds it writes its number into it. What a
process does once it has the folder is in `run_folder.py`; whether the lock is still the file it was, in `guard.py`.
"""

from __future__ import annotations

import os
import platform
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from downslope.core.errors import CheckpointError
from downslope.core.files import NO_FOLLOW, NO_WAIT, kind_of, read_regular
from downslope.core.posix import fcntl, need_posix
from downslope.core.shown import shown
from downslope.training.folder import durable
from downslope.training.folder.guard import identify
from downslope.training.folder.names import ANEW, LOCK

_HOLDER = re.compile(r"process ([0-9]{1,10}) on ([^\s]{1,255})")
_LONGEST = 1000


@dataclass(frozen=True)
class Holder:
    """The process that trains in a run folder.

    Attributes:
        process: Its number.
        host: Its machine.
        elsewhere: Whether that is another machine, so that nobody here can know whether it still lives.
    """

    process: int
    host: str
    elsewhere: bool

    def __str__(self) -> str:
        """Return it as the lock has it."""
        return f"process {self.process} on {self.host}"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within its ``with`` block, no other process can train in a run folder.

    Raises:
        CheckpointError: If another process does.
    """
    need_posix("training")
    path = folder / LOCK
    descriptor = _open(path)
    try:
        _take(descriptor, folder)
        held = os.fstat(descriptor)
        if identify(path, follow=False) != (held.st_dev, held.st_ino):
            raise CheckpointError(f"{path}: was removed or replaced just now by another process. Start again.")
        if held.st_nlink > 1:  # what has another name too is not ours to write over
            new = _exchange(path)
            os.close(descriptor)
            descriptor = new
        _sign(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    with durable.explained("write", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW | NO_WAIT, 0o666)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise CheckpointError(f"{path}: is {kind_of(mode)}, not a regular file. Remove it.")
    return descriptor


def _take(descriptor: int, folder: Path) -> None:
    with durable.explained("lock", folder / LOCK):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip()
            who = f", {shown(holder)}" if holder else ""
            raise CheckpointError(
                f"{folder}: another process is training there{who}. Wait for it, or {ANEW}."
            ) from None


def _exchange(path: Path) -> int:
    """Put a lock of our own, and taken, in the place of one that is held; return its descriptor.

    A process that has the old one open and takes it later finds that it is no longer the file of that name.
    """
    partial = path.parent / f".{LOCK}.partial"
    with durable.explained("write", path):
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.replace(path)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _sign(descriptor: int, path: Path) -> None:
    """Write who holds the lock, for the person who meets it; what holds the folder is the lock alone."""
    with durable.explained("write", path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)


def holder_of(folder: Path) -> Holder | None:
    """Return who trains in a run folder, or None if nobody does; the lock is only looked at, never taken.

    To try the lock would be to have it for a moment, in which a run that begins would be refused.
    """
    path = folder / LOCK
    for wait in (0.02, 0.0):  # a process that has just taken it is about to write its name
        try:
            written = read_regular(path, CheckpointError, limit=_LONGEST, follow=False).decode(errors="replace").strip()
        except (OSError, CheckpointError):
            return None
        if written:
            break
        time.sleep(wait)
    named = _HOLDER.fullmatch(written)
    if named is None:
        return None
    holder = Holder(int(named[1]), named[2], elsewhere=named[2] != platform.node())
    if holder.elsewhere:
        return holder
    # Without locks no run can be here, and to ask after a process would end it.
    return holder if fcntl is not None and _has_open(holder.process, path) else None


def _has_open(process: int, path: Path) -> bool:
    """Return whether a process lives and has a file open; where that is not to be seen, whether it lives."""
    try:
        os.kill(process, 0)
    except PermissionError:
        pass  # somebody else's
    except (ProcessLookupError, OverflowError):
        return False
    place = Path("/proc") / str(process)
    if not place.is_dir():  # macOS
        return True
    try:
        state = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
        if state in {"Z", "X"}:  # killed, though its parent has not been told yet
            return False
        files = list((place / "fd").iterdir())
        lock = path.lstat()
    except FileNotFoundError:
        return False
    except (OSError, IndexError):
        return True
    return any(_is_same(file, lock) for file in files)


def _is_same(path: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), file)
    except OSError:  # closed just now
        return False
