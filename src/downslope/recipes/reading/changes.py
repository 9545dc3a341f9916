"""How the learning rate changes, by the verbs that say so: divided, multiplied, reduced, halved, by how much and when.

What lives here: a verb with its arguments, to its right and, as Chinese often has it, to its left. What does
not: single values (`values.py`), factors told apart from their times (`falls.py`), and what several changes add up to
(`schedules.py`).
"""

from __future__ import annotations

from typing import Any

from downslope.recipes.reading.change_frames import (
    LAX,
    Frame,
    factor_of,
    take_amount_before,
    take_condition,
    take_number,
    take_time,
    take_time_before,
)
from downslope.recipes.reading.facts import Board, Fact
from downslope.recipes.reading.falls import pair_factors, tells_a_fall
from downslope.recipes.reading.items import Item

_VERBS = frozenset({"divide", "multiply", "reduce", "halve", "decimate", "increase"})
_RATES = frozenset({"lr", "lr_decay"})


def find_changes(board: Board) -> None:
    """Add a fact for every change of the learning rate."""
    refused: set[int] = set()
    for first, last in board.sentences():
        previous = first
        for place in range(first, last):
            item = board.items[place]
            head = item.kind == "verb" and item.key in _VERBS
            stepped = (
                item.is_a("schedule", "multistep", "exponential")
                and place + 2 < last
                and board.items[place + 1].kind == "by"
                and board.free_number(place + 2)
            )
            noun = item.is_a("concept", "lr_decay")
            if not (head or noun or stepped) or (place in board.used and not stepped):
                continue
            if head and not _is_about_lr(board, first, place, last):
                refused |= _times_of_another(board, place, last)
                continue
            frame = Frame("reduce" if noun or stepped else item.key, {place}, shape=item.key if stepped else "")
            after = _rightwards(board, frame, place + 1, last, noun=noun)
            if frame.amount is None and not frame.targets and not noun:
                take_amount_before(board, frame, place, first)
            if not frame.at and not frame.plateau:
                take_time_before(board, frame, place - 1, previous)
            if not frame.plateau:
                take_condition(board, frame, previous, place)
            if not _add(board, frame, place, first, last, noun=noun):
                refused |= {p for p in frame.places if board.items[p].kind == "time"}
            previous = max(previous, after)
    _spread(board, refused)
    pair_factors(board)
    board.used -= refused


def _times_of_another(board: Board, place: int, last: int) -> set[int]:
    """Return the places of the times in the clause of a verb that is not the learning rate's."""
    found: set[int] = set()
    for right in range(place + 1, last):
        if board.items[right].kind in {"comma", "verb"}:
            break
        if board.items[right].kind == "time":
            found.add(right)
    return found


def _spread(board: Board, refused: set[int]) -> None:
    """Give milestones that no verb took to the change that has no time, or make a change of them alone."""
    for place, item in enumerate(board.items):
        if (
            item.kind != "time"
            or place in board.used
            or place in refused
            or item.data.prep not in {"at", "after"}
            or len(item.data.values) < 2
        ):
            continue
        open_changes = [
            fact for fact in board.facts
            if fact.kind == "change"
            and fact.value is not None
            and not (fact.extra["at"] or fact.extra["every"] or fact.extra["plateau"])
        ]  # fmt: skip
        board.used.add(place)
        if open_changes:
            open_changes[0].extra["at"].append(item.data)
            open_changes[0].extra["noun"] = False
            continue
        board.add(
            "change", "reduce", None, [place], targets=[], at=[item.data], every=None, over=None, plateau=False,
            metric="", patience=None, shape="", count=None, noun=False, listed=True,
        )  # fmt: skip


def _is_about_lr(board: Board, first: int, place: int, last: int) -> bool:
    """Whether a verb is the learning rate's: unless its nearest subject or object is another's."""
    for right in range(place + 1, min(last, place + 3)):
        item = board.items[right]
        if item.kind in {"concept", "when", "other"} and not item.is_a("when", "plateau"):
            return item.key in _RATES
        if item.kind in {"number", "time", "by", "to", "comma", "and"}:
            break
    for left in range(place - 1, first - 1, -1):
        item = board.items[left]
        if item.kind == "number" and place - left == 1:
            owners = [board.items[p] for p in range(left - 1, max(first - 1, left - 4), -1)]
            owner = next((o for o in owners if o.kind in {"concept", "comma"}), None)
            return owner is None or owner.kind != "concept" or owner.key in _RATES
        if item.kind in {"number", "time"}:
            return True
        if item.is_a("concept", "lr", "lr_decay", "warmup"):
            return True
        if item.kind == "concept" and item.key in {
            "weight_decay",
            "l2",
            "momentum",
            "batch",
            "other",
            "dampening",
            "clip",
        }:
            return any(board.items[p].is_a("concept", "lr") for p in range(left - 1, max(first - 1, left - 5), -1)) or (
                any(board.items[p].kind == "comma" for p in range(left, place))
            )
    return True


def _rightwards(board: Board, frame: Frame, place: int, last: int, *, noun: bool) -> int:
    items = board.items
    preposition = "is" if noun else ""
    while place < last:
        item = items[place]
        if item.kind == "number" and place not in board.used and item.number:
            if not take_number(board, frame, place, preposition):
                break
            preposition = ""
        elif item.kind == "time":
            if not take_time(board, frame, place):
                break
            preposition = ""
        elif item.kind == "when":
            frame.plateau = frame.plateau or item.key == "plateau"
            frame.metric = frame.metric or item.key.removeprefix("metric_") * item.key.startswith("metric_")
            frame.places.add(place)
        elif item.kind == "schedule":
            frame.shape = frame.shape or item.key
            preposition = "by" if item.key == "exponential" else preposition
        elif item.kind == "magnitude":
            frame.magnitude = frame.magnitude or 10.0
            frame.places.add(place)
        elif item.kind == "of_it":
            frame.ratio = True
            frame.places.add(place)
        elif item.kind == "is" and board.text.plain[item.start : item.end].startswith(("初", "start", "begin", "init")):
            break
        elif item.kind in {"by", "to", "from", "at", "for", "each", "is"}:
            if item.kind == "by" and items[place - 1].kind == "comma":
                preposition = "by"
            preposition = preposition if item.kind == "is" and preposition else item.kind
        elif item.kind == "verb":
            if item.key == "train" or frame.amount or frame.targets or (frame.places - {place} and frame.at):
                break
            if item.key in {"divide", "multiply", "halve"} and frame.verb in {"reduce", "increase"}:
                frame.verb = item.key
                frame.places.add(place)
            elif item.key in _VERBS and preposition in {"by", ""}:
                frame.verb = item.key if frame.verb == "reduce" else frame.verb
            else:
                break
        elif item.kind == "concept":
            if item.key not in LAX or (item.key == "lr" and _asserts(items, place, last)):
                break
            if item.key == "lr_decay":
                preposition = "by"
        elif item.kind in {"optimizer", "target", "no"} or (
            item.is_a("mod", "initial") and _asserts(items, place, last)
        ):
            break
        place += 1
    return place


def _asserts(items: list[Item], place: int, last: int) -> bool:
    """Whether "learning rate" is followed by a value of its own, and so begins another statement."""
    return any(item.kind == "number" for item in items[place + 1 : min(last, place + 4)]) and not any(
        item.kind in {"by", "each"} or (item.kind == "verb" and item.key in _VERBS)
        for item in items[place + 1 : min(last, place + 4)]
    )


def _add(board: Board, frame: Frame, place: int, first: int, last: int, *, noun: bool) -> bool:
    """Add the change that a frame tells of; False if it tells of none."""
    factor: float | None = None
    if frame.amount is not None and frame.amount.number is not None:
        number = frame.amount.number
        if frame.how == "is" and noun:
            frame.verb = "reduce"
        factor = factor_of(
            frame.verb,
            number.value,
            how="ratio" if frame.ratio else frame.how,
            percent=number.percent,
        )
    elif frame.magnitude:
        factor = 1 / frame.magnitude
    elif frame.verb == "halve":
        factor = 0.5
    elif frame.verb == "decimate":
        factor = 0.1
    targets = [item.number.value for item in frame.targets if item.number]
    extra: dict[str, Any] = {
        "targets": targets,
        "target_places": [(item.start, item.end) for item in frame.targets],
        "at": frame.at,
        "every": frame.every,
        "over": frame.over,
        "plateau": frame.plateau,
        "metric": frame.metric,
        "patience": frame.patience,
        "shape": frame.shape,
        "count": frame.count,
        "noun": noun,
    }
    told = factor is not None or (not noun and (targets or frame.plateau or frame.count or frame.shape))
    if not told:
        if not tells_a_fall(board, Fact("change", frame.verb, None, 0, 0, extra), place, first, last):
            return False
        extra |= {"noun": False, "bare": True}
    if factor is None and not targets and frame.shape and not (frame.at or frame.every):
        frame.places = {place for place in frame.places if board.items[place].kind in {"verb", "schedule", "time"}}
    board.add("change", frame.verb, factor, sorted(frame.places), **extra)
    return True
