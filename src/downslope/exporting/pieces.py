"""A schedule as a list of pieces, each from one step to the next with one short formula.

What lives here: taking every schedule apart, and printing its pieces as Python, as JAX or as Keras operations. What
does not: a framework's own schedule classes, which its target prefers where they are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.exact import exact, plain
from downslope.core.schedules.schedule import PYTHON, Schedule
from downslope.exporting.python_source import short_call, statement


@dataclass(frozen=True)
class Words:
    """How a language writes what formulas need.

    Attributes:
        cos: Its cosine.
        sqrt: Its square root.
        pi: Its pi.
        largest: Its elementwise maximum.
        smallest: Its elementwise minimum.
        number: Turns the source of an integer into that of a floating-point number; "{}" stands for it.
    """

    cos: str
    sqrt: str
    pi: str
    largest: str
    smallest: str
    number: str = "{}"


PYTHON_WORDS = Words("math.cos", "math.sqrt", "math.pi", "max", "min")
JAX_WORDS = Words("jnp.cos", "jnp.sqrt", "jnp.pi", "jnp.maximum", "jnp.minimum")

COUNTED = 2**31
"""How many steps JAX counts, in 32-bit integers, as Keras does on it: no number that stands beside a step is larger."""

Formula = Callable[[str, Words], str]
"""(source of the step counted from the piece's origin, words) -> source of the value."""


@dataclass(frozen=True)
class Piece:
    """One formula, in effect from a step on.

    Attributes:
        start: First step, 0-based.
        origin: What its formula counts from.
        formula: The formula.
    """

    start: int
    origin: float
    formula: Formula

    def source(self, step: str, words: Words) -> str:
        """Return the value's source at the step that `step` names."""
        if not self.origin:
            return self.formula(step, words)
        counted = words.number.format(step) if isinstance(self.origin, float) else step
        return self.formula(f"({counted} - {self.origin!r})", words)


def pieces_of(schedule: Schedule) -> list[Piece]:
    """Return a schedule's pieces, in order; the first starts at step 0.

    Args:
        schedule: The schedule, in steps.

    Raises:
        ExportError: If it is in epochs.
    """
    if schedule.in_epochs():
        raise ExportError(
            f"{schedule!r} is in epochs, and how many steps one has is not known. Give --steps-per-epoch N or "
            f"--examples N (in Python steps_per_epoch= or examples=)."
        )
    return _joined([(0, piece) for piece in _PIECES[type(schedule)](schedule)])


def is_countable(schedule: Schedule) -> bool:
    """Return whether every length in a schedule is a number of steps that a compiled program can count to."""
    times = ("duration", "every", "milestones", "boundaries", "warmup", "stable", "decay")
    lengths = [getattr(schedule, name, 0) for name in times]
    longest = max(max(one) if isinstance(one, tuple) else one for one in lengths)
    return longest < COUNTED and all(is_countable(inner) for inner in schedule.inner())


def has_staircase(schedule: Schedule) -> bool:
    """Return whether a schedule, or one inside it, counts whole periods."""
    own = isinstance(schedule, s.Exponential) and schedule.staircase
    return own or any(has_staircase(inner) for inner in schedule.inner())


def stays_real(schedule: s.Polynomial) -> bool:
    """Return whether a framework's own polynomial is a number at the end of a schedule.

    It is (1 - duration / duration) ** power there. Compiled, the division is a product with the rounded inverse:
    1 - 40 * (1 / 40) is below 0 in float32, and a broken power of that is NaN.
    """
    return float(schedule.power).is_integer()


def levels(schedule: s.MultiStep) -> list[float]:
    """Return the values between milestones, as a person writes them: 0.001, not 0.1 * 0.1**2 in floats."""
    passed = range(len(schedule.milestones) + 1)
    return [float(exact(schedule.initial) * exact(schedule.factor) ** number) for number in passed]


def python_function(name: str, schedule: Schedule, *, doc: str) -> list[str]:
    """Return a Python function of the step that gives the schedule's value."""
    return [f"def {name}(step):", f'    """{doc}"""', *_branches(pieces_of(schedule))]


def where_function(name: str, schedule: Schedule, *, doc: str, where: str, words: Words, depth: int = 0) -> list[str]:
    """Return a function of a traced step that gives the schedule's value; `depth` is how deep it will be indented."""
    *earlier, last = (piece for piece in pieces_of(schedule) if piece.start < COUNTED)
    followers = [*earlier[1:], last]
    lines = [f"def {name}(step):", f'    """{doc}"""']
    if not earlier:
        return [*lines, statement(f"    return {last.source('step', words)}", depth)]
    lines.append(statement(f"    value = {_with_precision(last, words)}", depth))
    for piece, following in zip(reversed(earlier), reversed(followers), strict=True):
        formula = _with_precision(piece, words)
        if len(formula) > 70 - 4 * depth:
            lines.append(statement(f"    piece = {formula}", depth))
            formula = "piece"
        arguments = [f"step < {following.start}", formula, "value"]
        call_lines = short_call(where, arguments, before="value = ", depth=1 + depth)
        lines += [line[4 * depth :] for line in call_lines]
    return [*lines, "    return value"]


def _with_precision(piece: Piece, words: Words) -> str:
    """Return a piece's source; a mere number, which has no precision of its own, is given that of the others."""
    value = piece.source("step", words)
    return value if any(sign in value for sign in "(*/") else words.number.format(value)


def _branches(pieces: list[Piece]) -> list[str]:
    lines: list[str] = []
    for piece, following in pairwise(pieces):
        lines += [
            f"    if step < {following.start}:",
            statement(f"        return {piece.source('step', PYTHON_WORDS)}"),
        ]
    return [*lines, statement(f"    return {pieces[-1].source('step', PYTHON_WORDS)}")]


def _joined(shifted: list[tuple[int, Piece]], cut: int = 0) -> list[Piece]:
    """Return pieces moved to later steps; of those that begin at or before `cut`, only the last, beginning there."""
    moved = [Piece(piece.start + by, _sum(piece.origin, by), piece.formula) for by, piece in shifted]
    before = [piece for piece in moved if piece.start <= cut]
    kept = [piece for piece in moved if piece.start > cut]
    return [*(Piece(cut, piece.origin, piece.formula) for piece in before[-1:]), *kept]


def _sum(one: float, other: float) -> float:
    return plain(exact(one) + exact(other))


def _constant(value: float) -> Formula:
    return lambda _step, _words: f"{value!r}"


def _as_number(step: str, words: Words) -> str:
    """Return the source of the step as a floating-point number."""
    if words.number == "{}":
        return step
    return words.number.format(step[1:-1] if step.startswith("(") and step.endswith(")") else step)


def _length(steps: float) -> str:
    """Return the source of what a step is divided by."""
    return repr(steps if steps < COUNTED else float(steps))


def _whole_periods(step: str, period: float, words: Words) -> str:
    """Return the source of how many whole periods have passed, in integers, as `whole_periods` of the core.

    Raises:
        ExportError: If the integers would be too large for a compiled program.
    """
    ratio = exact(period)
    over, under = ratio.numerator, ratio.denominator
    if words is not PYTHON_WORDS and over * under >= COUNTED:
        if period >= COUNTED:
            return "0"
        raise ExportError(
            f"a period of {period!r} steps has too many digits to be counted in 32-bit integers, as compiled programs "
            "count. Give the period in steps or with fewer digits, or export to torch or downslope."
        )
    if under == 1:
        return f"{step} // {over}"
    if words is PYTHON_WORDS:
        return f"{step} * {under} // {over}"
    return f"{step} // {over} * {under} + {step} % {over} * {under} // {over}"  # no product grows with the step


def _line(first: float, last: float, duration: float, power: float = 1.0) -> Formula:
    def formula(step: str, words: Words) -> str:
        done = f"{_as_number(step, words)} / {_length(duration)}"
        if power == 1:
            if first == 0:
                return f"{last!r} * {done}"
            if last == 0:
                return f"{first!r} * (1 - {done})"
            return f"{first!r} + ({last!r} - {first!r}) * {done}"
        left = f"(1 - {done}) ** {power!r}"
        return f"{first!r} * {left}" if last == 0 else f"{last!r} + ({first!r} - {last!r}) * {left}"

    return formula


def _cosine(first: float, last: float, duration: float) -> Formula:
    def formula(step: str, words: Words) -> str:
        swing = f"(1 + {words.cos}({words.pi} * {_as_number(step, words)} / {_length(duration)}))"
        if last == 0:
            return f"{first!r} / 2 * {swing}"
        return f"{last!r} + ({first!r} - {last!r}) / 2 * {swing}"

    return formula


def _root(first: float, last: float, duration: float) -> Formula:
    def formula(step: str, words: Words) -> str:
        done = f"{words.sqrt}({_as_number(step, words)} / {_length(duration)})"
        return f"{first!r} + ({last!r} - {first!r}) * {done}"

    return formula


def _ramp(first: float, last: float, duration: float, shape: str = "linear", power: float = 1.0) -> list[Piece]:
    if duration == 0:
        return [Piece(0, 0, _constant(last))]
    formulas = {"linear": _line(first, last, duration, power), "cosine": _cosine(first, last, duration)}
    formula = formulas.get(shape, _root(first, last, duration))
    return [Piece(0, 0, formula), Piece(math.ceil(duration), 0, _constant(last))]


def _exponential(schedule: s.Exponential) -> list[Piece]:
    if schedule.initial in (0, schedule.end) or schedule.rate == 1:
        return [Piece(0, 0, _constant(schedule.initial))]

    def formula(step: str, words: Words) -> str:
        if schedule.staircase:
            periods = words.number.format(_whole_periods(step, schedule.every, words))
        else:
            periods = f"{_as_number(step, words)} / {_length(schedule.every)}"
        if schedule.end is not None and schedule.rate > 1:  # beyond the end, the power is soon too large for a float
            last = math.ceil(math.log(schedule.end / schedule.initial) / math.log(schedule.rate))
            periods = f"{words.smallest}({periods}, {last})"
        elif not periods.endswith(")"):
            periods = f"({periods})"
        value = f"{schedule.initial!r} * {schedule.rate!r} ** {periods}"
        if schedule.end is None:
            return value
        return f"{words.largest if schedule.rate < 1 else words.smallest}({value}, {schedule.end!r})"

    return [Piece(0, 0, formula)]


def _multistep(schedule: s.MultiStep) -> list[Piece]:
    starts = [0, *(math.ceil(milestone) for milestone in schedule.milestones)]
    return [Piece(start, 0, _constant(value)) for start, value in zip(starts, levels(schedule), strict=True)]


def _inverse(schedule: s.Inverse) -> list[Piece]:
    def formula(step: str, words: Words) -> str:
        return f"{schedule.initial!r} * (1 + {schedule.gamma!r} * {_as_number(step, words)}) ** -{schedule.power!r}"

    return [Piece(0, 0, formula)]


def _warmup(schedule: s.Warmup) -> list[Piece]:
    if not schedule.duration:
        return pieces_of(schedule.then)
    end = math.ceil(schedule.duration)
    top = schedule.then.closed_form(0 if schedule.restart else schedule.duration, PYTHON)
    rising = Piece(0, 0, _line(schedule.start, top, schedule.duration))
    return [rising, *_joined([(end if schedule.restart else 0, p) for p in pieces_of(schedule.then)], end)]


def _sequence(schedule: s.Sequence) -> list[Piece]:
    starts = [0, *(math.ceil(boundary) for boundary in schedule.boundaries)]
    found: list[Piece] = []
    for start, following, inner in zip(starts, [*starts[1:], math.inf], schedule.schedules, strict=True):
        found += [p for p in _joined([(start, piece) for piece in pieces_of(inner)], start) if p.start < following]
    return found


def _onecycle(schedule: s.OneCycle) -> list[Piece]:
    first = schedule.peak / schedule.div_factor
    last = first / schedule.final_div_factor
    turn = exact(schedule.pct_start) * exact(schedule.duration)
    rest = plain(exact(schedule.duration) - turn)
    up, _ = _ramp(first, schedule.peak, plain(turn), schedule.shape)
    down, _ = _ramp(schedule.peak, last, rest, schedule.shape)
    top = Piece(math.ceil(turn), plain(turn), down.formula)
    return [up, top, Piece(math.ceil(schedule.duration), 0, _constant(last))]


def _trapezoid(schedule: s.WarmupStableDecay) -> list[Piece]:
    turn = exact(schedule.warmup) + exact(schedule.stable)
    level = Piece(math.ceil(schedule.warmup), 0, _constant(schedule.peak))
    found = [Piece(0, 0, _line(schedule.start, schedule.peak, schedule.warmup)), level] if schedule.warmup else [level]
    down, _ = _ramp(schedule.peak, schedule.final, schedule.decay, schedule.shape)
    begin, end = math.ceil(turn), math.ceil(turn + exact(schedule.decay))
    found = [piece for piece in found if piece.start < begin]
    return [*found, Piece(begin, plain(turn), down.formula), Piece(end, 0, _constant(schedule.final))]


_PIECES: dict[type[Schedule], Callable[..., list[Piece]]] = {
    s.Constant: lambda one: [Piece(0, 0, _constant(one.value))],
    s.Exponential: _exponential,
    s.MultiStep: _multistep,
    s.Linear: lambda one: _ramp(one.initial, one.final, one.duration),
    s.Polynomial: lambda one: _ramp(one.initial, one.final, one.duration, power=one.power),
    s.Cosine: lambda one: _ramp(one.initial, one.final, one.duration, "cosine"),
    s.Inverse: _inverse,
    s.OneCycle: _onecycle,
    s.WarmupStableDecay: _trapezoid,
    s.Warmup: _warmup,
    s.Sequence: _sequence,
}
