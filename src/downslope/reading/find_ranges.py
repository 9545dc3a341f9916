"""Courses of the learning rate: "from 0.05 to 0", warmups, and named shapes."""

from __future__ import annotations

from downslope.reading.facts import Board, Fact
from downslope.reading.items import Item
from downslope.reading.times import Time

_BETWEEN = frozenset({"verb", "schedule", "word", "mod", "is", "comma", "each", "time", "with", "by"})


def find_courses(board: Board) -> None:
    """Add facts for ranges, warmups and shapes, in this order."""
    for first, last in board.sentences():
        _ranges(board, first, last)
    for first, last in board.sentences():
        _warmups(board, first, last)
        _risings(board, first, last)
    for place, item in enumerate(board.items):
        if item.kind == "schedule" and place not in board.used and not _denied(board, place):
            target = _target_after(board, place)
            places = [place] if target is None else [place, target]
            final = None if target is None else board.items[target].number
            until = board.items[target + 1] if target is not None and target + 1 < len(board.items) else None
            ended = (
                until is not None and until.kind == "time" and until.data.prep in {"at", "until"} and target is not None
            )
            places += [target + 1] if ended and target is not None else []
            board.add(
                "shape", item.key, None, places, over=_length_after(board, place if target is None else target),
                final=final and final.value,
                until=until.data if ended and until is not None else None,
            )  # fmt: skip


def _denied(board: Board, place: int) -> bool:
    return any(board.items[left].is_a("no", "no", "instead") for left in range(max(0, place - 2), place))


def _target_after(board: Board, place: int) -> int | None:
    """Return the place of the value that a shape leads to: "a cosine down to 0", 按余弦退火衰减至0."""
    items = board.items
    for right in range(place + 1, min(len(items) - 1, place + 6)):
        if items[right].is_a("to") and board.free_number(right + 1):
            return right + 1
        if items[right].kind not in {"word", "verb", "is", "concept", "schedule", "time"} or (
            items[right].kind == "concept" and items[right].key != "lr"
        ):
            return None
    return None


def _length_after(board: Board, place: int) -> Time | None:
    """Return the time that a shape lasts: "cosine decay over 1000 epochs"."""
    for right in range(place + 1, min(len(board.items), place + 7)):
        item = board.items[right]
        if item.kind == "time" and item.data.prep in {"for", "next"} and len(item.data.values) == 1:
            return item.data
        if item.kind in {"break", "concept", "optimizer", "number"}:
            return None
    return None


def _subject(board: Board, first: int, place: int) -> str:
    """Return the concept that a course is of: the nearest before it in its sentence, or the learning rate."""
    for left in range(place - 1, first - 1, -1):
        item = board.items[left]
        if item.kind == "concept" and item.key not in {"warmup", "epochs_total", "steps_total", "lr_decay"}:
            return item.key
        if item.kind == "number":
            return "lr"
    return "lr"


def _ranges(board: Board, first: int, last: int) -> None:
    items = board.items
    for place in range(first, last):
        if not (items[place].is_a("from") or items[place].is_a("schedule") or items[place].is_a("verb")):
            continue
        start = place + 1
        while start < last and items[start].is_a("is") and items[start].end - items[start].start <= 4:
            start += 1
        if start >= last or not board.free_number(start) or start - 1 in board.used:
            continue
        if not items[place].is_a("from") and not (start + 1 < last and items[start + 1].is_a("to")):
            continue
        walk = start + 1
        shape, over = "", None
        while walk < last and items[walk].kind in _BETWEEN and walk - start < 8:
            shape = items[walk].key if items[walk].kind == "schedule" else shape
            over = items[walk].data if items[walk].kind == "time" else over
            walk += 1
        if not (walk + 1 <= last - 1 and items[walk].is_a("to") and board.free_number(walk + 1)):
            continue
        one, other = items[start].number, items[walk + 1].number
        assert one is not None and other is not None  # noqa: S101, PT018 - free numbers are numbers
        if other.fraction and not other.percent and walk + 2 < last and items[walk + 2].is_a("of_it"):
            continue
        places = [p for p in range(place, walk + 2) if items[p].kind not in {"comma", "word", "is"}]
        before = items[place - 1] if place > first else None
        if before and before.kind == "schedule":
            shape = shape or before.key
        text = board.text.plain[items[place].start : items[walk + 1].start]
        shape = (
            shape or ("linear" if "linear" in text or "线性" in text else "") or ("cosine" if "余弦" in text else "")
        )
        if (
            over is None
            and walk + 2 < last
            and items[walk + 2].kind == "time"
            and items[walk + 2].data.prep in {"for", "first", "next", "at", "until"}
        ):
            over = items[walk + 2].data
            places.append(walk + 2)
        board.add(
            "range", _subject(board, first, place), (one.value, other.value), places, shape=shape, over=over,
            spans=((items[start].start, items[start].end), (items[walk + 1].start, items[walk + 1].end)),
        )  # fmt: skip


def _warmups(board: Board, first: int, last: int) -> None:
    items = board.items
    heads = [p for p in range(first, last) if items[p].is_a("concept", "warmup") and p not in board.used]
    if not heads:
        return
    if any(items[left].is_a("no") for left in range(max(first, heads[0] - 2), heads[0])):
        board.add("off", "warmup", None, [heads[0]])
        return
    time_place = _warmup_time(board, heads, first, last)
    places = set(heads)
    duration: Time | None = None
    if time_place is not None:
        duration = items[time_place].data if items[time_place].kind == "time" else None
        if duration is None:
            number = items[time_place].number
            assert number is not None  # noqa: S101 - `_warmup_time` returns times and numbers
            unit = _names_unit(board, heads[0])
            duration = Time("for", (number.value,), unit, percent=number.percent or number.value < 1)
        places.add(time_place)
    fact = board.add("warmup", "lr", duration, sorted(places))
    _warmup_ends(board, fact, first, last, heads[0])
    rising = fact.extra.get("range")
    if fact.value is None and rising is not None and rising.extra["over"] is not None:
        fact.value = rising.extra["over"]
        fact.end = max(fact.end, rising.end)


def _warmup_time(board: Board, heads: list[int], first: int, last: int) -> int | None:
    """Return the place of the time that a warmup takes: right of it or left of it, the nearer and better marked."""
    items = board.items
    best: tuple[int, int] | None = None
    for head in heads:
        for place in range(max(first, head - 6), min(last, head + 12)):
            item = items[place]
            if place in board.used:
                continue
            if item.kind == "time" and len(item.data.values) == 1 and item.data.prep in {"", "for", "first", "total"}:
                cost = abs(place - head) + (0 if item.data.prep == "first" else 2)
            elif item.kind == "number" and item.number and place > head and _bare_length(board, head, place):
                cost = place - head
            elif board.free_number(place) and place == head - 1 and _names_unit(board, head):
                cost = 1
            else:
                continue
            low, high = sorted((head, place))
            between = items[low + 1 : high]
            if any(i.kind == "verb" and i.key == "train" for i in between):
                continue
            cost += sum(
                4 for i in between if i.kind in {"comma", "schedule"} or (i.kind == "concept" and i.key != "lr")
            )
            if best is None or cost < best[0]:
                best = (cost, place)
    return best[1] if best and best[0] <= 14 else None


def _names_unit(board: Board, head: int) -> str:
    """Return the unit that is part of a warmup's own phrase: "warmup steps"."""
    text = board.text.plain[board.items[head].start : board.items[head].end]
    if "epoch" in text or "轮" in text:
        return "epoch"
    return "step" if "step" in text or "iter" in text or "步" in text else ""


def _bare_length(board: Board, head: int, place: int) -> bool:
    """Whether a number without a unit is the warmup's length: "warmup 23 %", "warmup steps 500"."""
    number = board.items[place].number
    between = board.items[head + 1 : place]
    text = board.text.plain[board.items[head].start : board.items[head].end]
    said = any(word in text for word in ("step", "epoch", "iter", "length", "步", "轮"))
    return number is not None and all(i.is_a("is") or i.is_a("for") for i in between) and (number.percent or said)


def _warmup_ends(board: Board, fact: Fact, first: int, last: int, head: int) -> None:
    """Find where a warmup starts and what it leads to, by a range in its sentence or by "to 0.1" after it."""
    items = board.items
    for other in board.facts:
        inside = items[first].start <= other.start < items[last - 1].end
        if other.kind == "range" and other.key == "lr" and inside and other.value[0] < other.value[1]:
            fact.extra["range"] = other
            other.extra["in_warmup"] = True
            return
    for place in range(head + 1, min(last - 1, head + 12)):
        if items[place].is_a("to") and board.free_number(place + 1) and not _is_fraction(items[place + 1]):
            fact.extra["peak"] = (items[place + 1].value, items[place + 1].start, items[place + 1].end)
            board.used.add(place + 1)
            return
        if items[place].is_a("from") and board.free_number(place + 1):
            fact.extra["start"] = (items[place + 1].value, items[place + 1].start, items[place + 1].end)
            board.used.add(place + 1)
        if (
            items[place].kind == "break"
            or items[place].is_a("schedule", "cosine", "polynomial", "exponential")
            or (items[place].kind == "verb" and items[place].key in {"divide", "reduce", "halve"})
        ):
            return


def _is_fraction(item: Item) -> bool:
    return item.number is not None and item.number.fraction


def _risings(board: Board, first: int, last: int) -> None:
    """Find warmups that are not called so: "increased linearly to 0.5 over the first 2,000 steps"."""
    items = board.items
    ranges = _rising_ranges(board)
    for place in range(first, last):
        item = items[place]
        rising_range = ranges.get(item.start)
        if rising_range is not None and rising_range.extra.get("in_warmup"):
            rising_range = None
        if not (item.is_a("verb", "increase") or rising_range) or (place in board.used and not rising_range):
            continue
        if rising_range is None and _subject(board, first, place) != "lr":
            continue
        if any(
            fact.kind == "warmup" and items[first].start <= fact.start < items[last - 1].end for fact in board.facts
        ):
            continue
        peak, peak_place, time_place = None, None, None
        for right in range(place, min(last, place + 10)):
            if items[right].is_a("to") and board.free_number(right + 1) and peak is None:
                peak_place = right + 1
                peak = items[right + 1].number
            if (
                items[right].kind == "time"
                and items[right].data.prep in {"for", "first", "until", ""}
                and right not in board.used
            ):
                time_place = right
                break
        if time_place is None:
            nearby = [p for p in range(max(first, place - 8), place) if items[p].kind == "time" and p not in board.used]
            time_place = next((p for p in reversed(nearby) if items[p].data.prep == "first"), None)
        over = rising_range.extra.get("over") if rising_range else None
        if time_place is None and over is None:
            continue
        if peak is None and rising_range is None:
            continue
        places = [p for p in (place, peak_place, time_place) if p is not None]
        if rising_range is not None:
            places += [p for p, i in enumerate(items) if rising_range.start <= i.start < rising_range.end]
        fact = board.add("warmup", "lr", items[time_place].data if time_place is not None else over, places)
        if rising_range:
            fact.extra["range"] = rising_range
            rising_range.extra["in_warmup"] = True
        elif peak is not None:
            fact.extra["peak"] = (peak.value, peak.start, peak.end)


def _rising_ranges(board: Board) -> dict[int, Fact]:
    """Return the first range of lr that rises, by the place in the text where it begins."""
    found: dict[int, Fact] = {}
    for fact in board.facts:
        if fact.kind == "range" and fact.key == "lr" and fact.value[0] < fact.value[1]:
            found.setdefault(fact.start, fact)
    return found
