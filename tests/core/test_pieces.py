"""The pieces of schedules: where they turn, found in either direction without listing all, and their formulas."""

import math
from itertools import islice
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope import schedules as s
from downslope.core.schedules.pieces import piece_at, turns, turns_back
from downslope.core.schedules.schedule import Schedule, constant_value, whole_periods
from recipe.recipe_strategies import SIMPLE, sequences
from work import calls

EXAMPLES = [
    (s.Constant(0.1), []),
    (s.Inverse(0.1, gamma=0.1), []),
    (s.Exponential(0.1, rate=0.1, every=40), []),
    (s.Exponential(0.1, rate=0.1, every=40, staircase=True), [40, 80]),
    (s.Exponential(0.1, rate=0.1, every=33.5, staircase=True), [34, 67]),
    (s.Exponential(0.1, rate=0.9, every=0.4, staircase=True), list(range(1, 100))),
    (s.MultiStep(0.1, factor=0.1, milestones=[30, 60, 100]), [30, 60]),
    (s.Linear(0.1, 0.0, duration=50), [50]),
    (s.Polynomial(0.1, 0.0, duration=50.5), [51]),
    (s.Cosine(0.1, 0.0, duration=200), []),
    (s.OneCycle(0.1, duration=80, pct_start=0.25), [20, 80]),
    (s.WarmupStableDecay(0.1, warmup=10, stable=20, decay=30), [10, 30, 60]),
    (s.Warmup(5, then=s.MultiStep(0.1, factor=0.1, milestones=[30])), [5, 35]),
    (s.Warmup(5, then=s.MultiStep(0.1, factor=0.1, milestones=[3, 30]), restart=False), [5, 30]),
    (s.Sequence([0.1, s.Cosine(0.1, 0.0, duration=20), 0.2], boundaries=[10, 50]), [10, 30, 50]),
    (s.Sequence([s.Cosine(0.1, 0.0, duration=20), 0.2], boundaries=[10]), [10]),
]
NESTED = st.one_of(SIMPLE, sequences()).map(lambda schedule: schedule.in_steps(7))
ANY = st.one_of(NESTED, st.builds(s.Warmup, st.integers(0, 40), then=NESTED, restart=st.booleans()))


@pytest.mark.parametrize(("schedule", "steps"), EXAMPLES, ids=lambda value: getattr(value, "name", ""))
def test_boundaries_are_where_the_course_changes(schedule, steps):
    """Worked out by hand for a run of 100 steps."""
    assert list(turns([schedule], 0, 100)) == steps


def test_every_schedule_states_its_pieces():
    """Each has an example here, and one that does not state them cannot be made."""
    assert {schedule.name for schedule, _ in EXAMPLES} == set(s.SCHEDULES)

    class New(Schedule):
        reference = 0.1

        def extremes(self):
            return 0.1, 0.1

        def closed_form(self, step, xp):
            return 0.1

    with pytest.raises(TypeError, match="pieces"):
        New()


NUMBERS = SimpleNamespace(
    cos=math.cos, sqrt=math.sqrt, pi=math.pi, minimum=min, maximum=max, literal=float, number=float,
    whole_periods=whole_periods,
)  # fmt: skip
LEFT_OUT = [
    s.Exponential(0.1, rate=1.5, every=7, end=0.9),
    s.Exponential(0.1, rate=0.5, every=7, end=0.03, staircase=True),
    s.Exponential(0.1, rate=1, every=7, staircase=True),
    s.Polynomial(0.1, 0.02, duration=50.5, power=2),
    s.Cosine(0.1, 0.02, duration=20),
    s.Linear(0.0, 0.1, duration=20),
    s.WarmupStableDecay(0.1, warmup=0, stable=20, decay=30, final=0.01, shape="sqrt"),
    s.WarmupStableDecay(0.1, warmup=3.3, stable=20.4, decay=30.5, shape="cosine"),
    s.Warmup(10, then=s.Exponential(0.1, rate=0.5, every=4, staircase=True), restart=False),
    s.Sequence([s.Exponential(0.1, rate=0.5, every=4, staircase=True), s.Cosine(0.1, 0, duration=9)], boundaries=[22]),
]


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in EXAMPLES] + LEFT_OUT, ids=repr)
def test_the_formulas_of_the_pieces_are_the_schedule(schedule):
    """Computed with numbers they are its values, and a level piece has one value between turns."""
    pieces, turning = schedule.pieces(), {0, *turns([schedule], 0, 100)}
    assert pieces[0].start == 0
    for step in range(100):
        piece = piece_at(pieces, step)
        assert piece.formula(step - piece.origin, NUMBERS) == pytest.approx(schedule(step), rel=1e-12, abs=1e-15)
        if piece.level and step not in turning:
            assert schedule(step) == schedule(step - 1)


def test_what_has_one_value_at_every_step_is_known():
    """A number, a constant, a decay that decays nothing; not what changes."""
    same = [0.1, s.Constant(0.1), s.Exponential(0.1, rate=1, every=3), s.Sequence([0.1, 0.1], boundaries=[4])]
    assert [constant_value(value) for value in same] == [0.1] * 4
    assert constant_value(s.Cosine(0.1, 0.0, duration=9)) is None


@given(st.lists(ANY, min_size=1, max_size=3), st.integers(1, 300))
def test_both_ways_meet_the_same_boundaries(schedules, end):
    """Upwards and downwards, each step once and in order, and several schedules are those of each together."""
    up = list(turns(schedules, 0, end))
    assert list(turns_back(schedules, end, 0)) == up[::-1]
    assert up == sorted({step for schedule in schedules for step in turns([schedule], 0, end)})
    assert all(0 < step < end for step in up)


@given(st.floats(0.1, 50), st.integers(2, 300))
def test_at_every_boundary_of_a_staircase_the_value_has_just_changed(every, end):
    """The steps are those of the schedule itself, fractions of a step included, and no other."""
    staircase = s.Exponential(1.0, rate=1.01, every=every, staircase=True)
    changed = [step for step in range(1, end) if staircase(step) != staircase(step - 1)]
    assert list(turns([staircase], 0, end)) == changed


def test_the_ends_of_an_endless_staircase_are_found_at_once():
    """A run of 10**30 steps with a change at each: first and last ones for a little work, nothing listed."""
    staircase = [s.Exponential(0.1, rate=0.5, every=1, staircase=True)]
    forth, first = calls(lambda: list(islice(turns(staircase, 0, 10**30), 3)))
    back, last = calls(lambda: list(islice(turns_back(staircase, 10**30, 0), 2)))
    assert first == [1, 2, 3]
    assert last == [10**30 - 1, 10**30 - 2]
    assert forth + back < 10_000
