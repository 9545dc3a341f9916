"""The small problem that every exported program trains, and what the rule itself makes of it in float64.

A linear network of two layers on fixed batches, its gradients by hand, and the reference trajectory.
"""

from __future__ import annotations

import math

import numpy as np

from downslope import update_matrix
from downslope.core.equivalence import find_basis
from downslope.core.groups import assign_groups
from downslope.core.rule import sgd_rule

NAMES = ("dense1.weight", "dense1.bias", "logits.weight", "logits.bias")
SHAPES = {"dense1.weight": (3, 2), "dense1.bias": (2,), "logits.weight": (2, 1), "logits.bias": (1,)}

FLATTER = 8.0
"""What the loss is divided by, so that the largest lr of a recipe is stable."""

_RNG = np.random.default_rng(11)
START = {name: _RNG.uniform(-0.5, 0.5, shape) for name, shape in SHAPES.items()}
_INPUTS = _RNG.normal(size=(64, 5, 3)) * 0.3
_TARGETS = _RNG.normal(size=(64, 5, 1)) * 0.5


def batch(step, steps_per_epoch):
    """Return the inputs and targets of a step: the same in every epoch."""
    place = step % steps_per_epoch % len(_INPUTS)
    return _INPUTS[place], _TARGETS[place]


def gradients(params, inputs, targets):
    """Return the gradients of the mean squared error over `FLATTER`, worked out by hand."""
    hidden = inputs @ params["dense1.weight"] + params["dense1.bias"]
    error = 2 * (hidden @ params["logits.weight"] + params["logits.bias"] - targets) / targets.size / FLATTER
    back = error @ params["logits.weight"].T
    return {
        "dense1.weight": inputs.T @ back,
        "dense1.bias": back.sum(0),
        "logits.weight": hidden.T @ error,
        "logits.bias": error.sum(0),
    }


def trajectory(recipe, steps, steps_per_epoch, *, clip_epsilon=0.0, lr_factors=None):
    """Return the parameters before the first step and after each, by the rule.

    `clip_epsilon` is what PyTorch adds to the norm it divides by; `lr_factors` is a factor on lr at each step.
    """
    recipe = recipe.in_steps(steps_per_epoch)
    names = assign_groups(recipe.groups, SHAPES)
    settings = {
        name: form
        for form, members in zip([*(g.apply(recipe.sgd) for g in recipe.groups), recipe.sgd], names, strict=True)
        for name in members
    }
    params = {name: value.copy() for name, value in START.items()}
    velocity = {name: np.zeros_like(value) for name, value in START.items()}
    path = [params]
    for step in range(steps):
        grads = gradients(params, *batch(step, steps_per_epoch))
        if recipe.train.clip_norm is not None:
            norm = math.sqrt(sum(float((grad**2).sum()) for grad in grads.values()))
            factor = min(1.0, recipe.train.clip_norm / (norm + clip_epsilon))
            grads = {name: factor * grad for name, grad in grads.items()}
        after = {}
        for name in NAMES:
            form = settings[name]
            if lr_factors is not None:
                form = type(form)(**{f: getattr(form, f) for f in form.__slots__} | {"lr": form.lr * lr_factors[step]})
            delta, velocity[name] = sgd_rule(params[name], grads[name], velocity[name], form.at(step, first=step == 0))
            after[name] = params[name] + delta
        params = after
        path.append(params)
    return path


def largest_difference(one, other):
    """Return the largest difference between two trajectories, of any parameter after any step."""
    assert len(one) == len(other)
    return max(float(np.abs(a[name] - b[name]).max()) for a, b in zip(one, other, strict=True) for name in NAMES)


def same_rule(one, other, steps):
    """Whether two settings have the same matrices at some steps, by one scale of the velocity."""
    scales = []
    for step in steps:
        found = find_basis(update_matrix(one, step), update_matrix(other, step))
        assert not found.difference, (step, found.difference)
        scales += [found.scale] if found.read else []
    return np.allclose(scales, scales[:1] * len(scales), rtol=1e-12)
