"""What the sliders of a page begin with: the numbers of an explanation, and the course of its schedules."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

from downslope.core.schedules import Schedule
from downslope.core.schedules.pieces import turns
from downslope.core.settings import Settings
from downslope.core.tensor_factors import NONE
from downslope.explaining.explanation import Explanation, ScheduleRow
from downslope.explaining.run_course import Course, evenly, schedules_of
from downslope.lab.begin import Beginning, begin_with
from downslope.lab.begin import Course as Shape

_POINTS = 240


def beginning_of(explanation: Explanation) -> Beginning:
    """Return what the sliders begin with: the step with the largest effective lr, as all of an explanation.

    lr inside the velocity and ascent have no slider, and make no difference to where a walk with constant numbers goes
    on the valley of what is minimised; factors of single tensors have none either, and are 1 here.
    """
    peak, course = explanation.peak, Course.of(explanation.settings, explanation.run)
    settings = replace(
        explanation.settings,
        lr=peak.lr,
        momentum=peak.momentum,
        dampening=explanation.settings.dampening if peak.momentum else 0.0,
        nesterov=explanation.settings.nesterov and peak.momentum > 0,
        nu=explanation.settings.nu if peak.momentum else None,
        weight_decay=peak.weight_decay if peak.lr or explanation.settings.decay == "independent" else 0.0,
        lr_in_velocity=False,
        maximize=False,
        **NONE._asdict(),
    )
    curvatures = [row.curvature for row in explanation.damping if 0 < row.curvature < math.inf]
    return begin_with(settings, curvatures=curvatures, course=_shape_of(course, peak.lr))


def sampled(course: Course) -> list[ScheduleRow]:
    """Return rows at evenly spread steps, and on both sides of every boundary."""
    length = course.length()
    ticks = set(evenly(length, _POINTS))
    for boundary in islice(turns(schedules_of(course.settings or course.given), 0, length), _POINTS):
        ticks |= {boundary - 1, boundary}
    return [course.row(tick) for tick in sorted(ticks)]


def _shape_of(course: Course, lr: float) -> Shape | None:
    """Return the course of the schedules as shares of an lr; None where nothing moves, or nothing is known of it."""
    if course.settings is None or not course.moves() or course.length() < 2 or not lr:
        return None
    rows = sampled(course)
    in_epochs = rows[0].epoch is not None

    def moving(name: str) -> list[float] | None:
        return [getattr(row, name) for row in rows] if isinstance(getattr(course.settings, name), Schedule) else None

    return Shape(
        unit="epoch" if in_epochs else "step",
        times=[float((row.epoch if in_epochs else row.step) or 0) for row in rows],
        lr=[row.lr / lr for row in rows],
        momentum=moving("momentum"),
        weight_decay=moving("weight_decay"),
        per_epoch=course.per_epoch if course.ticks_are_steps else None,
        initial=_share(course.settings, "lr_initial", lr),
        largest=_share(course.settings, "lr_max", lr),
    )


def _share(settings: Settings, name: str, lr: float) -> float:
    """Return an lr that some ways of decay divide by as a share of another; 1 where it is none."""
    share = getattr(settings, name) / lr
    return share if 0 < share < math.inf else 1.0
