"""The few file operations that everything durable goes through, so that a crash at any moment loses nothing.

A file is written to a temporary name beside it, synced, renamed, and its folder synced. What lives here: those
operations and the message for a full or read-only disk. What does not: what is written. Tests put a counting and
crashing object in the place of `os` here; hence only plain `os` calls.
"""

# ruff: noqa: PTH102, PTH105, PTH106, PTH108, PTH208 -- each operation must go through `os`, where tests can crash it

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from downslope.core.errors import CheckpointError

_PARTIAL = ".partial"

_REASONS = {
    errno.ENOSPC: "the disk is full. Free some space and start again; nothing that was saved before is lost",
    errno.EDQUOT: "your disk quota is used up. Free some space and start again; nothing saved before is lost",
    errno.EROFS: "the file system is read-only. Choose another folder with --out",
    errno.EACCES: "permission denied. Choose another folder with --out, or change its permissions",
    errno.EPERM: "permission denied. Choose another folder with --out, or change its permissions",
    errno.EIO: "the disk reports an input/output error. See to the disk, and start again; nothing saved before is lost",
    errno.ESTALE: "the file server no longer knows it. Start again when the file system is back",
    errno.EFBIG: "the file would be larger than allowed, by `ulimit -f` or the file system. Raise the limit",
    errno.ELOOP: "its path is a loop of symbolic links. Choose another folder with --out",
    errno.ENAMETOOLONG: "its name is too long. Choose a shorter one with --out",
    errno.ENOLCK: "this file system cannot lock files. Choose another folder with --out",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another folder with --out",
    errno.EEXIST: "a file, or a symbolic link that leads nowhere, is in the way. Choose another folder with --out",
}


_NO_SUCH_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
"""What file systems answer (some of networks, some in user space) on which a folder cannot be synced, nor need be."""


class StorageError(CheckpointError):
    """The disk refused: full, read-only, not permitted, or gone."""

    exit_code = 1


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        FileNotFoundError: If there is none.
        StorageError: If it cannot be read.
    """
    try:
        with explained("read", path):
            return path.read_bytes()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise error.__cause__ from None
        raise


def write_file(path: Path, data: bytes, *, sync_folder: bool = True) -> None:
    """Write a whole file, so that a crash leaves either all of it or what was there before.

    Args:
        path: The file; replaced if it exists.
        data: Its content.
        sync_folder: Whether to sync the folder too, without which the name itself may be lost; False where the caller
            syncs the folder once for several files.

    Raises:
        StorageError: If it cannot be written.
    """
    partial = path.parent / f".{path.name}{_PARTIAL}"
    with explained("write", path):
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)  # what a full disk left behind
            raise
    if sync_folder:
        fsync_folder(path.parent)


def open_for_append(path: Path) -> int:
    """Return a file descriptor that writes at the end of a file, created if needed.

    Raises:
        StorageError: If it cannot be opened.
    """
    with explained("write", path):
        is_new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    if is_new:  # syncing the content alone does not keep the name
        fsync_folder(path.parent)
    return descriptor


def append(descriptor: int, data: bytes, path: Path, *, sync: bool) -> None:
    """Write at the end of a file.

    Args:
        descriptor: From `open_for_append`.
        data: What to write.
        path: The file, for messages.
        sync: Whether all of the file must be on the disk on return.

    Raises:
        StorageError: If it cannot be written.
    """
    with explained("write", path):
        _write_all(descriptor, data)
        if sync:
            os.fsync(descriptor)


def cut_file(path: Path, length: int) -> None:
    """Cut a file back to its first `length` bytes.

    Raises:
        StorageError: If it cannot be cut.
    """
    with explained("write", path):
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, length)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
        os.mkdir(path)
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Make the names in a folder durable: what was created, renamed or removed in it.

    Raises:
        StorageError: If the folder cannot be synced.
    """
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
    """Remove a file durably, if it exists.

    Raises:
        StorageError: If it cannot be removed.
    """
    with explained("remove", path):
        if not path.exists():
            return
        os.unlink(path)
    fsync_folder(path.parent)


def remove_folder(path: Path, first: str) -> None:
    """Remove a folder of files, starting with the file without which the others mean nothing.

    Args:
        path: The folder; may be absent.
        first: Name of the file that goes first, its removal synced before any other's.

    Raises:
        StorageError: If it cannot be removed.
    """
    if not path.exists():
        return
    remove_file(path / first)
    with explained("remove", path):
        for name in sorted(os.listdir(path)):
            os.unlink(path / name)
        os.rmdir(path)
    fsync_folder(path.parent)


def remove_partial_files(folder: Path) -> None:
    """Remove what a crash left half written directly in a folder.

    Raises:
        StorageError: If one cannot be removed.
    """
    with explained("remove files in", folder):
        for name in sorted(os.listdir(folder)):
            if is_partial(name):
                os.unlink(folder / name)


def is_partial(name: str) -> bool:
    """Return whether a file name is one under which files are written before they are renamed."""
    return name.startswith(".") and name.endswith(_PARTIAL)


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
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}")
        raise StorageError(f"cannot {verb} {path}: {reason}.") from error
