"""Smoothing and thinning of curves: what must survive them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope.training.report.series import Series, collect, smooth, smoothing_window, thin, without_repeats

VALUES = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=400)


def series_of(values):
    """Return a series of values at the steps 0, 1, 2, ..."""
    return collect([{"step": step, "x": value} for step, value in enumerate(values)], "x")


def test_words_for_numbers_become_gaps():
    """The log's "nan", "inf" and "-inf" are gaps, each remembered with its step; rows without the name are left out."""
    rows = [
        {"step": 3, "x": "nan"},
        {"step": 5, "x": 2},
        {"step": 7, "x": "-inf"},
        {"step": 9},
        {"step": 11, "x": "inf"},
    ]
    series = collect(rows, "x")
    assert series.steps.tolist() == [3, 5, 7, 11]
    assert np.isnan(series.values).tolist() == [True, False, True, True]
    assert series.nonfinite.tolist() == [3, 7, 11]
    assert series.last() == (2.0, 5)


def test_best_is_the_first_of_equals():
    """The best value is given with the first step that reached it."""
    series = series_of([3.0, 1.0, float("nan"), 1.0, 2.0])
    assert series.best(largest=False) == (1.0, 1)
    assert series.best(largest=True) == (3.0, 0)
    assert series_of([float("nan")]).best(largest=True) is None


def test_smoothing_by_hand():
    """A window of 3: its mean in the middle, the value itself at the beginning, a mean of two at the end."""
    assert smooth(series_of([1.0, 2.0, 6.0, 4.0]), 3).values.tolist() == [1.0, 3.0, 4.0, 5.0]


def test_smoothing_leaves_gaps_out():
    """A gap stays a gap, and does not enter its neighbours' means."""
    values = smooth(series_of([1.0, 2.0, float("nan"), 4.0, 8.0]), 3).values
    np.testing.assert_allclose(values, [1.0, 1.5, np.nan, 6.0, 6.0])


@given(VALUES, st.integers(0, 30))
def test_smoothing_stays_between_the_extremes(values, half):
    """A mean lies between the smallest and the largest value."""
    series = series_of(values)
    means = smooth(series, 2 * half + 1).finite
    assert len(means) == len(series.finite)
    if len(means):
        room = 1e-9 * np.abs(series.finite).max() * len(values)
        assert series.finite.min() - room <= means.min()
        assert means.max() <= series.finite.max() + room


@given(st.integers(0, 10**6))
def test_windows_are_odd(count):
    """A centred window has a middle."""
    assert smoothing_window(count) % 2 == 1


@given(VALUES, st.integers(1, 20))
def test_thinning_keeps_extremes_ends_and_gaps(values, stretches):
    """However few points are left: both extremes, both ends, every kept point as it was, and gaps where there were."""
    whole = series_of(values)
    thinned = thin(whole, stretches)
    assert len(thinned) <= max(4 * stretches, 3 * stretches + 2)
    np.testing.assert_array_equal(thinned.values, whole.values[thinned.steps])
    assert {0, len(values) - 1} <= set(thinned.steps.tolist())
    assert np.isnan(thinned.values).any() == np.isnan(whole.values).any()
    if len(whole.finite):
        assert thinned.finite.min() == whole.finite.min()
        assert thinned.finite.max() == whole.finite.max()


def test_one_spike_in_many_survives():
    """A single extreme value among a hundred thousand is still there, at its step."""
    values = np.full(100_000, 0.5)
    values[54_321] = 77.0
    thinned = thin(Series(np.arange(100_000), values, np.array([], dtype=np.int64)), 1000)
    assert len(thinned) < 4000
    assert thinned.values[thinned.steps == 54_321].tolist() == [77.0]


@given(st.lists(st.sampled_from([1.0, 2.0, float("nan")]), min_size=1, max_size=60))
def test_leaving_out_repeats_draws_the_same_line(values):
    """Interpolated, a line without repeated points is the line with them."""
    whole = series_of(values)
    short = without_repeats(whole)
    for step, value in enumerate(values):
        left, right = short.steps.searchsorted(step, side="right") - 1, short.steps.searchsorted(step)
        ends = short.values[left], short.values[right]
        assert (np.isnan(value) and np.isnan(ends).any()) or ends == (pytest.approx(value), pytest.approx(value))
