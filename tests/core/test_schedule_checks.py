"""Bad schedules, each with its message."""

from __future__ import annotations

import pytest

from downslope.core.errors import SettingsError
from downslope.schedules import (
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
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Constant("0.1"), "`value` must be a number; got '0.1' of type str."),
        (lambda: Constant(NAN), "`value` must be finite; got nan."),
        (lambda: Constant(True), "`value` must be a number; got True of type bool."),
        (lambda: Exponential(0.1, 0.0, 10), "`rate` must be above 0; got 0.0."),
        (lambda: Exponential(0.1, -0.5, 10), "`rate` must be above 0; got -0.5."),
        (lambda: Exponential(0.1, 0.5, 0), "`every` must be above 0; got 0."),
        (lambda: Exponential(0.1, 0.5, INF), "`every` must be finite; got inf."),
        (lambda: Exponential(0.1, 0.5, 10, "steps"), "`unit` must be `step` or `epoch`; got 'steps'."),
        (lambda: Exponential(0.1, 0.5, 10, staircase=1), "`staircase` must be True or False; got 1."),
        (
            lambda: Exponential(0.1, 0.5, 10, end=0.2),
            "`end` must lie where the schedule goes: from initial=0.1 with rate=0.5 it never comes to end=0.2.",
        ),
        (
            lambda: Exponential(0.1, 2.0, 10, end=0.05),
            "`end` must lie where the schedule goes: from initial=0.1 with rate=2.0 it never comes to end=0.05.",
        ),
        # a bound that is never met would be accepted and ignored
        (
            lambda: Exponential(0.1, 1.0, 10, end=0.01),
            "`end` must lie where the schedule goes: from initial=0.1 with rate=1.0 it never comes to end=0.01.",
        ),
        (
            lambda: Exponential(0.1, 0.5, 10, end=-0.1),
            "`end` must lie where the schedule goes: from initial=0.1 with rate=0.5 it never comes to end=-0.1.",
        ),
        (
            lambda: Exponential(0.0, 2.0, 10, end=0.1),
            "`end` must lie where the schedule goes: from initial=0.0 with rate=2.0 it never comes to end=0.1.",
        ),
        (lambda: MultiStep(0.1, 0.0, (1,)), "`factor` must be above 0; got 0.0."),
        (lambda: MultiStep(0.1, 0.1, ()), "`milestones` must be increasing times such as [30, 60, 80]; got []."),
        (
            lambda: MultiStep(0.1, 0.1, (30, 30)),
            "`milestones` must be increasing times such as [30, 60, 80]; got [30, 30].",
        ),
        (
            lambda: MultiStep(0.1, 0.1, (60, 30)),
            "`milestones` must be increasing times such as [30, 60, 80]; got [60, 30].",
        ),
        (lambda: MultiStep(0.1, 0.1, 30), "`milestones` must be a list of times; got 30."),
        (lambda: MultiStep(0.1, 0.1, "30"), "`milestones` must be a list of times; got '30'."),
        (lambda: MultiStep(0.1, 0.1, (0, 30)), "`milestones` must be above 0; got 0."),
        (lambda: Linear(0.1, 0.0, 0), "`duration` must be above 0; got 0."),
        (lambda: Cosine(0.1, 0.0, -1), "`duration` must be above 0; got -1."),
        (lambda: Cosine(0.1, None, 5), "`final` must be a number; got None of type NoneType."),
        (lambda: Polynomial(0.1, 0.0, 5, power=0), "`power` must be above 0; got 0."),
        (lambda: Inverse(0.1, -1.0), "`gamma` must be >= 0; got -1.0."),
        (lambda: Inverse(0.1, 1.0, power=-1), "`power` must be above 0; got -1."),
        (lambda: OneCycle(0.1, 10, pct_start=30), "`pct_start` must be a fraction in (0, 1) such as 0.3; got 30.0."),
        (lambda: OneCycle(0.1, 10, div_factor=0.5), "`div_factor` must be >= 1; got 0.5."),
        (lambda: OneCycle(0.1, 10, final_div_factor=0), "`final_div_factor` must be >= 1; got 0.0."),
        (lambda: OneCycle(0.1, 10, shape="cos"), "`shape` must be `cosine` or `linear`; got 'cos'."),
        (lambda: OneCycle(0.1, 10, shape="sqrt"), "`shape` must be `cosine` or `linear`; got 'sqrt'."),
        (lambda: WarmupStableDecay(0.1, -1, 1, 1), "`warmup` must be >= 0; got -1."),
        (lambda: WarmupStableDecay(0.1, 1, -1, 1), "`stable` must be >= 0; got -1."),
        (lambda: WarmupStableDecay(0.1, 1, 1, 0), "`decay` must be above 0; got 0."),
        (
            lambda: WarmupStableDecay(0.1, 1, 1, 1, shape="step"),
            "`shape` must be `linear`, `cosine` or `sqrt`; got 'step'.",
        ),
        (lambda: Warmup(-1, 0.1), "`duration` must be >= 0; got -1."),
        (lambda: Warmup(5, "cosine"), "`then` must be a number or a schedule; got 'cosine' of type str."),
        (lambda: Warmup(5, 0.1, restart=None), "`restart` must be True or False; got None."),
        (lambda: Sequence(0.1, (5,)), "`schedules` must be a list of schedules or numbers; got 0.1."),
        (lambda: Sequence((0.1, "x"), (5,)), "`schedules[1]` must be a number or a schedule; got 'x' of type str."),
        (
            lambda: Sequence((0.1, 0.2), (5, 6)),
            "`schedules` must hold one piece more than `boundaries`; got 2 pieces and 2 boundaries.",
        ),
        (lambda: Sequence((0.1, 0.2), (-5,)), "`boundaries` must be above 0; got -5."),
    ],
)
def test_refused_with_its_message(make, expected):
    """Each mistake is refused where the schedule is made, with what was got and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        make()
    assert str(caught.value) == expected


HELD = (
    " for a float, so this would be another schedule. A float holds 0 and sizes from 5e-324 to 1.8e+308, to about 16 "
    "digits: change `{}` so that it comes to one."
)


@pytest.mark.parametrize(
    ("schedule", "steps_per_epoch", "field", "expected"),
    [
        # the smallest float, to 7 steps an epoch: 7e-325 is nearer to 0
        (Inverse(1.0, 5e-324, unit="epoch"), 7, "gamma", "5e-324, divided by 7 steps an epoch, is too small"),
        (Inverse(1.0, 1.0, unit="epoch"), 10**400, "gamma", "1.0, divided by 1e+400 steps an epoch, is too small"),
        (
            Warmup(2, Sequence((0.1, Inverse(1.0, 1e-323, unit="epoch")), (3,))),
            391,
            "gamma",
            "1e-323, divided by 391 steps an epoch, is too small",
        ),
        # the largest float is 1.8e308
        *(
            (schedule, 7, field, "1e+308, multiplied by 7 steps an epoch, is too large")
            for field, schedule in (
                ("duration", Linear(0.1, 0.0, 1e308, "epoch")),
                ("duration", Cosine(0.1, 0.0, 1e308, "epoch")),
                ("duration", Polynomial(0.1, 0.0, 1e308, "epoch")),
                ("duration", OneCycle(0.1, 1e308, "epoch")),
                ("duration", Warmup(1e308, 0.1, unit="epoch")),
                ("every", Exponential(0.1, 0.5, 1e308, "epoch")),
                ("milestones", MultiStep(0.1, 0.5, (30, 1e308), "epoch")),
                ("boundaries", Sequence((0.1, 0.2), (1e308,), "epoch")),
                ("warmup", WarmupStableDecay(0.1, 1e308, 1, 1, "epoch")),
                ("stable", WarmupStableDecay(0.1, 1, 1e308, 1, "epoch")),
                ("decay", WarmupStableDecay(0.1, 1, 1, 1e308, "epoch")),
            )
        ),
        (
            Linear(0.1, 0, 0.3, "epoch"),
            10**4000 + 1,
            "duration",
            "0.3, multiplied by 1e+4000 steps an epoch, is too large",
        ),
        # 5869.99999999999980 and 5870.00000000000038: near 5870 floats are 9.1e-13 apart
        (
            MultiStep(0.1, 0.5, (1.9999999999999931, 1.9999999999999933), "epoch"),
            2935,
            "milestones",
            "1.9999999999999931 and 1.9999999999999933, multiplied by 2935 steps an epoch, come to one number",
        ),
        (
            Sequence((0.1, 0.2, 0.3), (1.9999999999999931, 1.9999999999999933), "epoch"),
            2935,
            "boundaries",
            "1.9999999999999931 and 1.9999999999999933, multiplied by 2935 steps an epoch, come to one number",
        ),
    ],
)
def test_what_a_float_cannot_hold_in_steps_is_refused(schedule, steps_per_epoch, field, expected):
    """A number that vanishes, overflows or meets its neighbour in another unit names its field, value and bounds."""
    with pytest.raises(SettingsError) as caught:
        schedule.in_steps(steps_per_epoch)
    assert str(caught.value) == f"`{field}` = {expected}" + HELD.format(field)


@pytest.mark.parametrize(
    ("schedule", "steps_per_epoch", "expected"),
    [
        (Inverse(1.0, 0.0, unit="epoch"), 10**400, Inverse(1.0, 0.0)),
        (Inverse(1.0, 5e-324, unit="epoch"), 1, Inverse(1.0, 5e-324)),
        (Inverse(1.0, 3.5e-323, unit="epoch"), 7, Inverse(1.0, 5e-324)),  # seven times the smallest float
        (Linear(0.1, 0.0, 2e307, "epoch"), 5, Linear(0.1, 0.0, 1e308)),
        (Linear(0.1, 0.0, 5e-324, "epoch"), 2, Linear(0.1, 0.0, 1e-323)),
        (Warmup(0, 0.1, unit="epoch"), 10**400, Warmup(0, 0.1)),
        (Linear(0.1, 0.0, 0.5, "epoch"), 7, Linear(0.1, 0.0, 3.5)),
    ],
)
def test_what_a_float_just_holds_in_steps_is_kept(schedule, steps_per_epoch, expected):
    """Up to the bounds themselves a number is converted, and 0 stays 0."""
    assert schedule.in_steps(steps_per_epoch) == expected


@pytest.mark.parametrize(
    ("make", "field", "expected"),
    [
        (lambda: OneCycle(5e-324, 100), "peak", "5e-324, divided by `div_factor`, is too small"),
        (
            lambda: OneCycle(-1e-200, 100, div_factor=1e100, final_div_factor=1e100),
            "peak",
            "-1e-200, divided by `div_factor` and `final_div_factor`, is too small",
        ),
        # 5e-325, and 0.9 of the way: at step 0 it would be at its peak
        (lambda: OneCycle(1, 0.1, pct_start=5e-324), "pct_start", "5e-324, multiplied by `duration`, is too small"),
        (lambda: OneCycle(1, 5e-324, pct_start=0.9), "duration", "5e-324, without its part `pct_start`, is too small"),
        (
            lambda: WarmupStableDecay(1, 1e308, 1e308, 1),
            "stable",
            "1e+308, added to `warmup`, is too large",
        ),
        (
            lambda: WarmupStableDecay(1, 5e307, 1e308, 1e308),
            "decay",
            "1e+308, added to `warmup` and `stable`, is too large",
        ),
    ],
)
def test_what_a_float_cannot_hold_of_several_fields_is_refused(make, field, expected):
    """The same for numbers that a schedule works out of its fields."""
    with pytest.raises(SettingsError) as caught:
        make()
    assert str(caught.value) == f"`{field}` = {expected}" + HELD.format(field)


def test_what_is_put_together_within_the_bounds_is_kept():
    """Zero is no underflow, and lengths may add up to the largest float."""
    assert OneCycle(0.0, 100).extremes() == (0.0, 0.0)
    assert OneCycle(1.0, 0.1, pct_start=1e-322)(0) == 1.0 / 25.0
    assert WarmupStableDecay(1.0, 0, 1e308, 7e307)(10) == 1.0


def test_a_count_of_many_digits_has_its_message():
    """Python refuses to print an integer of more than 4300 digits; the message shows its size."""
    with pytest.raises(SettingsError, match=r"`steps_per_epoch` must be an integer >= 1; got -1e\+5000."):
        Constant(0.1).in_steps(-(10**5000))
    with pytest.raises(SettingsError, match=r"`step` must be an integer >= 0; got -1e\+5000."):
        Constant(0.1)(-(10**5000))


def test_a_period_of_almost_nothing_has_its_limit():
    """More periods than a float counts: what decays is 0, as without a staircase, and what grows is too large."""
    for staircase in (False, True):
        assert Exponential(1.0, 0.5, 1e-320, staircase=staircase)(1) == 0.0
        assert Exponential(1.0, 1.0, 1e-320, staircase=staircase)(1) == 1.0
        assert Exponential(1.0, 2.0, 1e-320, staircase=staircase, end=4.0)(1) == 4.0
        with pytest.raises(SettingsError, match="too large for a float at step 1"):
            Exponential(1.0, 2.0, 1e-320, staircase=staircase)(1)
