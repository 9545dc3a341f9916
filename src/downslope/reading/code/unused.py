"""The numbers of a program that no field and no remark holds, and comments that say something else than the code."""

from __future__ import annotations

import io
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Mapping

from downslope.reading.code.pieces import Program
from downslope.reading.order import covering
from downslope.reading.reading import Field

_NUMBER = re.compile(r"(?<![\w.])(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
_MOST = 400
_LONGEST = 160
_TOPICS = {
    "sgd.lr": re.compile(r"\blr\b|learning.?rate|学习率", re.IGNORECASE),
    "sgd.momentum": re.compile(r"momentum|动量", re.IGNORECASE),
    "sgd.weight_decay": re.compile(r"weight.?decay|\bwd\b|权重衰减|L2", re.IGNORECASE),
    "data.batch_size": re.compile(r"batch|批", re.IGNORECASE),
    "train.epochs": re.compile(r"epochs?\b|轮", re.IGNORECASE),
}


def find_unused(program: Program, told: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the stretches that hold a number outside of these: each a piece of one line, at most `_MOST` of them."""
    inside = covering(told)
    found: list[tuple[int, int]] = []
    for match in _NUMBER.finditer(program.text):
        start, end = match.span()
        if inside(start, end):
            continue
        line = bisect_right(program.starts, start) - 1
        first, last = program.starts[line], program.starts[line] + len(program.lines[line])
        if last - first > _LONGEST:
            first, last = max(first, start - 40), min(last, end + 40)
        words = program.text[first:last]
        first, last = first + len(words) - len(words.lstrip()), last - (len(words) - len(words.rstrip()))
        if found and found[-1][1] >= first:
            found[-1] = (min(found[-1][0], first), max(found[-1][1], last))
        elif len(found) < _MOST:
            found.append((first, last))
    return found


def comments(program: Program) -> dict[int, tuple[str, bool]]:
    """Return the comment at the end of each line, by the line's number from 0, and whether it stands alone there."""
    found: dict[int, tuple[str, bool]] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(program.text).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0] - 1] = (token.string, not token.line[: token.start[1]].strip())
    except (tokenize.TokenError, SyntaxError, IndentationError, ValueError, RecursionError):
        return found
    return found


def contradictions(program: Program, fields: Mapping[str, Field]) -> list[tuple[str, dict[str, object]]]:
    """Return a remark for each comment that gives another number than the code on its line for the same setting."""
    topical = any(path.replace(".initial", "").replace(".then", "") in _TOPICS for path in fields)
    said = comments(program) if topical and "#" in program.text else {}
    found: list[tuple[str, dict[str, object]]] = []
    for path, field in fields.items():
        topic = _TOPICS.get(path.replace(".initial", "").replace(".then", ""))
        if topic is None or field.start < 0 or field.file or not isinstance(field.value, int | float):
            continue
        line = bisect_right(program.starts, max(field.end - 1, field.start)) - 1
        comment, alone = said.get(line, ("", False))
        numbers = [float(match.group().replace("_", "")) for match in _NUMBER.finditer(comment)]
        if (
            comment
            and not alone
            and topic.search(comment)
            and numbers
            and all(abs(n - field.value) > 1e-9 * abs(n) for n in numbers)
        ):
            found.append(("comment_differs", {"comment": comment[:120], "words": field.words, "path": path}))
    return found
