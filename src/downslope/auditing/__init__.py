"""`audit`: what is probably wrong with a recipe, a sentence, a training script, a run, or an optimizer in Python.

`subject.py` says what is looked at; each file `about_....py` holds the findings of one kind; `finding.py` is what is
returned. Nothing that is read is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from downslope.auditing.about_decay import about_decay
from downslope.auditing.about_optimizers import about_optimizers
from downslope.auditing.about_programs import about_programs, lines_not_read, steps_not_seen
from downslope.auditing.about_runs import about_runs
from downslope.auditing.about_schedules import about_schedules
from downslope.auditing.about_states import about_states
from downslope.auditing.about_training import about_training
from downslope.auditing.finding import LEVELS, Audit, Finding
from downslope.auditing.subject import Sizes, Subject, find_subject
from downslope.core.checks import is_integer
from downslope.core.errors import SettingsError
from downslope.core.schedule_free import ScheduleFree
from downslope.recipe.overrides import Override

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    about_schedules,
    about_decay,
    about_training,
    about_programs,
    about_states,
    about_runs,
)


_ONCE = frozenset({"schedule_in_the_wrong_unit"})
"""Findings that several checks make of one thing."""


def audit(
    thing: Any,
    model: Any = None,
    *,
    steps_per_epoch: int | None = None,
    steps: int | None = None,
    examples: int | None = None,
    batch_size: int | None = None,
) -> Audit:
    """Return what is probably wrong, each finding with where, why, what to do, and how sure.

    Args:
        thing: A recipe, settings, the path of a recipe, of a script or of a run folder, the text of a program, a
            sentence; or an optimizer of torch's kind, ours or another, together with its model.
        model: The model whose parameters the optimizer holds.
        steps_per_epoch: Steps in an epoch, where nothing else says them.
        steps: Steps in all.
        examples: Training examples in an epoch.
        batch_size: Examples in a batch.

    Returns:
        The findings, the gravest first; `print` shows them as text.

    Raises:
        DownslopeError: If it cannot be read.

    Example:
        >>> from downslope import audit
        >>> audit("SGD, lr 0.1, weight decay 0.98, 90 epochs").errors[0].name
        'decay_forgets_at_once'
    """
    given = {"steps_per_epoch": steps_per_epoch, "steps": steps, "examples": examples, "batch_size": batch_size}
    for name, value in given.items():
        if value is not None and (not is_integer(value) or value < 1):
            raise SettingsError(f"`{name}` must be an integer >= 1; got {value!r}.")
    sizes = Sizes(**given)
    if hasattr(thing, "param_groups"):
        if any("weight_sum" in group for group in thing.param_groups):
            return _result(f"{type(thing).__name__}", (), (f"the optimizer's numbers: {SCHEDULE_FREE}",))
        return _result(f"{type(thing).__name__}", about_optimizers(thing, model, sizes), ())
    if model is not None:
        raise SettingsError(
            f"`model` goes with an optimizer that has `param_groups`, as torch's have; got {type(thing).__name__}."
        )
    return audit_words(thing, sizes)


def audit_words(thing: Any, sizes: Sizes, overrides: Iterable[Override] = ()) -> Audit:
    """Return the audit of anything but an optimizer."""
    return audit_subject(find_subject(thing, sizes, overrides))


def audit_subject(subject: Subject) -> Audit:
    """Return the audit of what was found to be looked at."""
    if isinstance(subject.settings, ScheduleFree):
        subject = replace(subject, settings=None, recipe=None, unknown=SCHEDULE_FREE)
    findings = [_weighed(finding, subject) for check in CHECKS for finding in check(subject)]
    return _result(subject.title, findings, tuple(_not_checked(subject)))


SCHEDULE_FREE = "they are of schedule-free SGD, of which no limits are known here"


def _weighed(finding: Finding, subject: Subject) -> Finding:
    """Return a finding on a value that may be another as what it then is: a warning, and possible."""
    place = finding.where.split(",")[0]
    if not any(path == place or path.startswith(f"{place}.") for path in subject.unsure):
        return finding
    return replace(finding, level="warning" if finding.level == "error" else finding.level, sure="possible")


def _result(title: str, findings: Iterable[Finding], not_checked: tuple[str, ...]) -> Audit:
    first: dict[str, Finding] = {}
    for finding in findings:  # of one name and place, the first
        first.setdefault(finding.name if finding.name in _ONCE else f"{finding.name} {finding.where}", finding)
    ordered = sorted(first.values(), key=lambda finding: LEVELS.index(finding.level))
    return Audit(title, tuple(ordered), not_checked)


def _not_checked(subject: Subject) -> Iterator[str]:
    if subject.settings is None:
        yield f"the optimizer's numbers: {subject.unknown}"
        yield from lines_not_read(subject)
        yield from steps_not_seen(subject)
        return
    if subject.settings.trust_coefficient is not None:
        yield "how fast weights forget, and whether lr needs a warmup: by its trust ratio a tensor has its own numbers"
    if subject.run.steps_per_epoch is None:
        yield "what depends on the length of an epoch: give --examples N (and --batch-size N), or --steps-per-epoch N"
    if subject.run.total_steps is None and subject.run.epochs is None:
        yield "what depends on the length of the training: give --steps N"
    yield from lines_not_read(subject)
    yield from steps_not_seen(subject)
