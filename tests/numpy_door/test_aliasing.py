"""Arrays that share memory: a gradient is what it was when the step began, and parameters move one after the other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope import kernel
from downslope.core.errors import SettingsError, StateError
from downslope.kernel.arrays import collect, find_overlaps, overlaps_itself
from downslope.numpy import SGD
from draws import draws

PATHS = pytest.mark.parametrize("fused", [None, False], ids=["default", "rule"])
needs_kernel = pytest.mark.skipif(kernel.load_native() is None, reason=f"no kernel here: {kernel.backend()}")


@PATHS
@pytest.mark.parametrize("strided", [False, True])
def test_gradients_of_a_product_are_each_others_parameters(fused: bool | None, strided: bool) -> None:
    """Of a * b the gradients are b and a, before the step: 3 - 0.5 * 5 and 5 - 0.5 * 3, not 5 - 0.5 * 0.5."""
    params = {name: np.full(8, value)[:: 1 + strided] for name, value in (("a", 3.0), ("b", 5.0))}
    SGD(params, lr=0.5, fused=fused).step({"a": params["b"], "b": params["a"]})
    assert (params["a"] == 0.5).all()
    assert (params["b"] == 3.5).all()


@PATHS
@pytest.mark.parametrize("view", [slice(None), slice(None, None, -1)], ids=["whole", "reversed"])
def test_a_gradient_may_be_a_view_of_its_parameter(fused: bool | None, view: slice) -> None:
    """Of half the squared norm the gradient is the parameter: w - 0.5 * w, or with w reversed."""
    start = np.arange(1.0, 1001.0)
    param = start.copy()
    SGD({"w": param}, lr=0.5, fused=fused).step({"w": param[view]})
    np.testing.assert_array_equal(param, start - 0.5 * start[view])


@PATHS
@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
def test_a_gradient_may_overlap_its_parameter(fused: bool | None, shift: int) -> None:
    """Parameter and gradient are two windows of one memory, shifted by some elements."""
    memory = np.arange(1.0, 101.0)
    before = memory.copy()
    window, other = slice(10, 90), slice(10 + shift, 90 + shift)
    SGD({"w": memory[window]}, lr=0.5, fused=fused).step({"w": memory[other]})
    np.testing.assert_array_equal(memory[window], before[window] - 0.5 * before[other])
    np.testing.assert_array_equal(memory[:10], before[:10])
    np.testing.assert_array_equal(memory[90:], before[90:])


@PATHS
def test_a_velocity_may_be_a_gradient(fused: bool | None) -> None:
    """The optimizer's own velocity, passed as a gradient, is read before it changes: v = 0.5 * v + v."""
    param = np.zeros(4)
    optimizer = SGD({"w": param}, lr=1.0, momentum=0.5, fused=fused)
    optimizer.step({"w": np.ones(4)})
    optimizer.step({"w": optimizer.velocity["w"]})
    assert (optimizer.velocity["w"] == 1.5).all()
    assert (param == -2.5).all()


@PATHS
def test_one_array_under_two_names_takes_both_steps(fused: bool | None) -> None:
    """Tied weights move twice, decay included: 1 - 0.5 * 1 - 0.5 * 1 = 0, then 0 - 0.5 * 0 - 0.5 * 2 = -1."""
    param = np.ones(6)
    optimizer = SGD({"a": param, "b": param}, lr=0.5, weight_decay=1.0, decay="decoupled", fused=fused)
    optimizer.step({"a": np.ones(6), "b": np.full(6, 2.0)})
    assert (param == -1).all()


@PATHS
def test_parameters_that_overlap_move_in_the_order_of_the_gradients(fused: bool | None) -> None:
    """Where two windows meet, both steps are taken, the second from where the first has left."""
    memory = np.ones(10)
    SGD({"a": memory[:6], "b": memory[4:]}, lr=0.5, weight_decay=1.0, decay="decoupled", fused=fused).step(
        {"b": np.zeros(6), "a": np.ones(6)}
    )
    assert memory.tolist() == [0.0] * 4 + [0.5 - 0.25 - 0.5] * 2 + [0.5] * 4


@PATHS
def test_velocities_that_share_memory_part(fused: bool | None) -> None:
    """One array set as the velocity of two parameters: each is read as it was, and then has its own."""
    optimizer = SGD({"a": np.zeros(3), "b": np.zeros(3)}, lr=1.0, momentum=0.5, fused=fused)
    optimizer.velocity = dict.fromkeys("ab", np.ones(3))
    optimizer.step({"a": np.ones(3), "b": np.full(3, 2.0)})
    assert (optimizer.velocity["a"] == 1.5).all()
    assert (optimizer.velocity["b"] == 2.5).all()
    optimizer.step({"a": np.ones(3), "b": np.full(3, 2.0)})
    assert (optimizer.velocity["a"] == 1.75).all()
    assert (optimizer.velocity["b"] == 3.25).all()


@needs_kernel
def test_the_kernel_shares_gradients_and_refuses_shared_parameters() -> None:
    """One array as the gradient of two is only read; with fused=True two parameters on one memory are an error."""
    params = {"a": np.zeros(3), "b": np.zeros(3)}
    optimizer = SGD(params, lr=1.0, fused=True)
    grad = np.ones(3)
    for _ in range(2):
        optimizer.step({"a": grad, "b": grad})
    assert (params["a"] == -2).all()
    assert (params["b"] == -2).all()
    memory = np.ones(10)
    optimizer = SGD({"a": memory[:6], "b": memory[4:]}, lr=1.0, fused=True)
    with pytest.raises(SettingsError, match=r"`a` is not for the kernel: .*shares memory.* Leave fused None"):
        optimizer.step({"a": np.ones(6), "b": np.ones(6)})
    assert (memory == 1).all()
    assert not optimizer.velocity


def windows(count: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Draw windows (first element, length) of a memory of 24 elements."""
    return st.lists(st.tuples(st.integers(0, 23), st.integers(0, 8)), min_size=count, max_size=count)


@settings(max_examples=draws(60))
@given(at=windows(3), sources=windows(3), strided=st.booleans(), momentum=st.sampled_from([0.0, 0.5]))
def test_any_windows_of_one_memory(at: Any, sources: Any, strided: bool, momentum: float) -> None:
    """Both paths do what happens to parameters one by one, whose gradients were copied before."""
    lengths = [min(n, 24 - a, 24 - b) for (a, n), (b, _) in zip(at, sources, strict=True)]

    def window(memory: np.ndarray, i: int, starts: Any) -> np.ndarray:
        part = memory[starts[i][0] : starts[i][0] + lengths[i]]
        return part[::2] if strided and i == 1 else part

    start = np.random.default_rng(0).standard_normal(24)
    expected = start.copy()
    velocities = [np.zeros(window(expected, i, at).shape) for i in range(3)]
    for _ in range(2):
        grads = [window(expected, i, sources).copy() for i in range(3)]
        for i in range(3):
            velocities[i] = momentum * velocities[i] + grads[i]
            window(expected, i, at)[...] -= 0.25 * velocities[i]
    for fused in (None, False):
        memory = start.copy()
        optimizer = SGD({str(i): window(memory, i, at) for i in range(3)}, lr=0.25, momentum=momentum, fused=fused)
        for _ in range(2):
            optimizer.step({str(i): window(memory, i, sources) for i in range(3)})
        np.testing.assert_allclose(memory, expected, rtol=1e-12, atol=1e-12)


@needs_kernel
@settings(max_examples=draws(100))
@given(params=windows(3), velocities=windows(3), grads=windows(3), axes=st.sampled_from([1, 2]))
def test_overlaps_are_found_where_elements_are_shared(params: Any, velocities: Any, grads: Any, axes: int) -> None:
    """The compiled search, the one in Python and the sets of addresses agree on dense arrays."""
    memory = np.zeros(64)
    lengths = [n for _, n in params]

    def arrays(starts: Any) -> dict[str, np.ndarray]:
        parts = (memory[a : a + 2 * n] for (a, _), n in zip(starts, lengths, strict=True))
        return {str(i): part.reshape(2, -1).T if axes == 2 else part for i, part in enumerate(parts)}

    def places(starts: Any) -> list[set[int]]:
        return [set(range(a, a + 2 * n)) for (a, _), n in zip(starts, lengths, strict=True)]

    written, read = places(params) + places(velocities), places(grads)
    twice = any(written[i] & written[j] for i in range(6) for j in range(i))
    reads = any(r & w for r in read for w in written)
    p, v, g = (arrays(starts) for starts in (params, velocities, grads))
    step = collect(kernel.load_native(), g, p, v, {}, dict.fromkeys(p, "settings"))
    assert (step.rest, step.unfit, step.missing) == ([], [], [])
    assert (step.reads_what_it_writes, step.writes_twice) == (reads, twice)
    assert find_overlaps([*p.values(), *v.values()], g.values()) == (reads, twice)
    assert step.is_whole == (not reads and not twice)
    if not step.is_whole:
        with pytest.raises(RuntimeError, match="overlap"):
            step.run([0.0] * 6 * len(step.kinds))


VIEWS = {
    "sliding windows": lambda array: np.lib.stride_tricks.sliding_window_view(array, 4, writeable=True),
    "one row, repeated": lambda array: np.lib.stride_tricks.as_strided(array, (3, 8), (0, 8)),
    "interleaved rows": lambda array: np.lib.stride_tricks.as_strided(array, (10, 10), (40, 8)),
    "half an element on": lambda array: np.lib.stride_tricks.as_strided(array, (8,), (4,)),
}


@PATHS
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_what_overlaps_itself_is_refused(fused: bool | None, view: Any) -> None:
    """A parameter of whose elements some share memory would take one of their steps and lose the others."""
    memory = np.ones(100)
    with pytest.raises(SettingsError, match="`w` has elements that share memory"):
        SGD({"w": view(memory)}, lr=0.5, fused=fused)
    optimizer = SGD({"w": view(memory).copy()}, lr=0.5, momentum=0.5, fused=fused)
    optimizer.step({"w": np.ones(view(memory).shape)})
    optimizer.velocity["w"] = view(memory)
    with pytest.raises(StateError, match="velocity of `w` has elements that share memory"):
        optimizer.step({"w": np.ones(view(memory).shape)})
    assert (memory == 1).all()


@settings(max_examples=draws(50), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-40, 40)), min_size=1, max_size=3))
def test_an_overlap_is_found_as_by_counting(axes: list[tuple[int, int]]) -> None:
    """Of views of 8-byte elements with any steps: whether two of the places that elements begin at lie closer."""
    memory = np.ones(200)
    shape, strides = zip(*axes, strict=True)
    view = np.lib.stride_tricks.as_strided(memory[100:], shape, strides)
    places = sorted(sum(i * stride for i, stride in zip(index, strides, strict=True)) for index in np.ndindex(*shape))
    closest = min((after - before for before, after in pairwise(places)), default=8)
    assert overlaps_itself(view) == (closest < 8)


@pytest.mark.parametrize("strides", [(0, 0), (0, 8), (8, 8)])
def test_an_overlap_of_more_elements_than_any_memory_holds_is_found(strides: tuple[int, int]) -> None:
    """Without counting them: a view of a million rows of a million elements takes no memory itself."""
    view = np.lib.stride_tricks.as_strided(np.ones(4), (10**6, 10**6), strides)
    assert overlaps_itself(view)
