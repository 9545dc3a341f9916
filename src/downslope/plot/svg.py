"""Plots as SVG inside a page: their colours are the page's, light or dark, and their text stays text."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from downslope.core.errors import MissingDependencyError
from downslope.core.number_text import number_text

_COORDINATE = re.compile(r"(\d\.\d\d)\d+")

COLOURS = 8
"""How many colours for lines the style sheet has."""

# Stand-ins that matplotlib accepts as colours; each becomes a variable of the page's style sheet.
INK, SOFT, GRID, PAPER, WARN = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05"
LINES = tuple(f"#0c0d{index:02x}" for index in range(COLOURS))
_VARIABLES = {INK: "--ink", SOFT: "--soft", GRID: "--rule", PAPER: "--paper", WARN: "--warn"} | {
    colour: f"--line-{index}" for index, colour in enumerate(LINES)
}

_STYLE = {
    "svg.hashsalt": "downslope",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 11,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.solid_capstyle": "round",
    "path.simplify": False,
}


@contextmanager
def style(what: str) -> Iterator[None]:
    """Draw with our settings, whatever a person's own matplotlibrc says; `what` is being made ("a report").

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    try:
        import matplotlib.style
    except ImportError:
        raise MissingDependencyError(
            f'{what} needs matplotlib. Install it with: pip install "downslope[plot]"'
        ) from None
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # Text stays text, so that the browser's fonts draw it: that matplotlib's own lacks Chinese does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def number(value: float, _: Any = None) -> str:
    """Return the label of a tick: 20k for 20,000, and from a billion on the power of ten, 2e22.

    Example:
        >>> [number(value) for value in (9000, 20_000, 2.5e6, 8e8, 1.5e9, 1e22)]
        ['9000', '20k', '2.5M', '800M', '1.5e9', '1e22']
    """
    if 10_000 <= abs(value) < 1e9:
        scale, suffix = (1e6, "M") if abs(value) >= 1e6 else (1e3, "k")
        return f"{number_text(value / scale)}{suffix}"
    return number_text(value)


def as_html(figure: Any, key: str, title: str, description: str, size: tuple[int, int]) -> str:
    """Return a figure as an ``<svg>`` element.

    Args:
        figure: The figure.
        key: What makes its ids different from those of the page's other plots.
        title: Its title, for those who cannot see it.
        description: What it shows, for the same.
        size: Width and height in the units of its text.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)
    body = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    body = body[body.index(">", body.index("<svg")) + 1 :]
    body = body.replace("xlink:href", "href")
    body = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{key}-", body)
    # coordinates to a hundredth of a pixel: half the size; numbers in text are left alone
    body = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', lambda found: _COORDINATE.sub(r"\1", found[0]), body)
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, f"var({variable})")
    # alone on a wide page it would grow until its letters are a headline's
    widest = f"max-width: {size[0] * 3 // 2}px"
    return (
        f'<svg class="plot" style="{widest}" viewBox="0 0 {size[0]} {size[1]}" role="img" '
        f'aria-labelledby="{key}-title {key}-about">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-about">{escape(description)}</desc>{body}'
    )


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
        chart: What the page's script draws in its place, by a key of its own; None where it stays as it is.
    """

    title: str
    caption: str
    svg: str
    key: tuple[tuple[int | None, str], ...] = ()
    chart: tuple[str, dict[str, Any]] | None = None


def begin(
    size: tuple[int, int] = SIZE, *, left: int = 52, right: int = 16, top: int = 12, bottom: int = 42
) -> tuple[Any, Any]:
    """Return (figure, axes), empty, with so much room on each side."""
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure(figsize=(width / 72, height / 72), facecolor="none")
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    axes: Any = figure.add_axes(box, facecolor="none")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def tick_powers(axis: Any, most: int, subs: Sequence[float] = (1.0,)) -> None:
    """Give a logarithmic axis its ticks: at most so many, at powers of ten times each of `subs`, none between them."""
    from matplotlib import ticker

    axis.set_major_locator(ticker.LogLocator(subs=subs, numticks=most))
    axis.set_minor_locator(ticker.NullLocator())


def name_axes(axes: Any, x: str, y: str = "") -> None:
    """Write what the axes are: x below at the right, y above at the left."""
    axes.set_xlabel(x, loc="right", fontsize=11, color=SOFT, labelpad=3)
    if y:
        axes.set_ylabel(y, loc="top", fontsize=11, color=SOFT, labelpad=4)
