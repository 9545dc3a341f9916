"""Opening a file that somebody else named: regular files only, and never more of one than was allowed for.

A FIFO blocks until somebody writes to it, a device such as /dev/zero never ends, and a link inside a folder of ours may
lead anywhere. So every file that is read goes through here: it is opened without blocking, looked at through its
descriptor (so that it cannot be exchanged in between), and its size is known before memory is taken.
"""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

from downslope.core.errors import DownslopeError
from downslope.core.shown import shown

MIB = 2**20

# Windows lacks all but the last, and what they are for: no FIFO lies in a folder there, no descriptor is inherited. The
# last is its own, without which some bytes of a file would be taken for line endings.
NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
_READ = os.O_RDONLY | NO_WAIT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO (a named pipe)"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a symbolic link"),
)


def kind_of(mode: int) -> str:
    """Return what a file of a mode is, in words: "a regular file", "a folder", "a symbolic link", ...

    Example:
        >>> kind_of(os.lstat(os.curdir).st_mode)
        'a folder'
    """
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "a regular file")


def open_regular(
    path: str | os.PathLike[str], error: type[DownslopeError] = DownslopeError, *, follow: bool = True
) -> BinaryIO:
    """Return a regular file, opened for reading.

    A symbolic link may lead to it unless `follow` is False, as within folders of our own.

    Raises:
        DownslopeError: If it is a folder, FIFO, device or socket, or a link that must not be followed; of the type
            `error`. It is never waited for.
        OSError: If it cannot be opened: absent, not permitted.
    """
    if not follow and os.path.islink(path):  # noqa: PTH114  # the same for str, bytes and Path
        raise error(f"{shown(path)}: is a symbolic link, which is not followed here. Put the file itself there.")
    try:
        descriptor = os.open(path, _READ if follow else _READ | NO_FOLLOW)
    except OSError:
        refuse_irregular(path, error)  # a socket cannot even be opened
        raise
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise error(_message(path, mode))


def refuse_irregular(path: str | os.PathLike[str], error: type[DownslopeError] = DownslopeError) -> None:
    """Raise where a path leads to something that is no regular file; an absent one passes.

    For a library that must open the file by its name itself.

    Raises:
        DownslopeError: If it is a folder, FIFO, device or socket; of the type `error`.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  # the same for str, bytes and Path
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise error(_message(path, mode))


def read_regular(
    path: str | os.PathLike[str],
    error: type[DownslopeError] = DownslopeError,
    *,
    limit: int,
    follow: bool = True,
) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises:
        DownslopeError: As in `open_regular`, or if it is larger than `limit`.
        OSError: If it cannot be opened or read.

    Example:
        >>> read_regular(os.devnull, limit=MIB)
        Traceback (most recent call last):
            ...
        downslope.core.errors.DownslopeError: /dev/null: is a device, not a regular file.
    """
    with open_regular(path, error, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(limit + 1) if size <= limit else b""  # files of /proc say 0, and a file may grow meanwhile
    if size > limit or len(data) > limit:
        raise error(
            f"{shown(path)}: has {max(size, len(data)):,} bytes or more; at most {limit:,} are read. "
            "Is it the file that you mean?"
        )
    return data


def read_text(
    path: str | os.PathLike[str],
    error: type[DownslopeError] = DownslopeError,
    *,
    limit: int = 16 * MIB,
    follow: bool = True,
) -> str:
    """Return the text of a regular file in UTF-8, with or without the mark that some editors write before it.

    Raises:
        DownslopeError: As in `read_regular`.
        OSError: If it cannot be opened or read.
        UnicodeDecodeError: If it is not in UTF-8; a ValueError.
    """
    return read_regular(path, error, limit=limit, follow=follow).decode("utf-8-sig").replace("\r\n", "\n")


def why_closed(path: str | os.PathLike[str]) -> str | None:
    """Return why a folder cannot be looked into, or a regular file not be read: "Permission denied"; None if it can.

    What is there behind it nobody knows then, so that nothing may be said to be missing.

    Example:
        >>> why_closed(os.curdir) is None, why_closed("no such folder")
        (True, 'No such file or directory')
    """
    try:
        if os.path.isdir(path):  # noqa: PTH112  # the same for str, bytes and Path
            with os.scandir(path) as entries:
                next(entries, None)
            os.lstat(os.path.join(os.fspath(path), os.curdir))  # noqa: PTH118  # listing is one right, going in another
        else:
            open_regular(path).close()
    except DownslopeError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None


def _message(path: str | os.PathLike[str], mode: int) -> str:
    return f"{shown(path)}: is {kind_of(mode)}, not a regular file."
