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
