"""Plots of a study and of a sweep: values in their order, against each setting, and on the map of timescales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from downslope.core.number_text import number_text, percent_text
from downslope.plot.svg import INK, LINES, SIZE, SOFT, WARN, Plot, as_html, begin, number, style


@dataclass(frozen=True)
class Dot:
    """A trial on a plot.

    Attributes:
        x: Where it lies; of words their place among them.
        y: The metric; NaN where it diverged.
        mark: "diverged", "falling", "settled" or "best".
    """

    x: float
    y: float
    mark: str


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
    with style("the page of a study"):
        figure, axes = begin()
        if log:
            axes.set_xscale("log")
        finite = [dot for dot in dots if math.isfinite(dot.y)]
        if best_so_far is not None and finite:
            pick, best, line = (max if best_so_far else min), math.nan, list[float]()
            for dot in dots:
                best = dot.y if math.isnan(best) else best if math.isnan(dot.y) else pick(best, dot.y)
                line.append(best)
            axes.step([dot.x for dot in dots], line, where="post", color=SOFT, linewidth=1.2, zorder=1)
        _scatter(axes, finite, [dot.y for dot in finite])
        bottom = [dot.x for dot in dots if not math.isfinite(dot.y)]
        axes.plot(bottom, [0.02] * len(bottom), "x", color=WARN, markersize=6, transform=axes.get_xaxis_transform())
        _finish(axes, axis, words)
        about = f"{len(dots)} trials against {axis}"
        if finite:
            about += f"; from {number_text(min(d.y for d in finite))} to {number_text(max(d.y for d in finite))}."
        return Plot(title, caption, as_html(figure, key, title, about, SIZE))


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
        return Plot(title, caption, as_html(figure, "map", title, f"{len(dots)} trials.", SIZE))


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
        return Plot(title, caption, as_html(figure, key, title, f"Means in order: {told}.", SIZE))


def _scatter(axes: Any, dots: Sequence[Dot], ys: Sequence[float]) -> None:
    looks: dict[str, tuple[str, dict[str, Any]]] = {
        "settled": ("o", {"color": LINES[0]}),
        "falling": ("o", {"color": LINES[0], "markerfacecolor": "none"}),
        "diverged": ("x", {"color": WARN}),
        "best": ("D", {"color": LINES[1], "markersize": 8, "zorder": 4}),
    }
    for dot, y in zip(dots, ys, strict=True):
        marker, look = looks[dot.mark]
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
        return Plot(title, caption, as_html(figure, "range", title, told, SIZE))
