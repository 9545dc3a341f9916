"""How wrong written sequences are: errors of each, the rates of several, and which lengths are rated by themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from downslope.core.errors import MissingDependencyError


def cut_lengths(sizes: Iterable[int], longest_trained: int, most: int = 20) -> list[tuple[int, int]]:
    """Return the lengths that are rated by themselves: each, or equal stretches of them if they are very many.

    Args:
        sizes: Lengths of inputs; those that none has are left out.
        longest_trained: A length after which a stretch ends.
        most: How many stretches at most.

    Returns:
        (shortest, longest) of each, ascending.

    Example:
        >>> cut_lengths([3, 4, 4, 6], 4), cut_lengths(range(1, 10), 4, most=5)
        ([(3, 3), (4, 4), (6, 6)], [(1, 3), (4, 4), (5, 7), (8, 9)])
    """
    found = sorted(set(sizes))
    if len(found) <= most:
        return [(size, size) for size in found]
    width = math.ceil((found[-1] - found[0] + 1) / (most - 1))  # one stretch more where one is cut in two
    spans: list[tuple[int, int]] = []
    for first, last in ((found[0], min(longest_trained, found[-1])), (longest_trained + 1, found[-1])):
        for low in range(max(first, found[0]), last + 1, width):
            inside = [size for size in found if low <= size <= min(low + width - 1, last)]
            spans += [(inside[0], inside[-1])] if inside else []
    return spans


def count_errors(
    answers: Sequence[Sequence[int]], references: Sequence[Sequence[Sequence[int]]]
) -> list[tuple[int, int]]:
    """Return for each answer the number of wrong symbols and that of symbols in the right answer nearest to it.

    Args:
        answers: Numbers of symbols.
        references: For each answer all that are right; the nearest counts.

    Example:
        >>> count_errors([(1, 2, 3), (4,)], [[(1, 3)], [(5, 6), (4,)]])
        [(1, 2), (0, 1)]
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise MissingDependencyError(
            'error rates need rapidfuzz, which is not installed. Run: pip install "downslope[g2p]"'
        ) from None
    found: list[tuple[int, int]] = []
    for answer, right in zip(answers, references, strict=True):
        distance, reference = min((Levenshtein.distance(answer, one), one) for one in right)
        found.append((distance, len(reference)))
    return found


def rates_of(errors: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the rate of wrong symbols and that of wrong sequences.

    Example:
        >>> rates_of([(1, 2), (0, 1)])
        (0.3333333333333333, 0.5)
    """
    wrong, symbols = sum(one for one, _ in errors), sum(size for _, size in errors)
    return wrong / symbols, sum(one > 0 for one, _ in errors) / len(errors)
