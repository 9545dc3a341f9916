"""timm: its optimizers by name, in the program that PyTorch has."""

from __future__ import annotations

from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan, first
from downslope.exporting.torch import Constructor, write_program


def write_timm(plan: Plan) -> str:
    """Return the program of a plan with timm's optimizer.

    Raises:
        ExportError: If it cannot be expressed.
    """
    return write_program(plan, "timm and PyTorch", _choose)


def _choose(settings: Settings) -> Constructor:
    if settings.decay in {"decoupled", "corrected"} and not is_zero(settings.weight_decay):
        return Constructor("timm.optim.SGDW", _sgdw, ("decoupled", "corrected"))
    return Constructor("timm.optim.create_optimizer_v2", _factory)


def _sgdw(settings: Settings) -> list[str]:
    found = [f"lr={settings.lr!r}", f"momentum={first(settings.momentum)!r}"]
    if settings.dampening:
        found.append(f"dampening={settings.dampening!r}")
    found.append(f"weight_decay={first(settings.weight_decay)!r}")
    found += [f"{name}=True" for name in ("nesterov", "maximize") if getattr(settings, name)]
    return [*found, *(["corrected_weight_decay=True"] if settings.decay == "corrected" else []), "foreach=False"]


def _factory(settings: Settings) -> list[str]:
    found = [
        f'opt="{"sgd" if settings.nesterov else "momentum"}"',
        f"lr={settings.lr!r}",
        f"weight_decay={first(settings.weight_decay)!r}",
        f"momentum={first(settings.momentum)!r}",
    ]
    if settings.dampening:
        found.append(f"dampening={settings.dampening!r}")
    if settings.maximize:
        found.append("maximize=True")
    return [*found, "filter_bias_and_bn=False"]
