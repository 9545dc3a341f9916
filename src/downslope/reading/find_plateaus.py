"""Plateaus: "when the loss does not decrease for 3 epochs", 验证损失连续5轮不再下降时, "once the error saturates"."""

from __future__ import annotations

import re

from downslope.reading.facts import Board
from downslope.reading.items import Item
from downslope.reading.patterns import Pattern, Rules
from downslope.reading.schedule_facts import Plateau, whole_patience

_PATIENCE = Rules(
    {
        "before": "span=time:for,bare,after,at (when|word|no|is|at|of_it|with){0,4} when:plateau",
        "after": "when:plateau (when|word|no|is|at|of_it|for){0,5} span=time:for,bare,after,at,next",
        "number": "when:plateau (when|word|no|is|at|of_it|for){0,5} number=number word{0,2} unit:times,step,epoch",
        "alone": "when:plateau",
    }
)
_WATCHED = re.compile(
    r"(?:监控|监测|monitor)[^;\d\n]{0,10}?[:为= _/](?:[a-z]{2,5}[_/ -])?"
    r"(?:(?P<loss>loss|损失)|acc|准确率|精度|miou|map)"
)
"""What a scheduler watches, told elsewhere: 监控指标 | val/loss."""

_CHANGES = ("divide", "multiply", "reduce", "halve", "decimate")
_STOPPED_PATIENCE = Pattern("end:early (with|is|word|open|at|for){0,4} concept:patience is{0,2} (number|time)")


def _clause(board: Board, left: int, right: int, first: int, last: int) -> list[Item]:
    """Return the items around a stretch up to a parenthesis: what stands in one is not about what stands outside."""
    while left > first and board.items[left - 1].kind not in {"open", "close"}:
        left -= 1
    while right < last and board.items[right].kind not in {"open", "close"}:
        right += 1
    return board.items[left:right]


def find_plateaus(board: Board) -> None:
    """Add a fact for every plateau; the times within it are its patience and nothing else's."""
    code = board.code()
    for match in _STOPPED_PATIENCE.find(code):
        board.note(Plateau("plateau", "stop", None, stops=True), range(match.first, match.after))
    for first, last in board.sentences():
        for match in _PATIENCE.find(code, first, last):
            patience = None
            if "span" in match:
                time = board.items[match["span"]].data
                patience = None if time.percent else whole_patience(time.values[0])
            elif "number" in match:
                patience = whole_patience(board.items[match["number"]].value)
            changed = any(item.is_a("verb", *_CHANGES) for item in board.items[first:last])
            stops = not changed and any(
                item.kind == "end" for item in _clause(board, match.first, match.after, first, last)
            )
            near = range(max(first, match.first - 6), min(last, match.after + 5))
            metrics = [p for p in near if board.items[p].kind == "when" and board.items[p].key.startswith("metric_")]
            metric = min(metrics, key=lambda p: min(abs(p - match.first), abs(p - match.after)), default=None)
            places = [*range(match.first, match.after), *([metric] if metric is not None else [])]
            key = "" if metric is None else board.items[metric].key.removeprefix("metric_")
            watched = (
                _WATCHED.search(board.text.plain)
                if not key and board.plain(board.items[match.first])[:6] == "reduce"
                else None
            )
            key = key if watched is None else "loss" if watched["loss"] else "accuracy"
            board.note(Plateau("plateau", "lr", None, metric=key, patience=patience, stops=stops), places)
