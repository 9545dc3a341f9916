"""A step inside ``torch.compile``: one whole graph, compiled once, with the numbers of an ordinary step."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.nn import Parameter

from downslope import Group, kernel
from downslope.core.errors import NonFiniteGradientError, SettingsError, StateError
from downslope.schedules import Exponential
from downslope.torch import SGD

SETTINGS: list[dict[str, Any]] = [
    {},
    {"foreach": True},
    {"momentum": 0.0, "nesterov": False},
    {"lr": Exponential(0.1, rate=0.5, every=2, staircase=True)},
    {"clip_norm": 0.1},
    {"groups": [Group(match="*.bias", weight_decay=0.0)]},
    {"nesterov": False, "dampening": 0.3},
    {"velocity_dtype": torch.bfloat16},
]


def model_of(width: int = 8) -> torch.nn.Module:
    """Return a small model, the same each time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 2))


def backward(model: torch.nn.Module, step: int) -> None:
    """Give each parameter its gradient of a step."""
    model.zero_grad()
    model(torch.randn(5, 4, generator=torch.Generator().manual_seed(step))).square().sum().backward()


def count_graphs(compiled: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """Return a function compiled as one graph, and a list that grows with every compilation."""
    compilations: list[int] = []

    def backend(graph: torch.fx.GraphModule, _inputs: Any) -> Any:
        compilations.append(1)
        return graph.forward

    torch._dynamo.reset()
    return torch.compile(compiled, backend=backend, fullgraph=True), compilations


@pytest.mark.parametrize("own", SETTINGS, ids=str)
def test_a_compiled_step_is_one_graph_and_has_the_same_bits(own: dict[str, Any]) -> None:
    """Six steps, with everything a step may be asked for: no graph break, one compilation, the bits of eager steps."""
    settings = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01} | own
    width = 2048 if own.get("velocity_dtype") == "int8" else 8  # whose weights are worth codes
    models = [model_of(width), model_of(width)]
    optimizers = [SGD(model, **settings) for model in models]
    step, compilations = count_graphs(optimizers[0].step)
    for number in range(6):
        for model in models:
            backward(model, number)
        version = models[0][0].weight._version
        step()
        optimizers[1].step()
        assert models[0][0].weight._version > version
    for mine, theirs in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(mine, theirs)
        for key, buffer in optimizers[1].state[theirs].items():
            assert torch.equal(optimizers[0].state[mine][key], buffer)
    assert optimizers[0].step_count == 6
    assert len(compilations) == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_every_backend_of_the_compiler_takes_it(backend: str) -> None:
    """Functionalised and generated code write to the parameters themselves."""
    models = [model_of(), model_of()]
    optimizers = [SGD(model.parameters(), lr=0.1, momentum=0.9) for model in models]
    torch._dynamo.reset()
    step = torch.compile(optimizers[0].step, backend=backend, fullgraph=True)
    for number in range(4):
        for model in models:
            backward(model, number)
        step()
        optimizers[1].step()
    assert all(map(torch.equal, models[0].parameters(), models[1].parameters()))


def test_gradients_that_arise_in_the_graph_are_those_that_are_stepped() -> None:
    """A whole training step in one graph: gradients computed there, set, and stepped."""
    weight = Parameter(torch.tensor([1.0, 2.0]))
    optimizer = SGD([weight], lr=0.5, momentum=0.5)

    def train() -> torch.Tensor:
        weight.grad = 2 * weight.detach()  # of the loss, worked out by hand
        loss = (weight * weight).sum().detach()
        optimizer.step()
        return loss

    step, compilations = count_graphs(train)
    losses = [float(step()) for _ in range(3)]
    # velocities 2, 1 and -0.5 times (1, 2): weights 0, -0.5 and -0.25 times (1, 2)
    assert losses == [5.0, 0.0, 0.25 * 5]
    assert weight.tolist() == [-0.25, -0.5]
    assert len(compilations) <= 2  # the gradient is None before the first


def test_a_gradient_that_is_not_finite_is_named_and_nothing_moves() -> None:
    """The checks of an ordinary step, when the graph runs."""
    model = model_of()
    for wish in ("skip", "raise"):
        optimizer = SGD(model, lr=0.1, on_nonfinite=wish)
        step, _ = count_graphs(optimizer.step)
        backward(model, 0)
        before = copy.deepcopy(list(model.parameters()))
        model[2].bias.grad[0] = float("nan")
        if wish == "skip":
            step()
            assert (optimizer.skipped_steps, optimizer.step_count) == (1, 0)
        else:
            with pytest.raises(NonFiniteGradientError, match="gradient of `2.bias` holds inf or NaN at step 0"):
                step()
        assert all(map(torch.equal, before, model.parameters()))
        assert torch.is_grad_enabled()


def test_a_compiled_step_follows_its_optimizer_and_no_other() -> None:
    """A copy steps its own parameters, a group added later makes a new graph, and an optimizer that is gone is said."""
    weight = Parameter(torch.ones(3))
    optimizer = SGD([weight], lr=1.0)
    step, compilations = count_graphs(optimizer.step)
    weight.grad = torch.ones(3)
    step()
    other, copied = copy.deepcopy((optimizer, weight))
    copied.grad = torch.ones(3)
    copied_step, _ = count_graphs(other.step)
    copied_step()
    assert (weight.tolist(), copied.tolist()) == ([0.0] * 3, [-1.0] * 3)
    late = Parameter(torch.ones(2))
    late.grad = torch.ones(2)
    optimizer.add_param_group({"params": [late], "lr": 0.5})
    step()
    assert (weight.tolist(), late.tolist()) == ([-1.0] * 3, [0.5] * 2)
    handle = other._handle
    del other, copied_step
    torch._dynamo.reset()
    gc.collect()
    with pytest.raises(StateError, match="an optimizer that is gone"):
        torch.ops.downslope.sgd_step(handle, [0], [copied], [copied.grad])
    with pytest.raises(StateError, match="parameters have changed since"):
        torch.ops.downslope.sgd_step(optimizer._handle, [7], [weight.detach()], [weight.grad])
    assert len(compilations) == 2


def test_the_operation_itself_never_touches_fake_memory() -> None:
    """On tensors without memory it does nothing, and the optimizer neither counts nor allocates."""
    weight = Parameter(torch.ones(3))
    optimizer = SGD([weight], lr=1.0, momentum=0.9)
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(torch.ones(3)) for _ in range(2)]
        torch.ops.downslope.sgd_step(optimizer._handle, [0], fakes[:1], fakes[1:])
    assert optimizer.step_count == 0
    assert not optimizer.state
    with torch.no_grad():
        torch.library.opcheck(
            torch.ops.downslope.sgd_step.default, (optimizer._handle, [0], [torch.ones(3)], [torch.ones(3)])
        )


def test_hooks_run_although_it_is_compiled() -> None:
    """With a hook the graph breaks at the step, and the hook is called each time."""
    weight = Parameter(torch.ones(3))
    optimizer = SGD([weight], lr=1.0)
    calls: list[int] = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    torch._dynamo.reset()
    step = torch.compile(optimizer.step, backend="eager")
    for _ in range(3):
        weight.grad = torch.ones(3)
        step()
    assert len(calls) == 3
    assert weight.tolist() == [-2.0] * 3


def test_fused_insists_when_compiled_too() -> None:
    """A parameter that the kernel cannot take is an error there as well, and nothing moves."""
    if kernel.load_native() is None:
        pytest.skip(f"fused=True needs the kernel: {kernel.backend()}")
    weight = Parameter(torch.ones(6)[::2])
    optimizer = SGD([weight], lr=1.0, fused=True)
    step, _ = count_graphs(optimizer.step)
    weight.grad = torch.ones(3)
    with pytest.raises(SettingsError, match="`fused=True`: a parameter of shape"):
        step()
    assert weight.tolist() == [1.0] * 3


def test_a_differentiable_step_stays_differentiable() -> None:
    """Autograd runs through it: the graph breaks at the step, which no operation could hide."""
    lr = torch.tensor(0.5, requires_grad=True)
    weight = torch.ones(3, requires_grad=True).clone()
    optimizer = SGD([weight], lr=lr, differentiable=True)
    torch._dynamo.reset()
    weight.grad = torch.full((3,), 2.0)
    torch.compile(optimizer.step, backend="eager")()
    weight.sum().backward()
    assert lr.grad is not None
    assert lr.grad.item() == -6.0
