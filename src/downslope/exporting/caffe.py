"""Caffe: a solver in prototxt, and what its network's layers need. Its numbers are those of the convention `caffe`."""

from __future__ import annotations

from typing import Any

from downslope.core.errors import ExportError, SettingsError
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan
from downslope.exporting.same_rule import changes_with_time, in_simplest_decay, without_dampening
from downslope.exporting.template import fill, known
from downslope.systems.to_system import arguments_for_convention

_NAMES = ("base_lr", "lr_policy", "gamma", "power", "stepsize", "momentum", "weight_decay", "type", "max_iter")


def write_caffe(plan: Plan) -> str:
    """Return the solver of a plan.

    Raises:
        ExportError: If it cannot be expressed.
    """
    if plan.with_model:
        raise ExportError(
            "with_model writes Python; for Caffe there is the solver alone. Export without, or to torch or keras."
        )
    base = plan.settings
    form = without_dampening(in_simplest_decay(base))
    _check(form)
    try:
        arguments = dict(arguments_for_convention(form, "caffe"))
    except SettingsError as error:
        raise ExportError(f"{error} Export to downslope or torch, which can.") from None
    recipe = plan.recipe
    arguments.setdefault("type", "SGD")
    arguments["max_iter"] = _max_iter(plan, arguments)
    solver = dict.fromkeys(_NAMES, "") | {name: _shown(value) for name, value in arguments.items() if name in _NAMES}
    clip = recipe.train.clip_norm
    lines = fill(
        "caffe.prototxt.txt",
        {
            **known(plan),
            "title": _one_line(recipe.title or "SGD by a recipe"),
            "source": f"; source: {_one_line(recipe.source)}" if recipe.source else "",
            "lr_moved_inside": not form.lr_in_velocity and not is_zero(form.momentum),
            "counted": recipe.sgd.lr != base.lr or recipe.train.steps is None,
            **solver,
            "stepvalue": arguments.get("stepvalue", []),
            "clip_gradients": "" if clip is None else repr(clip * recipe.train.accumulate),
            "groups": _groups(plan, base),
        },
    )
    return "\n".join(lines) + "\n"


def _check(form: Settings) -> None:
    if not form.lr_in_velocity and not is_zero(form.momentum) and changes_with_time(form):
        raise ExportError(
            "Caffe has lr inside the velocity, the recipe outside, and lr changes, so the two part at its first "
            "change. "
            "Nearest: set sgd.lr_in_velocity = true, which is Caffe's own rule; or export to torch, keras or optax."
        )


def _max_iter(plan: Plan, arguments: dict[str, Any]) -> int | float:
    total = plan.total_steps
    if total is None:
        total = plan.needed_steps_per_epoch("Caffe counts a training in iterations")
    if arguments.get("lr_policy") == "poly":
        length = arguments["max_iter"]
        if length != total:
            raise ExportError(
                f"Caffe's poly policy ends with the training: its schedule lasts {length!r} steps and the training "
                f"{total}. Make the two the same, or export to another target."
            )
    return total


def _groups(plan: Plan, base: Settings) -> list[tuple[str, str, str]]:
    """Return the patterns of each group and its multipliers of lr and weight decay."""
    found: list[tuple[str, str, str]] = []
    for group, settings in plan.groups:
        changed = set(group.changes()) - {"lr", "lr_factor", "weight_decay", "ema"}
        if any(getattr(settings, name) != getattr(base, name) for name in changed - {"decay"}):
            raise ExportError(
                f"Caffe's blobs differ in lr_mult and decay_mult alone; the group {group.match!r} changes "
                f"{', '.join(sorted(changed))}. Export to torch or downslope."
            )
        if settings.decay != base.decay and not is_zero(settings.weight_decay) and not is_zero(base.weight_decay):
            raise ExportError(f"Caffe has one way of weight decay; the group {group.match!r} has another.")
        lr_mult = group.lr_factor or _ratio(settings.lr, base.lr, group.match)
        decay_mult = _ratio(settings.weight_decay, base.weight_decay, group.match)
        found.append((_one_line(", ".join(group.patterns)), f"{lr_mult:g}", f"{decay_mult:g}"))
    return found


def _ratio(mine: Any, others: Any, match: Any) -> float:
    if mine == others:
        return 1
    if isinstance(mine, int | float) and isinstance(others, int | float) and others:
        return mine / others
    if is_zero(mine):
        return 0
    raise ExportError(
        f"Caffe multiplies the solver's own values blob by blob; those of the group {match!r} are no multiple of them. "
        "Give the solver's value to all, or export to torch or optax."
    )


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())
