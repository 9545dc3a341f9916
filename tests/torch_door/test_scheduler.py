"""`downslope.torch.scheduler`, and schedules in torch's LambdaLR: values, skips, resuming, and what is refused."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

import downslope
from downslope import schedules
from downslope.core.errors import SettingsError, StateError
from downslope.torch import SGD, GradScaler, scheduler

SCHEDULES = [
    schedules.Constant(0.3),
    schedules.Exponential(0.4, 0.5, 3, staircase=True),
    schedules.MultiStep(0.4, 0.1, [2, 5]),
    schedules.Linear(0.4, 0.0, 9),
    schedules.Polynomial(0.4, 0.0, 9, power=2),
    schedules.Cosine(0.4, 0.1, 9),
    schedules.Inverse(0.4, 0.1, 0.5),
    schedules.OneCycle(0.4, 9),
    schedules.WarmupStableDecay(0.4, 2, 3, 4),
    schedules.Warmup(3, schedules.Cosine(0.4, 0.0, 9)),
    schedules.Sequence([schedules.Linear(0.1, 0.4, 3), schedules.Warmup(2, schedules.Constant(0.4))], [4]),
]
KINDS = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda one: one.name)
MAKERS = {"ours": SGD, "torch": torch.optim.SGD}


def model_and(make, **arguments):
    """Return a model, and an optimizer of it."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return model, make(model.named_parameters(), **{"lr": 0.4, "momentum": 0.9, "weight_decay": 0.01, **arguments})


def train(model, optimizer, own, steps):
    """Return the lr that each step was taken with."""
    used = []
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().mean().backward()
        optimizer.step()
        used.append(optimizer.param_groups[0]["lr"])
        own.step()
    return used


def saved(state):
    """Return a state as a file gives it back, with nothing but plain values allowed in it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_every_kind_is_tried():
    """A new schedule comes into the list."""
    assert {type(one) for one in SCHEDULES} == set(schedules.SCHEDULES.values())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@KINDS
def test_it_drives_any_optimizer(schedule, make):
    """Step n is taken with schedule(n), and what comes of it is the optimizer that holds the schedule."""
    model, optimizer = model_and(make)
    own = scheduler(optimizer, schedule)
    assert isinstance(own, LRScheduler)
    assert own.get_last_lr() == [schedule(0)]
    assert train(model, optimizer, own, 10) == [schedule(n) for n in range(10)]
    assert own.get_last_lr() == [schedule(10)]
    other, holding = model_and(SGD, lr=schedule)
    idle = scheduler(holding)
    train(other, holding, idle, 10)
    assert idle.get_last_lr() == [schedule(10)]
    tolerance = 0 if make is SGD else 1e-6
    torch.testing.assert_close(model.weight, other.weight, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@KINDS
def test_it_resumes(schedule, make):
    """Through plain values in a file, to the same bits; whichever of the two states is loaded first."""
    model, optimizer = model_and(make)
    own = scheduler(optimizer, schedule)
    train(model, optimizer, own, 4)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), own.state_dict()], file)
    assert all(isinstance(value, int | list) for value in own.state_dict().values())
    rest = train(model, optimizer, own, 4)
    for order in (1, -1):
        file.seek(0)
        states = torch.load(file, weights_only=True)
        again, other = model_and(make)
        resumed = scheduler(other, schedule)
        again.load_state_dict(states[0])
        for one, state in [(other, states[1]), (resumed, states[2])][::order]:
            one.load_state_dict(state)
        assert resumed.get_last_lr() == [schedule(4)]
        assert train(again, other, resumed, 4) == rest
        assert torch.equal(again.weight, model.weight)


@KINDS
def test_lambda_lr_resumes(schedule):
    """With the lr a factor of 1; the state is plain values, also where one schedule stands within another."""
    model, optimizer = model_and(SGD, lr=1.0)
    own = LambdaLR(optimizer, schedule)
    train(model, optimizer, own, 4)
    state = saved(own.state_dict())
    again, other = model_and(SGD, lr=1.0)
    resumed = LambdaLR(other, schedule)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(state)
    assert train(again, other, resumed, 4) == train(model, optimizer, own, 4) == [schedule(n) for n in range(4, 8)]


@KINDS
def test_schedules_are_plain_values(schedule):
    """Copied, pickled, saved by torch among what may be read from strangers."""
    for same in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule)), saved(schedule)):
        assert same == schedule
        assert repr(same) == repr(schedule)
        assert hash(same) == hash(schedule)
    assert saved({"lr": [schedule]}) == {"lr": [schedule]}
    assert vars(schedule) == {}


def test_a_broken_schedule_is_not_unpickled():
    """Fields are checked again."""
    kind, fields = schedules.Cosine(0.4, 0.0, 9).__reduce__()
    with pytest.raises(SettingsError, match="duration"):
        kind(*fields[:2], -1, *fields[3:])


def test_a_skipped_step_does_not_count():
    """Without loss scaling and with it."""
    schedule = schedules.Linear(0.4, 0.0, 10)
    model, optimizer = model_and(SGD, on_nonfinite="skip")
    own = scheduler(optimizer, schedule)
    assert not optimizer.step_was_skipped
    for bad in (False, True, True, False):
        model(torch.full((4, 3), torch.inf if bad else 1.0)).sum().backward()
        optimizer.step()
        own.step()
        optimizer.zero_grad()
        assert optimizer.step_was_skipped is bad
    assert own.last_epoch == optimizer.step_count == 2
    scaler = GradScaler("cpu", init_scale=8.0)
    for bad in (True, False):
        scaler.scale(model(torch.full((4, 3), torch.inf if bad else 1.0)).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        own.step()
        optimizer.zero_grad()
        assert optimizer.step_was_skipped is bad
    assert own.get_last_lr() == [schedule(3)]
    optimizer.load_state_dict(optimizer.state_dict())
    assert not optimizer.step_was_skipped


def test_values_can_be_looked_at_without_steps():
    """As people do who plot a scheduler's values; also by the argument `epoch`, torch's old way to jump."""
    schedule = schedules.Cosine(0.4, 0.0, 9)
    own = scheduler(model_and(SGD)[1], schedule)
    seen = []
    for _ in range(5):
        seen += own.get_last_lr()
        own.step()
    assert seen == [schedule(n) for n in range(5)]
    own.step(2)
    assert own.get_last_lr() == own.get_lr() == [schedule(2)]
    own.step()
    assert own.get_last_lr() == [schedule(3)]
    with pytest.raises(SettingsError, match="integer >= 0"):
        own.step(-1)


def test_groups():
    """One schedule for groups of one lr, with timm's factors; a list where they differ; None leaves one alone."""
    model = torch.nn.Linear(3, 2)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr_scale": 0.5}]
    optimizer = SGD(groups, lr=0.4)
    own = scheduler(optimizer, schedules.Linear(0.4, 0.0, 4))
    own.step()
    assert own.get_last_lr() == pytest.approx([0.3, 0.15])
    optimizer = torch.optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.1}], lr=0.4)
    with pytest.raises(SettingsError, match=r"different lr \(0.1, 0.4\).*Give a list"):
        scheduler(optimizer, schedules.Linear(0.4, 0.0, 4))
    own = scheduler(optimizer, [schedules.Linear(0.4, 0.0, 4), None])
    own.step()
    assert own.get_last_lr() == pytest.approx([0.3, 0.1])
    with pytest.raises(SettingsError, match="1 schedules, and the optimizer 2 groups"):
        scheduler(optimizer, [schedules.Linear(0.4, 0.0, 4)])
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))]})
    with pytest.raises(SettingsError, match="3 groups now, and had 2"):
        own.step()
    idle = scheduler(optimizer)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.7})
    idle.step()
    assert idle.get_last_lr() == pytest.approx([0.3, 0.1, 0.4, 0.7])


def test_an_lr_in_a_tensor_stays_that_tensor():
    """As capturable and compiled optimizers have it."""
    lr = torch.tensor(0.4)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=lr)
    own = scheduler(optimizer, schedules.Linear(0.5, 0.0, 4))
    own.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.375


@pytest.mark.parametrize("decay", ["relative", "corrected"])
def test_decay_knows_what_a_warmup_goes_to(decay):
    """Ways of weight decay that divide by the first or the largest lr take those of the schedule, as if held."""
    schedule = schedules.Warmup(3, schedules.Cosine(0.4, 0.0, 9))
    model, optimizer = model_and(SGD, decay=decay)
    train(model, optimizer, scheduler(optimizer, schedule), 6)
    other, holding = model_and(SGD, lr=schedule, decay=decay)
    train(other, holding, scheduler(holding), 6)
    assert torch.equal(model.weight, other.weight)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (0.1, "one of downslope.schedules"),
        (lambda step: 0.1, "one of downslope.schedules"),
        (schedules.Linear(0.4, 0.0, 4, unit="epoch"), r"in epochs.*\.in_steps\(1\)"),
    ],
)
def test_what_is_no_schedule_in_steps(schedule, message):
    """Numbers, functions and schedules in epochs."""
    with pytest.raises(SettingsError, match=message):
        scheduler(model_and(SGD)[1], schedule)


def test_no_two_hands_on_one_number():
    """The optimizer's schedule and another."""
    optimizer = model_and(SGD, lr=schedules.Linear(0.4, 0.0, 4))[1]
    with pytest.raises(SettingsError, match="within the optimizer"):
        scheduler(optimizer, schedules.Linear(0.4, 0.0, 4))


@pytest.mark.parametrize("state", [{}, {"last_epoch": -1}, {"last_epoch": True}, None, []])
def test_what_is_no_state(state):
    """Refused with what it should have."""
    with pytest.raises(StateError, match="last_epoch"):
        scheduler(model_and(SGD)[1]).load_state_dict(state)


def test_another_schedule_on_resuming_is_said():
    """The state of a torch scheduler is taken as well."""
    optimizer = model_and(torch.optim.SGD)[1]
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(3):
        optimizer.step()
        theirs.step()
    same = scheduler(model_and(SGD)[1], schedules.Exponential(0.4, 0.5, 2, staircase=True))
    same.load_state_dict(theirs.state_dict())
    assert same.get_last_lr() == theirs.get_last_lr() == [0.2]
    other = scheduler(model_and(SGD)[1], schedules.Constant(0.3))
    with pytest.warns(UserWarning, match=r"saved with lr \[0.2\] at step 3, where this schedule says \[0.3\]"):
        other.load_state_dict(theirs.state_dict())


def test_what_is_no_optimizer():
    """Refused with what it should have."""
    with pytest.raises(SettingsError, match="param_groups"):
        scheduler(torch.nn.Linear(1, 1))


def test_wrapped_optimizers():
    """Trainers wrap an optimizer as `optimizer`; skips are found in it."""

    class Wrapper:
        def __init__(self, optimizer):
            self.optimizer = optimizer

        @property
        def param_groups(self):
            return self.optimizer.param_groups

    model, optimizer = model_and(SGD, on_nonfinite="skip")
    own = scheduler(Wrapper(Wrapper(optimizer)), schedules.Linear(0.4, 0.0, 4))
    model(torch.full((4, 3), torch.inf)).sum().backward()
    optimizer.step()
    own.step()
    assert own.last_epoch == 0
    assert isinstance(downslope.torch.scheduler(optimizer), LRScheduler)


def test_last_epoch_is_the_last_step_done():
    """As torch's schedulers and skorch count."""
    schedule = schedules.Linear(0.4, 0.0, 4)
    assert scheduler(model_and(SGD)[1], schedule, last_epoch=0).get_last_lr() == pytest.approx([0.3])
    own = scheduler(model_and(torch.optim.SGD)[1], schedule, 2)
    assert own.last_epoch == 3
    assert own.get_last_lr() == own.get_lr() == pytest.approx([0.1])
    with pytest.raises(SettingsError, match="`last_epoch` must be an integer >= -1"):
        scheduler(model_and(SGD)[1], schedule, last_epoch=-2)


def test_get_lr_is_that_of_last_epoch_whoever_moved_it():
    """ignite's wrapper of torch's schedulers counts by itself."""
    own = scheduler(model_and(SGD)[1], schedules.Linear(0.4, 0.0, 4))
    own.last_epoch += 2
    assert own.get_lr() == pytest.approx([0.2])
    assert own.get_last_lr() == [0.4]
