"""How training shows sentences and its progress: lines drawn over on a terminal, else plain lines or nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from downslope.core.number_text import percent_text
from downslope.training.folder.log import read_rows
from downslope.training.view.live_view import View
from downslope.training.view.terminal import Screen, can_redraw

if TYPE_CHECKING:
    from downslope.training.run.task import Task

PLAIN_SECONDS = 5.0


class Console(Protocol):
    """Where training speaks."""

    def say(self, text: str) -> None:
        """Show a line or a block of lines."""

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Show how far training has come.

        Among the fields "device" says how far that is in use, and "examples" how many of them a step takes.
        """

    def close(self) -> None:
        """End the display of progress."""


class PlainConsole:
    """For files and pipes: sentences to one stream, a line of progress every few seconds to another."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, seconds: float = PLAIN_SECONDS) -> None:
        """Note the streams; the clock starts now."""
        self._out, self._err, self._seconds = out, err, seconds
        self._start = self._last = time.monotonic()
        self._first_step: int | None = None

    def say(self, text: str) -> None:
        """Write a line or a block of lines."""
        _tell(text, self._out or sys.stdout)

    def progress(self, step: int, total: int, fields: Mapping[str, float | str]) -> None:
        """Write a line if the last is long enough ago."""
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._start = step, now
        if 0 <= now - self._last < self._seconds:  # a clock that went back is no reason to be silent
            return
        self._last = now
        rate = (step - self._first_step) / max(now - self._start, 1e-9)
        shown = {name: value for name, value in fields.items() if name not in {"device", "examples"}}
        examples, device = int(fields.get("examples", 0)), str(fields.get("device", ""))
        _tell(progress_line(step, total, shown, rate, examples, device), self._err or sys.stderr)

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
        examples = task.recipe.data.batch_size * task.recipe.train.accumulate
        watched = task.recipe.watched.values()
        self._view = View(total=task.total_steps, examples=examples, step=step, now=time.monotonic(), watched=watched)
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


def _tell(text: str, stream: TextIO) -> None:
    """Write a line; where nobody reads any more, a terminal that was closed or a pipe, training goes on without."""
    with contextlib.suppress(OSError):
        print(text, file=stream, flush=True)


def make_console(*, quiet: bool = False) -> Console:
    """Return the console that fits where stderr goes.

    Args:
        quiet: Whether to show no progress at all.
    """
    if quiet:
        return QuietConsole()
    return LiveConsole() if can_redraw(sys.stderr) else PlainConsole()


def progress_line(
    step: int,
    total: int | None,
    fields: Mapping[str, float | str],
    rate: float | None,
    examples: int = 0,
    device: str = "",
) -> str:
    """Return how far training has come, in one line.

    Args:
        step: Steps done.
        total: Steps in all, or None if that is not known.
        fields: Numbers by name.
        rate: Steps a second, or None.
        examples: How many examples a step takes; 0 if that is not known.
        device: How far the device is in use, or "".

    Example:
        >>> progress_line(1200, 2400, {"loss": 0.5}, 80.0, 32)
        'step 1,200 of 2,400 (50 %): loss 0.5, 80 steps/s, 2,560 examples/s'
    """
    where = f"step {step:,} of {total:,} ({percent_text(step / total, 0)})" if total else f"step {step:,}"
    told = [format_fields(fields)] if fields else []
    if rate is not None and rate > 0:
        told += [f"{rate:,.0f} steps/s"] if rate >= 1 else []
        told += [f"{rate * examples:,.0f} examples/s"] if examples else []
    told += [f"device {device}"] if device else []
    return f"{where}: {', '.join(told)}" if told else where


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
