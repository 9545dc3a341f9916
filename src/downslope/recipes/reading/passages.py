"""A long text cut down to the passages that speak of training, so that reading takes a bounded time.

What lives here: the choice of passages. What does not: reading them.
"""

from __future__ import annotations

import re

LONGEST = 12_000
"""Characters that are read; a longer text is cut down to as many."""

_PIECE = 1500
_END = re.compile(r"(?<=[.。;；!！?？])\s+|\n+")
_TELLING = re.compile(
    r"learning.rate|momentum|weight.decay|\bsgd\b|\blr\b|batch|epoch|iteration|nesterov|warm.?up|cosine|optimizer|decay|"
    r"学习率|动量|权重衰减|权值衰减|批|轮|迭代|预热|余弦|优化器|梯度下降|衰减",
    re.IGNORECASE,
)


def choose_passages(text: str) -> tuple[str, bool]:
    """Return a text of at most `LONGEST` characters, and whether anything was left out.

    Args:
        text: The text.

    Example:
        >>> choose_passages("SGD with momentum 0.9.")
        ('SGD with momentum 0.9.', False)
    """
    if len(text) <= LONGEST:
        return text, False
    pieces: list[tuple[int, int, str]] = []
    for sentence in _END.split(text):
        for start in range(0, len(sentence), _PIECE):
            piece = sentence[start : start + _PIECE]
            telling = len({match.group().lower() for match in _TELLING.finditer(piece)})
            if telling:
                pieces.append((telling + bool(re.search(r"\d", piece)), len(pieces), piece))
    chosen: list[tuple[int, str]] = []
    room = LONGEST
    for _, place, piece in sorted(pieces, key=lambda one: (-one[0], one[1])):
        if len(piece) + 2 <= room:
            chosen.append((place, piece))
            room -= len(piece) + 2
    return "\n\n".join(piece for _, piece in sorted(chosen)), True
