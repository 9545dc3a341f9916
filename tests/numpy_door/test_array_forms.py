"""Which arrays go to the kernel and which to the rule; that both give the same; and that nothing else is written."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from array_forms import DENSE, GRADIENTS, OTHERS

from downslope import kernel
from downslope.core.errors import SettingsError
from downslope.numpy import SGD

SETTINGS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
SHAPE = (4, 3, 5)
FORMATS = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)

pytestmark = pytest.mark.skipif(kernel.load_native() is None, reason=f"no kernel here: {kernel.backend()}")


def noise(seed: int, dtype: Any = np.float32, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Return values that float16 and bfloat16 hold exactly."""
    return np.asarray(np.random.default_rng(seed).integers(-8, 9, shape) / 4).astype(dtype)


@pytest.fixture
def by_rule(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the list of names that the rule has stepped so far."""
    names: list[str] = []
    original = SGD._step_by_rule

    def noted(self: SGD, name: str, *arguments: Any) -> None:
        names.append(name)
        original(self, name, *arguments)

    monkeypatch.setattr(SGD, "_step_by_rule", noted)
    return names


def compare(param: np.ndarray, make_grad: Any, *, rounding: float = 3e-6, fused: bool | None = None) -> SGD:
    """Step thrice beside the rule on a plain copy, and compare parameters and velocities; return the optimizer."""
    ours, theirs = {"w": param}, {"w": np.array(param)}
    optimizer, rule = SGD(ours, fused=fused, **SETTINGS), SGD(theirs, fused=False, **SETTINGS)
    for step in range(3):
        grad = make_grad(noise(step + 1, np.float32, param.shape))
        kept = np.array(grad)
        optimizer.step({"w": grad})
        np.testing.assert_array_equal(np.asarray(grad), kept)
        rule.step({"w": kept})
        for mine, other in ((ours, theirs), (optimizer.velocity, rule.velocity)):
            assert mine["w"].dtype == param.dtype
            actual, expected = (np.asarray(x["w"]).astype(np.complex128) for x in (mine, other))
            np.testing.assert_allclose(actual, expected, rtol=rounding, atol=rounding)
    return optimizer


@pytest.mark.parametrize("form", DENSE)
@pytest.mark.parametrize("dtype", FORMATS, ids=lambda dtype: dtype.__name__)
def test_dense_arrays_go_to_the_kernel(dtype: Any, form: str, by_rule: list[str]) -> None:
    """In any order of axes, of each format; by default, and with fused=True."""
    rounding = {2: 0.02, 4: 3e-6, 8: 1e-14}[np.dtype(dtype).itemsize]
    for fused in (None, True):
        optimizer = compare(
            DENSE[form](noise(0, dtype)), lambda v: DENSE[form](v.astype(dtype)), rounding=rounding, fused=fused
        )
        assert optimizer.velocity["w"].strides == optimizer.params["w"].strides
    assert by_rule == ["w"] * 6  # those of the copies


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 0, 4), (1, 7, 1), (1,) * 20], ids=str)
def test_small_shapes_go_to_the_kernel(shape: tuple[int, ...], by_rule: list[str]) -> None:
    """0-d arrays, arrays without elements, axes of one element."""
    compare(noise(0, np.float32, shape), np.copy, fused=True)
    assert by_rule == ["w"] * 3


def test_axes_of_one_element_may_have_any_stride(by_rule: list[str]) -> None:
    """A column of a matrix of one column is dense, whatever NumPy calls the stride of the other axis."""
    memory = np.ones((6, 1, 1), np.float32)
    param = np.lib.stride_tricks.as_strided(memory, (6, 1), (4, 999))
    compare(param, lambda values: values, fused=True)
    assert by_rule == ["w"] * 3


@pytest.mark.parametrize("form", OTHERS)
def test_other_arrays_go_to_the_rule(form: str, by_rule: list[str]) -> None:
    """Each gets the same step; with fused=True it is refused by name, and nothing moves."""
    compare(OTHERS[form](noise(0)), np.copy)
    assert by_rule == ["w"] * 6
    params = {"plain": noise(0), "odd": OTHERS[form](noise(0))}
    optimizer = SGD(params, lr=0.1, fused=True)
    with pytest.raises(SettingsError, match="`odd` is not for the kernel: it is a.*shape .4, 3, 5.") as caught:
        optimizer.step({"plain": noise(1), "odd": noise(1)})
    assert "Leave fused None" in str(caught.value)
    np.testing.assert_array_equal(params["plain"], noise(0))
    assert optimizer.step_count == 0
    assert not optimizer.velocity


def test_the_rest_of_a_step_goes_to_the_kernel(by_rule: list[str]) -> None:
    """One odd parameter among others is stepped by the rule, alone."""
    params = {"a": noise(0), "odd": OTHERS["with gaps"](noise(0)), "b": noise(0)}
    optimizer = SGD(params, **SETTINGS)
    for step in range(3):
        optimizer.step(dict.fromkeys(params, noise(step)))
    assert by_rule == ["odd"] * 3
    np.testing.assert_allclose(params["a"], params["odd"], rtol=3e-6, atol=3e-6)
    np.testing.assert_array_equal(params["a"], params["b"])


@pytest.mark.parametrize("form", GRADIENTS)
@pytest.mark.parametrize("param_form", DENSE)
def test_a_gradient_in_any_form_is_read(form: str, param_form: str, by_rule: list[str]) -> None:
    """Layout, format, byte order, lists: a float32 parameter takes it to the kernel, and only reads it."""
    compare(DENSE[param_form](noise(0)), GRADIENTS[form], fused=True)
    assert by_rule == ["w"] * 3


def test_half_precision_reads_a_wider_gradient_in_full(by_rule: list[str]) -> None:
    """2049 is no float16: float16(4096 - 2049) would be 2048 by way of float16, and is 2047 by the rule."""
    for dtype in (np.float16, ml_dtypes.bfloat16):
        param = np.full(3, 4096, dtype)
        optimizer = SGD({"w": param}, lr=1.0)
        for _ in range(2):
            param[...] = 4096
            optimizer.step({"w": np.full(3, 2049, np.float32)})
            assert param.tolist() == [np.asarray(2047).astype(dtype)] * 3
    assert by_rule == ["w"] * 4
    with pytest.raises(SettingsError, match="`w` is not for the kernel: its gradient is an array of float32"):
        SGD({"w": np.ones(3, np.float16)}, lr=1.0, fused=True).step({"w": np.ones(3, np.float32)})


def test_bfloat16_is_known_without_importing_it() -> None:
    """The door finds `ml_dtypes` by its array's dtype; another type of 16 bits stays refused."""
    import subprocess
    import sys

    program = "import sys, downslope.numpy; sys.exit('ml_dtypes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    with pytest.raises(SettingsError, match="array of |V2"):
        SGD({"w": np.zeros(3, "V2")}, lr=0.1)


def test_coefficients_beyond_float32_go_to_the_rule(by_rule: list[str]) -> None:
    """lr * weight_decay = 1e60 is no float32, the rule's own products are: parameters of 0 stay 0."""
    param = np.zeros(3, np.float32)
    settings: dict[str, Any] = {"lr": 1e30, "weight_decay": 1e30}
    optimizer = SGD({"w": param}, **settings)
    for _ in range(2):
        optimizer.step({"w": np.zeros(3, np.float32)})
    assert (param == 0).all()
    assert by_rule == ["w"] * 2
    with pytest.raises(SettingsError, match="its coefficients leave float32's range"):
        SGD({"w": param}, fused=True, **settings).step({"w": np.zeros(3, np.float32)})


@pytest.mark.parametrize("fused", [0, 1, "yes", [True]])
def test_fused_is_a_flag(fused: Any) -> None:
    """Anything but True, False and None is refused."""
    with pytest.raises(SettingsError, match="`fused` must be True, False or None; got "):
        SGD({"w": np.ones(3)}, lr=0.1, fused=fused)


@pytest.mark.parametrize("dtype", FORMATS, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("length", [1, 15, 16, 17, 63, 1000, 4099])
def test_nothing_around_an_array_is_written(dtype: Any, length: int) -> None:
    """Guard zones of 64 elements before and after parameter, gradient and velocity keep their bytes."""

    def guarded(seed: int) -> tuple[np.ndarray, np.ndarray]:
        memory = noise(seed, dtype, (length + 128,))
        return memory, memory[64 : 64 + length]

    (whole, param), (grads, grad), (velocities, velocity) = guarded(1), guarded(2), guarded(3)
    before = [memory.copy() for memory in (whole, grads, velocities)]
    optimizer = SGD({"w": param}, fused=True, **SETTINGS)
    optimizer.velocity["w"] = velocity
    optimizer.step({"w": grad})
    assert optimizer.velocity["w"] is velocity
    for memory, kept in zip((whole, grads, velocities), before, strict=True):
        assert memory[:64].tobytes() == kept[:64].tobytes()
        assert memory[64 + length :].tobytes() == kept[64 + length :].tobytes()
    assert grad.tobytes() == before[1][64 : 64 + length].tobytes()
    assert param.tobytes() != before[0][64 : 64 + length].tobytes()
    assert velocity.tobytes() != before[2][64 : 64 + length].tobytes()


@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_an_array_of_no_dimension_moves_as_one_of_one_element(dtype, fused):
    """The same bits and formats, by the kernel and by the rule (which round apart from each other, as ever)."""
    found = []
    for shape in ((), (1,)):
        params = {"w": np.full(shape, 0.5, dtype)}
        optimizer = SGD(params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=fused)
        for step in range(4):
            optimizer.step({"w": np.full(shape, 0.0125 + 0.003 * step, dtype)})
        assert params["w"].shape == optimizer.velocity["w"].shape == shape
        assert params["w"].dtype == optimizer.velocity["w"].dtype == dtype
        found.append((params["w"].tobytes(), optimizer.velocity["w"].tobytes()))
    assert found[0] == found[1]
