"""What a user of the NumPy front door sees: in-place updates, resuming, groups, and its error messages."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from downslope import Group, Settings
from downslope.core.errors import GroupError, SettingsError, StateError
from downslope.numpy import SGD
from downslope.schedules import Exponential


def test_two_steps_by_hand() -> None:
    """lr 0.5, momentum 0.5, gradient 1: velocity 1 then 1.5, parameter 1 -> 0.5 -> -0.25."""
    params = {"w": np.array([1.0])}
    optimizer = SGD(params, lr=0.5, momentum=0.5)
    optimizer.step({"w": np.array([1.0])})
    assert params["w"][0] == 0.5
    optimizer.step({"w": np.array([1.0])})
    assert params["w"][0] == -0.25
    assert optimizer.velocity["w"][0] == 1.5


def test_parameters_are_updated_in_place_and_gradients_left_alone() -> None:
    """The caller's own array moves, whatever its strides; the gradient does not change."""
    backing = np.ones((4, 6), dtype=np.float32)
    view = backing[::2, ::3]
    grad = np.ones(view.shape, dtype=np.float32)
    SGD({"w": view}, lr=0.25, momentum=0.9, nesterov=True, weight_decay=0.1).step({"w": grad})
    assert (view != 1).all()
    assert (grad == 1).all()
    assert (backing[1::2] == 1).all()


def test_half_precision_is_computed_wide_and_rounded_once() -> None:
    """In float16 arithmetic 2048 + 1 is 2048; the product lr * grad must not be rounded to float16 on its way."""
    params = {"w": np.array([1.0], dtype=np.float16)}
    SGD(params, lr=1e-4).step({"w": np.array([8.0], dtype=np.float16)})
    assert params["w"].dtype == np.float16
    assert params["w"][0] == np.float16(1.0 - 1e-4 * 8.0)


def test_parameter_without_gradient_does_not_move() -> None:
    """Neither a missing name nor None moves a parameter, not even by weight decay."""
    params = {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}
    SGD(params, lr=0.1, weight_decay=0.5).step({"a": np.ones(2), "b": None})
    assert (params["a"] != 1).all()
    assert (params["b"] == 1).all()
    assert (params["c"] == 1).all()


@given(stop=st.integers(0, 12))
def test_resuming_is_bit_identical(stop: int) -> None:
    """Stopped anywhere, saved, loaded into a new optimizer and continued: the same bits as uninterrupted."""
    settings = Settings(lr=Exponential(0.1, 0.5, 3, staircase=True), momentum=0.9, dampening=0.5, weight_decay=0.01)
    rng = np.random.default_rng(0)
    grads = [{"w": rng.standard_normal(5), "late": rng.standard_normal(2) if i > 4 else None} for i in range(12)]
    whole = {"w": np.ones(5), "late": np.ones(2)}
    first = SGD(whole, settings=settings)
    for grad in grads:
        first.step(grad)
    params = {"w": np.ones(5), "late": np.ones(2)}
    before = SGD(params, settings=settings)
    for grad in grads[:stop]:
        before.step(grad)
    after = SGD(copy.deepcopy(params), settings=settings)
    after.load_state_dict(before.state_dict())
    for grad in grads[stop:]:
        after.step(grad)
    for name, array in whole.items():
        assert array.tobytes() == after.params[name].tobytes()


def test_state_is_a_copy() -> None:
    """A saved state does not move with the optimizer, nor does the optimizer with a loaded state."""
    optimizer = SGD({"w": np.ones(2), "scalar": np.array(1.0)}, lr=0.1, momentum=0.9)
    optimizer.step({"w": np.ones(2), "scalar": np.array(1.0)})
    state = optimizer.state_dict()
    optimizer.step({"w": np.ones(2), "scalar": np.array(1.0)})
    assert (state["velocity"]["w"] == 1).all()
    optimizer.load_state_dict(state)
    state["velocity"]["w"][:] = 7
    assert (optimizer.velocity["w"] == 1).all()


def test_groups_apply_by_name() -> None:
    """A bias without decay and with its own lr."""
    params = {"w.weight": np.ones((2, 2)), "w.bias": np.ones(2)}
    groups = [Group(match="@bias_and_norm", weight_decay=0.0, lr=1.0)]
    SGD(params, lr=0.5, weight_decay=1.0, groups=groups).step({name: np.zeros(p.shape) for name, p in params.items()})
    assert (params["w.weight"] == 0.5).all()
    assert (params["w.bias"] == 1).all()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: SGD({"w": [1.0]}, lr=0.1), SettingsError, ["`w`", "list", "np.asarray"]),
        (lambda: SGD({"w": np.ones(2, int)}, lr=0.1), SettingsError, ["`w`", "int64", "floating"]),
        (lambda: SGD({"w": np.broadcast_to(1.0, 3)}, lr=0.1), SettingsError, ["`w`", "read-only", "copy"]),
        (lambda: SGD({"w": np.ones(2)}, lr=0.1, momentun=0.9), SettingsError, ["momentun", "`momentum`?"]),
        (lambda: SGD({"w": np.ones(2)}, 0.1, settings=Settings()), SettingsError, ["`settings`", "`lr`"]),
        (lambda: SGD({"w": np.ones(2)}, lr=0.1, nesterov=True), SettingsError, ["`nesterov` needs momentum"]),
        (
            lambda: SGD({"w": np.ones(2)}, groups=[Group(match="b*", lr=1.0)]),
            GroupError,
            ["'b*' matches no parameter", "w"],
        ),
        (lambda: SGD({"w": np.ones(2)}, lr=0.1).step({"v": np.ones(2)}), SettingsError, ["unknown parameter `v`"]),
        (lambda: SGD({"w": np.ones(2)}, lr=0.1).step({"w": np.ones(3)}), SettingsError, ["(3,)", "(2,)", "`w`"]),
        (lambda: SGD({"w": np.ones(2)}, lr=0.1).load_state_dict({"step": 0}), StateError, ["`velocity`", "step"]),
        (
            lambda: SGD({"w": np.ones(2)}, lr=0.1).load_state_dict({"step": -1, "velocity": {}}),
            StateError,
            ["`step`", "-1"],
        ),
        (
            lambda: SGD({"w": np.ones(2)}, lr=0.1).load_state_dict(
                {"step": 1, "velocity": {"w": np.ones(3), "x": np.ones(2)}}
            ),
            StateError,
            ["(3,)", "(2,)", "unexpected: `x`", "nothing was loaded"],
        ),
    ],
)
def test_messages_say_where_what_and_what_to_do(make, error, words) -> None:
    """Each mistake gets its own error, naming the parameter, what was got and what is allowed."""
    with pytest.raises(error) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_a_schedule_that_refuses_its_step_moves_nothing() -> None:
    """Where the schedule of one group overflows, no parameter of another has moved."""
    params = {"a": np.ones(2), "b": np.ones(2)}
    optimizer = SGD(params, lr=0.1, groups=[Group(match="b", lr=Exponential(1e300, 10.0, 1))])
    optimizer.step_count = 20
    with pytest.raises(SettingsError, match="too large"):
        optimizer.step({"a": np.ones(2), "b": np.ones(2)})
    assert (params["a"] == 1).all()


def test_a_state_comes_back_from_a_file() -> None:
    """np.savez turns the step into a 0-d array, which loads all the same."""
    optimizer = SGD({"w": np.ones(2)}, lr=0.1)
    optimizer.load_state_dict({"step": np.array(3), "velocity": {}})
    assert optimizer.step_count == 3


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda o: SGD([np.ones(2)], lr=0.1), SettingsError, "`params` must be a dictionary"),
        (lambda o: SGD({"w": np.ones(2)}, lr=Exponential(0.1, 0.5, 1, unit="epoch")), SettingsError, "in epochs"),
        (lambda o: o.step([np.ones(2)]), SettingsError, "`grads` must be a dictionary"),
        (lambda o: o.step({"w": np.ones(2) * 1j}), SettingsError, "imaginary"),
        (lambda o: o.load_state_dict(None), StateError, "`velocity`; got NoneType"),
        (lambda o: o.load_state_dict({"step": 1, "velocity": None}), StateError, "`velocity` must be a dictionary"),
    ],
)
def test_what_is_no_dictionary_or_no_real_number_is_refused(act, error, words) -> None:
    """The wrong kind of thing gets a message, never Python's own."""
    with pytest.raises(error, match=words):
        act(SGD({"w": np.ones(2)}, lr=0.1))


def test_a_refused_step_moves_nothing() -> None:
    """When one gradient of several is wrong, none is applied and the step is not counted."""
    params = {"a": np.ones(2), "b": np.ones(2)}
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    with pytest.raises(SettingsError):
        optimizer.step({"a": np.ones(2), "b": np.ones(5)})
    assert (params["a"] == 1).all()
    assert optimizer.step_count == 0
    assert not optimizer.velocity


@pytest.mark.parametrize(
    ("name", "ours"),
    [("learning_rate", "lr"), ("wd", "weight_decay"), ("mom", "momentum"), ("use_nesterov", "nesterov")],
)
@pytest.mark.parametrize("kind", [SettingsError, TypeError])
def test_what_others_call_an_argument_is_answered_with_our_word(name: str, ours: str, kind: type[Exception]) -> None:
    """Also beside settings=, where the name is the first mistake."""
    for options in ({}, {"settings": Settings()}):
        with pytest.raises(kind, match=f"unknown argument `{name}`. Here it is called `{ours}`"):
            SGD({"w": np.ones(2)}, **{name: 0.1}, **options)


def test_what_only_other_optimizers_have_is_answered_too() -> None:
    """Where it was called, and what to do."""
    for name, told in (
        ("max_norm", "Clip the gradients before"),
        ("steps_per_epoch", "A schedule in epochs is resolved"),
    ):
        with pytest.raises(TypeError, match=f"^downslope.numpy.SGD: unknown argument `{name}`. {told}"):
            SGD({"w": np.ones(2)}, **{name: 1.0})


@pytest.mark.parametrize("kind", [set, frozenset])
def test_groups_in_a_set_are_refused(kind: type) -> None:
    """The first match wins, and which is first in a set is another in every run."""
    groups = kind([Group(match="*", lr=0.1), Group(match="w", lr=0.2)])
    for error in (GroupError, TypeError):
        with pytest.raises(error, match="a set has no first"):
            SGD({"w": np.ones(2)}, groups=groups)
    with pytest.raises(SettingsError, match="must be a dictionary of arrays by name; got set"):
        SGD({"w"})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
def test_none_is_no_number(name: str) -> None:
    """Where no number is given the default stands; None is given, and refused by its name."""
    with pytest.raises(SettingsError, match=f"`{name}` must be a number or a schedule; got None"):
        SGD({"w": np.zeros(1)}, **{name: None})
    assert SGD({"w": np.zeros(1)}).settings["w"].lr == 0.001


def test_groups_that_are_none_are_refused() -> None:
    """None is no list of groups."""
    with pytest.raises(GroupError, match="`groups` must be a list of downslope.Group; got None"):
        SGD({"w": np.zeros(1)}, groups=None)  # type: ignore[arg-type]
