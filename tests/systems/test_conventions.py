"""Conventions: arguments to settings and back, as the same rule; and refused where a system has no words."""

import subprocess
import sys

import pytest
from convention_settings import LR_SCHEDULES, STEPS, any_settings
from hypothesis import given, settings

from downslope import Settings, update_matrix
from downslope.core.equivalence import find_basis
from downslope.core.errors import SettingsError
from downslope.schedules import Cosine, Exponential, Inverse, MultiStep, Polynomial, Sequence, Warmup
from downslope.systems.table import CONVENTIONS, find_convention
from draws import draws

NAMES = list(CONVENTIONS)


def assert_same_rule(one, other):
    """Assert that two settings are one rule: one velocity scale at every step, and at first gradients."""
    scale = None
    for step in STEPS:
        for first in (True, False):
            found = find_basis(update_matrix(one, step, first=first), update_matrix(other, step, first=first), scale)
            assert not found.difference, (step, first, found.difference)
            if found.read:
                scale = found.scale


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=draws(120))
@given(chosen=any_settings())
def test_arguments_read_again_are_the_same_rule(name, chosen):
    """What a system can express comes back with the same update matrices, up to one scale of the velocity."""
    try:
        arguments = chosen.to_convention(name, batch_size=16)
    except SettingsError:
        return
    assert_same_rule(chosen, Settings.from_convention(name, **arguments))


@pytest.mark.parametrize("lr", LR_SCHEDULES, ids=repr)
@pytest.mark.parametrize("nesterov", [False, True])
def test_our_own_convention_expresses_everything(lr, nesterov):
    """The row of this package is the identity."""
    chosen = Settings(lr=lr, momentum=0.9, dampening=0.1, nesterov=nesterov, weight_decay=0.1, decay="independent")
    assert Settings.from_convention("downslope", **chosen.to_convention("downslope")) == chosen


COUPLED = Settings(lr=0.1, momentum=0.9, weight_decay=5e-4)
INSIDE = Settings(lr=0.1, momentum=0.9, weight_decay=5e-4, lr_in_velocity=True)
READ = [
    ("torch", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}, COUPLED),
    ("torch", {}, Settings(lr=1e-3)),
    ("torch", {"lr": 0.1, "dampening": 0.5}, Settings(lr=0.1)),  # torch ignores it without momentum
    ("pytorch", {"lr": 0.1, "foreach": True, "fused": None}, Settings(lr=0.1)),
    ("optax", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4}, COUPLED),
    ("optax", {"learning_rate": 0.1, "nesterov": True}, Settings(lr=0.1)),
    # their formula of Nesterov with momentum 0 is lr * gradient, and they run it
    ("keras", {"learning_rate": 0.1, "nesterov": True}, Settings(lr=0.1, lr_in_velocity=True)),
    ("tf1", {"learning_rate": 0.1, "momentum": 0.0, "use_nesterov": True}, Settings(lr=0.1)),
    ("caffe", {"base_lr": 0.1, "type": "Nesterov"}, Settings(lr=0.1, lr_in_velocity=True)),
    ("paddle", {"learning_rate": 0.1, "momentum": 0.0, "use_nesterov": True}, Settings(lr=0.1)),
    ("mindspore", {"learning_rate": 0.1, "momentum": 0.0, "use_nesterov": True}, Settings(lr=0.1)),
    ("tinygrad", {"lr": 0.1, "nesterov": True}, Settings(lr=0.1)),
    (
        "cntk",
        {"lr": 0.1, "momentum": 0.0, "nesterov": True, "batch_size": 1},
        Settings(lr=0.1, lr_in_velocity=True),
    ),
    (
        "optax",
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01, "decay_after_trace": True},
        Settings(lr=0.1, momentum=0.9, weight_decay=0.01, decay="decoupled"),
    ),
    ("keras", {"learning_rate": 0.1, "momentum": 0.9, "kernel_regularizer": 2.5e-4}, INSIDE),
    (
        "keras",
        {"lr": 0.1, "momentum": 0.9, "kernel_regularizer": {"class_name": "L2", "config": {"l2": 2.5e-4}}},
        INSIDE,
    ),
    (
        "keras",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.004, "clipnorm": None, "use_ema": False, "name": "SGD"},
        Settings(lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.004, decay="decoupled", lr_in_velocity=True),
    ),
    (
        "keras",  # the example of Keras 1's documentation
        {"lr": 0.01, "decay": 1e-6, "momentum": 0.9, "nesterov": True},
        Settings(lr=Inverse(0.01, 1e-6), momentum=0.9, nesterov=True, lr_in_velocity=True),
    ),
    ("tf1", {"learning_rate": 0.1, "momentum": 0.9, "l2_loss": 5e-4}, COUPLED),
    (
        "tfa",
        {"weight_decay": 1e-4, "learning_rate": 0.1, "momentum": 0.9},
        Settings(lr=0.1, momentum=0.9, weight_decay=1e-4, decay="independent", lr_in_velocity=True),
    ),
    ("timm", {"lr": 0.1, "weight_decay": 0.1}, Settings(lr=0.1, weight_decay=0.1, decay="decoupled")),
    (
        "timm",
        {"lr": 0.1, "weight_decay": 0.1, "corrected_weight_decay": True},
        Settings(lr=0.1, weight_decay=0.1, decay="corrected"),
    ),
    (
        "timm",
        {"opt": "sgd", "lr": 0.1, "weight_decay": 5e-4},
        Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    ),
    ("timm", {"opt": "momentum", "lr": 0.1, "weight_decay": 5e-4}, COUPLED),
    (
        "composer",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        Settings(lr=0.1, momentum=0.9, weight_decay=1e-4, decay="relative"),
    ),
    ("heavyball", {"lr": 0.1}, Settings(lr=0.1, momentum=0.9, decay="decoupled")),
    ("bitsandbytes", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}, COUPLED),
    (
        "apex",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "wd_after_momentum": True},
        Settings(lr=0.1, momentum=0.9, weight_decay=5e-4, decay="decoupled"),
    ),
    ("caffe", {"base_lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}, INSIDE),
    (
        "caffe",
        {"base_lr": 0.01, "lr_policy": "inv", "gamma": 1e-4, "power": 0.75, "momentum": 0.9, "type": "Nesterov"},
        Settings(lr=Inverse(0.01, 1e-4, 0.75), momentum=0.9, nesterov=True, lr_in_velocity=True),
    ),
    (
        "caffe",
        {"base_lr": 0.01, "lr_policy": "step", "gamma": 0.1, "stepsize": 100000},
        Settings(lr=Exponential(0.01, 0.1, 100000, staircase=True), lr_in_velocity=True),
    ),
    (
        "caffe",
        {"base_lr": 0.01, "lr_policy": "multistep", "gamma": 0.1, "stepvalue": [5, 9]},
        Settings(lr=MultiStep(0.01, 0.1, (5, 9)), lr_in_velocity=True),
    ),
    (
        "caffe",
        {"base_lr": 0.01, "lr_policy": "poly", "power": 0.5, "max_iter": 450000},
        Settings(lr=Polynomial(0.01, 0.0, 450000, power=0.5), lr_in_velocity=True),
    ),
    ("mxnet", {"learning_rate": 0.1, "momentum": 0.9, "wd": 5e-4, "rescale_grad": 1.0}, INSIDE),
    ("paddle", {"learning_rate": 0.1, "weight_decay": 5e-4}, COUPLED),
    ("mindspore", {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4}, COUPLED),
    (
        "cntk",  # unit gain is dampening equal to momentum, and lr is per sample: 0.1 / 64 * 64
        {"lr": 0.0015625, "momentum": 0.9, "l2_regularization_weight": 5e-4, "batch_size": 64},
        Settings(
            lr=0.1,
            momentum=0.9,
            dampening=0.9,
            weight_decay=5e-4,
            lr_in_velocity=True,
            undampened_first_step=False,
        ),
    ),
    (
        "cntk",
        {"lr": 0.1, "momentum": 0.9, "unit_gain": False, "batch_size": 1},
        Settings(lr=0.1, momentum=0.9, lr_in_velocity=True),
    ),
    (
        "mlx",
        {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.5},
        Settings(lr=0.1, momentum=0.9, dampening=0.5, undampened_first_step=False),
    ),
    ("tinygrad", {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "classic": True}, INSIDE),
    (
        "sklearn",  # alpha / batch_size = 1e-4 / 200
        {"batch_size": 200},
        Settings(lr=0.001, momentum=0.9, nesterov=True, weight_decay=5e-7, lr_in_velocity=True),
    ),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), READ, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(READ)])
def test_what_arguments_mean(name, arguments, expected):
    """Each system's arguments and defaults, as its documentation or source says, worked out by hand."""
    assert Settings.from_convention(name, **arguments) == expected


def test_cntks_nesterov_with_unit_gain_is_a_smaller_lr():
    """Unit gain dampens the look-ahead's gradient too: lr (1 - momentum) without dampening."""
    found = Settings.from_convention("cntk", lr=0.5, momentum=0.75, nesterov=True, batch_size=2)
    assert found == Settings(lr=0.25, momentum=0.75, nesterov=True, lr_in_velocity=True)


REFUSED = [
    ("kera", {}, "there is no convention 'kera'. Did you mean `keras`?"),
    ("keras", {"learningrate": 0.1}, "unknown argument `learningrate`. Did you mean `learning_rate`?"),
    ("torch", {"learning_rate": 0.1}, "unknown argument `learning_rate`"),
    ("keras", {"learning_rate": 0.1, "lr": 0.1}, "given twice"),
    ("keras", {"clipnorm": 1.0}, "clipnorm=1.0 is no part of the update rule"),
    ("keras", {"kernel_regularizer": "l1"}, "must be the l of L2"),
    ("keras", {"weight_decay": 0.1, "kernel_regularizer": 0.1}, "two ways of weight decay at once"),
    ("keras", {"learning_rate": {"class_name": "CosineDecayRestarts", "config": {}}}, "no counterpart here"),
    ("optax", {}, "`learning_rate` must be given"),
    ("optax", {"learning_rate": 0.1, "momentum": 1.5}, "must be in [0, 1)"),
    ("torch", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "nesterov": True}, "refuses nesterov together with"),
    ("bitsandbytes", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, "silently ignores it"),
    ("bitsandbytes", {"lr": 0.1, "momentum": 0.0}, "refuses to run without"),
    ("torch", {"lr": 0.1, "nesterov": True}, "`nesterov` needs momentum"),  # which refuse it themselves
    ("timm", {"lr": 0.1, "nesterov": True}, "`nesterov` needs momentum"),
    ("composer", {"lr": 0.1, "nesterov": True}, "`nesterov` needs momentum"),
    ("apex", {"lr": 0.1, "nesterov": True}, "`nesterov` needs momentum"),
    ("mlx", {"learning_rate": 0.1, "nesterov": True}, "`nesterov` needs momentum"),
    ("timm", {"opt": "adamw"}, "`opt` must be one of 'sgdw', 'sgd', 'momentum'; got 'adamw'"),
    ("timm", {"caution": True}, "caution=True is no part of the update rule"),
    ("caffe", {"base_lr": 0.1, "lr_policy": "sigmoid"}, "`lr_policy` must be"),
    ("caffe", {"base_lr": 0.1, "lr_policy": "step", "gamma": 0.1}, "needs `stepsize` too"),
    ("cntk", {"lr": 0.1, "momentum": 0.9}, "`batch_size` must be an integer >= 1; it is not given"),
    ("sklearn", {}, "`batch_size` must be an integer >= 1; it is not given"),
    ("sklearn", {"learning_rate": "invscaling", "batch_size": 5}, "no part of the update rule"),
    ("torch", {"lr": "fast"}, "`lr` must be a number or a schedule; got 'fast'"),
    ("torch", {"nesterov": 1, "momentum": 0.9}, "`nesterov` must be True or False"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), REFUSED)
def test_arguments_that_settings_cannot_hold_are_refused(name, arguments, message):
    """The message names the argument, and says what is allowed."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_convention(name, **arguments)
    assert message in str(caught.value)


INEXPRESSIBLE = [
    (
        Settings(lr=0.1, momentum=0.9, nesterov=True),
        "bitsandbytes",
        "bitsandbytes silently ignores nesterov: it cannot express nesterov=True",
    ),
    (Settings(lr=0.1, momentum=0.9, nesterov=True), "heavyball", "heavyball cannot express nesterov=True"),
    (Settings(lr=0.1, momentum=0.9, dampening=0.5), "keras", "keras cannot express dampening=0.5"),
    (Settings(lr=0.1, maximize=True), "keras", "keras cannot express maximize=True"),
    (Settings(lr=0.1), "bitsandbytes", "refuses to run without momentum"),
    (
        Settings(lr=0.1, momentum=0.9, weight_decay=0.1, decay="decoupled"),
        "torch",
        'torch cannot express decay="decoupled"',
    ),
    (Settings(lr=Cosine(0.1, 0.0, 9), momentum=0.9), "keras", "the two part when lr changes"),
    (Settings(lr=Cosine(0.1, 0.0, 9)), "caffe", "caffe cannot express the schedule"),
    (Settings(lr=Cosine(0.1, 0.0, 9)), "sklearn", "sklearn cannot express a schedule of lr"),
    (Settings(lr=0.1, momentum=Cosine(0.9, 0.5, 9)), "torch", "torch cannot express a schedule of momentum"),
    (Settings(lr=0.1, momentum=0.9, dampening=0.5), "mlx", "cannot express undampened_first_step=True"),
    (Settings(lr=0.1, weight_decay=0.1), "sklearn", "`batch_size` must be"),
    (
        Settings(lr=Cosine(0.1, 0.0, 9), momentum=0.9, weight_decay=0.1, decay="independent"),
        "timm",
        'timm cannot express decay="independent"',
    ),
]


@pytest.mark.parametrize(("chosen", "name", "message"), INEXPRESSIBLE)
def test_what_a_system_cannot_express_is_refused(chosen, name, message):
    """Nothing is dropped in silence: the message says what, and why."""
    with pytest.raises(SettingsError) as caught:
        chosen.to_convention(name)
    assert message in str(caught.value)


def test_what_was_translated_is_said():
    """Another place of lr, another way of decay, and where an argument goes."""
    arguments = Settings(lr=0.1, momentum=0.9, weight_decay=5e-4).to_convention("keras")
    assert arguments == {"learning_rate": 0.1, "momentum": 0.9, "kernel_regularizer": 2.5e-4}
    assert arguments.own() == {"learning_rate": 0.1, "momentum": 0.9}
    assert "inside the velocity in keras: the same rule while lr stays 0.1" in arguments.remarks[0]
    assert "keras.regularizers.L2" in arguments.elsewhere["kernel_regularizer"]
    plain = Settings(lr=0.1, weight_decay=0.02).to_convention("heavyball")
    assert plain["weight_decay"] == 0.02
    assert "exact without momentum" in plain.remarks[0]


def test_schedules_are_said_in_the_systems_words():
    """lr keeps its schedule, and the remark says what the system calls it."""
    lr = Exponential(0.1, 0.1, 1000, staircase=True)
    chosen = Settings(lr=lr, momentum=0.9, lr_in_velocity=True)
    keras = chosen.to_convention("keras")
    assert keras["learning_rate"] == lr
    assert any("ExponentialDecay(initial_learning_rate=0.1, decay_steps=1000" in remark for remark in keras.remarks)
    assert chosen.to_convention("caffe") == {
        "base_lr": 0.1,
        "momentum": 0.9,
        "lr_policy": "step",
        "gamma": 0.1,
        "stepsize": 1000,
    }
    torch = Settings(lr=lr, momentum=0.9).to_convention("torch")
    assert any("StepLR(optimizer, step_size=1000, gamma=0.1)" in remark for remark in torch.remarks)


def test_schedules_of_keras_are_read():
    """Their configurations become ours, the boundary of PiecewiseConstantDecay one step later."""
    import keras

    theirs = keras.optimizers.schedules
    for schedule, ours in (
        (theirs.ExponentialDecay(0.1, 7, 0.5, staircase=True), Exponential(0.1, 0.5, 7, staircase=True)),
        (theirs.PiecewiseConstantDecay([4, 9], [0.3, 0.2, 0.1]), Sequence((0.3, 0.2, 0.1), (5, 10))),
        (theirs.PolynomialDecay(0.1, 10, 0.01, power=2.0), Polynomial(0.1, 0.01, 10, power=2.0)),
        (theirs.CosineDecay(0.1, 10, alpha=0.5), Cosine(0.1, 0.05, 10)),
        (theirs.CosineDecay(0.01, 10, warmup_target=0.1, warmup_steps=5), Warmup(5, Cosine(0.1, 0.0, 10), start=0.01)),
        (theirs.InverseTimeDecay(0.1, 4, 0.5), Inverse(0.1, 0.125)),
    ):
        config = keras.optimizers.SGD(schedule, momentum=0.9).get_config()
        lr = Settings.from_convention("keras", **config).lr
        assert lr == ours
        for step in range(20):
            assert float(schedule(step)) == pytest.approx(ours(step), rel=1e-6)


@pytest.mark.parametrize("module", ["downslope", "downslope.core.settings"])
def test_it_works_wherever_settings_come_from(module):
    """Right after either import, and without loading any framework."""
    code = (
        f"import sys, downslope\nfrom {module} import Settings\n"
        "assert Settings.from_convention('caffe', base_lr=0.01, momentum=0.9).lr_in_velocity\n"
        "assert Settings(lr=0.1).to_convention('torch') == {'lr': 0.1, 'momentum': 0.0}\n"
        "assert not {'torch', 'jax', 'keras', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_convention_is_found_by_its_other_names():
    """What people call a system finds its row."""
    assert find_convention("PyTorch") is CONVENTIONS["torch"]
    assert find_convention("scikit-learn") is CONVENTIONS["sklearn"]
