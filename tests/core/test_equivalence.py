"""The walk along two rules: it looks at few steps, and finds what looking at every step finds."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope import Settings, update_matrix
from downslope.core import equivalence
from downslope.core.equivalence import Side, find_basis, find_parting, find_passage, last_step_to_compare, rescaled
from downslope.core.settings import DECAYS
from downslope.schedules import Cosine, Exponential, MultiStep, WarmupStableDecay
from draws import draws
from work import calls

CONSTANT = Settings(lr=0.1, momentum=0.9, weight_decay=0.001)
STAIRS = MultiStep(0.1, 0.1, (30_000, 60_000))


@settings(max_examples=draws(60))
@given(scale=st.floats(-100.0, 100.0).filter(lambda k: abs(k) > 1e-3), lr=st.floats(1e-3, 1.0), nesterov=st.booleans())
def test_the_scale_is_found_again(scale, lr, nesterov):
    """A rule in another basis has its k told from the matrices alone, and no other k holds."""
    matrix = update_matrix(Settings(lr=lr, momentum=0.9, nesterov=nesterov, weight_decay=0.1))
    assert find_basis(matrix, rescaled(matrix, scale)).scale == pytest.approx(scale, rel=1e-12)
    assert find_basis(matrix, rescaled(matrix, scale), 2 * scale).difference


def test_what_stays_as_it_is_is_decided_by_three_steps():
    """Two constant settings, and two whose lr falls twice in 100,000 steps, take next to no work in either walk."""
    inside = replace(CONSTANT, lr_in_velocity=True)
    work, found = calls(lambda: find_parting(CONSTANT, inside, last_step_to_compare(CONSTANT, inside, None)))
    assert (found.step, found.scale, found.until) == (None, 0.1, 2000)
    assert work < 1000
    one = Settings(lr=STAIRS, momentum=0.9, weight_decay=0.001, decay="relative")
    other = replace(one, weight_decay=0.01, decay="decoupled")
    work, found = calls(lambda: find_parting(one, other, 100_000))
    assert (found.step, found.scale) == (None, 1.0)
    assert work < 5000
    work, found = calls(lambda: find_passage(Side(name="a", settings=one), Side(name="b", settings=other), 7))
    assert (found.parts_at, found.looked_until) == (None, 100_007)
    assert work < 5000


def test_what_parts_again_later_differs_not_in_the_first_step_alone():
    """One undampens its first step and has lr outside: while lr is 0.1, v_b = 0.1 v_a, but lr drops at 5."""
    outside = Settings(lr=MultiStep(0.1, 0.1, (5,)), momentum=0.9, dampening=0.5)
    inside = replace(outside, undampened_first_step=False, lr_in_velocity=True)
    found = find_parting(outside, inside, 20)
    assert (found.step, found.coefficient, found.values, found.only_first) == (0, "grad", (-0.1, -0.05), False)
    assert find_parting(outside, inside, 4).only_first  # the step before the drop
    constant = find_parting(replace(outside, lr=0.1), replace(inside, lr=0.1), 20)
    assert (constant.step, constant.only_first, constant.scale, constant.until) == (0, True, 0.1, 20)


SCHEDULES = st.one_of(
    st.floats(0.01, 0.5),
    st.builds(MultiStep, st.just(0.1), st.sampled_from([0.5, 2.0]), st.sampled_from([(4,), (1, 9), (5, 6, 20)])),
    st.builds(Exponential, st.just(0.1), st.just(0.5), st.sampled_from([1, 3, 2.5]), staircase=st.booleans()),
    st.builds(WarmupStableDecay, st.just(0.1), st.integers(0, 3), st.integers(0, 9), st.integers(1, 9)),
    st.builds(Cosine, st.just(0.1), st.just(0.0), st.integers(1, 30)),
)


@st.composite
def pairs(draw):
    """Return two settings that may part at any step, or never."""
    momentum = draw(st.one_of(st.just(0.0), st.just(0.9), st.just(MultiStep(0.9, 0.5, (7,)))))
    one = Settings(
        lr=draw(SCHEDULES),
        momentum=momentum,
        dampening=draw(st.sampled_from([0.0, 0.5, 1.0])) if momentum else 0.0,
        nesterov=draw(st.booleans()) if momentum else False,
        weight_decay=draw(st.sampled_from([0.0, 0.01])),
        decay=draw(st.sampled_from(DECAYS[:3])),
    )
    if momentum and not one.nesterov and draw(st.booleans()):
        one = replace(one, nu=draw(st.sampled_from([0.0, 0.5, 1.0])))
    name = draw(st.sampled_from(["lr", "lr_in_velocity", "decay", "undampened_first_step", "momentum"]))
    values = {
        "lr": SCHEDULES,
        "decay": st.sampled_from(DECAYS[:3]),
        "momentum": st.sampled_from([MultiStep(0.9, 0.5, (7,)), MultiStep(0.9, 0.5, (8,))]),
    }
    return one, replace(one, **{name: draw(values.get(name, st.booleans()))})


@settings(max_examples=draws(100))
@given(pairs(), st.integers(0, 12))
def test_the_steps_left_out_would_change_nothing(pair, step):
    """Looked at every single step, two rules part at the same step, by the same; a state's passage too."""

    def found():
        one, other = (Side(name=name, settings=side) for name, side in zip("ab", pair, strict=True))
        try:
            passage = find_passage(one, other, step, 60)
        except equivalence.StateError as error:
            passage = str(error)
        return find_parting(*pair, 60), passage

    few = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equivalence._Walk, "_steps", lambda _, start, last: range(start, last + 1))
        assert few == found()


@settings(max_examples=draws(100))
@given(pairs(), st.integers(0, 12))
def test_a_state_that_goes_over_stays_the_same_until_they_are_said_to_part(pair, step):
    """From the velocity that goes over, both give the same parameters up to that step, and others after it."""
    one, other = (Side(name=name, settings=side) for name, side in zip("ab", pair, strict=True))
    try:
        passage = find_passage(one, other, step, 60)
    except equivalence.StateError:
        return
    values = [(1.0, 0.7), (1.0, 0.7 * passage.scale)]
    for now in range(step, 61 if passage.parts_at is None else passage.parts_at + 1):
        grad = 1.0 + now % 3
        moved = []
        for (param, velocity), settings_of in zip(values, pair, strict=True):
            (dp, dg, dv), (vp, vg, vv) = update_matrix(settings_of, now)
            moved.append((param + dp * param + dg * grad + dv * velocity, vp * param + vg * grad + vv * velocity))
        values = moved
        same = values[0][0] == pytest.approx(values[1][0], rel=1e-9, abs=1e-12)
        assert same == (now != passage.parts_at)
