"""`velocity_dtype="int8"` in NumPy: the bits of torch's door, with and without the kernel; states; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import downslope.numpy
from downslope.core.blocks import decode, encode
from downslope.core.errors import SettingsError, StateError
from downslope.core.settings import Settings
from downslope.kernel import load_native
from downslope.kernel.coefficients import six_coefficients

RULE: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
SHAPES = {"weight": (70, 61), "bias": (61,), "vector": (4097,), "nothing": (0, 2)}


def drawn(seed: int, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Return arrays by name."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32).astype(dtype) for name, shape in SHAPES.items()}


def run(steps: range, params: dict[str, np.ndarray], optimizer: downslope.numpy.SGD, dtype: Any = np.float32) -> None:
    """Step with gradients that depend on the step alone."""
    for step in steps:
        optimizer.step(drawn(100 + step, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_with_and_without_the_kernel_the_bits_are_torchs(dtype: str) -> None:
    """Large parameters have one and the same course by the kernel, in NumPy, and in downslope.torch.SGD."""
    torch = pytest.importorskip("torch")
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    ends = []
    for fused in (None, False):
        params = drawn(0, kind)
        run(range(4), params, downslope.numpy.SGD(params, **RULE, velocity_dtype="int8", fused=fused), kind)
        ends.append(params)
    from downslope.torch import SGD

    def tensor(array: np.ndarray) -> Any:
        return torch.from_numpy(array.astype(np.float32)).to(getattr(torch, dtype))

    theirs = {name: torch.nn.Parameter(tensor(array)) for name, array in drawn(0, kind).items()}
    other = SGD(list(theirs.values()), **RULE, velocity_dtype="int8")
    for step in range(4):
        for name, grad in drawn(100 + step, kind).items():
            theirs[name].grad = tensor(grad)
        other.step()
    for name in ("weight", "vector"):
        np.testing.assert_array_equal(ends[0][name], ends[1][name])
        np.testing.assert_array_equal(ends[0][name].astype(np.float32), theirs[name].detach().float().numpy())


def test_a_step_worked_out() -> None:
    """The six numbers on float32, codes by `core.blocks`; small parameters keep a velocity of their own format."""
    params = drawn(0)
    values = params["weight"].copy()
    optimizer = downslope.numpy.SGD(params, **RULE, velocity_dtype="int8")
    run(range(1), params, optimizer)
    dp, dg, _, vp, vg, _ = map(np.float32, six_coefficients(Settings(**RULE).at(0)))
    grad = drawn(100)["weight"]
    np.testing.assert_array_equal(params["weight"], values + (dp * values + dg * grad))
    codes, scales = encode(vp * values + vg * grad)
    state = optimizer.state_dict()
    np.testing.assert_array_equal(state["codes"]["weight"], codes)
    np.testing.assert_array_equal(state["scales"]["weight"], scales)
    assert set(state["codes"]) == {"weight", "vector"}
    assert set(state["velocity"]) == {"bias", "nothing"}


def test_states_are_taken_up_and_converted() -> None:
    """Saved and loaded nothing changes; from float32 and to it is said."""
    whole, half = drawn(0), drawn(0)
    end, first = (downslope.numpy.SGD(params, **RULE, velocity_dtype="int8") for params in (whole, half))
    run(range(6), whole, end)
    run(range(3), half, first)
    second = downslope.numpy.SGD(half, **RULE, velocity_dtype="int8")
    second.load_state_dict(first.state_dict())
    run(range(3, 6), half, second)
    for name in SHAPES:
        np.testing.assert_array_equal(whole[name], half[name])
    wide = downslope.numpy.SGD(half, **RULE)
    with pytest.warns(UserWarning, match="turned 2 velocities of 8 bits"):
        wide.load_state_dict(second.state_dict())
    state = second.state_dict()
    np.testing.assert_array_equal(wide.velocity["weight"], decode(state["codes"]["weight"], state["scales"]["weight"]))
    with pytest.warns(UserWarning, match="rounded 2 velocities to 8 bits"):
        second.load_state_dict(wide.state_dict())
    np.testing.assert_array_equal(second.state_dict()["codes"]["weight"], state["codes"]["weight"])


def test_shared_memory_and_layouts() -> None:
    """A gradient that is the parameter itself, a parameter twice, a transposed one: as if alone, in order."""
    memory = np.ones((80, 60), np.float32)
    optimizer = downslope.numpy.SGD({"a": memory, "b": memory.reshape(-1)}, lr=0.5, momentum=0.5, velocity_dtype="int8")
    optimizer.step({"a": memory, "b": np.ones(4800, np.float32)})
    assert (memory == 0.0).all()
    ends = []
    for kept in (None, "int8"):  # a large one before a small one, which has no codes
        memory = np.linspace(1, 2, 5000).astype(np.float32)
        both = {"large": memory, "small": memory[:100]}
        optimizer = downslope.numpy.SGD(both, lr=0.5, momentum=0.9, weight_decay=0.5, velocity_dtype=kept)
        optimizer.step({"large": np.ones(5000, np.float32), "small": np.full(100, -3, np.float32)})
        ends.append(memory)
    np.testing.assert_array_equal(*ends)
    plain, turned = drawn(0)["weight"], np.asfortranarray(drawn(0)["weight"])
    for array in (plain, turned):
        own = downslope.numpy.SGD({"w": array}, **RULE, velocity_dtype="int8")
        own.step({"w": drawn(1)["weight"]})
        own.step({"w": drawn(2)["weight"].astype(np.float64)})
    np.testing.assert_array_equal(plain, turned)


def test_gradients_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel can read as it is, it reads where it lies; what it cannot is made so: unaligned, say, or wide."""
    seen: list[np.ndarray] = []

    def look(_: Any, rows: Any, *__: Any) -> list[Any]:
        seen.extend(row[1] for row in rows)
        return []

    monkeypatch.setattr(downslope.numpy, "step_codes", look)
    optimizer = downslope.numpy.SGD({"w": np.zeros(5000, np.float32)}, **RULE, velocity_dtype="int8")
    plain = np.ones(5000, np.float32)
    unaligned = np.zeros(20001, np.uint8)[1:].view(np.float32)
    for grad in (plain, unaligned, plain.astype(np.float64), np.ones(10000, np.float32)[::2]):
        optimizer.step({"w": grad})
    assert [np.shares_memory(seen[0], plain), np.shares_memory(seen[1], unaligned)] == [True, False]
    assert all(grad.dtype == np.float32 and grad.flags.c_contiguous and grad.flags.aligned for grad in seen)


def test_what_does_not_combine_is_refused() -> None:
    """float64 and complex parameters, another word, codes that do not fit, insisting on a kernel that cannot."""
    for dtype in (np.float64, np.complex64):
        with pytest.raises(SettingsError, match="is for parameters of float32, float16 and bfloat16, and `w` is"):
            downslope.numpy.SGD({"w": np.zeros(5000, dtype)}, lr=0.1, momentum=0.9, velocity_dtype="int8")
    with pytest.raises(SettingsError, match="`velocity_dtype` must be None or \"int8\"; got 'float16'"):
        downslope.numpy.SGD({"w": np.zeros(5)}, lr=0.1, velocity_dtype="float16")
    params = drawn(0)
    optimizer = downslope.numpy.SGD(params, **RULE, velocity_dtype="int8")
    run(range(1), params, optimizer)
    state = optimizer.state_dict()
    with pytest.raises(StateError, match="the codes of `weight` must be int8"):
        optimizer.load_state_dict({**state, "scales": {**state["scales"], "weight": np.zeros(3, np.float32)}})
    with pytest.raises(StateError, match="with the same names"):
        optimizer.load_state_dict({**state, "scales": {}})
    with pytest.raises(StateError, match="`weight` has both a velocity and codes"):
        optimizer.load_state_dict({**state, "velocity": {**state["velocity"], "weight": params["weight"]}})
    with pytest.raises(SettingsError, match="`velocity_dtype` must be None"):
        downslope.numpy.SGD(params, lr=0.1, velocity_dtype=np.zeros(2))  # type: ignore[arg-type]
    if load_native() is not None:
        turned = {"w": np.asfortranarray(np.zeros((80, 60), np.float32))}
        insisting = downslope.numpy.SGD(turned, **RULE, velocity_dtype="int8", fused=True)
        with pytest.raises(SettingsError, match="takes contiguous NumPy arrays"):
            insisting.step({"w": np.ones((80, 60), np.float32)})


def test_codes_of_a_small_parameter_become_its_velocity() -> None:
    """Whoever made them: here such a parameter keeps none, and what they stand for is not lost."""
    params = drawn(0)
    optimizer = downslope.numpy.SGD(params, **RULE, velocity_dtype="int8")
    run(range(1), params, optimizer)
    state = optimizer.state_dict()
    codes, scales = encode(state["velocity"].pop("bias"))
    state["codes"]["bias"], state["scales"]["bias"] = codes, scales
    with pytest.warns(UserWarning, match="turned 1 velocities of 8 bits"):
        optimizer.load_state_dict(state)
    assert "bias" not in optimizer.state_dict()["codes"]
    np.testing.assert_array_equal(optimizer.velocity["bias"], decode(codes, scales))


def test_a_velocity_of_another_format_is_taken_where_nothing_is_lost() -> None:
    """float32 into float64, and into codes from any real format; what a parameter's format cannot hold is refused."""
    kind = pytest.importorskip("ml_dtypes").bfloat16
    wide = downslope.numpy.SGD(drawn(0, np.float64), **RULE)
    saved = {"step": 1, "velocity": drawn(1)}
    wide.load_state_dict(saved)
    assert all(wide.velocity[name].dtype == np.float64 for name in SHAPES)
    np.testing.assert_array_equal(wide.velocity["weight"], saved["velocity"]["weight"])
    with pytest.raises(StateError, match="the velocity of `weight` is .* of float64, the parameter .* of float32"):
        downslope.numpy.SGD(drawn(0), **RULE).load_state_dict({"step": 1, "velocity": drawn(1, np.float64)})
    with pytest.raises(StateError, match="of complex64, the parameter"):
        wide.load_state_dict({"step": 1, "velocity": drawn(1, np.complex64)})
    narrow = downslope.numpy.SGD(drawn(0, kind), **RULE, velocity_dtype="int8")
    state = {"step": 1, "velocity": {"weight": drawn(1)["weight"], "bias": drawn(1, kind)["bias"]}}
    with pytest.warns(UserWarning, match="rounded 1 velocities to 8 bits"):
        narrow.load_state_dict(state)
    np.testing.assert_array_equal(narrow.state_dict()["codes"]["weight"], encode(drawn(1)["weight"])[0])
    with pytest.raises(StateError, match="the velocity of `bias` is .* of float32, the parameter .* of bfloat16"):
        narrow.load_state_dict({"step": 1, "velocity": drawn(1)})
