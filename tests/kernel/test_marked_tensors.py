"""Tensors that are not what lies in their memory: lazily negated or conjugated, zeros without any, and memory lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from native_plans import native
from torch import Tensor
from torch.nn import Parameter

import warm
from downslope.core.errors import SettingsError
from downslope.kernel.marks import examples, teach_marks
from downslope.kernel.rows import Row
from downslope.torch import SGD
from downslope.torch.tensors import EXCHANGE

BUFFER = "momentum_buffer"
OPTIONS: tuple[dict[str, Any], ...] = (
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
)


@pytest.fixture(params=["learned", "asked"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run once as the module has learned to see marks, and once as it asks each tensor."""
    module = native()
    if request.param == "asked":
        assert module.learn_marks(EXCHANGE, []) is False
    yield request.param
    assert module.learn_marks(EXCHANGE, examples())


def negated_scalar(param: Tensor) -> Tensor:
    """Return what autograd makes of the imaginary part of a conjugate."""
    grad = torch.tensor(3 + 4j, dtype=torch.complex64).conj().imag
    assert grad.is_neg()
    return grad.expand(param.shape) if param.ndim else grad


GRADS: dict[str, Callable[[Tensor], Tensor]] = {
    "negated": lambda param: torch._neg_view(torch.full_like(param, 4.0)),
    "negated number": negated_scalar,
    "zeros": lambda param: torch._efficientzerotensor(param.shape, dtype=param.dtype),
    "negated with gaps": lambda param: torch._neg_view(torch.ones(*param.shape, 2)[..., 0]),
}


def trajectory(peer: Any, shape: tuple[int, ...], change: Callable[[Any, Parameter, int], Any], options: Any) -> Any:
    """Return parameter and velocity after each of six steps, of which some are changed."""
    param, other = Parameter(torch.full(shape, 2.0)), Parameter(torch.ones(3))
    optimizer = peer([param, other], **options)
    seen = []
    for step in range(6):
        param.grad, other.grad = torch.full(shape, 0.5 + step), torch.ones(3)
        change(optimizer, param, step)
        optimizer.step()
        velocity = optimizer.state[param].get(BUFFER) if param in optimizer.state else None
        tensors = [param.detach(), other.detach(), *([] if velocity is None else [velocity])]
        seen += [tensor.resolve_neg().clone() for tensor in tensors]
    return seen


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "momentum", "nesterov"])
@pytest.mark.parametrize("kind", list(GRADS))
@pytest.mark.parametrize("steps", [(0,), (3,), (1, 2, 4)], ids=str)
def test_a_marked_gradient_counts_as_what_it_reads(way: str, kind: str, steps: Any, options: Any) -> None:
    """At the first step or a later one, and ordinary ones after it, as in torch: zeros too bring momentum and decay."""

    def change(optimizer: Any, param: Parameter, step: int) -> None:
        if step in steps:
            param.grad = GRADS[kind](param.detach())

    for shape in ((), (4,), (2, 3)):
        ours, theirs = (trajectory(peer, shape, change, options) for peer in (SGD, torch.optim.SGD))
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("what", ["parameter", "velocity", "velocity's data"])
def test_a_parameter_or_velocity_that_is_negated_later(way: str, what: str) -> None:
    """The same memory at the same address, read with the other sign from then on."""

    def change(optimizer: Any, param: Parameter, step: int) -> None:
        if step != 3:
            return
        if what == "parameter":
            param.data = torch._neg_view(param.data)
            return
        velocity = optimizer.state[param][BUFFER]
        if what == "velocity":
            optimizer.state[param][BUFFER] = torch._neg_view(velocity)
        else:
            velocity.data = torch._neg_view(velocity.data)

    ours, theirs = (trajectory(peer, (5,), change, OPTIONS[2]) for peer in (SGD, torch.optim.SGD))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_after_a_marked_gradient_the_kernel_has_the_parameter_again() -> None:
    """One odd gradient does not keep a parameter from it for ever."""
    native()
    for kind, make in GRADS.items():
        param = Parameter(torch.ones(4))
        optimizer = SGD([param], lr=0.1, momentum=0.9)
        rests = []
        for step in range(5):
            param.grad = make(param.detach()) if step == 2 else torch.ones(4)
            optimizer.step()
            rests.append(len(optimizer._plan.rest))
        assert rests == [0, 0, 1, 0, 0], kind


def test_conjugated_complex_tensors_are_stepped_as_by_torch() -> None:
    """Parameter, gradient, both."""
    for own, of_grad in ((True, False), (False, True), (True, True)):
        ends = []
        for peer in (SGD, torch.optim.SGD):
            value = torch.tensor([1 + 2j, 3 - 1j])
            param = Parameter(value.conj() if own else value)
            optimizer = peer([param], lr=0.1, momentum=0.9, weight_decay=0.1)
            for _ in range(3):
                grad = torch.tensor([2 - 1j, 1j])
                param.grad = grad.conj() if of_grad else grad
                optimizer.step()
            ends.append(param.detach().resolve_conj())
        torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


def test_the_module_has_learned_to_see_every_mark() -> None:
    """With the torch that is tested here, tensors need not be asked; and what it sees is what they say."""
    module = native()
    assert teach_marks()
    for pairs in examples():
        for plain, marked in pairs:
            assert not module.is_marked(EXCHANGE, plain)
            assert module.is_marked(EXCHANGE, marked)
    with torch.inference_mode():
        inference = torch.ones(3)
    for tensor in (inference, Parameter(torch.ones(3)), torch.ones(3)[::2], torch.ones(2).requires_grad_() * 2):
        assert not module.is_marked(EXCHANGE, tensor)


LOST = """
import torch
from downslope.core.errors import SettingsError
from downslope.torch import SGD
def check(what, late, offset):
    memory = torch.ones(offset + 5)
    param = torch.nn.Parameter(memory[offset:] if what == "p" else torch.ones(5))
    named = torch.nn.Parameter(torch.ones(2))
    optimizer = SGD([("other", named), ("p", param)], lr=0.1, momentum=0.9)
    for step in range(4):
        named.grad = torch.ones(2)
        param.grad = memory[offset:] if what == "gradient" else torch.ones(5)
        if step == (3 if late else 0):
            if what == "velocity":
                if not late:
                    return
                optimizer.state[param]["momentum_buffer"] = memory[offset:]
            memory.untyped_storage().resize_(0)
            before = named.detach().clone()
            try:
                optimizer.step()
            except SettingsError as error:
                assert "`p` was given back" in str(error) and "0 bytes are left" in str(error), error
                assert torch.equal(before, named)
                return
            raise AssertionError((what, late, offset))
        optimizer.step()
for what in ("p", "gradient", "velocity"):
    for late in (False, True):
        for offset in (0, 3, 5000):
            check(what, late, offset)
print("refused")
"""


@pytest.mark.parametrize("wish", ["on", "off"])
def test_memory_that_was_given_back_is_refused(wish: str) -> None:
    """A storage resized to 0, under a whole tensor or a view: torch would end the process, this names the parameter."""
    done = warm.run("-c", LOST, env={**os.environ, "DOWNSLOPE_KERNEL": wish}, imported=warm.TORCH)
    assert done.stdout == "refused\n", done.stderr


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_memory_off_its_elements_is_left_to_torch(dtype: torch.dtype) -> None:
    """A parameter, and then a gradient alone, one byte off."""
    native()

    def off(value: float, count: int = 1000) -> Tensor:
        size = torch.tensor([], dtype=dtype).element_size()
        tensor = torch.frombuffer(bytearray(count * size + 1), dtype=dtype, count=count, offset=1)
        return tensor.fill_(value)

    for whose in ("parameter", "gradient"):
        ends = []
        for peer in (SGD, torch.optim.SGD):
            param = Parameter(off(1.0) if whose == "parameter" else torch.ones(1000, dtype=dtype))
            optimizer = peer([param], lr=0.5, momentum=0.5)
            for step in range(4):
                is_off = whose == "gradient" and step == 2
                param.grad = off(1.0) if is_off else torch.ones(1000, dtype=dtype)
                optimizer.step()
                if peer is SGD:
                    assert bool(optimizer._plan.rest) == (whose == "parameter" or is_off)
            ends.append(param.detach().clone())
        assert torch.equal(*ends)


def test_a_gradient_without_memory_is_refused_by_a_plan_of_its_own() -> None:
    """The compiled module itself: no plan, no step, no sum."""
    module = native()
    zeros = torch._efficientzerotensor((3,))
    assert not module.fit(EXCHANGE, Row(torch.ones(3), zeros))
    with pytest.raises(ValueError, match="memory"):
        module.step_tensors(EXCHANGE, [Row(torch.ones(3), zeros, kind=0)], [0.0] * 6, 0)
    negated = torch._neg_view(torch.ones(3))
    for place in range(3):
        tensors = [torch.ones(3), torch.ones(3), torch.zeros(3)]
        tensors[place] = negated
        given = Row(*tensors[:2], velocity=tensors[2], kind=0)
        assert not module.fit(EXCHANGE, given)
        with pytest.raises(ValueError, match="memory"):
            module.step_tensors(EXCHANGE, [given], [0.0] * 6, 0)
    with pytest.raises(ValueError, match="dense block"):
        module.sum_of_squares(EXCHANGE, [zeros])
    param = Parameter(torch.ones(3))
    param.grad = zeros
    insists = SGD([param], lr=0.1, fused=True)
    with pytest.raises(SettingsError, match="fused"):
        insists.step()
