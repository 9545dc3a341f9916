"""Walks down a valley: the rule itself on a quadratic, with and without momentum, with and without decay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from downslope.core.rule import sgd_rule
from downslope.core.settings import Settings
from downslope.pages.plot import Plot, begin
from downslope.pages.svg import INK, LINES, SOFT, as_html, style
from downslope.recipes.explaining.data import Explanation
from downslope.recipes.explaining.words import Words
from downslope.recipes.theory.forgetting import forgotten_per_step
from downslope.recipes.theory.stability import largest_lr_heavy_ball, largest_lr_nesterov
from downslope.recipes.theory.velocity import effective_lr

CURVATURES = (1.0, 30.0)
"""Of the valley: along it, and across it."""

MINIMUM, START = (1.0, 0.5), (-1.0, 1.0)
STEPS = 60
STRONG = 0.25
"""The decay that is drawn, as coupled: so strong that where it pulls to can be seen."""

_SIZE = (300, 210)


@dataclass(frozen=True)
class Walk:
    """One walk.

    Attributes:
        name: Name of the sentence that says what it is.
        settings: Its settings.
        points: Where it goes, START first.
    """

    name: str
    settings: Settings
    points: tuple[tuple[float, float], ...]


def walks_of(explanation: Explanation) -> list[Walk]:
    """Return the four walks: as the recipe, without momentum, without decay, without both.

    A recipe without momentum is shown with 0.9 too, and one without decay with a coupled one, so that there is
    something to compare. The lr is the recipe's largest, lowered until all four are stable.

    Args:
        explanation: The explanation.
    """
    given, peak = explanation.settings, explanation.peak
    momentum = peak.momentum or 0.9
    moving = {"momentum": momentum, "nesterov": given.nesterov, "dampening": given.dampening if peak.momentum else 0.0}
    still = {"momentum": 0.0, "nesterov": False, "dampening": 0.0}
    coupled = given.decay == "coupled"
    limits: list[float] = []
    for how in (moving, still):
        gain = effective_lr(1.0, how["momentum"], how["dampening"], nesterov=how["nesterov"])
        largest = largest_lr_nesterov if how["nesterov"] else largest_lr_heavy_ball
        decay = (STRONG, 0.0) if coupled else (0.0, STRONG * gain)
        limits.append(largest(CURVATURES[1], how["momentum"], decay[0], how["dampening"], per_lr=decay[1]))
    lr = min(peak.lr or 1.0, 0.6 * min(limits))
    base = Settings(lr=lr, decay=given.decay, lr_in_velocity=given.lr_in_velocity)
    found: list[Walk] = []
    names = ("this", "no_momentum", "no_decay", "neither")
    for name, how, decayed in zip(names, (moving, still, moving, still), (True, True, False, False), strict=True):
        settings = replace(base, **how)
        if decayed:
            settings = replace(settings, weight_decay=_strength(settings))
        found.append(Walk(f"page.path.{name}", settings, tuple(_walk(settings))))
    return found


def _strength(settings: Settings) -> float:
    """Return the weight decay that pulls as strongly as a coupled one of STRONG."""
    coupled = forgotten_per_step(replace(settings, weight_decay=STRONG, decay="coupled").at(0))
    once = forgotten_per_step(replace(settings, weight_decay=1.0).at(0))
    return coupled / once if once else STRONG


def _walk(settings: Settings) -> list[tuple[float, float]]:
    param, velocity = list(START), [0.0, 0.0]
    points = [START]
    for step in range(STEPS):
        now = settings.at(step, first=step == 0)
        for axis, curvature in enumerate(CURVATURES):
            grad = curvature * (param[axis] - MINIMUM[axis])
            delta, velocity[axis] = sgd_rule(param[axis], grad, velocity[axis], now)
            param[axis] += delta
        points.append((param[0], param[1]))
    return points


def draw_paths(explanation: Explanation, words: Words) -> list[Plot]:
    """Return the four walks as small plots.

    Args:
        explanation: The explanation.
        words: The language.
    """
    walks = walks_of(explanation)
    xs = [x for walk in walks for x, _ in walk.points] + [0.0]
    ys = [y for walk in walks for _, y in walk.points] + [0.0]
    box = (min(xs) - 0.15, max(xs) + 0.15, min(ys) - 0.1, max(ys) + 0.1)
    plots: list[Plot] = []
    for index, walk in enumerate(walks):
        title = words.say(walk.name)
        with style("a page"):
            figure, axes = begin(_SIZE, left=14, bottom=14)
            _draw_valley(axes, box)
            axes.plot(
                *zip(*walk.points, strict=True), "-o", color=LINES[index], linewidth=1.1, markersize=2.6, zorder=3
            )
            axes.plot(0, 0, "+", color=INK, markersize=9)
            axes.annotate("0", (0, 0), xytext=(4, -11), textcoords="offset points", fontsize=10, color=INK)
            end = ", ".join(f"{value:.2f}" for value in walk.points[-1])
            svg = as_html(figure, f"walk-{index}", title, f"({end})", _SIZE)
        plots.append(Plot(title, "", svg, small=True))
    return plots


def describe_paths(explanation: Explanation, words: Words) -> str:
    """Return what the walks are, in words.

    Args:
        explanation: The explanation.
        words: The language.
    """
    settings = walks_of(explanation)[0].settings
    momentum = words.say("page.paths.momentum", momentum=settings.momentum)
    return words.say("page.paths.caption", steps=STEPS, decay=STRONG, lr=settings.lr, momentum=momentum)


def _draw_valley(canvas: Any, box: tuple[float, float, float, float]) -> None:
    """Draw rings of equal loss."""
    import numpy as np

    left, right, low, high = box
    x, y = np.meshgrid(np.linspace(left, right, 60), np.linspace(low, high, 60))
    loss = CURVATURES[0] * (x - MINIMUM[0]) ** 2 / 2 + CURVATURES[1] * (y - MINIMUM[1]) ** 2 / 2
    canvas.contour(x, y, loss, levels=[0.05, 0.2, 0.5, 1, 2, 4, 8, 16], colors=SOFT, linewidths=0.6, alpha=0.6)
    canvas.grid(visible=False)
    canvas.set_xlim(left, right)
    canvas.set_ylim(low, high)
    canvas.set_xticks([])
    canvas.set_yticks([])
    for spine in canvas.spines.values():
        spine.set_visible(False)
