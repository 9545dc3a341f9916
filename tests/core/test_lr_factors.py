"""`Group.lr_factor`: the learning rate of all the others, number or schedule, times a factor, in every door."""

import numpy as np
import pytest
import torch

from downslope import Group, Settings
from downslope.core.errors import GroupError, SettingsError
from downslope.core.schedules import SCHEDULES, Constant, Cosine, Exponential, MultiStep, OneCycle, Sequence, Warmup
from downslope.core.schedules.schedule import scaled
from downslope.recipe.load import parse_recipe, to_toml

SHAPES = [
    Cosine(initial=0.5, final=0.1, duration=10),
    Exponential(initial=0.5, rate=0.5, every=3, end=0.1),
    MultiStep(initial=0.5, factor=0.1, milestones=(3, 6)),
    OneCycle(peak=0.5, duration=10),
    Warmup(duration=4, start=0.1, then=Cosine(initial=0.5, final=0.0, duration=6)),
    Warmup(duration=4, then=0.5),
    Sequence(schedules=(0.5, Constant(0.25)), boundaries=(5,)),
]


@pytest.mark.parametrize("schedule", SHAPES, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_times_a_factor(schedule):
    """Every value is the factor times what it was: a half is exact."""
    assert [scaled(schedule, 0.5)(step) for step in range(14)] == [schedule(step) / 2 for step in range(14)]


def test_every_kind_of_schedule_can_be_scaled():
    """A new kind whose values are called otherwise shows here."""
    names = {"value", "initial", "final", "end", "peak", "start", "then", "schedules"}
    for kind in SCHEDULES.values():
        assert names & set(kind.__dataclass_fields__), kind


def test_settings_of_a_group():
    """lr and schedules alike, whatever else the group changes."""
    group = Group(match="head.*", lr_factor=10.0, weight_decay=0.0)
    assert group.apply(Settings(lr=0.25, weight_decay=0.5)) == Settings(lr=2.5, weight_decay=0.0)
    of = group.apply(Settings(lr=Cosine(initial=0.5, final=0.0, duration=4)))
    assert of.lr == Cosine(initial=5.0, final=0.0, duration=4)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan"), True])
def test_what_is_no_factor_is_refused(factor):
    """0 would not be a rate but a freezing, which is said otherwise."""
    with pytest.raises(GroupError, match="above 0 and finite"):
        Group(match="*", lr_factor=factor)
    with pytest.raises(GroupError, match="Give one"):
        Group(match="*", lr_factor=0.5, lr=0.1)


def test_the_doors_agree():
    """One step from 1 with gradient 1: 1 - 0.5 and, at half the rate, 1 - 0.25."""
    import downslope.jax
    import downslope.numpy
    import downslope.torch

    groups = [Group(match="b", lr_factor=0.5)]
    ones = {name: torch.ones(2, requires_grad=True) for name in "ab"}
    for param in ones.values():
        param.grad = torch.ones(2)
    downslope.torch.SGD(list(ones.items()), lr=0.5, groups=groups).step()
    arrays = {name: np.ones(2, np.float32) for name in "ab"}
    downslope.numpy.SGD(arrays, lr=0.5, groups=groups).step({name: np.ones(2, np.float32) for name in "ab"})
    jaxed = downslope.jax.sgd(0.5, groups=groups)
    params = {name: np.ones(2, np.float32) for name in "ab"}
    updates, _ = jaxed.update(params, jaxed.init(params), params)
    for name, expected in (("a", 0.5), ("b", 0.75)):
        assert ones[name].detach().tolist() == arrays[name].tolist() == [expected] * 2
        assert (params[name] + np.asarray(updates[name])).tolist() == [expected] * 2
    with pytest.raises(SettingsError, match="tensor"):
        downslope.torch.SGD(list(ones.items()), lr=torch.tensor(0.5), groups=groups)
    with pytest.raises(SettingsError, match="known at a step alone"):
        downslope.jax.sgd(lambda count: 0.5, groups=groups)


def test_keras_multiplies_what_it_knows():
    """A number; of a schedule of Keras's own only values are known, and no stand-in is multiplied in its place."""
    keras = pytest.importorskip("keras")
    from downslope.keras import SGD

    groups = [Group(match="b", lr_factor=0.5)]
    variables = [keras.Variable(np.ones(2, np.float32), name=name) for name in "ab"]
    SGD(0.5, groups=groups).apply([keras.ops.ones(2)] * 2, variables)
    assert [variable.numpy().tolist() for variable in variables] == [[0.5] * 2, [0.75] * 2]
    theirs = keras.optimizers.schedules.CosineDecay(0.5, 10)
    with pytest.raises(SettingsError, match="lr_factor"):
        SGD(theirs, groups=groups)


def test_a_recipe_keeps_the_factor():
    """It is printed as it was written, and decoded again."""
    text = '[sgd]\nlr = 0.5\n[[groups]]\nmatch = "logits.*"\nlr_factor = 4.0\n[train]\nsteps = 1\n'
    recipe = parse_recipe(text)
    assert recipe.groups[0].lr_factor == 4.0
    assert parse_recipe(to_toml(recipe)) == recipe
