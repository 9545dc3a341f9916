"""Schedule-free SGD: its coefficients by hand, against the paper's three equations, and what its settings refuse."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest

from downslope import ScheduleFree, Settings, update_matrix
from downslope.core.errors import SettingsError
from downslope.core.rule import step_rows
from downslope.core.schedule_free import Average, evaluation_point, training_point, warmed_up
from downslope.schedules import Constant, Cosine, Warmup


def drawn(number: int) -> dict[str, Any]:
    """Return random settings; every fifth without warmup, every third without decay."""
    draw = random.Random(number)
    return {
        "lr": 10 ** draw.uniform(-3, 1),
        "momentum": draw.uniform(0.05, 0.99),
        "weight_decay": 0.0 if number % 3 == 0 else 10 ** draw.uniform(-4, -1),
        "warmup_steps": 0 if number % 5 == 0 else draw.randint(1, 12),
        "r": draw.choice([0.0, 0.5, 1.0, 2.0]),
        "weight_lr_power": draw.choice([0.0, 1.0, 2.0]),
    }


def of_the_paper(settings: dict[str, Any], grads: list[float], start: float) -> list[tuple[float, float, float]]:
    """Return (x, y, z) after each step by the equations of Defazio et al. 2024, x and z kept and y formed of them."""
    b, x, z = settings["momentum"], start, start
    total, largest = 0.0, 0.0
    rows: list[tuple[float, float, float]] = []
    for k, grad in enumerate(grads):
        y = (1 - b) * z + b * x
        lr = settings["lr"] * min(1.0, (k + 1) / settings["warmup_steps"] if settings["warmup_steps"] else 1.0)
        largest = max(largest, lr)
        weight = (k + 1) ** settings["r"] * largest ** settings["weight_lr_power"]
        total += weight
        z -= lr * (grad + settings["weight_decay"] * y)
        x += weight / total * (z - x)
        rows.append((x, (1 - b) * z + b * x, z))
    return rows


def test_coefficients_by_hand() -> None:
    """lr 0.5, b 0.75, decay 0.25: c = 1 at the first step, which is plain SGD; c = 1/2 at the second."""
    settings = ScheduleFree(lr=0.5, momentum=0.75, weight_decay=0.25)
    assert step_rows(settings.at(0)) == ((-0.125, -0.5, 1.0), (-0.0, -0.0, 0.0))
    # A = 0.5 (1 - 0.75 / 2) = 0.3125, B = 0.5 * 0.75 / 2 = 0.1875; each times 0.25 of the parameter
    assert step_rows(settings.at(1)) == ((-0.078125, -0.3125, 0.5), (-0.046875, -0.1875, 0.5))
    assert update_matrix(settings, 1).tolist() == [[-0.078125, -0.3125, 0.5], [-0.046875, -0.1875, 0.5]]


def test_weights_of_the_average_by_hand() -> None:
    """A warmup of two steps to 1 weighs 1/4, 1, 1; with r = 1 and no power of lr steps weigh 1, 2, 3."""
    warm = ScheduleFree(lr=1.0, warmup_steps=2)
    assert [warm.at(step).average for step in range(3)] == [1.0, 1 / 1.25, 1 / 2.25]
    assert [warm.at(step).lr for step in range(3)] == [0.5, 1.0, 1.0]
    by_steps = ScheduleFree(lr=0.3, r=1.0, weight_lr_power=0.0)
    assert [by_steps.at(step).average for step in range(3)] == [1.0, 2 / 3, 3 / 6]
    assert by_steps.at(0) == by_steps.at(0)  # whatever was asked before
    assert [warmed_up(2.0, step, 4) for step in (0, 3, 4)] == [0.5, 2.0, 2.0]


def test_lr_of_zero_enters_no_average() -> None:
    """While lr is 0 nothing has moved: c is 0, as in the reference implementation, and 1 at the first lr above."""
    settings = ScheduleFree(lr=Warmup(duration=2, then=1.0))
    assert [settings.at(step).average for step in range(3)] == [0.0, 1.0, 0.8]
    assert Average().after(0, 0.0, r=0.0, weight_lr_power=0.0)[0] == 1.0


@pytest.mark.parametrize("number", range(200))
def test_trajectory_is_the_papers(number: int) -> None:
    """y, z and x of 25 steps in float64, the parameter being y and the velocity z - y."""
    given = drawn(number)
    settings = ScheduleFree(**given)
    draw = random.Random(1000 + number)
    grads = [draw.gauss(0, 1) for _ in range(25)]
    start = draw.gauss(0, 1)
    param, velocity = start, 0.0
    for step, (x, y, z) in enumerate(of_the_paper(given, grads, start)):
        delta, velocity = settings.at(step).rule(param, grads[step], velocity)
        param += delta
        scale = 1e-12 * (1 + abs(x) + abs(z))
        assert math.isclose(param, y, rel_tol=0, abs_tol=scale)
        assert math.isclose(param + velocity, z, rel_tol=0, abs_tol=scale)
        averaged = evaluation_point(param, velocity, given["momentum"])
        assert math.isclose(averaged, x, rel_tol=0, abs_tol=scale / given["momentum"])
        assert math.isclose(training_point(averaged, velocity, given["momentum"]), param, rel_tol=0, abs_tol=scale * 40)


def test_maximize_turns_the_gradient_alone() -> None:
    """As in SGD, weight decay keeps its sign."""
    down, up = (ScheduleFree(lr=0.5, weight_decay=0.25, maximize=maximize).at(3) for maximize in (False, True))
    (dp, dg, dv), (vp, vg, vv) = step_rows(down)
    assert step_rows(up) == ((dp, -dg, dv), (vp, -vg, vv))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"momentum": 0.0}, r"`momentum` of schedule-free SGD must be a number in \(0, 1\)"),
        ({"momentum": Constant(0.9)}, "must be a number in"),
        ({"nesterov": True}, "`nesterov` and `schedule_free` do not go together"),
        ({"dampening": 0.5}, "`dampening` and `schedule_free` do not go together"),
        ({"decay": "decoupled"}, "`decay` and `schedule_free` do not go together"),
        ({"lr_in_velocity": True}, "`lr_in_velocity` and `schedule_free`"),
        ({"lr": Cosine(initial=1.0, final=0.0, duration=10)}, "where lr falls"),
        ({"lr": Warmup(duration=5, then=Cosine(initial=1.0, final=0.0, duration=10))}, "where lr falls"),
        ({"lr": Warmup(duration=5, start=2.0, then=1.0)}, "where lr falls"),
        ({"lr": Warmup(duration=5, then=1.0), "warmup_steps": 5}, "would both warm up"),
        ({"warmup_steps": 2.5}, "`warmup_steps` must be an integer >= 0; got 2.5"),
        ({"warmup_steps": True}, "`warmup_steps` must be an integer"),
        ({"r": -1.0}, r"`r` must be in \[0, 16\]; got -1.0"),
        ({"weight_lr_power": math.inf}, "`weight_lr_power` must be finite"),
        ({"schedule_free": False}, "Without it use Settings"),
        ({"warmup": 5}, "unknown argument `warmup`"),
    ],
    ids=str,
)
def test_refusals(given: dict[str, Any], said: str) -> None:
    """What does not go together is refused with a reason."""
    with pytest.raises(SettingsError, match=said):
        ScheduleFree(**given)


def test_weights_that_vanish_are_refused() -> None:
    """A weight of 0 of an lr above 0 would leave the average where it began, in silence."""
    with pytest.raises(SettingsError, match="nothing would be averaged"):
        ScheduleFree(lr=1e-30, weight_lr_power=16.0).at(0)


def test_replacing_keeps_the_method() -> None:
    """Copies with other numbers, and with schedules in steps, are schedule-free too."""
    settings = replace(ScheduleFree(lr=Warmup(duration=2, then=1.0, unit="epoch"), r=1.0), weight_decay=0.5)
    assert settings.in_steps(10) == ScheduleFree(lr=Warmup(duration=20, then=1.0), r=1.0, weight_decay=0.5)
    assert settings != Settings(lr=settings.lr, momentum=0.9, weight_decay=0.5)
