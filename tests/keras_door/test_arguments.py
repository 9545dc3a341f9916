"""Arguments of the Keras door, under whichever backend this process has: defaults, names, and every refusal."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from keras import ops

from downslope import Group, Settings, schedules
from downslope.core.errors import GroupError, SettingsError
from downslope.core.tensor_factors import NAMES
from downslope.keras import SGD, Scheduled

ExponentialDecay = keras.optimizers.schedules.ExponentialDecay


def test_positional_arguments_are_those_of_keras():
    """Names, order and defaults of keras.optimizers.SGD come first; what is ours is by name only."""
    theirs = {
        name: p.default
        for name, p in inspect.signature(keras.optimizers.SGD.__init__).parameters.items()
        if p.kind is p.POSITIONAL_OR_KEYWORD
    }
    ours = inspect.signature(SGD.__init__).parameters
    first = {name: p.default for name, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(first) == list(theirs)
    # ours of learning_rate is a mark, to notice `lr` beside it; older Keras has "SGD" for a name, which says the same
    assert first | {"learning_rate": 0.01, "name": theirs["name"]} == theirs
    assert float(ops.convert_to_numpy(SGD().learning_rate)) == np.float32(0.01)
    settings = set(Settings.__dataclass_fields__) - set(first) - set(NAMES)  # factors of a tensor are not in Keras
    assert {name for name, p in ours.items() if p.kind is p.KEYWORD_ONLY} > settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.1, "lr": 0.1}, "two names of one argument"),
        ({"learning_rate": -0.1}, "`learning_rate` must be finite and >= 0; got -0.1"),
        ({"lr": "high"}, "`lr` must be a number or a schedule"),
        ({"lr": None}, "`lr` must be a number or a schedule; got None"),
        ({"learning_rate": None}, "`learning_rate` must be a number or a schedule; got None"),
        ({"momentum": None}, "`momentum` must be a number or a schedule; got None"),
        ({"groups": None}, "`groups` must be a list of downslope.Group; got None"),
        ({"momentum": 1.0}, r"`momentum` must be in \[0, 1\); got 1.0"),
        ({"nesterov": True}, "`nesterov` needs momentum"),
        ({"dampening": 0.1}, "`dampening` needs momentum"),
        ({"weight_decay": -1.0}, "`weight_decay` must be finite"),
        ({"decay": "couple"}, "Did you mean `coupled`"),
        ({"decay": 1e-6}, r"Inverse\(initial, gamma=1e-06\)"),
        ({"settings": Settings(), "momentum": 0.9}, "`settings` already holds all hyperparameters.*`momentum`"),
        ({"settings": Settings(), "learning_rate": 0.01}, "do not also pass `learning_rate`"),
        ({"settings": {"lr": 0.1}}, "`settings` must be a Settings; got a dict"),
        ({"learning_rate": schedules.Cosine(0.1, 0.0, 10, unit="epoch")}, "in_steps"),
        (
            {"learning_rate": ExponentialDecay(0.1, 10, 0.5), "weight_decay": 0.1, "decay": "relative"},
            "initial learning rate, which ExponentialDecay does not state",
        ),
        ({"groups": [{"match": "*", "weight_deacy": 0.0}]}, "weight_deacy.*Did you mean `weight_decay`"),
        ({"groups": [Group(match="*", ema=0.9)]}, "`ema` of a group is not for Keras, which averages all variables"),
        ({"groups": [{"match": "*", "ema": 0}]}, "use_ema=True, ema_momentum=0.99"),
        ({"groups": ["*"]}, "`groups` must be a list of downslope.Group; got '*'"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "Only one of"),
    ],
)
def test_refusals(arguments, message):
    """What is not allowed is refused when the optimizer is made, with what to do."""
    with pytest.raises(ValueError, match=message):
        SGD(**arguments)


def test_fixed_hyperparameters_are_read_and_not_written():
    """A compiled step would not see them change, so assigning is an error, before and after build."""
    optimizer = SGD(0.1, momentum=0.9, weight_decay=0.1, decay="coupled")
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.9, False, 0.1)
    assert (optimizer.decay, optimizer.dampening, optimizer.lr_in_velocity, optimizer.maximize) == (
        "coupled",
        0,
        True,
        False,
    )
    assert SGD().weight_decay is None
    for name in ("momentum", "nesterov", "weight_decay", "decay", "maximize"):
        with pytest.raises(SettingsError, match=f"`{name}` is fixed"):
            setattr(optimizer, name, 0.5)
    assert optimizer.momentum == 0.9


def test_learning_rate_assignment_is_checked():
    """Numbers replace numbers; a schedule may come before build; nothing is half assigned."""
    optimizer = SGD(0.1)
    with pytest.raises(SettingsError, match="`learning_rate` must be finite and >= 0; got -1.0"):
        optimizer.learning_rate = -1.0
    with pytest.raises(SettingsError, match="`learning_rate` must be a number"):
        optimizer.learning_rate = "low"
    optimizer.learning_rate = np.float32(0.5)
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == 0.5
    optimizer.learning_rate = schedules.Linear(0.25, 0.0, 10)
    assert float(ops.convert_to_numpy(optimizer.learning_rate)) == 0.25
    assert [v.name for v in optimizer.variables] == ["iteration"]
    built = SGD(0.1)
    built.build([keras.Variable([1.0])])
    with pytest.raises(SettingsError, match="cannot become"):
        built.learning_rate = schedules.Linear(0.25, 0.0, 10)
    grouped = SGD(0.1, groups=[Group(match="*", lr=0.5)])
    with pytest.raises(SettingsError, match="has a learning rate of its own"):
        grouped.learning_rate = 0.2


def test_names_that_match_nothing_are_refused():
    """A group's pattern, or an excluded variable, that is no variable of the optimizer."""
    own = keras.Variable([1.0], name="kernel")
    with pytest.raises(GroupError, match="'bias' matches no parameter"):
        SGD(groups=[Group(match="bias", weight_decay=0.0)]).build([own])
    optimizer = SGD(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_list=[keras.Variable([1.0], name="kernel")])
    with pytest.raises(GroupError, match="'kernel', to be excluded from weight decay"):
        optimizer.build([own])
    built = SGD(weight_decay=0.1)
    built.build([own])
    with pytest.raises(GroupError, match="no variable of this optimizer"):
        built.exclude_from_weight_decay(var_list=[keras.Variable([1.0], name="bias")])
    with pytest.raises(SettingsError, match="must be a list of strings"):
        built.exclude_from_weight_decay(var_names="kernel")
    with pytest.raises(GroupError, match="must be regular expressions"):
        built.exclude_from_weight_decay(var_names=["("])


def test_a_pattern_that_excludes_nothing_is_refused():
    """When the optimizer is built, or at once where it is; what was excluded before then stays so."""
    own = [keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")]
    optimizer = SGD(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gama"])
    with pytest.raises(GroupError, match=r"the pattern 'gama' of `var_names`.* is found in no variable.*kernel, bias"):
        optimizer.build(own)
    optimizer = SGD(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(own)
    with pytest.raises(GroupError, match="the pattern 'beta'"):
        optimizer.exclude_from_weight_decay(var_names=["beta"])
    optimizer.apply([ops.zeros((1,)), ops.zeros((1,))])
    assert float(ops.convert_to_numpy(own[1])[0]) == 1.0
    assert float(ops.convert_to_numpy(own[0])[0]) < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learn_rate": 0.1}, "unknown argument `learn_rate`. Here it is called `lr`"),
        ({"wd": 0.1}, "unknown argument `wd`. Here it is called `weight_decay`"),
        ({"momentun": 0.9}, "unknown argument `momentun`. Did you mean `momentum`"),
        ({"use_nesterov": True, "momentum": 0.9}, "unknown argument `use_nesterov`. Here it is called `nesterov`"),
        ({"clip_norm": 1.0}, "`clip_norm`. What it is elsewhere is `global_clipnorm` in Keras, whose `clipnorm` is of"),
        ({"max_grad_norm": 1.0}, "`max_grad_norm`. What it is elsewhere is `global_clipnorm`"),
        ({"ema": 0.9}, "`ema`. Averages are Keras's: use_ema=True"),
        ({"velocity_dtype": "int8"}, "`velocity_dtype`. In Keras a velocity has the format of its variable"),
        ({"trust_coefficient": 0.001}, "`trust_coefficient`. Keras's step sees one variable's scalars"),
        ({"exclude_from_weight_decay": ["bias"]}, "`exclude_from_weight_decay`. It is a method"),
        ({"steps_per_epoch": 10}, r"`steps_per_epoch`. A schedule in epochs is resolved first, with .in_steps\("),
    ],
)
def test_words_of_others_are_translated(arguments, message):
    """In one of our errors, which is a TypeError too."""
    with pytest.raises(SettingsError, match=message) as caught:
        SGD(**arguments)
    assert isinstance(caught.value, TypeError)


def test_a_schedule_of_keras_needs_no_wrapping():
    """`Scheduled` is for ours."""
    with pytest.raises(SettingsError, match="must be one of downslope.schedules"):
        Scheduled(ExponentialDecay(0.1, 10, 0.5))


def test_without_keras_the_message_says_what_to_install():
    """Where Keras is missing, importing the door says how to get it; the rest of the package works."""
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "import downslope\n"
        "downslope.Settings()\n"
        "try:\n    downslope.keras\n"
        "except downslope.core.errors.MissingDependencyError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "downslope[keras]"' in done.stdout
