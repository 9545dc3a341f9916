"""An explanation in words: which sections there are, in which order, and which sentences and tables each has.

The sentences themselves are the languages' (`english.toml`, `chinese.toml`), by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from downslope.core.groups import BIAS_AND_NORM
from downslope.core.schedules import Schedule
from downslope.explaining.document import Document, Note, Section, Sentence, Table
from downslope.explaining.explanation import Explanation, GroupEffect, Item, Remark, ScheduleRow
from downslope.explaining.language import Words, epochs_text, short, whole, words_of
from downslope.explaining.quantities import largest_lr, own_form
from downslope.explaining.run_course import Course
from downslope.theory import FORMULAS
from downslope.theory.direction import Stretch
from downslope.theory.forgetting import Memory

Parts = Iterator[Sentence | Table]

NEIGHBOURS_NAMED = ("ResNet-50", "Wide ResNet", "DenseNet (CIFAR)")
"""The famous recipes that the sentence about the timescale names; the table has all."""

_UNKNOWN = "\N{EN DASH}"
_SWINGS = " \N{PLUS-MINUS SIGN}"
"""Behind a timescale over which a weight does not fade but swings through 0."""

_HARDLY = 0.9
"""From which share of a weight on that is left at the end of the run decay is said hardly to act."""

_STRONG = " *"
"""Behind an lr at which decay would be too strong to be scaled."""


def write_document(explanation: Explanation, lang: str = "en") -> Document:
    """Return an explanation in words, in English ("en") or Chinese ("zh").

    Raises:
        SettingsError: If there is no such language.
    """
    words = words_of(lang)
    sections: list[Section] = []
    notes: dict[Note, int] = {}
    for name, make in (
        ("rule", _rule),
        ("schedule", _schedule),
        ("velocity", _velocity),
        ("decay", _decay),
        ("stability", _stability),
        ("damping", _damping),
        ("rotation", _rotation),
        ("batch", _batch),
        ("groups", _groups),
        ("remarks", _remarks),
        ("unknown", _unknown),
        ("notes", _notes),
    ):
        parts = tuple(_noted(part, notes) for part in make(explanation, words))
        if parts:
            sections.append(Section(name, words.say(f"section.{name}"), parts))
    known = (
        words.say(f"run.{name}", n=whole(value))
        for name in ("batch_size", "steps_per_epoch", "epochs", "total_steps")
        if (value := getattr(explanation.run, name)) is not None
    )
    title = explanation.title or words.say("untitled")
    return Document(title, run=words.join(known), sections=tuple(sections), notes=tuple(notes))


def _noted(part: Sentence | Table, notes: dict[Note, int]) -> Sentence | Table:
    """Return the part with the number of what it rests on, which is added to the notes if it is new."""
    if isinstance(part, Table) or part.rests_on is None:
        return part
    return replace(part, note=notes.setdefault(part.rests_on, len(notes) + 1))


def _rule(explanation: Explanation, words: Words) -> Parts:
    settings = explanation.settings
    yield Table("rule", (), explanation.equations, left=2)
    yield _say(words, "rule.names")
    if settings.trust_coefficient is not None:
        yield _say(words, "rule.ratio")
    if settings.adaptive_clip is not None:
        yield _say(words, "rule.clip")
    if isinstance(settings.momentum, Schedule):
        yield _say(words, "rule.heavy_ball.moving")
    elif settings.momentum:
        yield _say(words, "rule.heavy_ball", momentum=settings.momentum)
    else:
        yield _say(words, "rule.plain")
    if settings.nesterov:
        yield _say(words, "rule.nesterov")
    if settings.nu is not None:
        yield _say(words, "rule.quasi_hyperbolic", nu=settings.nu, rest=float(f"{1 - settings.nu:.12g}"))
    if settings.weight_decay:
        yield _say(words, f"rule.{settings.decay}")
    if settings.lr_in_velocity and settings.momentum:
        yield _say(words, "rule.inside")


def _schedule(explanation: Explanation, words: Words) -> Parts:
    rows = explanation.schedule
    if not rows:
        missing = (name for name in ("batch_size", "examples") if getattr(explanation.run, name) is None)
        options = words.join(words.say(f"needs.{name}") for name in missing)
        yield _say(words, "schedule.unknown", options=options)
        yield _say(words, "schedule.peak", lr=explanation.peak.lr)
        return
    moving = Course.of(explanation.settings, explanation.run).moves()
    if not moving:
        yield _say(words, "schedule.constant", lr=explanation.peak.lr, value=explanation.peak.effective_lr)
        return
    yield _schedule_table(explanation, words)
    if any(row.memory in {"swings", "jumps"} for row in rows) and explanation.settings.weight_decay:
        yield _say(words, "schedule.swings", sign=_SWINGS.strip())
    if moving == ("lr",):
        values, peak = [row.effective_lr for row in rows], explanation.peak.effective_lr
        name = "schedule.falls" if peak == values[0] > values[-1] else "schedule.moves"
        yield _say(words, name, first=values[0], peak=peak, last=values[-1])
    if explanation.extents:
        yield _extents_table(explanation, words)
    yield Sentence(_where(explanation, moving, words))
    if explanation.run.total_steps is None and explanation.run.epochs is None:
        yield _say(words, "schedule.open")


def _where(explanation: Explanation, moving: tuple[str, ...], words: Words) -> str:
    """Return of which step all that follows is."""
    peak = explanation.peak
    if moving == ("lr",):
        return words.say("schedule.peak", lr=peak.lr)
    numbers = words.join(f"{words.say(f'schedule.{name}')} {short(getattr(peak, name))}" for name in moving)
    in_steps = peak.step is not None
    at = _when((peak.step if in_steps else peak.epoch) or 0.0, words, in_steps=in_steps)
    even = len({row.effective_lr for row in explanation.schedule}) == 1
    return words.say("schedule.strongest" if even else "schedule.fastest", at=at, numbers=numbers)


def _extents_table(explanation: Explanation, words: Words) -> Table:
    """Return how far everything that moves goes over the run."""
    in_steps = explanation.schedule[0].step is not None
    rows: list[tuple[str, ...]] = []
    for extent in explanation.extents:
        show = whole if extent.name == "decay_steps" else short
        smallest, largest = (
            f"{show(value)} ({_when(at, words, in_steps=in_steps)})"
            for value, at in ((extent.smallest, extent.smallest_at), (extent.largest, extent.largest_at))
        )
        mean = _UNKNOWN if extent.mean is None else show(extent.mean)
        rows.append(
            (words.say(f"schedule.{extent.name}"), show(extent.first), smallest, largest, show(extent.last), mean)
        )
    columns = _headers("extents", words, "quantity", "first", "smallest", "largest", "last", "mean")
    return Table("extents", columns, tuple(rows), left=1)


def _when(at: float, words: Words, *, in_steps: bool) -> str:
    return words.say("at.step", n=f"{round(at):,}") if in_steps else words.say("at.epoch", n=f"{at:.2f}")


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
    return Table("schedule", _headers("schedule", words, *(name for name, _ in shown)), tuple(lines))


def _velocity(explanation: Explanation, words: Words) -> Parts:
    gain, lr = explanation["effective_lr"], explanation.peak.lr
    if not gain.value:
        yield _about(gain, words, "effective_lr.dampened" if lr else "effective_lr.zero")
    elif "velocity_horizon" not in explanation:
        yield _about(gain, words, "effective_lr.plain")
    elif explanation.settings.dampening == 1:
        yield _about(gain, words, "effective_lr.ahead" if explanation.settings.nesterov else "effective_lr.apart")
    else:
        yield _about(gain, words, "effective_lr", ratio=(gain.value or 0.0) / lr)
    if explanation.settings.dampening != 1:
        for name in ("velocity_horizon", "velocity_half_life", "velocity_half_life_examples"):
            if name in explanation and explanation[name].value is not None:
                yield _about(explanation[name], words, name)


def _decay(explanation: Explanation, words: Words) -> Parts:
    """Yield how long weights remember, beside famous recipes."""
    if "decay_steps" not in explanation:
        yield _say(words, "decay.none")
        return
    steps, epochs = explanation["decay_steps"], explanation["decay_epochs"]
    name, numbers = _memory(explanation.memory)
    yield _about(steps, words, name, **numbers)
    if epochs.value is not None and explanation.neighbours:
        others = words.join_clauses(
            words.say("decay.other", name=other.name, epochs=epochs_text(other.epochs))
            for name in NEIGHBOURS_NAMED
            for other in explanation.neighbours
            if other.name == name
        )
        yield _about(epochs, words, "decay_epochs", others=others)
        yield Table(
            "neighbours",
            _headers("neighbours", words, "name", "epochs", "source"),
            tuple(
                (other.name or words.say("this"), f"{other.epochs:.2f}", words.famous.get(other.name, other.source))
                for other in explanation.neighbours
            ),
            left=1,
            last_left=True,
            marked=next(i for i, other in enumerate(explanation.neighbours) if not other.name),
        )
    for name in ("decoupled_equivalent", "keras_l2"):
        if name in explanation and explanation[name].value:
            yield _about(explanation[name], words, name)


def _memory(memory: Memory) -> tuple[str, dict[str, Any]]:
    """Return the name of the sentence on what becomes of a weight, and its numbers."""
    if memory.way == "fades":
        return "decay_steps", {}
    if memory.way == "at once":
        return "decay_steps.at_once", {"percent": short(100 * memory.left, 3)}
    if memory.way == "grows":
        return "decay_steps.grows", {"rate": memory.rate}
    if memory.way == "stays":
        return "decay_steps.never", {}
    if math.isinf(memory.steps):
        return "decay_steps.for_ever", {}
    numbers = {
        "crosses": whole(memory.crosses or 0),
        "lowest": short(-100 * memory.lowest, 3),
        "lowest_at": whole(memory.lowest_at),
        "rate": memory.rate,
    }
    return f"decay_steps.{memory.way}", numbers


def _stability(explanation: Explanation, words: Words) -> Parts:
    own = own_form(explanation.settings)
    other = "nesterov" if own == "heavy_ball" else "heavy_ball"
    lr, momentum, weight_decay = explanation.peak.lr, explanation.peak.momentum, explanation.peak.weight_decay
    curvature = explanation[f"largest_curvature_{own}"]
    largest = curvature.value or 0.0
    if largest <= 0:
        yield _about(curvature, words, "largest_curvature.never")
    elif math.isinf(largest):
        yield _about(curvature, words, "largest_curvature.any")
    else:
        yield _about(curvature, words, "largest_curvature", lr=lr)
        if momentum:
            yield _about(explanation[f"largest_curvature_{other}"], words, f"largest_curvature.other.{other}")
    limit = explanation[f"largest_lr_{own}"]
    if limit.value is None:
        course = Course.of(explanation.settings, explanation.run)
        names = dict.fromkeys(("heavy_ball", "nesterov", own))
        forms = {form: _over_l(f"largest_lr_{form}", explanation, course) for form in names}
        none = any(text is None for text in forms.values())
        name = "largest_lr.unknown.quasi_hyperbolic" if own == "quasi_hyperbolic" else "largest_lr.unknown"
        yield _about(limit, words, "largest_lr.none" if none else name, **({} if none else forms))
    elif limit.value == 0:
        yield _about(limit, words, "largest_lr.none")
    else:
        given = explanation.damping[-1].curvature
        if math.isinf(limit.value):
            yield _about(limit, words, "largest_lr.any", curvature=given)
        else:
            name, percent = "stable" if lr < limit.value else "unstable", short(100 * lr / limit.value, 3)
            verdict = words.say(f"largest_lr.{name}", lr=lr, percent=percent)
            yield _about(limit, words, "largest_lr", curvature=given, verdict=verdict)
        if momentum:
            yield _about(explanation[f"largest_lr_{other}"], words, f"largest_lr.{other}")
    if 0 < largest < math.inf:
        name = (
            "edge_full_batch.coupled" if weight_decay and explanation.settings.decay == "coupled" else "edge_full_batch"
        )
        yield _about(explanation["edge_full_batch"], words, name, decay=weight_decay)
        yield _about(explanation["edge_mini_batch"], words, "edge_mini_batch")


def _over_l(name: str, explanation: Explanation, course: Course) -> str | None:
    """Return the largest lr as a fraction over the unknown curvature L; None where no lr is stable.

    It is a / (L + b), and a and b follow from its values at L = 1 and L = 0.
    """
    at_1, at_0 = (largest_lr(name, explanation.settings, course, curvature) for curvature in (1.0, 0.0))
    if not at_1:
        return None
    if math.isinf(at_1):
        return short(math.inf)
    ratio = at_1 / at_0
    beside = ratio / (1 - ratio) if ratio < 1 else math.inf
    above = short(at_1 * (1 + beside))
    return f"{above} / L" if not beside else f"{above} / (L + {short(beside)})"


def _damping(explanation: Explanation, words: Words) -> Parts:
    stretches = explanation.stretches
    if not stretches:
        yield _say(words, "damping.still")
    elif stretches[0].regime == "unstable":
        yield _say(words, "damping.unstable")
    else:
        wide = [one for one in stretches if short(one.start) != short(one.end)]  # others are narrower than is shown
        said = words.join_clauses(_stretch(stretch, words) for stretch in wide)
        if "critical_curvature" in explanation:
            yield _about(explanation["critical_curvature"], words, "damping.stretches", stretches=said)
        else:
            yield _say(words, "damping.stretches", stretches=said)
    if "oscillation_rate" in explanation:
        rate = explanation["oscillation_rate"]
        half_life = math.log(2) / -math.log(rate.value or 0.5)
        yield _about(rate, words, "oscillation_rate", half_life=half_life)
    if explanation.damping:
        yield Table(
            "damping",
            _headers("damping", words, "curvature", "regime", "rate", "half_life", "critical"),
            tuple(
                (
                    short(row.curvature),
                    words.say(f"regime.{row.regime}"),
                    f"× {short(row.rate)}",  # noqa: RUF001  # a multiplication sign is meant
                    _UNKNOWN if row.regime == "unstable" else whole(row.half_life),
                    _UNKNOWN if row.critical_momentum is None else short(row.critical_momentum),
                )
                for row in explanation.damping
            ),
        )
    for kind in ("heavy_ball", "nesterov"):
        lr, momentum, rate = (explanation[f"optimal_{kind}_{part}"] for part in ("lr", "momentum", "rate"))
        if lr.value is not None:
            yield _about(lr, words, f"optimal.{kind}", lr=lr.value, momentum=momentum.value, rate=rate.value)


def _stretch(stretch: Stretch, words: Words) -> str:
    regime = words.say(f"regime.{stretch.regime}")
    if not stretch.start:
        name = "stretch.all" if math.isinf(stretch.end) else "stretch.below"
    else:
        name = "stretch.above" if math.isinf(stretch.end) else "stretch.between"
    return words.say(name, start=stretch.start, end=stretch.end, regime=regime)


def _rotation(explanation: Explanation, words: Words) -> Parts:
    """Yield what weights before a normalisation layer do."""
    if explanation.normalises is False:
        yield _say(words, "rotation.absent")
    if "rotation_per_step" not in explanation:
        why = "none"
        if math.isinf(explanation.memory.steps) and explanation.memory.way != "stays":
            why = "grows"
        elif not explanation.peak.effective_lr:
            why = "still"
        yield _say(words, f"rotation.{why}")
        return
    angle = explanation["rotation_per_step"]
    yield _about(angle, words, "rotation_per_step", degrees=math.degrees(angle.value or 0.0))
    for name in ("equilibrium_norm", "equilibrium_gradient_ratio", "equilibrium_gradient_ratio_last"):
        if name in explanation:
            yield _about(explanation[name], words, name)


def _batch(explanation: Explanation, words: Words) -> Parts:
    if not explanation.batches or not explanation.peak.effective_lr:
        return
    cards = [FORMULAS[name] for name in ("lr_for_batch", "momentum_for_batch", "lr_for_batch_and_momentum")]
    rests_on = [_note(card.name, card.equation, card.valid, card.source, words) for card in cards]
    equations = words.join_clauses(note.equation for note in rests_on)
    yield replace(_say(words, "batch.how"), rests_on=replace(rests_on[-1], equation=equations))
    moving = explanation.settings.decay != "coupled" and bool(explanation.peak.weight_decay)
    shown = {
        "factor": True,
        "size": explanation.run.batch_size is not None,
        "lr": True,
        "weight_decay": moving,
        "momentum_scaled": bool(explanation.peak.momentum),
        "lr_scaled": bool(explanation.peak.momentum),
        "weight_decay_scaled": bool(explanation.peak.momentum) and moving,
    }
    names = [name for name, is_shown in shown.items() if is_shown]
    rows: list[tuple[str, ...]] = []
    for row in explanation.batches:
        cells = {name: short(getattr(row, name)) for name in names if name != "size"}
        cells |= {"size": whole(row.batch_size or 0)}
        cells["lr"] += "" if row.decay_kept else _STRONG
        if "lr_scaled" in cells and not row.decay_kept_scaled:
            cells["lr_scaled"] += _STRONG
        rows.append(tuple(cells[name] for name in names))
    yield Table("batch", _headers("batch", words, *names), tuple(rows))
    if any(cell.endswith(_STRONG) for row in rows for cell in row):
        yield _say(words, "batch.strong")
    if explanation.peak.weight_decay and not moving:
        yield _say(words, "batch.factor_only", value=explanation.peak.weight_decay)


def _groups(explanation: Explanation, words: Words) -> Parts:
    for group in explanation.groups:
        yield Sentence(_group(group, words))
    if explanation.groups:
        yield _say(words, "groups.rest")


def _group(group: GroupEffect, words: Words) -> str:
    patterns = [words.say("groups.bias_and_norm") if one == BIAS_AND_NORM else one for one in group.match]
    if group.memory == "grows":
        memory = words.say("groups.grows")
    elif math.isinf(group.decay_steps):
        memory = words.say("groups.never")
    elif group.decay_epochs is None:
        memory = words.say("groups.forget", steps=whole(group.decay_steps))
    else:
        epochs = epochs_text(group.decay_epochs)
        memory = words.say("groups.forget_epochs", steps=whole(group.decay_steps), epochs=epochs)
    if group.memory in {"swings", "jumps"}:
        memory += words.say("space") + words.say("groups.swings")
    changes = words.join(f"{name} = {_shown_change(value)}" for name, value in group.changes.items())
    match = words.join(patterns)
    return words.say("groups.one", match=match, changes=changes, gain=group.effective_lr, memory=memory)


def _shown_change(value: Any) -> str:
    if isinstance(value, Schedule):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    return short(value) if isinstance(value, float) else str(value)


def _remarks(explanation: Explanation, words: Words) -> Parts:
    for remark in explanation.remarks:
        name, numbers = _variant(explanation, remark), dict(remark.numbers)
        for key in ("steps", "total", "horizon", "formula", "exact", "epoch"):
            if key in numbers:
                numbers[key] = whole(numbers[key])
        if "left" in numbers:
            numbers["left"] = short(100 * numbers["left"], 2)
        if "epochs" in numbers:
            numbers["epochs"] = epochs_text(numbers["epochs"])
        if remark.name == "copied_from_coupled":
            numbers["equal"] = numbers["weight_decay"] * numbers["factor"]
            numbers["factor"] = max(numbers["factor"], 1 / numbers["factor"])
        if "at" in numbers:
            numbers["at"] = _when(numbers["at"], words, in_steps=not numbers["in_epochs"])
        yield _say(words, f"remark.{name}", **numbers)


def _variant(explanation: Explanation, remark: Remark) -> str:
    """Return the name of the sentence for a remark: some have one for each case."""
    name, numbers, settings = remark.name, remark.numbers, explanation.settings
    case = ""
    if name == "decay_not_slow":
        case = {"over-damped": "", "alternating": "oscillating"}.get(numbers["regime"], numbers["regime"])
    elif name == "dampened":
        form = own_form(settings)
        case = "all" if settings.dampening == 1 else "" if form == "heavy_ball" else form
    elif name == "copied_from_coupled":
        case = "stronger" if numbers["factor"] < 1 else ""
    elif name in {"forgets_fast", "forgets_slowly"}:
        case = "mean" if numbers["moves"] else ""
    elif name == "longer_than_the_run":
        case = ".".join([*(["left"] if numbers["left"] < _HARDLY else []), *(["mean"] if numbers["moves"] else [])])
    elif name == "decay_ignores_lr":
        case = "moves" if numbers["moves"] else ""
    elif name == "lr_ends_at_zero":
        case = "independent" if settings.decay == "independent" and settings.weight_decay else ""
    return f"{name}.{case}" if case else name


def _unknown(explanation: Explanation, words: Words) -> Parts:
    """Yield what is not known, and what has to be passed for it."""
    missing: dict[str, list[str]] = {}
    for item in explanation.items:
        if item.value is None and item.needs:
            name = item.name
            for part in ("_lr", "_momentum", "_rate"):
                name = name.removesuffix(part) if name.startswith("optimal") else name
            names = missing.setdefault(item.needs, [])
            if (label := words.say(f"item.{name}")) not in names:
                names.append(label)
    for needs, names in missing.items():
        options = [words.say(f"needs.{need}") for need in needs.split(", ")]
        bare = words.join(re.split(r" \(|\N{FULLWIDTH LEFT PARENTHESIS}", option)[0] for option in options)
        yield _say(words, "unknown.line", names=words.join(names), options=words.join(options), bare=bare)


def _notes(explanation: Explanation, _: Words) -> Parts:
    """Yield what was understood of a sentence, in the words of its reader."""
    for note in explanation.notes:
        yield Sentence(note)


def _about(item: Item, words: Words, name: str, **numbers: Any) -> Sentence:
    """Return a sentence about an item, with its formula, condition and source."""
    rests_on = _note(item.formula, item.equation, item.valid, item.source, words)
    return replace(_say(words, name, value=_shown(item), **numbers), rests_on=rests_on)


def _say(words: Words, name: str, /, **numbers: Any) -> Sentence:
    """Return the sentence of that name, with its numbers put in."""
    return Sentence(words.say(name, **numbers), name=name, numbers=numbers)


def _note(formula: str, equation: str, valid: str, source: str, words: Words) -> Note:
    """Return what a formula's number rests on, in the language's words where it has any."""
    return Note(
        words.equation.get(formula, equation), words.valid.get(formula, valid), words.source.get(formula, source)
    )


def _shown(item: Item) -> str:
    value = item.value or 0.0
    if item.unit == "epochs":
        return epochs_text(value)
    return whole(value) if item.unit in {"steps", "examples"} else short(value)


def _headers(table: str, words: Words, *columns: str) -> tuple[str, ...]:
    return tuple(words.say(f"{table}.{column}") for column in columns)
