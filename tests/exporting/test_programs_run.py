"""Exported programs are run: every recipe, in every target that can express it, goes the way of the rule."""

from dataclasses import replace

import pytest

from downslope import export
from downslope.core.errors import ExportError
from downslope.core.schedules.schedule import Schedule
from exporting.exported_cases import CASES, FORMS, SCHEDULES
from exporting.problem import largest_difference, trajectory
from exporting.running import keras_precision, program, run_keras, run_optax, run_torch

pytestmark = pytest.mark.slow

WITHIN = 1e-6
REFUSED = {
    "torch": set(),
    "downslope": set(),
    "optax": {"dampened Nesterov", "quasi-hyperbolic", "quasi-hyperbolic of the paper"},
    "keras": {
        *("a group of its own lr", "groups of numbers", "a group of its own schedule", "momentum scheduled"),
        *("weight decay scheduled", "decoupled decay scheduled"),
    },
}
REFUSED["tensorflow"] = REFUSED["keras"]


def expressible(target):
    """Return the cases that a target expresses."""
    return [case for case in CASES if case.name not in REFUSED[target]]


@pytest.mark.parametrize("case", expressible("torch"), ids=str)
def test_torch_goes_the_way_of_the_rule(case):
    """PyTorch, by the program's own loop and scheduler; its clipping divides by the norm + 1e-6."""
    expected = trajectory(case.recipe, case.steps, case.steps_per_epoch, clip_epsilon=1e-6)
    assert largest_difference(run_torch(case), expected) < WITHIN


@pytest.mark.parametrize("case", [*expressible("downslope")[::3], *FORMS], ids=str)
def test_downslope_goes_the_way_of_the_rule(case):
    """Downslope's own optimizer, whose schedules need no scheduler."""
    expected = trajectory(case.recipe, case.steps, case.steps_per_epoch)
    assert largest_difference(run_torch(case, "downslope"), expected) < WITHIN


@pytest.mark.parametrize("case", [case for case in expressible("optax") if case not in SCHEDULES], ids=str)
def test_optax_goes_the_way_of_the_rule(case):
    """optax, by the program's own step under jit; schedules alone are in `test_exported_schedules.py`."""
    expected = trajectory(case.recipe, case.steps, case.steps_per_epoch)
    assert largest_difference(run_optax(case), expected) < WITHIN


TRAINED_IN_KERAS = [
    *("digits", "digits-keras-l2", "digits-nesterov-decoupled", "digits-cosine-warmup", "founding question"),
    *("founding question 2", "Wide ResNet", "Goyal et al.", "Sutskever's seq2seq", "Caffe solver", "a Chinese course"),
    *("dampened", "dampened decoupled", "dampened Nesterov", "decoupled inside", "decoupled, no biases"),
    *("independent inside Nesterov", "corrected", "relative", "inside Nesterov", "clipped, coupled, no biases"),
    *("clipped, decoupled", "maximized", "two strengths"),
]
"""Keras traces each program anew, which takes a second: these have every part of its programs."""


@pytest.mark.parametrize("case", [case for case in CASES if case.name in TRAINED_IN_KERAS], ids=str)
def test_keras_goes_the_way_of_the_rule(case):
    """Keras, by the compiled model."""
    expected = trajectory(case.recipe, case.steps, case.steps_per_epoch)
    assert largest_difference(run_keras(case, "keras"), expected) < WITHIN


@pytest.mark.parametrize("case", [case for case in CASES if case.name in TRAINED_IN_KERAS[::4]], ids=str)
def test_tensorflow_goes_the_way_of_the_rule(case):
    """TensorFlow, by the program's own training step under tf.function."""
    expected = trajectory(case.recipe, case.steps, case.steps_per_epoch)
    assert largest_difference(run_keras(case, "tensorflow"), expected) < WITHIN


@pytest.mark.parametrize("target", ["keras", "tensorflow"])
def test_learning_rates_in_keras_are_the_schedules(target):
    """Every recipe that Keras can express: its learning rate is the schedule's, in the float32 that Keras has it in.

    What is one of Keras's own with the same numbers in both targets is asked once.
    """
    with keras_precision("float64"):
        for case in expressible(target):
            lr = case.recipe.sgd.in_steps(case.steps_per_epoch).lr
            if not isinstance(lr, Schedule) or case.recipe.sgd.dampening:
                continue
            learning_rate = program(case, target).learning_rate
            if target == "tensorflow":
                other = program(case, "keras").learning_rate
                is_keras_own = type(learning_rate).__module__.startswith("keras.")
                if (
                    is_keras_own
                    and type(other) is type(learning_rate)
                    and other.get_config() == learning_rate.get_config()
                ):
                    continue
            for step in range(0, case.steps, 1 if case.steps < 100 else 7):
                assert float(learning_rate(step)) == pytest.approx(lr(step), rel=2e-7, abs=1e-7), (case.name, step)


def test_torch_reduces_lr_on_a_plateau_when_the_recipe_does():
    """Patience 6 without improvement is PyTorch's patience 5: lr falls after the same evaluation."""
    case = next(case for case in CASES if case.name == "digits-plateau-early-stop")
    case = replace(case, steps=20, steps_per_epoch=1)
    losses = iter([1.0, *[0.9] * 30])  # better once, then no more: evaluation 8 is the sixth without improvement
    factors = [1.0] * 8 + [0.1] * 6 + [0.01] * 6
    expected = trajectory(case.recipe, case.steps, 1, lr_factors=factors)
    assert largest_difference(run_torch(case, evaluate=lambda model: next(losses)), expected) < WITHIN


@pytest.mark.parametrize(("target", "name"), [(t, name) for t, names in REFUSED.items() for name in sorted(names)])
def test_what_a_target_cannot_express_is_refused(target, name):
    """Each case that is left out above is refused, and told what to do instead."""
    case = next(case for case in CASES if case.name == name)
    with pytest.raises(ExportError, match="export to|Export to"):
        export(case.recipe, to=target, steps_per_epoch=case.steps_per_epoch)
