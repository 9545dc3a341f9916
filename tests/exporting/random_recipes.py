"""Recipes at random, of a size that a run of some tens of steps passes all their boundaries.

Every part of the rule and every schedule is drawn for lr, momentum and weight decay, in steps and in epochs; what the
checks of a recipe refuse is drawn again.
"""

from __future__ import annotations

from downslope import schedules as s
from downslope.core.errors import DownslopeError
from downslope.core.groups import Group
from downslope.core.settings import DECAYS, Settings
from downslope.recipe.run_length import steps_in_epochs
from downslope.recipe.schema import Data, EarlyStop, Model, Plateau, Recipe, Train
from exporting.exported_cases import Case

HIGHEST = {"lr": 0.3, "momentum": 0.95, "weight_decay": 0.1}


def random_case(rng, number=0):
    """Return a random recipe as a case that can be run.

    Args:
        rng: A `random.Random`.
        number: A number for its name.
    """
    while True:
        try:
            recipe = _recipe(rng)
        except DownslopeError:
            continue
        ascends = any(form.maximize for form in (recipe.sgd, *(group.apply(recipe.sgd) for group in recipe.groups)))
        steps = 8 if ascends else rng.choice([12, 24, 40])  # going up, everything soon is too large
        per_epoch = rng.choice([1, 3, 8, 45])
        total = recipe.train.steps or steps_in_epochs(recipe.train.epochs, per_epoch)
        return Case(f"random {number}", recipe, per_epoch, min(steps, total))


def _recipe(rng):
    sgd = Settings(lr=_number(rng, "lr"), **_rest(rng), **_momentum(rng))
    first = rng.choice(["*.bias", "@bias_and_norm"])  # which have parameters in common, and one would get none
    matches = rng.sample([first, "logits.weight", "dense1.weight"], rng.choice([0, 0, 0, 1, 1, 2]))
    groups = [_group(rng, match) for match in matches]
    length = {"steps": rng.randint(20, 60)} if rng.random() < 0.5 else {"epochs": rng.choice([2, 7, 30, 2.5])}
    plateau = None
    if not any(isinstance(lr, s.Schedule) for lr in [sgd.lr, *(group.lr for group in groups)]):
        plateau = rng.choice([None, Plateau(patience=4, min_lr=0.01, metric=rng.choice(["loss", "accuracy"]))])
    return Recipe(
        title=rng.choice(["", "A title with math. and jnp. in it"]),
        data=Data(batch_size=rng.choice([32, 64])),
        model=Model(hidden=rng.choice([None, (8,), (8, 4)])),
        sgd=sgd,
        groups=tuple(groups),
        train=Train(
            **length,
            clip_norm=rng.choice([None, None, 0.05, 1.0]),
            accumulate=rng.choice([1, 1, 1, 2]),
            ema=rng.choice([None, None, 0.99]),
            early_stop=rng.choice([None, None, EarlyStop(patience=9)]),
            plateau=plateau,
        ),
    )


def _rest(rng):
    return {
        "weight_decay": rng.choice([0.0, 0.02, _number(rng, "weight_decay")]),
        "decay": rng.choice(DECAYS),
        "lr_in_velocity": rng.random() < 0.3,
        "maximize": rng.random() < 0.1,
    }


def _momentum(rng):
    if rng.random() < 0.2:
        return {"momentum": 0.0}
    form = rng.choice([{"nesterov": True}, {"nesterov": True}, {}, {"nu": 0.6}])
    return form | {
        "momentum": rng.choice([0.9, _number(rng, "momentum")]),
        "dampening": rng.choice([0.0, 0.0, 0.25, 0.5, 1.0]),
        "undampened_first_step": rng.random() < 0.5,
    }


def _group(rng, match):
    changes = {"weight_decay": rng.choice([0.0, 0.05])}
    if rng.random() < 0.3:
        changes["lr"] = rng.choice([0.05, _number(rng, "lr")])
    if rng.random() < 0.2:
        changes |= rng.choice([{"momentum": 0.5}, {"nesterov": True}, {"dampening": 0.1}, {"maximize": True}])
    if rng.random() < 0.15:
        changes["weight_decay"] = _number(rng, "weight_decay")
    return Group(match=match, **changes)


def _number(rng, name):
    return rng.choice([_value(rng, name), random_schedule(rng, name), random_schedule(rng, name)])


def _value(rng, name):
    return round(rng.uniform(0.05, 1) * HIGHEST[name], 4)


def _length(rng):
    return rng.choice([rng.randint(1, 30), rng.randint(2, 60) / 2, round(rng.uniform(0.3, 20), 2)])


def random_schedule(rng, name, depth=0):
    """Return a random schedule for lr, momentum or weight decay, of lengths up to 30 steps or some epochs."""
    unit = rng.choice(["step", "step", "epoch"])
    top, bottom = _value(rng, name), rng.choice([0.0, _value(rng, name)])
    length = _length(rng)
    times = sorted({_length(rng) for _ in range(rng.randint(1, 3))})
    kinds = [
        lambda: s.Constant(top),
        lambda: s.Exponential(top, rng.choice([0.5, 0.9]), length, unit, staircase=rng.random() < 0.6),
        lambda: s.Exponential(top, 0.5, length, unit, staircase=rng.random() < 0.5, end=top * 0.3),
        lambda: s.Exponential(top / 4, 2.0, rng.choice([length, 0.01]), staircase=rng.random() < 0.5, end=top),
        lambda: s.MultiStep(top, rng.choice([0.1, 0.5]), tuple(times), unit),
        lambda: s.Linear(top, bottom, length, unit),
        lambda: s.Linear(bottom, top, length, unit),
        lambda: s.Polynomial(top, bottom, length, unit, power=rng.choice([0.5, 2.0])),
        lambda: s.Cosine(top, bottom, length, unit),
        lambda: s.Cosine(bottom, top, length, unit),
        lambda: s.Inverse(top, 0.05, rng.choice([0.5, 1.0])),
        lambda: s.OneCycle(top, length, unit, pct_start=0.25, shape=rng.choice(["cosine", "linear"])),
        lambda: s.WarmupStableDecay(
            top, rng.choice([0, length]), 3, 7.5, unit, final=bottom, shape=rng.choice(["linear", "cosine", "sqrt"])
        ),
    ]
    if depth < 2:
        kinds += [
            lambda: s.Warmup(
                rng.choice([length, rng.randint(1, 9)]),
                rng.choice([top, random_schedule(rng, name, depth + 1), random_schedule(rng, name, depth + 1)]),
                start=rng.choice([0.0, bottom]),
                unit=unit,
                restart=rng.random() < 0.7,
            ),
            lambda: s.Sequence(
                tuple(rng.choice([top, random_schedule(rng, name, depth + 1)]) for _ in range(len(times) + 1)),
                tuple(times),
                unit,
            ),
        ]
    return rng.choice(kinds)()
