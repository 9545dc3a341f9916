"""Labels of a plot stay short however large the numbers are, so that none lies over another or outside the picture."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draws import draws

pytest.importorskip("matplotlib")

from downslope.plot.svg import number
from downslope.training.report.panels import Line, Panel
from downslope.training.report.plots import draw
from downslope.training.report.series import Series


def labels(svg):
    """Return every text of a picture with its place, from left to right."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@settings(max_examples=draws(60), deadline=None)
@given(st.floats(min_value=1e-30, max_value=1e30), st.sampled_from([1, 1.5, 2, 2.5, 5]))
def test_a_tick_is_short(size, step):
    """A round number of any size has at most six characters: "2.5e22", "250k", "2.5e-7"."""
    tick = float(f"{step}e{int(np.floor(np.log10(size)))}")
    assert len(number(tick)) <= 7
    assert len(number(-tick)) <= 8
    read = number(tick).replace("\N{MINUS SIGN}", "-").replace("k", "e3").replace("M", "e6")
    assert float(read) == pytest.approx(tick, rel=1e-12)


@pytest.mark.parametrize("largest", [3e4, 7e8, 2.3e9, 1e22, 5.6e37, 1e300])
@pytest.mark.parametrize("log", [False, True])
def test_labels_of_a_run_that_diverged_fit(largest, log):
    """The labels of both axes and at the end of the line have at most seven characters, and no two are the same."""
    values = np.geomspace(1.0, largest, 30)
    series = Series(np.arange(30), values, np.array([], dtype=np.int64))
    line = Line(name="train", series=series, colour=0, style="line", whole=series)
    panel = Panel(key="loss", title="Loss", notes=[], lines=[line], log=log)
    found = [text for text in labels(draw(panel)) if re.search(r"\d", text)]
    assert len(found) > 8
    assert max(map(len, found)) <= 7
    at_left = [text for text in found if re.search(r"[ekM]", text)]
    assert len(set(at_left)) >= len(at_left) - 1  # the end of the line may be one of the ticks
