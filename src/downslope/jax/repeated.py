"""A decayed gradient that is worked out anew wherever the rule uses it.

What lives here: how a compiled Nesterov step with coupled decay does without a temporary array. The rule uses
``grad + coupled_decay * param`` twice, for the velocity and for the direction; XLA on CPUs then writes it to fresh
memory and reads it back, which takes as long as the rest of the step. What does not: arithmetic of its own.
"""

from __future__ import annotations

from typing import Any

import jax


class RepeatedDecay:
    """A factor in the place of `coupled_decay`.

    Args:
        decay: The factor itself, a 0-d array.
    """

    def __init__(self, decay: jax.Array) -> None:
        self._decay = decay

    def __mul__(self, param: Any) -> _Term:
        """Return the product, not yet worked out."""
        return _Term(self._decay, param)


class _Term:
    def __init__(self, decay: jax.Array, param: Any) -> None:
        self._decay, self._param = decay, param

    def __radd__(self, grad: Any) -> _DecayedGradient:
        return _DecayedGradient(grad, self._decay, self._param)


class _DecayedGradient:
    def __init__(self, grad: Any, decay: jax.Array, param: Any) -> None:
        self._grad, self._decay, self._param = grad, decay, param

    def __rmul__(self, factor: Any) -> Any:
        decayed = self._grad + self._decay * self._param
        # For the compiler the next use has a factor of its own, so that it does not see the same sum twice.
        self._decay = jax.lax.optimization_barrier(self._decay)
        return factor * decayed
