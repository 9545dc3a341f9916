"""Loggers: the rows of a run's log, sent to the tools that people watch their runs with.

A logger's package is imported only where it is asked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from downslope.core.errors import MissingDependencyError

__all__ = ["LOGGERS", "Row", "check_installed"]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        module: The module whose `open_logger` returns the logger.
        needs: The module that must be installed, and what pip calls its package.
    """

    module: str
    needs: tuple[str, str]


LOGGERS = {
    "tensorboard": Row("downslope.training.view.loggers.to_tensorboard", ("tensorboard", "tensorboard")),
    "wandb": Row("downslope.training.view.loggers.to_wandb", ("wandb", "wandb")),
    "mlflow": Row("downslope.training.view.loggers.to_mlflow", ("mlflow", "mlflow")),
    "trackio": Row("downslope.training.view.loggers.to_trackio", ("trackio", "trackio")),
}
"""Name in the recipe -> the logger."""


def check_installed(names: Sequence[str]) -> None:
    """Raise unless the packages of all these loggers are installed; nothing is imported.

    Raises:
        MissingDependencyError: With what to install.
    """
    for name in names:
        module, package = LOGGERS[name].needs
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(
                f"log.to: `{name}` needs {package}, which is not installed. Run: pip install {package}, or leave "
                f"`{name}` out."
            )
