"""Numbers over steps, made ready to be drawn: gaps, smoothing and thinning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class Series:
    """One quantity over steps.

    Attributes:
        steps: Step of each value, 0-based, ascending; int64 array of shape (n,).
        values: float64 array of shape (n,); what is not finite is NaN and is drawn as a gap.
        nonfinite: Steps whose value was NaN or infinite; int64 array.
    """

    steps: Integers
    values: Floats
    nonfinite: Integers

    def __len__(self) -> int:
        """Return the number of values, gaps included."""
        return len(self.steps)

    @property
    def finite(self) -> Floats:
        """The values without the gaps."""
        return self.values[np.isfinite(self.values)]

    def last(self) -> tuple[float, int] | None:
        """Return the last finite value and its step, or None if there is none."""
        places = np.flatnonzero(np.isfinite(self.values))
        return self._at(places[-1]) if len(places) else None

    def best(self, *, largest: bool) -> tuple[float, int] | None:
        """Return the best finite value and the first step that reached it, or None if there is none."""
        if not len(self.finite):
            return None
        return self._at(np.nanargmax(self.values) if largest else np.nanargmin(self.values))

    def _at(self, place: Any) -> tuple[float, int]:
        return float(self.values[place]), int(self.steps[place])


def collect(rows: Iterable[Mapping[str, Any]], name: str) -> Series:
    """Return the series `name` of those log rows that have it; a value is a number, or "nan", "inf" or "-inf".

    Example:
        >>> collect([{"step": 0, "loss": 2.5}, {"step": 1, "loss": "nan"}], "loss").values
        array([2.5, nan])
    """
    pairs = [(row["step"], float(row[name])) for row in rows if row.get(name) is not None]
    steps = np.array([step for step, _ in pairs], dtype=np.int64)
    return series_of(steps, np.array([value for _, value in pairs], dtype=np.float64))


def series_of(steps: Integers, values: Floats) -> Series:
    """Return values at steps as a series: what is not finite becomes a gap."""
    gaps = ~np.isfinite(values)
    return Series(steps, np.where(gaps, np.nan, values) if gaps.any() else values, steps[gaps])


def smoothing_window(count: int) -> int:
    """Return over how many values a curve of `count` values is averaged: an odd number, about a fortieth; 1 is none."""
    return count // 80 * 2 + 1 if count >= 160 else 3 if count >= 20 else 1


def smooth(series: Series, window: int) -> Series:
    """Return the centred mean over `window` values, which does not lag behind as a trailing mean would.

    Near the beginning, where most happens, the window shrinks on both sides alike, so that the first value stays what
    it is; at the end it shrinks on one side, so that the line does not end in the noise of a single value.

    Args:
        series: Any series; gaps are left out of the means and stay gaps.
        window: Odd number of values, >= 1.
    """
    count = len(series)
    present = np.isfinite(series.values)
    total = np.concatenate([[0.0], np.cumsum(np.where(present, series.values, 0.0))])
    known = np.concatenate([[0], np.cumsum(present)])
    place = np.arange(count)
    before = np.minimum(place, window // 2)
    low, high = place - before, place + np.minimum(before, count - 1 - place) + 1
    means = (total[high] - total[low]) / np.maximum(known[high] - known[low], 1)
    return Series(series.steps, np.where(present, means, np.nan), series.nonfinite)


def without_repeats(series: Series) -> Series:
    """Return the series without the points inside a stretch of equal values: it draws the same line."""
    values = series.values
    if len(values) < 3:
        return series
    differs = (values[1:] != values[:-1]) & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    kept = np.concatenate([[True], differs[:-1] | differs[1:], [True]])
    return Series(series.steps[kept], values[kept], series.nonfinite)


def thin(series: Series, stretches: int) -> Series:
    """Return a series of few points that looks the same: the smallest and the largest value of each equal stretch.

    Extremes survive, whatever their width; so do the first and the last value, and a gap wherever a stretch has one.
    The series itself is returned if it is short enough already.
    """
    count = len(series)
    if count <= 4 * stretches:
        return series
    edges = np.linspace(0, count, stretches + 1).astype(np.int64)
    kept: set[int] = {0, count - 1}
    for low, high in pairwise(edges):
        part = series.values[low:high]
        gaps = np.flatnonzero(np.isnan(part))
        if len(gaps):
            kept.add(int(low + gaps[0]))
        if len(gaps) < len(part):
            kept.update((int(low + np.nanargmin(part)), int(low + np.nanargmax(part))))
    places = np.array(sorted(kept), dtype=np.int64)
    return Series(series.steps[places], series.values[places], series.nonfinite)
