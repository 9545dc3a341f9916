"""How far a device is in use, as events keep it and people read it. Loads no framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAMES = {"memory": "memory_gib", "peak": "peak_gib", "total": "total_gib", "busy": "busy"}
"""What an event calls each number; memory is in GiB there."""


@dataclass(frozen=True)
class Usage:
    """How far a device is in use.

    Attributes:
        memory: Bytes that this process's tensors take.
        peak: The most they took.
        total: Bytes there are, or None if that is not told.
        busy: Fraction of the time of late in which the device computed, or None if that is not told.
    """

    memory: float
    peak: float
    total: float | None = None
    busy: float | None = None

    def fields(self) -> dict[str, float]:
        """Return it as an event keeps it."""
        found = {name: getattr(self, own) for own, name in _NAMES.items() if getattr(self, own) is not None}
        return {name: value / 2**30 if name.endswith("_gib") else value for name, value in found.items()}

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Usage | None:
        """Return what an event tells, or None if it tells nothing.

        Example:
            >>> Usage.of_event({"event": "checkpoint", "memory_gib": 1.5, "peak_gib": 2.0, "busy": 0.75}).text()
            '1.50 GiB (at most 2.00), 75 % busy'
        """
        found = {own: event.get(name) for own, name in _NAMES.items()}
        told = {own: value for own, value in found.items() if isinstance(value, int | float)}
        if not {"memory", "peak"} <= told.keys():
            return None
        return cls(**{own: value if own == "busy" else value * 2**30 for own, value in told.items()})

    def text(self) -> str:
        """Return it in words."""
        of = "" if self.total is None else f" of {self.total / 2**30:.0f}"
        busy = "" if self.busy is None else f", {100 * self.busy:.0f} % busy"
        return f"{self.memory / 2**30:.2f}{of} GiB (at most {self.peak / 2**30:.2f}){busy}"
