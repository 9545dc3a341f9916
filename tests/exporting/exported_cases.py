"""The recipes that are exported and run: those of `recipes/`, those of papers, and every part of the rule once.

A schedule in steps is shortened so that a run of some hundred steps passes its boundaries; all else is as written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from downslope.core.errors import DownslopeError
from downslope.core.groups import Group
from downslope.core.settings import Settings
from downslope.reading import read
from downslope.recipe.load import load_recipe
from downslope.recipe.run_length import steps_in_epochs
from downslope.recipe.schema import Recipe, Train
from downslope.schedules import (
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Sequence,
    Warmup,
    WarmupStableDecay,
)
from house.source_tree import ROOT
from reading.first_corpus import FIRST


@dataclass(frozen=True)
class Case:
    """A recipe, how many steps its epoch has in the test, and how many are run."""

    name: str
    recipe: Recipe
    steps_per_epoch: int
    steps: int

    def __str__(self):
        """Return the name, which pytest shows."""
        return self.name


def _shortened(recipe):
    lr = recipe.sgd.lr
    if isinstance(lr, Exponential) and lr.unit == "step" and lr.every == 1000:
        return replace(recipe, sgd=replace(recipe.sgd, lr=replace(lr, every=40)))
    return recipe


def _case(name, recipe):
    recipe = _shortened(recipe)
    epochs, steps = recipe.train.epochs, recipe.train.steps
    per_epoch = 1 if epochs and epochs >= 60 else 2 if epochs and epochs >= 20 else 8
    total = steps if steps is not None else steps_in_epochs(epochs, per_epoch)
    return Case(name, recipe, per_epoch, min(total, 320))


def _files():
    for path in sorted((ROOT / "recipes").glob("*.toml")):
        yield _case(path.stem, load_recipe(path))


def _papers():
    for row in FIRST:
        for number, reading in enumerate(read(row.text)):
            if number and "founding" not in row.name:
                continue
            try:
                yield _case(f"{row.name} {number + 1}" if number else row.name, reading.recipe())
            except DownslopeError:
                continue  # not SGD, or no learning rate in the words


def _of(name, sgd, groups=(), steps=60, **train):
    return _case(name, Recipe(sgd=sgd, groups=tuple(groups), train=Train(steps=steps, **train)))


_STAIRS = Exponential(0.2, 0.5, 11, staircase=True)
_FULL = {"momentum": 0.9, "weight_decay": 0.01}
NO_BIAS = Group(match="*.bias", weight_decay=0.0)

FORMS = [
    _of("plain", Settings(lr=0.3)),
    _of("dampened", Settings(lr=_STAIRS, momentum=0.9, dampening=0.5)),
    _of("dampened from the first step", Settings(lr=_STAIRS, momentum=0.9, dampening=0.5, undampened_first_step=False)),
    _of(
        "dampened decoupled",
        Settings(lr=_STAIRS, dampening=0.5, undampened_first_step=False, decay="decoupled", **_FULL),
    ),
    _of("dampened Nesterov", Settings(lr=_STAIRS, momentum=0.9, dampening=0.25, nesterov=True)),
    _of("quasi-hyperbolic", Settings(lr=_STAIRS, momentum=0.9, nu=0.7, weight_decay=0.02)),
    _of(
        "quasi-hyperbolic of the paper",
        Settings(lr=_STAIRS, momentum=0.9, nu=0.7, dampening=0.9, undampened_first_step=False, decay="decoupled"),
    ),
    _of("decoupled", Settings(lr=_STAIRS, decay="decoupled", **_FULL)),
    _of("decoupled without momentum", Settings(lr=_STAIRS, weight_decay=0.05, decay="decoupled")),
    _of("decoupled inside", Settings(lr=_STAIRS, decay="decoupled", lr_in_velocity=True, **_FULL)),
    _of("decoupled, no biases", Settings(lr=_STAIRS, decay="decoupled", **_FULL), [NO_BIAS]),
    _of("independent", Settings(lr=_STAIRS, decay="independent", **_FULL)),
    _of("independent, constant lr", Settings(lr=0.1, decay="independent", **_FULL)),
    _of(
        "independent inside Nesterov",
        Settings(lr=_STAIRS, decay="independent", lr_in_velocity=True, nesterov=True, **_FULL),
    ),
    _of("relative", Settings(lr=_STAIRS, decay="relative", **_FULL)),
    _of("corrected", Settings(lr=_STAIRS, decay="corrected", nesterov=True, **_FULL)),
    _of("inside", Settings(lr=_STAIRS, lr_in_velocity=True, **_FULL)),
    _of("inside Nesterov", Settings(lr=_STAIRS, lr_in_velocity=True, nesterov=True, **_FULL)),
    _of("inside, constant lr", Settings(lr=0.1, lr_in_velocity=True, **_FULL)),
    _of("clipped, coupled", Settings(lr=_STAIRS, nesterov=True, **_FULL), clip_norm=0.05),
    _of("clipped, coupled, no biases", Settings(lr=0.1, **_FULL), [NO_BIAS], clip_norm=0.05),
    _of("clipped, decoupled", Settings(lr=_STAIRS, decay="decoupled", **_FULL), clip_norm=0.05),
    _of("maximized", Settings(lr=0.01, maximize=True, **_FULL), steps=20),
    _of("a group of its own lr", Settings(lr=_STAIRS, **_FULL), [Group(match="logits.*", lr=0.05, momentum=0.5)]),
    _of("groups of numbers", Settings(lr=0.1, **_FULL), [Group(match="dense1.weight", lr=0.05, weight_decay=0.1)]),
    _of("two strengths", Settings(lr=_STAIRS, **_FULL), [Group(match="dense1.weight", weight_decay=0.1), NO_BIAS]),
    _of("a group of its own schedule", Settings(lr=_STAIRS, **_FULL), [Group(match="*.bias", lr=Cosine(0.1, 0.0, 50))]),
    _of("momentum scheduled", Settings(lr=0.1, momentum=Linear(0.5, 0.9, 30), nesterov=True)),
    _of("weight decay scheduled", Settings(lr=_STAIRS, momentum=0.9, weight_decay=MultiStep(0.01, 2.0, (20,)))),
    _of(
        "decoupled decay scheduled",
        Settings(lr=_STAIRS, momentum=0.9, weight_decay=Linear(0.1, 0.0, 40), decay="decoupled"),
    ),
]
"""Every part of the rule, in a form that no recipe above has."""

SCHEDULES = [
    _of(name, Settings(lr=lr, momentum=0.9))
    for name, lr in {
        "cosine": Cosine(0.2, 0.02, 60),
        "cosine past its end": Cosine(0.2, 0.02, 40),
        "linear": Linear(0.2, 0.05, 40),
        "linear up": Linear(0.02, 0.2, 40),
        "polynomial": Polynomial(0.2, 0.0, 40, power=2.0),
        "polynomial to a floor": Polynomial(0.2, 0.01, 40, power=0.5),
        "multistep of fractions": MultiStep(0.2, 0.5, (10.5, 30)),
        "smooth exponential": Exponential(0.2, 0.5, 20),
        "exponential each step": Exponential(0.2, 0.97, 1),
        "exponential to an end": Exponential(0.2, 0.5, 10, end=0.05),
        "staircase to an end": Exponential(0.2, 0.5, 10, staircase=True, end=0.03),
        "staircase of fractions": Exponential(0.2, 0.5, 7.5, staircase=True),
        "staircase of 41": Exponential(0.2, 0.5, 41, staircase=True),
        "inverse": Inverse(0.2, 0.05, 0.75),
        "inverse of power 1": Inverse(0.2, 0.05),
        "onecycle": OneCycle(0.2, 60),
        "onecycle, linear": OneCycle(0.2, 60, pct_start=0.25, shape="linear"),
        "onecycle past its end": OneCycle(0.2, 45),
        "trapezoid": WarmupStableDecay(0.2, 10, 20, 20, shape="sqrt"),
        "trapezoid without warmup": WarmupStableDecay(0.2, 0, 20, 20),
        "warmup from 0, then a constant": Warmup(8, 0.2),
        "warmup, then a constant": Warmup(8, 0.2, start=0.01),
        "warmup, then stairs": Warmup(8, Exponential(0.2, 0.5, 9, staircase=True), start=0.01),
        "warmup, then cosine": Warmup(8, Cosine(0.2, 0.0, 52), start=0.02),
        "warmup whose clock runs on": Warmup(8, MultiStep(0.2, 0.1, (5, 30)), restart=False),
        "sequence": Sequence((0.1, Linear(0.1, 0.3, 10), Cosine(0.3, 0.0, 20)), (10, 20)),
    }.items()
]
"""Every schedule."""

RECIPES = [*_files(), *_papers()]
CASES = [*RECIPES, *FORMS, *SCHEDULES]
