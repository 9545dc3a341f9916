"""`downslope.numpy.SGD` with settings of schedule-free SGD: the rule by the kernel and without, and x."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from downslope import Group, ScheduleFree
from downslope.core.errors import SettingsError
from downslope.core.schedule_free import evaluation_point
from downslope.numpy import SGD

SETTINGS = ScheduleFree(lr=0.3, momentum=0.8, weight_decay=0.1, warmup_steps=4, r=1.0)


@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-13), (np.float32, 1e-5), (np.float16, 5e-3)])
@pytest.mark.parametrize("fused", [None, False])
def test_steps_are_the_rules(fused: Any, dtype: Any, within: float) -> None:
    """y and x of two groups, saved and gone on with in the middle."""
    shapes = {"weight": (70, 60), "bias": (5,)}
    groups = [Group(match="bias", lr=0.1)]
    params = {name: np.ones(shape, dtype) for name, shape in shapes.items()}
    optimizer = SGD(params, settings=SETTINGS, groups=groups, fused=fused)
    exact: dict[str, Any] = {name: (np.ones(shape), np.zeros(shape)) for name, shape in shapes.items()}
    for step in range(8):
        draw = np.random.default_rng(step)
        grads = {name: draw.normal(size=shape) for name, shape in shapes.items()}
        optimizer.step({name: grad.astype(dtype) for name, grad in grads.items()})
        for name, (y, velocity) in exact.items():
            settings: Any = groups[0].apply(SETTINGS) if name == "bias" else SETTINGS
            delta, after = settings.at(step).rule(y, grads[name], velocity)
            exact[name] = y + delta, after
        if step == 3:
            state, optimizer = optimizer.state_dict(), SGD(params, settings=SETTINGS, groups=groups, fused=fused)
            optimizer.load_state_dict(state)
    points = optimizer.evaluation_params()
    for name, (y, velocity) in exact.items():
        np.testing.assert_allclose(params[name], y, rtol=within, atol=within)
        np.testing.assert_allclose(points[name], evaluation_point(y, velocity, 0.8), rtol=within, atol=within)
        assert points[name].dtype == dtype


def test_eight_bits_have_the_same_bits_without_the_kernel() -> None:
    """Differences in codes, by the kernel and by NumPy; x is read out of the codes."""
    both = []
    for fused in (None, False):
        params = {"weight": np.linspace(-1, 1, 5000, dtype=np.float32)}
        optimizer = SGD(params, settings=SETTINGS, velocity_dtype="int8", fused=fused)
        for step in range(5):
            optimizer.step({"weight": np.random.default_rng(step).normal(size=5000).astype(np.float32)})
        both.append((params["weight"], optimizer.evaluation_params()["weight"]))
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one, other)


def test_x_is_of_schedule_free_sgd_alone() -> None:
    """SGD's parameters are what is evaluated."""
    with pytest.raises(SettingsError, match=r"is for settings=ScheduleFree\(\.\.\.\)"):
        SGD({"weight": np.ones(2)}, lr=0.1).evaluation_params()
