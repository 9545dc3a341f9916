"""Arrays of other frameworks at the NumPy front door: refused as parameters, read as gradients, never written to."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
import torch

from downslope.core.errors import SettingsError
from downslope.numpy import SGD

PATHS = pytest.mark.parametrize("fused", [None, False], ids=["default", "rule"])


class OwnTensor(torch.Tensor):
    """A tensor of a user's own type."""


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: jax.numpy.ones(3),
            ["`w` must be a NumPy array", "jax.Array", "np.array(x) copies it", "downslope.jax.sgd"],
        ),
        (lambda: torch.ones(3), ["`w` must be a NumPy array", "torch.Tensor", "downslope.torch.SGD"]),
        (lambda: torch.nn.Parameter(torch.ones(3)), ["torch.Tensor", "downslope.torch.SGD"]),
        (lambda: torch.ones(3).as_subclass(OwnTensor), ["torch.Tensor", "downslope.torch.SGD"]),
        (lambda: memoryview(bytearray(8)), ["`w` must be a NumPy array", "memoryview", "np.asarray"]),
        (lambda: np.float32(1.0), ["`w` must be a NumPy array", "float32", "np.asarray"]),
        (lambda: None, ["`w` must be a NumPy array", "NoneType"]),
    ],
    ids=["jax", "torch", "torch parameter", "tensor subclass", "memoryview", "NumPy scalar", "None"],
)
def test_a_parameter_of_another_framework_is_refused(make: Any, words: list[str]) -> None:
    """At once, or at the step where it was put in a parameter's place: the message names the door to go to."""
    with pytest.raises(SettingsError) as caught:
        SGD({"w": make()}, lr=0.1)
    optimizer = SGD({"v": np.ones(2), "w": np.ones(3)}, lr=0.1)
    optimizer.params["w"] = make()
    with pytest.raises(SettingsError) as later:
        optimizer.step({"v": np.ones(2), "w": np.ones(3)})
    for word in words:
        assert word in str(caught.value)
        assert word in str(later.value)
    assert (optimizer.params["v"] == 1).all()


def test_a_view_of_a_jax_array_is_never_written() -> None:
    """What NumPy sees of a jax.Array is read-only, and refused as a parameter."""
    array = jax.numpy.ones(3)
    with pytest.raises(SettingsError, match="read-only"):
        SGD({"w": np.asarray(array)}, lr=0.1)
    assert (np.asarray(array) == 1).all()


@PATHS
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_jax_gradient_is_read_and_stays(dtype: str, fused: bool | None) -> None:
    """A jax.Array steps like its copy, with momentum, decay and ascent, and is what it was afterwards."""
    grad = jax.numpy.arange(-8.0, 8.0).astype(dtype)
    kept = np.array(grad)
    options: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}
    ours, theirs = {"w": np.ones(16, kept.dtype)}, {"w": np.ones(16, kept.dtype)}
    optimizer, other = SGD(ours, fused=fused, **options), SGD(theirs, fused=fused, **options)
    for _ in range(3):
        optimizer.step({"w": grad})
        other.step({"w": kept})
    assert ours["w"].tobytes() == theirs["w"].tobytes()
    assert np.array(grad).tobytes() == kept.tobytes()
    assert not np.shares_memory(optimizer.velocity["w"], np.asarray(grad))


@PATHS
def test_a_velocity_never_lies_in_a_gradient(fused: bool | None) -> None:
    """A first gradient with momentum becomes the velocity by value, not by reference, whatever it is."""
    for grad in (jax.numpy.ones(4), torch.ones(4), np.ones(4, np.float32)):
        optimizer = SGD({"w": np.zeros(4, np.float32)}, lr=1.0, momentum=0.5, fused=fused)
        for _ in range(2):
            optimizer.step({"w": grad})
        assert (np.asarray(grad) == 1).all()
        assert (optimizer.velocity["w"] == 1.5).all()


@PATHS
def test_a_torch_gradient_is_read(fused: bool | None) -> None:
    """A tensor is read where it lies, the parameter's own memory too; one that tracks gradients is refused."""
    param = np.full(4, 8.0, np.float32)
    optimizer = SGD({"w": param}, lr=0.5, fused=fused)
    optimizer.step({"w": torch.from_numpy(param)})
    assert (param == 4).all()
    with pytest.raises(SettingsError, match="the gradient of `w` cannot be read as an array of numbers: .*detach"):
        optimizer.step({"w": torch.ones(4, requires_grad=True)})
    assert (param == 4).all()


def test_the_door_imports_no_framework() -> None:
    """Refusing what is not NumPy's looks at a type's module alone."""
    program = """
import sys
import numpy as np
from downslope.numpy import SGD
params = {"w": np.ones(3)}
SGD(params, lr=0.5).step({"w": [1.0, 1.0, 1.0]})
try:
    SGD({"w": "words"}, lr=0.5)
except ValueError:
    print(sorted({"jax", "torch", "ml_dtypes", "tensorflow"} & set(sys.modules)), params["w"].tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] [0.5, 0.5, 0.5]\n"
