"""Findings on schedules: after the end, in the wrong unit, at 0, unfinished, and warmups that are too long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from downslope.auditing.finding import Finding
from downslope.auditing.subject import Subject
from downslope.core.number_text import counted
from downslope.core.schedules import Constant, Schedule, Warmup
from downslope.core.schedules.schedule import constant_value
from downslope.explaining.run_course import Course, evenly

_LOOKED_AT = 4000
_DEAD = 1e-6
"""Share of its peak below which an lr moves nothing."""
_CLOCK = "a schedule counts what its unit says: steps of the optimizer, or epochs; torch's count calls of step()"
_TORCH = "docs/schedules.md; torch.optim.lr_scheduler: step() once an epoch, or once a batch, as its lengths are meant"


def about_schedules(subject: Subject) -> Iterator[Finding]:
    """Yield the findings on lr and its schedule."""
    if subject.settings is None:
        return
    if _learns_nothing(subject):
        yield Finding(
            name="lr_is_zero",
            level="warning" if subject.program else "error",
            what="lr is 0 at every step: nothing is learned",
            where=subject.where("sgd.lr"),
            why="a step moves weights by lr times the velocity; at most weight decay goes on",
            source="docs/optimizer.md",
            do="give an lr above 0; 0.1 with momentum 0.9 is usual",
            sure="likely" if subject.program else "certain",  # which may set another in a function of another file
        )
        return
    if not isinstance(subject.settings.lr, Schedule):
        return
    if constant_value(subject.settings.lr) is not None:
        return
    yield from _in_steps_where_epochs_are_meant(subject)
    course = subject.course
    if course.settings is None or course.total is None or not isinstance(course.settings.lr, Schedule):
        return
    lr, total = course.settings.lr, course.total
    ticks = evenly(total, min(_LOOKED_AT, total - 1)) if total > 1 else [0]
    values = [lr(tick) for tick in ticks]
    yield from _never_moves(subject, values, total)
    yield from _over_at_once(subject, ticks, values, total)
    yield from _dead(subject, values)
    yield from _after_the_end(subject, lr, values, total)
    yield from _long_warmup(subject, lr, total)


def _learns_nothing(subject: Subject) -> bool:
    """Return whether lr is 0 throughout, that of every group too."""
    settings, recipe = subject.settings, subject.recipe
    if settings is None or subject.peak.lr:
        return False
    return all(
        Course.of(group.apply(settings), subject.run).peak().lr == 0 for group in (recipe.groups if recipe else ())
    )


def _in_steps_where_epochs_are_meant(subject: Subject) -> Iterator[Finding]:
    """Find a schedule in steps that is over when as many steps are done as there are epochs."""
    run, lr = subject.run, subject.settings.lr if subject.settings else None
    if not isinstance(lr, Schedule) or run.epochs is None or run.steps_per_epoch is not None or lr.in_epochs():
        return
    longest = lr.longest()
    if 2 <= longest <= run.epochs and not isinstance(lr, Constant) and lr.name != "inverse":
        yield Finding(
            name="schedule_in_the_wrong_unit",
            level="error",
            what=f"the schedule of lr is over after {longest:g} steps, in a training of {run.epochs:g} epochs",
            where=subject.where("sgd.lr"),
            why=f"an epoch has many steps, so lr would be at its end within the first: {_CLOCK}",
            source=_TORCH,
            do="step the scheduler once an epoch, or give its lengths in steps (epochs times batches in an epoch)",
            sure="likely",
        )


def _never_moves(subject: Subject, values: list[float], total: int) -> Iterator[Finding]:
    if len(values) > 1 and min(values) == max(values):
        yield Finding(
            name="schedule_never_acts",
            level="error",
            what=f"lr has a schedule, and is {values[0]:g} throughout the {_length(subject, total)}",
            where=subject.where("sgd.lr"),
            why=f"its first change would come after the end: {_CLOCK}",
            source=_TORCH,
            do="shorten the schedule, or give its lengths in the unit that is meant",
        )


def _over_at_once(subject: Subject, ticks: list[int], values: list[float], total: int) -> Iterator[Finding]:
    """Find an lr that has fallen for good within a twentieth of the training."""
    last = max((tick for tick, (old, new) in zip(ticks[1:], pairwise(values), strict=True) if old != new), default=0)
    if not last or last > total / 20 or values[-1] >= max(values) or last >= total - 1:
        return
    yield Finding(
        name="schedule_in_the_wrong_unit",
        level="error",
        what=(
            f"lr has fallen from {max(values):g} to {values[-1]:g} after {100 * last / total:.2g} % of the "
            f"{_length(subject, total)}, and stays there"
        ),
        where=subject.where("sgd.lr"),
        why=f"almost all of the training runs at the last lr: {_CLOCK}",
        source=_TORCH,
        do="step the scheduler once an epoch if its lengths are in epochs, or give them in steps",
        sure="likely",
    )


def _dead(subject: Subject, values: list[float]) -> Iterator[Finding]:
    peak = max(values)
    share = sum(value <= _DEAD * peak for value in reversed(values)) / len(values)
    tail = next((n for n, value in enumerate(reversed(values)) if value > _DEAD * peak), len(values)) / len(values)
    if peak and tail > 0.02 and share > 0.02 and len(values) * tail > 2:
        yield Finding(
            name="lr_ends_before_training",
            level="error" if tail > 0.1 else "warning",
            what=f"lr is 0, or less than a millionth of its peak, in the last {100 * tail:.2g} % of the training",
            where=subject.where("sgd.lr"),
            why="no gradient moves anything there; only weight decay that does not depend on lr goes on",
            source="docs/training.md",
            do="let the schedule end with the training, or the training with the schedule",
        )


def _after_the_end(subject: Subject, lr: Schedule, values: list[float], total: int) -> Iterator[Finding]:
    """Find turns that are never reached, and ways down that are not finished."""
    pieces = lr.pieces()
    late = [
        piece.start
        for before, piece in pairwise(pieces)
        if piece.start > max(1.02 * total, total + 1) or (piece.start >= total and before.level and piece.level)
    ]
    if not late or min(values) == max(values):
        return
    per = subject.course.per_epoch if not subject.course.ticks_are_steps or subject.run.steps_per_epoch else None
    first = f"epoch {late[0] / per:g}" if per else f"step {late[0]:,}"
    left = values[-1] / max(values)
    grave = late[0] >= 2 * total and left > 0.1
    yield Finding(
        name="schedule_after_the_end",
        level="error" if grave else "warning",
        what=(
            f"the training ends before the schedule does: a turn at {first} is never reached in "
            f"{_length(subject, total)}, and lr ends at {100 * left:.3g} % of its peak"
        ),
        where=subject.where("sgd.lr"),
        why=f"the low learning rates at the end, in which the loss falls most, are never reached: {_CLOCK}",
        source="Goyal et al. 2017; Hoffer et al. 2017 (arXiv 1705.08741)",
        do="train as long as the schedule, or shorten it: downslope rescale --epochs stretches both",
        sure="likely" if grave else "certain",
    )


def _long_warmup(subject: Subject, lr: Schedule, total: int) -> Iterator[Finding]:
    if isinstance(lr, Warmup) and lr.duration > total / 3:
        yield Finding(
            name="warmup_too_long",
            level="error" if lr.duration >= total else "warning",
            what=f"the warmup takes {100 * lr.duration / total:.3g} % of the {_length(subject, total)}",
            where=subject.where("sgd.lr"),
            why="a warmup is for the unstable beginning; until its end lr is below what was chosen",
            source="Goyal et al. 2017, section 2.2: 5 of 90 epochs",
            do="shorten it, and look whether its length is in steps or epochs",
            sure="certain" if lr.duration >= total else "likely",
        )


def _length(subject: Subject, total: int) -> str:
    if not subject.course.ticks_are_steps:
        return counted(f"{subject.run.epochs:g}", "epoch")
    return counted(f"{total:,}", "step")
