"""What is told of every row of the log while a run trains: a logger, a live view. It cannot change a number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from downslope.training.run.task import Task


class Observer(Protocol):
    """Is told of a run as it goes on."""

    def begin(self, task: Task, folder: Path, step: int) -> None:
        """Be told that training is about to begin.

        Args:
            task: What is trained.
            folder: The run folder.
            step: Updates done already: above 0 in a run that is resumed. Rows of later steps may have been told before.
        """
        ...

    def row(self, kind: str, step: int, fields: Mapping[str, Any]) -> None:
        """Be told of a row of the log.

        Args:
            kind: "step", "evaluation", "skip", "plateau", "stop", ...
            step: The step, 0-based.
            fields: The rest of the row: plain numbers and words by name.
        """
        ...

    def saved(self, step: int) -> None:
        """Be told that a checkpoint is on the disk: no row before it will be taken back.

        Args:
            step: Updates that it holds.
        """
        ...

    def end(self, *, finished: bool) -> None:
        """Be told that training has ended, whatever happened.

        Args:
            finished: Whether no step is left to do.
        """
        ...
