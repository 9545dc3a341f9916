"""How training shows sentences and its progress: lines drawn over on a terminal, else plain lines or nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from downslope.core.number_text import percent_text
from downslope.language import said
from downslope.training.folder.log import read_rows
from downslope.training.view.live_view import View, speed_text
from downslope.training.view.terminal import Screen, can_redraw

if TYPE_CHECKING:
    from downslope.training.run.task import Task

PLAIN_SECONDS = 5.0


class Console(Protocol):
    """Where training speaks."""

    def say(self, text: str) -> None:
        """Show a line or a block of lines."""

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Show how far training has come; the field "device" says how far that is in use."""

    def close(self) -> None:
        """End the display of progress."""


class PlainConsole:
    """For files and pipes: sentences to one stream, a line of progress every few seconds to another.

    It is an `Observer` too, by which it knows how many examples a step has.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, seconds: float = PLAIN_SECONDS) -> None:
        """Note the streams; the clock starts now."""
        self._out, self._err, self._seconds = out, err, seconds
        self._last = time.monotonic()
        self._view: View | None = None

    def say(self, text: str) -> None:
        """Write a line or a block of lines."""
        _tell(text, self._out or sys.stdout)

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Write a line if the last is long enough ago."""
        now = time.monotonic()
        if self._view is not None:
            self._view.device = str(fields.get("device", ""))
            self._view.tick(step, now)
        if 0 <= now - self._last < self._seconds:  # a clock that went back is no reason to be silent
            return
        self._last = now
        shown = {name: value for name, value in fields.items() if name != "device"}
        _tell(progress_line(step, total, shown, self._view), self._err or sys.stderr)

    def begin(self, task: Task, folder: Path, step: int) -> None:
        """Begin to tell the speed."""
        self._view = _view_of(task, step)

    def row(self, kind: str, step: int, fields: Mapping[str, Any]) -> None:
        """Show nothing."""

    def saved(self, step: int) -> None:
        """Show nothing."""

    def end(self, *, finished: bool) -> None:
        """Do nothing: every line is complete."""

    def close(self) -> None:
        """Do nothing: every line is complete."""


class LiveConsole:
    """For a terminal: sentences above a few lines that are drawn over as training goes on.

    It is an `Observer` too, since what it shows are rows of the log.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        """Start with nothing shown."""
        self._out = out
        self._screen = Screen(err or sys.stderr)
        self._view: View | None = None

    def say(self, text: str) -> None:
        """Write a line or a block of lines above the view."""
        self._clear()
        _tell(text, self._out or sys.stdout)

    def begin(self, task: Task, folder: Path, step: int) -> None:
        """Take the run's length, and what its log has already, so that curves go on where they were."""
        self._view = _view_of(task, step)
        for row in read_rows(folder) if step else []:
            self._view.row(row["kind"], row)

    def row(self, kind: str, step: int, fields: Mapping[str, Any]) -> None:
        """Take in a row of the log."""
        if self._view is not None:
            self._view.row(kind, fields)

    def saved(self, step: int) -> None:
        """Note a checkpoint."""
        if self._view is not None:
            self._view.saved(step, time.monotonic())

    def end(self, *, finished: bool) -> None:
        """Take the view away."""
        self._clear()

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Draw the view."""
        if self._view is not None:
            self._view.device = str(fields.get("device", ""))
            now = time.monotonic()
            self._view.tick(step, now)
            with contextlib.suppress(OSError):
                self._screen.draw(self._view.lines(self._screen.width(), now, blocks=self._screen.blocks))

    def close(self) -> None:
        """Take the view away."""
        self._clear()

    def _clear(self) -> None:
        with contextlib.suppress(OSError):
            self._screen.clear()


class QuietConsole(PlainConsole):
    """For ``--quiet``: sentences, and nothing of the progress."""

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Show nothing."""


def _view_of(task: Task, step: int) -> View:
    examples = len(task.dataset.train_inputs) / task.batches.steps_per_epoch
    return View(
        total=task.total_steps, examples=examples, step=step, now=time.monotonic(), watched=task.recipe.watched.values()
    )


def _tell(text: str, stream: TextIO) -> None:
    """Write a line; where nobody reads any more, a terminal that was closed or a pipe, training goes on without."""
    with contextlib.suppress(OSError):
        print(said(text), file=stream, flush=True)


def make_console(*, quiet: bool = False) -> LiveConsole | PlainConsole:
    """Return the console that fits where stderr goes.

    Args:
        quiet: Whether to show no progress at all.
    """
    if quiet:
        return QuietConsole()
    return LiveConsole() if can_redraw(sys.stderr) else PlainConsole()


def progress_line(step: int, total: int | None, fields: Mapping[str, float | str], view: View | None) -> str:
    """Return how far training has come, in one line, with the speed that a view has seen.

    Example:
        >>> view = View(total=2400, examples=32, step=1120, now=0.0)
        >>> view.tick(1200, 1.0)
        >>> progress_line(1200, 2400, {"loss": 0.5}, view)
        'step 1,200 of 2,400 (50 %): loss 0.5, 80 steps/s, 2,560 examples/s'
    """
    where = f"step {step:,} of {total:,} ({percent_text(step / total, 0)})" if total else f"step {step:,}"
    rate = None if view is None else view.rate()
    speed = [] if view is None or rate is None else [speed_text(rate, "steps")]
    speed += [] if view is None or rate is None else [speed_text(rate * view.examples, "examples")]
    speed += [f"device {view.device}"] if view is not None and view.device else []
    told = ", ".join([*([format_fields(fields)] if fields else []), *speed])
    return f"{where}: {told}" if told else where


def format_fields(fields: Mapping[str, float | str]) -> str:
    """Return numbers in one line.

    Example:
        >>> format_fields({"loss": 0.0123456, "held-out accuracy": 0.975, "lr": 0.1})
        'loss 0.01235, held-out accuracy 97.50 %, lr 0.1'
    """
    return ", ".join(
        f"{name} {value if isinstance(value, str) else _number(name, value)}" for name, value in fields.items()
    )


def _number(name: str, value: float) -> str:
    return percent_text(value) if name.endswith(("accuracy", "rate", "F1", "recall", "match")) else f"{value:.4g}"
