"""The update rule of SGD with momentum and weight decay: stated here, once, and nowhere else.

The optimizer of every framework, and every kernel, runs this text or coefficients derived from it. It uses only
``+ - *``, so it accepts whatever knows those: arrays of any framework, symbols, or basis vectors. Anything that is not
linear in (param, grad, velocity), such as elementwise clipping or signs, does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class StepScalars:
    """The scalars of one step: what `Settings.at` returns and `sgd_rule` reads. All are dimensionless floats.

    Attributes:
        lr: Learning rate of this step; already contained in the scalars below, kept for logs.
        momentum: Factor on the velocity, in [0, 1).
        dampening: The gradient enters the velocity with weight 1 - dampening.
        nesterov: Whether the direction looks one momentum step ahead.
        grad_scale: Factor on the incoming gradient before anything else: -1 to maximize, times the inverse loss
            scale, the clipping factor and 1/(number of accumulated gradients).
        grad_in: Factor on the (decayed) gradient as it enters the velocity: lr if lr is inside, else 1.
        velocity_out: Factor on the direction as it leaves: 1 if lr is inside the velocity, else lr.
        coupled_decay: Multiple of param added to the gradient.
        decoupled_decay: Multiple of param subtracted from param directly.
        nu: Share of the direction that is the velocity, in quasi-hyperbolic momentum; None for the others.
    """

    lr: float
    momentum: float
    dampening: float
    nesterov: bool
    grad_scale: float
    grad_in: float
    velocity_out: float
    coupled_decay: float
    decoupled_decay: float
    nu: float | None = None

    def rule(self, param: Any, grad: Any, velocity: Any) -> tuple[Any, Any]:
        """Return (delta, velocity') of the rule that these scalars are of: `sgd_rule`, or a relative's own."""
        return sgd_rule(param, grad, velocity, self)


def sgd_rule(param: Any, grad: Any, velocity: Any, s: Any) -> tuple[Any, Any]:
    """Return (delta, velocity'), where the step is ``param + delta``.

    With lr outside the velocity, grad_in = 1 and velocity_out = lr; with lr inside, grad_in = lr and velocity_out = 1:

        g  <- grad_scale * grad + coupled_decay * param
        v' <- momentum * velocity + (1 - dampening) * grad_in * g
        d  <- grad_in * g + momentum * v'       if nesterov
              (1 - nu) * grad_in * g + nu * v'  if nu is given, else   v'
        delta <- - velocity_out * d - decoupled_decay * param

    Args:
        param: Parameter, any shape.
        grad: Gradient of the loss, shape of param.
        velocity: Velocity, shape of param; zeros at the first step.
        s: `StepScalars` of this step (or anything with its attributes).

    Returns:
        delta and the new velocity, both of param's shape. No argument is written to.

    References:
        Polyak 1964, eq. 9 (heavy ball); Sutskever et al. 2013, eqs. 3-4 (Nesterov, in the form of Bengio et al. 2012);
        Loshchilov & Hutter 2019, algorithm 1 (decoupled decay); Ma & Yarats 2019, eqs. 3-4 (quasi-hyperbolic momentum).
    """
    grad = s.grad_scale * grad + s.coupled_decay * param
    velocity = s.momentum * velocity + (1 - s.dampening) * s.grad_in * grad
    direction = s.grad_in * grad + s.momentum * velocity if s.nesterov else velocity
    if s.nu is not None:
        direction = (1 - s.nu) * s.grad_in * grad + s.nu * velocity
    return -s.velocity_out * direction - s.decoupled_decay * param, velocity


def step_rows(scalars: StepScalars) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the 2x3 matrix of one step in plain numbers: the rule applied to the basis vectors.

    Returns:
        Two rows of three numbers, with ``[delta, velocity'] = rows @ [param, grad, velocity]``.
    """
    columns = [scalars.rule(*basis) for basis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    delta, velocity = zip(*columns, strict=True)
    return delta, velocity


def step_matrix(scalars: StepScalars) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return `step_rows` as a float64 array of shape (2, 3)."""
    import numpy as np

    return np.array(step_rows(scalars)) + 0.0  # adding 0.0 turns -0.0 into 0.0
