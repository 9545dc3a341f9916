"""Programs of schedule-free SGD: what they make takes the recipe's own steps, and who has none is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from downslope import Recipe, ScheduleFree, export
from downslope.core.errors import ExportError
from downslope.core.schedule_free import evaluation_point
from downslope.recipe.load import parse_recipe

TEXT = """
[sgd]
lr = 0.5
momentum = 0.8
weight_decay = 0.1
schedule_free = true
warmup_steps = 3
[train]
epochs = 2
[[groups]]
match = "*.bias"
weight_decay = 0.0
"""
START = {"weight": [1.0, -2.0], "bias": [0.5]}
STEPS = 8


def changed(**overrides: str) -> Recipe:
    """Return the recipe with overrides; dots in their names are two underscores."""
    return parse_recipe(TEXT, "test", [(name.replace("__", "."), value) for name, value in overrides.items()])


def grad_of(step: int, size: int) -> Any:
    """Return the gradient of a step, which depends on nothing else."""
    return np.random.default_rng(step + 10 * size).normal(size=size)


def expected(recipe: Recipe) -> dict[str, Any]:
    """Return x of each parameter after the steps, by the rule."""
    found: dict[str, Any] = {}
    for name, start in START.items():
        settings: Any = recipe.groups[0].apply(recipe.sgd) if name == "bias" and recipe.groups else recipe.sgd
        param, velocity = np.array(start), np.zeros(len(start))
        for step in range(STEPS):
            delta, velocity = settings.at(step).rule(param, grad_of(step, len(start)), velocity)
            param = param + delta
        found[name] = evaluation_point(param, velocity, settings.momentum)
    return found


def made(program: str) -> dict[str, Any]:
    """Return what a program defines."""
    names: dict[str, Any] = {"__name__": "program"}
    exec(program, names)  # noqa: S102
    return names


@pytest.mark.parametrize("target", ["torch", "downslope"])
@pytest.mark.parametrize("given", [{}, {"sgd__r": "1.0", "sgd__weight_lr_power": "0.0"}, {"sgd__lr": "0.3"}], ids=str)
def test_torchs_programs_take_the_recipes_steps(target: str, given: dict[str, str]) -> None:
    """By the reference implementation and by ours, a group without decay among them, up to rounding in float32."""
    if target == "torch":
        pytest.importorskip("schedulefree")
    import torch

    recipe = changed(**given)
    model = torch.nn.Module()
    model.layer = torch.nn.Module()
    for name, start in START.items():
        model.layer.register_parameter(name, torch.nn.Parameter(torch.tensor(start)))
    optimizer = made(export(recipe, to=target))["make_optimizer"](model)
    optimizer.train()
    for step in range(STEPS):
        for param in model.parameters():
            param.grad = torch.from_numpy(grad_of(step, len(param))).float()
        optimizer.step()
    optimizer.eval()
    for name, x in expected(recipe).items():
        np.testing.assert_allclose(getattr(model.layer, name).detach().numpy(), x, rtol=2e-5)


@pytest.mark.parametrize("given", [{}, {"sgd__maximize": "true", "sgd__warmup_steps": "0", "groups": "[]"}], ids=str)
def test_optaxs_program_takes_the_recipes_steps(given: dict[str, str]) -> None:
    """With the lr of the same step in the average and in SGD, which optax's own shortcut has one step apart."""
    import jax.numpy as jnp
    import optax

    recipe = changed(**given)
    optimizer = made(export(recipe, to="optax"))["make_optimizer"]()
    params: Any = {"layer": {name: jnp.array(start) for name, start in START.items()}}
    state = optimizer.init(params)
    for step in range(STEPS):
        grads = {"layer": {n: jnp.array(grad_of(step, len(p)), jnp.float32) for n, p in params["layer"].items()}}
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    found: Any = optax.contrib.schedule_free_eval_params(state, params)
    for name, x in expected(recipe).items():
        np.testing.assert_allclose(found["layer"][name], x, rtol=2e-5)


def test_a_warmup_as_a_schedule_is_counted_where_it_can_be() -> None:
    """A line from lr / n over n - 1 steps is `warmup_steps` = n; another begins where no target's does."""
    lr = '{ schedule = "warmup", duration = 3, start = 0.125, then = { schedule = "constant", value = 0.5 } }'
    recipe = changed(sgd=f"{{ lr = {lr}, schedule_free = true }}")
    assert "warmup_steps=4," in export(recipe, to="torch")
    lrs = [
        [settings.at(step).lr for step in range(5)] for settings in (recipe.sgd, ScheduleFree(lr=0.5, warmup_steps=4))
    ]
    assert lrs[0] == pytest.approx(lrs[1], rel=1e-15)
    with pytest.raises(ExportError, match="its warmup begins with lr / warmup_steps"):
        export(changed(sgd=f"{{ lr = {lr.replace('0.125', '0.0')}, schedule_free = true }}"), to="optax")


@pytest.mark.parametrize(
    ("target", "given", "said"),
    [
        ("keras", {}, "keras has no schedule-free SGD. Export to torch"),
        ("caffe", {}, "caffe has no schedule-free SGD"),
        ("timm", {}, "timm has no schedule-free SGD"),
        ("torch", {"sgd__maximize": "true"}, "has no maximize"),
        ("optax", {"sgd__r": "1.0"}, "weighs no steps by their number"),
        ("optax", {"groups": '[{ match = "*.bias", lr = 0.1 }]'}, "one average is written for all of them"),
    ],
)
def test_refusals(target: str, given: dict[str, str], said: str) -> None:
    """What a target does not have is said, with where to go."""
    with pytest.raises(ExportError, match=said):
        export(changed(**given), to=target)
