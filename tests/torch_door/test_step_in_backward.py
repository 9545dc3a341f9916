"""A step within the backward pass moves everything by the same bits as a step after it."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch
from in_backward_pairs import OPTIONS, assert_same, loss_of, mlp, pair
from test_conformance_torch import CaseModel, given_at
from torch_runs import assert_same_bits, velocities

from cases import CASES, Case
from downslope.core.errors import StateError
from downslope.core.schedules.schedule import Schedule
from downslope.schedules import Exponential
from downslope.torch import SGD
from draws import NIGHTLY


def pull(model: torch.nn.Module, case: Case, step: int, dtype: torch.dtype) -> None:
    """Run a real backward pass whose gradients are the table's."""
    given = given_at(step, dtype)
    taking_part = {name: param for name, param in model.named_parameters() if case.has_gradient(name, step)}
    Slope.apply([given[name] for name in taking_part], *taking_part.values()).backward()


class Slope(torch.autograd.Function):
    """A loss with given gradients: as one node, since the sum of gradients times parameters takes most of the time."""

    @staticmethod
    def forward(ctx, gradients, *params):
        """Return a loss."""
        ctx.gradients = gradients
        return params[0].new_zeros(())

    @staticmethod
    def backward(ctx, _):
        """Return the gradients."""
        return None, *ctx.gradients


def run_case(case: Case, dtype: torch.dtype, steps: int, **options: Any) -> tuple[CaseModel, SGD]:
    """Take steps of a case through autograd."""
    model = CaseModel(dtype)
    optimizer = SGD(model, settings=case.settings, groups=case.groups, **options)
    for step in range(steps):
        optimizer.zero_grad()
        pull(model, case, step, dtype)
        if optimizer.step_in_backward:
            assert all(param.grad is None for param in model.parameters()), "a gradient was not freed"
        optimizer.step()
    return model, optimizer


def steps_of(case: Case) -> int:
    """Return how many steps show all of a case: past the last first gradient, or a dozen where all are alike."""
    everyone = [case.settings, *(group.apply(case.settings) for group in case.groups)]
    numbers = [number for each in everyone for number in (each.lr, each.momentum, each.weight_decay)]
    turns = any(isinstance(n, Schedule) and (not isinstance(n, Exponential) or n.staircase) for n in numbers)
    return 45 if NIGHTLY or turns or case.first_gradient or case.every else 12


@pytest.mark.parametrize("foreach", [None, True], ids=["kernel", "foreach"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case_moves_by_the_same_bits(case: Case, foreach: bool | None) -> None:
    """Parameters, velocities and counts of every row of the table are those of the ordinary step."""
    steps = steps_of(case)
    model, optimizer = run_case(case, torch.float32, steps, foreach=foreach, step_in_backward=True)
    other, ordinary = run_case(case, torch.float32, steps, foreach=foreach)
    assert_same_bits(model.parameters(), other.parameters())
    for ours, theirs in zip(velocities(optimizer), velocities(ordinary), strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)
    assert optimizer.step_count == ordinary.step_count == steps


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "compensated"])
def test_bfloat16_moves_by_the_same_bits(rounding: str) -> None:
    """The random numbers of a tensor are those of its place among all parameters, not of its turn."""
    case = next(case for case in CASES if case.name == "nesterov-coupled")
    model, _ = run_case(case, torch.bfloat16, 20, rounding=rounding, step_in_backward=True)
    other, _ = run_case(case, torch.bfloat16, 20, rounding=rounding)
    assert_same_bits(model.parameters(), other.parameters())


def test_accumulated_gradients_enter_one_step() -> None:
    """Micro-batches within `accumulate` add up; the last pass steps with the sum; the same loop serves both."""
    both = pair(lr=Exponential(0.1, rate=0.5, every=2))
    for model, optimizer in both:
        for step in range(4):
            optimizer.zero_grad()
            before = [p.detach().clone() for p in model.parameters()]
            for micro in range(2):
                with optimizer.accumulate():
                    loss_of(model, 10 * step + micro).backward()
            assert_same_bits(model.parameters(), before)
            loss_of(model, 10 * step + 9).backward()
            optimizer.step()
    assert_same(both)


def test_what_only_accumulated_is_stepped_by_step() -> None:
    """A parameter that the last micro-batch does not use, and one whose gradient was set by hand, still move."""
    both = pair()
    for model, optimizer in both:
        for step in range(3):
            optimizer.zero_grad()
            with optimizer.accumulate():
                loss_of(model, step).backward()
            model[2](torch.ones(8)).sum().backward()  # the last layer alone
            optimizer.step()
            assert not optimizer.step_in_backward or all(p.grad is None for p in model.parameters())
        optimizer.zero_grad()
        for param in model.parameters():
            param.grad = torch.ones_like(param)
        optimizer.step()
    assert_same(both)
    assert both[0][1].step_count == 4


def test_unused_frozen_and_later_trained_parameters() -> None:
    """Parameters without a gradient stay; one that is unfrozen joins, whenever that is."""
    both = []
    for within in (True, False):
        model = mlp()
        model[0].weight.requires_grad_(False)
        both.append((model, SGD(model.named_parameters(), **OPTIONS, step_in_backward=within)))
    for model, optimizer in both:
        for step in range(6):
            model[0].weight.requires_grad_(step >= 2)
            optimizer.zero_grad()
            loss_of(model, step).backward()
            optimizer.step()
    assert_same(both)
    assert all(v is not None for v in velocities(both[0][1]))


def test_tied_weights_move_once() -> None:
    """A parameter used at three places of the graph is stepped once, with the whole gradient."""
    results = []
    for within in (True, False):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 9).reshape(3, 3))
        optimizer = SGD([weight], **OPTIONS, step_in_backward=within)
        for _ in range(3):
            optimizer.zero_grad()
            (torch.ones(2, 3) @ weight @ weight @ weight).tanh().sum().backward()
            optimizer.step()
        results.append(weight)
    assert_same_bits(results[:1], results[1:])


def test_closures_and_zero_grad_change_nothing() -> None:
    """`step(closure)`, torch's schedulers and zero_grad() between backward and step() are as ever."""
    both = pair()
    for model, optimizer in both:
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

        def closure(model: Any = model, optimizer: Any = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            loss = loss_of(model, 3)
            loss.backward()
            return loss

        for _ in range(4):
            assert optimizer.step(closure) > 0
            scheduler.step()
    (model, optimizer), (other, ordinary) = both
    loss_of(model, 1).backward()
    optimizer.zero_grad()
    optimizer.step()
    ordinary.zero_grad()
    loss_of(other, 1).backward()
    ordinary.step()
    assert_same(both)


def test_a_second_backward_is_an_error_and_moves_nothing() -> None:
    """Without `accumulate` a second gradient in a step is refused, by name, and can be dropped."""
    (model, optimizer), _ = pair()
    loss_of(model, 0).backward()
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(StateError, match=r"`2\.(bias|weight)` has a second gradient in step 0.*accumulate"):
        loss_of(model, 1).backward()
    assert_same_bits(model.parameters(), before)
    with pytest.raises(StateError, match="second gradient"):
        optimizer.step()
    with pytest.raises(StateError, match="half done"), optimizer.accumulate():
        pass
    optimizer.zero_grad()
    optimizer.step()
    assert_same_bits(model.parameters(), before)
    assert optimizer.step_count == 1


class Breaks(torch.autograd.Function):
    """Identity whose backward pass fails."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no gradient here")


def test_a_backward_pass_that_fails_midway() -> None:
    """What moved before the failure stays moved, the error of a second pass says so, and step() closes the step."""
    (model, optimizer), _ = pair()
    x = torch.ones(5, 4)
    with pytest.raises(RuntimeError, match="no gradient here"):
        model[2](Breaks.apply(model[:2](x))).sum().backward()
    assert optimizer.step_count == 0
    with pytest.raises(StateError, match="2 of 4 parameters were stepped.*failed midway"):
        loss_of(model, 0).backward()
    for refused in (optimizer.state_dict, lambda: copy.deepcopy(optimizer), lambda: pickle.dumps(optimizer)):
        with pytest.raises(StateError, match="half done: 2 of 4"):
            refused()
    optimizer.zero_grad()
    optimizer.step()
    assert optimizer.step_count == 1
    loss_of(model, 1).backward()
    optimizer.step()
    assert optimizer.step_count == 2


def test_a_loaded_state_ends_what_was_half_done() -> None:
    """Loading model and optimizer after a failure goes on as if it had not been."""
    both = pair()
    for model, optimizer in both:
        loss_of(model, 0).backward()
        optimizer.step()
        optimizer.zero_grad()
    (model, optimizer), _ = both
    saved = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    loss_of(model, 1).backward()
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    for model, optimizer in both:
        loss_of(model, 2).backward()
        optimizer.step()
    assert_same(both)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"])
def test_a_copy_steps_its_own_parameters(way: Any) -> None:
    """A copied or unpickled optimizer has hooks on its copy of the parameters, and the first is left alone."""
    (model, optimizer), (other, ordinary) = pair()
    loss_of(model, 0).backward()
    optimizer.step()
    loss_of(other, 0).backward()
    ordinary.step()
    ordinary.zero_grad()
    before = [p.detach().clone() for p in model.parameters()]
    twin, its_optimizer = way((model, optimizer))
    loss_of(twin, 1).backward()
    its_optimizer.step()
    loss_of(other, 1).backward()
    ordinary.step()
    assert_same([(twin, its_optimizer), (other, ordinary)])
    assert_same_bits(model.parameters(), before)


def test_a_group_added_later_is_stepped_too() -> None:
    """add_param_group puts hooks on the new parameters; not in the middle of a step."""
    both = pair()
    for model, optimizer in both:
        extra = torch.nn.Parameter(torch.ones(3))
        loss_of(model, 0).backward()
        if optimizer.step_in_backward:
            with pytest.raises(StateError, match="cannot add a group"):
                optimizer.add_param_group({"params": [("extra", extra)], "lr": 0.5})
        optimizer.step()
        optimizer.zero_grad()
        optimizer.add_param_group({"params": [("extra", extra)], "lr": 0.5})
        (loss_of(model, 1) + extra.square().sum()).backward()
        assert (extra.grad is None) == optimizer.step_in_backward
        optimizer.step()
        model.register_parameter("extra", extra)
    assert_same(both)


def test_hooks_go_with_the_optimizer() -> None:
    """A deleted optimizer is freed at once, without the collector, and its hooks with it."""
    gradient_first = SGD(mlp().parameters(), lr=0.1)  # torch keeps the first one's frames for a while
    del gradient_first
    gc.collect()
    model = mlp()
    optimizer = SGD(model.parameters(), **OPTIONS, step_in_backward=True)
    loss_of(model, 0).backward()
    optimizer.step()
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert gone() is None
    finally:
        gc.enable()
    loss_of(model, 1).backward()
    assert all(param.grad is not None for param in model.parameters())


def test_no_two_large_gradients_live_at_once() -> None:
    """While a backward pass goes back through equal layers, at most two gradients are alive, not all ten."""
    layers = [torch.nn.Linear(16, 16, bias=False) for _ in range(10)]
    most = {}
    for within in (True, False):
        optimizer = SGD([layer.weight for layer in layers], lr=0.01, step_in_backward=within)
        alive: list[int] = []
        handles = [
            layer.weight.register_hook(lambda grad, a=alive: a.append(sum(r.weight.grad is not None for r in layers)))
            for layer in layers
        ]
        torch.nn.Sequential(*layers)(torch.ones(2, 16)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        for handle in handles:
            handle.remove()
        most[within] = max(alive)
    assert most == {True: 0, False: 9}
