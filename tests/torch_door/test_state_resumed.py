"""Our own state resumed: bit for bit, through files, pickles, copies and torch's distributed checkpoints."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch_runs import (
    assert_same_bits,
    carry_over,
    make_params,
    run,
    set_grads,
    values,
    velocities,
)

from downslope import Settings
from downslope.schedules import Cosine, Exponential, Warmup
from downslope.torch import SGD

# what torch.optim.SGD has too
OWN: dict[str, dict[str, Any]] = {
    "lr-inside": {"lr": 0.1, "momentum": 0.9, "lr_in_velocity": True, "weight_decay": 0.1},
    "decoupled": {"lr": 0.1, "momentum": 0.9, "decay": "decoupled", "weight_decay": 0.1},
    "relative-schedule": {"lr": Cosine(0.1, 0.0, 20), "decay": "relative", "weight_decay": 0.1, "momentum": 0.9},
    "corrected-schedule": {"lr": Cosine(0.1, 0.0, 20), "decay": "corrected", "weight_decay": 0.1},
    "dampened-at-once": {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "undampened_first_step": False},
    "all-scheduled": {
        "lr": Warmup(4, Cosine(0.1, 0.0, 12)),
        "momentum": Exponential(0.9, 0.5, 5, staircase=True),
        "weight_decay": Exponential(0.1, 0.5, 3),
        "nesterov": True,
    },
    "clipped": {"lr": 0.1, "momentum": 0.9, "clip_norm": 0.5},
}


@pytest.mark.parametrize("own", OWN.values(), ids=OWN.keys())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_ours_into_ours_goes_on_bit_for_bit(own: dict[str, Any], dtype: torch.dtype) -> None:
    """10 steps, through a file, 10 more: the same bits as 20; schedules go on where they were."""
    alone, mixed = make_params(dtype=dtype), make_params(dtype=dtype)
    run(SGD(alone, **own), alone, 20)
    first = SGD(mixed, **own)
    run(first, mixed, 10)
    second = SGD(mixed, **own)
    carry_over(first, second)
    assert second.step_count == 10
    run(second, mixed, 10, start=10)
    assert_same_bits(mixed, alone)


def test_schedule_values_are_right_directly_after_loading() -> None:
    """A log written between load and the next step shows the lr of that step, not the constructor's."""
    params = make_params()
    first = SGD(params, lr=Exponential(0.5, 0.5, 1))
    run(first, params, 3)
    second = SGD(params, lr=Exponential(0.5, 0.5, 1))
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.5**4


def test_the_skip_count_travels() -> None:
    """skipped_steps is part of the state."""
    params = make_params()
    first = SGD(params, lr=0.1, momentum=0.9, on_nonfinite="skip")
    run(first, params, 2)
    set_grads(params, 2)
    params[0].grad[0, 0] = float("inf")  # type: ignore[index]
    first.step()
    second = SGD(params, lr=0.1, momentum=0.9, on_nonfinite="skip")
    carry_over(first, second)
    assert (second.step_count, second.skipped_steps) == (2, 1)


def test_loading_into_a_running_optimizer_replaces_its_velocities() -> None:
    """What was there before is gone, also for parameters that the state has no velocity for."""
    params = make_params()
    early = SGD(params, lr=0.1, momentum=0.9)
    state = copy.deepcopy(early.state_dict())
    run(early, params, 3)
    early.load_state_dict(state)
    assert velocities(early) == [None] * 4
    assert early.step_count == 0


def test_settings_object_state_round_trip() -> None:
    """An optimizer built from Settings loads into one built from the same arguments without a warning."""
    params = make_params()
    first = SGD(params, settings=Settings(lr=0.1, momentum=0.9, weight_decay=0.1, decay="decoupled"))
    run(first, params, 2)
    second = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1, decay="decoupled")
    carry_over(first, second)
    assert_same_bits(velocities(first), velocities(second))  # type: ignore[arg-type]


def test_pickle_and_deepcopy_go_on_the_same() -> None:
    """A deep copy of model and optimizer together, and a pickled pair, continue identically and independently."""
    import pickle

    model = torch.nn.Linear(3, 2)
    optimizer = SGD(
        model,
        lr=Cosine(0.1, 0.0, 20),
        momentum=0.9,
        weight_decay=0.1,
        decay="relative",
        on_nonfinite="skip",
        clip_norm=2.0,
    )
    run(optimizer, list(model.parameters()), 5)
    pairs = [copy.deepcopy((model, optimizer)), pickle.loads(pickle.dumps((model, optimizer)))]
    run(optimizer, list(model.parameters()), 5, start=5)
    for twin, its in pairs:
        assert its.step_count == 5
        assert its.param_groups[0]["params"][0] is twin.weight
        run(its, list(twin.parameters()), 5, start=5)
        assert_same_bits(twin.parameters(), model.parameters())
        assert its.param_groups[0]["param_names"] == ["weight", "bias"]


def test_torch_save_of_the_whole_optimizer() -> None:
    """torch.save(optimizer) works as for torch's, for those who do that."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 2)
    buffer = io.BytesIO()
    torch.save(optimizer, buffer)
    buffer.seek(0)
    again = torch.load(buffer, weights_only=False)
    assert again.step_count == 2
    before = values(again.param_groups[0]["params"])
    assert_same_bits(before, params)


def test_distributed_checkpoint_saves_and_restores(tmp_path: Any) -> None:
    """torch.distributed.checkpoint steps a fresh optimizer at lr 0 before it loads: nothing must come of that."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    def build() -> tuple[torch.nn.Module, SGD]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        return model, SGD(model, lr=0.1, momentum=0.9, weight_decay=0.1, dampening=0.5)

    model, optimizer = build()
    run(optimizer, list(model.parameters()), 5)
    state = get_optimizer_state_dict(model, optimizer)
    again, fresh = build()
    again.load_state_dict(model.state_dict())
    set_optimizer_state_dict(again, fresh, state)
    assert_same_bits(again.parameters(), model.parameters())
    assert fresh.step_count == 5
    run(optimizer, list(model.parameters()), 5, start=5)
    run(fresh, list(again.parameters()), 5, start=5)
    assert_same_bits(again.parameters(), model.parameters())


LRS: dict[str, Any] = {
    "number": 0.1,
    "schedule": Cosine(0.1, 0.01, 20),
    "warmup from zero": Warmup(4, Cosine(0.1, 0.01, 20)),
    "tensor": torch.tensor(0.125, dtype=torch.float64),
}


@pytest.mark.parametrize("decay", ["coupled", "decoupled", "independent", "relative", "corrected"])
@pytest.mark.parametrize("lr", LRS.values(), ids=LRS.keys())
def test_a_distributed_checkpoints_step_at_lr_zero_moves_no_parameter(decay: str, lr: Any) -> None:
    """It comes with zero gradients after the weights are loaded; every way of decay must leave them alone."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    def build() -> tuple[torch.nn.Module, SGD]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        return model, SGD(model, lr=lr, momentum=0.9, weight_decay=0.1, decay=decay)  # type: ignore[arg-type]

    model, optimizer = build()
    run(optimizer, list(model.parameters()), 3)
    state = get_optimizer_state_dict(model, optimizer)
    again, fresh = build()
    again.load_state_dict(model.state_dict())
    set_optimizer_state_dict(again, fresh, state)
    assert_same_bits(again.parameters(), model.parameters())
    assert fresh.step_count == 3
    blank = build()
    untouched = values(blank[0].parameters())
    get_optimizer_state_dict(*blank)
    assert_same_bits(blank[0].parameters(), untouched)
    assert blank[1].step_count == 0
    run(optimizer, list(model.parameters()), 3, start=3)
    run(fresh, list(again.parameters()), 3, start=3)
    assert_same_bits(again.parameters(), model.parameters())
