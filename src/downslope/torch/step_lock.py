"""Locks by which a second thread's step waits for the first one's, and which a forked process finds open.

A fork copies a lock as it is, but not the thread that holds it: nobody would ever open it in the child.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_all: weakref.WeakSet[Any] = weakref.WeakSet()


def new_lock() -> Any:
    """Return a lock that a thread may take again while it has it."""
    lock = threading.RLock()
    _all.add(lock)
    return lock


def _open_all() -> None:
    for lock in list(_all):
        lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_open_all)
