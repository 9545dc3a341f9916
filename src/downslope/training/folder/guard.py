"""Whether a run folder is still the one that training began in: neither removed nor replaced by other hands.

On most systems an open file can be written to after its name is gone. Without this, a run whose folder was removed
would train on and save into nothing, and one whose lock was removed might not be alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from downslope.training.folder import durable
from downslope.training.folder.durable import StorageError

Identity = tuple[int, int] | None
"""Device and inode of a file, or None where there is none."""


class Guard:
    """Knows what a folder and files in it were when it was made.

    Args:
        folder: The run folder.
        kept: Names of files that stay open while training goes on, each of which must stay what it is.
        needed: Names of files that must only be there.
    """

    def __init__(self, folder: Path, kept: Sequence[str], needed: Sequence[str]) -> None:
        """Note what is there, all of which must be."""
        self._folder, self._needed = folder, needed
        self._before = {
            path: identify(path, follow=path == folder) for path in (folder, *(folder / name for name in kept))
        }
        for path, before in self._before.items():
            if before is None:
                self._complain(path, "removed or moved")

    def check(self) -> None:
        """Raise if something was removed or replaced.

        Raises:
            StorageError: With what it is, and what to do.
        """
        for path, before in self._before.items():
            now = identify(path, follow=path == self._folder)
            if now != before:
                self._complain(path, "removed or moved" if now is None else "replaced")
        for name in self._needed:
            if identify(self._folder / name, follow=False) is None:
                self._complain(self._folder / name, "removed or moved")

    def _complain(self, path: Path, done: str) -> None:
        if path == self._folder:
            raise StorageError(
                f"{path}: was {done} while training went on, and what it held cannot be added to any more. Start "
                "again; if it was only moved, go on with: downslope resume, and where it is now."
            )
        raise StorageError(
            f"{path}: was {done} while training went on, and nothing was saved since. Put it back if you can; then go "
            f"on with: downslope resume {shlex.quote(str(self._folder))}"
        )


def identify(path: Path, *, follow: bool = True) -> Identity:
    """Return what a path leads to, or None if it leads nowhere.

    Args:
        path: The path.
        follow: Whether a symbolic link stands for what it leads to, as a run folder's may, or for itself.

    Raises:
        StorageError: If that cannot be found out.
    """
    try:
        with durable.explained("look at", path):
            found = path.stat() if follow else path.lstat()
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            return None
        raise
    return found.st_dev, found.st_ino
