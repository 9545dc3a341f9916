"""Schedules in optax's words: its own where they are the same, else a function of the count that traces well.

What lives here: one schedule as the source of a function or an assignment. What does not: the chain.
"""

from __future__ import annotations

from downslope.core import schedules as s
from downslope.core.schedules.base import PYTHON, Schedule
from downslope.recipes.exporting.pieces import JAX_WORDS, has_staircase, is_countable, stays_real, where_function
from downslope.recipes.exporting.plan import Plan
from downslope.recipes.exporting.source import call, comment


def write_schedule(name: str, schedule: Schedule, plan: Plan) -> list[str]:
    """Return the definition of a schedule under a name.

    Args:
        name: The name.
        schedule: The schedule, in steps.
        plan: The plan, which knows how many steps an epoch has.
    """
    given = getattr(plan.recipe.sgd, name, None) if name != "learning_rate" else plan.recipe.sgd.lr
    epochs = isinstance(given, Schedule) and given.in_epochs()
    lines = comment(f"Counted in steps; {plan.counted}.") if epochs else []
    own = _own(schedule)
    if own is not None:
        return [*lines, *call(own[0], own[1], before=f"{name} = ")]
    doc = f"Return the {name.rstrip('_0123456789').replace('_', ' ')} of a step, counted from 0."
    found = where_function(name, schedule, doc=doc, where="jnp.where", words=JAX_WORDS)
    if has_staircase(schedule):
        head, described, *body = found
        remark = comment(
            "Whole periods are counted in integers: a floor of step / period, as in optax.exponential_decay, drops one "
            "step late for some periods once it is compiled.",
            1,
        )
        found = [head, described, *remark, *body]
    return [*lines, *found]


def _own(schedule: Schedule) -> tuple[str, list[str]] | None:  # noqa: PLR0911 -- one for each kind of schedule
    """Return optax's own function for a schedule and its arguments, or None."""
    if not is_countable(schedule):
        return None
    if isinstance(schedule, s.MultiStep) and all(isinstance(m, int) for m in schedule.milestones):
        scales = ", ".join(f"{milestone}: {schedule.factor!r}" for milestone in schedule.milestones)
        return "optax.piecewise_constant_schedule", [repr(schedule.initial), f"{{{scales}}}"]
    if isinstance(schedule, s.Exponential) and not schedule.staircase and schedule.end is None:
        return "optax.exponential_decay", [repr(schedule.initial), repr(schedule.every), repr(schedule.rate)]
    if not isinstance(getattr(schedule, "duration", None), int):
        return None
    if isinstance(schedule, s.Cosine) and schedule.initial:
        alpha = [f"alpha={schedule.final!r} / {schedule.initial!r}"] if schedule.final else []
        return "optax.cosine_decay_schedule", [repr(schedule.initial), repr(schedule.duration), *alpha]
    if isinstance(schedule, s.Linear):
        return "optax.linear_schedule", [repr(schedule.initial), repr(schedule.final), repr(schedule.duration)]
    if isinstance(schedule, s.Polynomial) and stays_real(schedule):
        values = (schedule.initial, schedule.final, schedule.power, schedule.duration)
        return "optax.polynomial_schedule", [repr(value) for value in values]
    if isinstance(schedule, s.Warmup) and schedule.restart and schedule.duration:
        top = schedule.then.closed_form(0, _PLAIN)
        then = [f"optax.constant_schedule({top!r})"] if isinstance(schedule.then, s.Constant) else _inner(schedule.then)
        if not then:
            return None
        rise = f"optax.linear_schedule({schedule.start!r}, {top!r}, {schedule.duration!r})"
        return "optax.join_schedules", [f"[\n    {rise},\n    {then[0]},\n]", f"[{schedule.duration!r}]"]
    return None


def _inner(schedule: Schedule) -> list[str]:
    own = _own(schedule)
    if own is None:
        return []
    line = f"{own[0]}({', '.join(own[1])})"
    return [line] if len(line) < 72 and "\n" not in line else []


_PLAIN = PYTHON
