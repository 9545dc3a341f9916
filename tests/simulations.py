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
    return random_walks([(settings, steps, burn_in, start)], strength=strength, dimensions=dimensions, seed=seed)[0]


def random_walks(walks, *, strength, dimensions=20_000, seed=0):
    """Return what `random_walk` does for each (settings, steps, burn_in, start), all by the same random numbers."""
    rng = np.random.Generator(np.random.SFC64(seed))
    first = rng.standard_normal(dimensions, np.float32)  # each number rounded to 6e-8 of itself: half the work
    walkers = [_walker(*walk, strength, first) for walk in walks]
    for walker in walkers:
        next(walker)
    found = [None] * len(walks)
    while None in found:
        noise = rng.standard_normal(dimensions, np.float32)
        for index, walker in enumerate(walkers):
            if found[index] is None:
                found[index] = walker.send(noise)
    return found


def _walker(settings, steps, burn_in, start, strength, first):
    """Take one step for each noise that is sent, and yield None, at the end what was found."""
    scalars = settings.at(0)
    param = first * np.float32((start or 1.0) / np.linalg.norm(first))
    velocity = np.zeros_like(param)
    fourth, squared = [], []
    length = float(np.linalg.norm(param))
    for step in range(steps):
        noise = yield
        grad = noise - float(noise @ param) / length**2 * param
        grad *= strength / (length * float(np.linalg.norm(grad)))
        delta, velocity = sgd_rule(param, grad, velocity, scalars)
        along, moved = float(delta @ param) / length, float(delta @ delta)
        param = param + delta
        if step >= burn_in:
            squared.append(math.atan2(math.sqrt(max(0.0, moved - along**2)), length + along) ** 2)
        length = math.sqrt(float(param @ param))
        if step >= burn_in:
            fourth.append(length**4)
    yield np.mean(fourth), np.mean(squared)
