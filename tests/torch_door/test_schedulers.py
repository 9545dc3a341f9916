"""torch's schedulers on top of our optimizer, and our schedules inside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler
from torch_runs import assert_close, assert_same_bits, make_params, run, set_grads

from downslope import Group
from downslope.core.errors import SettingsError
from downslope.schedules import Constant, Cosine, Exponential, Linear, MultiStep, OneCycle, Warmup
from downslope.torch import SGD

STEPS = 24

SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 5, gamma=0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [4, 11], gamma=0.1),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=6),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=8),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 20, power=2.0),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.2, step_size_up=5),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=STEPS + 1),
    "OneCycleLR-three-phase": lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=STEPS + 1, three_phase=True),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=5), lr_scheduler.CosineAnnealingLR(o, 15)], [5]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.1, 3), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
}


def run_scheduled(
    cls: type, build: Callable[[torch.optim.Optimizer], Any], **options: Any
) -> tuple[list[torch.nn.Parameter], list[tuple[float, float]]]:
    """Step optimizer and scheduler in torch's order; return the parameters and each step's (lr, momentum)."""
    params = make_params()
    optimizer = cls([{"params": params[:2]}, {"params": params[2:], "lr": 0.05}], **options)
    scheduler = build(optimizer)
    history: list[tuple[float, float]] = []
    for step in range(STEPS):
        set_grads(params, step)
        history.append((float(optimizer.param_groups[0]["lr"]), optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return params, history


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("tensor", [False, True], ids=["number", "tensor"])
def test_torchs_schedulers_act_as_on_torchs_sgd(name: str, tensor: bool) -> None:
    """Lr and, where cycled, momentum follow; the runs agree; torch has nothing to warn of."""
    if tensor and name in {"OneCycleLR", "OneCycleLR-three-phase", "CyclicLR"}:
        pytest.skip("these write numbers of their own into the groups")
    runs = []
    for cls, extra in ((SGD, {}), (torch.optim.SGD, {"foreach": False})):
        lr: Any = torch.tensor(0.1, dtype=torch.float64) if tensor else 0.1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*epoch parameter in `scheduler.step.*")
            runs.append(run_scheduled(cls, SCHEDULERS[name], lr=lr, momentum=0.9, weight_decay=0.01, **extra))
    assert_close(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


def test_reduce_on_plateau() -> None:
    """The scheduler that looks at a metric finds lr in the groups as well."""
    results = []
    for cls in (SGD, torch.optim.SGD):
        params = make_params()
        optimizer = cls(params, lr=0.1, momentum=0.9)
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
        for step in range(12):
            set_grads(params, step)
            optimizer.step()
            scheduler.step(1.0)
        results.append((params, optimizer.param_groups[0]["lr"]))
    assert results[0][1] == results[1][1] < 0.1
    assert_close(results[0][0], results[1][0])


def test_swalr_averages() -> None:
    """SWALR and AveragedModel, which read lr and the parameters."""
    outcomes = []
    for cls in (SGD, torch.optim.SGD):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2).double()
        averaged = torch.optim.swa_utils.AveragedModel(model)
        optimizer = cls(model.parameters(), lr=0.1, momentum=0.9)
        scheduler = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=4)
        for step in range(8):
            set_grads(list(model.parameters()), step)
            optimizer.step()
            averaged.update_parameters(model)
            scheduler.step()
        outcomes.append(list(averaged.parameters()))
    assert_close(*outcomes)


def test_a_torch_scheduler_resumes_with_the_optimizer() -> None:
    """Both state dicts, in the order torch recommends: the resumed run ends at the same bits."""
    alone, parted = make_params(), make_params()
    optimizer = SGD(alone, lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 20)
    run(optimizer, alone, 12, after=lambda _: scheduler.step())
    first = SGD(parted, lr=0.1, momentum=0.9)
    before = lr_scheduler.CosineAnnealingLR(first, 20)
    run(first, parted, 6, after=lambda _: before.step())
    second = SGD(parted, lr=0.1, momentum=0.9)
    after = lr_scheduler.CosineAnnealingLR(second, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after.load_state_dict(before.state_dict())
        second.load_state_dict(first.state_dict())
    run(second, parted, 6, start=6, after=lambda _: after.step())
    assert_same_bits(parted, alone)
    assert second.step_count == 12


def test_our_schedules_write_the_groups() -> None:
    """At each step lr, momentum and weight_decay of that step stand in the group, for logs and progress bars."""
    params = make_params()
    lr, momentum, weight_decay = Exponential(0.5, 0.5, 2), Linear(0.5, 0.9, 4), Cosine(0.1, 0.0, 8)
    optimizer = SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
    seen: list[tuple[float, float, float]] = []

    def look(_: int) -> None:
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["momentum"], group["weight_decay"]))

    run(optimizer, params, 10, after=look)
    assert seen == [(lr(t), momentum(t), weight_decay(t)) for t in range(10)]


def test_the_value_of_step_zero_stands_there_before_the_first_step() -> None:
    """Code that reads lr before stepping finds a number, not a schedule."""
    optimizer = SGD(make_params(), lr=Warmup(4, Constant(0.5), start=0.125), momentum=Linear(0.5, 0.9, 4))
    assert optimizer.param_groups[0]["lr"] == 0.125
    assert optimizer.param_groups[0]["momentum"] == 0.5


def test_our_schedule_equals_writing_the_groups_by_hand() -> None:
    """A schedule inside is torch.optim.SGD with the group's numbers set before each step."""
    ours, theirs = make_params(), make_params()
    lr, momentum = OneCycle(0.3, 20), Linear(0.95, 0.85, 20)
    run(SGD(ours, lr=lr, momentum=momentum, weight_decay=0.1), ours, 20)
    reference = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=0.1, foreach=False)
    for step in range(20):
        reference.param_groups[0] |= {"lr": lr(step), "momentum": momentum(step)}
        run(reference, theirs, 1, start=step)
    assert_close(ours, theirs)


def test_schedules_differ_by_group() -> None:
    """Each group follows its own schedule or number; patterns and dictionaries alike."""
    params = make_params()
    schedule = MultiStep(0.5, 0.5, (2,))
    optimizer = SGD([{"params": params[:2], "lr": schedule}, {"params": params[2:]}], lr=0.25, momentum=0.9)
    run(optimizer, params, 3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    named = SGD(
        list(zip("abcd", make_params(), strict=True)), lr=schedule, groups=[Group(match="a", lr=Constant(0.125))]
    )
    run(named, [param for group in named.param_groups for param in group["params"]], 1)
    assert [group["lr"] for group in named.param_groups] == [0.125, 0.5]


def test_a_later_group_follows_the_common_clock() -> None:
    """add_param_group in mid-run with a schedule: the step count is the optimizer's."""
    params = make_params()
    optimizer = SGD(params[:2], lr=Exponential(0.5, 0.5, 1))
    run(optimizer, params[:2], 3)
    optimizer.add_param_group({"params": params[2:]})
    run(optimizer, params, 1, start=3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0625, 0.0625]


@pytest.mark.parametrize("name", ["StepLR", "OneCycleLR", "LambdaLR"])
def test_a_torch_scheduler_on_top_of_our_schedule_is_an_error(name: str) -> None:
    """Two masters for one lr: the message says which to remove, and nothing has moved at that step."""
    params = make_params()
    optimizer = SGD(params, lr=Exponential(0.1, 0.5, 3), momentum=0.9)
    scheduler = SCHEDULERS[name](optimizer)
    with pytest.raises(SettingsError, match=r"(?s)`?lr`?.*schedule"):
        run(optimizer, params, STEPS, after=lambda _: scheduler.step())


def test_a_torch_scheduler_that_has_not_moved_lr_yet_is_noticed_at_the_first_step() -> None:
    """Not after the epochs of its warmup or patience, when the run has cost something."""
    params = make_params()
    optimizer = SGD(params, lr=Exponential(0.1, 0.5, 3))
    lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    with pytest.raises(SettingsError, match="scheduler"):
        run(optimizer, params, 1)


def test_an_lr_written_by_hand_over_our_schedule_is_an_error() -> None:
    """It would be overwritten at the next step; better to say so."""
    params = make_params()
    optimizer = SGD(params, lr=Exponential(0.1, 0.5, 3))
    run(optimizer, params, 1)
    optimizer.param_groups[0]["lr"] = 1.0
    before = [param.detach().clone() for param in params]
    with pytest.raises(SettingsError, match="lr"):
        run(optimizer, params, 1, start=1)
    assert_same_bits(params, before)


def test_cycled_momentum_over_our_lr_schedule_only() -> None:
    """A torch scheduler that writes momentum meets our momentum schedule: also an error."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=Linear(0.5, 0.9, 10))
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=STEPS)
    with pytest.raises(SettingsError, match="momentum"):
        run(optimizer, params, 5, after=lambda _: scheduler.step())


def test_momentum_from_zero_keeps_its_velocity() -> None:
    """A momentum schedule that starts at 0: v = g0, then 0.5 * g0 + g1; the rule, whatever momentum was."""
    (param,) = make_params([(1,)])
    with torch.no_grad():
        param.zero_()
    optimizer = SGD([param], lr=1.0, momentum=Linear(0.0, 0.5, 1))
    for grad in (2.0, 4.0):
        param.grad = torch.full((1,), grad, dtype=torch.float64)
        optimizer.step()
    assert param.item() == -2.0 - (0.5 * 2.0 + 4.0)


def test_momentum_switched_on_by_hand_starts_as_in_torch() -> None:
    """Momentum 0 keeps no velocity, so that switched on later its first gradient starts it, as in torch."""
    ours, theirs = make_params(), make_params()
    for cls, params in ((SGD, ours), (torch.optim.SGD, theirs)):
        optimizer = cls(params, lr=0.1)
        run(optimizer, params, 3)
        optimizer.param_groups[0]["momentum"] = 0.9
        optimizer.param_groups[0]["dampening"] = 0.5
        run(optimizer, params, 3, start=3)
    assert_close(ours, theirs)
