"""Which numbers load_state_dict takes over: the velocity's format, counts, and hyperparameters that differ."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from named_runs import named, refusal, run_named, trained, two_groups
from torch_runs import draw, make_params, run, velocities

from downslope.schedules import Cosine
from downslope.torch import SGD


@pytest.mark.parametrize(
    ("param_dtype", "velocity_dtype"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float64),
        (torch.bfloat16, torch.float64),
        (torch.complex64, torch.complex128),
    ],
    ids=str,
)
def test_a_wider_velocity_is_kept(param_dtype: torch.dtype, velocity_dtype: torch.dtype) -> None:
    """An fp32 velocity of a bf16 parameter stays fp32 through load, steps and the next save."""
    params = make_params([(3,)], dtype=param_dtype)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    state = copy.deepcopy(optimizer.state_dict())
    wide = draw((3,), velocity_dtype, torch.Generator().manual_seed(5))
    state["state"][0]["momentum_buffer"] = wide
    optimizer.load_state_dict(state)
    assert velocities(optimizer)[0].dtype is velocity_dtype  # type: ignore[union-attr]
    assert torch.equal(velocities(optimizer)[0], wide)  # type: ignore[arg-type]
    run(optimizer, params, 3)
    assert optimizer.state_dict()["state"][0]["momentum_buffer"].dtype is velocity_dtype


@pytest.mark.parametrize(
    ("param_dtype", "velocity_dtype"),
    [
        (torch.float32, torch.bfloat16),
        (torch.float32, torch.float16),
        (torch.float32, torch.float8_e4m3fn),
        (torch.bfloat16, torch.float8_e5m2),
        (torch.float64, torch.float32),
        (torch.complex128, torch.complex64),
    ],
    ids=str,
)
def test_a_narrower_velocity_is_cast_as_torch_casts_it(param_dtype: torch.dtype, velocity_dtype: torch.dtype) -> None:
    """The parameter's format has all of its numbers, so nothing is lost, and nothing is said."""
    params = make_params([(3,)], dtype=param_dtype)
    saved = draw((3,), torch.float64, torch.Generator().manual_seed(5)).to(velocity_dtype)
    loaded = []
    for optimizer in (SGD(params, lr=0.1, momentum=0.9), torch.optim.SGD(params, lr=0.1, momentum=0.9)):
        state = optimizer.state_dict() | {"state": {0: {"momentum_buffer": saved}}}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            optimizer.load_state_dict(state)
        loaded.append(optimizer.state[params[0]]["momentum_buffer"])
    assert loaded[0].dtype is param_dtype
    assert torch.equal(loaded[0], loaded[1].to(param_dtype))  # torch leaves complex ones as they are


@pytest.mark.parametrize("velocity_dtype", [torch.float32, torch.float16], ids=str)
def test_a_format_that_was_asked_for_is_the_velocitys(velocity_dtype: torch.dtype) -> None:
    """What `velocity_dtype` names is what a loaded velocity gets; if it was rounded, that is said."""
    params = make_params([(3,)], dtype=torch.float32)
    optimizer = SGD(params, lr=0.1, momentum=0.9, velocity_dtype=torch.bfloat16)
    saved = torch.tensor([1.0, 1.00390625, 3.0]).to(velocity_dtype)  # 1 + 2^-8 lies halfway: to even
    state = optimizer.state_dict() | {"state": {0: {"momentum_buffer": saved}}}
    with pytest.warns(UserWarning, match=r"rounded 1 velocities to torch\.bfloat16 .parameter 0 of group 0"):
        optimizer.load_state_dict(state)
    assert velocities(optimizer)[0].dtype is torch.bfloat16  # type: ignore[union-attr]
    assert velocities(optimizer)[0].tolist() == [1.0, 1.0, 3.0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("param_dtype", "velocity_dtype"),
    [
        (torch.bfloat16, torch.float16),  # neither holds the other
        (torch.float16, torch.bfloat16),
        (torch.float32, torch.int64),
        (torch.float32, torch.complex64),
        (torch.complex64, torch.float32),
    ],
    ids=str,
)
def test_a_foreign_velocity_is_refused(param_dtype: torch.dtype, velocity_dtype: torch.dtype) -> None:
    """What cannot be kept without loss, or has another meaning, is not cast in silence."""
    params = make_params([(3,)], dtype=param_dtype)
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["momentum_buffer"] = torch.ones(3, dtype=velocity_dtype)
    text = refusal(optimizer, state)
    assert str(velocity_dtype).removeprefix("torch.") in text
    assert str(param_dtype).removeprefix("torch.") in text


def test_a_velocity_that_is_no_tensor_is_refused() -> None:
    """A list where a tensor belongs."""
    state = trained()
    state["state"][0]["momentum_buffer"] = [1.0, 2.0, 3.0]
    assert "a" in refusal(SGD(named(), lr=0.1, momentum=0.9), state)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", -1.0),
        ("lr", "fast"),
        ("momentum", -2.0),
        ("decay", "sideways"),
        ("nesterov", "yes"),
        ("step", -1),
        ("step", 1.5),
        ("skipped", "many"),
    ],
)
def test_bad_values_in_the_state_are_refused_at_load(key: str, value: Any) -> None:
    """A damaged state is noticed when it is loaded, not when it has run for a night."""
    state = trained()
    state["param_groups"][0][key] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert key in refusal(SGD(named(), lr=0.1, momentum=0.9), state)


def test_groups_that_disagree_about_the_step_are_refused() -> None:
    """There is one step count; a state stitched together from two runs has none."""
    optimizer, pairs = two_groups("ab", "cd")
    run_named(optimizer, pairs)
    state = optimizer.state_dict()
    state["param_groups"][1]["step"] = 7
    other, _ = two_groups("ab", "cd")
    text = refusal(other, state)
    assert "7" in text
    assert "step" in text


def test_changed_hyperparameters_are_taken_over_with_a_warning_each() -> None:
    """Torch overwrites lr, momentum and weight_decay in silence; here each change is named, old and new."""
    state = trained(weight_decay=0.1)
    optimizer = SGD(named(), lr=0.5, momentum=0.25, weight_decay=0.0, nesterov=True)
    with pytest.warns(UserWarning) as caught:
        optimizer.load_state_dict(state)
    text = "\n".join(str(warning.message) for warning in caught)
    for word in ("lr", "0.5", "0.1", "momentum", "0.25", "0.9", "weight_decay", "nesterov"):
        assert word in text
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]) == (0.1, 0.9, 0.1, False)


@pytest.mark.parametrize(
    ("key", "theirs", "ours"),
    [("decay", "decoupled", "coupled"), ("lr_in_velocity", True, False), ("maximize", True, False)],
)
def test_our_own_settings_are_compared_too(key: str, theirs: Any, ours: Any) -> None:
    """A state saved under another rule says so."""
    state = trained(weight_decay=0.1, **{key: theirs})
    optimizer = SGD(named(), lr=0.1, momentum=0.9, weight_decay=0.1, **{key: ours})
    with pytest.warns(UserWarning, match=key):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0][key] == theirs


def test_hyperparameters_can_be_kept() -> None:
    """hyperparameters="keep": velocities and step count come from the state, numbers stay; nothing to warn of."""
    state = trained(weight_decay=0.1)
    optimizer = SGD(named(), lr=0.5, momentum=0.25, weight_decay=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.load_state_dict(state, hyperparameters="keep")
    group = optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.5, 0.25, 0.0)
    assert torch.equal(velocities(optimizer)[0], state["state"][0]["momentum_buffer"])  # type: ignore[arg-type]
    assert optimizer.step_count == 2


def test_a_word_that_hyperparameters_does_not_know_is_refused() -> None:
    """With what is allowed."""
    optimizer = SGD(named(), lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="`keep`|'keep'|\"keep\""):
        optimizer.load_state_dict(trained(), hyperparameters="kep")


def test_equal_hyperparameters_warn_of_nothing() -> None:
    """Neither do an int for a float, nor None for False in what is no hyperparameter."""
    state = trained()
    state["param_groups"][0]["weight_decay"] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SGD(named(), lr=0.1, momentum=0.9, weight_decay=0.0, foreach=False).load_state_dict(state)


def test_an_lr_moved_by_a_torch_scheduler_is_no_surprise() -> None:
    """The state's initial_lr equals this optimizer's lr: a resumed run, not a changed one."""
    pairs = named()
    first = SGD(pairs, lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(first, 1, gamma=0.5)
    run_named(first, pairs, 1)
    scheduler.step()
    for schedule_again in (True, False):
        second = SGD(named(), lr=0.1, momentum=0.9)
        if schedule_again:
            torch.optim.lr_scheduler.StepLR(second, 1, gamma=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            second.load_state_dict(first.state_dict())
        assert second.param_groups[0]["lr"] == 0.05


def test_a_scheduled_value_is_no_surprise_but_another_schedule_is() -> None:
    """The current value of the same schedule moves without a word; another schedule is a change."""
    pairs = named()
    first = SGD(pairs, lr=Cosine(0.1, 0.0, 10), momentum=0.9)
    run_named(first, pairs, 3)
    same = SGD(named(), lr=Cosine(0.1, 0.0, 10), momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same.load_state_dict(first.state_dict())
    other = SGD(named(), lr=Cosine(0.1, 0.0, 20), momentum=0.9)
    with pytest.warns(UserWarning, match="lr"):
        other.load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    "table",
    [
        {"schedule": "cosin", "initial": 0.1},
        {"schedule": "cosine"},
        {"schedule": "cosine", "initial": 0.1, "final": 0.0, "duration": -5, "unit": "step"},
        "cosine",
        {"schedule": "constant", "value": -1.0},
    ],
    ids=str,
)
def test_a_damaged_schedule_in_the_state_is_refused(table: Any) -> None:
    """It says so at load, as a StateError."""
    state = trained()
    state["param_groups"][0]["lr_schedule"] = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refusal(SGD(named(), lr=0.1, momentum=0.9), state)
