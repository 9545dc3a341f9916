"""What a person sees of a run while it trains: a few lines of text made from the rows of its log."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from downslope.core.columns import cut, padded
from downslope.core.number_text import percent_text
from downslope.core.sparkline import BLOCKS, sparkline
from downslope.language import said
from downslope.recipe.measures import grows, is_share, title_of

LABEL = 12
"""Columns of the words on the left, as in the lines that training begins with."""

_WINDOW = 15.0
_FEWEST = 8
"""Speed is that of the last `_WINDOW` seconds, or of so many looks where steps take longer."""
_SPARK = 32
_BAR = 40


class View:
    """The numbers that are shown, as they come in.

    Args:
        total: Steps in all, or None if that is not known.
        examples: Examples to a step, in the mean.
        step: Steps done already.
        now: The clock, in seconds; only differences count.
        watched: Measures that are shown besides, since something goes by them.
    """

    def __init__(
        self, *, total: int | None, examples: float, step: int, now: float, watched: Iterable[str] = ()
    ) -> None:
        """Begin with nothing seen."""
        self._watched = frozenset(watched)
        self._total, self.examples = total, examples
        self._loss, self._held_out = Thinned(), Thinned()
        self._last: dict[str, float] = {}
        self._rated: dict[str, list[float]] = {}
        self._ticks: deque[tuple[float, int]] = deque([(now, step)])
        self._saved: tuple[float, int] | None = None
        self._skipped = 0
        self.step = step
        self.device = ""

    def row(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Take in a row of the log."""
        if kind == "step":
            self._loss.add(float(fields["loss"]))
            self._last |= {name: float(fields[name]) for name in ("loss", "lr")}
        elif kind == "evaluation":
            self._held_out.add(float(fields["loss"]))
            self._last["held out"] = float(fields["loss"])
            rates = [name for name in fields if name.endswith("_error_rate")][:1]
            usual = {"macro_f1"} if "micro_f1" in fields else {"accuracy", "rmse"}
            for name in rates or [name for name in fields if name in usual | self._watched - {"loss"}]:
                self._rated.setdefault(name, []).append(float(fields[name]))
        elif kind == "plateau":
            self._last["lr"] = float(fields["lr"])
        self._skipped += kind == "skip"

    def saved(self, step: int, now: float) -> None:
        """Note that a checkpoint of so many steps was written now."""
        self._saved = (now, step)

    def tick(self, step: int, now: float) -> None:
        """Note how many steps are done now."""
        self.step = step
        self._ticks.append((now, step))
        while len(self._ticks) > _FEWEST and now - self._ticks[0][0] > _WINDOW:
            self._ticks.popleft()

    def rate(self) -> float | None:
        """Return steps per second of late, or None before there is one to tell."""
        (begin, first), (end, last) = self._ticks[0], self._ticks[-1]
        return (last - first) / (end - begin) if end > begin and last > first else None

    def fields(self) -> dict[str, float]:
        """Return the last loss and lr, and one number of the last evaluation, for a line of progress."""
        found = {name: self._last[name] for name in ("loss", "lr") if name in self._last}
        rated = {f"held-out {title_of(name)}": values[-1] for name, values in self._rated.items()}
        if not rated and "held out" in self._last:
            rated = {"held-out loss": self._last["held out"]}
        return {**found, **rated}

    def lines(self, width: int, now: float, *, blocks: str = BLOCKS, goes_on: bool = True) -> list[str]:
        """Return the lines, each shorter than the terminal is wide."""
        wide = max(width - 1, 10)
        room = wide - LABEL
        found = [self._progress_line(room, blocks)]
        if "loss" in self._last:
            found.append(("loss", self._with_curve(f"{self._last['loss']:.4g}", self._loss, room, blocks)))
        if "held out" in self._last:
            found.append(("held out", self._with_curve(f"{self._last['held out']:.4g}", self._held_out, room, blocks)))
        for name, values in self._rated.items():
            best = (max if grows(name) else min)([one for one in values if math.isfinite(one)] or values)
            write = percent_text if is_share(name) else _number
            told = write(values[-1]) + ("" if best == values[-1] else f", best {write(best)}")
            if name.endswith("_error_rate"):
                found.append(("errors", f"{told} ({title_of(name)})"))
            else:
                short = len(title_of(name)) < LABEL
                found.append((title_of(name), told) if short else ("measure", f"{told} ({title_of(name)})"))
        if "lr" in self._last:
            found.append(("lr", f"{self._last['lr']:.4g}"))
        if goes_on:
            found.append(("speed", ", ".join(self._speed(now))))
            found += [("device", self.device)] if self.device else []
        elif self._skipped:
            found.append(("skipped", f"{self._skipped:,} {'step' if self._skipped == 1 else 'steps'}"))
        return [cut(padded(said(label), LABEL) + said(text), wide).rstrip() for label, text in found]

    def _progress_line(self, room: int, blocks: str) -> tuple[str, str]:
        if not self._total:
            return "step", f"{self.step:,}"
        share = min(self.step / self._total, 1.0)
        told = f"{self.step:,} of {self._total:,}  {percent_text(math.floor(100 * share) / 100, 0)}"
        length = min(_BAR, room - len(told) - 2)
        if length < 10:
            return "step", told
        done = round(length * share)
        full, empty = ("━", "·") if blocks == BLOCKS else ("=", ".")
        return "step", f"{told}  {full * done}{empty * (length - done)}"

    def _with_curve(self, told: str, values: Thinned, room: int, blocks: str) -> str:
        length = min(_SPARK, room - 12)
        return f"{told:<10}  {sparkline(values.values, length, blocks)}" if length >= 8 else told

    def _speed(self, now: float) -> list[str]:
        parts: list[str] = []
        rate = self.rate()
        if rate is not None:
            parts.append(speed_text(rate * self.examples, "examples"))
            if self._total:
                parts.append(f"{duration((self._total - self.step) / rate)} left")
        if self._saved is not None:
            parts.append(f"saved {duration(now - self._saved[0])} ago")
        if self._skipped:
            parts.append(f"{self._skipped:,} skipped")
        return parts or ["not known yet"]


class Thinned:
    """Numbers in order, of which so few are kept that a long run costs no more than a short one.

    When there are too many, neighbours are replaced by their mean, and from then on so many are averaged into one.
    """

    MOST = 512

    def __init__(self) -> None:
        """Begin with none."""
        self.values: list[float] = []
        self._stride, self._sum, self._count = 1, 0.0, 0

    def add(self, value: float) -> None:
        """Add a number; what is not finite is left out."""
        if not math.isfinite(value):
            return
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self._stride:
            self.values.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self.values) >= self.MOST:
            self.values = [(a + b) / 2 for a, b in zip(self.values[::2], self.values[1::2], strict=True)]
            self._stride *= 2


def speed_text(rate: float, what: str) -> str:
    """Return how many of something there are in a second, in a few characters.

    Example:
        >>> speed_text(2560.2, "examples"), speed_text(0.1234, "steps")
        ('2,560 examples/s', '0.12 steps/s')
    """
    return f"{rate:,.0f} {what}/s" if rate >= 10 else f"{rate:.2g} {what}/s"


def duration(seconds: float) -> str:
    """Return a time in a few characters.

    Example:
        >>> duration(4.2), duration(75), duration(7384), duration(200_000)
        ('4 s', '1:15', '2:03 h', '2.3 days')
    """
    seconds = max(seconds, 0.0)
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds < 59.5 else "1:00"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02} h" if hours < 48 else f"{seconds / 86400:.1f} days"


def _number(value: float) -> str:
    return f"{value:.4g}"
