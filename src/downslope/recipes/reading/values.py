"""Single values: "momentum of 0.9", "0.9 momentum", 动量设为0.9, "momentum and weight decay are 0.9 and 1e-4".

What lives here: which number belongs to which word. What does not: changes in time, and what values mean for a recipe.
"""

from __future__ import annotations

from typing import Any

from downslope.recipes.reading.facts import Board
from downslope.recipes.reading.items import Item
from downslope.recipes.reading.rate_values import (
    find_floors,
    find_more_rates,
    find_starts,
    find_thresholds,
    phase_of,
    product_at,
    rate_per,
    scaled_per_batch,
)
from downslope.recipes.reading.switches import find_spared, find_switched_off

_SINGLE = frozenset(
    [
        "lr",
        "momentum",
        "nesterov",
        "weight_decay",
        "l2",
        "batch",
        "clip",
        "dampening",
        "ema",
        "eps",
        "beta1",
        "beta2",
        "betas",
        "rho",
        "power",
        "gamma",
        "patience",
        "lr_decay",
        "lr_every",
        "epochs_total",
        "steps_total",
        "other",
        "decay",
    ]
)
_PASSED = frozenset({"is", "mod", "with", "open", "close", "star", "target", "by", "at", "of_it"})
_SIMILAR = {
    "weight_decay": {"l2"},
    "l2": {"weight_decay"},
    "nesterov": {"momentum"},
    "momentum": {"nesterov"},
    "clip": {"clip"},
}


def find_values(board: Board) -> None:
    """Add a fact for every value, for everything that is switched off, and for what groups of parameters are spared."""
    for first, last in board.sentences():
        find_switched_off(board, first, last)
        _coordinated(board, first, last)
        for place in range(first, last):
            item = board.items[place]
            if item.kind == "concept" and item.key in _SINGLE and place not in board.used:
                _rightwards(board, place, first, last)
        for place in range(first, last):
            if board.free_number(place):
                _leftwards(board, place, first, last)
        find_starts(board, first, last)
        _batches(board, first, last)
        find_spared(board, first, last)
        find_floors(board, first, last)
        find_thresholds(board, first, last)
        find_more_rates(board, first, last)
    phased = [fact for fact in board.facts if fact.kind == "value" and fact.key == "lr" and fact.extra.get("phase")]
    if len(phased) > 1 or any(fact.extra["phase"][0].prep in {"first", "until"} for fact in phased):
        board.used.update(fact.extra["phase"][1] for fact in phased)
    for place, item in enumerate(board.items):
        if item.is_a("concept", "nesterov") and place not in board.used:
            board.add("value", "nesterov", True, [place])


def _run(board: Board, place: int, last: int) -> list[int]:
    """Return the places of concepts in a row: "momentum and weight decay"."""
    items, found = board.items, [place]
    while True:
        right = found[-1] + 1
        seen = 0
        while (
            right < last
            and (items[right].kind in {"and", "comma"} or items[right].is_a("word", "the", "的"))
            and seen < 2
        ):
            right += 1
            seen += 1
        if (
            seen
            and right < last
            and items[right].kind == "concept"
            and items[right].key in _SINGLE
            and items[right].key != items[found[-1]].key
            and right not in board.used
        ):
            found.append(right)
        else:
            return found


def _coordinated(board: Board, first: int, last: int) -> None:
    items = board.items
    place = first
    while place < last:
        if not (items[place].kind == "concept" and items[place].key in _SINGLE and place not in board.used):
            place += 1
            continue
        run = _run(board, place, last)
        if len(run) < 2:
            place += 1
            continue
        right = run[-1] + 1
        connected = False
        while (
            right < last
            and (items[right].kind in {"is", "mod", "to", "with", "open"} or items[right].is_a("word"))
            and right - run[-1] < 6
        ):
            connected = connected or items[right].kind in {"is", "to", "open"}
            right += 1
        numbers: list[int] = []
        while right < last and board.free_number(right) and not _is_counted(board, right):
            numbers.append(right)
            right += 1
            while right < last and items[right].kind in {"comma", "and"} and len(numbers) < len(run):
                right += 1
        if len(numbers) == len(run):
            for concept, number in zip(run, numbers, strict=True):
                _value(board, concept, number, [concept, number], first)
        elif len(numbers) >= 1 and connected and _both(board, run[0], first):
            for concept in run:
                _value(board, concept, numbers[0], [concept, numbers[0]], first)
        place = run[-1] + 1 if len(numbers) == len(run) else place + 1


def _is_counted(board: Board, place: int) -> bool:
    """Whether a number counts something that is no setting: 8块GPU."""
    return place + 1 < len(board.items) and board.items[place + 1].is_a("unit", "ignored", "times")


def _both(board: Board, place: int, first: int) -> bool:
    return any(
        "both" in board.text.plain[item.start : item.end] for item in board.items[max(first, place - 2) : place]
    ) or any(
        board.text.plain[item.start : item.end] in {"均为", "都为", "均设置为", "都设置为", "均设为", "都设为"}
        for item in board.items[place : place + 6]
    )


_FARTHEST = 60
"""How many items are looked at for a concept's number: so a concept said a thousand times takes a bounded time each."""


def _rightwards(board: Board, place: int, first: int, last: int) -> None:
    items = board.items
    concept = items[place]
    words, said, between = 0, False, [place]
    limit = 10 if concept.key == "clip" else 8
    right = place + 1
    while right < min(last, place + _FARTHEST):
        item = items[right]
        if item.kind == "number":
            if right in board.used or (words > 3 and not said):
                return
            following = items[right + 1] if right + 1 < last else None
            if following is not None and _anothers(concept, following, board, right, last, said=said):
                return
            _value(board, place, right, [*between, right], first)
            return
        if item.kind == "time":
            _timed_value(board, place, right, said=said)
            return
        if (
            (item.is_a("to") and concept.key not in {"other", "decay"})
            or item.kind in {"is", "open"}
            or (item.kind in {"at", "of_it"} and concept.key in {"clip", "power", "batch", "lr"})
        ):
            said = True
        elif item.kind == "concept" and item.key in {*_SIMILAR.get(concept.key, ()), concept.key} - {"lr"}:
            if item.key == "momentum" and concept.key == "nesterov":
                return
            between.append(right)
        elif item.is_a("schedule", "constant") or (item.kind == "when" and concept.key == "clip"):
            pass
        elif item.kind in {"word", "no", "unit", "target", "mod", "other"}:
            if item.kind == "unit" and item.key != "example" and not item.is_a("unit", "ignored"):
                return
            words += item.kind in {"word", "unit"}
        elif concept.key == "lr" and item.kind in {"slash", "each"} and not said:
            pass
        elif item.kind == "with" and concept.key == "clip":
            said = True
        elif not (
            (item.kind in _PASSED and concept.key != "other")
            or item.is_a("by", "factor")
            or (item.is_a("at") and concept.key == "clip")
        ):
            return
        if words > limit:
            return
        right += 1


def _anothers(concept: Item, following: Item, board: Board, place: int, last: int, *, said: bool) -> bool:
    """Whether what follows a number says that it is not this concept's: "learning rate, 8 GPUs"."""
    if following.kind == "unit":
        return (
            following.key in {"ignored", "times"}
            or (following.key == "example" and concept.key != "batch")
            or (
                following.key in {"step", "epoch"}
                and concept.key not in {"epochs_total", "steps_total", "patience", "lr_every", "other"}
            )
        )
    if following.kind == "concept" and not said and following.key != concept.key and following.key in _SINGLE:
        after = board.items[place + 2] if place + 2 < last else None
        return not (after is not None and (after.kind in {"is", "number"}))
    return False


def _timed_value(board: Board, place: int, right: int, *, said: bool) -> None:
    concept, time = board.items[place], board.items[right].data
    if (
        concept.key in {"epochs_total", "steps_total", "lr_every", "patience"}
        and right not in board.used
        and len(time.values) == 1
    ):
        board.add("value", concept.key, time.values[0], [place, right], unit=time.unit)
    elif concept.key == "batch" and said and time.unit == "step":
        return


def _value(board: Board, concept: int, number: int, places: list[int], first: int) -> None:
    items = board.items
    item, amount = items[concept], items[number].number
    assert amount is not None  # noqa: S101 - the caller has a number's place
    key, extra = item.key, {}
    if amount.value == float("inf") or (key == "batch" and amount.spelled and amount.value == 1 and number == concept):
        return
    extra: dict[str, Any] = {"role": _role(board, concept, first, number), "percent": amount.percent, "number": number}
    if key == "lr" and (product := product_at(board, number)) is not None:
        value, last = product
        board.add("value", key, value, [*places, last], role="", product=True)
        board.used.update(range(number, last + 1))
        return
    if key == "lr":
        extra["phase"] = phase_of(board, concept, number, first)
        extra["per_batch"] = scaled_per_batch(board, number)
        extra["per"] = rate_per(board, number, concept)
    if key == "batch" and number + 2 < len(items) and items[number + 1].is_a("each"):
        extra["per_device"] = items[number + 2].is_a("unit", "ignored")
    if key == "clip":
        extra["per"] = rate_per(board, number, concept)
    if key == "betas":
        second = number + 2
        if second < len(items) and items[number + 1].kind == "comma" and board.free_number(second):
            extra["second"] = items[second].value
            places = [*places, second]
    board.add("value", key, amount.value, places, **extra)


def _role(board: Board, place: int, first: int, number: int) -> str:
    """Return "initial", "peak", "final" or "base" where a word near the concept says so."""
    items = board.items
    around = [*range(place - 1, max(first - 1, place - 4), -1), *range(place + 1, number)]
    for near in around:
        if items[near].is_a("mod", "initial", "peak", "final", "base"):
            return items[near].key
        if items[near].kind in {"number", "concept", "comma", "time"} and near < place:
            break
    return ""


def _leftwards(board: Board, place: int, first: int, last: int) -> None:
    """Attach a number to the concept that follows it: "0.9 momentum", 0.9的动量, "0 dampening"."""
    items = board.items
    right = place + 1
    while (
        right < last
        and (items[right].is_a("word", "的") or items[right].is_a("mod") or items[right].is_a("is"))
        and right - place < 3
    ):
        right += 1
    if (
        right >= last
        or items[right].kind != "concept"
        or items[right].key not in _SINGLE - {"other", "epochs_total", "steps_total", "batch", "clip"}
    ):
        return
    number = items[place].number
    if (
        number is None
        or (number.spelled and number.value != 0)
        or (right in board.used and items[right].key != "nesterov")
    ):
        return
    if items[right].key == "nesterov" and right + 1 < last and items[right + 1].is_a("concept", "momentum"):
        board.add("value", "nesterov", True, [right])
        right += 1
    _value(board, right, place, [place, right], first)


def _batches(board: Board, first: int, last: int) -> None:
    """Find batch sizes told by examples: "batches of 128 images", "16 images per minibatch", 每批32张图像."""
    items = board.items
    for place in range(first, last):
        if not board.free_number(place) or (items[place].value or 0) < 1:
            continue
        value = items[place].value
        before = items[place - 1] if place > first else None
        earlier = items[place - 2] if place - 1 > first else None
        if (
            before
            and before.is_a("is")
            and earlier is not None
            and earlier.kind in {"unit", "concept"}
            and "batch" in board.text.plain[earlier.start : earlier.end]
        ):
            board.add("value", "batch", value, [place - 2, place - 1, place], role="")
            continue
        after = [item.kind + ":" + item.key for item in items[place + 1 : place + 4]]
        if after[:1] == ["unit:example"]:
            if after[1:3] == ["each:every", "concept:batch"] or after[1:3] == ["at:at", "concept:batch"]:
                board.add("value", "batch", value, [place, place + 1, place + 2, place + 3], role="")
        elif after[:2] == ["each:every", "concept:batch"]:
            board.add("value", "batch", value, [place, place + 1, place + 2], role="")
