"""A run stopped in one framework, its velocity converted, and continued in another."""

from functools import cache

import numpy as np
import pytest
from continued_runs import CHANGING, CONSTANT, DOORS, NAMES, OWN, settings_for, start

from downslope import convert_state
from downslope.schedules import Cosine
from draws import NIGHTLY

MORE = 100 if NIGHTLY else 40  # lr changes every 16 steps: at least twice
LATEST = 60
BOUND = 1e-9


def stopping_step(*words):
    """Return a step to stop at, drawn at random for each case, the same at each run of the tests."""
    return int(np.random.default_rng([len(words), *map(ord, "".join(words))]).integers(3, LATEST))


@cache
def uninterrupted(source, *, nesterov, lr):
    """Return (params, velocity) after each step of a run that nothing stops: one for all that continue it."""
    return source.run(settings_for(source, nesterov=nesterov, lr=lr), start(), None, 0, LATEST + MORE)


def stopped(source, step, *, nesterov, lr):
    """Return where the uninterrupted run goes, and the parameters and velocity at the step where the other stops."""
    whole = uninterrupted(source, nesterov=nesterov, lr=lr)
    params, velocity = ({name: array.copy() for name, array in part.items()} for part in whole[step - 1])
    return [params for params, _ in whole[step : step + MORE]], params, velocity


def distance(one, other):
    """Return the largest difference of any element of any parameter."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in NAMES)


def first_difference(path, others):
    """Return the index of the first step after which two paths are apart, or None."""
    return next(
        (place for place, (one, other) in enumerate(zip(path, others, strict=True)) if distance(one, other) > BOUND),
        None,
    )


LRS = {"constant": CONSTANT, "staircase": CHANGING, "cosine": Cosine(0.0625, 0.0, 200)}
RUNS = [
    pytest.param(source, lr, id=f"{source}-{name}")
    for source in OWN
    for name, lr in LRS.items()
    if not (source.name == "keras" and name == "cosine")  # which Keras computes in float32
]


@pytest.mark.parametrize("nesterov", [False, True], ids=["momentum", "nesterov"])
@pytest.mark.parametrize("door", DOORS, ids=str)
@pytest.mark.parametrize(("source", "lr"), RUNS)
def test_our_doors_continue_exactly(source, lr, door, nesterov):
    """Many steps on, the parameters are those of the uninterrupted run, whatever lr does."""
    chosen = settings_for(source, nesterov=nesterov, lr=lr)
    step = stopping_step(source.name, door.name)
    expected, params, velocity = stopped(source, step, nesterov=nesterov, lr=lr)
    converted = convert_state(velocity, source.convention, door.convention, settings=chosen, step=step)
    assert converted.statement == "exact; the two never part"
    found = door.run(converted.settings, params, converted.velocity, step, MORE)
    assert max(distance(one, other) for (one, _), other in zip(found, expected, strict=True)) <= BOUND


@pytest.mark.parametrize("lr", [CONSTANT, CHANGING], ids=["constant", "staircase"])
@pytest.mark.parametrize("nesterov", [False, True], ids=["momentum", "nesterov"])
@pytest.mark.parametrize(
    ("source", "target"), [(a, b) for a in OWN for b in OWN if a is not b], ids=lambda runner: runner.name
)
def test_what_is_said_about_parting_is_true(source, target, nesterov, lr):
    """A framework's own optimizer stays with the uninterrupted run until the step that was named, and no longer."""
    chosen = settings_for(source, nesterov=nesterov, lr=lr)
    step = stopping_step(source.name, target.name)
    expected, params, velocity = stopped(source, step, nesterov=nesterov, lr=lr)
    own = settings_for(target, nesterov=nesterov, lr=lr)
    converted = convert_state(
        velocity, source.convention, target.convention, settings=chosen, target_settings=own, step=step
    )
    found = target.run(own, params, converted.velocity, step, MORE)
    measured = first_difference([params for params, _ in found], expected)
    assert converted.parts_at == (None if measured is None else step + measured)
    one_inside = (source.name == "keras") != (target.name == "keras")
    if one_inside and lr is CHANGING:
        assert converted.parts_at == (step // 16 + 1) * 16
        assert converted.statement == f"exact; the conventions part when lr next changes (step {converted.parts_at})"
    elif one_inside:
        assert converted.statement == "exact; the conventions part if lr is ever changed"
    else:
        assert converted.statement == "exact; the two never part"


@pytest.mark.parametrize("target", OWN, ids=str)
def test_without_conversion_they_part_at_once(target):
    """The test above could fail: Keras's velocity taken as it is goes another way."""
    source = next(runner for runner in OWN if runner.name == ("torch" if target.name == "keras" else "keras"))
    expected, params, velocity = stopped(source, 20, nesterov=False, lr=CONSTANT)
    found = target.run(settings_for(target, nesterov=False, lr=CONSTANT), params, velocity, 20, MORE)
    assert first_difference([params for params, _ in found], expected) == 0
