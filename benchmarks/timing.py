"""Timing on a machine that is not quiet: contenders take turns, round by round, and are compared within a round."""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

SAMPLE_SECONDS = 0.02
"""Steps are repeated until a sample takes about this long, and as long before it untimed: a thousand small tensors need
some ten steps until caches and branch predictors have settled on them."""


SETTLING_SECONDS = 0.2
"""After so long in its turn a contender's tensors lie where its own use of them leaves them: the last cache gives a new
user its place only step by step (a thousand small tensors need some twenty steps to get there)."""
SETTLING, TIMED = 2, 3
"""Fewest steps to settle, and fewest that are timed then, for as long again."""


class Samples(NamedTuple):
    """What was timed, in milliseconds per step, by contender and round.

    Attributes:
        steady: Steps repeated.
        first: The first step of each turn, after the other contenders have filled the caches with theirs.
    """

    steady: dict[str, list[float]]
    first: dict[str, list[float]]


def time_in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int, label: str) -> Samples:
    """Time every contender once per round, in an order that is drawn anew each round.

    Args:
        contenders: Name -> one step.
        rounds: How many samples of each.
        label: What is being timed, for the progress line.

    Returns:
        The samples. A first step is never among the steady ones, however long: a system that looks for idle memory may
        have taken note of a contender's while the others had their turns, and its first touch then costs more.
    """
    repeats = {name: _repeats(step) for name, step in contenders.items()}
    samples = Samples({name: [] for name in contenders}, {name: [] for name in contenders})
    for number in range(rounds):
        order = list(contenders)
        random.Random(number).shuffle(order)  # noqa: S311 - an order of turns, no secret
        for name in order:
            step, count = contenders[name], repeats[name]
            samples.first[name].append(_milliseconds(step, 1))
            if count > 1:
                _milliseconds(step, count)
            samples.steady[name].append(_milliseconds(step, count))
        _show(f"{label}: round {number + 1} of {rounds}   ")
    _show("")
    return samples


def time_after(
    contenders: Mapping[str, tuple[Callable[[], object], Callable[[], object]]], rounds: int, label: str
) -> dict[str, list[float]]:
    """Time every contender's step right after what comes before it in use, several times in succession, by turns.

    Args:
        contenders: Name -> what comes before a step, which is not timed; and one step.
        rounds: How many samples of each.
        label: What is being timed, for the progress line.

    Returns:
        By contender the milliseconds of a step by round, each the median of several.
    """
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders)
        random.Random(number).shuffle(order)  # noqa: S311 - an order of turns, no secret
        for name in order:
            before, step = contenders[name]
            begin, settling, taken = time.perf_counter(), 0, []
            while settling < SETTLING or time.perf_counter() - begin < SETTLING_SECONDS:
                before()
                step()
                settling += 1
            begin = time.perf_counter()
            while len(taken) < TIMED or time.perf_counter() - begin < SETTLING_SECONDS:
                before()
                taken.append(_milliseconds(step, 1))
            samples[name].append(statistics.median(taken))
        _show(f"{label}: round {number + 1} of {rounds}   ")
    _show("")
    return samples


def _show(progress: str) -> None:
    """Show a line of progress in the place of the one before, on a terminal; an empty one takes it away."""
    if sys.stderr.isatty():
        print(f"\r{progress or ' ' * 60}", end="" if progress else "\r", file=sys.stderr, flush=True)


def _milliseconds(step: Callable[[], object], count: int) -> float:
    """Return the time of a step, over `count` of them."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count * 1e3


def _repeats(step: Callable[[], object]) -> int:
    """Return how many steps make a sample; as a side effect, warm up."""
    if _milliseconds(step, 2) > SAMPLE_SECONDS * 2e3:
        return 1
    return max(1, round(SAMPLE_SECONDS * 1e3 / min(_milliseconds(step, 1) for _ in range(3))))


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median over rounds of ours / theirs: what disturbs a whole round cancels.

    Example:
        >>> median_ratio([1.0, 2.0, 30.0], [2.0, 4.0, 60.0])
        0.5
    """
    return statistics.median(own / other for own, other in zip(ours, theirs, strict=True))
