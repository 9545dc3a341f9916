"""Plots of a study and of a sweep: values in their order, against each setting, and on the map of timescales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from downslope.core.number_text import number_text, percent_text
from downslope.plot.charts import points as curve
from downslope.plot.svg import INK, LINES, SIZE, SOFT, WARN, Plot, as_html, begin, number, style

_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "settled": ("o", {"marks": "dot"}),
    "falling": ("o", {"marks": "open"}),
    "diverged": ("x", {"marks": "cross"}),
    "best": ("D", {"marks": "diamond", "colour": 1}),
}
"""How a trial is marked, drawn beforehand and by the page's script."""


@dataclass(frozen=True)
class Dot:
    """A trial on a plot.

    Attributes:
        x: Where it lies; of words their place among them.
        y: The metric; NaN where it diverged.
        mark: "diverged", "falling", "settled" or "best".
        name: What to call it.
    """

    x: float
    y: float
    mark: str
    name: str = ""


def draw_dots(
    key: str,
    title: str,
    caption: str,
    dots: Sequence[Dot],
    *,
    axis: str,
    log: bool = False,
    words: Sequence[str] = (),
    best_so_far: bool | None = None,
) -> Plot:
    """Return values against a setting or against their order.

    Args:
        key: What makes its ids its own.
        title: Its title.
        caption: What it shows.
        dots: The trials.
        axis: What x is.
        log: Whether x is logarithmic.
        words: What stands at x = 0, 1, ...; empty where x is a number.
        best_so_far: Whether a line joins the best so far, and whether larger is better; None for no line.
    """
    finite = [dot for dot in dots if math.isfinite(dot.y)]
    line = _best_so_far(dots, largest=best_so_far) if best_so_far is not None and finite else []
    lines = [curve("best so far", *_stairs([dot.x for dot in dots], line), colour=7)] if line else []
    for mark, (_, look) in _LOOKS.items():
        some = [dot for dot in dots if (dot.mark if math.isfinite(dot.y) else "diverged") == mark]
        places, heights = [dot.x for dot in some], [dot.y for dot in some]
        lines += [curve(mark, places, heights, labels=[dot.name for dot in some], **look)] if some else []
    about_x = {"name": axis, "log": log} | ({"words": list(words)} if words else {})
    chart = (key, {"title": title, "height": "value", "axis": about_x, "lines": lines})
    with style("the page of a study"):
        figure, axes = begin()
        if log:
            axes.set_xscale("log")
        if line:
            axes.step([dot.x for dot in dots], line, where="post", color=SOFT, linewidth=1.2, zorder=1)
        _scatter(axes, finite, [dot.y for dot in finite])
        bottom = [dot.x for dot in dots if not math.isfinite(dot.y)]
        axes.plot(bottom, [0.02] * len(bottom), "x", color=WARN, markersize=6, transform=axes.get_xaxis_transform())
        _finish(axes, axis, words)
        about = f"{len(dots)} trials against {axis}"
        if finite:
            about += f"; from {number_text(min(d.y for d in finite))} to {number_text(max(d.y for d in finite))}."
        return Plot(title, caption, as_html(figure, key, title, about, SIZE), chart=chart)


def _best_so_far(dots: Sequence[Dot], *, largest: bool) -> list[float]:
    """Return the best value up to each dot, NaN before the first that has one."""
    pick, best, found = (max if largest else min), math.nan, list[float]()
    for dot in dots:
        best = dot.y if math.isnan(best) else best if math.isnan(dot.y) else pick(best, dot.y)
        found.append(best)
    return found


def _stairs(places: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the corners of a line that keeps each value up to the next place."""
    pairs = list(zip(places, values, strict=True))
    corners = [pairs[0]] if pairs else []
    for (_, before), (place, value) in pairwise(pairs):
        corners += [(place, before), (place, value)]
    return [place for place, _ in corners], [value for _, value in corners]


def draw_map(dots: Sequence[tuple[float, float, Dot]]) -> Plot:
    """Return trials over effective lr and timescale, each (effective lr, epochs, trial); larger is better."""
    title = "Effective lr and timescale"
    with style("the page of a study"):
        figure, axes = begin()
        axes.set_xscale("log")
        axes.set_yscale("log")
        lost = [one for one in dots if one[2].mark == "diverged" or not math.isfinite(one[2].y)]
        ranked = sorted((one for one in dots if one not in lost), key=lambda one: one[2].y)
        for place, (x, y, dot) in enumerate(ranked):
            share = (place + 1) / len(ranked)
            best = dot.mark == "best"
            axes.plot(x, y, "D" if best else "o", color=LINES[1] if best else LINES[0], alpha=1.0 if best else share,
                      markersize=9 if best else 3 + 5 * share, zorder=2 + best)  # fmt: skip
        axes.plot([one[0] for one in lost], [one[1] for one in lost], "x", color=WARN, markersize=6)
        axes.set_ylabel("weights forget over, epochs", color=SOFT)
        _finish(axes, "effective lr", ())
        axes.yaxis.set_major_formatter(number)
        caption = "The better a trial, the larger and darker; the diamond is the best, a cross diverged."
        svg = as_html(figure, "map", title, f"{len(dots)} trials.", SIZE)
    kinds = {"settled": [one for one in ranked if one[2].mark != "best"],
             "best": [one for one in ranked if one[2].mark == "best"], "diverged": lost}  # fmt: skip
    lines = [
        curve(kind, [one[0] for one in some], [one[1] for one in some], labels=[one[2].name for one in some],
               sizes=[1.5 + 2.5 * (ranked.index(one) + 1) / len(ranked) if one in ranked else 3 for one in some],
               **_LOOKS[kind][1])
        for kind, some in kinds.items() if some
    ]  # fmt: skip
    about = {"name": "effective lr", "log": True}
    chart = {"title": title, "height": "epochs", "axis": about, "log": True, "lines": lines}
    return Plot(title, caption, svg, chart=("map", chart))


def draw_bars(title: str, caption: str, bars: Sequence[tuple[str, float]]) -> Plot:
    """Return shares of a whole as bars, the first at the top."""
    with style("the page of a study"):
        figure, axes = begin(left=150)
        names, values = [name for name, _ in bars][::-1], [value for _, value in bars][::-1]
        axes.barh(names, values, color=LINES[0], height=0.55)
        axes.set_xlim(0, 1)
        for place, value in enumerate(values):
            axes.annotate(percent_text(value, 0), (value, place), xytext=(4, -4), textcoords="offset points", color=INK)
        axes.xaxis.set_major_formatter(number)
        told = ", ".join(f"{name} {percent_text(value, 0)}" for name, value in bars)
        return Plot(title, caption, as_html(figure, "importances", title, told, SIZE))


def draw_spread(
    key: str, title: str, caption: str, points: Sequence[tuple[float, Sequence[float]]], *, axis: str, log: bool,
    words: Sequence[str] = (),
) -> Plot:  # fmt: skip
    """Return the values of several runs at each x, their mean, and the line through the means."""
    with style("the page of a sweep"):
        figure, axes = begin()
        if log:
            axes.set_xscale("log")
        whole = [(x, values) for x, values in points if values]
        for x, values in whole:
            axes.plot([x] * len(values), values, "o", color=LINES[0], alpha=0.45, markersize=5)
        means = [sum(values) / len(values) for _, values in whole]
        axes.plot([x for x, _ in whole], means, "-" if not words else "", color=LINES[0], linewidth=1.2)
        axes.plot([x for x, _ in whole], means, "_", color=LINES[1], markersize=16, markeredgewidth=2)
        lost = [x for x, values in points if not values]
        axes.plot(lost, [0.02] * len(lost), "x", color=WARN, markersize=6, transform=axes.get_xaxis_transform())
        _finish(axes, axis, words)
        told = "; ".join(f"{number_text(m)}" for m in means)
        svg = as_html(figure, key, title, f"Means in order: {told}.", SIZE)
    places, ends = [x for x, values in whole for _ in values], [value for _, values in whole for value in values]
    at = [x for x, _ in whole]
    lines = [curve("runs", places, ends, marks="dot", alpha=0.45), curve("mean", at, means, colour=1, marks="bar")]
    lines += [curve("diverged", lost, [math.nan] * len(lost), marks="cross")] if lost else []
    lines += [curve("through the means", at, means)] if not words else []
    about = {"name": axis, "log": log} | ({"words": list(words)} if words else {})
    return Plot(title, caption, svg, chart=(key, {"title": title, "height": "value", "axis": about, "lines": lines}))


def _scatter(axes: Any, dots: Sequence[Dot], ys: Sequence[float]) -> None:
    looks: dict[str, dict[str, Any]] = {
        "settled": {"color": LINES[0]},
        "falling": {"color": LINES[0], "markerfacecolor": "none"},
        "diverged": {"color": WARN},
        "best": {"color": LINES[1], "markersize": 8, "zorder": 4},
    }
    for dot, y in zip(dots, ys, strict=True):
        marker, look = _LOOKS[dot.mark][0], looks[dot.mark]
        axes.plot(dot.x, y, marker, **{"markersize": 5, "zorder": 3, **look})


def _finish(axes: Any, axis: str, words: Sequence[str]) -> None:
    from matplotlib import ticker

    if words:
        axes.set_xticks(range(len(words)), words)
        axes.set_xlim(-0.5, len(words) - 0.5)
    else:
        axes.xaxis.set_major_formatter(number)
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_formatter(number)
    axes.set_xlabel(axis, loc="right", color=SOFT)


def draw_range(lrs: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], chosen: float) -> Plot:
    """Return the losses of a range test over its lr, cut where they leave the picture, and the lr that is suggested."""
    with style("the page of a range test"):
        figure, axes = begin()
        axes.set_xscale("log")
        axes.plot(lrs, losses, color=LINES[0], alpha=0.3, linewidth=0.8)
        axes.plot(lrs[: len(smoothed)], smoothed, color=LINES[0], linewidth=1.8)
        axes.axvline(chosen, color=LINES[1], linewidth=1.2)
        low, high = min(smoothed), max(smoothed[: max(len(smoothed) // 3, 1)])
        axes.set_ylim(low - 0.1 * (high - low), high + 0.6 * (high - low))
        _finish(axes, "lr", ())
        title, caption = "Training loss", "Faint: each step; line: smoothed; upright: the lr suggested."
        told = f"Smoothed from {number_text(smoothed[0])} to {number_text(low)}; suggested {number_text(chosen)}."
        svg = as_html(figure, "range", title, told, SIZE)
    lines = [curve("each step", lrs, losses, alpha=0.35), curve("smoothed", lrs[: len(smoothed)], smoothed)]
    frame = [low - 0.1 * (high - low), high + 0.6 * (high - low)]
    about = {"name": "lr", "log": True}
    chart = {"title": title, "height": "loss", "axis": about, "lines": lines, "uprights": [chosen], "heights": frame}
    return Plot(title, caption, svg, chart=("range", chart))
