"""Schedules: learning rate, momentum or weight decay as a function of the step.

A new schedule is one class here and one entry in `SCHEDULES`, the table that recipes read.
"""

from collections.abc import Mapping
from types import MappingProxyType

from downslope.core.schedules.basic import Constant, Cosine, Exponential, Inverse, Linear, MultiStep, Polynomial
from downslope.core.schedules.composite import OneCycle, Sequence, Warmup, WarmupStableDecay
from downslope.core.schedules.schedule import Schedule

SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType(
    {
        schedule.name: schedule
        for schedule in (
            Constant,
            Exponential,
            MultiStep,
            Linear,
            Polynomial,
            Cosine,
            Inverse,
            OneCycle,
            WarmupStableDecay,
            Warmup,
            Sequence,
        )
    }
)

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "Inverse",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "Sequence",
    "Warmup",
    "WarmupStableDecay",
]
