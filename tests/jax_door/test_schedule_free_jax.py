"""`downslope.jax.schedule_free_sgd`: the rule in every step, compiled or not, and optax's own where they agree."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import downslope.numpy
from downslope import Group, ScheduleFree
from downslope.core.errors import GroupError, SettingsError, StateError
from downslope.core.schedule_free import evaluation_point
from downslope.jax import CodedVelocity, schedule_free_eval_params, schedule_free_sgd, sgd, take_step
from downslope.kernel import xla
from downslope.schedules import Warmup

SETTINGS = [
    ScheduleFree(),
    ScheduleFree(lr=0.3, momentum=0.8, weight_decay=0.1, warmup_steps=4, r=1.0),
    ScheduleFree(lr=Warmup(duration=3, then=0.5), momentum=0.95, weight_lr_power=1.0, maximize=True),
]


def grads_of(step: int) -> dict[str, Any]:
    """Return gradients that depend on the step alone; at one of them a parameter has none."""
    draw = np.random.default_rng(step)
    grads: dict[str, Any] = {"a": draw.normal(size=(3, 2)), "b": draw.normal(size=5)}
    return {**grads, "b": None} if step == 4 else grads


def trained(optimizer: Any, dtype: Any, steps: int = 9, *, jitted: bool = False) -> tuple[Any, Any]:
    """Return (params, state) after steps from ones."""
    params: Any = {"a": jnp.ones((3, 2), dtype), "b": jnp.ones(5, dtype)}
    state = optimizer.init(params)
    update = jax.jit(optimizer.update) if jitted else optimizer.update
    for step in range(steps):
        grads = {name: None if grad is None else jnp.asarray(grad, dtype) for name, grad in grads_of(step).items()}
        updates, state = update(grads, state, params)
        params = {name: p if updates[name] is None else p + updates[name] for name, p in params.items()}
    return params, state


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("jitted", [False, True])
def test_steps_are_the_rules(settings: Any, *, jitted: bool) -> None:
    """y and x in float64 and in float32, a missing gradient among them; as in NumPy, which runs the rule itself."""
    for dtype, within in ((jnp.float64, 1e-12), (jnp.float32, 1e-5)):
        with jax.enable_x64(dtype == jnp.float64):
            params, state = trained(schedule_free_sgd(settings=settings), dtype, jitted=jitted)
            points = schedule_free_eval_params(state, params)
        for name, shape in (("a", (3, 2)), ("b", 5)):
            y, velocity = np.ones(shape), np.zeros(shape)
            for step in range(9):
                if (grad := grads_of(step)[name]) is not None:
                    delta, velocity = settings.at(step).rule(y, grad, velocity)
                    y = y + delta
            np.testing.assert_allclose(params[name], y, rtol=within, atol=within)
            x = evaluation_point(y, velocity, settings.momentum)
            np.testing.assert_allclose(points[name], x, rtol=within, atol=within)


def test_optaxs_own_agrees_without_a_warmup() -> None:
    """optax.contrib.schedule_free_sgd, whose warmup begins at 0 and has the average a step ahead."""
    with jax.enable_x64(True):
        params: Any = {"a": jnp.ones((3, 2)), "b": jnp.ones(5)}
        ours = schedule_free_sgd(lr=0.3, momentum=0.8, weight_decay=0.1)
        theirs = optax.contrib.schedule_free_sgd(0.3, b1=0.8, weight_decay=0.1)
        mine: Any = params
        own: Any = params
        state: Any = ours.init(params)
        other: Any = theirs.init(params)
        for step in range(4):  # before the missing gradient
            grads: Any = jax.tree.map(jnp.asarray, grads_of(step))
            updates, state = ours.update(grads, state, mine)
            mine = optax.apply_updates(mine, updates)
            updates, other = theirs.update(grads, other, own)
            own = optax.apply_updates(own, updates)
        points: Any = schedule_free_eval_params(state, mine)
        expected: Any = optax.contrib.schedule_free_eval_params(other, own)
        for name in params:
            np.testing.assert_allclose(mine[name], own[name], rtol=1e-12)
            np.testing.assert_allclose(points[name], expected[name], rtol=1e-12)


def test_a_long_sum_of_weights_keeps_its_digits() -> None:
    """Beyond 2**24 steps a float32 alone would stop to grow; and narrow parameters keep a velocity of float32."""
    optimizer: Any = schedule_free_sgd(lr=1.0, velocity_dtype=jnp.float32)
    params: Any = {"a": jnp.ones(2, jnp.bfloat16)}
    state = optimizer.init(params)._replace(count=jnp.int32(2**25), weight_sum=jnp.float32(2**25))
    for _ in range(3):
        _, state = optimizer.update({"a": jnp.ones(2, jnp.bfloat16)}, state, params)
    assert float(state.weight_sum) + float(state.weight_rest) == 2**25 + 3
    assert state.velocity["a"].dtype == jnp.float32


GROUPS = [Group(match="small", momentum=0.6, weight_decay=0.0), Group(match="late", lr=0.05)]


def beside_numpy(take: Any, velocity_dtype: Any) -> list[Any]:
    """Return (params, state, x) of five steps with groups, and NumPy's optimizer after the same."""
    start = np.random.default_rng(0)
    shapes = {"large": (70, 60), "small": (5,), "late": (4, 3)}
    arrays = {name: start.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    params: Any = {name: jnp.asarray(array) for name, array in arrays.items()}
    optimizer: Any = schedule_free_sgd(settings=SETTINGS[1], groups=GROUPS, velocity_dtype=velocity_dtype)
    numpys = downslope.numpy.SGD(arrays, settings=SETTINGS[1], groups=GROUPS, velocity_dtype=velocity_dtype)
    state, step_by = optimizer.init(params), jax.jit(take, static_argnums=0, donate_argnums=(2, 3))
    for step in range(1, 6):
        draw = np.random.default_rng(step)
        grads = {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        params, state = step_by(optimizer, {name: jnp.asarray(grad) for name, grad in grads.items()}, state, params)
        numpys.step(grads)
    return [params, state, schedule_free_eval_params(state, params), numpys]


def updated(optimizer: Any, grads: Any, state: Any, params: Any) -> Any:
    """Take a step as optax does."""
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


@pytest.mark.parametrize("velocity_dtype", [None, "int8"])
@pytest.mark.parametrize("take", [updated, take_step])
def test_groups_codes_and_steps_in_place_are_those_of_numpy(take: Any, velocity_dtype: Any) -> None:
    """Each group with its own lr, b and average; y and x as NumPy has them, in codes too."""
    params, state, points, numpys = beside_numpy(take, velocity_dtype)
    assert isinstance(state.velocity["large"], CodedVelocity) == (velocity_dtype == "int8")
    assert len(state.weight_sum) == 3
    expected = numpys.evaluation_params()
    for name, param in params.items():
        np.testing.assert_allclose(param, numpys.params[name], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(points[name], expected[name], rtol=1e-5, atol=1e-4)
    if velocity_dtype == "int8":
        ours, theirs = np.asarray(state.velocity["large"].codes, int), numpys.state_dict()["codes"]["large"]
        assert (np.abs(ours - theirs) <= 1).all()
        assert (ours != theirs).mean() < 1e-2


def test_a_step_in_place_is_the_kernels() -> None:
    """Where there is a kernel, `take_step` calls it; a state of a flax file, a table, is read too."""
    optimizer, params = schedule_free_sgd(lr=0.5, velocity_dtype="int8"), {"w": jnp.ones((64, 64)), "b": jnp.ones(3)}
    state = optimizer.init(params)
    if xla.is_registered():
        text = jax.jit(lambda s, p: take_step(optimizer, p, s, p)).lower(state, params).as_text()
        assert xla.TARGET in text
    table = state._replace(velocity={"w": state.velocity["w"]._asdict(), "b": state.velocity["b"]})
    for own in (state, table):
        assert (schedule_free_eval_params(own, params)["w"] == 1).all()


def test_refusals() -> None:
    """What belongs to another method, or is missing, is said."""
    optimizer: Any = schedule_free_sgd(lr=0.5)
    params: Any = {"a": jnp.ones(2)}
    with pytest.raises(SettingsError, match="schedule-free SGD needs the parameters"):
        optimizer.update(params, optimizer.init(params))
    with pytest.raises(StateError, match="must be a ScheduleFreeState"):
        optimizer.update(params, sgd(lr=0.1).init(params), params)
    with pytest.raises(StateError, match="Of a chain give the part"):
        schedule_free_eval_params(sgd(lr=0.1).init(params), params)
    with pytest.raises(SettingsError, match="a set has no order"):
        schedule_free_sgd(lr=0.5, groups={Group(match="a", lr=0.1)})  # type: ignore[arg-type]
    with pytest.raises(GroupError, match="`nesterov` and `schedule_free` do not go together"):
        schedule_free_sgd(lr=0.5, groups=[Group(match="a", nesterov=True)])
    with pytest.raises(StateError, match="averages of 1 sets of settings, the optimizer 2"):
        schedule_free_sgd(lr=0.5, groups=[Group(match="a", lr=0.1)]).update(params, optimizer.init(params), params)
    with pytest.raises(SettingsError, match="holds all hyperparameters"):
        schedule_free_sgd(lr=0.5, settings=ScheduleFree())
    with pytest.raises(SettingsError, match=r"another method\. downslope\.torch\.ScheduleFreeSGD"):
        sgd(settings=ScheduleFree())
    with pytest.raises(TypeError, match="`nesterov`"):
        schedule_free_sgd(lr=0.5, nesterov=True)  # type: ignore[call-arg]
