"""What holds for every schedule, over schedules drawn at random."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st

from downslope.core.errors import SettingsError
from downslope.core.schedules import SCHEDULES
from downslope.schedules import (
    Constant,
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Sequence,
    Warmup,
    WarmupStableDecay,
)

values = st.floats(0, 10) | st.sampled_from([0.1, 0.3, 0.7, 0.85, 0.95])
lengths = st.integers(1, 1000) | st.decimals("0.01", "400", places=2).map(float) | st.floats(0.01, 1000)
units = st.sampled_from(["step", "epoch"])
increasing = st.lists(lengths, min_size=1, max_size=4, unique=True).map(lambda times: tuple(sorted(times)))
shapes = st.sampled_from(["linear", "cosine"])


@st.composite
def exponentials(draw):
    """Draw decay with or without a floor, or growth up to a ceiling."""
    initial, every, unit, staircase = draw(values), draw(lengths), draw(units), draw(st.booleans())
    rate = draw(st.floats(0.01, 1.0) if initial == 0 or draw(st.booleans()) else st.floats(1.01, 50.0))
    if rate > 1:
        end = initial * draw(st.floats(1.0, 1e6))
    else:
        end = draw(st.none() | st.floats(0.0, 1.0).map(lambda part: part * initial)) if rate < 1 else None
    return Exponential(initial, rate, every, unit, staircase, end)


@st.composite
def one_cycles(draw):
    """Draw a cycle whose last value is no float but 0 only where its peak is 0: others are refused."""
    peak, first, last = draw(values), draw(st.floats(1, 100)), draw(st.floats(1, 1e5))
    assume(peak == 0 or peak / first / last > 0)
    return OneCycle(peak, draw(lengths), draw(units), draw(st.floats(0.01, 0.99)), first, last, draw(shapes))


simple = st.one_of(
    st.builds(Constant, values),
    exponentials(),
    st.builds(MultiStep, values, st.floats(0.01, 3.0), increasing, units),
    st.builds(Linear, values, values, lengths, units),
    st.builds(Polynomial, values, values, lengths, units, st.floats(0.1, 5.0)),
    st.builds(Cosine, values, values, lengths, units),
    st.builds(Inverse, values, st.floats(0, 5), st.floats(0.1, 3.0), units),
    one_cycles(),
    st.builds(WarmupStableDecay, values, lengths | st.just(0), lengths | st.just(0), lengths, units, values, values)
    | st.builds(WarmupStableDecay, values, lengths, lengths, lengths, units, shape=st.just("sqrt")),
)


@st.composite
def sequences(draw, pieces):
    """Draw a sequence with one piece more than boundaries."""
    boundaries = draw(increasing)
    return Sequence(tuple(draw(pieces) for _ in range(len(boundaries) + 1)), boundaries, draw(units))


def composite(pieces):
    """Draw what is made of the given pieces."""
    warmups = st.builds(Warmup, lengths | st.just(0), pieces, values, units, st.booleans())
    return warmups | sequences(pieces)


schedules = st.recursive(simple, composite, max_leaves=4)
steps = st.integers(0, 2000) | st.integers(0, 10**7)
epochs = st.sampled_from([1, 7, 100, 391])


def lost(schedule, steps_per_epoch):
    """Whether, in steps, a speed is 0 for a float that was not, or two times are one."""
    if getattr(schedule, "unit", "step") == "epoch":
        if isinstance(schedule, Inverse) and schedule.gamma and _decimal(schedule.gamma) / steps_per_epoch < TIE:
            return True
        for name in ("milestones", "boundaries"):
            times = getattr(schedule, name, ())
            if len({float(_decimal(time) * steps_per_epoch) for time in times}) < len(times):
                return True
    return any(lost(inner, steps_per_epoch) for inner in schedule.inner())


TIE = Fraction(1, 2**1075)
"""Half the smallest float: below it, 0 is nearer."""


def resolve(schedule, steps_per_epoch):
    """Return a schedule in steps; where a number of it is lost so, it must be refused, and the case is over."""
    if lost(schedule, steps_per_epoch):
        with pytest.raises(SettingsError, match="this would be another schedule"):
            schedule.in_steps(steps_per_epoch)
        reject()
    return schedule.in_steps(steps_per_epoch)


def test_strategy_draws_every_schedule():
    """A schedule added to the table must be drawn here too."""
    assert set(SCHEDULES.values()) == {
        Constant,
        Cosine,
        Exponential,
        Inverse,
        Linear,
        MultiStep,
        OneCycle,
        Polynomial,
        Sequence,
        Warmup,
        WarmupStableDecay,
    }


@given(schedules, epochs, steps)
@example(Linear(0.1, 0.3, 10), 1, 0)
@example(Linear(0.9, 0.9, 7), 1, 3)
@example(Exponential(1e-3, 2.0, 1, end=0.1), 1, 2000)
@example(Exponential(1e-3, 2.0, 1, end=1e-3), 1, 20)
def test_values_lie_within_extremes(schedule, steps_per_epoch, step):
    """At no step is a value outside `extremes`, not by a rounding: the ranges of settings are checked on them."""
    low, high = schedule.extremes()
    resolve(schedule, steps_per_epoch)
    assert low <= schedule(step, steps_per_epoch=steps_per_epoch) <= high


@given(schedules, epochs)
@example(Inverse(1.0, 5e-324, 1.0, "epoch"), 7)
@example(Inverse(1.0, 3.5e-323, 1.0, "epoch"), 7)
def test_extremes_and_reference_do_not_depend_on_the_unit(schedule, steps_per_epoch):
    """Resolving epochs changes lengths alone."""
    resolved = resolve(schedule, steps_per_epoch)
    assert resolved.extremes() == schedule.extremes()
    assert resolved.reference == schedule.reference


@given(schedules, epochs, st.lists(steps, min_size=1, max_size=5))
def test_integers_and_arrays_agree_bit_for_bit(schedule, steps_per_epoch, some):
    """Asked for many steps at once, a schedule gives the numbers it gives one by one."""
    schedule = resolve(schedule, steps_per_epoch)
    assert schedule(np.array(some)).tolist() == [schedule(step) for step in some]


@given(schedules, epochs, epochs)
def test_in_steps_is_idempotent(schedule, steps_per_epoch, other):
    """Once in steps, a schedule stays as it is, however long an epoch is then said to be."""
    resolved = resolve(schedule, steps_per_epoch)
    assert not resolved.in_epochs()
    assert resolved.in_steps(other) is resolved
    assert type(resolved) is type(schedule)


@given(schedules, epochs, steps)
def test_value_in_epochs_is_that_in_steps(schedule, steps_per_epoch, step):
    """Passing steps_per_epoch is the same as resolving first."""
    resolved = resolve(schedule, steps_per_epoch)
    assert schedule(step, steps_per_epoch=steps_per_epoch) == resolved(step)


@given(schedules)
def test_schedules_are_frozen_values(schedule):
    """Schedules hash, compare, copy, pickle and print as values, and nothing about them can be set."""
    twins = [
        copy.copy(schedule),
        copy.deepcopy(schedule),
        pickle.loads(pickle.dumps(schedule)),
        dataclasses.replace(schedule),
        eval(repr(schedule)),  # noqa: S307 - the repr is the constructor's call
    ]
    assert all(twin == schedule for twin in twins)
    assert len({schedule, *twins}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.unit = "step"


@given(simple.filter(lambda s: not isinstance(s, OneCycle | WarmupStableDecay)), epochs)
def test_simple_schedules_start_exactly_at_their_initial_value(schedule, steps_per_epoch):
    """Step 0 has the initial value itself, not a rounding of it."""
    resolve(schedule, steps_per_epoch)
    assert schedule(0, steps_per_epoch=steps_per_epoch) == schedule.reference


@given(simple, epochs)
def test_schedules_with_a_last_value_end_exactly_there(schedule, steps_per_epoch):
    """From the first whole step at or after its end, a schedule has exactly its final value."""
    resolved = resolve(schedule, steps_per_epoch)
    if isinstance(resolved, Linear | Polynomial | Cosine):
        end, final = resolved.duration, resolved.final
    elif isinstance(resolved, OneCycle):
        end, final = resolved.duration, resolved.peak / resolved.div_factor / resolved.final_div_factor
    elif isinstance(resolved, WarmupStableDecay):
        exact = sum(map(_decimal, (resolved.warmup, resolved.stable, resolved.decay)))
        end, final = exact, resolved.final
    else:
        return
    assert [resolved(math.ceil(end) + more) for more in (0, 1, 10**6)] == [final] * 3


def _decimal(number):
    return Fraction(repr(number))


@given(schedules, epochs, steps)
def test_values_depend_on_the_step_alone(schedule, steps_per_epoch, step):
    """Asking out of order, or twice, changes nothing: there is no hidden count."""
    resolve(schedule, steps_per_epoch)
    fresh = pickle.loads(pickle.dumps(schedule))
    once = schedule(step, steps_per_epoch=steps_per_epoch)
    schedule(0, steps_per_epoch=steps_per_epoch)
    assert schedule(step, steps_per_epoch=steps_per_epoch) == once == fresh(step, steps_per_epoch=steps_per_epoch)


def test_every_schedule_has_its_own_name():
    """The word in a recipe finds the class, and each is documented field by field."""
    for name, schedule in SCHEDULES.items():
        assert schedule.name == name
        assert issubclass(schedule, Schedule)
        for field in dataclasses.fields(schedule):
            assert f"\n    {field.name}: " in inspect.getdoc(schedule), (
                f"{schedule.__name__}.{field.name} is undocumented"
            )
