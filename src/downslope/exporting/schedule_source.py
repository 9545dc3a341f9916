"""A schedule as a function in Python, in JAX or in Keras's operations: its pieces, printed.

Where a framework has a schedule of its own that is the same, its target prefers that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from downslope.core import schedules as s
from downslope.core.errors import ExportError
from downslope.core.exact import exact
from downslope.core.schedules.pieces import COUNTED, Piece
from downslope.core.schedules.schedule import Schedule
from downslope.core.symbols import PYTHON, Source, Term, call, literal
from downslope.exporting.python_source import statement


@dataclass(frozen=True)
class Words:
    """How a language writes the operations of formulas (see `core.schedules.pieces`).

    Attributes:
        cosine: Its cosine.
        root: Its square root.
        circle: Its pi.
        largest: Its elementwise maximum.
        smallest: Its elementwise minimum.
        as_number: What turns an integer into a floating-point number; "" where nothing has to.
        endless: Whether its integers have no end.
    """

    cosine: str
    root: str
    circle: str
    largest: str
    smallest: str
    as_number: str = ""
    endless: bool = False

    literal = staticmethod(literal)

    @property
    def pi(self) -> Term:
        """Pi."""
        return Source("name", (self.circle,))

    def cos(self, angle: Term) -> Term:
        """Return the cosine."""
        return call(self.cosine, angle)

    def sqrt(self, number: Term) -> Term:
        """Return the square root."""
        return call(self.root, number)

    def maximum(self, one: Any, other: Any) -> Term:
        """Return the larger one."""
        return call(self.largest, one, other)

    def minimum(self, one: Any, other: Any) -> Term:
        """Return the smaller one."""
        return call(self.smallest, one, other)

    def number(self, integer: Term) -> Term:
        """Return an integer as a floating-point number."""
        return call(self.as_number, integer) if self.as_number else integer

    def whole_periods(self, step: Term, period: float) -> Term:
        """Return how many whole periods have passed, in integers, as `whole_periods` of the core.

        Raises:
            ExportError: If the integers would be too large for a compiled program.
        """
        over, under = exact(period).as_integer_ratio()
        if not self.endless and over * under >= COUNTED:
            if period >= COUNTED:
                return literal(0)
            raise ExportError(
                f"a period of {period!r} steps has too many digits to be counted in 32-bit integers, as compiled "
                "programs count. Give the period in steps or with fewer digits, or export to torch or downslope."
            )
        if under == 1:
            return step // over
        if self.endless:
            return step * under // over
        return step // over * under + step % over * under // over  # no product grows with the step


PYTHON_WORDS = Words("math.cos", "math.sqrt", "math.pi", "max", "min", endless=True)
JAX_WORDS = Words("jnp.cos", "jnp.sqrt", "jnp.pi", "jnp.maximum", "jnp.minimum")


def python_function(name: str, schedule: Schedule, *, doc: str) -> list[str]:
    """Return a Python function of the step that gives the schedule's value."""
    pieces = _pieces(schedule)
    lines = [f"def {name}(step):", f'    """{doc}"""']
    for piece, following in pairwise(pieces):
        lines.append(f"    if step < {following.start}:")
        lines.append(statement(f"        return {_source(piece, PYTHON_WORDS)}"))
    return [*lines, statement(f"    return {_source(pieces[-1], PYTHON_WORDS)}")]


def where_pieces(schedule: Schedule, words: Words, room: int = 70) -> tuple[str, list[tuple[int, str, bool]]]:
    """Return a schedule as schedule_body.py.txt writes it, which chooses by the step with a function of arrays.

    Args:
        schedule: The schedule.
        words: The language.
        room: Columns that a formula may have within a call.

    Returns:
        The last piece's formula, and of those before it, backwards, the first step after each, its formula, and whether
        that is too long for a call.
    """
    *earlier, last = (piece for piece in _pieces(schedule) if piece.start < COUNTED)
    if not earlier:
        return _source(last, words), []
    backwards = reversed([*pairwise([*earlier, last])])
    formulas = [(following.start, _with_precision(piece, words)) for piece, following in backwards]
    return _with_precision(last, words), [(end, formula, len(formula) > room) for end, formula in formulas]


def _pieces(schedule: Schedule) -> list[Piece]:
    if schedule.in_epochs():
        raise ExportError(
            f"{schedule!r} is in epochs, and how many steps one has is not known. Give --steps-per-epoch N or "
            f"--examples N (in Python steps_per_epoch= or examples=)."
        )
    return schedule.pieces()


def _source(piece: Piece, words: Words) -> str:
    """Return the source of a piece's value at `step`."""
    step: Term = Source("name", ("step",))
    if piece.origin:
        step = (words.number(step) if isinstance(piece.origin, float) else step) - piece.origin
    return piece.formula(step, words).text({}, PYTHON)


def _with_precision(piece: Piece, words: Words) -> str:
    """Return a piece's source; a mere number, which has no precision of its own, is given that of the others."""
    value = _source(piece, words)
    return value if not words.as_number or any(sign in value for sign in "(*/") else f"{words.as_number}({value})"


def is_countable(schedule: Schedule) -> bool:
    """Return whether every length in a schedule is a number of steps that a compiled program can count to."""
    return schedule.longest() < COUNTED


def has_staircase(schedule: Schedule) -> bool:
    """Return whether a schedule counts whole periods."""
    return any(piece.stairs for piece in schedule.pieces())


def stays_real(schedule: s.Polynomial) -> bool:
    """Return whether a framework's own polynomial is a number at the end of a schedule.

    It is (1 - duration / duration) ** power there. Compiled, the division is a product with the rounded inverse:
    1 - 40 * (1 / 40) is below 0 in float32, and a broken power of that is NaN.
    """
    return float(schedule.power).is_integer()
