"""Two processes that train a sharded model by FSDP2 (gloo, on CPUs). Run by test_sharded.py; no test lives here.

    python sharded_child.py FOLDER     with the kernel and without, each by two processes forked of one that has torch

Both processes get the same data, so that averaging gradients changes nothing, and every sharded trajectory must have
the bits of the same one in a single process, which each process computes beside it.
"""

from __future__ import annotations

import copy
import os
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch._dynamo  # what every optimizer of torch loads at its first use: once here, not in each process
import torch.distributed as dist
from forks import all_succeed
from torch import nn
from torch.distributed.fsdp import fully_shard

if TYPE_CHECKING:
    from downslope.torch import SGD

BASE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
WIDTH = 7  # odd, so that the shards differ in size


def model_of(dtype: torch.dtype) -> nn.Module:
    """Return a small model, the same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 13), nn.Tanh(), nn.Linear(13, 5)).to(dtype)


def narrow_model_of(dtype: torch.dtype) -> nn.Module:
    """Return one with an output of one number, of whose weight and bias a process has nothing."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, 1)).to(dtype)


def wide_model_of(dtype: torch.dtype) -> nn.Module:
    """Return one whose weights are large enough for codes, and whose shards, of unequal size, are whole blocks."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(WIDTH, 1024), nn.Tanh(), nn.Linear(1024, 5)).to(dtype)


def sharded(model: nn.Module) -> nn.Module:
    """Return a copy of a model, sharded over both processes."""
    other = copy.deepcopy(model)
    for layer in other:
        fully_shard(layer)
    return fully_shard(other)


def train(model: nn.Module, optimizer: SGD, dtype: torch.dtype, *, poison: bool = False) -> list[float | None]:
    """Take five steps; return the norms of the gradients."""
    norms: list[float | None] = []
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(6, WIDTH, generator=generator).to(dtype)
        optimizer.zero_grad()
        loss = model(inputs).square().sum()
        (loss * (float("inf") if poison and step == 2 else 1.0)).backward()
        optimizer.step()
        norms.append(optimizer.grad_norm)
    return norms


def whole(tensor: Any) -> torch.Tensor:
    """Return a tensor of all processes' parts."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _without_padding(key: str, state: Any) -> torch.Tensor:
    """Return a tensor of state, all processes' parts; scales without those that only fill up the smaller part."""
    tensor = whole(state[key])
    return tensor[tensor != 0] if key == "velocity_scales" else tensor


def check_saved(model: nn.Module, optimizer: SGD) -> None:
    """Load codes of shards as they are, and decoded ones, which are encoded to what they were."""
    from downslope.core.blocks import blocks_of
    from downslope.torch import SGD, decoded_state

    for state in (optimizer.state_dict(), decoded_state(optimizer.state_dict())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = SGD(model.parameters(), **BASE, velocity_dtype="int8")
            again.load_state_dict(state)
        for param in model.parameters():
            for key, value in optimizer.state[param].items():
                assert torch.equal(whole(value), whole(again.state[param][key])), f"loaded: {key}"
    for param, entry in optimizer.state.items():  # of other blocks than one process counts, however many they are
        if "velocity_codes" in entry:
            assert whole(entry["velocity_scales"]).numel() > blocks_of(param.numel())


def check(
    name: str,
    dtype: torch.dtype = torch.float32,
    *,
    poison: bool = False,
    exact: bool = True,
    made: Callable[[torch.dtype], nn.Module] = model_of,
    **own: Any,
) -> Any:
    """Train alone and sharded, and compare bits of parameters and velocities (or closeness, where sums differ)."""
    from downslope.torch import SGD  # in the forked process, which has said whether there is a kernel

    settings = BASE | own
    alone = made(dtype)
    together = sharded(alone)
    optimizers = [SGD(model.parameters(), **settings) for model in (alone, together)]
    norms = [train(model, o, dtype, poison=poison) for model, o in zip((alone, together), optimizers, strict=True)]
    for mine, theirs in zip(alone.parameters(), together.parameters(), strict=True):
        pairs = [(mine.detach(), theirs.detach())]
        states = optimizers[0].state[mine], optimizers[1].state[theirs]
        pairs += [(_without_padding(key, states[0]), _without_padding(key, states[1])) for key in states[0]]
        for one, other in pairs:
            if exact:
                assert torch.equal(one, whole(other)), f"{name}: bits differ"
            else:
                torch.testing.assert_close(one, whole(other), rtol=1e-6, atol=1e-7, msg=name)
    if own.get("velocity_dtype") == "int8":
        check_saved(together, optimizers[1])
    assert optimizers[0].step_count == optimizers[1].step_count, name
    assert optimizers[0].skipped_steps == optimizers[1].skipped_steps == int(poison), name
    for one, other in zip(*norms, strict=True):
        if one is not None and torch.isfinite(torch.tensor(one)):
            assert abs(one - other) <= 1e-6 * one, (name, one, other)
    return optimizers[1]


def check_units(kernel: str) -> None:
    """Clip unit by unit: whole units lie in each process, and a tensor of one axis is one over both."""
    units: dict[str, Any] = {
        "adaptive_clip": 0.02,
        "adaptive_clip_by": "unit",
        "fused": True if kernel == "on" else None,
    }
    check("units", **units)
    check("float64 units", torch.float64, **units)
    check("units and shards of nothing", made=narrow_model_of, **units)
    check("units by torch's operations", made=narrow_model_of, **units | {"fused": None, "foreach": True})
    check("units and 8 bits", velocity_dtype="int8", made=wide_model_of, **units)
    check("units, stochastic", torch.bfloat16, rounding="stochastic", **units)
    check("units, compensated", torch.bfloat16, rounding="compensated", ema=0.9, **units)
    check("units and a trust ratio", trust_coefficient=0.02, exact=False, **units)
    check("clipped units", clip_norm=0.5, exact=False, **units)
    check("skipped units", on_nonfinite="skip", poison=True, **units)
    check("units within the backward pass", step_in_backward=True, **units)
    check_layouts_of_units(units)


def check_layouts_of_units(units: dict[str, Any]) -> None:
    """Step a whole weight beside a divided one, gradients not yet summed, and refuse one that is divided elsewhere."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    from downslope.core.errors import SettingsError
    from downslope.torch import SGD

    mesh = init_device_mesh("cpu", (2,))
    draw = torch.Generator().manual_seed(0)
    values, grads = ([torch.randn(5, 4, generator=draw) for _ in range(2)] for _ in range(2))
    alone = [nn.Parameter(value.clone()) for value in values]
    placed = zip(values, (Shard(0), Replicate()), strict=True)
    together = [nn.Parameter(distribute_tensor(value, mesh, [placement])) for value, placement in placed]
    for mine, theirs, grad in zip(alone, together, grads, strict=True):
        mine.grad, theirs.grad = grad, distribute_tensor(grad, mesh, theirs.placements)
    half = distribute_tensor(grads[0] / 2, mesh, [Replicate()]).to_local()
    unsummed = nn.Parameter(distribute_tensor(values[0], mesh, [Shard(0)]))
    unsummed.grad = DTensor.from_local(half, mesh, [Partial()])
    optimizers = [SGD(params, lr=0.1, momentum=0.9, **units) for params in (alone, together)]
    optimizers.append(SGD([unsummed], lr=0.1, momentum=0.9, **units | {"fused": None}))
    for optimizer in optimizers:
        for _ in range(2):
            optimizer.step()
    for mine, theirs in zip(alone, together, strict=True):
        assert torch.equal(mine, whole(theirs.detach())), theirs.placements
    torch.testing.assert_close(whole(unsummed.detach()), alone[0].detach())
    across = nn.Parameter(distribute_tensor(values[0], mesh, [Shard(1)]))
    across.grad = distribute_tensor(grads[0], mesh, [Shard(1)])
    try:
        SGD([("weight", across)], lr=0.1, **units | {"fused": None}).step()
    except SettingsError as error:
        said = str(error)
        assert "`weight`" in said or "weight" in said, said
        assert "is divided over processes along axis 1" in said, said
    else:
        raise AssertionError("units that no process has whole were clipped")


def work(kernel: str, rank: int, rendezvous: Path) -> None:
    """Run every check as one of two processes."""
    from downslope.schedules import Exponential

    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2, timeout=timedelta(seconds=300)
    )
    plan = check("plain")._plan
    assert plan.has_kernel <= (kernel == "on"), "it is switched off"
    if plan.has_kernel:
        assert not plan.rest, "the kernel takes the local shards"
    check("schedule", lr=Exponential(0.1, rate=0.5, every=2, staircase=True))
    check("float64", torch.float64)
    check("bfloat16 velocity", velocity_dtype=torch.bfloat16)
    check("velocity of 8 bits", velocity_dtype="int8", made=wide_model_of)
    check("and bfloat16", torch.bfloat16, velocity_dtype="int8", made=wide_model_of, rounding="stochastic")
    check("stochastic", torch.bfloat16, rounding="stochastic", rounding_seed=5)
    averaged = check("average", torch.bfloat16, ema=0.9)
    assert not averaged._plan._has_other_averages or kernel == "off", "the kernel averages the local shards"
    with averaged.averaged():
        for param in averaged.param_groups[0]["params"]:
            assert torch.equal(whole(param.detach()), whole(averaged.state[param]["average"]).to(param.dtype))
    check("compensated", torch.bfloat16, rounding="compensated")
    check("torch's operations", foreach=True)
    check("one by one", torch.bfloat16, foreach=False, rounding="stochastic")
    check("clipped", clip_norm=0.5, exact=False)
    check("norms of whole tensors", trust_coefficient=0.02, adaptive_clip=0.1, exact=False)
    check_units(kernel)
    check("skipped", on_nonfinite="skip", poison=True)
    dist.barrier()
    dist.destroy_process_group()
    os.write(1, f"kernel {kernel}, process {rank}: done\n".encode())  # in one piece: the other process writes there too


def work_with(kernel: str, rank: int, rendezvous: Path) -> None:
    """Work with the kernel "on" or "off"."""
    os.environ["DOWNSLOPE_KERNEL"] = kernel  # before anything of ours is imported
    work(kernel, rank, rendezvous)


def main() -> None:
    """Run every check with the kernel and without."""
    folder = Path(sys.argv[1])
    done = [
        all_succeed(partial(work_with, kernel, rank, folder / kernel) for rank in range(2)) for kernel in ("on", "off")
    ]
    sys.exit(not all(done))


if __name__ == "__main__":
    main()
