"""What a user may exchange between two steps: each change is seen by the kernel as it is by the rule, or refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_forms import fortran, misaligned, read_only, swapped, with_gaps

from downslope import Settings, kernel
from downslope.core.errors import DownslopeError, SettingsError, StateError
from downslope.numpy import SGD
from downslope.schedules import Exponential

SETTINGS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01}
SHAPES: dict[str, tuple[int, ...]] = {"w": (4, 4), "b": (4,), "c": ()}

Change = Callable[[SGD], Any]


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal float32 values."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), np.float32)


def start(fused: bool | None) -> SGD:
    """Return an optimizer of three parameters."""
    return SGD({name: noise(i, shape) for i, (name, shape) in enumerate(SHAPES.items())}, fused=fused, **SETTINGS)


def grads(step: int) -> dict[str, np.ndarray]:
    """Return the gradients of a step."""
    return {name: noise(10 * step + i + 10, shape) for i, (name, shape) in enumerate(SHAPES.items())}


def in_form(attribute: str, name: str, make: Callable[[np.ndarray], Any]) -> Change:
    """Return the change that puts an array of `params` or `velocity` into another form."""

    def change(optimizer: SGD) -> None:
        arrays = getattr(optimizer, attribute)
        arrays[name] = make(arrays[name])

    return change


def reload_state(optimizer: SGD) -> None:
    """Save and load, after the parameter's layout has changed."""
    optimizer.params["w"] = fortran(optimizer.params["w"])
    optimizer.load_state_dict(optimizer.state_dict())


def set_settings(optimizer: SGD) -> None:
    """Give one parameter other settings."""
    optimizer.settings["b"] = Settings(lr=Exponential(0.5, 0.5, 3), nesterov=True, momentum=0.5)


def set_in_place(optimizer: SGD) -> None:
    """Give an array another order of its elements, the object staying the same."""
    array = optimizer.params["w"]
    array[...] = array.T.copy()
    array.strides = array.strides[::-1]


CHANGES: dict[str, Change] = {
    "parameter, another array": in_form("params", "w", lambda a: a + 1),
    "parameter, other layout": in_form("params", "w", fortran),
    "parameter, transposed": in_form("params", "w", np.transpose),
    "parameter, strides in place": set_in_place,
    "parameter, with gaps": in_form("params", "w", with_gaps),
    "parameter, other byte order": in_form("params", "w", swapped),
    "parameter, misaligned": in_form("params", "b", misaligned),
    "parameter, float64": in_form("params", "w", lambda a: a.astype(np.float64)),
    "parameter, float16": in_form("params", "b", lambda a: a.astype(np.float16)),
    "parameters, exchanged": lambda o: o.params.update({"b": o.params["b"][::-1]}),
    "parameters, one array": lambda o: o.params.update({"b": o.params["w"][0]}),
    "params, another dictionary": lambda o: setattr(o, "params", dict(o.params)),
    "velocity, another array": in_form("velocity", "w", lambda a: a * 2),
    "velocity, other layout": in_form("velocity", "w", fortran),
    "velocity, with gaps": in_form("velocity", "w", with_gaps),
    "velocity, other byte order": in_form("velocity", "w", swapped),
    "velocity, float64": in_form("velocity", "w", lambda a: a.astype(np.float64)),
    "velocity, read-only": in_form("velocity", "w", read_only),
    "velocity, removed": lambda o: o.velocity.pop("w"),
    "velocities, removed": lambda o: o.velocity.clear(),
    "velocities, shared": lambda o: o.velocity.update({"b": o.velocity["w"][1]}),
    "state, loaded": reload_state,
    "step count": lambda o: setattr(o, "step_count", 17),
    "settings": set_settings,
}


@pytest.mark.filterwarnings("ignore:Setting the strides")  # NumPy 2.4 would rather nobody did
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_steps_is_seen(change: str) -> None:
    """Kernel and rule agree to float32's last places at each later step."""
    ours, theirs = start(None), start(fused=False)
    for step in range(6):
        for optimizer in (ours, theirs):
            if step == 3:
                CHANGES[change](optimizer)
            optimizer.step(grads(step))
        assert ours.step_count == theirs.step_count
        for mine, other in ((ours.params, theirs.params), (ours.velocity, theirs.velocity)):
            assert mine.keys() == other.keys()
            for name, array in mine.items():
                assert array.dtype == other[name].dtype
                tolerance = 2e-3 if array.dtype == np.float16 else 3e-6
                np.testing.assert_allclose(array, other[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.skipif(kernel.load_native() is None, reason=f"no kernel here: {kernel.backend()}")
@pytest.mark.parametrize(
    "change", ["velocity, other layout", "velocity, float64", "velocity, read-only", "state, loaded"]
)
def test_the_kernel_comes_back(change: str) -> None:
    """One step after a velocity was not for it, the kernel takes all again."""
    optimizer = start(None)
    for step in range(5):
        if step == 2:
            CHANGES[change](optimizer)
        optimizer.step(grads(step))
    optimizer._fused = True
    given = grads(5)
    if optimizer.params["w"].flags.f_contiguous:
        given["w"] = fortran(given["w"])
    optimizer.step(given)


def make_read_only(optimizer: SGD) -> None:
    """Lock a parameter that could be written to when the optimizer was made."""
    optimizer.params["b"].flags.writeable = False


REFUSED: dict[str, tuple[Change, type[DownslopeError], str]] = {
    "read-only": (make_read_only, SettingsError, "`b` is read-only .* Pass a copy"),
    "list": (in_form("params", "b", np.ndarray.tolist), SettingsError, "`b` must be a NumPy array.* got list"),
    "integers": (in_form("params", "b", lambda a: a.astype(int)), SettingsError, "`b` must be .* got array of int64"),
    "shape": (in_form("params", "b", lambda a: a.reshape(2, 2)), SettingsError, r"`b` has shape \(4,\).*\(2, 2\)"),
    "first half": (in_form("params", "b", lambda a: a[:2]), SettingsError, r"`b` has shape \(4,\).*\(2,\)"),
    "velocity's shape": (
        in_form("velocity", "b", lambda a: a[:1]),
        StateError,
        r"velocity of `b` has shape \(1,\), the parameter shape \(4,\).*del optimizer.velocity\['b'\]",
    ),
    "velocity, a list": (in_form("velocity", "b", np.ndarray.tolist), StateError, "velocity of `b` has type list"),
}


@pytest.mark.parametrize("fused", [None, False], ids=["default", "rule"])
@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_stepped_is_refused_before_anything_moves(change: str, fused: bool | None) -> None:
    """The message names the parameter; no parameter, velocity or count has changed."""
    act, error, words = REFUSED[change]
    optimizer = start(fused)
    optimizer.step(grads(0))
    act(optimizer)
    kept = {name: np.array(array) for name, array in optimizer.params.items()}
    velocities = {name: np.array(array) for name, array in optimizer.velocity.items()}
    with pytest.raises(error, match=words):
        optimizer.step(grads(1))
    assert optimizer.step_count == 1
    for before, after in ((kept, optimizer.params), (velocities, optimizer.velocity)):
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)


@pytest.mark.parametrize("fused", [None, False], ids=["default", "rule"])
@pytest.mark.parametrize(
    ("grad", "words"),
    [
        (["a", "b", "c", "d"], "`b` cannot be read as an array of numbers"),
        ([[1.0], [1.0, 2.0], [], []], "`b` cannot be read as an array of numbers"),
        (np.array([{}] * 4), "`b` cannot be read as an array of numbers"),
        (np.array(["1", "2", "3", "4"]), "`b` cannot be read as an array of numbers: its elements are <U1"),
        (np.array([1.0, None, 2.0, 3.0]), "`b` cannot be read as an array of numbers: one of its elements is None"),
        ([None, 1.0, 2.0, 3.0], "`b` cannot be read as an array of numbers: one of its elements is None"),
        (np.array([1, "2", 3, 4], object), "`b` cannot be read as an array of numbers: one of its elements is '2'"),
        (np.arange(4).astype("M8[s]"), "`b` cannot be read as an array of numbers"),
        (np.ma.array([1.0] * 4, mask=[0, 1, 0, 0]), "`b` has masked elements"),
        (1.0, r"`b` has shape \(\)"),
    ],
)
def test_a_gradient_that_is_no_array_is_refused_before_anything_moves(
    grad: Any, words: str, fused: bool | None
) -> None:
    """Words, ragged lists and arrays of anything get the door's own message, whichever parameter came before."""
    optimizer = start(fused)
    before = optimizer.params["w"].copy()
    with pytest.raises(SettingsError, match=words):
        optimizer.step({"w": grads(0)["w"], "b": grad})
    np.testing.assert_array_equal(optimizer.params["w"], before)
    assert not optimizer.velocity
    assert optimizer.step_count == 0


@pytest.mark.parametrize("name", ["w", "x"])
def test_an_unknown_name_is_refused_even_without_a_gradient(name: str) -> None:
    """A misspelt name with None for a gradient is an error as ever; a known one is left alone."""
    optimizer = start(None)
    if name == "x":
        with pytest.raises(SettingsError, match="unknown parameter `x`"):
            optimizer.step({"x": None})
    else:
        before = optimizer.params["w"].copy()
        optimizer.step({"w": None})
        np.testing.assert_array_equal(optimizer.params["w"], before)
        assert optimizer.step_count == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_a_copy_steps_on_its_own(copied: Callable[[SGD], SGD]) -> None:
    """A copied optimizer moves its own arrays, to the same bits, and sees its own settings."""
    optimizer = start(None)
    for step in range(2):
        optimizer.step(grads(step))
    other = copied(optimizer)
    kept = {name: array.copy() for name, array in optimizer.params.items()}
    for step in range(2, 4):
        other.step(grads(step))
    for name, array in kept.items():
        np.testing.assert_array_equal(optimizer.params[name], array)
    for step in range(2, 4):
        optimizer.step(grads(step))
    for name, array in other.params.items():
        assert array.tobytes() == optimizer.params[name].tobytes()


def test_settings_that_change_at_every_step_are_followed_and_forgotten() -> None:
    """New settings each time, the old ones' place in memory taken again or not: each step is its own settings'."""
    ours, theirs = start(None), start(fused=False)
    for step in range(600):
        for optimizer in (ours, theirs):
            optimizer.settings["b"] = Settings(lr=0.1 / (1 + step), momentum=0.5)
            optimizer.step(grads(step % 7))
    np.testing.assert_allclose(ours.params["b"], theirs.params["b"], rtol=3e-6, atol=3e-6)
    assert len(ours._known_coefficients) < 300


def test_a_copys_settings_are_told_from_those_that_lay_there() -> None:
    """What is remembered of settings is theirs alone, even where others later have their number in Python."""
    ours, theirs = start(None), start(fused=False)
    for optimizer in (ours, theirs):
        optimizer.step(grads(0))
        optimizer.settings["b"] = Settings(lr=0.01)
        optimizer._known_coefficients[id(optimizer.settings["b"]), False] = (Settings(lr=7.0), [7.0] * 6)
        optimizer.step(grads(1))
    np.testing.assert_allclose(ours.params["b"], theirs.params["b"], rtol=3e-6, atol=3e-6)
