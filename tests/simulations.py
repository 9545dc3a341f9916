"""The rule run on small problems: what the formulas are held against. Every step here is `sgd_rule`."""

from __future__ import annotations

import math

import numpy as np

from downslope.core.rule import sgd_rule


def run(settings, gradient, steps, param=1.0):
    """Return the params after 0, 1, ... steps with grad = gradient(param, step)."""
    velocity = 0.0 * param
    path = [param]
    for step in range(steps):
        delta, velocity = sgd_rule(param, gradient(param, step), velocity, settings.at(step, first=step == 0))
        param = param + delta
        path.append(param)
    return path


def growth(settings, curvature, steps=4000):
    """Return the factor per step on param and velocity together, in the long run, on a quadratic.

    The mean of the logarithms over the second half leaves what the beginning did behind.
    """
    half = [math.log(length) for _, length in scaled_steps(settings, curvature, steps, velocity=0.3)][steps // 2 :]
    return math.exp(sum(half) / len(half))


def scaled_steps(settings, curvature, steps, velocity=0.0):
    """Yield (param, length of (param, velocity)) after each step on a quadratic from param 1.

    The length is brought back to 1 at every step, so that nothing over- or underflows.
    """
    scalars, param = settings.at(0), 1.0
    for _ in range(steps):
        delta, velocity = sgd_rule(param, curvature * param, velocity, scalars)
        length = math.hypot(param + delta, velocity)
        param, velocity = (param + delta) / length, velocity / length
        yield param, length


def largest_stable(settings_of, low, high):
    """Return the number up to which settings_of(number), a pair (settings, curvature), do not grow: by bisection."""
    for _ in range(40):
        middle = (low + high) / 2
        settings, curvature = settings_of(middle)
        low, high = (middle, high) if growth(settings, curvature, 400) < 1 else (low, middle)
    return (low + high) / 2


def random_walk(settings, *, strength, steps, burn_in, dimensions=20_000, seed=0, start=None):
    """Return (mean |param|^4, mean squared angle per step) of a weight before a normalisation layer.

    Gradients are random, at a right angle to the weight, of length strength / |param|.
    """
    rng = np.random.default_rng(seed)
    scalars = settings.at(0)
    param = rng.normal(size=dimensions)
    param *= (start or 1.0) / np.linalg.norm(param)
    velocity = np.zeros(dimensions)
    fourth, squared = [], []
    length = np.linalg.norm(param)
    for step in range(steps):
        grad = rng.standard_normal(dimensions)
        grad -= (grad @ param) / length**2 * param
        grad *= strength / (length * np.linalg.norm(grad))
        delta, velocity = sgd_rule(param, grad, velocity, scalars)
        moved = param + delta
        new_length = np.linalg.norm(moved)
        if step >= burn_in:
            fourth.append(new_length**4)
            cosine = (moved @ param) / (new_length * length)
            squared.append(math.acos(min(1.0, cosine)) ** 2)
        param, length = moved, new_length
    return np.mean(fourth), np.mean(squared)
