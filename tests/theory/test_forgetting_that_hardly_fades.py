"""How long weights are remembered where momentum is so near 1 that a swing hardly fades: right, and by bounded work."""

import math

import pytest

from downslope import Settings
from downslope.theory.forgetting import memory
from work import calls


def left(momentum, pull, step):
    """Return what is left after a step without gradients, by the eigenvalues of the rule's own matrix.

    weight' = weight - v', v' = momentum v + pull weight: eigenvalues have the product momentum and the sum
    1 + momentum - pull.
    """
    half = (1 + momentum - pull) / 2
    angle, rate = math.acos(half / math.sqrt(momentum)), math.sqrt(momentum)
    # weight_0 = 1 and weight_1 = 1 - pull
    beside = ((1 - pull) / rate - math.cos(angle)) / math.sin(angle)
    return rate**step * (math.cos(angle * step) + beside * math.sin(angle * step))


@pytest.mark.parametrize("short", [1e-9, 1e-11])
@pytest.mark.parametrize("pull", [1.0, 2.0, 5e-6, 0.3])
def test_it_is_where_the_envelope_falls_below_a_third(short, pull):
    """Of 1/e: a window of swings after it stays below, one a hundredth earlier does not; in few calls."""
    momentum = 1 - short
    scalars = Settings(lr=0.1, momentum=momentum, weight_decay=pull / 0.1).at(0)
    work, found = calls(lambda: memory(scalars))
    assert work < 1_500_000
    window = range(int(2 * math.pi / math.sqrt(pull)) * 3 + 10)
    after, before = int(found.steps * 1.0001), int(found.steps * 0.99)
    assert max(abs(left(momentum, pull, after + step)) for step in window) <= math.exp(-1)
    assert max(abs(left(momentum, pull, before + step)) for step in window) > math.exp(-1)
