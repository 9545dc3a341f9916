"""`downslope.numpy.SGD(ema=...)`: an average of the weights with torch's bits, by the kernel and without."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

import downslope.torch
from downslope import Group, ScheduleFree, Settings
from downslope.core.errors import SettingsError, StateError
from downslope.kernel import load_native
from downslope.numpy import SGD

SHAPES = {"scalar": (), "vector": (257,), "wide": (70, 61), "image": (6, 8, 3, 5)}


def drawn(seed: int, dtype: Any = np.float32) -> dict[str, np.ndarray[Any, Any]]:
    """Return arrays of every shape."""
    draw = np.random.default_rng(seed)
    return {name: np.asarray(draw.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def assert_same(ours: Any, theirs: Any) -> None:
    """Assert that arrays by name have the same bits."""
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(ours[name], theirs[name])


WAYS: list[dict[str, Any]] = [
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"momentum": 0.9, "velocity_dtype": "int8"},
    {"momentum": 0.9, "trust_coefficient": 0.01},
    {"fused": False},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_bits_are_torchs(dtype: Any, way: dict[str, Any]) -> None:
    """One array without a gradient at times, one in another order of axes; saved and gone on with in the middle."""
    if dtype == np.float64 and way.get("velocity_dtype") == "int8":
        pytest.skip("there are no codes of it")
    params = drawn(0, dtype)
    params["wide"] = np.asfortranarray(params["wide"])
    theirs = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in params.items()}
    optimizer = SGD(params, lr=0.1, ema=0.9, **way)
    reference = downslope.torch.SGD(list(theirs.items()), lr=0.1, ema=0.9, **({} if "fused" in way else way))
    # the last bit of the weights may be another, of codes beside small float32 velocities more
    follows = way.get("fused") is False or "trust_coefficient" in way or dtype == np.float16
    for step in range(5):
        grads: dict[str, Any] = drawn(step + 1, dtype)
        if step in (0, 2):
            grads["vector"] = None
        if step == 3:
            again = SGD(params, lr=0.1, ema=0.9, **way)
            again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            optimizer = again
        optimizer.step(grads)
        for name, param in theirs.items():
            if follows:
                param.data.copy_(torch.from_numpy(params[name]))
                param.grad = None
            else:
                param.grad = None if grads[name] is None else torch.from_numpy(np.asarray(grads[name]))
        reference.step()
    averages = {name: reference.state[param]["average"].numpy() for name, param in theirs.items()}
    assert_same(optimizer.average, averages)
    kept = copy.deepcopy(params)
    with optimizer.averaged():
        assert_same(params, {name: average.astype(dtype) for name, average in averages.items()})
        assert_same(params, optimizer.averaged_params())
    assert_same(params, kept)


def test_worked_out_by_hand() -> None:
    """Weights 1, 2, 3: their average is 1, 1.5, 2.25; a weight without a gradient is its own average."""
    params = {"moved": np.zeros(2), "still": np.full(3, 7.0)}
    optimizer = SGD(params, lr=1.0, ema=0.5, groups=[Group(match="still", lr=0.5)])
    for expected in (1.0, 1.5, 2.25):
        optimizer.step({"moved": np.full(2, -1.0)})
        assert optimizer.average["moved"].tolist() == [expected] * 2
    assert optimizer.average["still"].tolist() == [7.0] * 3


OF_GROUPS = [Group(match="wide", ema=0.5), Group(match="vector", ema=0), Group(match="image", lr_factor=0.5)]


@pytest.mark.parametrize("common", [0.9, None])
@pytest.mark.parametrize("way", [{}, {"velocity_dtype": "int8"}, {"fused": False}], ids=str)
def test_groups_have_their_own_with_torchs_bits(way: dict[str, Any], common: float | None) -> None:
    """One another decay, one none, one as all the others; in torch too by `Group`s; saved and gone on with midway."""
    params, rule = drawn(0), {"lr": 0.1, "momentum": 0.9, "groups": OF_GROUPS, "ema": common}
    theirs = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in params.items()}
    optimizer = SGD(params, **rule, **way)
    reference = downslope.torch.SGD(list(theirs.items()), **rule)
    decays = {name: decay for name in SHAPES if (decay := {"wide": 0.5, "vector": None}.get(name, common)) is not None}
    expected: dict[str, Any] = {}
    for step in range(5):
        if step == 3:
            again = SGD(params, **rule, **way)
            again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            optimizer = again
        optimizer.step(drawn(step + 1))
        for name, param in theirs.items():
            param.data.copy_(torch.from_numpy(params[name]))
            param.grad = None
        reference.step()
        for name, decay in decays.items():  # by hand
            before = expected.get(name)
            moved = None if before is None else before + np.float32(1 - decay) * (params[name] - before)
            expected[name] = params[name].copy() if moved is None else np.asarray(moved)
    assert_same(optimizer.average, expected)
    assert_same(expected, {n: reference.state[p]["average"].numpy() for n, p in theirs.items() if n in decays})
    assert "average" not in reference.state[theirs["vector"]]
    kept = copy.deepcopy(params)
    with optimizer.averaged():
        assert_same(params, {name: expected.get(name, kept[name]) for name in params})
        assert_same(params, optimizer.averaged_params())
    assert_same(params, kept)


def test_states_of_groups() -> None:
    """Averages of weights that keep none are refused, and all of them by one that keeps none; a group alone has one."""
    params = drawn(0)
    whole = SGD(params, lr=0.1, ema=0.9)
    parts, none = SGD(params, lr=0.1, groups=OF_GROUPS[:2]), SGD(params, lr=0.1, groups=OF_GROUPS[1:2])
    whole.step(drawn(1))
    with pytest.raises(StateError, match=r"the average of `scalar` has no place here, .* of it"):
        parts.load_state_dict(whole.state_dict())
    assert parts.step_count == 0
    parts.step(drawn(1))
    assert list(parts.average) == list(parts.state_dict()["average"]) == ["wide"]
    whole.load_state_dict(parts.state_dict())
    assert list(whole.average) == ["wide"]
    whole.step({})
    assert list(whole.average) == ["wide", "scalar", "vector", "image"]
    with pytest.raises(StateError, match="none is kept. Pass ema=0.999, say, to the optimizer or one of its groups"):
        none.averaged_params()
    assert "average" not in none.state_dict()
    with pytest.raises(SettingsError, match="schedule-free SGD keeps no `ema`"):
        SGD(params, settings=ScheduleFree(), groups=OF_GROUPS[:1])
    SGD(params, settings=ScheduleFree(), groups=OF_GROUPS[1:2])


def test_the_kernel_takes_averages_within_its_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of float32, bfloat16 and codes: nothing is left for NumPy to do after the first step."""
    if load_native() is None:
        pytest.skip("there is no kernel")
    ml_dtypes = pytest.importorskip("ml_dtypes")
    followed: list[Any] = []
    monkeypatch.setattr("downslope.numpy.follow", lambda *given: followed.append(given))
    other = [Group(match="wide", ema=0.5)]
    for dtype, way in (
        (np.float32, {}),
        (ml_dtypes.bfloat16, {}),
        (np.float32, {"velocity_dtype": "int8"}),
        (np.float32, {"velocity_dtype": "int8", "groups": other}),
        (np.float32, {"groups": other}),
    ):
        params = drawn(0, dtype)
        optimizer = SGD(params, lr=0.1, momentum=0.9, ema=0.9, **way)
        weights = {name: np.float32(1 - (0.5 if "groups" in way and name == "wide" else 0.9)) for name in params}
        expected = {}
        for step in range(4):
            optimizer.step(drawn(step + 1, dtype))
            now = {name: param.astype(np.float32) for name, param in params.items()}
            expected = {n: (e := expected[n]) + weights[n] * (now[n] - e) for n in now} if expected else now
        assert_same(optimizer.average, {name: np.asarray(array) for name, array in expected.items()})
    assert not followed


def test_memory_that_is_shared_is_averaged_as_it_is_in_the_end() -> None:
    """Two parameters on one storage, with velocities in their format and in 8 bits; a complex one beside."""
    for kept in (None, "int8"):
        memory = np.linspace(1, 2, 5000).astype(np.float32)
        both = {"large": memory, "small": memory[:100]}
        optimizer = SGD(both, lr=0.5, momentum=0.9, ema=0.5, velocity_dtype=kept)
        seen = []
        for _ in range(2):
            optimizer.step({"large": np.ones(5000, np.float32), "small": np.full(100, -3, np.float32)})
            seen.append(memory.copy())
        average = seen[0] + np.float32(0.5) * (seen[1] - seen[0])
        assert_same(optimizer.average, {"large": average, "small": average[:100]})
    param = np.array([1 + 2j], np.complex64)
    optimizer = SGD({"w": param}, lr=1.0, ema=0.5)
    for _ in range(2):
        optimizer.step({"w": np.array([1j], np.complex64)})
    assert optimizer.average["w"].tolist() == [1 + 0.5j]


def test_what_is_refused() -> None:
    """Decays that are none, schedule-free SGD, reading what is not kept, steps at the average, unfit states."""
    params = {"w": np.zeros(3, np.float32)}
    for ema in (0, 1, 1.5, "0.9", True):
        with pytest.raises(SettingsError, match=r"`ema` must be in \(0, 1\) such as 0.999"):
            SGD(params, lr=0.1, ema=ema)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="schedule-free SGD keeps no `ema`"):
        SGD(params, settings=ScheduleFree(), ema=0.9)
    plain = SGD(params, lr=0.1)
    with pytest.raises(StateError, match="cannot use the average: none is kept. Pass ema=0.999"), plain.averaged():
        pass
    with pytest.raises(StateError, match="cannot read the average"):
        plain.averaged_params()
    optimizer = SGD(params, settings=Settings(lr=0.1, momentum=0.9), ema=0.5)
    with optimizer.averaged():  # before the first step: the weights themselves
        pass
    optimizer.step({"w": np.ones(3, np.float32)})
    with optimizer.averaged():
        with pytest.raises(StateError, match="from which no step is taken"):
            optimizer.step({"w": np.ones(3, np.float32)})
        with pytest.raises(StateError, match="hold their averages already"), optimizer.averaged():
            pass
    state = optimizer.state_dict()
    with pytest.raises(StateError, match=r"has no place here, where none is kept \(ema=None\)"):
        plain.load_state_dict(state)
    for average, problem in (
        (np.zeros(4, np.float32), r"has shape \(4,\), the parameter \(3,\)"),
        (np.zeros(3), "is float64, and is kept in float32 here"),
        (np.zeros(3, np.complex64), "is complex64, and is kept in float32 here"),
        (np.zeros(3, np.int8), "is int8, and is kept in float32 here"),
        ([0.0] * 3, "must be an array; got list"),
    ):
        with pytest.raises(StateError, match=f"the average of `w` {problem}"):
            optimizer.load_state_dict({**state, "average": {"w": average}})
        before = params["w"].copy()
        kept, optimizer.average["w"] = optimizer.average["w"], average  # type: ignore[assignment]
        with pytest.raises(StateError, match="To begin it anew: del optimizer.average"):
            optimizer.step({"w": np.ones(3, np.float32)})
        np.testing.assert_array_equal(params["w"], before)
        optimizer.average["w"] = kept
    with pytest.raises(StateError, match="the average of `x` is that of no parameter"):
        optimizer.load_state_dict({**state, "average": {"x": kept}})
    optimizer.load_state_dict({**state, "average": {"w": np.full(3, 0.5, np.float16)}})
    assert optimizer.average["w"].dtype == np.float32
    del state["average"]
    optimizer.load_state_dict(state)
    optimizer.step({"w": np.ones(3, np.float32)})
    assert_same(optimizer.average, params)
