"""convert_state: the scale from the matrices, what is refused, and how long the two are said to stay together."""

import numpy as np
import pytest

import downslope
from downslope import Settings, convert_state
from downslope.core.errors import SettingsError, StateError
from downslope.schedules import Cosine, Exponential, Linear, MultiStep, Warmup
from downslope.systems.table import CONVENTIONS

STAIRS = Exponential(0.5, 0.5, 1000, staircase=True)


def velocity():
    """Return a velocity that has come and one that has not."""
    return {"weight": np.array([1.0, -2.0], np.float32), "bias": None}


@pytest.mark.parametrize("settings", [5, "torch", {"weight": 5, "bias": None}])
def test_settings_of_another_kind_are_refused(settings):
    """In a sentence, wherever they stand."""
    with pytest.raises(SettingsError, match=r"settings must be a Settings, or a dictionary with one for each"):
        convert_state(velocity(), "downslope", "torch", settings=settings)
    with pytest.raises(SettingsError, match=r"settings must be a Settings, or a dictionary with one for each"):
        convert_state(velocity(), "torch", "downslope", target_settings=settings, lr=0.1)
    with pytest.raises(StateError, match="no settings for the parameter `5`"):
        convert_state({5: np.ones(2)}, "torch", "keras", settings={"weight": Settings(lr=0.1)})


def test_hand_worked_scales():
    """lr inside: lr times; Keras: with the other sign; mu .9 with tau .9 at lr 1 is lr .1 undampened: k = 10."""
    for source, target, arguments, expected in (
        ("torch", "keras", {"lr": 0.25, "momentum": 0.9}, -0.25),
        ("keras", "torch", {"learning_rate": 0.25, "momentum": 0.9}, -4.0),
        ("torch", "caffe", {"lr": 0.25, "momentum": 0.9}, 0.25),
        ("caffe", "mxnet", {"base_lr": 0.25, "momentum": 0.9}, -1.0),
        ("torch", "optax", {"lr": 0.25, "momentum": 0.9}, 1.0),
        ("tfa", "keras", {"weight_decay": 0.0, "learning_rate": 0.25, "momentum": 0.9}, 1.0),
        ("sklearn", "torch", {"learning_rate_init": 0.25, "alpha": 0.0}, -4.0),
        ("torch", "downslope.keras", {"lr": 0.25, "momentum": 0.9}, -1.0),
    ):
        converted = convert_state(velocity(), source, target, **arguments)
        assert converted.scales == {"weight": expected, "bias": expected}
        np.testing.assert_array_equal(converted.velocity["weight"], expected * velocity()["weight"])
    dampened = Settings(lr=1.0, momentum=0.9, dampening=0.9, undampened_first_step=False)
    assert convert_state(velocity(), dampened, Settings(lr=0.1, momentum=0.9)).scales["weight"] == pytest.approx(10.0)


def test_the_state_goes_over_as_it_is():
    """The format stays, None stays None, nothing given is written to, and the numpy door loads what comes out."""
    given_state = velocity()
    converted = convert_state(
        {"step": 7, "velocity": given_state}, "keras", "downslope", settings=Settings(momentum=0.9)
    )
    assert converted.velocity["weight"].dtype == np.float32
    assert converted.velocity["bias"] is None
    assert converted.step == 7
    np.testing.assert_array_equal(given_state["weight"], [1.0, -2.0])
    params = {"weight": np.zeros(2, np.float32), "bias": np.zeros(3, np.float32)}
    optimizer = downslope.numpy.SGD(params, settings=converted.settings)
    optimizer.load_state_dict(converted.state)
    assert optimizer.step_count == 7


def test_tensors_and_jax_arrays_stay_what_they_are():
    """Arrays of any framework are scaled by their own arithmetic."""
    import jax
    import torch

    for array in (torch.tensor([1.0]), jax.numpy.ones(1)):
        out = convert_state({"w": array}, "torch", "keras", lr=0.5, momentum=0.9).velocity["w"]
        assert type(out) is type(array)
        assert float(out[0]) == -0.5


def test_how_long_they_stay_together():
    """The step at which lr first changes, never, or if anyone changes it."""

    def told(lr, target="keras", step=0, **more):
        return convert_state(velocity(), "torch", target, settings=Settings(lr=lr, momentum=0.9), step=step, **more)

    assert told(STAIRS).statement == "exact; the conventions part when lr next changes (step 1000)"
    assert told(STAIRS, step=1000).parts_at == 2000
    assert told(STAIRS, until=999).statement == "exact; the two stay together at every step looked at, up to step 999"
    assert told(MultiStep(0.5, 0.1, (30, 60)), step=45).parts_at == 60
    assert told(MultiStep(0.5, 0.1, (30, 60)), step=60).parts_at is None
    assert told(Cosine(0.5, 0.0, 100), step=10).parts_at == 11
    assert told(0.5).statement == "exact; the conventions part if lr is ever changed"
    assert told(STAIRS, "optax").statement == "exact; the two never part"
    assert told(STAIRS, "downslope").statement == "exact; the two never part"
    rising = Settings(lr=0.5, momentum=Linear(0.0, 0.9, 9), nesterov=True)  # momentum is 0 where the state goes over
    assert convert_state(velocity(), "torch", "downslope", settings=rising, step=0).parts_at is None


def test_parting_is_told_for_each_group():
    """Groups have their own scale and their own step; the first one counts for all."""
    by_name = {"weight": Settings(lr=0.5, momentum=0.9), "bias": Settings(lr=MultiStep(0.25, 0.1, (5,)), momentum=0.9)}
    converted = convert_state(velocity(), "torch", "keras", settings=by_name, step=2)
    assert converted.scales == {"weight": -0.5, "bias": -0.25}
    assert converted.parts_at == 5
    assert converted.statement == (
        "weight: exact; the conventions part if lr is ever changed; "
        "bias: exact; the conventions part when lr next changes (step 5)"
    )
    assert set(converted.settings) == {"weight", "bias"}


def test_a_late_first_gradient_with_dampening_is_said():
    """torch does not dampen it, MLX does; without dampening there is nothing to say."""
    converted = convert_state(velocity(), "torch", "mlx", lr=0.5, momentum=0.9, dampening=0.5)
    assert "the first gradient of bias is undampened on one side only, and parts them at once" in converted.statement
    plain = convert_state(velocity(), "torch", "mlx", lr=0.5, momentum=0.9)
    assert plain.statement == "exact; the two never part"
    assert any("no gradient yet, so no velocity: bias" in remark for remark in plain.remarks)


def test_without_momentum_there_is_nothing_to_carry():
    """And a momentum that is 0 only now is compared from where it is not."""
    assert "momentum is 0" in convert_state(velocity(), "torch", "keras", lr=0.5).statement
    rising = Settings(lr=0.5, momentum=Linear(0.0, 0.9, 9))
    converted = convert_state(
        velocity(), rising, Settings(lr=0.5, momentum=Linear(0.0, 0.9, 9), lr_in_velocity=True), step=0
    )
    assert converted.parts_at is None


NOT_ONE_RULE = [
    (Settings(lr=0.5, momentum=0.9, nesterov=True), Settings(lr=0.5, momentum=0.9), "nesterov is True in"),
    (Settings(lr=0.5, momentum=0.9), Settings(lr=0.25, momentum=0.9), "the coefficient of grad in the new delta"),
    (Settings(lr=0.5, momentum=0.9), Settings(lr=0.5, momentum=0.8), "momentum is 0.9 in"),
    (
        Settings(lr=0.5, momentum=0.9, weight_decay=0.1),
        Settings(lr=0.5, momentum=0.9, weight_decay=0.1, decay="decoupled"),
        "decay is 'coupled' in",
    ),
    (Settings(lr=0.5, momentum=0.9), Settings(lr=0.5), "momentum is 0.9 in"),
    (Settings(lr=0.5, momentum=0.9), Settings(lr=0.5, momentum=0.9, maximize=True), "maximize is False in"),
]


@pytest.mark.parametrize(("source", "target", "message"), NOT_ONE_RULE)
def test_two_rules_are_refused(source, target, message):
    """No velocity of one is one of the other, and the message says what differs."""
    with pytest.raises(StateError, match="not the same rule at step 0") as caught:
        convert_state(velocity(), source, target)
    assert message in str(caught.value)


def test_an_lr_of_zero_tells_no_scale():
    """In a warmup from 0 the velocity inside lr is nothing yet; between two of the same kind it goes over."""
    lr = Warmup(10, Cosine(0.5, 0.0, 100))
    for source, target in (("torch", "keras"), ("keras", "torch")):
        with pytest.raises(StateError, match="lr is 0 at step 0"):
            convert_state(velocity(), source, target, settings=Settings(lr=lr, momentum=0.9), step=0)
    assert (
        convert_state(velocity(), "torch", "optax", settings=Settings(lr=lr, momentum=0.9), step=0).scales["weight"]
        == 1
    )
    assert (
        convert_state(velocity(), "keras", "tfa", settings=Settings(lr=lr, momentum=0.9), step=0).scales["weight"] == 1
    )


def test_what_is_missing_or_wrong_is_said():
    """Settings, step, names, and a state that is none."""
    inside = Settings(lr=0.5, momentum=0.9)
    for arguments, error, message in (
        ((velocity(), "torch", "keras"), SettingsError, "settings of the run are needed"),
        ((velocity(), "torch", "kera"), SettingsError, "Did you mean `keras`"),
        ((velocity(), "torch", "keras", {"settings": inside, "lr": 0.1}), SettingsError, "not both"),
        ((velocity(), inside, "keras", {"settings": inside}), SettingsError, "already holds all settings"),
        ((velocity(), inside, inside, {"target_settings": inside}), SettingsError, "already holds all settings"),
        (
            (velocity(), "torch", "keras", {"settings": Settings(lr=STAIRS, momentum=0.9)}),
            StateError,
            "`lr` is a schedule",
        ),
        (
            (velocity(), "torch", "keras", {"settings": {"weight": inside}}),
            StateError,
            "no settings for the parameter `bias`",
        ),
        (
            (velocity(), "torch", "keras", {"settings": inside, "step": -1}),
            StateError,
            "`step` must be an integer >= 0",
        ),
        (([1.0], "torch", "keras", {"settings": inside}), StateError, "must be a mapping"),
        (({"w": [1.0]}, "torch", "keras", {"settings": inside}), StateError, "must be an array or None"),
        (({"state": {}, "param_groups": []}, "torch", "keras", {"settings": inside}), StateError, "a whole state_dict"),
        (
            (velocity(), "torch", "bitsandbytes", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
            SettingsError,
            "cannot express",
        ),
    ):
        *places, named = arguments if isinstance(arguments[-1], dict) and len(arguments) > 3 else (*arguments, {})
        with pytest.raises(error) as caught:
            convert_state(*places, **named)
        assert message in str(caught.value)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_there_and_back_is_where_it_was(name):
    """Every system can take a plain run over from torch and give it back."""
    run = Settings(lr=0.5, momentum=0.9)
    there = convert_state(velocity(), "torch", name, settings=run)
    back = convert_state(there.velocity, name, "torch", settings=run)
    np.testing.assert_array_equal(back.velocity["weight"], velocity()["weight"])


@pytest.mark.parametrize("dtype", ["int64", "uint16", "bool", "object", "S3"])
def test_velocities_that_are_no_fractions_are_refused(dtype):
    """By name and format, of whichever framework they are."""
    import torch

    with pytest.raises(StateError, match=r"the velocity of `w` must hold floating or complex numbers; got"):
        convert_state({"w": np.ones(2, dtype)}, source="torch", target="keras", lr=0.1, momentum=0.9)
    if dtype in {"int64", "uint16", "bool"}:
        array = torch.ones(2, dtype=getattr(torch, dtype))
        with pytest.raises(StateError, match=rf"got torch\.{dtype}"):
            convert_state({"w": array}, source="torch", target="keras", lr=0.1, momentum=0.9)
    for allowed in ("float16", "float64", "complex64", ">f4"):
        convert_state({"w": np.ones(2, allowed)}, source="torch", target="keras", lr=0.1, momentum=0.9)


def test_averages_of_a_state_come_along_as_they_are():
    """They are of no convention: NumPy's state with `ema` is one again, whatever became of the velocities."""
    params = {"w": np.ones(2)}
    optimizer = downslope.numpy.SGD(params, lr=0.5, momentum=0.5, ema=0.5)
    for _ in range(2):
        optimizer.step({"w": np.ones(2)})
    converted = convert_state(optimizer.state_dict(), "downslope", "keras", settings=Settings(lr=0.5, momentum=0.5))
    assert converted.velocity["w"].tolist() == [-0.75] * 2
    assert converted.state["average"]["w"].tolist() == [0.125] * 2  # of 0.5 and -0.25
    with pytest.raises(StateError, match="must be an array or None; got int"):
        convert_state({"step": 1, "velocity": {}, "average": 3}, "torch", "keras", lr=0.1)
