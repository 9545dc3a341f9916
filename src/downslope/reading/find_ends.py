"""Where training ends: "stopped after 64k iterations", 结束于第32K次迭代, "epoch is 90"; early stops are none."""

from __future__ import annotations

from downslope.reading.facts import Board
from downslope.reading.patterns import Pattern, Rules

_TOTALS = {"epoch": "epochs_total", "step": "steps_total"}
_ENDS = Rules(
    {
        "stopped after": "end:end (is|word|at|unit:ignored|verb:train){0,3} when=(any|times:for)",
        "after, stopped": "when=time:at,after,until,bare (word|is|after){0,3} end:end",
        "5 steps per": "rate=(time:for,bare,total) (each|time:every)",
        "1000 steps an epoch": "time:every verb:train? is rate=time:bare",
        "where the rate is": "end:end (verb|word|is|for){0,4} concept:lr is? to floor=number",
        "each of which has": "each (word|is|verb){0,2} rate=(time:for,bare)",
        "convergence takes": "word:convergence,converge,converges,converged (is|word|verb|at|for|with){0,5} rate=time",
        "converges": "rate=time word{0,4} word:收",
        "in total": "(open|comma) value=number total=mod:total (close|break|comma)",
        "epoch is 90": "unit=unit:epoch (mod:total|word:数,量,总){0,2} is value=number",
    },
    any="time:at,after,for,total,until,bare",
)
_CLAUSE = Pattern("(comma|break|open|and)")


def find_ends(board: Board) -> None:
    """Add the length of training that every end of it states."""
    code = board.code()
    for match in _ENDS.find(code):
        if "rate" in match or "floor" in match:
            board.used.add(match["rate" if "rate" in match else "floor"])
            continue
        if _is_early(board, match.first, match.after):
            continue
        if "total" in match:
            before = [
                item.data.unit for item in board.items[max(0, match.first - 20) : match.first] if item.kind == "time"
            ]
            unit = next((unit for unit in reversed(before) if unit), "")
            if unit and board.items[match["value"]].value >= 1:
                board.add(
                    "value",
                    _TOTALS[unit],
                    board.items[match["value"]].value,
                    [match["value"], match["total"]],
                    unit=unit,
                )
            continue
        if "value" in match:
            before = board.items[match.first - 1] if match.first else None
            value = board.items[match["value"]].value
            if value >= 1 and (before is None or before.kind in {"comma", "break", "open", "and"}):
                places = [*range(match.first, match.after)]
                board.add("value", "epochs_total", value, places, unit=board.items[match["unit"]].key)
            continue
        time = board.items[match["when"]].data
        if time.unit and not time.percent:
            board.add("value", _TOTALS[time.unit], time.values[0], range(match.first, match.after), unit=time.unit)


def _is_early(board: Board, first: int, after: int) -> bool:
    """Whether an end is one that the measured loss decides: by the words of its clause."""
    while first > 0 and board.items[first - 1].kind not in {"comma", "break", "open"}:
        first -= 1
    while after < len(board.items) and board.items[after].kind not in {"comma", "break", "close"}:
        after += 1
    return any(item.kind == "when" or item.is_a("end", "early") for item in board.items[first:after])
