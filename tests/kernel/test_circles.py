"""Circles through a plan are collected as any of Python's, and nothing is said of those that last until the end."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from native_plans import ASK, make_plan, native
from torch.nn import Module, Parameter

from downslope.kernel.arrays import CODES
from downslope.torch import SGD

pytestmark = pytest.mark.usefixtures("what_lives_is_not_searched")

ROOT = Path(__file__).resolve().parents[2]


class Owner(Module):
    """A module that holds its own optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(100))
        self.optimizer = SGD(self.parameters(), lr=0.1, momentum=0.9)


def stepped() -> tuple[Parameter, SGD]:
    """Return a parameter and its optimizer, which has a plan."""
    param = Parameter(torch.ones(100))
    optimizer = SGD([param], lr=0.1, momentum=0.9)
    for _ in range(3):
        param.sum().backward()
        optimizer.step()
    assert optimizer._plan.has_kernel
    return param, optimizer


def attribute() -> Any:
    """Return a parameter with an attribute that is its optimizer."""
    param, param.opt = stepped()
    return param


def in_backward_optimizers() -> Any:
    """Return a parameter as torch.distributed.optim._apply_optimizer_in_backward leaves it."""
    param, optimizer = stepped()
    param._in_backward_optimizers = [optimizer]
    return param


def in_a_group() -> Any:
    """Return an optimizer that is named in a group of its own."""
    _, optimizer = stepped()
    optimizer.param_groups[0]["owner"] = optimizer
    return optimizer


def in_the_state() -> Any:
    """Return an optimizer that is in its own state."""
    param, optimizer = stepped()
    optimizer.state[param]["owner"] = optimizer
    return optimizer


def module_with_hooks() -> Any:
    """Return a module that holds its optimizer, and whose parameter's hook holds the module."""
    module = Owner()
    for _ in range(3):
        module.weight.sum().backward()
        module.optimizer.step()
    module.register_forward_hook(lambda *_: None)
    module.weight.register_hook(lambda grad, module=module: grad)
    assert module.optimizer._plan.has_kernel
    return module


def plan_alone() -> Any:
    """Return a parameter that holds the compiled plan itself, gradients taken up."""
    param = Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    param.plan = make_plan([param], [torch.zeros(3)])
    return param


def watched_plan() -> Any:
    """Return a parameter in a circle through what a plan was told of the groups."""
    param = Parameter(torch.ones(3))
    plan = native().Plan([], *ASK)
    plan.watch([{"params": [], "lr": param}], {}, [("lr", None)], lambda _: None, [param])
    param.plan = plan
    return param


@pytest.mark.parametrize(
    "make",
    [
        attribute,
        in_backward_optimizers,
        in_a_group,
        in_the_state,
        module_with_hooks,
        plan_alone,
        watched_plan,
    ],
    ids=lambda make: make.__name__,
)
def test_a_circle_is_collected(make: Callable[[], Any]) -> None:
    """When nobody else holds it."""
    native()
    held = weakref.ref(make())
    gc.collect()
    assert held() is None


def test_a_step_of_arrays_is_collected() -> None:
    """A compiled step in a circle with a list that it gave out."""
    name = type("Name", (str,), {})("w")
    arrays = [{name: np.ones(3)} for _ in range(3)]
    step = native().ArrayStep(*arrays, {}, {name: object()}, np.ndarray, CODES)
    step.kinds.append(step)
    held = weakref.ref(name)
    del name, arrays, step
    gc.collect()
    assert held() is None


def test_a_plan_that_was_broken_is_of_no_more_use_and_no_harm() -> None:
    """A finalizer that still reaches a plan within a circle finds one that holds nothing."""
    native()
    seen: list[Any] = []

    class Last:
        def __init__(self, plan: Any) -> None:
            self.plan, self.me = plan, self

        def __del__(self) -> None:
            seen.append(self.plan)

    param = Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    plan = make_plan([param], [None])
    param.last = Last(plan)
    del plan, param
    gc.collect()
    (plan,) = seen
    assert plan.refresh() in (True, False)
    seen.clear()


AT_EXIT = """
import torch
from downslope.torch import SGD
params = [torch.nn.Parameter(torch.ones(10)) for _ in range(2)]
optimizer = SGD(params, lr=0.1, momentum=0.9)
def hook(param, optimizer=optimizer):
    optimizer.step()
for param in params:
    param.register_post_accumulate_grad_hook(hook)
for _ in range(3):
    sum(param.sum() for param in params).backward()
assert optimizer._plan.has_kernel
kept = torch.nn.Parameter(torch.ones(3))
kept._in_backward_optimizers = [SGD([kept], lr=0.1, momentum=0.9)]
for _ in range(3):
    kept.grad = torch.ones(3)
    kept._in_backward_optimizers[0].step()
"""


def test_nothing_is_said_at_the_end_of_a_process() -> None:
    """Not of an optimizer that a hook keeps alive, for ever, as torch keeps hooks."""
    native()
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
