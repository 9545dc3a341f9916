"""A step that somebody watches: recorded in a graph, counted, without memory, or mapped over a batch.

torch.optim.SGD runs beside; nothing is timed.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch_runs import assert_close, copy_params, make_params, run, set_grads, values

from downslope.kernel import load_native
from downslope.schedules import Cosine
from downslope.torch import SGD

NEEDS_KERNEL = pytest.mark.skipif(load_native() is None, reason="the kernel was not built here, or is switched off")

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "all": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}


class Written(TorchDispatchMode):
    """Notes every operation that writes to a tensor, as memory trackers and counters do."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.written: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Note which arguments an operation changes in place, and carry it out."""
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.written |= {id(tensor) for tensor in (value if isinstance(value, list) else [value])}
        return func(*args, **(kwargs or {}))


def recorded(optimizer: type, mode: str, **options: Any) -> tuple[torch.nn.Parameter, Any, Any]:
    """Return a parameter of value (1, 2), its optimizer after one step, and the graph of a further step."""
    param = torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    stepping = optimizer([param], lr=0.5, **options)

    def step(grad: torch.Tensor) -> torch.Tensor:
        param.grad = grad
        stepping.step()
        return param.detach().clone()

    grad = torch.ones(2, dtype=torch.float64)
    step(grad)
    return param, stepping, make_fx(step, tracing_mode=mode, _allow_non_fake_inputs=True)(grad)


@torch.no_grad()
def test_a_recorded_step_moves_the_parameter_at_every_call() -> None:
    """From 1 two steps lead to 0, the second while it is recorded; then -0.5, -1.0, -1.5 by the graph alone."""
    for optimizer in (SGD, torch.optim.SGD):
        param, _, graph = recorded(optimizer, "real")
        assert param.tolist() == [0.0, 1.0]
        assert [graph(torch.ones(2, dtype=torch.float64))[0].item() for _ in range(3)] == [-0.5, -1.0, -1.5]


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
def test_recorded_steps_are_torchs(options: dict[str, Any], mode: str) -> None:
    """From the same parameter and velocity: in fake modes recording itself moves one of the two, as in torch."""
    results = []
    for optimizer in (SGD, torch.optim.SGD):
        param, stepping, graph = recorded(optimizer, mode, **options)
        param.copy_(torch.tensor([1.0, 2.0]))
        for velocity in stepping.state[param].values():
            velocity.copy_(torch.tensor([0.5, -0.25]))
        results.append([graph(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(3)])
    torch.testing.assert_close(*results, rtol=1e-13, atol=0)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_dispatch_mode_sees_every_parameter_written(options: dict[str, Any]) -> None:
    """Before and after an ordinary step, with the same numbers; and the next ordinary step has its kernel again."""
    ours, theirs = make_params(), make_params()
    optimizer, reference = SGD(ours, lr=0.1, **options), torch.optim.SGD(theirs, lr=0.1, foreach=False, **options)
    for step, watched in enumerate([True, False, True, True, False, False]):
        set_grads(ours, step)
        set_grads(theirs, step)
        reference.step()
        if watched:
            with Written() as mode:
                optimizer.step()
            assert set(map(id, ours)) <= mode.written
        else:
            optimizer.step()
    assert_close(ours, theirs)
    assert optimizer.step_count == 6
    assert optimizer._plan is not None
    assert optimizer._plan.has_kernel == (load_native() is not None)


@pytest.mark.parametrize("extra", [{"clip_norm": 0.5}, {"on_nonfinite": "skip"}, {"lr": Cosine(0.1, 0.01, 9)}], ids=str)
def test_what_a_step_does_besides_it_does_when_watched(extra: dict[str, Any]) -> None:
    """Clipping, skipping and schedules: the same as without a mode around it."""
    one, other = make_params(), make_params()
    first, second = (SGD(params, **{"lr": 0.1, "momentum": 0.9, **extra}) for params in (one, other))
    run(first, one, 3)
    with Written():
        run(second, other, 3)
    assert_close(other, one)
    assert second.grad_norm == pytest.approx(first.grad_norm) or first.grad_norm is None
    if extra.get("on_nonfinite") == "skip":
        other[0].grad[0, 0] = torch.inf
        before = values(other)
        with Written():
            second.step()
        assert all(map(torch.equal, values(other), before))
        assert second.skipped_steps == 1


def test_tensors_without_memory() -> None:
    """Under FakeTensorMode a step allocates fake velocities and touches nothing; a real optimizer goes on after it."""
    real = make_params()
    optimizer = SGD(real, lr=0.1, momentum=0.9)
    run(optimizer, real, 1)
    with FakeTensorMode():
        params = [torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(4))]
        fake = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1)
        for _ in range(2):
            for param in params:
                param.grad = torch.ones_like(param)
            fake.step()
        assert all(isinstance(fake.state[p]["momentum_buffer"], FakeTensor) for p in params)
    assert fake.step_count == 2
    run(optimizer, real, 1, start=1)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_step_mapped_over_a_batch(options: dict[str, Any]) -> None:
    """torch.func.vmap over a function that makes an optimizer and steps: as with torch's, and as one by one."""

    def trained(optimizer: type) -> Any:
        def train(start: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
            param = start.clone()
            stepping = optimizer([param], lr=0.5, **options)
            for _ in range(3):
                param.grad = grad * param.detach()
                stepping.step()
            return param

        return train

    starts = torch.arange(6.0, dtype=torch.float64).reshape(3, 2) + 1
    grads = torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]], dtype=torch.float64)
    mapped = torch.func.vmap(trained(SGD))(starts, grads)
    torch.testing.assert_close(mapped, torch.func.vmap(trained(torch.optim.SGD))(starts, grads), rtol=1e-13, atol=0)
    alone = torch.stack([trained(SGD)(start, grad) for start, grad in zip(starts, grads, strict=True)])
    torch.testing.assert_close(mapped, alone, rtol=1e-13, atol=0)


def test_a_function_mode_sees_the_step_and_a_default_device_costs_nothing() -> None:
    """torch.device as a context is such a mode too, and says nothing about the step: the kernel stays."""

    class Seen(TorchFunctionMode):
        count = 0

        def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
            type(self).count += 1
            return func(*args, **(kwargs or {}))

    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    with Seen():
        run(optimizer, params, 1)
    assert Seen.count > len(params)
    with torch.device("cpu"):
        run(optimizer, params, 2, start=1)
        plan = optimizer._plan
        assert plan is not None
        run(optimizer, params, 2, start=3)
        assert optimizer._plan is plan  # made anew for each step, it would cost a hundred steps


@NEEDS_KERNEL
def test_an_ordinary_step_calls_nothing_to_find_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there is a plan and nobody watches, no function of ours is called to find that out."""
    import downslope.torch.sgd as door

    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 3)
    monkeypatch.setattr(door, "is_watched", lambda: pytest.fail("asked where nobody watches"))
    run(optimizer, params, 2, start=3)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_tangents_go_along(options: dict[str, Any]) -> None:
    """Forward differentiation of two steps: what a difference quotient gives (torch cuts off a first velocity)."""
    start, along = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([3.0, -1.0], dtype=torch.float64)

    def trained(optimizer: type, param: torch.Tensor) -> torch.Tensor:
        stepping = optimizer([param], lr=0.1, **options)
        for _ in range(2):
            param.grad = 2 * param.clone()
            stepping.step()
        return param

    with torch.no_grad(), forward_ad.dual_level():
        dual = trained(SGD, forward_ad.make_dual(start.clone(), along.clone()))
        tangent = forward_ad.unpack_dual(dual).tangent
        if not options:
            theirs = trained(torch.optim.SGD, forward_ad.make_dual(start.clone(), along.clone()))
            torch.testing.assert_close(tangent, forward_ad.unpack_dual(theirs).tangent, rtol=1e-13, atol=0)
    beyond, before = (trained(SGD, start + sign * 0.5 * along) for sign in (1, -1))  # linear, so that it is exact
    torch.testing.assert_close(tangent, beyond - before, rtol=1e-12, atol=0)


@NEEDS_KERNEL
@pytest.mark.parametrize("kind", [dict, list])
def test_insisting_on_the_kernel_does_not_hide_the_step(kind: type) -> None:
    """fused=True is about speed; under a mode the step is still seen, with the same numbers."""
    ours = make_params(dtype=torch.float32)
    plain = copy_params(ours)
    options: Any = {"lr": 0.1, "momentum": 0.9}
    stepping = SGD([{"params": ours, "fused": True}] if kind is dict else ours, **options, fused=True)
    reference = SGD(plain, **options)
    for step, params in itertools.product(range(2), (ours, plain)):
        set_grads(params, step)
        with Written() as mode:
            (stepping if params is ours else reference).step()
        assert set(map(id, params)) <= mode.written
    assert_close(ours, plain)
