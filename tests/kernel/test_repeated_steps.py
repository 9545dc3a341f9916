"""Steps that are the last one again, taken in one call: the bits of steps that check everything anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from downslope import kernel
from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.schedules import Cosine, Exponential, Linear
from downslope.torch import SGD

pytestmark = pytest.mark.skipif(not kernel.backend().startswith("compiled"), reason="the kernel was not built")

SCHEDULES: dict[str, Any] = {
    "constant": 0.1,
    "staircase": Exponential(0.1, rate=0.5, every=4, staircase=True),
    "smooth": Cosine(0.1, 0.01, duration=20),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "ignore": {},
    "raise": {"on_nonfinite": "raise"},
    "skip": {"on_nonfinite": "skip"},
    "clip": {"clip_norm": 3.0},
    "clip and skip": {"clip_norm": 3.0, "on_nonfinite": "skip"},
}
SHAPES = ((5, 3), (7,), ())


def _train(
    options: dict[str, Any], steps: int, *, forgets: bool, meddle: Callable[[SGD, int], None] | None = None
) -> tuple[list[Tensor], SGD, list[float | None]]:
    """Return parameters after some steps, the optimizer, and the norm of each step."""
    draw = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=draw).requires_grad_() for shape in SHAPES]
    optimizer = SGD(params, **options)
    norms = []
    for step in range(steps):
        for param in params:
            param.grad = torch.randn(param.shape, generator=draw)
        if step in {7, 8} and optimizer.on_nonfinite == "skip":
            params[1].grad[3] = float("inf" if step == 7 else "nan")  # type: ignore[index]
        if meddle is not None:
            meddle(optimizer, step)
        if forgets:
            optimizer._forget_plans()
        optimizer.step()
        norms.append(optimizer.grad_norm)
    return [param.detach() for param in params], optimizer, norms


def _check_alike(options: dict[str, Any], steps: int = 16, meddle: Callable[[SGD, int], None] | None = None) -> SGD:
    repeated, one, norms = _train(options, steps, forgets=False, meddle=meddle)
    checked, two, expected = _train(options, steps, forgets=True, meddle=meddle)
    assert all(map(torch.equal, repeated, checked))
    assert list(map(repr, norms)) == list(map(repr, expected))  # NaN is not equal to itself
    assert (one.step_count, one.skipped_steps) == (two.step_count, two.skipped_steps)
    assert [group["lr"] for group in one.param_groups] == [group["lr"] for group in two.param_groups]
    return one


@pytest.mark.parametrize("lr", list(SCHEDULES))
@pytest.mark.parametrize("asked", list(OPTIONS))
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_repeated_steps_have_the_bits_of_checked_ones(lr: str, asked: str, momentum: float) -> None:
    """Constant and scheduled lr, with and without questions about all gradients: parameters, norms and counts agree."""
    optimizer = _check_alike({"lr": SCHEDULES[lr], "momentum": momentum, "weight_decay": 1e-2, **OPTIONS[asked]})
    assert optimizer.step_count == (14 if "skip" in asked else 16)


@pytest.mark.parametrize("lr", list(SCHEDULES))
@pytest.mark.parametrize("asked", ["ignore", "raise"])
def test_steps_are_repeated(monkeypatch: pytest.MonkeyPatch, lr: str, asked: str) -> None:
    """After the first two steps no step is taken apart any more, whatever the schedule."""
    taken = []
    whole = SGD._step_by
    monkeypatch.setattr(SGD, "_step_by", lambda self, *given: (taken.append(self.step_count), whole(self, *given)))
    _train({"lr": SCHEDULES[lr], "momentum": 0.9, **OPTIONS[asked]}, 16, forgets=False)
    assert taken == [0, 1]


def test_momentum_and_decay_that_follow_schedules_are_repeated_too() -> None:
    """A momentum that passes through 0, and a decay that begins at 0, as the schedule says."""
    _check_alike({"lr": 0.1, "momentum": Linear(0.0, 0.9, duration=5), "weight_decay": Linear(0.0, 1e-2, duration=9)})


@settings(max_examples=40, deadline=None)
@given(
    lr=st.sampled_from(list(SCHEDULES)),
    asked=st.sampled_from(list(OPTIONS)),
    when=st.integers(2, 12),
    what=st.sampled_from(["lr", "weight_decay", "momentum", "schedule", "nesterov", "clip_norm", "frozen", "replaced"]),
)
def test_whatever_is_changed_between_steps_counts_from_the_next_step_on(
    lr: str, asked: str, when: int, what: str
) -> None:
    """Values, schedules, gradients that go missing and memory that is replaced, at any step."""

    def meddle(optimizer: SGD, step: int) -> None:
        if step != when:
            return
        group = optimizer.param_groups[0]
        if what == "lr":
            group["lr_schedule"], group["lr"] = None, 0.03
        elif what == "schedule":
            group["lr_schedule"] = Linear(0.2, 0.1, duration=30)
            group["lr"] = group["lr_schedule"](optimizer.step_count)
        elif what == "clip_norm":
            optimizer.clip_norm = 0.5
        elif what == "frozen":
            group["params"][0].grad = None
        elif what == "replaced":
            group["params"][1].data = group["params"][1].data * 2
        else:
            group[what] = {"weight_decay": 0.1, "momentum": 0.5, "nesterov": True}[what]

    _check_alike({"lr": SCHEDULES[lr], "momentum": 0.9, "weight_decay": 1e-2, **OPTIONS[asked]}, meddle=meddle)


def test_two_hands_on_a_scheduled_number_are_refused_in_a_repeated_step() -> None:
    """Nothing moves, and the message names the group."""
    params, optimizer, _ = _train({"lr": SCHEDULES["smooth"]}, 5, forgets=False)
    before = [param.clone() for param in params]
    optimizer.param_groups[0]["lr"] = 7.0
    with pytest.raises(SettingsError, match="param group 0 is driven by"):
        optimizer.step()
    assert all(map(torch.equal, params, before))


def test_a_gradient_that_is_not_finite_is_refused_in_a_repeated_step() -> None:
    """Nothing moves, and the message names the parameter."""
    params, optimizer, _ = _train({"lr": 0.1, "momentum": 0.9, "on_nonfinite": "raise"}, 5, forgets=False)
    before = [param.clone() for param in params]
    optimizer.param_groups[0]["params"][2].grad.fill_(float("nan"))
    with pytest.raises(NonFiniteGradientError, match="parameter 2 of group 0"):
        optimizer.step()
    assert all(map(torch.equal, params, before))
    assert optimizer.step_count == 5


def test_large_finite_gradients_are_no_false_alarm_in_a_repeated_step() -> None:
    """Squares that overflow float64 do not make a step one of gradients that are not finite."""
    param = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = SGD([param], lr=1e-200, on_nonfinite="raise")
    for value in (1.0, 2.0, 3.0, 1e200):
        param.grad = torch.full((3,), value, dtype=torch.float64)
        optimizer.step()
    assert optimizer.grad_norm == pytest.approx(3**0.5 * 1e200)
    assert optimizer.step_count == 4
