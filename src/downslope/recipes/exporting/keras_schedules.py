"""Schedules in Keras's words: its own where they are the same, else a LearningRateSchedule of the program's own.

What lives here: the source of one schedule, and of what stands before it. What does not: the optimizer.
"""

from __future__ import annotations

import math

from downslope.core import schedules as s
from downslope.core.schedules.base import PYTHON, Schedule, exact
from downslope.recipes.exporting.pieces import Words, levels, where_function
from downslope.recipes.exporting.plan import Plan
from downslope.recipes.exporting.source import call, comment, indented, listed


def write_learning_rate(lr: float | Schedule, plan: Plan, keras: str) -> list[str]:
    """Return the definition of `learning_rate`, as source lines.

    Args:
        lr: The learning rate, in steps.
        plan: The plan.
        keras: What Keras is imported as: "keras" or "tf.keras".
    """
    if not isinstance(lr, Schedule):
        return [f"learning_rate = {lr!r}"]
    if lr.extremes()[0] == lr.extremes()[1]:
        return [f"learning_rate = {lr.extremes()[0]!r}"]
    given = plan.recipe.sgd.lr
    epochs = isinstance(given, Schedule) and given.in_epochs()
    before = comment(f"Counted in steps; {plan.counted}.") if epochs else []
    own = _own(lr)
    if own is None:
        return [*_schedule_class(lr, keras), "", "", *before, "learning_rate = LearningRate()"]
    name, arguments, remark = own
    made = call(f"{keras}.optimizers.schedules.{name}", arguments, before="learning_rate = ")
    return [*before, *(comment(remark) if remark else []), *made]


def _own(lr: Schedule) -> tuple[str, list[str], str] | None:  # noqa: PLR0911 -- one for each kind of schedule
    """Return Keras's own schedule, its arguments and a remark, or None."""
    if isinstance(lr, s.Exponential) and lr.end is None:
        arguments = [repr(lr.initial), f"decay_steps={lr.every!r}", f"decay_rate={lr.rate!r}"]
        remark = "Counted in steps, not epochs."
        if lr.staircase:
            arguments.append("staircase=True")
            remark += " On Keras's JAX backend, compiled, some periods drop one step late."
        return "ExponentialDecay", arguments, remark
    if isinstance(lr, s.MultiStep):
        boundaries = [str(math.ceil(exact(milestone)) - 1) for milestone in lr.milestones]
        values = [repr(value) for value in levels(lr)]
        remark = "PiecewiseConstantDecay changes one step after its boundary, so each is one less here."
        return "PiecewiseConstantDecay", [f"boundaries={listed(boundaries)}", f"values={listed(values)}"], remark
    if isinstance(lr, s.Linear | s.Polynomial):
        power = [f"power={lr.power!r}"] if isinstance(lr, s.Polynomial) else []
        return (
            "PolynomialDecay",
            [repr(lr.initial), f"decay_steps={lr.duration!r}", f"end_learning_rate={lr.final!r}", *power],
            "",
        )
    if isinstance(lr, s.Cosine) and lr.initial:
        return "CosineDecay", [repr(lr.initial), f"decay_steps={lr.duration!r}", *_alpha(lr)], ""
    if isinstance(lr, s.Warmup) and lr.restart and isinstance(lr.then, s.Cosine) and lr.then.initial:
        if not isinstance(lr.duration, int) or not lr.duration:
            return None
        arguments = [
            repr(lr.start),
            f"decay_steps={lr.then.duration!r}",
            *_alpha(lr.then),
            f"warmup_target={lr.then.closed_form(0, PYTHON)!r}",
            f"warmup_steps={lr.duration}",
        ]
        return "CosineDecay", arguments, ""
    if isinstance(lr, s.Inverse) and lr.power == 1:
        return "InverseTimeDecay", [repr(lr.initial), "decay_steps=1", f"decay_rate={lr.gamma!r}"], ""
    return None


def _alpha(lr: s.Cosine) -> list[str]:
    return [f"alpha={lr.final!r} / {lr.initial!r}"] if lr.final else []


def ops_of(keras: str) -> str:
    """Return the module of array operations: Keras's own, or TensorFlow itself."""
    return "tf" if keras == "tf.keras" else "ops"


def _schedule_class(lr: Schedule, keras: str) -> list[str]:
    ops = ops_of(keras)
    words = Words(f"{ops}.cos", f"{ops}.sqrt", "math.pi", f"{ops}.maximum", f"{ops}.minimum", "as_float({})")
    doc = "Return the learning rate of a step, counted from 0."
    function = where_function("__call__", lr, doc=doc, where=f"{ops}.where", words=words, depth=1)
    text = "\n".join(function)
    head = ["def __call__(self, step):", *function[1:2], f"    step = {ops}.convert_to_tensor(step)", *function[2:]]
    as_float = [
        "def as_float(number):",
        '    """Return a whole number as a floating-point one, of Keras\'s default precision."""',
        f"    return {ops}.cast(number, {keras}.config.floatx())",
        "",
        "",
    ]
    return [
        *(as_float if "as_float(" in text else []),
        f"class LearningRate({keras}.optimizers.schedules.LearningRateSchedule):",
        '    """The learning rate as a function of the step; Keras has no schedule like it."""',
        "",
        *indented(head),
        "",
        "    def get_config(self):",
        '        """Return its arguments: it has none."""',
        "        return {}",
    ]
