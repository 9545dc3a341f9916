"""The curves of an explanation: what the schedule does over the run.

What lives here: which curves there are, and drawing them. What does not: the values, which are the schedules' own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice

from downslope.core.schedules import Schedule
from downslope.pages.plot import Plot, begin, name_axes
from downslope.pages.svg import LINES, as_html, number, style
from downslope.recipes.boundaries import walk
from downslope.recipes.explaining.course import Course, quarters
from downslope.recipes.explaining.data import Explanation, ScheduleRow
from downslope.recipes.explaining.words import Words, short

_POINTS = 240
_SIZE = (440, 232)


def draw_curves(explanation: Explanation, words: Words) -> list[Plot]:
    """Return the plots of lr, and of momentum, weight decay and its timescale where they move; none without a schedule.

    Args:
        explanation: The explanation.
        words: The language.
    """
    course = Course.of(explanation.settings, explanation.run)
    settings = course.settings
    if settings is None or course.length() < 2:
        return []
    rows = _sampled(course)
    in_epochs = rows[0].epoch is not None
    times = [float(row.epoch if row.epoch is not None else row.step or 0) for row in rows]
    time = words.say("schedule.epoch" if in_epochs else "schedule.step")
    lines = [
        (words.say("page.lr.legend"), [row.lr for row in rows]),
        (words.say("page.effective.legend"), [row.effective_lr for row in rows]),
    ]
    if rows[0].effective_lr == rows[0].lr:
        lines = lines[:1]
    plots = [_curve("lr", words.say("page.lr"), times, lines, time)]
    for name in ("momentum", "weight_decay"):
        if isinstance(getattr(settings, name), Schedule):
            label = words.say(f"page.{name}")
            plots.append(_curve(name, label, times, [(label, [getattr(row, name) for row in rows])], time))
    if explanation.settings.weight_decay and isinstance(settings.lr, Schedule):
        unit = "epochs" if rows[0].decay_epochs is not None else "steps"
        values = [getattr(row, f"decay_{unit}") for row in rows]
        if any(value is not None and math.isfinite(value) for value in values):
            label = f"{words.say('page.timescale')}{words.say('comma')}{words.say(f'page.unit.{unit}')}"
            plots.append(_curve("timescale", label, times, [(label, values)], time))
    return plots


def _sampled(course: Course) -> list[ScheduleRow]:
    """Return rows at evenly spread steps, and on both sides of every boundary."""
    length = course.length()
    ticks = set(quarters(length, _POINTS))
    settings = course.settings or course.given
    moving = [v for v in (settings.lr, settings.momentum, settings.weight_decay) if isinstance(v, Schedule)]
    for boundary in islice(walk(moving, 0, length), _POINTS):
        ticks |= {boundary - 1, boundary}
    return [course.row(tick) for tick in sorted(ticks)]


def _curve(
    key: str, title: str, times: Sequence[float], lines: Sequence[tuple[str, Sequence[float]]], time: str
) -> Plot:
    with style("a page"):
        figure, axes = begin(_SIZE)
        values = [value for _, line in lines for value in line if math.isfinite(value)]
        positive = [value for value in values if value > 0]
        log = len(positive) > 0 and max(positive) > 15 * min(positive) and key != "momentum"
        if log:
            axes.set_yscale("log", nonpositive="mask")
            low, high = min(positive), max(positive)
            if key == "timescale":  # near lr 0 it grows beyond all bounds, and what matters is where it is small
                high = min(high, low * 1e4)
            else:
                low = max(low, high * 1e-4)
            axes.set_ylim(low * 0.7, high * 1.5)
        for index, (_, line) in enumerate(lines):
            shown = [value if math.isfinite(value) and (value > 0 or not log) else math.nan for value in line]
            axes.plot(times, shown, color=LINES[index], linewidth=1.7, zorder=3)
        axes.xaxis.set_major_formatter(number)
        axes.yaxis.set_major_formatter(number)
        if log:
            from matplotlib import ticker

            axes.yaxis.set_major_locator(ticker.LogLocator(numticks=6))
            axes.yaxis.set_minor_locator(ticker.NullLocator())
        axes.margins(x=0.01)
        name_axes(axes, time)
        described = "; ".join(f"{name}: {short(line[0])} ... {short(line[-1])}" for name, line in lines)
        svg = as_html(figure, f"curve-{key}", title, described, _SIZE)
    named = tuple((index, name) for index, (name, _) in enumerate(lines)) if len(lines) > 1 else ()
    return Plot(title, "", svg, key=named)
