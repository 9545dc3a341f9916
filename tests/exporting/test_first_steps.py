"""Momentum, Nesterov and dampening together: what exported programs do in their first steps, worked out by hand."""

from dataclasses import replace
from itertools import product

import pytest

from downslope import Settings, export
from downslope.core.errors import ExportError
from downslope.core.groups import Group
from downslope.core.settings import DECAYS
from downslope.recipe.schema import Plateau, Recipe, Train
from downslope.schedules import Exponential, Linear
from exporting.exported_cases import Case
from exporting.problem import largest_difference, trajectory
from exporting.running import as_module, run_torch
from exporting.timm_as_it_is import install

BOTH = Settings(lr=0.1, momentum=0.9, dampening=0.5, nesterov=True)


def first_steps(recipe, target, number):
    """Return a parameter that starts at 1 and always has the gradient 1, after each of its first steps."""
    import torch

    param = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    model = torch.nn.Module()
    model.register_parameter("weight", param)
    optimizer = as_module(export(recipe, to=target)).make_optimizer(model)
    seen = []
    for _ in range(number):
        param.grad = torch.ones_like(param)
        optimizer.step()
        seen.append(round(param.item(), 12))
    return seen


@pytest.mark.parametrize(
    ("undampened", "expected"),
    [
        # velocity .5, .95, 1.355; what lr multiplies is 1 + .9 velocity: 1.45, 1.855, 2.2195
        (False, [0.855, 0.6695, 0.44755]),
        # velocity 1, 1.4, 1.76; 1.9, 2.26, 2.584
        (True, [0.81, 0.584, 0.3256]),
    ],
)
def test_nesterov_with_dampening(undampened, expected):
    """No lr without dampening is the same rule: PyTorch, which refuses the two together, gets the step written out."""
    recipe = Recipe(sgd=replace(BOTH, undampened_first_step=undampened), train=Train(steps=9))
    assert first_steps(recipe, "torch", 3) == expected
    assert first_steps(recipe, "downslope", 3) == expected
    for target in ("timm", "optax"):
        with pytest.raises(ExportError, match="dampening"):
            export(recipe, to=target)


def test_dampening_of_the_first_step_goes_into_lr_without_nesterov():
    """Plain momentum: velocity .5, .95, 1.355 times lr .1, which is lr .05 times 1, 1.9, 2.71."""
    sgd = Settings(lr=0.1, momentum=0.9, dampening=0.5, undampened_first_step=False)
    recipe = Recipe(sgd=sgd, train=Train(steps=9))
    assert first_steps(recipe, "torch", 3) == [0.95, 0.855, 0.7195]
    assert "lr=0.05" in export(recipe, to="torch")


@pytest.mark.parametrize("target", ["torch", "timm"])
def test_every_combination_is_the_rule(target):
    """Nesterov, dampening, its first step, every way of decay, lr that changes, lr inside: the rule, or refused."""
    if target == "timm":
        install()
    seen = 0
    rates = (0.1, Exponential(0.2, 0.5, 3, staircase=True))
    numbers = (0.0, 0.25, 1.0)
    for nesterov, first, dampening, decay, lr, inside in product(
        (False, True), (False, True), numbers, DECAYS, rates, (False, True)
    ):
        sgd = Settings(
            lr=lr,
            momentum=0.9,
            dampening=dampening,
            nesterov=nesterov,
            weight_decay=0.05,
            decay=decay,
            undampened_first_step=first,
            lr_in_velocity=inside,
        )
        case = Case("combination", Recipe(sgd=sgd, train=Train(steps=7)), 4, 7)
        try:
            path = run_torch(case, target)
        except ExportError:
            assert target == "timm", sgd
            continue
        assert largest_difference(path, trajectory(case.recipe, 7, 4)) < 1e-12, sgd
        seen += 1
    assert seen == 240 if target == "torch" else seen > 60


@pytest.mark.parametrize("momentum", [Linear(0.0, 0.9, 4), Linear(0.9, 0.0, 4)])
def test_momentum_that_begins_or_ends_at_0(momentum):
    """PyTorch leaves the velocity as it is where momentum is 0, and the rule does not."""
    case = Case("momentum", Recipe(sgd=Settings(lr=0.1, momentum=momentum), train=Train(steps=9)), 4, 9)
    assert largest_difference(run_torch(case), trajectory(case.recipe, 9, 4)) < 1e-12


def test_groups_share_one_step():
    """Groups may have other numbers, one without momentum included; another way of decay is refused."""
    groups = (
        Group(match="*.bias", momentum=0.0, dampening=0.0, nesterov=False),
        Group(match="logits.*", dampening=0.2),
    )
    case = Case("groups", Recipe(sgd=replace(BOTH, weight_decay=0.1), groups=groups, train=Train(steps=9)), 4, 9)
    assert largest_difference(run_torch(case), trajectory(case.recipe, 9, 4)) < 1e-12
    other = replace(case.recipe, groups=(Group(match="*.bias", maximize=True),))
    with pytest.raises(ExportError, match="the groups differ in `maximize`"):
        export(other, to="torch")


def test_a_group_keeps_its_lr_beside_an_lr_of_1():
    """An lr of 1 is a number like others, and not the 1 that LambdaLR multiplies."""
    recipe = Recipe(sgd=Settings(lr=1.0), groups=(Group(match="*.bias", lr=0.5),), train=Train(steps=9))
    case = Case("lr of 1", recipe, 4, 9)
    assert largest_difference(run_torch(case), trajectory(recipe, 9, 4)) < 1e-12


def test_the_smallest_lr_of_a_plateau_is_scaled_too():
    """Where dampening is in lr, the lowest lr that a plateau leaves is as much smaller."""
    sgd = Settings(lr=0.1, momentum=0.9, dampening=0.75, undampened_first_step=False)
    recipe = Recipe(sgd=sgd, train=Train(epochs=9.0, plateau=Plateau(patience=2, min_lr=0.04)))
    text = export(recipe, to="torch")
    assert "lr=0.025" in text
    assert "min_lr=0.01," in text
