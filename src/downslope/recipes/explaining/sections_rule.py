"""The first sections of a document: the rule's equations, and the schedule's table.

What lives here: those two. What does not: what follows from the numbers (`sections_numbers.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from downslope.core.schedules import Schedule
from downslope.recipes.explaining.data import Explanation, ScheduleRow
from downslope.recipes.explaining.parts import Sentence, Table
from downslope.recipes.explaining.words import Words, epochs_text, short, whole


def rule_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield the equations and what they mean."""
    settings = explanation.settings
    yield Table("rule", (), explanation.equations, left=2)
    yield Sentence(words.say("rule.names"))
    if isinstance(settings.momentum, Schedule):
        yield Sentence(words.say("rule.heavy_ball.moving"))
    elif settings.momentum:
        yield Sentence(words.say("rule.heavy_ball", momentum=settings.momentum))
    else:
        yield Sentence(words.say("rule.plain"))
    if settings.nesterov:
        yield Sentence(words.say("rule.nesterov"))
    if settings.weight_decay:
        yield Sentence(words.say(f"rule.{settings.decay}"))
    if settings.lr_in_velocity and settings.momentum:
        yield Sentence(words.say("rule.inside"))


def schedule_section(explanation: Explanation, words: Words) -> Iterator[Sentence | Table]:
    """Yield the table and how the effective lr moves."""
    rows = explanation.schedule
    if not rows:
        yield Sentence(words.say("schedule.unknown", options=_options(explanation, words)))
        yield Sentence(words.say("schedule.peak", lr=explanation.peak.lr))
        return
    yield _schedule_table(explanation, words)
    values = [row.effective_lr for row in rows]
    if len(set(values)) == 1:
        yield Sentence(words.say("schedule.constant", value=values[0]))
    else:
        peak = explanation.peak.effective_lr
        name = "schedule.falls" if peak == values[0] > values[-1] else "schedule.moves"
        yield Sentence(words.say(name, first=values[0], peak=peak, last=values[-1]))
        yield Sentence(words.say("schedule.peak", lr=explanation.peak.lr))
    if explanation.run.total_steps is None and explanation.run.epochs is None and _moves(explanation):
        yield Sentence(words.say("schedule.open"))


def _schedule_table(explanation: Explanation, words: Words) -> Table:
    rows, settings = explanation.schedule, explanation.settings
    in_epochs = rows[0].decay_epochs is not None
    in_steps = rows[0].step is not None
    shown: list[tuple[str, Callable[[ScheduleRow], str]]] = []
    if in_steps:
        shown.append(("step", lambda row: f"{row.step:,}"))
    if rows[0].epoch is not None:
        shown.append(("epoch", lambda row: f"{row.epoch:.2f}"))
    shown.append(("lr", lambda row: short(row.lr)))
    if isinstance(settings.momentum, Schedule):
        shown.append(("momentum", lambda row: short(row.momentum)))
    if isinstance(settings.weight_decay, Schedule):
        shown.append(("weight_decay", lambda row: short(row.weight_decay)))
    shown.append(("effective_lr", lambda row: short(row.effective_lr)))
    if settings.weight_decay and in_epochs:
        shown.append(("decay_epochs", lambda row: epochs_text(row.decay_epochs or 0.0)))
    elif settings.weight_decay and in_steps:
        shown.append(("decay_steps", lambda row: whole(row.decay_steps or 0.0)))
    lines: list[tuple[str, ...]] = []
    for row in rows:
        if row.after_gap:
            lines.append(("...",) * len(shown))
        lines.append(tuple(show(row) for _, show in shown))
    return Table("schedule", tuple(words.say(f"schedule.{name}") for name, _ in shown), tuple(lines))


def _moves(explanation: Explanation) -> bool:
    given = explanation.settings
    return any(isinstance(value, Schedule) for value in (given.lr, given.momentum, given.weight_decay))


def _options(explanation: Explanation, words: Words) -> str:
    missing = [name for name in ("batch_size", "examples") if getattr(explanation.run, name) is None]
    return words.say("comma").join(words.say(f"needs.{name}") for name in missing)
