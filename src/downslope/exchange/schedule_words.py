"""What other systems call a schedule, for people: "ExponentialDecay(initial_learning_rate=0.1, ...)".

What lives here: a sentence for each pair of system and schedule. What does not: code that builds the schedule there,
and reading one (`own_words.py`).
"""

from __future__ import annotations

from downslope.core import schedules as s
from downslope.core.schedules.base import Schedule


def say_schedule(schedule: Schedule, system: str) -> str:
    """Return how a system says a schedule, or "" for one that takes ours as it is.

    Args:
        schedule: The schedule.
        system: Whose words: "torch", "optax", "keras", "tf1", or another's name.
    """
    if not system or system == "caffe":
        return ""
    if system == "optax":
        return "the schedule itself is a function of the step, which optax takes as it is" + _also(_optax(schedule))
    if system in {"keras", "tf1"}:
        words = _keras(schedule)
        if words is None:
            return f"Keras has no such schedule; wrap {schedule!r} in a LearningRateSchedule of your own"
        return (
            words.replace("keras.optimizers.schedules.", "tf.keras.optimizers.schedules.") if system == "tf1" else words
        )
    if system == "torch":
        words = _torch(schedule)
        return words or f"LambdaLR(optimizer, schedule) with lr=1, where schedule is {schedule!r}"
    return f"set it before each step to schedule(step), where schedule is {schedule!r}"


def _also(words: str | None) -> str:
    return f"; {words} is the same" if words else ""


def _keras(schedule: Schedule) -> str | None:  # noqa: PLR0911 -- one for each kind of schedule
    name = "keras.optimizers.schedules."
    if schedule.in_epochs():
        return f"in epochs; resolve it first with .in_steps(steps_per_epoch): {schedule!r}"
    if isinstance(schedule, s.Exponential) and schedule.end is None:
        return (
            f"{name}ExponentialDecay(initial_learning_rate={schedule.initial!r}, decay_steps={schedule.every!r}, "
            f"decay_rate={schedule.rate!r}, staircase={schedule.staircase})"
        )
    if isinstance(schedule, s.MultiStep):
        values = [schedule.initial * schedule.factor**passed for passed in range(len(schedule.milestones) + 1)]
        boundaries = [milestone - 1 for milestone in schedule.milestones]
        return f"{name}PiecewiseConstantDecay({boundaries}, {values}); Keras switches one step after its boundary"
    if isinstance(schedule, s.Linear | s.Polynomial):
        power = schedule.power if isinstance(schedule, s.Polynomial) else 1.0
        return (
            f"{name}PolynomialDecay(initial_learning_rate={schedule.initial!r}, decay_steps={schedule.duration!r}, "
            f"end_learning_rate={schedule.final!r}, power={power!r})"
        )
    if isinstance(schedule, s.Cosine) and schedule.initial:
        alpha = schedule.final / schedule.initial
        return (
            f"{name}CosineDecay(initial_learning_rate={schedule.initial!r}, decay_steps={schedule.duration!r}, "
            f"alpha={alpha!r})"
        )
    if isinstance(schedule, s.Inverse) and schedule.power == 1:
        return (
            f"{name}InverseTimeDecay(initial_learning_rate={schedule.initial!r}, decay_steps=1, "
            f"decay_rate={schedule.gamma!r})"
        )
    return None


def _optax(schedule: Schedule) -> str | None:
    if isinstance(schedule, s.Exponential) and schedule.unit == "step" and not schedule.staircase:
        return f"optax.exponential_decay({schedule.initial!r}, {schedule.every!r}, {schedule.rate!r})"
    if isinstance(schedule, s.Cosine) and schedule.unit == "step" and schedule.initial:
        alpha = schedule.final / schedule.initial
        return f"optax.cosine_decay_schedule({schedule.initial!r}, {schedule.duration!r}, alpha={alpha!r})"
    if isinstance(schedule, s.Linear) and schedule.unit == "step":
        return f"optax.linear_schedule({schedule.initial!r}, {schedule.final!r}, {schedule.duration!r})"
    if isinstance(schedule, s.MultiStep) and schedule.unit == "step":
        scales = dict.fromkeys(schedule.milestones, schedule.factor)
        return f"optax.piecewise_constant_schedule({schedule.initial!r}, {scales})"
    return None


def _torch(schedule: Schedule) -> str | None:  # noqa: PLR0911 -- one for each kind of schedule
    unit = "epoch" if schedule.in_epochs() else "step"
    often = f"; call scheduler.step() once an {unit}" if unit == "epoch" else "; call scheduler.step() after each step"
    if isinstance(schedule, s.Exponential) and schedule.end is None:
        lr = f"lr={schedule.initial!r} and "
        if schedule.staircase:
            if not isinstance(schedule.every, int):
                return None
            return f"{lr}StepLR(optimizer, step_size={schedule.every}, gamma={schedule.rate!r}){often}"
        if unit == "step":
            return f"{lr}ExponentialLR(optimizer, gamma={schedule.rate ** (1 / schedule.every)!r}){often}"
        return None
    if isinstance(schedule, s.MultiStep):
        milestones = list(schedule.milestones)
        return f"lr={schedule.initial!r} and MultiStepLR(optimizer, {milestones}, gamma={schedule.factor!r}){often}"
    if unit == "epoch":  # torch's are then constant within an epoch, ours are not
        return None
    if isinstance(schedule, s.Cosine):
        return (
            f"lr={schedule.initial!r} and CosineAnnealingLR(optimizer, T_max={schedule.duration!r}, "
            f"eta_min={schedule.final!r}){often}, and no further than T_max, where torch's rises again"
        )
    if isinstance(schedule, s.Polynomial) and schedule.final == 0:
        return (
            f"lr={schedule.initial!r} and PolynomialLR(optimizer, total_iters={schedule.duration!r}, "
            f"power={schedule.power!r}){often}"
        )
    if isinstance(schedule, s.Linear) and schedule.initial > 0 and schedule.final <= schedule.initial:
        return (
            f"lr={schedule.initial!r} and LinearLR(optimizer, start_factor=1.0, "
            f"end_factor={schedule.final / schedule.initial!r}, total_iters={schedule.duration!r}){often}"
        )
    return None
