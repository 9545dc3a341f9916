"""The first sections of a document: the rule's equations, and the schedule's table.

What follows from the numbers is in `sections_numbers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from downslope.core.schedules import Schedule
from downslope.recipes.explaining.course import Course
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
    if any(row.memory in {"swings", "jumps"} for row in rows) and explanation.settings.weight_decay:
        yield Sentence(words.say("schedule.swings", sign=_SWINGS.strip()))
    moving = Course.of(explanation.settings, explanation.run).moves()
    if not moving:
        yield Sentence(words.say("schedule.constant", value=explanation.peak.effective_lr))
        return
    if moving == ("lr",):
        values, peak = [row.effective_lr for row in rows], explanation.peak.effective_lr
        name = "schedule.falls" if peak == values[0] > values[-1] else "schedule.moves"
        yield Sentence(words.say(name, first=values[0], peak=peak, last=values[-1]))
    if explanation.extents:
        yield _extents_table(explanation, words)
    yield Sentence(_where(explanation, moving, words))
    if explanation.run.total_steps is None and explanation.run.epochs is None:
        yield Sentence(words.say("schedule.open"))


def _where(explanation: Explanation, moving: tuple[str, ...], words: Words) -> str:
    """Return of which step all that follows is."""
    peak = explanation.peak
    if moving == ("lr",):
        return words.say("schedule.peak", lr=peak.lr)
    numbers = words.say("comma").join(
        f"{words.say(f'schedule.{name}')} {short(getattr(peak, name))}" for name in moving
    )
    in_steps = peak.step is not None
    at = _place((peak.step if in_steps else peak.epoch) or 0.0, words, in_steps=in_steps)
    even = len({row.effective_lr for row in explanation.schedule}) == 1
    return words.say("schedule.strongest" if even else "schedule.fastest", at=at, numbers=numbers)


def _extents_table(explanation: Explanation, words: Words) -> Table:
    """Return how far everything that moves goes over the run."""
    in_steps = explanation.schedule[0].step is not None
    rows: list[tuple[str, ...]] = []
    for extent in explanation.extents:
        show = whole if extent.name == "decay_steps" else short
        rows.append(
            (
                words.say(f"schedule.{extent.name}"),
                show(extent.first),
                *(
                    f"{show(value)} ({_place(at, words, in_steps=in_steps)})"
                    for value, at in (
                        (extent.smallest, extent.smallest_at),
                        (extent.largest, extent.largest_at),
                    )
                ),
                show(extent.last),
                "\N{EN DASH}" if extent.mean is None else show(extent.mean),
            )
        )
    names = ("quantity", "first", "smallest", "largest", "last", "mean")
    return Table("extents", tuple(words.say(f"extents.{name}") for name in names), tuple(rows), left=1)


def _place(at: float, words: Words, *, in_steps: bool) -> str:
    return words.say("at.step", n=f"{round(at):,}") if in_steps else words.say("at.epoch", n=f"{at:.2f}")


_SWINGS = " \N{PLUS-MINUS SIGN}"


def _forgets(row: ScheduleRow, words: Words, *, in_epochs: bool) -> str:
    if row.memory == "grows":
        return words.say("memory.grows")
    shown = epochs_text(row.decay_epochs or 0.0) if in_epochs else whole(row.decay_steps)
    return shown + _SWINGS if row.memory in {"swings", "jumps"} else shown


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
        shown.append(("decay_epochs", lambda row: _forgets(row, words, in_epochs=True)))
    elif settings.weight_decay and in_steps:
        shown.append(("decay_steps", lambda row: _forgets(row, words, in_epochs=False)))
    lines: list[tuple[str, ...]] = []
    for row in rows:
        if row.after_gap:
            lines.append(("...",) * len(shown))
        lines.append(tuple(show(row) for _, show in shown))
    return Table("schedule", tuple(words.say(f"schedule.{name}") for name, _ in shown), tuple(lines))


def _options(explanation: Explanation, words: Words) -> str:
    missing = [name for name in ("batch_size", "examples") if getattr(explanation.run, name) is None]
    return words.say("comma").join(words.say(f"needs.{name}") for name in missing)
