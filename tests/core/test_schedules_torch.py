"""The same numbers as torch's learning-rate schedulers, at every step, and where torch differs, how.

torch multiplies its float64 lr step by step; what drifts apart over a few hundred steps is bounded by RTOL.
"""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler as peers

from downslope.schedules import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
)

LR = 0.1
RTOL = 1e-13


def run(make, steps, lr=LR):
    """Return the lr that each of the first `steps` steps is taken with."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler, seen = make(optimizer), []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize(
    ("ours", "theirs", "steps"),
    [
        (Exponential(LR, 0.3, 41, staircase=True), lambda o: peers.StepLR(o, 41, 0.3), 3 * 41),
        (Exponential(LR, 0.97, 1), lambda o: peers.ExponentialLR(o, 0.97), 300),
        (Exponential(LR, 0.97, 1, staircase=True), lambda o: peers.ExponentialLR(o, 0.97), 300),
        (MultiStep(LR, 0.1, (30, 60, 80)), lambda o: peers.MultiStepLR(o, [30, 60, 80], 0.1), 240),
        (Linear(LR / 4, LR / 2, 50), lambda o: peers.LinearLR(o, 0.25, 0.5, 50), 150),
        (Polynomial(LR, 0.0, 50, power=0.9), lambda o: peers.PolynomialLR(o, 50, 0.9), 150),
        (Polynomial(LR, 0.0, 50, power=2.0), lambda o: peers.PolynomialLR(o, 50, 2.0), 150),
        (Cosine(LR, 0.001, 50), lambda o: peers.CosineAnnealingLR(o, 50, 0.001), 51),
        (Warmup(5, Constant(LR), start=LR / 5), lambda o: peers.LinearLR(o, 0.2, 1.0, 5), 20),
        (
            Warmup(10, Exponential(LR, 0.5, 20, staircase=True), start=LR / 10),
            lambda o: peers.SequentialLR(o, [peers.LinearLR(o, 0.1, 1.0, 10), peers.StepLR(o, 20, 0.5)], [10]),
            150,
        ),
        (
            Warmup(10, Cosine(LR, 0.0, 90), start=LR / 10),
            lambda o: peers.SequentialLR(o, [peers.LinearLR(o, 0.1, 1.0, 10), peers.CosineAnnealingLR(o, 90)], [10]),
            101,
        ),
        (
            Sequence((LR / 2, Exponential(LR, 0.9, 1), MultiStep(LR, 0.1, (3,))), (7, 20)),
            lambda o: peers.SequentialLR(
                o,
                [peers.ConstantLR(o, 0.5, 100), peers.ExponentialLR(o, 0.9), peers.MultiStepLR(o, [3], 0.1)],
                [7, 20],
            ),
            60,
        ),
        # CosineAnnealingWarmRestarts is a sequence of cosines
        (
            Sequence((Cosine(LR, 0, 10), Cosine(LR, 0, 20), Cosine(LR, 0, 40)), (10, 30)),
            lambda o: peers.CosineAnnealingWarmRestarts(o, 10, 2),
            70,
        ),
    ],
)
def test_same_numbers(ours, theirs, steps):
    """At every step up to three times the duration (where torch is right that far), torch has the same lr."""
    assert [ours(step) for step in range(steps)] == pytest.approx(run(theirs, steps), rel=RTOL, abs=RTOL * LR)


@pytest.mark.parametrize("total", [10, 40, 101, 200])
@pytest.mark.parametrize("shape", ["cosine", "linear"])
def test_one_cycle(total, shape):
    """OneCycleLR is OneCycle with the duration and fraction that its docstring gives."""
    pct = 0.3
    ours = OneCycle(
        LR, total - 1, pct_start=(pct * total - 1) / (total - 1), div_factor=10, final_div_factor=100, shape=shape
    )
    seen = run(
        lambda o: peers.OneCycleLR(
            o,
            LR,
            total,
            pct_start=pct,
            div_factor=10,
            final_div_factor=100,
            anneal_strategy={"cosine": "cos", "linear": "linear"}[shape],
        ),
        total - 1,
    )
    assert [ours(step) for step in range(total - 1)] == pytest.approx(seen, rel=1e-12)


def test_one_cycle_is_off_by_one_in_torch():
    """With 10 steps and pct_start .3 torch peaks at step 2 and not 3, and ends at step 9; ours as written."""
    seen = run(lambda o: peers.OneCycleLR(o, LR, 10, pct_start=0.3), 10)
    ours = OneCycle(LR, 10, pct_start=0.3)
    assert max(range(10), key=lambda step: seen[step]) == 2
    assert seen[2] == ours(3) == LR
    assert seen[9] == pytest.approx(LR / 25 / 1e4)
    assert ours(9) > ours(10) == pytest.approx(LR / 25 / 1e4)


def test_cosine_rises_again_in_torch():
    """After T_max torch's CosineAnnealingLR climbs back to the top; ours stays at its end, as the docstring says."""
    seen = run(lambda o: peers.CosineAnnealingLR(o, 50), 101)
    ours = Cosine(LR, 0.0, 50)
    assert seen[50] == pytest.approx(0.0, abs=1e-15)
    assert seen[100] == pytest.approx(LR)
    assert [ours(step) for step in (50, 51, 75, 100)] == [0.0] * 4


def test_linear_from_zero_is_forbidden_in_torch_only():
    """LinearLR refuses to start at 0, as Linear's docstring says; ours does it."""
    with pytest.raises(ValueError, match="greater than 0"):
        run(lambda o: peers.LinearLR(o, 0.0, 1.0, 5), 1)
    assert Linear(0.0, LR, 5)(0) == 0.0


def test_chained_float32_lr_drifts_in_torch():
    """A float32 tensor lr, multiplied step by step, is 1e-5 off after 10 000 steps; a closed form cannot be."""
    rate, steps = 0.9999, 10_000
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=torch.tensor(LR))
    scheduler = peers.ExponentialLR(optimizer, rate)
    optimizer.step()
    for _ in range(steps):
        scheduler.step()
    exact = LR * rate**steps
    assert abs(float(optimizer.param_groups[0]["lr"]) / exact - 1) > 1e-5
    assert Exponential(LR, rate, 1)(steps) == pytest.approx(exact, rel=1e-15)
