"""What only Linux and macOS have, such as locks of files and forks: whatever needs it asks here."""

from __future__ import annotations

from typing import Any

from downslope.core.errors import MissingSystemError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def need_posix(what: str) -> None:
    """Raise where the system is neither Linux nor macOS.

    Args:
        what: What is asked for: "training", "a run by several workers".

    Raises:
        MissingSystemError: With what works all the same.
    """
    if fcntl is None:
        raise MissingSystemError(
            f"{what} needs Linux or macOS: it relies on file locks, signals and processes as POSIX has them. On "
            "Windows, install Downslope in WSL. The optimizers, and read, explain, export, compare, convert, recipes "
            "and schema, work here as well."
        )


def locks() -> Any:
    """Return the module of file locks.

    Raises:
        MissingSystemError: If the system has none.
    """
    need_posix("a lock of a file")
    return fcntl
