"""Closures, hooks of every kind, zero_grad, loss scaling: the conduct of a torch optimizer around the step itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch_runs import assert_close, assert_same_bits, make_params, run, set_grads, values, velocities

from downslope.core.errors import SettingsError
from downslope.schedules import Exponential
from downslope.torch import SGD


def test_a_closure_is_called_once_with_gradients_on_and_its_loss_is_returned() -> None:
    """As in torch: step(closure) evaluates, steps with the fresh gradients, returns the very loss."""
    (param,) = make_params([(3,)])
    optimizer = SGD([param], lr=0.5)
    calls: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        assert torch.is_grad_enabled()
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        calls.append(loss)
        return loss

    before = param.detach().clone()
    with torch.no_grad():
        loss = optimizer.step(closure)
    assert calls == [loss]
    assert torch.equal(param, before - 0.5 * 2 * before)


def test_the_closure_argument_is_named_closure() -> None:
    """torch.distributed.checkpoint calls step(closure=None)."""
    params = make_params()
    optimizer = SGD(params, lr=0.1)
    set_grads(params, 0)
    assert optimizer.step(closure=None) is None
    assert optimizer.step(closure=lambda: 3.0) == 3.0
    assert optimizer.step_count == 2


def test_a_closure_that_raises_moves_nothing() -> None:
    """The error comes out, the step did not happen."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    set_grads(params, 0)
    before = values(params)

    def closure() -> float:
        raise KeyError("no such batch")

    with pytest.raises(KeyError):
        optimizer.step(closure)
    assert_same_bits(params, before)
    assert optimizer.step_count == 0
    assert torch.is_grad_enabled()


def test_a_closure_may_return_anything() -> None:
    """None, a number, a tuple: handed back as it is."""
    optimizer = SGD(make_params(), lr=0.1)
    for value in (None, 1.5, ("loss", 2)):
        assert optimizer.step(lambda value=value: value) == value  # type: ignore[misc]


def test_the_grad_mode_is_restored() -> None:
    """After step, and after a step that raised, gradients are recorded as before."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, on_nonfinite="raise")
    set_grads(params, 0)
    optimizer.step()
    assert torch.is_grad_enabled()
    params[0].grad.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(ArithmeticError):
        optimizer.step()
    assert torch.is_grad_enabled()
    with torch.no_grad():
        params[0].grad.fill_(0.0)  # type: ignore[union-attr]
        optimizer.step()
        assert not torch.is_grad_enabled()


def test_step_hooks_run_in_order_and_can_be_removed() -> None:
    """Pre hook, step, post hook, once each; the pre hook sees the parameters from before, the post hook from after."""
    (param,) = make_params([(2,)])
    optimizer = SGD([param], lr=1.0)
    start = param.detach().clone()
    seen: list[tuple[str, bool]] = []
    pre = optimizer.register_step_pre_hook(lambda o, a, k: seen.append(("pre", torch.equal(param, start))))
    post = optimizer.register_step_post_hook(lambda o, a, k: seen.append(("post", torch.equal(param, start))))
    set_grads([param], 0)
    optimizer.step()
    assert seen == [("pre", True), ("post", False)]
    pre.remove()
    post.remove()
    optimizer.step()
    assert len(seen) == 2


def test_a_pre_hook_may_replace_the_arguments() -> None:
    """As torch allows: the closure it puts in is the one called."""
    (param,) = make_params([(2,)])
    optimizer = SGD([param], lr=1.0)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7.0), {}))
    assert optimizer.step() == 7.0


def test_a_pre_hook_may_edit_gradients() -> None:
    """Gradient clipping by hook: the step sees what the hook left."""
    (param,) = make_params([(2,)])
    with torch.no_grad():
        param.zero_()
    optimizer = SGD([param], lr=1.0)

    def quarter(*_: Any) -> None:
        param.grad.fill_(0.25)  # type: ignore[union-attr]

    optimizer.register_step_pre_hook(quarter)
    set_grads([param], 0)
    optimizer.step()
    assert param.tolist() == [-0.25, -0.25]


def test_global_step_hooks_run() -> None:
    """register_optimizer_step_pre_hook and _post_hook act on every optimizer, ours too, once per step."""
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    seen: list[str] = []
    handles = [
        register_optimizer_step_pre_hook(lambda o, a, k: seen.append(f"pre {type(o).__name__}")),
        register_optimizer_step_post_hook(lambda o, a, k: seen.append(f"post {type(o).__name__}")),
    ]
    try:
        optimizer = SGD(make_params(), lr=0.1)
        optimizer.step()
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["pre SGD", "post SGD"]


def test_a_subclass_runs_its_hooks_once() -> None:
    """People subclass optimizers; hooks must not run twice and step must work."""

    class Mine(SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    params = make_params()
    optimizer = Mine(params, lr=0.1)
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda o, a, k: seen.append("pre"))
    run(optimizer, params, 1)
    assert optimizer.step_count == 1
    theirs = torch.optim.SGD(make_params(), lr=0.1)
    expected: list[str] = []

    class Theirs(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    theirs = Theirs(make_params(), lr=0.1)
    theirs.register_step_pre_hook(lambda o, a, k: expected.append("pre"))
    theirs.step()
    assert seen == expected


def test_state_dict_hooks() -> None:
    """Pre hook before, post hook after with the dictionary, which it may replace."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    seen: list[str] = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("pre"))
    handle = optimizer.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    state = optimizer.state_dict()
    assert seen == ["pre"]
    assert state["extra"] == 1
    handle.remove()
    optimizer.register_state_dict_post_hook(lambda o, state: state.update(more=2))
    assert optimizer.state_dict()["more"] == 2


def test_load_state_dict_hooks() -> None:
    """Pre hook may replace the state before it is checked; post hook runs once after it is in."""
    params = make_params()
    first = SGD(params, lr=0.1, momentum=0.9)
    run(first, params, 2)
    second = SGD(params, lr=0.1, momentum=0.9)
    seen: list[Any] = []

    def repair(optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
        state = copy.deepcopy(state)
        state["state"][0]["momentum_buffer"] = torch.zeros(3, 4, dtype=torch.float64)
        return state

    second.register_load_state_dict_pre_hook(repair)
    second.register_load_state_dict_post_hook(lambda o: seen.append(velocities(o)[0].sum().item()))  # type: ignore[union-attr]
    broken = copy.deepcopy(first.state_dict())
    broken["state"][0]["momentum_buffer"] = torch.zeros(99)
    second.load_state_dict(broken)
    assert seen == [0.0]


def test_a_load_pre_hook_that_edits_its_argument_in_place() -> None:
    """Torch hands the hook a shallow copy; replacing a top-level entry in it takes effect, the caller's stays."""
    params = make_params()
    first = SGD(params, lr=0.1, momentum=0.9)
    run(first, params, 2)
    state = first.state_dict()
    second = SGD(params, lr=0.1, momentum=0.9)
    second.register_load_state_dict_pre_hook(lambda o, s: s.update(state={}))
    second.load_state_dict(state)
    assert velocities(second) == [None] * 4
    assert len(state["state"]) == 4


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(set_to_none: bool) -> None:
    """None by default, zeros on request."""
    params = make_params()
    optimizer = SGD(params, lr=0.1)
    set_grads(params, 0)
    optimizer.zero_grad(set_to_none=set_to_none)
    if set_to_none:
        assert all(param.grad is None for param in params)
    else:
        assert all(not param.grad.any() for param in params)  # type: ignore[union-attr]


def test_a_zero_gradient_is_a_gradient_and_none_is_not() -> None:
    """Zeros: velocity and decay go on; None: the parameter is left wholly alone, as in torch."""
    ours, theirs = make_params(), make_params()
    for cls, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        optimizer = cls(params, lr=0.1, momentum=0.9, weight_decay=0.1)
        run(optimizer, params, 2)
        optimizer.zero_grad(set_to_none=False)
        params[1].grad = None
        optimizer.step()
    assert_close(ours, theirs)


def test_gradient_accumulation_over_backward_calls() -> None:
    """Two backward calls, one step: since p.grad is never written, the sum is exact."""
    (param,) = make_params([(3,)])
    start = param.detach().clone()
    optimizer = SGD([param], lr=0.5, momentum=0.9, nesterov=True)
    param.sum().backward()
    (2 * param).sum().backward()
    optimizer.step()
    torch.testing.assert_close(param.detach(), start - 0.5 * (3 + 0.9 * 3))
    assert param.grad.tolist() == [3.0, 3.0, 3.0]  # type: ignore[union-attr]


def test_grad_scaler_with_unscale_and_clipping() -> None:
    """The whole mixed-precision recipe, one batch infinite: scale, backward, unscale_, clip, step, update."""
    ends: list[list[torch.Tensor]] = []
    for cls in (SGD, torch.optim.SGD):
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 2)
        optimizer = cls(model.parameters(), lr=0.1, momentum=0.9)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
        for step in range(6):
            optimizer.zero_grad()
            loss = model(torch.full((3, 4), float("inf") if step == 3 else 0.1 * step)).square().mean()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
        ends.append(values(model.parameters()))
        if isinstance(optimizer, SGD):
            assert (optimizer.step_count, optimizer.skipped_steps) == (5, 0)  # the scaler never called step
    assert_close(*ends, rtol=1e-6)
    assert all(torch.isfinite(param).all() for param in ends[0])


def test_the_profiler_names_the_step() -> None:
    """Profiles show Optimizer.step#SGD.step, as for torch's."""
    params = make_params()
    optimizer = SGD(params, lr=0.1)
    set_grads(params, 0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
        optimizer.zero_grad()
    names = {event.name for event in profile.events()}
    assert "Optimizer.step#SGD.step" in names
    assert "Optimizer.zero_grad#SGD.zero_grad" in names


def test_step_count_can_be_set_for_a_run_that_comes_from_elsewhere() -> None:
    """Torch's state has no count; a person who knows it says it, and schedules go on from there."""
    optimizer = SGD(make_params(), lr=Exponential(0.5, 0.5, 1))
    optimizer.step_count = 3
    assert optimizer.step_count == 3
    assert optimizer.param_groups[0]["lr"] == 0.0625
    for bad in (-1, 1.5, "3", True):
        with pytest.raises(SettingsError, match="step_count"):
            optimizer.step_count = bad  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        optimizer.skipped_steps = 5  # type: ignore[misc]


def test_a_copied_optimizer_counts_on_its_own() -> None:
    """deepcopy: two independent step counts, both right."""
    params = make_params()
    optimizer = SGD(params, lr=0.1)
    run(optimizer, params, 2)
    twin = copy.deepcopy(optimizer)
    run(twin, twin.param_groups[0]["params"], 1)
    assert (optimizer.step_count, twin.step_count) == (2, 3)


def test_training_a_model_lowers_its_loss() -> None:
    """The plainest use of all: model, loss, backward, step."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    x = torch.randn(64, 4)
    y = x.sum(1, keepdim=True)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
