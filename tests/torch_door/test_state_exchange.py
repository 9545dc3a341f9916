"""State carried over: to torch.optim.SGD and back in mid-run, into ourselves, through files; never shared."""

from __future__ import annotations

import copy
import json
import warnings
from typing import Any

import pytest
import torch
from torch_runs import (
    assert_close,
    assert_same_bits,
    carry_over,
    copy_params,
    make_params,
    run,
    velocities,
)

from downslope.schedules import Cosine, Exponential, Warmup
from downslope.torch import SGD

# what torch.optim.SGD has too
SHARED: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "momentum": {"momentum": 0.9},
    "momentum-decay": {"momentum": 0.9, "weight_decay": 0.1},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "nesterov-decay": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "dampening": {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    "maximize": {"momentum": 0.9, "weight_decay": 0.1, "maximize": True},
    "maximize-dampening": {"momentum": 0.5, "dampening": 0.9, "maximize": True},
}


@pytest.fixture(params=SHARED.values(), ids=SHARED.keys())
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings that both optimizers have."""
    return dict(request.param)


@pytest.mark.parametrize("implementation", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=str)
def test_from_torch_and_back_in_mid_run(options: dict[str, Any], implementation: dict[str, bool]) -> None:
    """5 steps of torch, 5 of ours, 5 of torch: the same as 15 of torch, to 1e-12."""
    alone, mixed = make_params(), make_params()
    run(torch.optim.SGD(alone, lr=0.1, **options, **implementation), alone, 15)
    first = torch.optim.SGD(mixed, lr=0.1, **options, **implementation)
    run(first, mixed, 5)
    second = SGD(mixed, lr=0.1, **options)
    carry_over(first, second)
    run(second, mixed, 5, start=5)
    third = torch.optim.SGD(mixed, lr=0.1, **options, **implementation)
    carry_over(second, third)
    run(third, mixed, 5, start=10)
    assert_close(mixed, alone)


def test_to_torch_and_back_in_mid_run(options: dict[str, Any]) -> None:
    """5 steps of ours, 5 of torch, 5 of ours: the same as 15 of ours, to 1e-12."""
    alone, mixed = make_params(), make_params()
    run(SGD(alone, lr=0.1, **options), alone, 15)
    for start, cls in ((0, SGD), (5, torch.optim.SGD), (10, SGD)):
        optimizer = cls(mixed, lr=0.1, **options)
        if start:
            carry_over(previous, optimizer)  # noqa: F821  (bound in the loop before)
        run(optimizer, mixed, 5, start=start)
        previous = optimizer  # noqa: F841
    assert_close(mixed, alone)


def test_groups_and_late_gradients_go_over_to_torch() -> None:
    """Two groups, one parameter still without a gradient: its first, undampened step then happens in torch."""
    alone, mixed = make_params(), make_params()

    def build(cls: type, params: list[torch.nn.Parameter]) -> Any:
        groups = [{"params": params[:2], "lr": 0.2}, {"params": params[2:], "weight_decay": 0.1, "momentum": 0.5}]
        return cls(groups, lr=0.1, momentum=0.9, dampening=0.5)

    whole = build(torch.optim.SGD, alone)
    run(whole, alone[:3], 4)
    run(whole, alone, 4, start=4)
    first = build(SGD, mixed)
    run(first, mixed[:3], 4)
    second = build(torch.optim.SGD, mixed)
    carry_over(first, second)
    assert velocities(second)[3] is None
    run(second, mixed, 2, start=4)
    third = build(SGD, mixed)
    carry_over(second, third)
    run(third, mixed, 2, start=6)
    assert_close(mixed, alone)


def test_the_step_count_of_torch_is_unknown_and_starts_at_zero() -> None:
    """Torch keeps no step count; a schedule therefore starts at its beginning, which the documentation says."""
    params = make_params()
    first = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    run(first, params, 5)
    second = SGD(params, lr=0.1, momentum=0.9)
    second.load_state_dict(first.state_dict())
    assert second.step_count == 0
    assert second.skipped_steps == 0


def test_the_state_dict_has_torchs_layout() -> None:
    """state: index -> {"momentum_buffer"}; param_groups: torch's keys, indices, names; nothing else at the top."""
    model = torch.nn.Linear(3, 2)
    optimizer = SGD(model, lr=0.1, momentum=0.9, weight_decay=0.5)
    run(optimizer, list(model.parameters()), 2)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert set(state["state"]) == {0, 1}
    assert all(set(entry) == {"momentum_buffer"} for entry in state["state"].values())
    (group,) = state["param_groups"]
    assert group["params"] == [0, 1]
    assert group["param_names"] == ["weight", "bias"]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 0.5)
    assert (group["step"], group["skipped"]) == (2, 0)


def test_indices_run_on_over_groups() -> None:
    """The second group's indices follow the first's, as torch numbers them."""
    params = make_params()
    optimizer = SGD([{"params": params[:3]}, {"params": params[3:]}])
    assert [group["params"] for group in optimizer.state_dict()["param_groups"]] == [[0, 1, 2], [3]]


def test_groups_in_the_state_are_plain_values() -> None:
    """With schedules too, everything but the velocities can be written as JSON, and read back to the same."""
    optimizer = SGD(
        make_params(),
        lr=Warmup(3, Cosine(0.1, 0.0, 10)),
        momentum=Exponential(0.9, 0.9, 5, staircase=True),
        weight_decay=Exponential(0.1, 0.9, 5, end=0.05),
        clip_norm=1.0,
        on_nonfinite="skip",
    )
    groups = optimizer.state_dict()["param_groups"]
    assert json.loads(json.dumps(groups)) == groups


def test_no_momentum_keeps_no_state() -> None:
    """A velocity that nothing reads costs no memory."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, weight_decay=0.1)
    run(optimizer, params, 3)
    assert optimizer.state_dict()["state"] == {} or all(not entry for entry in optimizer.state_dict()["state"].values())


def test_state_dict_leaves_the_optimizer_alone() -> None:
    """Asking for the state, and editing its groups, changes nothing."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 2)
    state = optimizer.state_dict()
    state["param_groups"][0]["lr"] = 100.0
    state["param_groups"][0]["params"].clear()
    state["state"].clear()
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert len(optimizer.param_groups[0]["params"]) == 4
    assert all(velocity is not None for velocity in velocities(optimizer))


@pytest.mark.parametrize("cls", [SGD, torch.optim.SGD], ids=["ours", "torch"])
def test_two_optimizers_never_share_a_velocity(cls: type) -> None:
    """Loading clones: stepping one leaves the other's velocity, and the state it came from, as they were."""
    params = make_params()
    first = cls(params, lr=0.1, momentum=0.9)
    run(first, params, 3)
    state = first.state_dict()
    second = SGD(copy_params(params), lr=0.1, momentum=0.9)
    second.load_state_dict(state)
    for one, other in zip(velocities(first), velocities(second), strict=True):
        assert one is not None
        assert other is not None
        if one.numel():
            assert one.data_ptr() != other.data_ptr()
    kept = [entry["momentum_buffer"].clone() for entry in state["state"].values()]
    run(second, second.param_groups[0]["params"], 2, start=3)
    assert_same_bits([entry["momentum_buffer"] for entry in state["state"].values()], kept)


def test_one_state_dict_loaded_twice_gives_two_independent_optimizers() -> None:
    """Neither load consumes or edits the dictionary."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 3)
    state = optimizer.state_dict()
    snapshot = copy.deepcopy(state)
    twins = [copy_params(params), copy_params(params)]
    for twin in twins:
        again = SGD(twin, lr=0.1, momentum=0.9)
        again.load_state_dict(state)
        run(again, twin, 3, start=3)
    assert_same_bits(twins[0], twins[1])
    assert state["param_groups"] == snapshot["param_groups"]
    assert_same_bits(
        [entry["momentum_buffer"] for entry in state["state"].values()],
        [entry["momentum_buffer"] for entry in snapshot["state"].values()],
    )


def test_state_of_a_scheduled_optimizer_loads_into_torch_as_a_number() -> None:
    """Torch sees the lr of the last step; its own step works with it."""
    params = make_params()
    first = SGD(params, lr=Exponential(0.5, 0.5, 1), momentum=0.9)
    run(first, params, 3)
    second = torch.optim.SGD(params, lr=1.0, momentum=0.9)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.125
    run(second, params, 1, start=3)


def test_states_of_old_torch_versions_load() -> None:
    """Older torch saved momentum_buffer: None without momentum, and groups without maximize, foreach, fused."""
    params = make_params([(3,), (2,)])
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    buffer = torch.ones(3, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.load_state_dict(
            {
                "state": {0: {"momentum_buffer": buffer}, 1: {"momentum_buffer": None}},
                "param_groups": [
                    {
                        "lr": 0.1,
                        "momentum": 0.9,
                        "dampening": 0,
                        "weight_decay": 0,
                        "nesterov": False,
                        "params": [0, 1],
                    }
                ],
            }
        )
    assert torch.equal(velocities(optimizer)[0], buffer)  # type: ignore[arg-type]
    assert velocities(optimizer)[1] is None
    run(optimizer, params, 2)


def test_a_fused_optimizers_state_does_not_switch_fused_on() -> None:
    """How torch ran its step is no hyperparameter: taken over it would make our next step refuse."""
    params = make_params(dtype=torch.float32)
    first = torch.optim.SGD(params, lr=0.1, momentum=0.9, fused=True)
    run(first, params, 2)
    second = SGD(params, lr=0.1, momentum=0.9, foreach=False)
    carry_over(first, second)
    assert not second.param_groups[0]["fused"]
    assert second.param_groups[0]["foreach"] is False
    run(second, params, 2, start=2)


def test_a_tensor_lr_in_the_state_is_copied() -> None:
    """A torch scheduler fills a tensor lr in place: in one optimizer, not in all that loaded the same state."""
    params = make_params()
    first = SGD(params, lr=torch.tensor(0.5), momentum=0.9)
    second = SGD(params, lr=torch.tensor(0.5), momentum=0.9)
    second.load_state_dict(first.state_dict())
    second.param_groups[0]["lr"].fill_(0.25)
    assert first.param_groups[0]["lr"].item() == 0.5
