"""Keras and TensorFlow: keras.optimizers.SGD, L2 regularizers, and a small subclass where its rule is another."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import Any

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.exact import exact
from downslope.core.groups import assign_groups
from downslope.core.rule_text import step_source
from downslope.core.schedules.schedule import Schedule
from downslope.core.settings import Settings, is_zero
from downslope.exporting.export_plan import Definition, Layer, Plan
from downslope.exporting.python_source import listed, match_source, quoted
from downslope.exporting.same_rule import changes_with_time, first, in_simplest_decay, without_dampening
from downslope.exporting.schedule_source import Words, is_countable, stays_real, where_pieces
from downslope.exporting.template import write
from downslope.recipe.measures import GROWING
from downslope.systems.convention import Values
from downslope.systems.schedules import written


def write_keras(plan: Plan) -> str:
    """Return the program of a plan in Keras, any backend."""
    return _write(plan, "Keras", "keras", "ops")


def write_tensorflow(plan: Plan) -> str:
    """Return the program of a plan in TensorFlow, with tf.keras's optimizer and a training step of its own."""
    return _write(plan, "TensorFlow", "tf.keras", "tf")


def _write(plan: Plan, framework: str, keras: str, ops: str) -> str:
    forms = [without_dampening(in_simplest_decay(settings)) for settings in plan.everyone]
    base = forms[-1]
    _check(forms, base)
    way = next((form.decay for form in forms if not is_zero(form.weight_decay)), "")
    reasons = reasons_for_subclass(plan, base, way)
    gradient_changed = plan.recipe.train.clip_norm is not None or base.maximize
    in_step = way in {"independent", "corrected"} or (way == "coupled" and gradient_changed)
    decoupled = way == "decoupled"
    penalty = way == "coupled" and not in_step
    add_l2 = penalty and not plan.with_model  # the digits' layers have it themselves
    groups = _groups(plan, forms) if way and (add_l2 or not penalty) else []
    strength = next((first(form.weight_decay) for form in reversed(forms) if not is_zero(form.weight_decay)), 0.0)
    learning_rate, why_own = None, ""
    if isinstance(base.lr, Schedule):
        learning_rate, why_own = _learning_rate(base.lr, plan, keras, ops)
    step = _step(base, strength, way if in_step else "") if reasons else {}
    plan.check_length()
    plateau = plan.recipe.train.plateau
    return write(
        "keras.py.txt",
        plan,
        framework,
        keras=keras,
        ops=ops,
        tensorflow=keras != "keras",
        form=base,
        learning_rate=learning_rate,
        why_own=why_own,
        schedule=learning_rate,
        where=f"{ops}.where",
        needs_as_float=learning_rate is not None and "as_float(" in f"{learning_rate.last} {learning_rate.earlier}",
        groups=groups,
        constant_decay=bool(way) and not groups and (in_step or add_l2),
        strength=strength,
        half=strength / 2,
        decoupled=decoupled,
        penalty=penalty,
        add_l2=add_l2,
        **step,
        difference="; and ".join(reasons),
        optimizer="SGD" if reasons else f"{keras}.optimizers.SGD",
        momentum=base.momentum,
        lr_moved_inside=not reasons and not is_zero(base.momentum) and not base.lr_in_velocity,
        dampening_in_lr=plan.settings.dampening and not base.dampening,
        plateau_mode="max" if plateau and plateau.metric in GROWING else "min",
        layers=_layers(plan, forms, penalty=penalty) if plan.with_model else [],
    )


def _check(forms: list[Settings], base: Settings) -> None:
    for form in forms:
        for name in ("momentum", "weight_decay"):
            value = getattr(form, name)
            if isinstance(value, Schedule):
                raise ExportError(
                    f"Keras takes a schedule for the learning rate alone; this recipe has one of `{name}`. Set a "
                    "number, or export to optax, torch or downslope."
                )
        different = [
            name
            for name in ("lr", "momentum", "dampening", "nesterov", "nu", "lr_in_velocity", "maximize")
            if getattr(form, name) != getattr(base, name)
        ]
        if different:
            raise ExportError(
                f"a Keras optimizer has one `{different[0]}` for all variables, and a group changes it. Export to "
                "optax, torch or downslope, or leave it out of the group."
            )
    ways = sorted({form.decay for form in forms if not is_zero(form.weight_decay)})
    if len(ways) > 1:
        raise ExportError(
            f"the groups have several ways of weight decay ({', '.join(ways)}). Use one, or export to optax."
        )
    if ways == ["decoupled"] and len({form.weight_decay for form in forms if not is_zero(form.weight_decay)}) > 1:
        raise ExportError(
            "Keras decays all variables by one `weight_decay`, or not at all; the groups have several. Use one "
            "strength, or export to optax, torch or downslope."
        )


def _groups(plan: Plan, forms: list[Settings]) -> list[tuple[str, float | Schedule]]:
    """Return for each group the source of whether a variable belongs to it, and its weight decay."""
    found: list[tuple[str, float | Schedule]] = []
    for (group, _), form in zip(plan.groups, forms, strict=False):
        if any(one[0] in "*@" or any(mark in one for mark in "*?[") for one in group.patterns):
            patterns = tuple(one if one[0] in "*@" else f"*{one}" for one in group.patterns)
            condition = match_source(patterns, is_flat="len(variable.shape) <= 1")
        else:
            condition = " or ".join(f'f".{{name}}".endswith({quoted(f".{one}")})' for one in group.patterns)
        found.append((condition, form.weight_decay))
    return found


def _layers(plan: Plan, forms: list[Settings], *, penalty: bool) -> list[tuple[Layer, float, float]]:
    """Return each layer of the default classifier with the l of L2(l) of its weight and of its bias."""
    if not penalty:
        return [(layer, 0.0, 0.0) for layer in plan.layers]
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in plan.layers:
        shapes |= {f"{layer.name}.weight": (layer.inputs, layer.outputs), f"{layer.name}.bias": (layer.outputs,)}
    assigned = assign_groups(plan.recipe.groups, shapes)
    l2 = {name: first(form.weight_decay) / 2 for form, home in zip(forms, assigned, strict=True) for name in home}
    return [(layer, l2[f"{layer.name}.weight"], l2[f"{layer.name}.bias"]) for layer in plan.layers]


# A subclass


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
    if form.nu is not None:
        reasons.append("quasi-hyperbolic momentum")
    if way == "coupled" and plan.recipe.train.clip_norm is not None:
        reasons.append("weight decay added after clipping, which an L2 penalty in the loss would not be")
    if way in {"independent", "corrected"}:
        reasons.append(f"{way} weight decay, which does not follow lr as Keras's does")
    if form.maximize:
        reasons.append("the gradient's sign turned, to maximize")
    return reasons


def _step(form: Settings, strength: float, way: str) -> dict[str, Any]:
    """Return the step of a subclass; `way` is that of the weight decay in it, "" where it has none."""
    names = {"param": "variable", "grad": "gradient", "velocity": "velocity", "lr": "learning_rate"}
    names |= {"momentum": "self.momentum", "weight_decay": "weight_decay"}
    dampens_later = bool(form.dampening) and form.undampened_first_step
    if dampens_later:
        names["dampening"] = "dampening"
    if way == "coupled":
        settings = replace(form, weight_decay=0.0, maximize=False)  # the gradient is turned where it is decayed
    else:
        settings = replace(form, weight_decay=strength if way else 0.0, decay=way or "coupled")  # pyright: ignore[reportArgumentType] -- way is one of them
    velocity, direction, decayed = step_source(settings, names)
    apart = decayed is not None and len(direction) + len(decayed) > 60
    return {
        "decays": bool(way),
        "decays_gradient": way == "coupled",
        "dampens_later": dampens_later,
        "velocity": velocity,
        "decayed": decayed if apart else None,
        "delta": direction if decayed is None else f"{direction} - {'decayed' if apart else decayed}",
    }


# The learning rate


def _learning_rate(lr: Schedule, plan: Plan, keras: str, ops: str) -> tuple[Definition, str]:
    """Return how a learning rate, in steps, is defined, and the docstring of its class where it has one of its own."""
    remarks = plan.counted_remarks(plan.recipe.sgd.lr)
    found = _of_keras(lr, plan.total_steps)
    if not isinstance(found, str):
        name, arguments, remark = found
        remarks += [remark] if remark else []
        return Definition("learning_rate", f"{keras}.optimizers.schedules.{name}", arguments, remarks), ""
    words = Words(f"{ops}.cos", f"{ops}.sqrt", "math.pi", f"{ops}.maximum", f"{ops}.minimum", "as_float")
    definition = Definition("learning_rate", "LearningRate", [], remarks, *where_pieces(lr, words, room=66))
    return definition, f"The learning rate as a function of the step{found}"


_TOO_LONG = (
    ".\n\nIt has a length of 2**31 steps or more, which 32-bit integers, and so Keras's own schedules, may not hold.\n"
)
_COUNTED = """, whole periods counted in integers.

ExponentialDecay(staircase=True) takes the floor of a division in Keras's default precision: compiled, by
tf.function or by XLA, that drops one step late for many periods (41, 4690, 46900, ...).
"""
_REAL = """, a number at its end too.

PolynomialDecay is (1 - decay_steps / decay_steps) ** power there: compiled, that may be rounded below 0, whose power
of {power!r} is NaN.
"""


def _of_keras(lr: Schedule, total: int | None) -> tuple[str, list[str], str] | str:
    """Return Keras's own schedule, its arguments and a remark; or, after the words "the step", why it has none."""
    if not is_countable(lr):
        return _TOO_LONG
    found = written(lr, "keras")
    if found is None:
        return _why_none(lr)
    row, values = found
    remark = ""
    match lr:
        case s.Exponential():
            remark = "Counted in steps, not epochs."
            if lr.staircase and (total is None or not _divides_right(lr.every, total)):
                return _COUNTED
            if lr.staircase:
                remark += (
                    " Keras counts periods by a division in floating point, by which compiled programs drop one step "
                    "late for many periods (41, 4690, 46900, ...); for this one they are right up to the last of these "
                    f"{total} steps."
                )
        case s.Polynomial() if not stays_real(lr):
            return _REAL.format(power=lr.power)
        case s.MultiStep() | s.Sequence():
            remark = "PiecewiseConstantDecay changes one step after its boundary, so each is one less here."
        case _:
            pass
    return row.name, _arguments(lr, values), remark


def _arguments(lr: Schedule, values: Values) -> list[str]:
    """Return the source of a schedule's arguments, without those that are what Keras takes if nothing is said."""
    left_out = {"staircase": False, "alpha": 0.0} | ({"power": 1.0} if isinstance(lr, s.Linear) else {})
    sources = {
        name: listed(map(repr, value)) if isinstance(value, list) else repr(value)
        for name, value in values.items()
        if left_out.get(name) != value
    }
    cosine = lr.then if isinstance(lr, s.Warmup) else lr
    if "alpha" in sources and isinstance(cosine, s.Cosine):
        sources["alpha"] = f"{cosine.final!r} / {cosine.initial!r}"  # a person's numbers, not their quotient's digits
    first = [sources.pop(name) for name in ("initial_learning_rate",) if name in sources]
    return [*first, *(f"{name}={source}" for name, source in sources.items())]


def _why_none(lr: Schedule) -> str:
    match lr:
        case s.Exponential():
            return ".\n\nKeras's ExponentialDecay has no value at which it stops.\n"
        case s.Inverse():
            return ".\n\nKeras's InverseTimeDecay has no power.\n"
        case s.Cosine() | s.Warmup(restart=True, then=s.Cosine(initial=0)):
            return ".\n\nKeras's CosineDecay ends at a multiple of its first value, which is 0 here.\n"
        case s.Warmup(restart=True, then=s.Cosine()):
            return ".\n\nKeras's CosineDecay warms up for a whole number of steps, at least 1.\n"
        case _:
            return "; Keras has no schedule like it."


def _divides_right(period: float, total: int) -> bool:
    """Return whether floor(step / period) is right at every step of a training, compiled or not.

    Compilers multiply by the rounded inverse in place of dividing, in Keras's default precision, float32 or float64.

    Args:
        period: The period, in steps.
        total: Steps of the training.
    """
    if total // period > MOST_PERIODS:
        return False
    ratio = exact(period)
    periods = range(1, int(total // period) + 2)
    boundaries = [-(-n * ratio.numerator // ratio.denominator) for n in periods]
    for precision in ("f", "d"):  # rounding to it after float64 gives what computing in it gives
        length = array(precision, [period])[0]
        inverse = array(precision, [1 / length])[0]
        for before in (0, 1):
            steps = array(precision, [boundary - before for boundary in boundaries])
            divided = array(precision, [step / length for step in steps])
            multiplied = array(precision, [step * inverse for step in steps])
            right = [n - before for n in periods]
            if [math.floor(q) for q in divided] != right or [math.floor(q) for q in multiplied] != right:
                return False
    return True


MOST_PERIODS = 100_000
"""How many drops are looked at one by one."""
