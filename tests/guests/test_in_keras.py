"""Inside Keras: `compile` and `fit` on any backend, its files, its policies, and what its optimizers have in common."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if "KERAS_BACKEND" not in os.environ:
    pytest.skip("KERAS_BACKEND does not say which backend to load; `make guests` does", allow_module_level=True)
keras = pytest.importorskip("keras", reason="Keras is not installed", exc_type=ImportError)
from guest_table import judge  # noqa: E402

import downslope.keras  # noqa: E402
from downslope import Group  # noqa: E402
from downslope.core.errors import DownslopeError  # noqa: E402
from downslope.schedules import Exponential  # noqa: E402

BASE: dict[str, Any] = {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}
STAIRS = Exponential(0.1, rate=0.5, every=3, staircase=True)
THEIR_STAIRS = {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5, "staircase": True}


def data() -> tuple[Any, Any]:
    """Return inputs and targets."""
    random = np.random.default_rng(1)
    return random.normal(size=(32, 6)).astype("float32"), random.normal(size=(32, 3)).astype("float32")


def made(optimizer: Any, policy: str = "float32") -> Any:
    """Return a compiled model, the same numbers each time."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "tanh", name="first", dtype=policy),
            keras.layers.Dense(3, name="second", dtype=policy),
        ]
    )
    model.compile(optimizer=optimizer, loss="mse", steps_per_execution=1)
    return model


def fit(model: Any, epochs: int = 2) -> Any:
    """Fit; return the weights."""
    model.fit(*data(), batch_size=4, epochs=epochs, shuffle=False, verbose=0)
    return model.get_weights()


def trained(kind: Any, policy: str = "float32", **more: Any) -> Any:
    """Return the weights after two epochs."""
    optimizer = kind(**(BASE | more))
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024.0)
    return fit(made(optimizer, policy))


def near(one: Any, other: Any, tolerance: float = 2e-6) -> bool:
    """Whether all numbers are close."""
    return all(np.allclose(a, b, rtol=tolerance, atol=tolerance) for a, b in zip(one, other, strict=True))


@cache
def plain_theirs() -> Any:
    """Return what Keras's own SGD makes of it."""
    return trained(keras.optimizers.SGD)


def same(option: dict[str, Any], their_option: dict[str, Any], tolerance: float = 2e-6) -> str:
    """Return what becomes of an option that Keras's own SGD has too."""
    try:
        found = trained(downslope.keras.SGD, **option)
    except DownslopeError:
        return "refused"
    wanted = trained(keras.optimizers.SGD, **their_option)
    assert not near(wanted, plain_theirs()), "the option would change nothing"
    if near(found, wanted, tolerance):
        return "works"
    assert near(found, plain_theirs())
    return "useless"


def its_file(folder: Path) -> str:
    """Half of the epochs, `save`, `load_model`, the other half: the same bits."""
    through = trained(downslope.keras.SGD, learning_rate=STAIRS)
    model = made(downslope.keras.SGD(**(BASE | {"learning_rate": STAIRS})))
    fit(model, 1)
    model.save(folder / "half.keras")
    resumed = fit(keras.models.load_model(folder / "half.keras"), 1)
    return "works" if all(map(np.array_equal, through, resumed)) else "useless"


def groups(folder: Path) -> str:
    """By names of layers."""
    option = [Group(match="*/bias", weight_decay=0.0)]
    found = trained(downslope.keras.SGD, weight_decay=0.5, groups=option)
    optimizer = keras.optimizers.SGD(**BASE, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return "works" if near(found, fit(made(optimizer))) else "useless"


def plain(folder: Path) -> str:
    """Nothing but SGD."""
    assert near(trained(downslope.keras.SGD), plain_theirs())
    return "works"


def both(**option: Any) -> Any:
    """Return the test of an option that both have by the same name."""
    return lambda folder: same(option, option)


ROWS = {
    "as `keras.optimizers.SGD`": plain,
    "its file": its_file,
    "`learning_rate=` a schedule": lambda folder: same(
        {"learning_rate": STAIRS},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(**THEIR_STAIRS)},
    ),
    "`groups`": groups,
    "its clipping": both(global_clipnorm=0.05),
    "its accumulation": both(gradient_accumulation_steps=2),
    "its moving average": both(use_ema=True, ema_overwrite_frequency=4),
    "its bfloat16": lambda folder: same({"policy": "mixed_bfloat16"}, {"policy": "mixed_bfloat16"}, 1e-3),
    "its loss scaling": lambda folder: same({"policy": "mixed_float16"}, {"policy": "mixed_float16"}, 1e-3),
}


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge("Keras", title, ROWS[title](tmp_path))
