"""Where training ends: "stopped after 64k iterations", 结束于第32K次迭代, "epoch is 90"; early stops are none."""

from __future__ import annotations

import re

from downslope.reading.facts import Board, Value
from downslope.reading.patterns import Match, Rules

_TOTALS = {"epoch": "epochs_total", "step": "steps_total"}
_ENDS = Rules(
    {
        "stopped at": "end:end at? value=number (break|comma|close)",
        "stopped after": "end:end (is|word|at|unit:ignored|verb:train){0,3} when=(any|times:for)",
        "after, stopped": "when=time:at,after,until,bare (word|is|after|verb:train){0,3} end:end",
        "at a time, it ends": "when=time:at word:时? comma end:end (verb:train|concept)? (break|close)?",
        "5 steps per": "rate=(time:for,bare,total) (each (word|unit|concept|target|number|verb|of_it)|time:every)",
        "an epoch is 250 steps": "one=time:bare is{1,2} rate=(time:bare|number concept:batch)",
        "1000 steps an epoch": "time:every verb:train? is? rate=time:bare",
        "where the rate is": "end:end (verb|word|is|for|when|at){0,4} concept:lr "
        "(is|to|verb|word:<,≤,below,under){1,3} floor=number",
        "each of which has": "each (word|is|verb){0,2} rate=(time:for,bare)",
        "convergence takes": "word:convergence,converge,converges,converged (is|word|verb|at|for|with){0,5} rate=time",
        "converges": "rate=time word{0,4} word:收",
        "of so many": "after=(time:at,after|times:at,after) open? word:out? of=is value=number (break|comma|close)?",
        "so many, in parentheses": "parts=(time:at|times:at) open value=number close",
        "in total": "(open|comma|break) value=number total=mod:total (close|break|comma)?",
        "a row": "left=word word{0,2} unit=unit:epoch word value=number right=word",
        "epochs (90)": "unit=unit:epoch,step open value=number close",
        "epoch is 90": "unit=unit:epoch,step (mod:total|word:数,量,总,value,count,number){0,2} "
        "(word:<? is|word:≤|word:-) value=number",
    },
    any="time:at,after,for,total,until,bare",
)


_ALIKE = re.compile(
    r"\s?(?:per|each|for each|for every) (?:fold|task|run|seed|model|data ?set|experiment|network|split|training)\b"
)
"""What trainings of one length are counted by."""

_OR_EARLIER = re.compile(r" ?[(,]? ?(?:with |and |or |using )?(?:an )?early")
"""What follows a length that only an early end undercuts: "Epochs: 1000 with early stopping"."""


def find_ends(board: Board) -> None:
    """Add the length of training that every end of it states."""
    code = board.code()
    for match in _ENDS.find(code):
        if "rate" in match or "floor" in match:
            if not _is_at_the_end(board, match) and not _may_be_length(board, match):
                board.used.add(match["rate" if "rate" in match else "floor"])
            continue
        if _is_early(board, match):
            continue
        if "total" in match:
            unit = _unit_before(board, match.first)
            if unit and board.items[match["value"]].value >= 1:
                total = Value("value", _TOTALS[unit], board.items[match["value"]].value, unit=unit)
                board.note(total, [match["value"], match["total"]])
            continue
        if "parts" in match:
            if board.items[match["parts"]].data.percent and board.items[match["value"]].value >= 2:
                unit = board.items[match["parts"]].data.unit or "epoch"
                board.note(
                    Value("value", _TOTALS[unit], board.items[match["value"]].value, unit=unit), [match["value"]]
                )
            continue
        if "of" in match:
            time, value = board.items[match["after"]].data, board.items[match["value"]].value
            if board.plain(board.items[match["of"]]) == "of" and time.unit and value > max(time.values):
                board.note(Value("value", _TOTALS[time.unit], value, role="of", unit=time.unit), [match["value"]])
            continue
        if match.rule == "stopped at":
            unit, value = _unit_before(board, match.first), board.items[match["value"]].value
            if unit and value >= 10 and board.free_number(match["value"]):
                total = Value("value", _TOTALS[unit], value, unit=unit)
                board.note(total, [match.first, match["value"]])
            continue
        if "value" in match:
            row = "left" in match
            bars = [board.items[place].key == "|" for place in (match.first, match["value"] - 1, match.after - 1)]
            before = board.items[match.first - 1] if match.first and not row else None
            number = board.items[match["value"]].number
            value = number.value if number is not None and not number.spelled else 0  # "is twice as much"
            begins = before is None or before.kind in {"comma", "break", "open", "close", "and", "is"}
            begins = begins or (before is not None and before.is_a("word", "的", "将", "把"))
            steps = board.items[match["unit"]].key == "step"
            if steps and (value < 1000 or (before is not None and before.kind != "break")):
                continue  # only a row or a line of its own says how many
            if value >= 1 and begins and (all(bars) or not (row or _is_in_a_row(board, match.first))):
                unit = board.items[match["unit"]].key
                board.note(Value("value", "epochs_total", value, unit=unit), range(match.first, match.after))
            continue
        time = board.items[match["when"]].data
        unit = time.unit or _unit_before(board, match.first)
        if unit and not time.percent:
            total = Value("value", _TOTALS[unit], time.values[0], unit=unit)
            board.note(total, range(match.first, match.after))


def _is_at_the_end(board: Board, match: Match) -> bool:
    """Whether it is what the rate ends at, and not why training does: 终止学习率, 训练结束时学习率为."""
    following = board.items[match.first + 1]
    return "floor" in match and (following.is_a("word", "时") or following.is_a("concept", "lr"))


def _is_in_a_row(board: Board, first: int) -> bool:
    """Whether what is named is one of several whose values follow: "batch size and epochs are 32 and 100"."""
    before = board.items[max(0, first - 2) : first]
    return len(before) > 1 and before[0].kind == "concept" and before[1].kind in {"comma", "and"}


def _may_be_length(board: Board, match: Match) -> bool:
    """Whether so many steps of something may be the length of training nevertheless: "1000 epochs per fold"."""
    if match.rule == "5 steps per":
        return _ALIKE.search(board.text.plain, (end := board.items[match.first].end), end + 24) is not None
    if "one" in match and board.items[match["one"]].data.values != (1,):
        return True
    before = board.items[match.first - 1]
    return match.rule == "each of which has" and before.is_a("verb", "train")  # "we train each of them for 180 epochs"


def _unit_before(board: Board, place: int) -> str:
    """Return what the nearest times before a place count."""
    before = [item.data.unit for item in board.items[max(0, place - 20) : place] if item.kind == "time"]
    return next((unit for unit in reversed(before) if unit), "")


def _is_early(board: Board, match: Match) -> bool:
    """Whether an end is one that the measured loss decides: by the words of its clause."""
    first, after = match.first, match.after
    told = match.rule == "epoch is 90" and _OR_EARLIER.match(board.text.plain, board.items[after - 1].end) is not None
    while first > 0 and board.items[first - 1].kind not in {"comma", "break", "open"}:
        first -= 1
    while not told and after < len(board.items) and board.items[after].kind not in {"comma", "break", "close"}:
        after += 1
    return any(item.kind == "when" or item.is_a("end", "early") for item in board.items[first:after])
