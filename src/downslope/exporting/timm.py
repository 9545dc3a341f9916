"""timm: its optimizers by name, in the program that PyTorch has."""

from __future__ import annotations

from downslope.core.errors import ExportError
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan
from downslope.exporting.same_rule import changes_with_time
from downslope.exporting.torch import LARS, Constructor, reasons_for_own_step, write_program


def write_timm(plan: Plan) -> str:
    """Return the program of a plan with timm's optimizer.

    Raises:
        ExportError: If it cannot be expressed.
    """
    if len({settings.adaptive_clip for settings in plan.as_known}) > 1:
        raise ExportError(
            "timm and PyTorch: the groups differ in `adaptive_clip`, and timm clips all gradients by one share. "
            "Use one, or export to optax or downslope."
        )
    if any(settings.trust_coefficient for settings in plan.as_known):
        if reasons := reasons_for_own_step(plan.as_known):
            raise ExportError(f"timm and PyTorch: timm.optim.Lars has not {', '.join(reasons)}. Export to downslope.")
        for problem in filter(None, map(_why_not_lars, plan.as_known)):
            raise ExportError(f"timm and PyTorch: timm.optim.Lars has {problem}. Export to downslope.")
        return write_program(plan, "timm and PyTorch", lambda _: LARS)
    return write_program(plan, "timm and PyTorch", _choose)


def _why_not_lars(settings: Settings) -> str:
    """Return what timm's LARS has otherwise than some settings, or ""."""
    decays = not is_zero(settings.weight_decay)
    if decays and settings.decay != "coupled":
        return f'coupled weight decay alone, which the trust ratio multiplies, and not decay="{settings.decay}"'
    if decays and settings.trust_coefficient is None:
        return "a trust ratio for every tensor with weight decay, and here a group with weight decay has none"
    if settings.maximize:
        return "no maximize"
    if settings.trust_clip and settings.dampening and not settings.undampened_first_step:
        return "no dampening of the first gradient, which lr cannot stand for where it bounds the trust ratio"
    if settings.lr_in_velocity and not is_zero(settings.momentum) and changes_with_time(settings):
        return "its lr outside the velocity, and here it is inside and changes"
    return ""


def _choose(settings: Settings) -> Constructor:
    if settings.decay in {"decoupled", "corrected"} and not is_zero(settings.weight_decay):
        return Constructor("timm.optim.SGDW", ("decoupled", "corrected"))
    return Constructor("timm.optim.create_optimizer_v2")
