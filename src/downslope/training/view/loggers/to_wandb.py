"""Weights & Biases: a run of a project; WANDB_MODE=offline keeps it on this machine, for ``wandb sync``.

A run is continued by its id. A step is sent once and whole; its service leaves out what comes for a step that is past.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from downslope.training.view.loggers.logger import RunInfo, Scalars, merged


class _WandB:
    def __init__(self, info: RunInfo) -> None:
        import wandb  # pyright: ignore[reportMissingImports] -- installed by those who want it

        self._run: Any = wandb.init(
            project=info.project,
            name=info.name,
            id=info.known.get("id"),
            resume="allow",
            config=dict(info.settings),
            dir=str(info.folder),
            settings=wandb.Settings(silent=True),
        )
        self._position = info.sent if self._run.offline else int(self._run.step)

    def identity(self) -> dict[str, str]:
        """Return the run's id."""
        return {"id": self._run.id}

    def position(self) -> int:
        """Return how far the service has the run; offline, how far we had written it."""
        return self._position

    def send(self, rows: Sequence[tuple[int, Scalars]]) -> None:
        """Log each step whole."""
        for step, scalars in merged(rows):
            self._run.log(scalars, step=step, commit=True)

    def close(self, *, finished: bool) -> None:
        """Finish the run; one that was stopped is marked so."""
        self._run.finish(exit_code=0 if finished else 1)


def open_logger(info: RunInfo) -> _WandB:
    """Return the logger of a run."""
    return _WandB(info)
