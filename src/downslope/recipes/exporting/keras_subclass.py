"""Keras: a subclass of keras.optimizers.SGD for the rules that Keras's own cannot express.

What lives here: when it is needed, and its source, whose arithmetic is the rule's own text run on symbols. What does
not: the rest of the program (`keras_target.py`).
"""

from __future__ import annotations

from dataclasses import replace

from downslope.core.schedules import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.recipes.exporting.keras_schedules import ops_of
from downslope.recipes.exporting.plan import Plan, changes_with_time
from downslope.recipes.exporting.source import comment, docstring, short_call
from downslope.recipes.exporting.symbols import step_source

_DECAYED = "gradient + weight_decay * variable"


def reasons_for_subclass(plan: Plan, form: Settings, way: str) -> list[str]:
    """Return what Keras's own SGD cannot do, in words; nothing where it can do all.

    Args:
        plan: The plan.
        form: The settings.
        way: The way of weight decay, "" for none.
    """
    reasons: list[str] = []
    if not form.lr_in_velocity and not is_zero(form.momentum) and changes_with_time(form, plan.recipe):
        reasons.append("lr outside the velocity, so that a change of lr acts on all of it at once")
    if form.dampening:
        reasons.append("dampening")
    if way == "coupled" and plan.recipe.train.clip_norm is not None:
        reasons.append("weight decay added after clipping, which an L2 penalty in the loss would not be")
    if way in {"independent", "corrected"}:
        reasons.append(f"{way} weight decay, which does not follow lr as Keras's does")
    if form.maximize:
        reasons.append("the gradient's sign turned, to maximize")
    return reasons


def write_subclass(form: Settings, plan: Plan, keras: str, reasons: list[str], *, in_step: bool, way: str) -> list[str]:
    """Return the subclass as source lines.

    Args:
        form: The settings.
        plan: The plan.
        keras: What Keras is imported as.
        reasons: What `reasons_for_subclass` returned.
        in_step: Whether weight decay belongs into the step.
        way: The way of weight decay.
    """
    names = {"param": "variable", "grad": "gradient", "velocity": "velocity", "lr": "learning_rate"}
    momentum = form.momentum.extremes()[0] if isinstance(form.momentum, Schedule) else form.momentum
    decay = 0.0
    if in_step:
        names["weight_decay"] = "weight_decay"
        decay = next(s.weight_decay for s in (form, *plan.everyone) if not is_zero(s.weight_decay))
    dampened = form.dampening and form.undampened_first_step
    if momentum:
        names["momentum"] = "self.momentum"
    if dampened:
        names["dampening"] = "dampening"
    settings = replace(form, momentum=momentum, weight_decay=decay, decay=way if in_step else "coupled")  # pyright: ignore[reportArgumentType] -- way is one of them
    ops = ops_of(keras)
    lines = [
        f"class SGD({keras}.optimizers.SGD):",
        *docstring(f"Keras's SGD with {_joined(reasons)}.", depth=1),
        "",
        "    def update_step(self, gradient, variable, learning_rate):",
        '        """Take one step of one variable."""',
        f"        learning_rate = {ops}.cast(learning_rate, variable.dtype)",
        f"        gradient = {ops}.cast(gradient, variable.dtype)",
    ]
    if in_step:
        if plan.groups:
            lines += ["        index = self._get_variable_index(variable)"]
            lines += ["        weight_decay = weight_decay_of(self._trainable_variables[index])"]
        else:
            lines += ["        weight_decay = WEIGHT_DECAY"]
        if way == "coupled":
            lines += [f"        gradient = {'weight_decay * variable - gradient' if form.maximize else _DECAYED}"]
            settings = replace(settings, weight_decay=0.0, maximize=False)
    if dampened:
        lines += comment("The first gradient is not dampened.", 2)
        lines += [f"        is_first = {ops}.cast(self.iterations == 0, variable.dtype)"]
        lines += [f"        dampening = {form.dampening!r} * (1 - is_first)"]
    velocity, direction, decayed = step_source(settings, names)
    if velocity is not None:
        lines += ["        velocity = self.momentums[self._get_variable_index(variable)]"]
        lines += short_call("self.assign", ["velocity", velocity], depth=2)
    if decayed is not None and len(direction) + len(decayed) > 60:
        lines.append(f"        decayed = {decayed}")
        decayed = "decayed"
    delta = direction if decayed is None else f"{direction} - {decayed}"
    return [*lines, *short_call("self.assign_add", ["variable", delta], depth=2)]


def _joined(reasons: list[str]) -> str:
    return "; and ".join(reasons)
