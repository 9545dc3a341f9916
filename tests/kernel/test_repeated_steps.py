"""Steps that are the last one again, taken in one call: the bits of steps that check everything anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_plans import ASK, native
from torch import Tensor

from downslope import kernel
from downslope.core.errors import NonFiniteGradientError, SettingsError
from downslope.schedules import Cosine, Exponential, Linear
from downslope.torch import SGD
from downslope.torch.gradients import global_norm
from draws import draws

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
    optimizer = SGD([{"params": params[:2]}, {"params": params[2:], "momentum": 0.0}], **options)
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
@pytest.mark.parametrize("asked", ["ignore", "raise", "clip"])
def test_steps_are_repeated(monkeypatch: pytest.MonkeyPatch, lr: str, asked: str) -> None:
    """After the first two steps no step is taken apart any more, whatever the schedule, and clipped or not."""
    taken = []
    whole = SGD._step_by
    monkeypatch.setattr(SGD, "_step_by", lambda self, *given: (taken.append(self.step_count), whole(self, *given)))
    _train({"lr": SCHEDULES[lr], "momentum": 0.9, **OPTIONS[asked]}, 16, forgets=False)
    assert taken == [0, 1]


def test_momentum_and_decay_that_follow_schedules_are_repeated_too() -> None:
    """A momentum that passes through 0, and a decay that begins at 0, as the schedule says."""
    _check_alike({"lr": 0.1, "momentum": Linear(0.0, 0.9, duration=5), "weight_decay": Linear(0.0, 1e-2, duration=9)})


def _replace_schedule(optimizer: SGD) -> None:
    group = optimizer.param_groups[0]
    group["lr_schedule"] = Linear(0.2, 0.1, duration=30)
    group["lr"] = group["lr_schedule"](optimizer.step_count)


def _replace_memory(optimizer: SGD) -> None:
    param = optimizer.param_groups[0]["params"][1]
    param.data = param.data * 2


def _freeze(optimizer: SGD) -> None:
    optimizer.param_groups[0]["params"][0].grad = None


def _add_group(optimizer: SGD) -> None:
    added = torch.ones(4, requires_grad=True)
    added.grad = torch.ones(4)
    optimizer.add_param_group({"params": [added]})


CHANGES: dict[str, Callable[[SGD], Any]] = {
    "lr": lambda o: o.param_groups[0].update(lr_schedule=None, lr=0.03),
    "tensor lr": lambda o: o.param_groups[0].update(lr_schedule=None, lr=torch.tensor(0.05)),
    "weight_decay": lambda o: o.param_groups[0].update(weight_decay=0.1),
    "momentum": lambda o: o.param_groups[0].update(momentum=0.5),
    "nesterov": lambda o: o.param_groups[0].update(nesterov=True),
    "clip_norm": lambda o: setattr(o, "clip_norm", 0.5),
    "schedule": _replace_schedule,
    "memory": _replace_memory,
    "a gradient gone": _freeze,
    "a group gone": lambda o: o.param_groups.pop(),
    "a group added": _add_group,
    "a state loaded": lambda o: o.load_state_dict(o.state_dict()),
    "a step with a factor": lambda o: o.step(grad_scale=0.25),
}


@settings(max_examples=draws(60))
@given(
    lr=st.sampled_from(list(SCHEDULES)),
    asked=st.sampled_from(list(OPTIONS)),
    when=st.integers(2, 12),
    what=st.sampled_from(list(CHANGES)),
)
def test_whatever_is_changed_between_steps_counts_from_the_next_step_on(
    lr: str, asked: str, when: int, what: str
) -> None:
    """Values, schedules, groups, states, gradients that go missing and memory that is replaced, at any step."""

    def meddle(optimizer: SGD, step: int) -> None:
        if step == when:
            CHANGES[what](optimizer)

    _check_alike({"lr": SCHEDULES[lr], "momentum": 0.9, "weight_decay": 1e-2, **OPTIONS[asked]}, meddle=meddle)


class _Interrupted:
    """A kernel's plan during whose step Ctrl-C is pressed."""

    def __init__(self, plan: Any, *, first: bool) -> None:
        self._plan = plan
        self._first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plan, name)

    def step(self, *given: Any) -> None:
        if not self._first:
            self._plan.step(*given)
        raise KeyboardInterrupt


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_step_that_is_broken_off_is_not_repeated(factor: float, first: bool) -> None:
    """Ctrl-C before the kernel's own step, or just after: neither an old lr nor a factor counts in the next step."""

    def meddle(optimizer: SGD, step: int) -> None:
        if step == 5:
            optimizer.param_groups[0]["lr"] = 0.3
            plan: Any = optimizer._plan
            whole = plan._native
            plan._native = _Interrupted(whole, first=first)
            with pytest.raises(KeyboardInterrupt):
                optimizer.step(grad_scale=factor)
            plan._native = whole

    _check_alike({"lr": 0.1, "momentum": 0.9}, meddle=meddle)


@pytest.mark.parametrize("has_gradient", [True, False])
def test_a_parameter_without_elements_may_be_given_some(has_gradient: bool) -> None:
    """It is stepped from then on, as torch steps it."""
    ends = []
    for make in (SGD, torch.optim.SGD):
        params = [torch.ones(3, requires_grad=True), torch.ones(0, requires_grad=True)]
        optimizer = make(params, lr=0.5)
        for step in range(6):
            if step == 4:
                params[1].data = torch.ones(2)
            for param in params:
                param.grad = torch.ones_like(param) if param.numel() or has_gradient else None
            optimizer.step()
        ends.append(params)
    assert all(map(torch.equal, *ends))
    assert torch.equal(ends[0][1], torch.zeros(2))


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
    optimizer.param_groups[1]["params"][0].grad.fill_(float("nan"))
    with pytest.raises(NonFiniteGradientError, match="parameter 0 of group 1"):
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


def test_a_tensor_is_not_the_number_that_it_rounds_to() -> None:
    """lr 0.05, then a float32 tensor of 0.05, which is a little more: each counts as it is."""
    scalars = []
    param = torch.zeros(1, requires_grad=True)
    param.grad = torch.ones(1)
    optimizer = SGD([param], lr=0.05)
    for lr in (0.05, torch.tensor(0.05)):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        scalars.append(optimizer.step_scalars()[0].lr)
    assert scalars == [0.05, torch.tensor(0.05).item()]


def test_a_momentum_that_is_a_tensor_may_change_in_place() -> None:
    """From 0 to .9: velocities come with it, whether or not there is a plan."""

    def meddle(optimizer: SGD, step: int) -> None:
        if step == 5:
            optimizer.param_groups[0]["momentum"].fill_(0.9)

    ends = [
        _train({"lr": 0.1, "momentum": torch.tensor(0.0)}, 9, forgets=forgets, meddle=meddle)[0]
        for forgets in (False, True)
    ]
    assert all(map(torch.equal, *ends))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_norm_is_the_same_by_whichever_way(threads: int) -> None:
    """Repeated, planned anew, and of the gradients by themselves: over several blocks and threads, the same bits."""
    before = kernel.get_num_threads()
    kernel.set_num_threads(threads)
    try:
        param = torch.zeros(300_001, requires_grad=True)
        param.grad = torch.randn(300_001, generator=torch.Generator().manual_seed(0))
        optimizer = SGD([param], lr=0.0, on_nonfinite="raise", momentum=0.9)
        norms = []
        for forgets in (True, False, False, True):
            if forgets:
                optimizer._forget_plans()
            optimizer.step()
            norms.append(optimizer.grad_norm)
    finally:
        kernel.set_num_threads(before)
    assert norms == [global_norm([param.grad])] * 4


_WATCHED = [("lr", "lr_schedule"), ("momentum", "momentum_schedule"), ("lr_schedule", None), ("added", None)]
_KEYS = st.sampled_from(["lr", "momentum", "lr_schedule", "momentum_schedule", "added", "step", "note"])
_EDITS = st.tuples(st.sampled_from(["put", "again", "drop", "to the end", "as it was"]), _KEYS)


@settings(max_examples=draws(60))
@given(st.lists(_EDITS, max_size=5), st.lists(_EDITS, max_size=5))
def test_a_group_holds_while_no_value_is_another(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    """However a group's dict was edited: it holds if every watched value that nothing drives is the same object."""
    group: dict[str, Any] = {"params": [], "lr": object(), "momentum": object(), "lr_schedule": None, "step": 0}
    _edit(group, before, dict(group))
    plan = native().Plan([], *ASK)
    plan.watch([group], {}, _WATCHED, lambda _: None, [])
    taken = dict(group)
    _edit(group, after, taken)
    asked = [key for key, driver in _WATCHED if driver is None or taken.get(driver) is None]
    expected = all(group.get(key, _WATCHED) is taken.get(key, _WATCHED) for key in asked)
    assert plan.values_hold() == expected
    plan.take_values()
    assert plan.values_hold()


def _edit(group: dict[str, Any], edits: list[tuple[str, str]], known: dict[str, Any]) -> None:
    """Put a new value, the present one under an equal key or the one of before; drop one; or move one to the end."""
    for edit, key in edits:
        if edit == "put":
            group[key] = object()
        elif edit == "drop":
            group.pop(key, None)
        elif edit == "as it was" and key in known:
            group[key] = known[key]
        elif key in group:
            value = group.pop(key) if edit == "to the end" else group[key]
            group["".join(list(key))] = value
