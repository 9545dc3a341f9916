"""Caffe: a solver in prototxt, and what its network's layers need.

What lives here: the text. What the numbers are is `downslope.exchange`'s: its conventions write and read solvers.
"""

from __future__ import annotations

from typing import Any

from downslope.core.errors import ExportError, SettingsError
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Plan, changes_with_time, in_simplest_decay, without_dampening
from downslope.exporting.python_source import comment
from downslope.systems.to_system import arguments_for_convention

_ORDER = (
    "base_lr",
    "lr_policy",
    "gamma",
    "power",
    "stepsize",
    "stepvalue",
    "max_iter",
    "momentum",
    "weight_decay",
    "type",
)


def write_caffe(plan: Plan) -> str:  # noqa: C901 -- one line after another of the solver
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
    title = f"{recipe.title or 'SGD by a recipe'}. For Caffe{f'; source: {recipe.source}' if recipe.source else ''}."
    lines = [*comment(title), 'net: "train_val.prototxt"']
    lines += comment(f"The network's data layer has batch_size: {recipe.data.batch_size}.")
    if not form.lr_in_velocity and not is_zero(form.momentum):
        lines += comment(
            "Caffe has lr inside the velocity, the recipe outside: the same steps as long as lr stays the same."
        )
    if recipe.sgd.lr != base.lr or recipe.train.steps is None:
        lines += comment(f"Counted in iterations; {plan.counted}.")
    max_iter = _max_iter(plan, arguments)
    arguments["max_iter"] = max_iter
    arguments.setdefault("type", "SGD")
    for name in _ORDER:
        if name in arguments:
            values = arguments[name] if isinstance(arguments[name], list) else [arguments[name]]
            lines += [f"{name}: {_shown(value)}" for value in values]
    if recipe.train.accumulate > 1:
        lines.append(f"iter_size: {recipe.train.accumulate}")
    if recipe.train.clip_norm is not None:
        sentence = "Clips the global norm, before weight decay is added."
        if recipe.train.accumulate > 1:
            sentence += f" Caffe clips the sum of the {recipe.train.accumulate} batches, before their mean is taken."
        lines += [*comment(sentence), f"clip_gradients: {recipe.train.clip_norm * recipe.train.accumulate!r}"]
    if recipe.train.plateau is not None:
        lines += comment(
            f"Not here: Caffe knows no plateau. The recipe multiplies lr by {recipe.train.plateau.factor!r} when the "
            f"held-out {recipe.train.plateau.metric} has not improved for {recipe.train.plateau.patience} "
            f"evaluations: stop, set base_lr, and go on from the snapshot."
        )
    return "\n".join([*lines, *_groups(plan, base)]) + "\n"


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


def _groups(plan: Plan, base: Settings) -> list[str]:
    """Return the multipliers of groups as comments: they belong into the network, blob by blob."""
    lines: list[str] = []
    for group, settings in plan.groups:
        changed = set(group.changes()) - {"lr", "weight_decay"}
        if any(getattr(settings, name) != getattr(base, name) for name in changed - {"decay"}):
            raise ExportError(
                f"Caffe's blobs differ in lr_mult and decay_mult alone; the group {group.match!r} changes "
                f"{', '.join(sorted(changed))}. Export to torch or downslope."
            )
        if settings.decay != base.decay and not is_zero(settings.weight_decay) and not is_zero(base.weight_decay):
            raise ExportError(f"Caffe has one way of weight decay; the group {group.match!r} has another.")
        lr_mult = _ratio(settings.lr, base.lr, group.match)
        decay_mult = _ratio(settings.weight_decay, base.weight_decay, group.match)
        patterns = ", ".join(group.patterns)
        lines += comment(
            f"In the network, for the blobs that {patterns} matches (of a layer, first its weight, then its bias):"
        )
        lines.append(f"#   param {{ lr_mult: {lr_mult:g} decay_mult: {decay_mult:g} }}")
    return lines


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
