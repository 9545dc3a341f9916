"""Configurations, `.keras` and `.weights.h5` files: what is saved is what is loaded, or an error."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from backend_models import build, compiled, fit, gap, tensor, variable
from keras import ops

from downslope import Group, Settings, schedules
from downslope.core.errors import StateError
from downslope.keras import SGD

FULL = Settings(
    lr=schedules.Warmup(3, schedules.Exponential(0.1, 0.5, 4, staircase=True)),
    momentum=schedules.Linear(0.5, 0.9, 10),
    dampening=0.1,
    weight_decay=schedules.Cosine(0.1, 0.0, 10),
    decay="relative",
)
GROUPS = (Group(match="*/bias", weight_decay=0.0), Group(match=("last/*", "*norm*"), lr=0.05, nesterov=True))
FACTORS = (Group(match="*/bias", lr_factor=2.0), Group(match="last/*", lr_factor=0.5, weight_decay=0.0))


def all_of(optimizer):
    """Return all that the optimizer is told, learning rate aside."""
    return optimizer._held.settings, optimizer.groups, optimizer.gradient_accumulation_steps, optimizer.clipnorm


@pytest.mark.parametrize(
    "make",
    [
        SGD,
        lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, clipnorm=1.0, name="mine"),
        lambda: SGD(0.1, weight_decay=0.1, decay="corrected", gradient_accumulation_steps=4, maximize=True),
        lambda: SGD(settings=FULL, groups=GROUPS),
        lambda: SGD(settings=FULL, groups=FACTORS),
        lambda: SGD(0.1, momentum=0.9, groups=FACTORS),
        lambda: SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), momentum=0.5),
    ],
    ids=["defaults", "keras", "ours", "settings-and-groups", "factors-of-schedule", "factors", "keras-schedule"],
)
def test_configuration_round_trip(make):
    """get_config and from_config, serialize and deserialize, and keras.optimizers.get give the same optimizer."""
    optimizer = make()
    optimizer.exclude_from_weight_decay(var_names=["gamma"])
    config = optimizer.get_config()
    assert json.loads(json.dumps(config)) == config
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(optimizer)))
    copies = [
        SGD.from_config(json.loads(json.dumps(config))),
        keras.saving.deserialize_keras_object(json.loads(json.dumps(serialized))),
        keras.optimizers.deserialize(json.loads(json.dumps(serialized))),
        keras.optimizers.get(json.loads(json.dumps(serialized))),
    ]
    for copy in copies:
        assert type(copy) is SGD
        assert copy.get_config() == config
        assert all_of(copy) == all_of(optimizer)
        assert copy._held.exclusion.patterns == ("gamma",)


def test_relative_decay_remembers_its_first_learning_rate():
    """After lr was assigned, a copy still divides by the initial one."""
    optimizer = SGD(0.5, weight_decay=0.5, decay="relative")
    optimizer.learning_rate = 0.25
    copy = SGD.from_config(optimizer.get_config())
    for each in (optimizer, copy):
        own = variable([1.0])
        each.apply([tensor([0.0])], [own])
        assert ops.convert_to_numpy(own).tolist() == [1 - 0.25 / 0.5 * 0.5]


def test_the_number_given_is_the_number_saved():
    """0.1 does not come back as 0.10000000149011612, unless something assigned another number."""
    assert SGD(0.1).get_config()["learning_rate"] == 0.1
    optimizer = SGD(0.1)
    optimizer.learning_rate = 0.2
    assert optimizer.get_config()["learning_rate"] == float(np.float32(0.2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SGD(0.1, momentum=0.9, weight_decay=0.01),
        lambda: SGD(settings=FULL, groups=GROUPS),
        lambda: SGD(settings=FULL, groups=FACTORS),
    ],
    ids=["keras", "all", "factors"],
)
def test_a_saved_model_goes_on_bit_for_bit(make, tmp_path):
    """Two epochs, saved as .keras, loaded without custom_objects, one more: as the model that was kept goes on."""
    whole = fit(compiled(make()), epochs=2)
    whole.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    assert type(loaded.optimizer) is SGD
    assert int(loaded.optimizer.iterations) == int(whole.optimizer.iterations) == 8
    fit(loaded, epochs=1)
    fit(whole, epochs=1)
    assert int(whole.optimizer.iterations) == 12
    assert gap(loaded.weights, whole.weights) == 0.0
    assert gap(loaded.optimizer.variables, whole.optimizer.variables) == 0.0


def test_exclusions_are_saved_with_a_model(tmp_path):
    """What was excluded from weight decay, by variable or by name, is excluded in the loaded model too."""
    model = compiled(SGD(0.0, weight_decay=0.5, decay="independent"))
    model.optimizer.exclude_from_weight_decay(var_list=[model.get_layer("first").kernel], var_names=["bias", "norm"])
    model.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    before = ops.convert_to_numpy(loaded.get_layer("first").kernel).copy()
    fit(loaded, epochs=1, batch_size=64)
    assert np.array_equal(ops.convert_to_numpy(loaded.get_layer("first").kernel), before)
    last = [ops.convert_to_numpy(each.get_layer("last").kernel) for each in (model, loaded)]
    assert np.array_equal(last[1], last[0] / 2)


def test_weights_file_is_taken_up_by_an_optimizer_not_built_yet(tmp_path):
    """compile, load_weights, fit: the momentum waits until the optimizer knows its variables, then goes on."""
    make = lambda: SGD(0.1, momentum=0.9)  # noqa: E731 - an optimizer for each
    whole = fit(compiled(make()), epochs=1)
    whole.save_weights(tmp_path / "half.weights.h5")
    other = compiled(make())
    other.load_weights(tmp_path / "half.weights.h5")
    fit(other, epochs=1)
    fit(whole, epochs=1)
    assert int(whole.optimizer.iterations) == 8
    assert gap(other.weights, whole.weights) == 0.0
    assert gap(other.optimizer.variables, whole.optimizer.variables) == 0.0


def test_a_model_saved_before_training_is_loaded(tmp_path):
    """An optimizer that had not seen its variables has no momentum to lose."""
    compiled(SGD(0.1, momentum=0.9)).save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert loaded.optimizer.built
    assert int(loaded.optimizer.iterations) == 0


def test_keras_own_state_is_ours(tmp_path):
    """What keras.optimizers.SGD saved is loaded here and goes on as there, and the other way round."""
    rng = np.random.default_rng(0)
    grads = [tensor(rng.normal(size=3)) for _ in range(6)]
    ended = []
    for kinds in ((SGD, SGD), (SGD, keras.optimizers.SGD), (keras.optimizers.SGD, SGD)):
        own = variable(np.ones(3))
        first, second = (kind(0.1, momentum=0.9, nesterov=True) for kind in kinds)
        for grad in grads[:3]:
            first.apply([grad], [own])
        second.build([own])
        second.set_weights([ops.convert_to_numpy(v) for v in first.variables])
        for grad in grads[3:]:
            second.apply([grad], [own])
        ended.append(own)
    assert gap(ended[:1], ended[1:2]) < 1e-6
    assert gap(ended[:1], ended[2:]) < 1e-6


def test_too_few_or_misshapen_variables_are_refused():
    """Keras takes too few without a word; here nothing is written, and the message lists what is wrong."""
    own = [variable(np.ones((2, 3)), "kernel"), variable(np.ones(3), "bias")]
    optimizer = SGD(0.1, momentum=0.9)
    with pytest.raises(StateError, match="not built"):
        optimizer.set_weights([])
    optimizer.apply([tensor(np.ones((2, 3))), tensor(np.ones(3))], own)
    good = [ops.convert_to_numpy(v).copy() for v in optimizer.variables]
    for bad, message in (
        (good[:3], "has 3 variables, the optimizer 4"),
        ([*good, good[-1]], "has 5 variables, the optimizer 4"),
        ([*good[:2], good[2].T, np.ones(4)], r"kernel_momentum. has shape \(2, 3\), saved is \(3, 2\); .bias_momentum"),
    ):
        with pytest.raises(StateError, match=message):
            optimizer.set_weights([7 + array for array in bad])
        with pytest.raises(StateError, match=message):
            optimizer.load_own_variables({str(i): 7 + array for i, array in enumerate(bad)})
        assert all(np.array_equal(a, ops.convert_to_numpy(b)) for a, b in zip(good, optimizer.variables, strict=True))
    for bad, message in (
        ([np.int64(-5), *good[1:]], "`iteration` counts steps, saved is -5"),
        ([np.float32("nan"), *good[1:]], "`iteration` counts steps, saved is nan"),
        ([np.array("x"), *good[1:]], "`iteration` is int"),
    ):
        with pytest.raises(StateError, match=message):
            optimizer.load_own_variables({str(i): array for i, array in enumerate(bad)})
        assert int(optimizer.iterations) == 1
    with pytest.raises(StateError, match="numbered from 0"):
        optimizer.load_own_variables({"0": good[0], "2": good[2]})
    optimizer.set_weights([2 * array for array in good])
    assert int(optimizer.iterations) == 2


def test_a_file_of_another_optimizer_is_refused(tmp_path):
    """Weights saved with momentum do not go silently into an optimizer without."""
    fit(compiled(SGD(0.1, momentum=0.9)), epochs=1).save_weights(tmp_path / "with.weights.h5")
    other = compiled(SGD(0.1), build())
    other.optimizer.build(other.trainable_variables)
    with pytest.raises(ValueError, match="has 8 variables, the optimizer 2"):
        other.load_weights(tmp_path / "with.weights.h5")
