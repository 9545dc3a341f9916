"""`explain`: a recipe's numbers and what they mean.

`quantities.py`, `run_course.py` and `remarks.py` find the numbers, by the formulas of `theory/`; `sections.py` puts
them into words; `brief.py`, `terminal.py` and `page.py` lay these out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any, overload

from downslope.core.checks import as_count, as_float
from downslope.core.errors import SettingsError
from downslope.core.groups import Group
from downslope.core.rule_text import equations
from downslope.core.schedule_free import ScheduleFree
from downslope.core.settings import Settings
from downslope.explaining.brief import describe_briefly
from downslope.explaining.explanation import Explanation, GroupEffect, Item, Neighbour, RunSize
from downslope.explaining.famous import FAMOUS
from downslope.explaining.quantities import batch_rows, damping_rows, items_of, stretches_at
from downslope.explaining.remarks import remarks_of
from downslope.explaining.run_course import Course, run_size
from downslope.explaining.schedule_free import AverageExplanation, explain_schedule_free
from downslope.explaining.subject import Subject, understand
from downslope.recipe.schema import Recipe
from downslope.theory import forgetting


@overload
def explain(  # pyright: ignore[reportOverlappingOverload] -- whose settings are Settings too, and explained otherwise
    recipe: ScheduleFree,
    *,
    examples: int | None = None,
    batch_size: int | None = None,
    steps: int | None = None,
    curvature: float | Iterable[float] | None = None,
) -> AverageExplanation: ...


@overload
def explain(
    recipe: Recipe | Settings | str | os.PathLike[str],
    *,
    examples: int | None = None,
    batch_size: int | None = None,
    steps: int | None = None,
    curvature: float | Iterable[float] | None = None,
) -> Explanation: ...


def explain(
    recipe: Recipe | Settings | str | os.PathLike[str],
    *,
    examples: int | None = None,
    batch_size: int | None = None,
    steps: int | None = None,
    curvature: float | Iterable[float] | None = None,
) -> Any:
    """Return what a recipe means: its equations, schedule, timescales, limits, and what else follows from its numbers.

    Args:
        recipe: A recipe, settings, the path of a recipe file, or a sentence: a paper's, or a framework's
            arguments.
        examples: Training examples per epoch, where the recipe does not say: without them nothing is in epochs.
        batch_size: Examples per batch, where the recipe does not say.
        steps: Steps in all, where the recipe does not say.
        curvature: Largest curvature of the loss (largest eigenvalue of its Hessian), or several curvatures. It cannot
            be known without measuring; without it, no limit on lr is stated.

    Returns:
        The explanation; `print` shows it as text. Where the recipe's settings are those of schedule-free SGD it is an
        `AverageExplanation`, which says the less that is known of it.

    Raises:
        SettingsError: If a number is outside its range.
        RecipeError: If the recipe cannot be read.

    Example:
        >>> from downslope import Settings, explain
        >>> explanation = explain(
        ...     Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4), batch_size=128, examples=50_000
        ... )
        >>> round(explanation["effective_lr"].value, 3), round(explanation["decay_epochs"].value, 1)
        (1.0, 5.1)
        >>> explanation["largest_lr_nesterov"].needs
        'curvature'
    """
    return explain_subject(
        understand(recipe), examples=examples, batch_size=batch_size, steps=steps, curvature=curvature
    )


def explain_subject(
    subject: Subject,
    *,
    examples: int | None = None,
    batch_size: int | None = None,
    steps: int | None = None,
    curvature: float | Iterable[float] | None = None,
) -> Explanation | AverageExplanation:
    """Return the explanation of what has been understood, as `explain` does."""
    examples, batch_size, steps = (
        None if value is None else as_count(name, value)
        for name, value in (("examples", examples), ("batch_size", batch_size), ("steps", steps))
    )
    curvatures = _curvatures(curvature)
    settings, recipe = subject.settings, subject.recipe
    run = run_size(
        examples=examples or subject.examples,
        batch_size=batch_size or subject.batch_size,
        accumulate=subject.accumulate,
        epochs=None if steps else subject.epochs,
        steps=steps or subject.steps,
    )
    if isinstance(settings, ScheduleFree):
        groups = recipe.groups if recipe else ()
        return explain_schedule_free(
            settings,
            run,
            title=subject.title,
            curvatures=curvatures,
            groups={", ".join(group.patterns): group.changes() for group in groups},
            notes=subject.notes,
        )
    course = Course.of(settings, run)
    now, peak = course.peak(), course.peak_row()
    damping, stretches, memory = damping_rows(now, curvatures), stretches_at(now), forgetting.memory(now)
    extents = course.extents()
    items = items_of(settings, course, run, curvatures, memory, stretches)
    return Explanation(
        title=subject.title,
        settings=settings,
        recipe=recipe,
        run=run,
        equations=tuple(equations(settings)),
        peak=peak,
        schedule=course.rows(),
        extents=extents,
        memory=memory,
        stretches=stretches,
        items=items,
        neighbours=_neighbours(items),
        damping=damping,
        batches=batch_rows(settings, now, run, peak.weight_decay),
        groups=tuple(_group(group, settings, run) for group in (recipe.groups if recipe else ())),
        remarks=remarks_of(settings, recipe, course, run, damping, memory, extents),
        notes=subject.notes,
        normalises=subject.normalises,
        as_text=describe_briefly,
    )


def _neighbours(items: Iterable[Item]) -> tuple[Neighbour, ...]:
    epochs = next((item.value for item in items if item.name == "decay_epochs"), None)
    if epochs is None or math.isinf(epochs):
        return ()
    rows = [Neighbour(name=famous.name, epochs=famous.decay_epochs, source=famous.source) for famous in FAMOUS]
    return tuple(sorted([*rows, Neighbour(name="", epochs=epochs, source="")], key=lambda row: row.epochs))


def _group(group: Group, settings: Settings, run: RunSize) -> GroupEffect:
    row = Course.of(group.apply(settings), run).peak_row()
    return GroupEffect(
        match=group.patterns,
        changes=group.changes(),
        lr=row.lr,
        effective_lr=row.effective_lr,
        decay_steps=row.decay_steps,
        decay_epochs=None if run.steps_per_epoch is None else row.decay_steps / run.steps_per_epoch,
        memory=row.memory,
    )


def _curvatures(curvature: float | Iterable[float] | None) -> list[float]:
    if curvature is None:
        return []
    several = curvature if isinstance(curvature, Iterable) and not isinstance(curvature, str) else [curvature]
    found = sorted({as_float("curvature", one) for one in several})
    if not found or found[0] < 0 or found[-1] == 0:
        raise SettingsError(
            f"`curvature` must be above 0, or several numbers >= 0; got {curvature!r}. It is the largest eigenvalue of "
            "the loss's Hessian, which has to be measured."
        )
    return found
