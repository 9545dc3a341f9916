"""A plot on a page, and the empty axes that every one begins with.

What lives here: those two. What does not: any particular plot, and how it becomes HTML (`svg.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from downslope.pages.svg import GRID, SOFT

SIZE = (440, 300)
"""Width and height of a plot, in the units of its text."""


@dataclass(frozen=True)
class Plot:
    """A plot with what stands beside it.

    Attributes:
        title: Its title.
        caption: What it shows, a sentence or more; "" for nothing to add.
        svg: The drawing.
        key: Names of what is drawn, as pairs (colour index or None, text).
        small: Whether it is one of several small ones.
    """

    title: str
    caption: str
    svg: str
    key: tuple[tuple[int | None, str], ...] = ()
    small: bool = False


def begin(size: tuple[int, int] = SIZE, *, left: int = 52, bottom: int = 42) -> tuple[Any, Any]:
    """Return (figure, axes), empty.

    Args:
        size: Width and height.
        left: Room on the left.
        bottom: Room below.
    """
    from matplotlib.figure import Figure

    width, height = size
    right, top = 16, 12
    figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    axes: Any = figure.add_axes(box, facecolor="none")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def name_axes(axes: Any, x: str, y: str = "") -> None:
    """Write what the axes are: x below at the right, y above at the left."""
    axes.set_xlabel(x, loc="right", fontsize=11, color=SOFT, labelpad=3)
    if y:
        axes.set_ylabel(y, loc="top", fontsize=11, color=SOFT, labelpad=4)
