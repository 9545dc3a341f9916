"""Where the axes of a report's panels begin, and when they are logarithmic: what a reader must be able to see."""

from __future__ import annotations

import numpy as np
import pytest

from downslope.training.report.panels import _frame_from, line_of, wants_log
from downslope.training.report.series import collect


def line(values, every=1, style="line"):
    """Return a line through values at the steps 0, `every`, 2 `every`, ..."""
    rows = [{"step": every * index, "x": value} for index, value in enumerate(values)]
    return line_of("run", collect(rows, "x"), 0, style)[0]


LONG = line([0.1, 0.5, *np.linspace(0.95, 0.98, 50)], every=40)
"""An accuracy that is near its end after a tenth of its 2,040 steps."""


def test_the_beginning_of_a_long_run_may_lie_below_the_frame():
    """The values from a tenth of the run on decide: at step 204 it has 0.95 and more behind it."""
    assert _frame_from([LONG]) == pytest.approx(0.9524, abs=1e-3)


@pytest.mark.parametrize("end", [0.92, 0.07])
def test_a_run_that_ended_early_stays_in_the_frame(end):
    """A run of 80 steps ends before a tenth of the long one; its end is no beginning."""
    frame = _frame_from([LONG, line([0.05, end, end], every=40)])
    assert frame is None or frame <= end


def test_a_run_that_diverged_is_drawn_by_logarithms():
    """Held-out losses of 3e3, 1.8e17 and 288: on a linear axis all but one would lie on the axis."""
    assert wants_log([line([3e3, 1.8e17, 288.0], style="dots")])
    assert wants_log([line([0.3, 0.2, 0.1] * 20), line([3e3, 1.8e17, 288.0])])
    assert wants_log([line([2.0, *np.geomspace(1e5, 1e32, 100)])])
    assert wants_log([line([2.0, 0.0, *np.geomspace(1e5, 1e32, 100)])])  # a batch that it answered without doubt


def test_a_cosine_that_ends_near_zero_is_not():
    """By logarithms it would be nothing but its last steps; half of it is above half of its height."""
    steps = np.arange(1000)
    assert not wants_log([line(0.1 * (1 + np.cos(np.pi * steps / 1000)) / 2)])


def test_what_has_no_logarithm_has_no_logarithmic_axis():
    """Zeros among values of one size, nothing but zeros, and negative values, however large."""
    assert not wants_log([line([0.0, 1.0, 2.0, 3.0])])
    assert not wants_log([line([0.0, 0.0])])
    assert not wants_log([line([-1e-9, 1.0, 1e12])])
