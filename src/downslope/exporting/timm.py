"""timm: its optimizers by name, in the program that PyTorch has."""

from __future__ import annotations

from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan
from downslope.exporting.torch import Constructor, write_program


def write_timm(plan: Plan) -> str:
    """Return the program of a plan with timm's optimizer.

    Raises:
        ExportError: If it cannot be expressed.
    """
    return write_program(plan, "timm and PyTorch", _choose)


def _choose(settings: Settings) -> Constructor:
    if settings.decay in {"decoupled", "corrected"} and not is_zero(settings.weight_decay):
        return Constructor("timm.optim.SGDW", ("decoupled", "corrected"))
    return Constructor("timm.optim.create_optimizer_v2")
