"""What the compiled step is told of one parameter, a place for each field; csrc/row.h has the same in its order."""

from __future__ import annotations

from typing import Any, NamedTuple


class Row(NamedTuple):
    """One parameter of a step.

    Attributes:
        param: The parameter.
        grad: Its gradient; a plan asks the parameter for it at every step.
        spec: How it is laid out over processes, of a distributed one, in a plan.
        state: Its table of state, in a plan, in which the next four are looked up at every step.
        velocity: Velocity; codes, where there are scales.
        compensation: What compensated rounding has dropped.
        scales: Scales of the codes.
        average: Its average.
        factors: Factors on its gradient, one in float64 for each slice along the first axis; none in a plan.
        kind: Which six coefficients; None in a plan for a parameter that something else steps.
        rounding: How it is rounded, see `kernel.coefficients.ROUNDINGS`.
        place: Number of the tensor, for its random numbers.
        first: Index of its first element, for the same: above 0 of a part of a larger tensor.
        weight: Weight of the new parameter in the average.
    """

    param: Any
    grad: Any = None
    spec: Any = None
    state: Any = None
    velocity: Any = None
    compensation: Any = None
    scales: Any = None
    average: Any = None
    factors: Any = None
    kind: int | None = None
    rounding: int = 0
    place: int = 0
    first: int = 0
    weight: float = 0.0
