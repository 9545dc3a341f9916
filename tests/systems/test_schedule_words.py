"""What a schedule is called elsewhere: the words, taken as code, are that schedule."""

import re

import pytest

from downslope.schedules import (
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Warmup,
)
from downslope.systems.schedules import say_schedule

STEPS = 45
SCHEDULES = [
    Exponential(0.5, 0.5, 7, staircase=True),
    Exponential(0.5, 0.5, 7),
    MultiStep(0.5, 0.1, (3, 20)),
    Linear(0.5, 0.1, 30),
    Polynomial(0.5, 0.0, 30, power=2.0),
    Polynomial(0.5, 0.1, 30, power=2.0),
    Cosine(0.5, 0.05, 30),
    Inverse(0.5, 0.01),
]
WITH_AN_END = [
    Exponential(0.5, 0.5, 7, end=0.1),
    Exponential(0.1, 1.5, 7, end=0.4),
    Exponential(-0.5, 0.5, 7, end=-0.1),
]
WITHOUT_WORDS = [OneCycle(0.5, 30), Warmup(5, Cosine(0.5, 0.0, 30)), Exponential(0.5, 0.5, 7, end=0.1)]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_keras_words(schedule):
    """keras.optimizers.schedules.X(...) has the same values, in float32."""
    import keras

    code = say_schedule(schedule, "keras").split(";")[0]
    theirs = eval(code, {"keras": keras})  # noqa: S307 -- the words under test
    for step in range(STEPS):
        assert float(theirs(step)) == pytest.approx(schedule(step), rel=2e-6, abs=1e-8)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_torch_words(schedule):
    """The scheduler named, stepped once after each step, has the same values, as far as the words say."""
    import torch
    from torch.optim import lr_scheduler

    words = say_schedule(schedule, "torch")
    match = re.match(r"(?:lr=(\S+) and )?(\w+\(.*?\))(?:;|$| with lr=1)", words)
    lr = 1.0 if match.group(1) is None else float(match.group(1))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    known = {**vars(lr_scheduler), "optimizer": optimizer, "schedule": schedule}
    scheduler = eval(match.group(2), known)  # noqa: S307 -- the words under test
    for step in range(31 if "no further than" in words else STEPS):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(schedule(step), rel=1e-9, abs=1e-12)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", [*SCHEDULES, *WITH_AN_END], ids=repr)
def test_optax_words(schedule):
    """Where optax has a schedule of that form, it is the same."""
    import optax

    words = say_schedule(schedule, "optax")
    assert words.startswith("the schedule itself is a function of the step, which optax takes as it is")
    if code := re.search(r"; (optax\..*) is the same", words):
        theirs = eval(code.group(1), {"optax": optax})  # noqa: S307 -- the words under test
        for step in range(STEPS):
            assert float(theirs(step)) == pytest.approx(schedule(step), rel=2e-6, abs=1e-8)


def test_optax_words_say_the_end():
    """An exponential that stops at a value is optax's with that `end_value`."""
    words = [say_schedule(schedule, "optax") for schedule in WITH_AN_END]
    assert ["end_value=" in one for one in words] == [True, True, False]
    assert "exponential_decay" not in words[2]


@pytest.mark.parametrize("schedule", WITHOUT_WORDS, ids=repr)
def test_what_has_no_word_is_said_to_have_none(schedule):
    """Keras then needs a class of one's own, torch's LambdaLR takes ours, and others are told step by step."""
    assert "Keras has no such schedule" in say_schedule(schedule, "keras")
    assert "LambdaLR(optimizer, schedule)" in say_schedule(schedule, "torch")
    assert "before each step to schedule(step)" in say_schedule(schedule, "mlx")


def test_epochs_are_said():
    """torch's staircase may be stepped by epochs; smooth schedules of ours change within an epoch, torch's do not."""
    staircase = Exponential(0.5, 0.1, 30, unit="epoch", staircase=True)
    assert "once an epoch" in say_schedule(staircase, "torch")
    assert "in_steps(steps_per_epoch)" in say_schedule(Cosine(0.5, 0.0, 30, unit="epoch"), "torch")
    assert "in epochs; resolve it first" in say_schedule(staircase, "keras")
