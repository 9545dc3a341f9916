"""Memory replaced between two steps: the kernel's plan must notice, and do what the fallback does."""

# ruff: noqa: D103  (the name of a change says what it does)

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from native_plans import native
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Parameter

from downslope.core.errors import NonFiniteGradientError
from downslope.torch import SGD

SHAPES = ((4, 4), (3,), (2, 3, 2, 2))
SETTINGS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True, "dampening": 0.0}
BUFFER = "momentum_buffer"

Run = tuple[SGD, list[Parameter]]
Change = Callable[[SGD, list[Parameter]], Any]


def noise(shape: Any, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return numbers that depend on shape and seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def start(**options: Any) -> Run:
    """Return an optimizer and its parameters; `foreach=False` keeps it off the kernel."""
    params = [Parameter(noise(shape, i)) for i, shape in enumerate(SHAPES)]
    return SGD(params, **SETTINGS, **options), params


def set_grads(params: list[Parameter], step: int) -> None:
    """Give every parameter that has one wanted a gradient of its own format."""
    for i, param in enumerate(params):
        param.grad = noise(param.shape, 100 * step + i, param.dtype) if param.requires_grad else None


# Each changes something between two steps; the optimizer's parameters are then stepped with the gradients they have.


def param_data(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].data = noise((4, 4), 9)


def param_data_transposed(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].data = params[0].data.t()  # the same address, the elements in another order


def param_data_first_half(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad = None
    params[0].data = params[0].data[:2]  # the same address, fewer elements
    params[0].grad = noise((2, 4), 8)
    optimizer.state[params[0]][BUFFER] = noise((2, 4), 9)


def param_data_other_format(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad = None
    params[0].data = params[0].data.double()
    params[0].grad = noise((4, 4), 8, torch.float64)


def param_data_other_layout(optimizer: SGD, params: list[Parameter]) -> None:
    params[2].data = params[2].data.contiguous(memory_format=torch.channels_last)


def param_storage_moved(optimizer: SGD, params: list[Parameter]) -> None:
    held = params[0].data.clone()
    params[0].untyped_storage().resize_(0)
    params[0].untyped_storage().resize_(held.nbytes)
    params[0].data.copy_(held)


def param_set_to_other_storage(optimizer: SGD, params: list[Parameter]) -> None:
    with torch.no_grad():
        params[0].set_(noise((4, 4), 9))


def grad_not_contiguous(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad = noise((4, 4), 9).t()


def grad_expanded(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad = noise((1, 4), 9).expand(4, 4)


def grad_with_gaps(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad = noise((4, 8), 9)[:, ::2]


def grad_data_transposed(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad.data = params[0].grad.data.t()


def grad_written_in_place(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad.mul_(3.0)


def grad_of_another_subclass(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].grad = noise((4, 4), 9).as_subclass(Subclass)


def grads_missing(optimizer: SGD, params: list[Parameter]) -> None:
    params[1].grad = None


def all_grads_missing(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.zero_grad(set_to_none=True)


def grads_of_zeros(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.zero_grad(set_to_none=False)


def frozen(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].requires_grad_(False)
    params[0].grad = None


def frozen_with_its_gradient(optimizer: SGD, params: list[Parameter]) -> None:
    params[0].requires_grad_(False)


def velocity_item(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state[params[0]][BUFFER] = noise((4, 4), 9)


def velocity_data(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state[params[0]][BUFFER].data = noise((4, 4), 9)


def velocity_data_transposed(optimizer: SGD, params: list[Parameter]) -> None:
    velocity = optimizer.state[params[0]][BUFFER]
    velocity.data = velocity.data.t()


def velocity_other_format(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state[params[0]][BUFFER] = noise((4, 4), 9, torch.float64)


def velocity_data_other_format(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state[params[0]][BUFFER].data = noise((4, 4), 9, torch.bfloat16)


def velocity_deleted(optimizer: SGD, params: list[Parameter]) -> None:
    del optimizer.state[params[0]][BUFFER]


def velocity_none(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state[params[0]][BUFFER] = None


def state_replaced(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state[params[0]] = {BUFFER: noise((4, 4), 9)}


def state_cleared(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.state.clear()


def state_loaded(optimizer: SGD, params: list[Parameter]) -> None:
    state = copy.deepcopy(optimizer.state_dict())
    for i, shape in enumerate(SHAPES):
        state["state"][i][BUFFER] = noise(shape, 50 + i)
    optimizer.load_state_dict(state)


def own_state_loaded(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.load_state_dict(optimizer.state_dict())


def group_added(optimizer: SGD, params: list[Parameter]) -> None:
    params.append(Parameter(noise((5,), 60)))
    optimizer.add_param_group({"params": [params[-1]], "lr": 0.5, "nesterov": False, "dampening": 0.3})
    params[-1].grad = noise((5,), 61)


def param_exchanged(optimizer: SGD, params: list[Parameter]) -> None:
    params[0] = Parameter(noise((4, 4), 9))
    optimizer.param_groups[0]["params"][0] = params[0]
    params[0].grad = noise((4, 4), 8)


def params_swapped(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.param_groups[0]["params"].reverse()


def hyperparameters(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.param_groups[0] |= {"lr": 0.01, "momentum": 0.5, "weight_decay": 0.0, "nesterov": False}


def momentum_to_zero(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.param_groups[0] |= {"momentum": 0.0, "nesterov": False}


def foreach_chosen(optimizer: SGD, params: list[Parameter]) -> None:
    optimizer.param_groups[0]["foreach"] = True


class Subclass(Tensor):
    """A tensor that is not plain."""


CHANGES: tuple[Change, ...] = (
    param_data,
    param_data_transposed,
    param_data_first_half,
    param_data_other_layout,
    param_storage_moved,
    param_set_to_other_storage,
    grad_not_contiguous,
    grad_expanded,
    grad_with_gaps,
    grad_data_transposed,
    grad_written_in_place,
    grad_of_another_subclass,
    grads_missing,
    all_grads_missing,
    grads_of_zeros,
    frozen,
    frozen_with_its_gradient,
    velocity_item,
    velocity_data,
    velocity_data_transposed,
    velocity_other_format,
    velocity_data_other_format,
    velocity_deleted,
    velocity_none,
    state_replaced,
    state_cleared,
    state_loaded,
    own_state_loaded,
    group_added,
    param_exchanged,
    params_swapped,
    hyperparameters,
    momentum_to_zero,
    foreach_chosen,
    param_data_other_format,
)


def trajectory(change: Change, run: Run) -> list[list[Tensor]]:
    """Step thrice, change something, step, and step twice more; return parameters and velocities after each step."""
    optimizer, params = run
    seen: list[list[Tensor]] = []
    for step in range(6):
        set_grads(params, step)
        if step == 3:
            change(optimizer, params)
        optimizer.step()
        after = [param.detach().clone() for param in params]
        states = [optimizer.state[param].get(BUFFER) for param in params if param in optimizer.state]
        seen.append([*after, *(state.clone() for state in states if state is not None)])
    return seen


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("dampening", [0.0, 0.5], ids=["undamped", "damped"])
def test_a_change_between_steps_is_seen_as_by_the_fallback(
    change: Change, dampening: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was replaced, kernel and fallback agree to float32's last places after each later step."""
    native()
    if dampening:  # Nesterov has none
        monkeypatch.setitem(SETTINGS, "nesterov", False)
        monkeypatch.setitem(SETTINGS, "dampening", dampening)
    ours, theirs = start(), start(foreach=False)
    for mine, other in zip(trajectory(change, ours), trajectory(change, theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=2e-6, atol=2e-6)
    assert not theirs[0]._plan.has_kernel
    if change is not foreach_chosen:
        assert ours[0]._plan.has_kernel


def test_a_smaller_parameter_at_the_same_address_leaves_its_neighbours_alone() -> None:
    """A view of the first elements has the address of the whole: nothing beyond it is written."""
    memory = torch.zeros(64)
    param = Parameter(memory)
    optimizer = SGD([param], lr=1.0)
    param.grad = torch.ones(64)
    optimizer.step()
    param.grad = None
    param.data = param.data[:4]
    param.grad = torch.ones(4)
    optimizer.step()
    assert memory.tolist() == [-2.0] * 4 + [-1.0] * 60


@pytest.mark.parametrize("settings", [{"lr": 0.1}, SETTINGS], ids=["plain", "nesterov"])
def test_autograd_notices_the_change(settings: dict[str, Any]) -> None:
    """A backward through what a step changed raises, at a plan's first step and at later ones."""
    param = Parameter(torch.ones(3))
    optimizer = SGD([param], **settings)
    for _ in range(3):
        param.grad = torch.ones(3)
        loss = (param * param).sum()
        version = param._version
        optimizer.step()
        assert param._version > version
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    velocity = optimizer.state[param].get(BUFFER) if param in optimizer.state else None
    assert velocity is None or velocity._version >= 3


def test_gradients_are_freed_although_there_is_a_plan() -> None:
    """After a step nobody but the parameter holds a gradient; zero_grad frees it."""
    optimizer, params = start()
    for step in range(3):
        set_grads(params, step)
        held = [weakref.ref(param.grad) for param in params]
        storages = [weakref.ref(param.grad.untyped_storage()) for param in params]
        optimizer.step()
        optimizer.zero_grad()
        assert [ref() for ref in (*held, *storages)] == [None] * 6
    assert optimizer._plan.has_kernel


def test_gradients_are_freed_after_a_skipped_step() -> None:
    """The same where the plan's gradients were only looked at, and where the step raised."""
    for wish in ("skip", "raise"):
        optimizer, params = start(on_nonfinite=wish)
        for step in range(3):
            set_grads(params, step)
            if step == 2:
                params[0].grad[0, 0] = float("inf")
                held = [weakref.ref(param.grad) for param in params]
            if step == 2 and wish == "raise":
                with pytest.raises(NonFiniteGradientError):
                    optimizer.step()
            else:
                optimizer.step()
            optimizer.zero_grad()
        assert [ref() for ref in held] == [None] * 3, wish


@pytest.mark.usefixtures("what_lives_is_not_searched")
def test_an_optimizer_that_is_dropped_frees_its_parameters() -> None:
    """A plan makes no circle that keeps tensors alive."""
    optimizer, params = start()
    set_grads(params, 0)
    optimizer.step()
    optimizer.step()
    held = [weakref.ref(param) for param in params]
    del optimizer, params
    gc.collect()
    assert [ref() for ref in held] == [None] * 3


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_a_copy_steps_on_its_own_memory(duplicate: Callable[[Any], Any]) -> None:
    """After copying an optimizer with a plan, each steps its own parameters, to the same bits."""
    optimizer, params = start()
    for step in range(2):
        set_grads(params, step)
        optimizer.step()
    # together, so that the copy's optimizer holds the copy's parameters
    other, others = duplicate((optimizer, params))
    for step in range(2, 5):
        set_grads(params, step)
        optimizer.step()
    kept = [param.detach().clone() for param in params]
    for step in range(2, 5):
        set_grads(others, step)
        other.step()
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(params, others, strict=True))
    assert all(torch.equal(mine, before) for mine, before in zip(params, kept, strict=True))
    assert other._plan.has_kernel


def test_fake_tensors_never_reach_the_kernel() -> None:
    """Under FakeTensorMode, with and without momentum, a step runs and no plan has an address."""
    for settings in ({"lr": 0.1}, SETTINGS):
        with FakeTensorMode():
            param = Parameter(torch.ones(3, 4))
            optimizer = SGD([param], **settings)
            for _ in range(3):
                param.grad = torch.ones(3, 4)
                optimizer.step()
            assert optimizer._plan is None or not optimizer._plan.has_kernel
            assert param.shape == (3, 4)


def test_a_real_optimizer_refuses_fake_gradients_address() -> None:
    """A plan of real tensors that meets a fake gradient does not hand its address to the kernel."""
    param = Parameter(torch.ones(3))
    optimizer = SGD([param], lr=0.1)
    param.grad = torch.ones(3)
    optimizer.step()
    optimizer.step()
    assert optimizer._plan.has_kernel
    plan = optimizer._plan._native
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(torch.ones(3))
    # torch itself may refuse the assignment; if it does not, the plan does
    try:
        param.grad = fake
    except (RuntimeError, TypeError):
        return
    assert plan.refresh() is False
