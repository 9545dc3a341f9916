"""What training tells a person while it runs: sentences, and how far it has come.

What lives here: the two ways of showing it: a bar on a terminal, a plain line every few seconds elsewhere. What does
not: what is said (`loop.py`), and the log of record (`log.py`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

PLAIN_SECONDS = 5.0


class Console(Protocol):
    """Where training speaks."""

    def say(self, text: str) -> None:
        """Show a line or a block of lines."""

    def progress(self, step: int, total: int, fields: Mapping[str, float]) -> None:
        """Show how far training has come.

        Args:
            step: Steps done.
            total: Steps in all.
            fields: What to show beside, by name.
        """

    def close(self) -> None:
        """End the display of progress."""


class PlainConsole:
    """For files and pipes: sentences to one stream, a line of progress every few seconds to another.

    Args:
        out: Stream of the sentences; None for stdout.
        err: Stream of the progress; None for stderr.
        seconds: Time between lines of progress.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, seconds: float = PLAIN_SECONDS) -> None:
        """Note the streams; the clock starts now."""
        self._out, self._err, self._seconds = out, err, seconds
        self._start = self._last = time.monotonic()
        self._first_step: int | None = None

    def say(self, text: str) -> None:
        """Write a line or a block of lines."""
        print(text, file=self._out or sys.stdout, flush=True)

    def progress(self, step: int, total: int, fields: Mapping[str, float]) -> None:
        """Write a line if the last is long enough ago."""
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._start = step, now
        if 0 <= now - self._last < self._seconds:  # a clock that went back is no reason to be silent
            return
        self._last = now
        rate = (step - self._first_step) / max(now - self._start, 1e-9)
        speed = f", {rate:,.0f} steps/s" if rate >= 1 else ""
        text = f"step {step:,} of {total:,} ({step / total:.0%}): {format_fields(fields)}{speed}"
        print(text, file=self._err or sys.stderr, flush=True)

    def close(self) -> None:
        """Do nothing: every line is complete."""


class BarConsole:
    """For a terminal: sentences above a bar."""

    def __init__(self) -> None:
        """Start without a bar."""
        self._bar: Any = None

    def say(self, text: str) -> None:
        """Write a line or a block of lines above the bar."""
        from tqdm import tqdm

        tqdm.write(text)

    def progress(self, step: int, total: int, fields: Mapping[str, float]) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if self._bar is None:
            form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}"
            self._bar = tqdm(total=total, initial=step, leave=False, dynamic_ncols=True, bar_format=form)
        self._bar.set_postfix_str(format_fields(fields), refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        """Clear the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class QuietConsole(PlainConsole):
    """For ``--quiet``: sentences, and nothing of the progress."""

    def progress(self, step: int, total: int, fields: Mapping[str, float]) -> None:
        """Show nothing."""


def make_console(*, quiet: bool = False) -> Console:
    """Return the console that fits where stderr goes.

    Args:
        quiet: Whether to show no progress at all.
    """
    if quiet:
        return QuietConsole()
    return BarConsole() if sys.stderr.isatty() else PlainConsole()


def format_fields(fields: Mapping[str, float]) -> str:
    """Return numbers in one line.

    Example:
        >>> format_fields({"loss": 0.0123456, "held-out accuracy": 0.975, "lr": 0.1})
        'loss 0.01235, held-out accuracy 97.50 %, lr 0.1'
    """
    return ", ".join(
        f"{name} {value:.2%}".replace("%", " %") if name.endswith(("accuracy", "rate")) else f"{name} {value:.4g}"
        for name, value in fields.items()
    )
