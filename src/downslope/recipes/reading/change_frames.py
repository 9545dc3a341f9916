"""The arguments of one change: by how much, to what, when, and on which condition.

What lives here: taking numbers, times and conditions into a frame. What does not: finding the verbs (`changes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from downslope.recipes.reading.facts import Board
from downslope.recipes.reading.items import Item
from downslope.recipes.reading.times import Time

LAX = frozenset({"lr", "lr_decay", "epochs_total", "steps_total", "patience"})


@dataclass
class Frame:
    """The arguments of one verb."""

    verb: str
    places: set[int]
    amount: Item | None = None
    how: str = ""
    magnitude: float = 0.0
    targets: list[Item] = field(default_factory=list[Item])
    ratio: bool = False
    at: list[Time] = field(default_factory=list[Time])
    every: Time | None = None
    over: Time | None = None
    plateau: bool = False
    metric: str = ""
    patience: int | None = None
    shape: str = ""
    count: int | None = None


def take_number(board: Board, frame: Frame, place: int, preposition: str) -> bool:
    """Use a number as what it is to the verb; False if it is not the verb's."""
    item, items = board.items[place], board.items
    number = item.number
    assert number is not None  # noqa: S101 - the caller has looked
    following = items[place + 1] if place + 1 < len(items) else None
    if following is not None and following.is_a("unit", "times"):
        if (
            preposition == "for"
            or (frame.amount is not None or frame.verb == "divide")
            or (number.spelled and preposition != "by")
        ):
            frame.count = int(number.value)
            frame.places |= {place, place + 1}
            return True
        frame.amount, frame.how = item, "by"
        frame.places |= {place, place + 1}
        return True
    if following is not None and following.kind == "magnitude":
        frame.magnitude = 10.0 ** min(6, number.value)
        frame.places |= {place, place + 1}
        return True
    if following is not None and following.kind == "unit" and following.key in {"ignored", "example"}:
        return False
    if preposition == "at" and number.value >= 1 and not number.fraction:
        values = [number.value]
        places = {place}
        after = place + 1
        while after + 1 < len(items) and items[after].kind in {"comma", "and"} and board.free_number(after + 1):
            value = items[after + 1].value
            if value <= values[-1] or value < 1:
                break
            values.append(value)
            places |= {after + 1}
            after += 2
        if len(values) > 1 or number.value >= 5:
            frame.at.append(Time("at", tuple(values), ""))
            frame.places |= places
            board.used |= places
            return True
    if preposition == "to":
        if (
            number.fraction
            or number.times
            or (number.percent and number.value > 0)
            or (following and following.kind == "of_it")
        ):
            frame.amount, frame.how, frame.ratio = item, "ratio", True
        else:
            frame.targets.append(item)
        frame.places.add(place)
        return True
    if frame.targets and not frame.amount and preposition in {"", "is"} and number.value < 10 and not number.spelled:
        frame.targets.append(item)
        frame.places.add(place)
        return True
    if (
        frame.amount is None
        and not frame.targets
        and (not number.spelled or number.fraction or preposition == "by" or number.times)
    ):
        left = items[place - 1]
        if preposition not in {"by", "is"} and not (left.kind == "verb" or left.is_a("word", "了", "约", "the", "and")):
            return False
        frame.amount, frame.how = item, preposition or "direct"
        frame.places.add(place)
        return True
    return False


def take_time(board: Board, frame: Frame, place: int) -> bool:
    """Use a time as the verb's; False if it is not."""
    item = board.items[place]
    time: Time = item.data
    comma = place and board.items[place - 1].kind == "comma"
    if time.prep == "every":
        if frame.every is not None:
            return False
        frame.every = time
    elif time.prep in {"at", "after", "until"} or (time.prep == "" and len(time.values) > 1):
        frame.at.append(time)
    elif time.prep in {"for", "first", "next"} and (frame.targets or frame.shape) and not frame.at and not frame.every:
        frame.over = time
    elif frame.plateau and not frame.patience and time.unit == "epoch" and not comma:
        frame.patience = int(next(iter(time.values)))
    else:
        return False
    frame.places.add(place)
    board.used.add(place)
    return True


def take_time_before(board: Board, frame: Frame, place: int, first: int) -> None:
    """Take the time that stands before the verb: 每30轮...衰减, "every 30 epochs the learning rate is divided"."""
    while place >= first:
        item = board.items[place]
        if item.kind == "time" and place not in board.used:
            time: Time = item.data
            if time.prep == "every" and frame.every is None:
                frame.every = time
            elif time.prep in {"at", "after"}:
                frame.at.append(time)
            else:
                return
            frame.places.add(place)
            board.used.add(place)
            return
        if item.kind == "verb" or (item.kind == "concept" and item.key not in LAX):
            return
        if item.kind == "number" and item.number and not item.number.spelled and place not in frame.places:
            comma = [p for p in range(place, place + 6) if p < len(board.items) and board.items[p].kind == "comma"]
            before = board.items[place - 1] if place else None
            if not comma and not (before and before.is_a("at")):
                return
            owner = board.items[place - 2] if place > 1 else None
            if owner is not None and owner.kind == "concept" and owner.key not in LAX:
                return  # "gradient clipping at 5"
            if before and before.is_a("at") and item.number.value >= 2 and place not in board.used:
                frame.at.append(Time("at", (item.value,), ""))
                frame.places.add(place)
                board.used.add(place)
                return
            return
        place -= 1


def take_amount_before(board: Board, frame: Frame, place: int, first: int) -> None:
    """Take an amount told before the verb: 以0.94的指数速率衰减, "with a factor of 0.1 decayed"."""
    named = False
    for left in range(place - 1, max(first - 1, place - 6), -1):
        item = board.items[left]
        if item.kind == "number":
            if named and board.free_number(left) and item.number and not item.number.spelled:
                frame.amount, frame.how, frame.verb = (
                    item,
                    "by",
                    "multiply"
                    if frame.verb == "reduce" and item.number.value < 1 and not item.number.percent
                    else frame.verb,
                )
                frame.places.add(left)
            return
        if (
            item.is_a("by")
            or item.is_a("schedule", "exponential")
            or item.is_a("concept", "lr_decay")
            or item.is_a("word", "的", "速", "率")
        ):
            named = named or item.kind != "word"
        elif item.kind not in {"word", "is"}:
            return


def take_condition(board: Board, frame: Frame, previous: int, place: int) -> None:
    """Take a plateau that is told before the verb: "once perplexity stops improving, we reduce ..."."""
    for left in range(place - 1, previous - 1, -1):
        item = board.items[left]
        if item.is_a("when", "plateau") and left not in board.used:
            frame.plateau = True
            frame.places.add(left)
            board.used.add(left)
        elif item.kind == "when" and frame.plateau and not frame.metric:
            frame.metric = item.key.removeprefix("metric_")
        elif (
            frame.plateau and item.kind == "time" and left not in board.used and item.data.prep in {"", "for", "after"}
        ):
            frame.patience = int(item.data.values[0])
            frame.at = [time for time in frame.at if time is not item.data]
            board.used.add(left)
    if frame.plateau and frame.at and not frame.patience and frame.at[0].prep != "at" and len(frame.at[0].values) == 1:
        frame.patience, frame.at = int(frame.at[0].values[0]), []


def factor_of(frame_verb: str, value: float, *, how: str, percent: bool) -> float | None:
    """Return what a change multiplies by, or None if its number cannot be one.

    Args:
        frame_verb: "divide", "multiply", "reduce" or "increase".
        value: The number; a percentage as a fraction.
        how: "ratio" if it is "to VALUE of what it was".
        percent: Whether it is in per cent.

    Example:
        >>> factor_of("divide", 10, how="by", percent=False)
        0.1
        >>> round(factor_of("reduce", 0.04, how="by", percent=True), 9)
        0.96
        >>> factor_of("reduce", 0.1, how="by", percent=False)
        0.1
    """
    if not 0 < value < float("inf"):
        return None
    if how == "ratio":
        return value if value <= 1 else 1 / value
    if frame_verb == "multiply":
        return value
    if frame_verb == "divide":
        return 1 / value if value > 1 else value
    if frame_verb == "increase":
        return 1 + value if percent else (value if value > 1 else None)
    if percent:
        return 1 - value if value < 1 else None
    return 1 / value if value > 1 else value
