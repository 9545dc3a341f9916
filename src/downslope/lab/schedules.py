"""The schedules that the page offers: the share of lr at each step of a run, and how torch writes the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from downslope.core.schedules import Constant, Cosine, Linear, MultiStep, Schedule, Warmup

STEPS = 120
"""Steps of the run on which they are shown; on the page they are shares of any run."""


@dataclass(frozen=True)
class Offered:
    """One schedule.

    Attributes:
        schedule: It, over STEPS steps, of an lr that is 1 at its largest.
        torch: torch's scheduler for it, of an `optimizer` and so many `steps`; "" for none.
    """

    schedule: Schedule
    torch: str

    def shares(self) -> list[float]:
        """Return the share of lr at each step."""
        return [self.schedule(step) for step in range(STEPS)]


_T = "torch.optim.lr_scheduler"

OFFERED: Mapping[str, Offered] = MappingProxyType(
    {
        "constant": Offered(Constant(1.0), ""),
        "steps": Offered(MultiStep(1.0, 0.1, [STEPS // 3, 2 * STEPS // 3]), f"{_T}.StepLR(optimizer, steps // 3)"),
        "cosine": Offered(Cosine(1.0, 0.0, STEPS), f"{_T}.CosineAnnealingLR(optimizer, steps)"),
        "linear": Offered(Linear(1.0, 0.0, STEPS), f"{_T}.LinearLR(optimizer, 1, 0, steps)"),
        "warmup": Offered(
            Warmup(STEPS // 10, Cosine(1.0, 0.0, STEPS - STEPS // 10), start=0.1),
            f"{_T}.SequentialLR(optimizer, [{_T}.LinearLR(optimizer, 0.1, 1, steps // 10), "
            f"{_T}.CosineAnnealingLR(optimizer, steps - steps // 10)], [steps // 10])",
        ),
    }
)
"""By their names among the page's words."""
