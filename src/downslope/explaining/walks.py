"""A walk down a valley, by the rule itself: the recipe beside plain SGD at its best lr, and the loss at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.settings import Settings
from downslope.explaining.explanation import Explanation
from downslope.explaining.language import Words, short
from downslope.explaining.sliders import beginning_of
from downslope.lab.begin import START, Beginning
from downslope.plot.svg import INK, LINES, SIZE, SOFT, Plot, as_html, begin, name_axes, number, style, tick_powers

_FAR = 1e6
"""A walk that has come so far is over: it diverges."""

_DOTTED = 300
"""Up to how many steps each has a dot: of more they are one line, and would fill the page."""

_ROOM = 0.2
"""How far out along the valley a ring must be to be named, as a share of the frame: nearer, names lie on the walk."""

_LEAST = 1e-16
"""The smallest share of the loss that is drawn."""


@dataclass(frozen=True)
class Walk:
    """One walk on (along x^2 + across y^2) / 2.

    Attributes:
        name: Name of the words that say what it is.
        settings: Its settings.
        points: Where it goes, START first.
        losses: The loss at each point, as a share of that at START.
    """

    name: str
    settings: Settings
    points: tuple[tuple[float, float], ...]
    losses: tuple[float, ...]


def walks_of(explanation: Explanation) -> tuple[Beginning, list[Walk]]:
    """Return what the page's sliders begin with, and the walks there: as the recipe, and of plain SGD at its best."""
    begun = beginning_of(explanation)
    names = ("lr", "momentum", "weight_decay", "dampening", "nesterov", "nu", "decay", "undampened_first_step")
    own = Settings(**{name: getattr(begun, name) for name in names})
    plain = Settings(lr=2 / (begun.along + begun.across))
    return begun, [_walk("page.path.this", own, begun), _walk("page.path.plain", plain, begun)]


def _walk(name: str, settings: Settings, begun: Beginning) -> Walk:
    curvatures, at, velocities, points = (begun.along, begun.across), [*START], [0.0, 0.0], [START]
    for step in range(begun.steps):
        now = settings.at(step, first=step == 0)
        for axis, curvature in enumerate(curvatures):
            delta, velocities[axis] = sgd_rule(at[axis], curvature * at[axis], velocities[axis], now)
            at[axis] += delta
        if not max(map(abs, at)) < _FAR:
            break
        points.append((at[0], at[1]))
    losses = [sum(c * x * x for c, x in zip(curvatures, point, strict=True)) for point in points]
    return Walk(name, settings, tuple(points), tuple(loss / losses[0] for loss in losses))


def draw_walks(explanation: Explanation, words: Words) -> list[Plot]:
    """Return the valley with both walks, and the loss along them."""
    begun, walks = walks_of(explanation)
    own, plain = walks
    ends = {
        walk.name: "\N{INFINITY}" if len(walk.points) <= begun.steps else short(walk.losses[-1], 3) for walk in walks
    }
    key = tuple((i, f"{words.say(walk.name)}{words.say('colon')}{ends[walk.name]}") for i, walk in enumerate(walks))
    numbers = {"steps": begun.steps, "along": begun.along, "across": begun.across, "lr": plain.settings.lr}
    title, caption = words.say("page.valley"), words.say("page.valley.caption", **numbers)
    described = "; ".join(text for _, text in key)
    with style("a page"):
        figure, axes = begin()
        _draw_valley(axes, begun, words)
        for index, walk in ((1, plain), (0, own)):
            form = "-o" if begun.steps <= _DOTTED else "-"
            axes.plot(*zip(*walk.points, strict=True), form, color=LINES[index], linewidth=0.9, markersize=2.2,
                      alpha=1 if walk is own else 0.5, zorder=3)  # fmt: skip
            axes.plot(*walk.points[-1], "o", color=LINES[index], markersize=6, zorder=4)
        valley = Plot(title, caption, as_html(figure, "valley", title, f"{caption} {described}", SIZE), key=key)
    with style("a page"):
        figure, axes = begin()
        axes.set_yscale("log", nonpositive="mask")
        for index, walk in ((1, plain), (0, own)):
            axes.plot([max(loss, _LEAST / 10) for loss in walk.losses], color=LINES[index], linewidth=1.5)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, _LEAST), max(high, 10 * _LEAST))
        axes.xaxis.set_major_formatter(number)
        axes.yaxis.set_major_formatter(number)
        tick_powers(axes.yaxis, 6)
        name_axes(axes, words.say("schedule.step"))
        title, caption = words.say("page.losses"), words.say("page.losses.caption")
        losses = Plot(title, caption, as_html(figure, "losses", title, described, SIZE), key=key)
    return [valley, losses]


def _draw_valley(axes: Any, begun: Beginning, words: Words) -> None:
    """Draw rings where the loss is 1, 1/10, ... of that at the start, and mark start and minimum.

    A walk comes from the left, and is narrow where it goes past the minimum: names stand to the right of it, that of
    the minimum above and those of rings below, and of rings so small that the walk ends in them none has a name.
    """
    from matplotlib.patches import Ellipse

    reach = (1.2, min(1.2, max(0.36, 2.4 * math.sqrt(begun.along / begun.across))))
    axes.grid(visible=False)
    axes.set_xlim(-reach[0], reach[0])
    axes.set_ylim(-reach[1], reach[1])
    first = sum(c * x * x for c, x in zip((begun.along, begun.across), START, strict=True))
    for power in range(1, -5, -1):
        x, y = (math.sqrt(first * 10.0**power / curvature) for curvature in (begun.along, begun.across))
        axes.add_patch(Ellipse((0, 0), 2 * x, 2 * y, fill=False, edgecolor=SOFT, linewidth=0.7, alpha=0.7))
        place = (x, 0.0) if x < 0.95 * reach[0] else (0.66, y * math.sqrt(max(0.0, 1 - (0.66 / x) ** 2)))
        if x > _ROOM * reach[0] and place[1] < 0.9 * reach[1]:
            offset = (2, 3) if place[1] else (2, -11)
            axes.annotate(
                number(10.0**power), place, xytext=offset, textcoords="offset points", fontsize=10, color=SOFT
            )
    axes.plot(0, 0, "+", color=INK, markersize=11, zorder=5)
    axes.plot(*START, "o", color=INK, markersize=6, zorder=5)
    for name, place in (("start", START), ("minimum", (0, 0))):
        axes.annotate(words.say(f"page.valley.{name}"), place, xytext=(6, 6), textcoords="offset points", fontsize=11,
                      color=INK, zorder=6)  # fmt: skip
    axes.xaxis.set_major_formatter(number)
    axes.yaxis.set_major_formatter(number)
    name_axes(axes, "x", "y")
