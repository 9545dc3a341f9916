"""Numbers as a curve of one line, out of blocks of eight heights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = "_.-=+*%#"

_DECADES = 6
"""How far below the largest the lowest block is, at most: a last step near 0 leaves the rest to be seen."""


def blocks_for(encoding: str | None) -> str:
    """Return the blocks that a stream of this encoding can show.

    Example:
        >>> blocks_for("utf-8"), blocks_for("ascii")
        ('▁▂▃▄▅▆▇█', '_.-=+*%#')
    """
    return BLOCKS if (encoding or "ascii").lower().replace("-", "").startswith("utf") else PLAIN_BLOCKS


def sparkline(values: Sequence[float], length: int, blocks: str = BLOCKS, *, logarithmic: bool | None = None) -> str:
    """Return numbers as a curve of one line, in at most `length` blocks: each is the mean of its share of them.

    Args:
        values: The numbers; by logarithms they may also be 0, which is the lowest block, or infinite, the highest.
        length: The most blocks.
        blocks: From the lowest to the highest.
        logarithmic: Whether by their logarithms; None for where they are positive and span much.

    Example:
        >>> sparkline([1.0, 2.0, 3.0, 4.0], 8), sparkline([0.0, 0.1, 0.01, 0.001], 8, logarithmic=True)
        ('▁▃▆█', '▁█▅▁')
    """
    if not values or length < 1:
        return ""
    count = min(length, len(values))
    edges = [len(values) * index // count for index in range(count + 1)]
    means = [math.fsum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    if logarithmic is None:
        logarithmic = min(means) > 0 and max(means) > 30 * min(means)
    if logarithmic:
        found = [math.log10(mean) for mean in means if 0 < mean < math.inf]
        top = max(found, default=0.0)
        low = max(min(found, default=0.0), top - _DECADES)
        means = [low if mean <= 0 else top if math.isinf(mean) else max(low, math.log10(mean)) for mean in means]
    low, high = min(means), max(means)
    if high == low:
        return blocks[0] * count
    return "".join(blocks[min(int(8 * (mean - low) / (high - low)), 7)] for mean in means)
