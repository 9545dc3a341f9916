"""The few file operations that everything durable goes through, so that a crash at any moment loses nothing.

A file is written to a temporary name beside it, synced, renamed, and its folder synced. No name is followed where it is
a symbolic link: a link is removed or replaced itself, and nothing is read, written or cut through it. Only the folder
that a file lies in may be reached by one. Tests put a counting and crashing object in the place of `os` here; hence
only plain `os` calls.
"""

# ruff: noqa: PTH102, PTH105, PTH106, PTH108, PTH208 -- each operation must go through `os`, where tests can crash it

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from downslope.core.errors import CheckpointError
from downslope.core.files import NO_FOLLOW, NO_WAIT, kind_of, open_regular, read_regular
from downslope.core.posix import fcntl
from downslope.core.shown import shown

_PARTIAL = ".partial"

ANOTHER = "Choose another folder"
"""What to do where nobody knows by which option."""

_REASONS = {
    errno.ENOENT: "there is no such folder, or it takes no files. {another}",
    errno.ENOSPC: "the disk is full. Free some space and start again; nothing that was saved before is lost",
    errno.EDQUOT: "your disk quota is used up. Free some space and start again; nothing saved before is lost",
    errno.EROFS: "the file system is read-only. {another}",
    errno.EACCES: "permission denied. {another}, or change its permissions",
    errno.EPERM: "permission denied. {another}, or change its permissions",
    errno.EIO: "the disk reports an input/output error. See to the disk, and start again; nothing saved before is lost",
    errno.ESTALE: "the file server no longer knows it. Start again when the file system is back",
    errno.EFBIG: "the file would be larger than allowed, by `ulimit -f` or the file system. Raise the limit",
    errno.ELOOP: "its path is a loop of symbolic links. {another}",
    errno.EISDIR: "a folder is in the way. Move it away, and start again",
    errno.ENAMETOOLONG: "its name is too long. Choose a shorter one",
    errno.ENOLCK: "this file system cannot lock files. {another}",
    errno.ENOTDIR: "a part of the path is a file, not a folder. {another}",
    errno.EEXIST: "a file, or a symbolic link that leads nowhere, is in the way. {another}",
}

_READING = frozenset({"read", "look at"})
_DENIED = frozenset({errno.EACCES, errno.EPERM})

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What systems answer where a name cannot stand for anything."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW | getattr(os, "O_BINARY", 0)
_LONGEST = 4096
"""Characters of a path that are shown: all of any that a system knows."""

_NO_SUCH_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
"""What file systems answer (some of networks, some in user space) on which a folder cannot be synced, nor need be."""


class StorageError(CheckpointError):
    """The disk refused: full, read-only, not permitted, or gone.

    Args:
        message: What there is to say.
        refused: What was to be done, to what, and the system's answer, where there is one: the message is `refusal`'s.
    """

    exit_code = 1

    def __init__(self, message: str, refused: tuple[str, Path, OSError] | None = None) -> None:
        """Take what there is to say, and what it is said of."""
        super().__init__(message)
        self.refused = refused


def refusal(verb: str, path: Path, error: OSError, another: str = ANOTHER) -> str:
    """Return what to say of something that a system refused, and what to do.

    Args:
        verb: What was to be done: "write", "read", ...
        path: To what.
        error: The system's answer.
        another: How to have it done elsewhere, a sentence without its full stop.

    Example:
        >>> refusal("write", Path("a.csv"), OSError(errno.EROFS, ""), "Choose another folder with --output")
        'cannot write a.csv: the file system is read-only. Choose another folder with --output.'
        >>> refusal("read", Path("a.csv"), OSError(errno.EACCES, ""))
        'cannot read a.csv: permission denied. Change its permissions.'
    """
    number = error.errno or 0
    if number == errno.ELOOP and os.path.islink(path):  # noqa: PTH114
        reason = "it is a symbolic link, and nothing is written through one. Put the file itself there"
    elif verb in _READING and number in _DENIED:
        reason = "permission denied. Change its permissions"
    elif number in _REASONS and not (verb in _READING and number == errno.ENOENT):
        reason = _REASONS[number].format(another=another)
    else:
        reason = f"{error.strerror or error}"
    return f"cannot {verb} {shown(path, _LONGEST)}: {reason}."


def read_file(path: Path, *, limit: int | None = None) -> bytes:
    """Return the content of a regular file.

    Args:
        path: The file.
        limit: The most bytes it may have; None where it is only as large as what a run has written.

    Raises:
        FileNotFoundError: If there is none.
        StorageError: If it cannot be read.
        CheckpointError: If it is a symbolic link, a folder or a device, or larger than `limit`.
    """
    try:
        with explained("read", path):
            if limit is not None:
                return read_regular(path, CheckpointError, limit=limit, follow=False)
            with open_regular(path, CheckpointError, follow=False) as file:
                return file.read()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise


def mode_of(path: Path) -> int | None:
    """Return the mode of what a name stands for, of a link its own; None if there is no such name.

    Raises:
        StorageError: If that cannot be found out.
    """
    with explained("look at", path):
        try:
            return os.lstat(path).st_mode
        except ValueError:  # a NUL in it
            return None
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            return None


def refuse_link(path: Path) -> None:
    """Raise if a name is a symbolic link, or no folder, where a folder is to be written into; an absent one passes.

    Raises:
        StorageError: With what it is.
    """
    mode = mode_of(path)
    if mode is not None and not stat.S_ISDIR(mode):
        raise StorageError(
            f"cannot write in {shown(path, _LONGEST)}: it is {kind_of(mode)}. Put the folder itself there."
        )


def is_file(path: Path) -> bool:
    """Return whether a name stands for a regular file, and for no link to one."""
    mode = mode_of(path)
    return mode is not None and stat.S_ISREG(mode)


def write_file(path: Path, data: bytes, *, sync_folder: bool = True) -> None:
    """Write a whole file, so that a crash leaves either all of it or what was there before.

    Args:
        path: The file; replaced if it exists, and if it is a link, the link itself.
        data: Its content.
        sync_folder: Whether to sync the folder too, without which the name itself may be lost; False where the caller
            syncs the folder once for several files.

    Raises:
        StorageError: If it cannot be written.
    """
    # The content must be on the disk before the name leads to it: a rename that is written down before the bytes are
    # would leave, after a power failure, a file of the right name that is empty. The folder is synced last, since the
    # rename itself is a change of the folder.
    partial = path.parent / f".{path.name}{_PARTIAL}"
    with explained("write", path):
        try:
            descriptor = _create(partial)
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(partial, path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)  # what a full disk left behind
            raise
    if sync_folder:
        fsync_folder(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write, bit by bit, what is to stand in another; it takes its place once all of it is written.

    Raises:
        StorageError: If it cannot be written. Then, and if anything else is raised, what was there before remains.
    """
    partial = path.parent / f".{path.name}{_PARTIAL}"
    with explained("write", path):
        descriptor = _create(partial)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
    fsync_folder(path.parent)


def _create(partial: Path) -> int:
    """Open a new file for writing; what a crash left under its name goes first, of a link the link itself."""
    try:
        return os.open(partial, _NEW, 0o666)
    except FileExistsError:
        os.unlink(partial)
        return os.open(partial, _NEW, 0o666)


def open_for_append(path: Path) -> int:
    """Return a file descriptor that writes at the end of a regular file, created if needed.

    Raises:
        StorageError: If it cannot be opened, or is something else.
    """
    with explained("write", path):
        is_new = not os.path.lexists(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_FOLLOW | NO_WAIT, 0o666)
        _check_regular(descriptor, path)
    if is_new:  # syncing the content alone does not keep the name
        fsync_folder(path.parent)
    return descriptor


def _check_regular(descriptor: int, path: Path) -> os.stat_result:
    """Return the status of an open file; close it and raise unless it is a regular one."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise StorageError(f"cannot write {shown(path, _LONGEST)}: it is {kind_of(status.st_mode)}. Move it away.")
    return status


def append(descriptor: int, data: bytes, path: Path, *, sync: bool) -> None:
    """Write at the end of a file.

    Raises:
        StorageError: If it cannot be written.
    """
    with explained("write", path):
        _write_all(descriptor, data)
        if sync:
            os.fsync(descriptor)


def cut_file(path: Path, length: int) -> None:
    """Leave the first `length` bytes of a file; an absent one, or one that has no more, stays as it is.

    A file that has other names besides (hard links: of a copy made by `cp -al`, of a backup) is replaced by a copy, so
    that what is cut or written later is not cut and written under the other names too.

    Raises:
        StorageError: If it cannot be cut.
    """
    with explained("write", path):
        if not os.path.lexists(path):
            return
        descriptor = os.open(path, os.O_RDWR | NO_FOLLOW | NO_WAIT)
        status = _check_regular(descriptor, path)
        try:
            if status.st_nlink == 1 and status.st_size > length:
                os.ftruncate(descriptor, length)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    if status.st_nlink > 1:
        write_file(path, read_file(path)[:length])


def make_folder(path: Path) -> None:
    """Create a folder, and those it lies in, durably; one that exists is left as it is.

    Raises:
        StorageError: If it cannot be created.
    """
    with explained("create", path):
        if path.is_dir():
            return
        if not path.parent.is_dir():
            make_folder(path.parent)
        try:
            os.mkdir(path)
        except FileExistsError:
            if not path.is_dir():  # else another process, which begins at the same moment, was sooner
                raise
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: what was created, renamed or removed in it.

    Raises:
        StorageError: If the folder cannot be synced.
    """
    if fcntl is None:  # Windows opens no folder, and keeps names by itself
        return
    with explained("sync", path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_SUCH_SYNC:
                raise
        finally:
            os.close(descriptor)


def remove_file(path: Path) -> None:
    """Remove a file durably, if it exists; of a link, the link itself.

    Raises:
        StorageError: If it cannot be removed.
    """
    with explained("remove", path):
        if not os.path.lexists(path):
            return
        os.unlink(path)
    fsync_folder(path.parent)


def remove_folder(path: Path, first: str, is_ours: Callable[[str], bool]) -> list[str]:
    """Remove what is ours in a folder, starting with the file without which the others mean nothing, then the folder.

    What is not ours stays, and the folder with it: a file server's `@eaDir`, somebody's notes, a folder within. Where
    the path is a symbolic link, only the link is removed.

    Args:
        path: The folder; may be absent.
        first: Name of the file of ours that goes first, its removal synced before any other's.
        is_ours: Whether a name is that of a file of ours.

    Returns:
        The names that stay, if anything of ours lay beside them.

    Raises:
        StorageError: If something of ours cannot be removed.
    """
    mode = mode_of(path)
    if mode is None:
        return []
    if stat.S_ISLNK(mode):
        remove_file(path)
        return []
    if not stat.S_ISDIR(mode):
        return []
    with explained("remove", path):
        there = os.listdir(path)
        ours = {name for name in there if is_ours(name) and not is_folder(path / name)}
        # Without the manifest the rest is no checkpoint. Were it to go last, a crash in between would leave a manifest
        # that vouches for files which are gone.
        if first in ours:
            remove_file(path / first)
        for name in sorted(ours - {first}):
            os.unlink(path / name)
        kept = sorted(set(there) - ours)
        if not kept:
            try:
                os.rmdir(path)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                kept = sorted(os.listdir(path))  # it came just now, such as .nfs... for a file that is open elsewhere
    fsync_folder(path if kept else path.parent)
    return kept if ours else []


def is_folder(path: Path) -> bool:
    """Return whether a name stands for a folder, and for no link to one."""
    mode = mode_of(path)
    return mode is not None and stat.S_ISDIR(mode)


def remove_partial_files(folder: Path, is_ours: Callable[[str], bool]) -> None:
    """Remove what a crash left half written directly in a folder.

    Raises:
        StorageError: If one cannot be removed.
    """
    with explained("remove files in", folder):
        for name in sorted(os.listdir(folder)):
            if is_ours(whole_name(name) or "") and not is_folder(folder / name):
                os.unlink(folder / name)


def whole_name(name: str) -> str | None:
    """Return the name under which a half-written file is to be put, or None if the name is not that of one.

    Example:
        >>> whole_name(".recipe.toml.partial"), whole_name("recipe.toml")
        ('recipe.toml', None)
    """
    return name[1 : -len(_PARTIAL)] if name.startswith(".") and name.endswith(_PARTIAL) else None


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:  # a write may take only part of it
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def explained(verb: str, path: Path) -> Iterator[None]:
    """Within its ``with`` block, an error of the operating system becomes a `StorageError` that says what to do.

    Args:
        verb: What is done: "write", "read", ...
        path: To what.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(refusal(verb, path, error), (verb, path, error)) from error
