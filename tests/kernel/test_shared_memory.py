"""Tensors of a step that are pieces of one another: the numbers of torch.optim.SGD, which takes them in order."""

from __future__ import annotations

import ctypes
import random
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_plans import native, restored_settings
from torch import Tensor
from torch.nn import Parameter

from downslope import kernel
from downslope.core.errors import SettingsError
from downslope.torch import SGD
from downslope.torch.compiled import step_tensors
from draws import draws

PEERS = (SGD, torch.optim.SGD)
LARGE = 1 << 18  # elements that two threads share


def assert_as_torch(run: Any, rtol: float = 1e-6) -> None:
    """Assert that a run by ours and by torch's optimizer ends in the same numbers."""
    ours, theirs = (run(peer) for peer in PEERS)
    torch.testing.assert_close(ours, theirs, rtol=rtol, atol=0)


@pytest.mark.parametrize("wish", [None, True, False], ids=["kernel", "foreach", "one by one"])
def test_two_parameters_on_one_storage(wish: bool | None) -> None:
    """Neither loses an update of the other's, with two threads, with and without decay and momentum."""
    with restored_settings():
        kernel.set_num_threads(2)
        for options in ({"lr": 1.0}, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}):

            def run(peer: Any, options: dict[str, Any] = options) -> Tensor:
                base = torch.linspace(-1, 1, LARGE)
                params = [Parameter(base), Parameter(base), Parameter(torch.zeros(LARGE))]
                optimizer = peer(params, **options, **({"foreach": wish} if peer is SGD else {}))
                for _ in range(3):
                    for param in params:
                        param.grad = torch.ones(LARGE)
                    optimizer.step()
                return base

            assert_as_torch(run)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's way to ask for low memory")
def test_two_parameters_in_low_memory() -> None:
    """Below 4 GiB, where a Python that cannot be moved has its heap."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    low = libc.mmap(None, ctypes.c_size_t(4096), 3, 0x62, -1, ctypes.c_long(0))  # private, anonymous, in 32 bits
    if low is None or low >= 1 << 32:
        pytest.skip("none to be had")

    def run(peer: Any) -> Tensor:
        memory = torch.frombuffer((ctypes.c_float * 200).from_address(low), dtype=torch.float32).fill_(1.0)
        params = [Parameter(memory[:100]), Parameter(memory[50:150])]
        optimizer = peer(params, lr=0.1, momentum=0.9)
        for _ in range(3):
            for param in params:
                param.grad = torch.ones(100)
            optimizer.step()
        return memory.clone()

    assert_as_torch(run)


@pytest.mark.parametrize("shift", [-64, -1, 1, 64])
def test_a_gradient_that_is_a_piece_of_its_parameter(shift: int) -> None:
    """Some elements on: at the first step, and where it comes to lie there when there is a plan."""
    for late in (False, True):

        def run(peer: Any, late: bool = late) -> Tensor:
            memory = torch.arange(1.0, 100_129.0)
            param = Parameter(memory[64:100_064])
            optimizer = peer([param], lr=0.1, momentum=0.9)
            for step in range(6):
                inside = not late or step > 2
                param.grad = memory[64 - shift : 100_064 - shift] if inside else torch.ones(100_000)
                optimizer.step()
            return memory

        assert_as_torch(run)


def test_where_torch_refuses_so_does_this() -> None:
    """Without momentum a gradient that overlaps its parameter in part is written to while it is read."""
    for peer in PEERS:
        memory = torch.arange(1.0, 1002.0)
        param = Parameter(memory[1:])
        param.grad = memory[:-1]
        with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor"):
            peer([param], lr=0.1).step()
        assert memory[-1] == 1001


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_a_gradient_that_is_the_parameter_or_the_velocity(dtype: torch.dtype) -> None:
    """The same tensor twice."""

    def run(peer: Any) -> list[Tensor]:
        params = [Parameter(torch.linspace(0.5, 2, 77, dtype=dtype)) for _ in range(2)]
        optimizer = peer(params, lr=0.1, momentum=0.5, dampening=0.25)
        for step in range(5):
            params[0].grad = params[0].detach()
            buffer = optimizer.state[params[1]].get("momentum_buffer") if step else None
            params[1].grad = torch.ones(77, dtype=dtype) if buffer is None else buffer
            optimizer.step()
        return [param.detach() for param in params]

    ours, theirs = (run(peer) for peer in PEERS)
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=2 * torch.finfo(dtype).eps, atol=2 * torch.finfo(dtype).eps)


def test_pieces_across_groups_and_velocities() -> None:
    """A parameter of another group, another's velocity, and one with gaps."""

    def run(peer: Any) -> Tensor:
        memory = torch.linspace(-1, 1, 4001)
        params = [Parameter(memory[:1000]), Parameter(memory[500:1500]), Parameter(memory[1200:3200:2])]
        optimizer = peer([{"params": params[:2]}, {"params": params[2:], "lr": 0.02}], lr=0.1, momentum=0.9)
        for step in range(4):
            for place, param in enumerate(params):
                param.grad = torch.full((1000,), 1.0 + place)
            if step == 2:
                optimizer.state[params[0]]["momentum_buffer"] = memory[3000:4000]
            optimizer.step()
        return memory

    assert_as_torch(run, rtol=1e-5)


def test_an_expanded_parameter_is_refused_as_by_torch() -> None:
    """One place that is every element."""
    for peer in PEERS:
        param = torch.ones(1).expand(4).requires_grad_()
        param.grad = torch.ones(4)
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            peer([param], lr=0.1).step()


def test_shared_gradients_and_neighbours_stay_with_the_kernel() -> None:
    """Two parameters with one gradient, and tensors that lie side by side, share nothing that is written."""
    native()
    memory, grad = torch.zeros(300), torch.ones(100)
    params = [Parameter(memory[i : i + 100]) for i in (0, 100, 200)]
    optimizer = SGD(params, lr=1.0, momentum=0.5)
    for _ in range(2):
        for param in params:
            param.grad = grad
        optimizer.step()
    assert not optimizer._plan.rest
    assert (memory == -2.5).all()


def test_only_what_is_shared_leaves_the_kernel_and_comes_back() -> None:
    """Once the gradient lies elsewhere the plan is the kernel's again."""
    native()
    memory = torch.ones(200)
    params = [Parameter(memory[:100]), Parameter(torch.ones(5))]
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    rests = []
    for step in range(4):
        params[0].grad = memory[50:150] if step == 2 else torch.ones(100)
        params[1].grad = torch.ones(5)
        optimizer.step()
        rests.append([entry.position for entry in optimizer._plan.rest])
    assert rests == [[], [], [0], []]


def test_gradients_that_move_make_no_new_plan() -> None:
    """New memory for each gradient of each step, apart from the rest: the plan stays."""
    native()
    params = [Parameter(torch.ones(40 + i)) for i in range(20)]
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    plans, kept = set(), []
    for _ in range(12):
        for param in params:
            param.grad = torch.ones_like(param)
            kept.append(param.grad)  # so that no address comes again
        optimizer.step()
        plans.add(id(optimizer._plan))
    assert len(plans) == 2  # of first gradients, and of all others


def test_a_kernel_that_is_insisted_on_says_what_is_shared() -> None:
    """fused=True, and nothing has moved."""
    native()
    memory = torch.ones(200)
    params = [Parameter(memory[:100]), Parameter(memory[50:150])]
    for param in params:
        param.grad = torch.ones(100)
    with pytest.raises(SettingsError, match="shares memory with"):
        SGD(params, lr=0.1, fused=True).step()
    assert (memory == 1).all()


@settings(max_examples=draws(60), deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_layout_of_one_memory(seed: int) -> None:
    """Pieces of one storage drawn at random as parameters, gradients and velocities: torch's numbers, or its error."""

    def run(peer: Any) -> tuple[list[Tensor], bool]:
        draw = random.Random(seed)
        memory = torch.arange(1500, dtype=torch.float64) % 17 / 7 + 0.1

        def piece(size: int) -> Tensor:
            begin, step = draw.randrange(1200 - 2 * size), draw.choice([1, 1, 1, 2])
            view = memory[begin : begin + step * size : step]
            return torch._neg_view(view) if draw.random() < 0.1 else view

        sizes = [draw.choice([1, 64, 300]) for _ in range(draw.randint(1, 4))]
        params = [Parameter(piece(size)) for size in sizes]
        options = draw.choice(
            [{}, {"momentum": 0.5, "nesterov": True}, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}]
        )
        optimizer = peer(params, lr=0.1, maximize=draw.random() < 0.2, **options)
        try:
            for _ in range(3):
                for param, size in zip(params, sizes, strict=True):
                    grads = [piece(size), torch.ones(size, dtype=torch.float64), None]
                    grads.append(torch._efficientzerotensor(size, dtype=torch.float64))
                    param.grad = draw.choice(grads)
                    if draw.random() < 0.1 and "momentum_buffer" in optimizer.state.get(param, {}):
                        optimizer.state[param]["momentum_buffer"] = piece(size)
                optimizer.step()
        except RuntimeError:
            return [], True  # a part has moved, which part is no promise
        return [memory, *(param.detach().resolve_neg() for param in params)], False

    (ours, refused), (theirs, refuses) = (run(peer) for peer in PEERS)
    assert refused == refuses
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_the_step_of_a_compiled_graph_finds_what_is_shared() -> None:
    """The operation that stands for a step there is given tensors, and looks at them in the same way."""
    native()
    base = torch.zeros(1000)
    params = [Parameter(base), Parameter(base)]
    optimizer = SGD(params, lr=1.0, momentum=0.5)
    for _ in range(2):
        step_tensors(optimizer, [0, 1], [param.detach() for param in params], [torch.ones(1000), torch.ones(1000)])
    assert (base == -5).all()
