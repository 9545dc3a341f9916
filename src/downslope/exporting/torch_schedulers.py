"""Schedules of lr in PyTorch: its own schedulers where they are the same, and a function for LambdaLR where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from downslope.core import schedules as s
from downslope.core.exact import exact
from downslope.core.schedules.schedule import Schedule, constant_value
from downslope.exporting.export_plan import Plan
from downslope.exporting.python_source import listed, nested
from downslope.exporting.schedule_source import python_function
from downslope.recipe.measures import GROWING

HOME = "torch.optim.lr_scheduler"


@dataclass
class Scheduler:
    """A schedule of lr in PyTorch.

    Attributes:
        base: What the optimizer's own lr is.
        function: The scheduler's class in torch.optim.lr_scheduler; "" for none.
        arguments: Its arguments after the optimizer.
        each: "step", "epoch" or "evaluation": after what `scheduler.step()` is called.
        remarks: Sentences.
        functions: Functions that it needs, as source lines.
        by_group: Whether it has a function for each group, each giving all of the group's lr.
    """

    base: float
    function: str = ""
    arguments: list[str] = field(default_factory=list[str])
    each: str = "step"
    remarks: list[str] = field(default_factory=list[str])
    functions: list[list[str]] = field(default_factory=list[list[str]])
    by_group: bool = False


def write_scheduler(plan: Plan, kept: Sequence[float] = (1.0,)) -> Scheduler:
    """Return the scheduler of a plan whose groups all have one lr that changes.

    Args:
        plan: The plan, with the lr that PyTorch has.
        kept: What the recipe's lr was multiplied by, in each group and last in the others.
    """
    lr = plan.recipe.sgd.lr
    if not isinstance(lr, Schedule):
        return _plateau(plan, lr, kept)
    if (constant := constant_value(lr)) is not None:
        return Scheduler(constant)
    found = _by_epoch(lr) if plan.by_epochs else None
    if found is None:
        steps = plan.settings.lr
        found = _by_step(steps, plan.total_steps) if isinstance(steps, Schedule) else None
        if found is not None and lr.in_epochs():
            found.remarks.append(f"In steps; {plan.counted}.")
    return found or function_scheduler(plan)


def function_scheduler(plan: Plan) -> Scheduler:
    """Return the scheduler of a plan's lr as a function of the step."""
    lr = plan.settings.lr
    schedule = lr if isinstance(lr, Schedule) else s.Constant(lr)
    remarks = ["LambdaLR multiplies the optimizer's lr, here 1, by this function of the step, counted from 0."]
    if isinstance(plan.recipe.sgd.lr, Schedule) and plan.recipe.sgd.lr.in_epochs():
        remarks.append(f"Its numbers are steps; {plan.counted}.")
    if isinstance(schedule, s.Warmup) and schedule.start == 0:
        remarks.append("lr is 0 at the first step, which LinearLR does not allow.")
    elif isinstance(schedule, s.Cosine):
        remarks.append("CosineAnnealingLR would rise again after its end, before training ends.")
    function = python_function("learning_rate", schedule, doc="Return the learning rate of a step, counted from 0.")
    return Scheduler(1.0, "LambdaLR", ["learning_rate"], remarks=remarks, functions=[function])


def _plateau(plan: Plan, lr: float, kept: Sequence[float]) -> Scheduler:
    plateau = plan.recipe.train.plateau
    if plateau is None:
        return Scheduler(lr)
    lowest = [plateau.min_lr * factor for factor in kept]
    arguments = [
        f'mode="{"max" if plateau.metric in GROWING else "min"}"',
        f"factor={plateau.factor!r}",
        f"patience={plateau.patience - 1}",
        f"threshold={plateau.min_delta!r}",
        'threshold_mode="abs"',
        f"min_lr={lowest[0] if len(set(lowest)) == 1 else lowest!r}",
    ]
    remark = (
        f"Step it with the held-out {plateau.metric}. PyTorch reduces lr once there are more than `patience` "
        f"evaluations without improvement, so {plateau.patience} are patience={plateau.patience - 1}."
    )
    return Scheduler(lr, "ReduceLROnPlateau", arguments, each="evaluation", remarks=[remark])


def _by_epoch(lr: Schedule) -> Scheduler | None:
    """Return a scheduler that steps after each epoch, if the schedule is constant within epochs."""
    if isinstance(lr, s.MultiStep) and lr.unit == "epoch" and all(isinstance(m, int) for m in lr.milestones):
        return _multistep(lr, "epoch")
    if isinstance(lr, s.Exponential) and lr.unit == "epoch" and lr.staircase and lr.end is None:
        return _staircase(lr, "epoch")
    return None


def _by_step(lr: Schedule, total: int | None) -> Scheduler | None:  # noqa: PLR0911 -- one for each kind of schedule
    if isinstance(lr, s.MultiStep):
        return _multistep(lr, "step")
    if isinstance(lr, s.Exponential) and lr.end is None:
        if lr.staircase:
            return _staircase(lr, "step")
        if lr.every == 1:
            return Scheduler(lr.initial, "ExponentialLR", [f"gamma={lr.rate!r}"])
        return None
    if isinstance(lr, s.OneCycle):
        return _onecycle(lr, total)
    if isinstance(lr, s.Warmup) and lr.restart and isinstance(lr.duration, int) and 0 < lr.start <= _start(lr.then):
        return _warmup(lr, total)
    return _ramp(lr, total)


def _multistep(lr: s.MultiStep, each: str) -> Scheduler:
    milestones = listed([repr(-int(-exact(m) // 1)) for m in lr.milestones])
    return Scheduler(lr.initial, "MultiStepLR", [f"milestones={milestones}", f"gamma={lr.factor!r}"], each=each)


def _staircase(lr: s.Exponential, each: str) -> Scheduler | None:
    if not isinstance(lr.every, int):
        return None
    return Scheduler(lr.initial, "StepLR", [f"step_size={lr.every}", f"gamma={lr.rate!r}"], each=each)


def _ramp(lr: Schedule, total: int | None) -> Scheduler | None:
    if not isinstance(lr, s.Cosine | s.Linear | s.Polynomial) or not isinstance(lr.duration, int) or lr.initial <= 0:
        return None
    if isinstance(lr, s.Cosine):
        if total is None or total > lr.duration:
            return None
        remark = "It would rise again after T_max, where training ends."
        arguments = [f"T_max={lr.duration}", f"eta_min={lr.final!r}"]
        return Scheduler(lr.initial, "CosineAnnealingLR", arguments, remarks=[remark])
    power = lr.power if isinstance(lr, s.Polynomial) else 1.0
    if lr.final == 0:
        arguments = [f"total_iters={lr.duration}", f"power={power!r}"]
        return Scheduler(lr.initial, "PolynomialLR", arguments)
    if power == 1 and lr.final <= lr.initial:
        end = f"{lr.final!r} / {lr.initial!r}"
        return Scheduler(
            lr.initial, "LinearLR", ["start_factor=1.0", f"end_factor={end}", f"total_iters={lr.duration}"]
        )
    return None


def _warmup(lr: s.Warmup, total: int | None) -> Scheduler | None:
    then = lr.then
    left = None if total is None else max(total - int(lr.duration), 0)
    inner = Scheduler(then.value) if isinstance(then, s.Constant) else _by_step(then, left)
    if inner is None or isinstance(then, s.Warmup | s.OneCycle):
        return None
    rise = [f"start_factor={lr.start!r} / {inner.base!r}", f"total_iters={lr.duration}"]
    if not inner.function:
        return Scheduler(inner.base, "LinearLR", rise)
    parts = [("LinearLR", rise), (inner.function, inner.arguments)]
    schedulers = [nested(f"{HOME}.{name}", ["optimizer", *arguments]) for name, arguments in parts]
    arguments = [listed(schedulers, room=0), f"milestones=[{lr.duration}]"]
    return Scheduler(inner.base, "SequentialLR", arguments, remarks=inner.remarks)


def _onecycle(lr: s.OneCycle, total: int | None) -> Scheduler | None:
    if not isinstance(lr.duration, int) or total is None or total > lr.duration:
        return None
    steps = lr.duration + 1
    arguments = [
        f"max_lr={lr.peak!r}",
        f"total_steps={steps}",
        f"pct_start={float((exact(lr.pct_start) * lr.duration + 1) / steps)!r}",
        f'anneal_strategy="{"cos" if lr.shape == "cosine" else "linear"}"',
        "cycle_momentum=False",
        f"div_factor={lr.div_factor!r}",
        f"final_div_factor={lr.final_div_factor!r}",
    ]
    remark = (
        f"OneCycleLR reaches its peak one step early and ends at total_steps - 1: a cycle of {lr.duration} steps with "
        f"pct_start={lr.pct_start!r} is written like this."
    )
    return Scheduler(lr.peak, "OneCycleLR", arguments, remarks=[remark])


def _start(schedule: Schedule) -> float:
    return schedule.reference if not isinstance(schedule, s.Warmup) else 0.0
