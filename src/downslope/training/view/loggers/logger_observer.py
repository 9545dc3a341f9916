"""The observer behind all loggers: it hands them the rows that checkpoints vouch for, once.

A row is sent when a checkpoint at or after it is on the disk. So no tool ever has a point that a killed run takes back;
and what it had not yet had when the process was killed is sent, out of the log, when the run is resumed. A
logger that fails does not end the run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from downslope.core.errors import DownslopeError
from downslope.core.strict_json import decode_json
from downslope.core.tables import to_table
from downslope.recipe.load import to_toml
from downslope.recipe.schema import Recipe
from downslope.training.folder import durable, run_folder
from downslope.training.folder.log import read_rows
from downslope.training.run.plan import flatten
from downslope.training.run.task import Task
from downslope.training.user_code import FAILURES
from downslope.training.view.console import Console
from downslope.training.view.loggers import LOGGERS, check_installed
from downslope.training.view.loggers.logger import Logger, RunInfo, Scalars, scalars_of

_LARGEST = 1 << 24


class _Kept(Struct):
    """What is kept of a logger: updates whose rows it has had, and what it takes to go on with the tool's run."""

    sent: Annotated[int, Meta(ge=0, le=2**53)] = 0
    identity: dict[str, str] = {}


class LoggerObserver:
    """Hands a run's rows to its loggers.

    Raises:
        MissingDependencyError: If the package of one is not installed.
    """

    def __init__(self, recipe: Recipe, console: Console) -> None:
        """Check that they can be had."""
        check_installed(recipe.log.to)
        self._recipe = recipe
        self._console = console
        self._open: dict[str, Logger] = {}
        self._state: dict[str, dict[str, Any]] = {}
        self._waiting: list[tuple[int, Scalars]] = []
        self._groups: list[str] = []
        self._folder = Path()

    def begin(self, task: Task, folder: Path, step: int) -> None:
        """Open the loggers, and send what a run that was killed had not sent."""
        self._folder = folder
        self._groups = _group_names(task)
        self._state = _read_state(folder)
        earlier = read_rows(folder) if step else []
        for name in self._recipe.log.to:
            kept = self._state.get(name, {})
            sent = min(int(kept.get("sent", 0)), step)
            info = RunInfo(
                folder=folder,
                name=folder.resolve().name,
                project=self._recipe.log.project,
                recipe=to_toml(self._recipe),
                settings=flatten(to_table(self._recipe)),
                known=dict(kept.get("identity", {})),
                sent=sent,
            )
            try:
                logger = self._open[name] = import_module(LOGGERS[name].module).open_logger(info)
                sent = logger.position()
                self._state[name] = {"sent": sent, "identity": logger.identity()}
            except FAILURES as error:
                self._switch_off(name, error)
                continue
            missed = [(row["step"], scalars_of(row["kind"], row, self._groups)) for row in earlier]
            self._send(name, [(at, scalars) for at, scalars in missed if at >= sent and scalars], step)
        self._keep()

    def row(self, kind: str, step: int, fields: Mapping[str, Any]) -> None:
        """Note a row, to be sent with the next checkpoint."""
        scalars = scalars_of(kind, fields, self._groups) if self._open else {}
        if scalars:
            self._waiting.append((step, scalars))

    def saved(self, step: int) -> None:
        """Send what has been noted: a checkpoint vouches for it now."""
        rows, self._waiting = self._waiting, []
        for name in list(self._open):
            self._send(name, rows, step)
        self._keep()

    def end(self, *, finished: bool) -> None:
        """Close the loggers."""
        for name, logger in list(self._open.items()):
            try:
                logger.close(finished=finished)
            except FAILURES as error:
                self._switch_off(name, error)
        self._open.clear()

    def _send(self, name: str, rows: Sequence[tuple[int, Scalars]], step: int) -> None:
        try:
            if rows:
                self._open[name].send(rows)
            self._state[name]["sent"] = step
        except FAILURES as error:
            self._switch_off(name, error)

    def _keep(self) -> None:
        if self._open:
            durable.write_file(self._folder / run_folder.LOGGERS, json.dumps(self._state, indent=1).encode() + b"\n")

    def _switch_off(self, name: str, error: BaseException) -> None:
        self._open.pop(name, None)
        lines = str(error).strip().splitlines() or [""]
        self._console.say(
            f"note        logging to {name} is switched off, since it raised {type(error).__name__}: {lines[0]}. "
            "Training goes on; on resume it is tried again."
        )


def _group_names(task: Task) -> list[str]:
    names = [*(", ".join(group.patterns) for group in task.recipe.groups), "all the others"]
    return names[: len(task.state.optimizer.param_groups)] if task.recipe.groups else ["all"]


def _read_state(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the loggers kept; damaged, it is as if they had kept nothing."""
    try:
        found = decode_json(durable.read_file(folder / run_folder.LOGGERS, limit=_LARGEST), dict[str, _Kept], "it")
    except (OSError, DownslopeError):
        return {}
    return {name: {"sent": kept.sent, "identity": kept.identity} for name, kept in found.items()}
