"""What a schedule is called elsewhere: the words, taken as code, are that schedule."""

import re

import pytest

from downslope.core.errors import SettingsError
from downslope.schedules import (
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
)
from downslope.systems.schedules import keras_lr, say_schedule, write_caffe_policy

STEPS = 45
SCHEDULES = [
    Exponential(0.5, 0.5, 7, staircase=True),
    Exponential(0.5, 0.5, 7),
    MultiStep(0.5, 0.1, (3, 20)),
    MultiStep(0.5, 0.1, (2.4, 20.5)),
    MultiStep(0.5, 0.1, (2.4, 2.6)),
    Linear(0.5, 0.1, 30),
    Linear(0.5, 0.1, 30.5),
    Polynomial(0.5, 0.0, 30.5),
    Polynomial(0.5, 0.0, 30, power=0.9),
    Polynomial(0.5, 0.0, 30, power=2.0),
    Polynomial(0.5, 0.1, 30, power=2.0),
    Cosine(0.5, 0.05, 30),
    Inverse(0.5, 0.01),
    Sequence([0.5, 0.1, 0.3], [3, 20.5]),
    Warmup(5, Cosine(0.5, 0.05, 30), start=0.1),
]
WITH_AN_END = [
    Exponential(0.5, 0.5, 7, end=0.1),
    Exponential(0.1, 1.5, 7, end=0.4),
    Exponential(-0.5, 0.5, 7, end=-0.1),
]
WITHOUT_WORDS = [OneCycle(0.5, 30), Warmup(5, Linear(0.5, 0.0, 30)), Exponential(0.5, 0.5, 7, end=0.1)]
KERAS_CONFIGURATIONS = [
    {"class_name": name, "config": config}
    for name, config in (
        ("ExponentialDecay", {"initial_learning_rate": 0.5, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
        ("PiecewiseConstantDecay", {"boundaries": [3, 20], "values": [0.5, 0.1, 0.3]}),
        ("PolynomialDecay", {"initial_learning_rate": 0.5, "decay_steps": 30, "end_learning_rate": 0.1, "power": 2.0}),
        ("InverseTimeDecay", {"initial_learning_rate": 0.5, "decay_steps": 1, "decay_rate": 0.01}),
        ("CosineDecay", {"initial_learning_rate": 0.5, "decay_steps": 30, "alpha": 0.1}),
        (
            "CosineDecay",
            {"initial_learning_rate": 0.0, "decay_steps": 30, "alpha": 0.5, "warmup_target": 0.5, "warmup_steps": 5},
        ),
    )
]


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


def test_a_milestone_within_a_step_is_the_next_whole_one():
    """Ours at 938.4 falls at step 939: Keras switches after 938, torch and optax at 939, Caffe's are whole numbers."""
    schedule = MultiStep(0.5, 0.1, (938.4,))
    assert (schedule(938), schedule(939)) == (0.5, 0.05)
    assert "PiecewiseConstantDecay([938], " in say_schedule(schedule, "keras")
    assert "MultiStepLR(optimizer, [939], " in say_schedule(schedule, "torch")
    assert "piecewise_constant_schedule(0.5, {939: 0.1})" in say_schedule(schedule, "optax")
    assert write_caffe_policy({"lr": schedule})["stepvalue"] == [939]


def test_two_milestones_in_one_step():
    """At 2.4 and 2.6 lr falls twice at step 3: optax's and Caffe's tables fall once a step."""
    schedule = MultiStep(0.5, 0.1, (2.4, 2.6))
    assert "piecewise_constant_schedule" not in say_schedule(schedule, "optax")
    with pytest.raises(SettingsError, match="caffe cannot express"):
        write_caffe_policy({"lr": schedule})


def test_a_boundary_of_keras_within_a_step_is_read():
    """Keras's lr is the second value at the first whole step after 2.4, which is 3."""
    import keras

    theirs = keras.optimizers.schedules.PiecewiseConstantDecay([2.4], [0.5, 0.25])
    ours = keras_lr(theirs)
    assert [float(theirs(step)) for step in (2, 3)] == [ours(2), ours(3)] == [0.5, 0.25]


@pytest.mark.parametrize("config", KERAS_CONFIGURATIONS, ids=lambda config: config["class_name"])
def test_what_is_read_from_keras_is_said_in_its_words(config):
    """Every schedule that Keras's configurations can mean here has words in Keras: the same class, the same numbers."""
    import keras

    schedule = keras_lr(config)
    words = say_schedule(schedule, "keras").split(";")[0]
    assert words.startswith(f"keras.optimizers.schedules.{config['class_name']}(")
    assert keras_lr(eval(words, {"keras": keras})) == schedule  # noqa: S307 -- the words under test


def test_levels_are_said_as_a_person_writes_them():
    """0.1 divided by 10 twice is 0.001, not 0.1 * 0.1**2 in floats."""
    assert "[0.1, 0.01, 0.001]" in say_schedule(MultiStep(0.1, 0.1, (3, 20)), "keras")


def test_what_keras_rounds_is_said():
    """Of 41 steps, 0.9 as a power: the class is named with what its compiled division does; else nothing is said."""
    assert "one step late for many" in say_schedule(Exponential(0.5, 0.5, 41, staircase=True), "keras")
    assert "one step late" not in say_schedule(Exponential(0.5, 0.5, 41), "keras")
    assert "may be NaN" in say_schedule(Polynomial(0.5, 0.0, 40, power=0.9), "keras")
    assert "NaN" not in say_schedule(Polynomial(0.5, 0.0, 40, power=2.0), "keras")


def test_a_milestone_within_an_epoch_is_at_none_of_its_ends():
    """torch's [2.4] would be compared for equality with whole epochs."""
    assert "LambdaLR" in say_schedule(MultiStep(0.5, 0.1, (2.4,), unit="epoch"), "torch")
    assert "MultiStepLR(optimizer, [2], " in say_schedule(MultiStep(0.5, 0.1, (2,), unit="epoch"), "torch")


def test_epochs_are_said():
    """torch's staircase may be stepped by epochs; smooth schedules of ours change within an epoch, torch's do not."""
    staircase = Exponential(0.5, 0.1, 30, unit="epoch", staircase=True)
    assert "once an epoch" in say_schedule(staircase, "torch")
    assert "in_steps(steps_per_epoch)" in say_schedule(Cosine(0.5, 0.0, 30, unit="epoch"), "torch")
    assert "in epochs; resolve it first" in say_schedule(staircase, "keras")
