"""The table of settings that every backend is tested over, and the small problem they are run on.

`CASES` are named settings with their groups and the moments at which gradients arrive; parameters and the gradients of
a case are the same for everyone. `reference.py` has the float64 answer.

The table covers every way of weight decay x Nesterov x lr inside or outside the velocity x dampening (none, with an
undampened first step, with a dampened one); ascent; schedules on lr, momentum and weight decay; parameter groups; first
gradients that come late and gradients that fail to come. Gradients are given, not computed from the parameters, so
that an error of one step is not amplified by the next and a bound in units of the last place means something.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from downslope.core.groups import Group
from downslope.core.settings import DECAYS, Settings
from downslope.core.tensor_factors import factors_of
from downslope.schedules import (
    Constant,
    Cosine,
    Exponential,
    Inverse,
    Linear,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Sequence,
    Warmup,
    WarmupStableDecay,
)

STEPS = 100
"""Steps that conformance tests take."""

SHAPES: Mapping[str, tuple[int, ...]] = {
    "first.weight": (8, 5),
    "first.bias": (8,),
    "norm.weight": (8,),
    "norm.bias": (8,),
    "last.weight": (3, 8),
    "last.bias": (3,),
    "kernels": (4, 2, 3, 3),
    "temperature": (),  # a 0-d parameter
    "nothing": (0, 3),  # a parameter without elements
}
"""Shape of every parameter, by name, in order."""

NORM_NAMES = frozenset({"norm.weight", "norm.bias"})
"""Parameters that a front door which knows the model knows to belong to a normalisation layer."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        name: Unique; the test's id.
        settings: Settings of every parameter that no group matches; schedules are in steps.
        groups: Parameter groups.
        first_gradient: By parameter name, the 0-based step of its first gradient, where that is not step 0.
        every: By parameter name, n where a gradient arrives only each n-th step (counted from its first).
    """

    name: str
    settings: Settings
    groups: tuple[Group, ...] = ()
    first_gradient: Mapping[str, int] = field(default_factory=dict[str, int])
    every: Mapping[str, int] = field(default_factory=dict[str, int])

    def __str__(self) -> str:
        """Return the name, which pytest shows."""
        return self.name

    @property
    def in_torch(self) -> bool:
        """Whether `torch.optim.SGD` has this rule; where it has not, torch itself cannot be the yardstick.

        Schedules are no obstacle: their values can be written to torch's `param_groups` before each step. A momentum
        that is 0 at some step is one: torch then neither reads nor keeps its buffer.
        """
        everyone = [self.settings, *(group.apply(self.settings) for group in self.groups)]
        return all(
            (s.decay == "coupled" or s.weight_decay == 0)
            and not s.lr_in_velocity
            and (s.undampened_first_step or not s.dampening)
            and not (s.nesterov and s.dampening)
            and s.nu is None
            and not factors_of(s).given
            and not (isinstance(s.momentum, Schedule) and s.momentum.extremes()[0] == 0)
            for s in everyone
        )

    @property
    def has_factors(self) -> bool:
        """Whether gradients have factors by the norms of tensors, for which Keras has no place."""
        return factors_of(self.settings).given

    def has_gradient(self, name: str, step: int) -> bool:
        """Return whether the parameter has a gradient at this step."""
        since = step - self.first_gradient.get(name, 0)
        return since >= 0 and since % self.every.get(name, 1) == 0


def initial_params(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Return fresh parameters by name, about standard normal, the same at every call.

    Args:
        dtype: Their dtype; the values are exactly representable in float16 and bfloat16, so that every dtype starts
            at the same point.
    """
    return {name: _draw("param", name, 0, shape).astype(dtype) for name, shape in SHAPES.items()}


def gradients(case: Case, step: int, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Return the gradients of one step by name; a parameter without one is left out.

    Args:
        case: The case, which says who has a gradient when.
        step: Step, 0-based.
        dtype: Their dtype; as for `initial_params`, every dtype holds the values exactly.
    """
    return {
        name: _draw("grad", name, step, shape).astype(dtype)
        for name, shape in SHAPES.items()
        if case.has_gradient(name, step)
    }


@cache
def _draw(kind: str, name: str, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers with 8 significant bits (bfloat16's), each drawn from its own (kind, name, step)."""
    values = np.random.default_rng([zlib.crc32(f"{kind} {name}".encode()), step]).standard_normal(shape)
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(mantissa * 256), np.maximum(exponent, -5) - 8))  # spare float16's subnormals


_DAMPENINGS: Mapping[str, Mapping[str, Any]] = {
    "undamped": {},
    "damped-later": {"dampening": 0.3, "undampened_first_step": True},
    "damped": {"dampening": 0.3, "undampened_first_step": False},
}

# Every way of weight decay x Nesterov x where lr stands x dampening, all with a changing lr: with a constant one,
# "relative", "corrected" and "decoupled" look alike, and lr inside looks like lr outside.
_GRID = tuple(
    Case(
        f"{decay}-{'nesterov' if nesterov else 'heavy'}-lr-{'inside' if inside else 'outside'}-{damped}",
        Settings(
            lr=Exponential(0.1, rate=0.5, every=30),
            momentum=0.9,
            nesterov=nesterov,
            weight_decay=0.01,
            decay=decay,
            lr_in_velocity=inside,
            **_DAMPENINGS[damped],
        ),
    )
    for decay in DECAYS
    for nesterov in (False, True)
    for inside in (False, True)
    for damped in _DAMPENINGS
)

_ASCENT = tuple(
    Case(
        f"maximize-{decay}-lr-{'inside' if inside else 'outside'}",
        Settings(
            lr=Exponential(0.05, rate=0.5, every=30),
            momentum=0.9,
            nesterov=inside,  # so that both forms are met
            weight_decay=0.02,
            decay=decay,
            lr_in_velocity=inside,
            maximize=True,
        ),
    )
    for decay in DECAYS
    for inside in (False, True)
)

_PLAIN = (
    Case("defaults", Settings()),
    Case("plain", Settings(lr=0.1)),
    Case("plain-coupled", Settings(lr=0.1, weight_decay=5e-4)),
    Case("plain-decoupled", Settings(lr=0.1, weight_decay=5e-4, decay="decoupled")),
    Case("plain-lr-inside", Settings(lr=0.1, weight_decay=5e-4, lr_in_velocity=True)),
    Case("plain-maximize", Settings(lr=0.1, weight_decay=5e-4, maximize=True)),
    Case("momentum", Settings(lr=0.1, momentum=0.9)),
    Case("momentum-lr-inside", Settings(lr=0.1, momentum=0.9, lr_in_velocity=True)),
    Case("nesterov", Settings(lr=0.1, momentum=0.9, nesterov=True)),  # no decay: where peers overwrite the gradient
    Case("nesterov-coupled", Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)),
    Case("dampened", Settings(lr=0.1, momentum=0.9, dampening=0.5)),
    Case("unit-gain", Settings(lr=1.0, momentum=0.9, dampening=0.9)),
    Case("fully-dampened", Settings(lr=0.1, momentum=0.9, dampening=1.0)),  # only the first gradient ever enters
    Case("quasi-hyperbolic", Settings(lr=0.1, momentum=0.9, nu=0.7, weight_decay=0.01)),
    Case("gradient-beside-velocity", Settings(lr=0.1, momentum=0.9, nu=0.0, weight_decay=0.01, decay="decoupled")),
    Case(
        "quasi-hyperbolic-of-the-paper",
        Settings(
            lr=Exponential(1.0, rate=0.5, every=30),
            momentum=0.99,
            nu=0.7,
            dampening=0.99,
            undampened_first_step=False,
            weight_decay=1e-3,
        ),
    ),
    Case(
        "quasi-hyperbolic-lr-inside",
        Settings(
            lr=Exponential(0.1, rate=0.5, every=30),
            momentum=0.9,
            nu=0.3,
            dampening=0.3,
            weight_decay=0.01,
            decay="independent",
            lr_in_velocity=True,
            maximize=True,
        ),
    ),
    Case("long-memory", Settings(lr=0.01, momentum=0.999, weight_decay=1e-4)),
    Case("tiny-decoupled-decay", Settings(lr=1e-3, momentum=0.9, weight_decay=1e-5, decay="decoupled")),
    Case("independent-strong", Settings(lr=0.1, momentum=0.5, weight_decay=0.5, decay="independent")),
    Case("lr-zero", Settings(lr=0.0, momentum=0.9, weight_decay=0.1)),  # velocity moves, parameters do not
    Case("lr-zero-independent", Settings(lr=0.0, momentum=0.9, weight_decay=0.1, decay="independent")),
)

_COSINE = Cosine(0.1, 0.001, 80)
_WARM = Warmup(10, _COSINE)
_SCHEDULED = (
    Case("lr-constant", Settings(lr=Constant(0.1), momentum=0.9)),
    Case("lr-staircase", Settings(lr=Exponential(0.1, 0.1, 41, staircase=True), momentum=0.9, weight_decay=5e-4)),
    Case("lr-exponential-end", Settings(lr=Exponential(0.1, 0.5, 10, end=0.01), momentum=0.9, nesterov=True)),
    Case("lr-multistep-inside", Settings(lr=MultiStep(0.1, 0.1, (30, 60)), momentum=0.9, lr_in_velocity=True)),
    Case("lr-linear-to-zero-relative", Settings(lr=Linear(0.1, 0.0, 80), weight_decay=0.01, decay="relative")),
    Case("lr-polynomial", Settings(lr=Polynomial(0.1, 0.0, 90, power=2.0), momentum=0.9, weight_decay=1e-3)),
    Case("lr-inverse", Settings(lr=Inverse(0.1, 0.02, 0.75), momentum=0.9, weight_decay=5e-4, lr_in_velocity=True)),
    Case("lr-warmup-from-zero-coupled", Settings(lr=_WARM, momentum=0.9, weight_decay=5e-4)),
    Case("lr-warmup-relative", Settings(lr=_WARM, momentum=0.9, weight_decay=0.01, decay="relative")),
    Case("lr-warmup-corrected", Settings(lr=_WARM, momentum=0.9, weight_decay=0.1, decay="corrected")),
    Case("lr-warmup-inside-nesterov", Settings(lr=_WARM, momentum=0.9, nesterov=True, lr_in_velocity=True)),
    Case(
        "lr-and-momentum-one-cycle",
        Settings(
            lr=OneCycle(0.2, 90, div_factor=10.0),
            momentum=Sequence((Linear(0.95, 0.85, 27), Linear(0.85, 0.95, 63)), (27,)),
            weight_decay=5e-4,
        ),
    ),
    Case("lr-warmup-stable-decay", Settings(lr=WarmupStableDecay(0.1, 10, 50, 30, shape="sqrt"), momentum=0.9)),
    # momentum is 0 at step 0 only: the velocity must be kept all the same
    Case("momentum-from-zero", Settings(lr=0.05, momentum=Linear(0.0, 0.9, 20), weight_decay=5e-4)),
    Case("momentum-to-zero-nesterov", Settings(lr=0.05, momentum=Linear(0.9, 0.0, 50), nesterov=True)),
    Case("momentum-scheduled-dampened", Settings(lr=0.05, momentum=Cosine(0.5, 0.99, 60), dampening=0.1)),
    Case("decay-scheduled-coupled", Settings(lr=0.1, momentum=0.9, weight_decay=Cosine(0.01, 0.0, 50))),
    Case(
        "decay-scheduled-decoupled",
        Settings(lr=_COSINE, momentum=0.9, weight_decay=Linear(0.0, 0.05, 50), decay="decoupled"),
    ),
    Case(
        "all-three-scheduled",
        Settings(
            lr=_WARM,
            momentum=MultiStep(0.95, 0.9, (25, 75)),
            weight_decay=Exponential(0.02, 0.5, 20, staircase=True),
            decay="independent",
            lr_in_velocity=True,
            nesterov=True,
        ),
    ),
)

_BASE = Settings(lr=0.1, momentum=0.9, weight_decay=0.01)
_GROUPED = (
    Case("group-no-decay-on-bias-and-norm", _BASE, (Group(match="@bias_and_norm", weight_decay=0.0),)),
    Case("group-lr", _BASE, (Group(match="last.*", lr=0.01), Group(match=("*.bias", "kernels"), lr=0.2))),
    Case("group-first-match-wins", _BASE, (Group(match="first.weight", lr=1e-3), Group(match="*.weight", lr=0.3))),
    Case(
        "group-own-schedules",
        Settings(lr=_COSINE, momentum=0.9, weight_decay=0.01, decay="relative"),
        (Group(match="*.weight", lr=Warmup(20, Exponential(0.3, 0.9, 10)), weight_decay=Linear(0.02, 0.0, 60)),),
    ),
    Case(
        "group-other-rule",
        _BASE,
        (
            Group(match="first.*", nesterov=True, decay="decoupled"),
            Group(match="last.*", lr_in_velocity=True, momentum=0.5, dampening=0.2, undampened_first_step=False),
            Group(match="kernels", momentum=0.0),
            Group(match="temperature", maximize=True),
            Group(match="norm.weight", nu=0.6),
        ),
    ),
    Case("group-frozen-by-lr-zero", _BASE, (Group(match="first.*", lr=0.0),)),
)

_LATE = {"last.weight": 1, "last.bias": 7, "temperature": 40}
_GAPS = {"first.weight": 2, "norm.bias": 10}
_ARRIVALS = (
    Case("late-first-gradients", Settings(lr=0.1, momentum=0.9, weight_decay=0.01), first_gradient=_LATE),
    Case("late-dampened", Settings(lr=0.1, momentum=0.9, dampening=0.5), first_gradient=_LATE),
    Case(
        "late-dampened-at-once",
        Settings(lr=0.1, momentum=0.9, dampening=0.5, undampened_first_step=False),
        first_gradient=_LATE,
    ),
    Case("late-nesterov-lr-inside", Settings(lr=_COSINE, momentum=0.9, nesterov=True, lr_in_velocity=True), (), _LATE),
    Case("gaps", Settings(lr=0.1, momentum=0.9, weight_decay=0.01, decay="decoupled"), every=_GAPS),
    Case(
        "late-with-gaps-and-groups",
        Settings(lr=_COSINE, momentum=0.9, dampening=0.2, weight_decay=0.01),
        (Group(match="@bias_and_norm", weight_decay=0.0),),
        _LATE,
        _GAPS,
    ),
    Case("never-a-gradient", Settings(lr=0.1, momentum=0.9, weight_decay=0.1), first_gradient={"kernels": 10 * STEPS}),
)

_BY_TENSOR = (
    Case(
        "lars",
        Settings(lr=_COSINE, momentum=0.9, nesterov=True, weight_decay=0.01, trust_coefficient=0.5),
        (Group(match="@bias_and_norm", weight_decay=0.0, trust_coefficient=0.0),),
        _LATE,
    ),
    Case(
        "larc-dampened",
        Settings(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1, trust_coefficient=0.02, trust_clip=True),
        every=_GAPS,
    ),
    Case(
        "adaptive-clip",
        Settings(lr=_WARM, momentum=0.9, weight_decay=0.01, decay="decoupled", adaptive_clip=0.1, lr_in_velocity=True),
    ),
    Case(  # of what has one axis a unit is the tensor in every layout; tests/torch_door/test_by_unit.py has the others
        "adaptive-clip-by-unit",
        Settings(lr=0.1, momentum=0.5, adaptive_clip=0.2, adaptive_clip_by="unit"),
        (Group(match=("*.weight", "kernels", "nothing"), adaptive_clip=0.0),),
    ),
    Case("lars-of-clipped", Settings(lr=0.1, maximize=True, adaptive_clip=0.5, trust_coefficient=0.1)),
)

CASES: tuple[Case, ...] = _GRID + _ASCENT + _PLAIN + _SCHEDULED + _GROUPED + _ARRIVALS + _BY_TENSOR
"""The table."""
