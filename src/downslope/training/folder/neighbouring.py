"""A part of a run folder given where a run or one checkpoint is wanted: what was given, and the run that it lies in.

A run folder holds a folder of checkpoints, each a folder again, so that one level too many or too few is an ordinary
slip. The message names the run, and never guesses which checkpoint was meant. Loads no framework.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from downslope.core.files import kind_of
from downslope.core.shown import shown
from downslope.training.folder.names import CHECKPOINTS, RECIPE

_LEVELS = 3
"""How far above a path a run is looked for: a file in a checkpoint lies three levels within its run."""


def run_around(path: Path) -> Path | None:
    """Return the run folder in which a path lies, as it was written where that shows it; None if there is none.

    Args:
        path: A path that leads to something or nothing.
    """
    for way in (path, Path(os.path.abspath(path))):  # noqa: PTH100  # follows no link
        for folder in list(way.parents)[:_LEVELS]:
            if holds_run(folder):
                return folder
    return None


def describe_no_checkpoint(path: Path) -> str:
    """Return what a path is that was given as a checkpoint and is none: "is ..., not ..." and a full stop.

    Args:
        path: Something that is there.
    """
    run = run_around(path)
    if holds_run(path):
        return "is a run folder, not one checkpoint."
    if not path.is_dir():
        return f"is {kind_of(path.stat().st_mode)}, not the folder of a checkpoint."
    if run is not None and path.resolve() == (run / CHECKPOINTS).resolve():
        return f"is the folder of all checkpoints of the run {shown(run)}, not one of them."
    return "is a folder, but neither a run folder nor a checkpoint."


def holds_run(folder: Path) -> bool:
    """Return whether a run was begun in a folder, as far as can be told from outside; a link there is refused later."""
    try:
        mode = os.lstat(folder / RECIPE).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
