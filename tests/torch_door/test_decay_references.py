"""The learning rate that "relative" and "corrected" decay divide by, where lr is written after the optimizer was made.

Numbers by hand, without gradient, so that decay alone moves the parameter: it loses lr / lr_initial * weight_decay, or
lr**2 / lr_max * weight_decay, of itself.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from downslope.core.errors import SettingsError
from downslope.schedules import Exponential, Linear, OneCycle
from downslope.torch import SGD
from downslope.torch import scheduler as own_scheduler


def make(**options: Any) -> tuple[torch.nn.Parameter, SGD]:
    """Return a parameter of value 1 without gradient's pull, and its optimizer with weight decay 0.01."""
    param = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    param.grad = torch.zeros_like(param)
    return param, SGD([param], weight_decay=0.01, **options)


def losses(param: torch.nn.Parameter, optimizer: SGD, lrs: Sequence[float | None]) -> list[float]:
    """Return which share of itself the parameter loses at each step, lr being written before it unless None."""
    shares = []
    for lr in lrs:
        if lr is not None:
            optimizer.param_groups[0]["lr"] = lr
        before = param.item()
        optimizer.step()
        shares.append(1 - param.item() / before)
    return shares


def test_an_lr_written_before_the_first_step_is_the_initial_one() -> None:
    """A trainer that makes the optimizer with lr 0.001 and trains at 0.05, then 0.025: 0.01, 0.005; not 0.5, 0.25."""
    param, optimizer = make(lr=0.001, decay="relative")
    assert losses(param, optimizer, [0.05, 0.025]) == pytest.approx([0.01, 0.005], rel=1e-12)
    param, optimizer = make(lr=0.001, decay="corrected")
    # lr**2 / lr_max * 0.01 = 0.05 * 0.01, then 0.025**2 / 0.05 * 0.01
    assert losses(param, optimizer, [0.05, 0.025]) == pytest.approx([5e-4, 1.25e-4], rel=1e-12)


def test_later_writes_change_nothing() -> None:
    """Settled at the first step: the rest is lr over 0.05."""
    param, optimizer = make(lr=0.05, decay="relative")
    assert losses(param, optimizer, [None, 0.1, 0.05, 0.0]) == pytest.approx([0.01, 0.02, 0.01, 0], rel=1e-12)


def test_a_torch_scheduler_that_warms_up_says_what_it_warms_up_to() -> None:
    """LinearLR writes 0.25 * 0.1 before the first step, and notes initial_lr = 0.1: a quarter, a half, ... of 0.01."""
    param, optimizer = make(lr=0.1, decay="relative")
    scheduler = lr_scheduler.LinearLR(optimizer, 0.25, total_iters=3)
    shares = []
    for _ in range(4):
        shares += losses(param, optimizer, [None])
        scheduler.step()
    assert shares == pytest.approx([0.0025, 0.005, 0.0075, 0.01], rel=1e-12)


def test_a_warmup_from_zero_leaves_it_open_until_lr_is_above_zero() -> None:
    """Nothing decays at lr 0; without a scheduler's mark the first lr above 0 is the initial one."""
    param, optimizer = make(lr=0.1, decay="relative")
    assert losses(param, optimizer, [0.0, 0.0, 0.2, 0.1]) == pytest.approx([0, 0, 0.01, 0.005], rel=1e-12)
    param, optimizer = make(lr=0.1, decay="corrected")
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 2, 1))
    shares = []
    for _ in range(3):
        shares += losses(param, optimizer, [None])
        scheduler.step()
    assert shares == pytest.approx([0, 2.5e-4, 1e-3], rel=1e-12)  # lr**2 / 0.1 * 0.01 at 0, 0.05, 0.1


def test_one_cycle_states_the_largest_lr() -> None:
    """OneCycleLR begins at max_lr / 25 and notes both: lr_max is 0.5, and so is lr_initial, which it warms up to."""
    param, optimizer = make(lr=0.1, decay="corrected", momentum=0.9)
    lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=10)
    assert losses(param, optimizer, [None, 0.5]) == pytest.approx([0.02**2 / 0.5 * 0.01, 0.5 * 0.01], rel=1e-12)
    param, optimizer = make(lr=0.1, decay="relative", momentum=0.9)
    lr_scheduler.OneCycleLR(optimizer, max_lr=0.5, total_steps=10)
    assert losses(param, optimizer, [None, 0.5]) == pytest.approx([0.01 / 25, 0.01], rel=1e-12)


def test_one_cycle_of_torch_decays_as_ours() -> None:
    """Ten steps of a cycle to 0.4: each leaves 1 - lr / 0.4 * 0.01, where 1 - lr / 0.016 * 0.01 left 0.2826 in all."""
    cycle = OneCycle(0.4, duration=9, pct_start=2 / 9)
    ours, own = make(lr=cycle, decay="relative")
    theirs, optimizer = make(lr=0.4, decay="relative")
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.4, total_steps=10, cycle_momentum=False)
    for step in range(10):
        losses(ours, own, [None])
        losses(theirs, optimizer, [None])
        if step < 9:
            scheduler.step()
    by_hand = math.prod(1 - cycle(step) / 0.4 * 0.01 for step in range(10))
    assert ours.item() == pytest.approx(by_hand, rel=1e-12)
    assert theirs.item() == pytest.approx(by_hand, rel=1e-12)


def test_the_peak_of_one_cycle_is_found_in_a_state_and_kept_in_one() -> None:
    """A state of torch.optim.SGD with OneCycleLR's marks; and ours, which later writes to the marks do not change."""
    param = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    theirs = torch.optim.SGD([param], lr=0.4, weight_decay=0.01)
    lr_scheduler.OneCycleLR(theirs, 0.4, total_steps=10, cycle_momentum=False)
    again, ours = make(lr=0.4, decay="relative")
    ours.load_state_dict(theirs.state_dict())
    assert losses(again, ours, [0.1]) == pytest.approx([0.0025], rel=1e-12)
    last, resumed = make(lr=0.4, decay="relative")
    resumed.load_state_dict(ours.state_dict())
    assert resumed.param_groups[0]["lr_initial"] == 0.4
    resumed.param_groups[0]["max_lr"] = 0.8
    assert losses(last, resumed, [0.1]) == pytest.approx([0.0025], rel=1e-12)


def test_a_scheduler_of_ours_notes_the_largest_lr_and_begins_at_another() -> None:
    """Its `max_lr` is that of corrected decay alone: a rise from 0.1 to 0.2 loses lr / 0.1 * 0.01."""
    param, optimizer = make(lr=0.1, decay="relative")
    rising = own_scheduler(optimizer, Linear(0.1, 0.2, 2))
    shares = []
    for _ in range(3):
        shares += losses(param, optimizer, [None])
        rising.step()
    assert shares == pytest.approx([0.01, 0.015, 0.02], rel=1e-12)


def test_a_resumed_run_keeps_its_references() -> None:
    """Saved at lr 0.025 after a beginning at 0.05: neither the new optimizer's own lr counts nor the resume's."""
    param, optimizer = make(lr=0.001, decay="relative")
    losses(param, optimizer, [0.05, 0.025])
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    again, fresh = make(lr=0.001, decay="relative")
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert losses(again, fresh, [None, 0.05]) == pytest.approx([0.005, 0.01], rel=1e-12)
    other, copied = copy.deepcopy((param, optimizer))
    other.grad = torch.zeros_like(other)
    assert losses(other, copied, [0.05]) == pytest.approx([0.01], rel=1e-12)


def test_a_state_saved_before_the_first_step_leaves_them_open() -> None:
    """The first step after loading settles them."""
    _, optimizer = make(lr=0.001, decay="relative")
    param, fresh = make(lr=0.001, decay="relative")
    fresh.load_state_dict(optimizer.state_dict())
    assert losses(param, fresh, [0.05, 0.1]) == pytest.approx([0.01, 0.02], rel=1e-12)


def test_a_state_of_torchs_says_it_by_its_schedulers_mark_or_leaves_it_to_the_arguments() -> None:
    """After StepLR's tenth of 0.1; and after a trainer that wrote 0.01 and left no mark."""
    param = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    for marked in (True, False):
        theirs = torch.optim.SGD([param], lr=0.1, weight_decay=0.01)
        if marked:
            lr_scheduler.StepLR(theirs, 1)
        theirs.param_groups[0]["lr"] = 0.01
        again, ours = make(lr=0.1 if not marked else 0.7, decay="relative")
        with pytest.warns(UserWarning, match="changed hyperparameters"):
            ours.load_state_dict(theirs.state_dict())
        assert losses(again, ours, [None]) == pytest.approx([0.001], rel=1e-12)


def test_a_group_that_comes_later_has_references_of_its_own() -> None:
    """It begins at its own first step; and who states them in the group is heard."""
    param, optimizer = make(lr=0.1, decay="relative")
    losses(param, optimizer, [None, 0.05])
    later, stated = (torch.nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    later.grad, stated.grad = torch.zeros_like(later), torch.zeros_like(stated)
    optimizer.add_param_group({"params": [later], "lr": 0.3})
    optimizer.add_param_group({"params": [stated], "lr": 0.3, "lr_initial": 0.6})
    optimizer.param_groups[1]["lr"] = 0.2
    losses(param, optimizer, [None])
    assert 1 - later.item() == pytest.approx(0.01, rel=1e-12)
    assert 1 - stated.item() == pytest.approx(0.005, rel=1e-12)


def test_schedules_keep_their_own_references() -> None:
    """Exponential begins at 0.1; a rise from 0.1 to 0.2 has its largest at the end."""
    param, optimizer = make(lr=Exponential(0.1, 0.5, every=1), decay="relative")
    assert losses(param, optimizer, [None, None]) == pytest.approx([0.01, 0.005], rel=1e-12)
    param, optimizer = make(lr=Linear(0.1, 0.2, 2), decay="corrected")
    assert losses(param, optimizer, [None] * 3) == pytest.approx([5e-4, 0.15**2 / 0.2 * 0.01, 0.002], rel=1e-12)


@pytest.mark.parametrize("initial_lr", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["number", "tensor"])
def test_step_in_backward_and_the_compiled_step_settle_them_too(initial_lr: Any) -> None:
    """Wherever a step begins; a tensor lr leaves a tensor as its mark."""
    param, optimizer = make(lr=0.7, decay="relative", step_in_backward=True)
    optimizer.param_groups[0].update(lr=0.05, initial_lr=initial_lr)
    (param * 0).sum().backward()
    optimizer.step()
    assert 1 - param.item() == pytest.approx(0.005, rel=1e-12)
    param, optimizer = make(lr=0.7, decay="relative")
    optimizer.param_groups[0].update(lr=0.05, initial_lr=initial_lr)
    torch.ops.downslope.sgd_step(optimizer._handle, [0], [param.detach()], [param.grad])
    assert 1 - param.item() == pytest.approx(0.005, rel=1e-12)


def test_an_initial_lr_of_zero_is_still_refused_when_the_optimizer_is_made() -> None:
    """Nothing could be divided by it."""
    with pytest.raises(SettingsError, match="divides by the initial lr"):
        make(lr=0.0, decay="relative")
