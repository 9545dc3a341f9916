"""Work in processes forked of one that has torch in memory, for the children of tests. No test lives here."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable


def all_succeed(works: Iterable[Callable[[], object]]) -> bool:
    """Let each work in a process of its own, all at once; return whether none failed."""
    processes = [_fork(work) for work in works]
    statuses = [os.waitpid(process, 0)[1] for process in processes]  # of all, whichever fails
    return not any(statuses)


def _fork(work: Callable[[], object]) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001  a forked process must never return into its parent's code
        traceback.print_exc()
    finally:
        os._exit(code)
