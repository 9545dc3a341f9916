"""Settings: what is accepted, and the message for everything that is not."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from downslope import Settings
from downslope.core.errors import DownslopeError, SettingsError
from downslope.schedules import Constant, Cosine, Exponential, Linear, Sequence, Warmup

NAN, INF = float("nan"), float("inf")
NUMBERS = ("lr", "momentum", "dampening", "weight_decay")
FLAGS = ("nesterov", "lr_in_velocity", "undampened_first_step", "maximize")


def message(**values):
    """Return the message that these settings are refused with."""
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    assert isinstance(caught.value, DownslopeError)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_defaults_are_those_of_torch():
    """With no argument the settings are those of torch.optim.SGD, whose defaults they are read from."""
    theirs = torch.optim.SGD([torch.zeros(1)]).defaults
    ours = Settings()
    assert {name: getattr(ours, name) for name in (*NUMBERS, "nesterov", "maximize")} == {
        name: theirs[name] for name in (*NUMBERS, "nesterov", "maximize")
    }
    assert (ours.decay, ours.lr_in_velocity, ours.undampened_first_step) == ("coupled", False, True)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "bad", [True, False, np.True_, "0.1", None, 1j, np.complex128(1), [0.1], (), {}, Decimal("0.1")]
)
def test_what_is_no_number(name, bad):
    """Booleans, strings, None, complex numbers and collections are no numbers, and the message names the type."""
    text = message(**{name: bad})
    kinds = "a number" if name == "dampening" else "a number or a schedule"
    assert text == f"`{name}` must be {kinds}; got {bad!r} of type {type(bad).__name__}."


@pytest.mark.parametrize("bad", [np.array("0.1"), np.array(True), np.array(1j), np.array([0.1]), np.zeros(0)])
def test_arrays_that_are_no_number(bad):
    """An array counts as a number only if it holds a single real one without dimensions."""
    assert message(lr=bad).startswith("`lr` must be a number or a schedule; got array(")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("bad", [NAN, INF, -INF, np.float32("nan"), 10**400])
def test_not_finite(name, bad):
    """NaN and infinities are refused by name."""
    assert message(**{name: bad}).startswith(f"`{name}` must be finite; got ")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"lr": -0.1}, "`lr` must be finite and >= 0; got -0.1. Use a number >= 0 such as 0.1."),
        (
            {"momentum": 1.5},
            "`momentum` must be in [0, 1); got 1.5. Use a value such as 0.9, or 0 to switch momentum off.",
        ),
        (
            {"momentum": 1},
            "`momentum` must be in [0, 1); got 1.0. Use a value such as 0.9, or 0 to switch momentum off.",
        ),
        (
            {"momentum": -0.1},
            "`momentum` must be in [0, 1); got -0.1. Use a value such as 0.9, or 0 to switch momentum off.",
        ),
        (
            {"momentum": 0.9, "dampening": 1.1},
            "`dampening` must be in [0, 1]; got 1.1. Use 0 unless the source of your recipe says otherwise.",
        ),
        (
            {"momentum": 0.9, "dampening": -0.1},
            "`dampening` must be in [0, 1]; got -0.1. Use 0 unless the source of your recipe says otherwise.",
        ),
        (
            {"weight_decay": -5e-4},
            (
                "`weight_decay` must be finite and >= 0; got -0.0005. "
                "Use a value such as 5e-4, or 0 to switch weight decay off."
            ),
        ),
        (
            {"nesterov": True},
            (
                "`nesterov` needs momentum; got nesterov=True with momentum=0. "
                "Set momentum to a value such as 0.9, or nesterov to False."
            ),
        ),
        (
            {"dampening": 0.5},
            (
                "`dampening` needs momentum; got dampening=0.5 with momentum=0. "
                "Set momentum to a value such as 0.9, or dampening to 0."
            ),
        ),
        (
            {"momentum": 0.9, "dampening": Constant(0.5)},
            "`dampening` must be a number; got a schedule. Schedule `momentum` instead.",
        ),
        (
            {"decay": "decopled"},
            (
                "`decay` must be `coupled`, `decoupled`, `independent`, `relative` or `corrected`; got 'decopled'. "
                'Did you mean `decoupled`? Use "coupled" for what torch.optim.SGD does.'
            ),
        ),
        (
            {"lr": 0.0, "weight_decay": 0.1, "decay": "relative"},
            'decay="relative" divides by the initial lr, which is 0. Give an lr above 0, or use decay="decoupled".',
        ),
        (
            {"lr": 0.0, "weight_decay": 0.1, "decay": "corrected"},
            (
                'decay="corrected" divides by the largest lr, which must be above 0 and finite; got 0.0. '
                'Bound the schedule (for example with `end`), or use decay="decoupled".'
            ),
        ),
        (
            {"lr": Exponential(1e-3, 1.1, 10), "weight_decay": 0.1, "decay": "corrected"},
            (
                'decay="corrected" divides by the largest lr, which must be above 0 and finite; got inf. '
                'Bound the schedule (for example with `end`), or use decay="decoupled".'
            ),
        ),
    ],
)
def test_refused_with_its_message(values, expected):
    """What is out of range, or needs another setting, is refused with the whole message a person needs."""
    assert message(**values) == expected


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("bad", [1, 0, "true", None, 1.0])
def test_flags_are_booleans(name, bad):
    """A flag is True or False, and nothing that merely looks so."""
    assert message(momentum=0.9, **{name: bad}) == f"`{name}` must be True or False; got {bad!r}."


@pytest.mark.parametrize("bad", [None, 1, ["coupled"], "Coupled", ""])
def test_decay_is_one_of_five_words(bad):
    """Anything but the five words is refused, of whatever type."""
    assert f"got {bad!r}." in message(decay=bad)


@pytest.mark.parametrize("schedule", [Linear(0.9, 1.0, 10), Constant(-0.1), Exponential(0.5, 1.01, 10)])
def test_schedules_are_held_to_the_same_range(schedule):
    """A momentum schedule that would leave [0, 1) at any step is refused before the first."""
    low, high = schedule.extremes()
    assert message(momentum=schedule) == (
        f"`momentum` must stay in [0, 1); its schedule {schedule!r} takes values from {low!r} to {high!r}."
    )


def test_nesterov_with_a_momentum_schedule_that_is_always_zero():
    """A schedule of nothing but zeros is no momentum either."""
    assert message(momentum=Constant(0), nesterov=True).startswith("`nesterov` needs momentum")
    Settings(momentum=Linear(0.0, 0.9, 10), nesterov=True)  # 0 at step 0 only


def test_unknown_argument():
    """A misspelt setting is an error, not an option without effect."""
    with pytest.raises(TypeError, match="momentun"):
        Settings(momentun=0.9)


@pytest.mark.parametrize(
    "number",
    [np.float64(0.25), np.float32(0.25), np.array(0.25), np.float16(0.25), torch.tensor(0.25), Fraction(1, 4)],
)
@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_numbers_of_any_kind_become_floats(name, number):
    """Scalars of NumPy, torch and Python's own number types are taken, as Python floats."""
    value = getattr(Settings(**{name: number}), name)
    assert (type(value), value) == (float, 0.25)


def test_integers_become_floats():
    """An integer is a number too."""
    assert type(Settings(lr=1).lr) is float
    assert Settings(lr=np.int64(1)) == Settings(lr=1.0)


@pytest.mark.parametrize("step", [-1, 1.0, "0", None, True, np.array([1, 2]), NAN])
@pytest.mark.parametrize("lr", [0.1, Cosine(0.1, 0.0, 10)])
def test_step_must_be_a_step(step, lr):
    """A step is an integer >= 0, whether or not a schedule looks at it."""
    with pytest.raises(SettingsError, match="`step` must be an integer >= 0"):
        Settings(lr=lr).at(step)


def test_step_of_any_integer_type():
    """NumPy's integers are steps too."""
    assert Settings(lr=Cosine(0.1, 0.0, 10)).at(np.int32(5)) == Settings(lr=Cosine(0.1, 0.0, 10)).at(5)


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_epochs_need_the_steps_of_one(name):
    """A schedule in epochs has no value at a step until it is told how many steps an epoch has."""
    settings = Settings(**{name: Linear(0.5, 0.1, 2, unit="epoch")})
    with pytest.raises(SettingsError, match=r"is in epochs.*\.in_steps\(steps_per_epoch\)"):
        settings.at(0)
    scalar = {"lr": "lr", "momentum": "momentum", "weight_decay": "coupled_decay"}[name]
    assert [getattr(settings.in_steps(10).at(step), scalar) for step in (0, 10, 20)] == pytest.approx([0.5, 0.3, 0.1])


def test_in_steps_reaches_every_schedule_and_changes_nothing_else():
    """All three schedules are resolved; numbers, flags and schedules in steps stay as they are."""
    settings = Settings(
        lr=Warmup(1, Cosine(0.1, 0, 5, unit="epoch"), unit="epoch"),
        momentum=Sequence((0.5, 0.9), (2,), unit="epoch"),
        weight_decay=Exponential(0.01, 0.5, 100),
        decay="decoupled",
        maximize=True,
    )
    assert settings.in_steps(7) == dataclasses.replace(
        settings, lr=Warmup(7, Cosine(0.1, 0, 35)), momentum=Sequence((0.5, 0.9), (14,))
    )
    assert settings.in_steps(7).in_steps(9) == settings.in_steps(7)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "10", None, True])
def test_steps_per_epoch_must_be_a_count(bad):
    """The steps of an epoch are an integer >= 1, also where no schedule asks for them."""
    for lr in (Linear(0.1, 0.0, 2, unit="epoch"), Linear(0.1, 0.0, 2)):
        with pytest.raises(SettingsError, match="`steps_per_epoch` must be an integer >= 1"):
            Settings(lr=lr).in_steps(bad)


def test_settings_are_frozen_values():
    """Equal settings are equal and hash alike; none can be changed; copies and pickles are equal."""
    settings = Settings(lr=Cosine(0.1, 0, 10), momentum=0.9, nesterov=True)
    twin = Settings(lr=Cosine(0.1, 0, 10), momentum=0.9, nesterov=True)
    assert settings == twin
    assert len({settings, twin}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.lr = 0.2
    assert pickle.loads(pickle.dumps(settings)) == copy.copy(settings) == copy.deepcopy(settings) == settings


def test_scalars_of_a_step():
    """The scalars hold what the rule reads, lr standing on one side of the velocity only."""
    outside = Settings(lr=0.1, momentum=0.9, weight_decay=0.01, dampening=0.5).at(3)
    assert (outside.lr, outside.grad_in, outside.velocity_out, outside.dampening) == (0.1, 1.0, 0.1, 0.5)
    inside = Settings(lr=0.1, momentum=0.9, lr_in_velocity=True, maximize=True).at(3)
    assert (inside.lr, inside.grad_in, inside.velocity_out, inside.grad_scale) == (0.1, 0.1, 1.0, -1.0)
