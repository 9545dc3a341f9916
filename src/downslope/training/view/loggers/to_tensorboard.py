"""TensorBoard: event files in the run folder's `tensorboard`, for ``tensorboard --logdir runs``.

Each process writes a file of its own. Its first event tells readers to drop what earlier files have from that step on,
so that a step which was written and then done again is there once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

from downslope.training.folder import run_folder
from downslope.training.view.loggers.logger import RunInfo, Scalars


class _TensorBoard:
    def __init__(self, info: RunInfo) -> None:
        # Where TensorFlow is installed, tensorboard loads it, for seconds and with many lines, unless it finds this
        # module; its own writer of files is all that is needed.
        sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
        from torch.utils.tensorboard import SummaryWriter

        self._sent = info.sent
        again = info.known or info.sent
        self._writer = SummaryWriter(str(info.folder / run_folder.TENSORBOARD), purge_step=info.sent if again else None)
        if not again:
            self._writer.add_text("recipe", "".join(f"    {line}\n" for line in info.recipe.splitlines()))
        self._writer.flush()

    def identity(self) -> dict[str, str]:
        """Return that there are files."""
        return {"folder": run_folder.TENSORBOARD}

    def position(self) -> int:
        """Return where the earlier files are cut."""
        return self._sent

    def send(self, rows: Sequence[tuple[int, Scalars]]) -> None:
        """Write the rows and flush the file."""
        for step, scalars in rows:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Close the file."""
        self._writer.close()


def open_logger(info: RunInfo) -> _TensorBoard:
    """Return the logger of a run."""
    return _TensorBoard(info)
