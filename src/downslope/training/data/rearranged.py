"""Sequences to put in another order: reversed, or sorted. Whether a model has learned to, longer ones tell.

Both tasks are drawn from the recipe's seed. `data.held_out` of the sequences up to `longest` are held out; as many more
are longer, up to `longest_held_out`.

References:
    I. Sutskever, O. Vinyals, Q. V. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014, section
    3.3 (reversed order); O. Vinyals et al., "Order matters: sequence to sequence for sets", ICLR 2016 (sorting).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from downslope.core.errors import DataError
from downslope.training.data.dataset import Dataset
from downslope.training.run.randomness import derive_seed
from downslope.training.sequences.symbols import FIRST, Sequences, Symbols, pad
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe

_LETTERS = "abcdefghijklmnopqrstuvwxyz"

Rows = list[tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class RearrangedOptions:
    """Options of "rearranged": the table ``[data.options]``.

    Attributes:
        order: "reverse" or "sort".
        examples: Sequences to draw, held-out ones included; those drawn twice count once.
        symbols: Letters to draw from, 2 to 26.
        shortest: Shortest length.
        longest: Longest length learned from.
        longest_held_out: Longest length held out; sequences above `longest` are rated by themselves.
    """

    order: Literal["reverse", "sort"] = "reverse"
    examples: int = 10_000
    symbols: int = 10
    shortest: int = 3
    longest: int = 8
    longest_held_out: int = 12

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 2 <= self.symbols <= len(_LETTERS):
            raise DataError(f"`symbols` must be from 2 to {len(_LETTERS)}; got {self.symbols}.")
        if not 1 <= self.shortest <= self.longest <= self.longest_held_out:
            raise DataError(
                "`longest_held_out` must be at least `longest`, and that at least `shortest`, from 1 on; got "
                f"{self.shortest}, {self.longest} and {self.longest_held_out}."
            )
        if self.examples < 20:
            raise DataError(f"`examples` must be >= 20; got {self.examples}.")


def load(recipe: Recipe) -> Dataset:
    """Return sequences and the same in another order."""
    options = read_options(RearrangedOptions, recipe.data.options, "data")
    rows = _draw(recipe.seed, "trained", options.examples, options.shortest, options.longest, options.symbols)
    count = max(1, round(len(rows) * recipe.data.held_out))
    held_out, learned = rows[:count], rows[count:]
    if not learned:
        raise DataError(f"data.options: {len(rows)} sequence(s) that differ are too few to hold {count} of them out.")
    if options.longest_held_out > options.longest:
        held_out += _draw(recipe.seed, "longer", count, options.longest + 1, options.longest_held_out, options.symbols)
    arrange = sorted if options.order == "sort" else reversed
    answers: Rows = [tuple(arrange(row)) for row in held_out]
    letters = Symbols(tuple(_LETTERS[: options.symbols]))
    return Dataset(
        name=recipe.data.name,
        train_inputs=pad(learned),
        train_targets=pad([tuple(arrange(row)) for row in learned], end=True),
        held_out_inputs=pad(held_out),
        held_out_targets=pad(answers, end=True),
        sequences=Sequences(
            inputs=letters,
            targets=letters,
            references=tuple((answer,) for answer in answers),
            longest_trained=options.longest,
        ),
    )


def _draw(seed: int, purpose: str, count: int, shortest: int, longest: int, symbols: int) -> Rows:
    """Return sequences that differ, in the order in which they were drawn."""
    raw = np.random.Philox(key=derive_seed(seed, "sequences", purpose)).random_raw(count * (longest + 1))
    numbers = raw.reshape(count, longest + 1)
    drawn = numbers[:, 0] % (longest - shortest + 1) + shortest
    rows = (numbers[:, 1:] % symbols + FIRST).astype(np.int64)
    return list(dict.fromkeys(tuple(row[:length].tolist()) for row, length in zip(rows, drawn.tolist(), strict=True)))
