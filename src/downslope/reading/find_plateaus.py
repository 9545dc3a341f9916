"""Plateaus: "when the loss does not decrease for 3 epochs", 验证损失连续5轮不再下降时, "once the error saturates"."""

from __future__ import annotations

import re

from downslope.reading.facts import Board
from downslope.reading.items import Item
from downslope.reading.patterns import Pattern, Rules
from downslope.reading.schedule_facts import Change, Plateau, whole_patience

_PATIENCE = Rules(
    {
        "before": "span=time:for,bare,after,at (when|word|no|is|at|of_it|with){0,4} when:plateau",
        "after": "when:plateau (when|word|no|is|at|of_it|for){0,5} span=time:for,bare,after,at,next",
        "number": "when:plateau (when|word|no|is|at|of_it|for){0,5} number=number word{0,2} "
        "(unit:times,step,epoch|checked)",
        "alone": "when:plateau",
    },
    checked="word:checkpoints,evaluations,validations,checks,intervals,measurements",
)
_WATCHED = re.compile(
    r"(?:监控|监测|monitor)[^;\d\n]{0,10}?[:为= _/](?:[a-z]{2,5}[_/ -])?"
    r"(?:(?P<loss>loss|损失)|acc|准确率|精度|miou|map)"
)
"""What a scheduler watches, told elsewhere: 监控指标 | val/loss."""

_CHANGES = ("divide", "multiply", "reduce", "halve", "decimate")
_STOPPED_PATIENCE = Pattern(
    "end:early (with|is|word|open|at|for|comma){0,4} "
    "(concept:patience (is|word){0,2} (number|time)|(number|time) concept:patience)"
)


def _clause(board: Board, left: int, right: int, first: int, last: int) -> list[Item]:
    """Return the items around a stretch up to a parenthesis: what stands in one is not about what stands outside."""
    while left > first and board.items[left - 1].kind not in {"open", "close"}:
        left -= 1
    while right < last and board.items[right].kind not in {"open", "close"}:
        right += 1
    return board.items[left:right]


_WAITS = Rules(
    {
        "factor behind": "concept:lr cut{0,3} wait{1,8} waits=concept:patience is? long wait{1,3} factor is? number",
        "factor first": "concept:lr cut{0,3} wait{1,8} factor is? number wait{1,3} waits=concept:patience is? long",
    },
    cut="(verb:reduce|word)",
    wait="(open|close|comma|and|with|word|is|when|schedule|by)",
    factor="(word{0,2} (by:factor|concept:lr_decay,gamma))",
    long="(number=number|span=time:for,bare)",
)


def _find_waits(board: Board, code: str) -> None:
    """Add a plateau for "learning rate reduction (patience 10, factor 0.5)", which does not say what it waits for."""
    for first, last in board.sentences():
        match = next(_WAITS.find(code, first, last), None)
        waits = match is not None and not any(
            i.kind == "end" or i.is_a("time", "every", "at") for i in board.items[match.first : match.after]
        )
        if match is not None and waits and not any(i.is_a("when", "plateau") for i in board.items[first:last]):
            metric = next((i.key for i in board.items[first:last] if i.key.startswith("metric_")), "")
            long = match["number" if "number" in match else "span"]
            item = board.items[long]
            patience = whole_patience(item.value if "number" in match else item.data.values[0])
            told = Plateau("plateau", "lr", None, metric=metric.removeprefix("metric_"), patience=patience)
            board.note(told, [match["waits"], long])


def find_plateaus(board: Board) -> None:
    """Add a fact for every plateau; the times within it are its patience and nothing else's."""
    code = board.code()
    for match in _STOPPED_PATIENCE.find(code):
        board.note(Plateau("plateau", "stop", None, stops=True), range(match.first, match.after))
    _find_waits(board, code)
    for first, last in board.sentences():
        for match in _PATIENCE.find(code, first, last):
            patience = None
            if "span" in match:
                time = board.items[match["span"]].data
                patience = None if time.percent else whole_patience(time.values[0])
            elif "number" in match:
                patience = whole_patience(board.items[match["number"]].value)
            begin = match.first  # of its clause: "halved when it stalls, and training stops after 6 epochs"
            while begin > first and board.items[begin - 1].kind not in {"comma", "open", "close"}:
                begin -= 1
            ended = any(item.kind == "end" for item in board.items[begin : match.first])
            changed = any(item.is_a("verb", *_CHANGES) for item in board.items[begin if ended else first : last])
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


LAX = frozenset({"lr", "lr_decay", "epochs_total", "steps_total", "patience"})
OWN_CONCEPTS = LAX | {"gamma", "lr_every", "decay"}
_BARE_FACTOR = Pattern(
    "((by:factor|concept:lr_decay,gamma) is?|concept:lr star|when:plateau (open|is)? star) value=number"
)


def reduce_on_plateau(board: Board) -> None:
    """Add a change for every plateau that has no verb, but a factor: "reduce on plateau (factor 0.5)"."""
    code = board.code()
    for first, last in board.sentences():
        for plateau in board.inside(Plateau, first, last):
            near = _BARE_FACTOR.find(code, max(0, first - 15), min(len(board.items), last + 10))
            own = [one for one in near if not _is_anothers_factor(board, one.first)]
            match = min(own, key=lambda one: not first <= one.first < last, default=None)
            if match is not None and not (plateau.stops or plateau.taken):
                value = board.items[match["value"]].value
                if not 0.001 <= value < 1:
                    continue
                change = Change("change", "multiply", value, plateau=plateau)
                board.note(change, range(match.first, match.after))
                break


def _is_anothers_factor(board: Board, place: int) -> bool:
    """Whether a factor is that of something else: dropout with rate 0.5."""
    before = board.items[max(0, place - 3) : place]
    ends = [at for at, item in enumerate(before) if item.kind in {"break", "comma"}]
    return any(i.kind == "concept" and i.key not in OWN_CONCEPTS for i in before[ends[-1] if ends else 0 :])
