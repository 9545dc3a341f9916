"""timm: its optimizers by name, in the program that PyTorch has."""

from __future__ import annotations

from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan
from downslope.exporting.torch import Constructor, first, write_program


def write_timm(plan: Plan) -> str:
    """Return the program of a plan with timm's optimizer.

    Raises:
        ExportError: If it cannot be expressed.
    """
    return write_program(plan, "timm and PyTorch", _choose)


def _choose(settings: Settings) -> Constructor:
    if settings.decay in {"decoupled", "corrected"} and not is_zero(settings.weight_decay):
        return Constructor("timm.optim.SGDW", _sgdw, ("decoupled", "corrected"), remarks=lambda _: [_SGDW_REMARK])
    return Constructor("timm.optim.create_optimizer_v2", _factory, remarks=_factory_remarks)


_SGDW_REMARK = (
    "SGDW's weight decay is decoupled. foreach=False: with tensors of several dtypes its multi-tensor form decays "
    "twice."
)


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


def _factory_remarks(settings: Settings) -> list[str]:
    name = "sgd" if settings.nesterov else "momentum"
    remark = (
        f"timm's factory calls SGD with Nesterov's momentum `sgd`, and without it `momentum`: here `{name}`. Left to "
        "itself, it decays no parameter of one dimension; filter_bias_and_bn=False decays all that the recipe does."
    )
    return [remark]
