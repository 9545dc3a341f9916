"""The schedules under their public name: ``from downslope.schedules import Cosine``."""

from downslope.core.schedules import (
    SCHEDULES,
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
