"""The plots of an explanation's page: curves of the schedule, maps of regimes and of timescales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from downslope.core.number_text import number_text
from downslope.core.schedules import Schedule
from downslope.core.settings import Settings
from downslope.explaining.explanation import Explanation
from downslope.explaining.famous import FAMOUS
from downslope.explaining.language import Words, short
from downslope.explaining.run_course import Course
from downslope.explaining.sliders import sampled
from downslope.plot.svg import INK, LINES, SIZE, SOFT, WARN, Plot, as_html, begin, name_axes, number, style, tick_powers
from downslope.theory.direction import stretches_of

# What the schedule does over the run

_SIZE = (440, 232)


def draw_curves(explanation: Explanation, words: Words) -> list[Plot]:
    """Return plots of lr, and of momentum, weight decay and its timescale where they move; none without a schedule."""
    course = Course.of(explanation.settings, explanation.run)
    settings = course.settings
    if settings is None or course.length() < 2 or not course.moves():
        return []
    rows = sampled(course)
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
            tick_powers(axes.yaxis, 6)
        axes.margins(x=0.01)
        name_axes(axes, time)
        described = "; ".join(f"{name}: {short(line[0])} ... {short(line[-1])}" for name, line in lines)
        svg = as_html(figure, f"curve-{key}", title, described, _SIZE)
    named = tuple((index, name) for index, (name, _) in enumerate(lines)) if len(lines) > 1 else ()
    return Plot(title, "", svg, key=named)


# Which regime lies where, and which timescale

_LOWEST, _HIGHEST = 1e-4, 30.0
_TIMESCALES = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Edges:
    """Where along lr times curvature one regime ends and the next begins.

    Attributes:
        swings: Up to here a direction creeps; from here on it swings.
        creeps_again: Up to here it swings; with Nesterov's form and dampening it then creeps once more.
        jumps: From here on it jumps across at every step.
        grows: From here on it grows.
    """

    swings: float
    creeps_again: float
    jumps: float
    grows: float


def regime_edges(
    momentum: float,
    dampening: float = 0.0,
    *,
    nesterov: bool = False,
    nu: float | None = None,
    decoupled: float = 0.0,
) -> Edges:
    """Return the edges for a momentum; `decoupled` is what decay that is not coupled takes per step.

    They are asked of the rule itself, as they are for the sentences and the table beside the map, so that the three
    agree.

    Example:
        >>> edges = regime_edges(0.25)
        >>> [round(edge, 3) for edge in (edges.swings, edges.jumps, edges.grows)]
        [0.25, 2.25, 2.5]
    """
    plain = Settings(
        lr=1.0,
        momentum=momentum,
        dampening=dampening if momentum else 0.0,
        nesterov=nesterov and momentum > 0,
        nu=nu if momentum else None,
    )
    now = replace(plain.at(0), decoupled_decay=decoupled)
    found = stretches_of(now)
    starts = {stretch.regime: stretch.start for stretch in reversed(found)}  # of each regime, its first stretch
    ends = {stretch.regime: stretch.end for stretch in reversed(found)}
    grows = starts.get("unstable", math.inf)
    jumps = starts.get("alternating", grows)
    swings = starts.get("oscillating", jumps)
    return Edges(swings, ends.get("oscillating", swings), jumps, grows)


def draw_damping_map(explanation: Explanation, words: Words) -> Plot | None:
    """Return the map of regimes with this recipe's point for every curvature that was given; None at lr 0."""
    peak, settings = explanation.peak, explanation.settings
    if not peak.lr or settings.dampening == 1:
        return None
    momenta = [0.0, 1e-3, 4e-3, *(i / 60 for i in range(1, 60)), 0.99, 0.995, 0.999]
    d = explanation.memory.left if settings.decay != "coupled" else 1.0  # what decay apart from the gradient leaves
    form = {"nesterov": settings.nesterov, "nu": settings.nu, "decoupled": 1 - d}
    edges = [regime_edges(mu, settings.dampening, **form) for mu in momenta]
    swing, again, jump, grow = (
        [min(max(_LOWEST, getattr(edge, name)), _HIGHEST) for edge in edges]
        for name in ("swings", "creeps_again", "jumps", "grows")
    )
    with style("a page"):
        figure, axes = begin()
        axes.set_xscale("log")
        axes.set_xlim(_LOWEST, _HIGHEST)
        axes.set_ylim(0, 1)
        for left, right, colour in ((_LOWEST, swing, 2), (swing, again, 0), (again, jump, 2), (jump, grow, 4)):
            axes.fill_betweenx(momenta, left, right, color=LINES[colour], alpha=0.16, linewidth=0)
        axes.fill_betweenx(momenta, grow, _HIGHEST, color=WARN, alpha=0.2, linewidth=0)
        axes.plot(swing, momenta, color=LINES[2], linewidth=1.5)
        axes.plot(grow, momenta, color=WARN, linewidth=1.5)
        coupled = peak.weight_decay if settings.decay == "coupled" else 0.0
        points = [peak.lr * (row.curvature + coupled) for row in explanation.damping]
        axes.axhline(peak.momentum, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        for x in points:
            axes.plot(min(max(x, _LOWEST), _HIGHEST), peak.momentum, "o", color=INK, markersize=6, clip_on=False)
        _write_regimes(axes, words)
        name_axes(axes, words.say("page.damping.x"), words.say("page.damping.y"))
        title = words.say("page.damping")
        curvatures = words.join(short(row.curvature) for row in explanation.damping)
        name = "page.damping.caption" if points else "page.damping.caption.any"
        caption = words.say(name, curvatures=curvatures)
        return Plot(title, caption, as_html(figure, "damping-map", title, caption, SIZE))


def _write_regimes(axes: Any, words: Words) -> None:
    for name, x, y, colour in (
        ("creeps", 0.0012, 0.3, LINES[2]),
        ("swings", 0.12, 0.68, LINES[0]),
        ("grows", 6.5, 0.5, WARN),
    ):
        axes.text(x, y, words.say(f"page.damping.{name}"), color=colour, fontsize=12, ha="left", va="center")
    line = {"arrowstyle": "-", "color": LINES[4], "linewidth": 0.8}
    axes.annotate(words.say("page.damping.jumps"), (1.5, 0.06), xytext=(28, 0.12), color=LINES[4], fontsize=10,
                  ha="right", va="center", arrowprops=line)  # fmt: skip


def draw_decay_map(explanation: Explanation, words: Words) -> Plot | None:
    """Return the map of timescales with the famous recipes and this one's point; None where it has no place on it.

    It has none where weights never forget, nor where its numbers are far beyond those of any recipe.

    In epochs, right is effective lr times steps per epoch; where an epoch's steps are not known, it is effective lr and
    the lines are in steps. Weight decay of any kind is drawn as the coupled one that forgets as fast.
    """
    peak = explanation.peak
    steps = explanation["decay_steps"].value if "decay_steps" in explanation else None
    if steps is None or math.isinf(steps) or not peak.effective_lr:
        return None
    per_epoch = explanation.run.steps_per_epoch
    points = [
        (one.effective_lr * (one.steps_per_epoch if per_epoch else 1.0), one.settings.at(0).coupled_decay)
        for one in FAMOUS
    ]
    own = (peak.effective_lr * (per_epoch or 1.0), 1 / (steps * peak.effective_lr))
    if not all(1e-12 < coordinate < 1e12 for coordinate in own):  # the famous recipes would be a dot in a corner
        return None
    factors = _TIMESCALES if per_epoch else tuple(1000 * factor for factor in _TIMESCALES)
    with style("a page"):
        figure, axes = begin()
        axes.set_xscale("log")
        axes.set_yscale("log")
        xs, ys = zip(own, *points, strict=True)
        left, right = min(xs) / 2.2, max(xs) * 2.2
        low, high = min(ys) / 2.2, max(ys) * 2.2
        axes.set_xlim(left, right)
        axes.set_ylim(low, high)
        if per_epoch:
            axes.fill_between((left, right), (1 / left, 1 / right), (1 / (13 * left), 1 / (13 * right)), color=LINES[0],
                              alpha=0.1, linewidth=0)  # fmt: skip
        for timescale in factors:
            axes.plot((left, right), (1 / (timescale * left), 1 / (timescale * right)), color=SOFT, linewidth=0.9,
                      linestyle=(0, (4, 3)))  # fmt: skip
            _label_line(axes, timescale, (left, right, low, high), short(timescale))
        for index, (x, y) in enumerate(points):
            axes.plot(x, y, "o", color=LINES[0], markersize=4.5)
            axes.annotate(str(index + 1), (x, y), xytext=_OFFSETS.get(index, (5, 4)), textcoords="offset points",
                          fontsize=10, color=LINES[0])  # fmt: skip
        axes.plot(*own, "o", color=LINES[1], markersize=8)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(_power)
            axis.set_minor_formatter(_nothing)
        name_axes(axes, words.say("page.decay.x" if per_epoch else "page.decay.x.steps"), words.say("page.decay.y"))
        title = words.say("page.decay")
        caption = words.say("page.decay.caption" if per_epoch else "page.decay.caption.steps")
        svg = as_html(figure, "decay-map", title, caption, SIZE)
    named = [(None, f"{index + 1} {famous.name}") for index, famous in enumerate(FAMOUS)]
    return Plot(title, caption, svg, key=((1, words.say("this")), *named))


_OFFSETS = {6: (-9, 4), 7: (-9, -11), 5: (3, -12), 3: (5, 4)}
"""Where the numbers of points that lie close together stand, in points from them."""


def _label_line(axes: Any, timescale: float, box: Sequence[float], text: str) -> None:
    """Write a line's timescale where it leaves the box: at the top, or else at the left side."""
    left, right, low, high = box
    x, y = 1 / (timescale * high), high
    if x < left:
        x, y = left, 1 / (timescale * left)
    if not (low < y <= high and x < right):
        return
    place = (3, -10) if y == high else (4, 3)
    axes.annotate(text, (x, y), xytext=place, textcoords="offset points", fontsize=9.5, color=SOFT)


def _nothing(_value: float, _position: Any = None) -> str:
    return ""


def _power(value: float, _: Any = None) -> str:
    exponent = math.log10(value)
    if abs(exponent - round(exponent)) > 1e-9:
        return ""
    return number_text(value) if 1e-3 <= value <= 1e4 else f"1e{round(exponent)}".replace("-", "\N{MINUS SIGN}")
