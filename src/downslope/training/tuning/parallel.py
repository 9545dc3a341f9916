"""Parallel coordinates: each trial a line across all that is searched and what it came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from downslope.plot.charts import points
from downslope.plot.svg import LINES, SOFT, WARN, Plot, as_html, begin, style

_SIZE = (900, 320)


@dataclass(frozen=True)
class Upright:
    """One of the upright axes: its name, and what stands at its foot and at its top."""

    name: str
    foot: str
    top: str


@dataclass(frozen=True)
class Strand:
    """A trial: what to call it, its height on each axis from 0 to 1 (NaN where it has none), and how it went."""

    name: str
    heights: Sequence[float]
    mark: str


def draw_parallel(uprights: Sequence[Upright], strands: Sequence[Strand]) -> Plot:
    """Return trials as lines across upright axes, the last of which is what they are judged by; the best last."""
    title = "Trial by trial"
    caption = (
        "A line is a trial: the better, the darker; orange is the best, red diverged. The last axis is the metric."
    )
    ranked = sorted((one for one in strands if one.mark != "diverged"), key=lambda one: one.heights[-1])
    lost = [one for one in strands if one.mark == "diverged"]
    looks = [(one, LINES[0], 0.12 + 0.5 * place / max(len(ranked), 1)) for place, one in enumerate(ranked)]
    looks = [*((one, WARN, 0.35) for one in lost), *looks]
    looks = [(one, LINES[1], 1.0) if one.mark == "best" else (one, colour, alpha) for one, colour, alpha in looks]
    looks.sort(key=lambda item: item[0].mark == "best")
    places = range(len(uprights))
    with style("the page of a study"):
        figure, axes = begin(_SIZE)
        axes.grid(visible=False)
        axes.set_ylim(-0.12, 1.12)
        axes.set_xlim(-0.3, len(uprights) - 0.7)
        for at, one in enumerate(uprights):
            axes.plot([at, at], [0, 1], color=SOFT, linewidth=0.8, zorder=1)
            for text, height, side in ((one.foot, -0.03, "top"), (one.top, 1.03, "bottom")):
                axes.text(at, height, text, ha="center", va=side, fontsize=10, color=SOFT)
        for one, colour, alpha in looks:
            axes.plot(places, one.heights, color=colour, alpha=alpha, linewidth=2.2 if one.mark == "best" else 1.1)
        axes.set_xticks(list(places), [one.name for one in uprights])
        axes.set_yticks([])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        svg = as_html(figure, "parallel", title, f"{len(strands)} trials across {len(uprights)} axes.", _SIZE)
    lines = [
        points(one.name, list(places), one.heights, labels=[one.name] * len(one.heights), marks="dot", joined=True,
               size=2.4, alpha=alpha, colour=1 if colour == LINES[1] else 0, lost=colour == WARN)
        for one, colour, alpha in looks
    ]  # fmt: skip
    about = {"name": "", "words": [one.name for one in uprights], "ends": [[one.foot, one.top] for one in uprights]}
    chart = {"title": title, "height": "place", "axis": about, "lines": lines, "heights": [-0.12, 1.12], "wide": True}
    return Plot(title, caption, svg, chart=("parallel", chart))


def share(value: float, least: float, most: float) -> float:
    """Return where a value lies between two others, from 0 to 1; the middle where they are the same."""
    return math.nan if math.isnan(value) else 0.5 if most == least else (value - least) / (most - least)
