"""Single values: "momentum of 0.9", "0.9 momentum", 动量设为0.9, "momentum and weight decay are 0.9 and 1e-4".

Which number belongs to which word, what is switched off, and which optimizer is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from downslope.reading.facts import Board
from downslope.reading.items import Item

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


# What stands around a learning rate


def product_at(board: Board, number: int) -> tuple[float, int] | None:
    """Return the value of "0.1 x 1024/256 = 0.4", and the place of its last number; None if it is no product."""
    items = board.items
    kinds = [item.kind for item in items[number + 1 : number + 7]]
    numbers = [item.number.value if item.number else 0 for item in items[number : number + 7]]
    if kinds[:4] == ["star", "number", "slash", "number"] and numbers[4]:
        value, last = numbers[0] * numbers[2] / numbers[4], number + 4
    elif kinds[:2] == ["star", "number"]:
        value, last = numbers[0] * numbers[2], number + 2
    else:
        return None
    if (
        len(items) > last + 2
        and items[last + 1].is_a("is")
        and items[last + 2].kind == "number"
        and items[last + 2].number
    ):
        return float(items[last + 2].value), last + 2
    return float(f"{value:.12g}"), last


def phase_of(board: Board, concept: int, number: int, first: int) -> Any:
    """Return the time for which a rate holds: "0.001 for 60k steps", 前6万次迭代学习率为0.001, "0.1 until epoch 80"."""
    items = board.items
    for right in range(number + 1, min(len(items), number + 3)):
        item = items[right]
        if item.kind == "time" and item.data.prep in {"for", "first", "next", "until"} and right not in board.used:
            return (item.data, right)
        if item.kind != "word":
            break
    for left in range(concept - 1, max(first - 1, concept - 4), -1):
        item = items[left]
        if item.kind == "time" and item.data.prep in {"first", "next"}:
            return (item.data, left)
        if item.kind not in {"word", "mod", "comma", "is"}:
            break
    return None


def scaled_per_batch(board: Board, number: int) -> tuple[float, int, int] | None:
    """Return the batch size that a rate is scaled by: "0.1 kn/256", "0.3 x BatchSize/256"."""
    plain = board.text.plain
    match = re.compile(
        r"\s?\*?\s?\(?\s?(?:kn|bn|batch[\s_-]?size|minibatch[\s_-]?size|total batch size|batch|bs|b|n|"
        r"批大小|批量大小)\s?/\s?(\d{1,6})\)?"
    ).match(plain, board.items[number].end)
    if match is None or not int(match.group(1)):
        return None
    for place, item in enumerate(board.items):
        if match.start() <= item.start < match.end():
            board.used.add(place)
    return float(match.group(1)), match.start(), match.end()


def rate_per(board: Board, number: int, concept: int) -> Any:
    """Return what a rate is per: "sample", or a number of examples ("per 1024 examples")."""
    items = board.items
    if number + 2 < len(items) and items[number + 1].is_a("each"):
        if (
            items[number + 2].is_a("unit", "example")
            and "epoch" not in board.text.plain[items[number + 2].start : items[number + 2].end]
        ):
            return "sample"
        if number + 3 < len(items) and items[number + 2].kind == "number" and items[number + 3].is_a("unit", "example"):
            board.used.add(number + 2)
            return items[number + 2].value
    for left in range(concept, number):
        if items[left].is_a("each") and items[left + 1].is_a("unit", "example"):
            return "sample"
    return None


def find_starts(board: Board, first: int, last: int) -> None:
    """Find a start whose rate is not named beside it: "decreased every 10 epochs, starting from 0.1"."""
    if board.of("value", "lr"):
        return
    changed = board.has("change", "shape")
    for place in range(first + 1, last):
        before = board.items[place - 1]
        text = board.text.plain[before.start : before.end]
        starting = before.is_a("from") or (
            before.is_a("is") and text.startswith(("start", "begin", "began", "init", "初"))
        )
        said = (
            before.is_a("mod", "initial")
            or text.startswith("rate of")
            or (
                starting or (before.is_a("is") and place - 2 >= first and board.items[place - 2].is_a("mod", "initial"))
            )
        )
        if (
            (changed or text.startswith("rate of"))
            and said
            and board.free_number(place)
            and not (place + 1 < last and board.items[place + 1].kind == "unit")
        ):
            board.add("value", "lr", board.items[place].value, [place - 1, place], role="initial", number=place)
            return


def find_thresholds(board: Board, first: int, last: int) -> None:
    """Find a clipping threshold told apart from its verb: "scaling the gradient when its norm exceeded 5"."""
    items = board.items
    heads = [place for place in range(first, last) if items[place].is_a("concept", "clip")]
    start, end = items[first].start, items[last - 1].end
    told = any(start <= fact.start < end for fact in reversed(board.of("value", "clip")))
    if not heads or told:
        return
    marks = ("exceed", "greater", "larger", "above", "threshold", "超过", "大于", "阈值")
    for place in range(heads[0] + 1, last):
        before = [board.text.plain[item.start : item.end] for item in items[max(first, place - 3) : place]]
        if board.free_number(place) and any(text.startswith(marks) for text in before):
            board.add("value", "clip", items[place].value, [heads[0], place], role="")
            return


def find_floors(board: Board, first: int, last: int) -> None:
    """Find the end of a schedule that names no rate: "maximum 0.4, minimum 0.004"."""
    for place in range(first, last - 1):
        right = place + 2 if board.items[place + 1].is_a("is") else place + 1
        if board.items[place].is_a("mod", "final") and board.free_number(right) and board.items[right].value < 1:
            before = board.items[place - 1] if place > first else None
            if before is None or before.kind in {"comma", "and", "open"}:
                board.add("value", "final", board.items[right].value, [place, right], role="final")


def find_more_rates(board: Board, first: int, last: int) -> None:
    """Find further rates with times of their own: "a rate of 0.001 for 60k steps, and 0.0001 for the next 20k"."""
    items = board.items
    if not any(fact.extra.get("phase") for fact in board.of("value", "lr")):
        return
    for place in range(first, last - 1):
        if not board.free_number(place) or not items[place].number or items[place].value >= 100:
            continue
        phase = phase_of(board, place, place, first)
        if phase is not None and phase[1] == place + 1:
            fact = board.add("value", "lr", items[place].value, [place], role="", phase=phase, number=place)
            board.used.add(phase[1])
            fact.end = items[phase[1]].end


# What is switched off, and for which parameters

_STRONG = frozenset(
    [
        "not applied to",
        "not apply",
        "not applied on",
        "is not applied to",
        "do not apply",
        "excluding",
        "exclude",
        "except",
        "not decay",
        "is not",
        "are not",
        "not",
        "does not use",
        "不施加",
        "除外",
        "不应用",
        "不包括",
        "不参与",
        "不",
        "不使用",
        "不加",
    ]
)
"""Negations that may follow the weight decay that they deny."""

_SWITCHES = frozenset({"momentum", "nesterov", "weight_decay", "l2", "dampening", "clip", "batch", "warmup"})


def find_switched_off(board: Board, first: int, last: int) -> None:
    """Add a fact for everything in a sentence that is switched off, and for what is spared from weight decay."""
    items = board.items
    for place in range(first, last):
        if not items[place].is_a("no", "no"):
            continue
        right = place + 1
        while right < last and (items[right].kind in {"is", "word", "mod", "comma"} and right - place < 4):
            right += 1
        if right >= last:
            _not_applied(board, place, first, last)
            continue
        item = items[right]
        denied = item.kind == "concept" and item.key in _SWITCHES and right - place <= 3
        if denied and right + 1 < last and items[right + 1].kind == "concept" and item.key == "nesterov":
            pass
        if denied and not _valued(board, right, last):
            target, targets = _target_after(board, right, last)
            if item.key in {"weight_decay", "l2"} and target:
                board.add("group", target, 0.0, [place, right, *targets])
            elif item.key != "batch":
                board.add("off", item.key, 0.0, [place, right])
                _also_off(board, right, last)
        else:
            _not_applied(board, place, first, last)


def _valued(board: Board, place: int, last: int) -> bool:
    return place + 2 < last and board.items[place + 1].is_a("is") and board.free_number(place + 2)


def _also_off(board: Board, place: int, last: int) -> None:
    """Carry "no" over "or" and "and": "without momentum or weight decay"."""
    items = board.items
    if place + 2 < last and items[place + 1].kind == "and" and items[place + 2].kind == "concept":
        other = items[place + 2]
        joined = board.text.plain[items[place + 1].start : items[place + 1].end] in {"or", "nor", "或", "和", "及"}
        if (
            joined
            and other.key in _SWITCHES
            and not _valued(board, place + 2, last)
            and not board.free_number(place + 3)
        ):
            board.add("off", other.key, 0.0, [place + 1, place + 2])


def _target_after(board: Board, place: int, last: int) -> tuple[str, list[int]]:
    found: list[int] = []
    for right in range(place + 1, min(last, place + 9)):
        item = board.items[right]
        if item.kind == "target":
            found.append(right)
        elif item.kind in {"concept", "number", "verb", "optimizer"}:
            break
    keys = {board.items[p].key for p in found}
    return _target(keys), found


def _target(keys: set[str]) -> str:
    if "depthwise" in keys:
        return "depthwise"
    if "norm" in keys:
        return "bias_and_norm"
    if keys:
        return min(keys)
    return ""


def _not_applied(board: Board, place: int, first: int, last: int) -> None:
    """Find "weight decay is not applied to biases", and "biases are excluded from weight decay"."""
    items = board.items
    near = [p for p in range(max(first, place - 14), min(last, place + 10)) if items[p].kind == "target"]
    decays = [
        p
        for p in range(max(first, place - 14), min(last, place + 10))
        if items[p].is_a("concept", "weight_decay", "l2")
    ]
    text = board.text.plain[items[place].start : items[place].end]
    strong = text in _STRONG
    if strong and near and decays:
        keys = {items[p].key for p in near}
        board.add("group", _target(keys), 0.0, [place, *near])


def find_spared(board: Board, first: int, last: int) -> None:
    """Find "weight decay is 1e-4 for weights and 0 for biases"."""
    items = board.items
    decays = any(items[place].is_a("concept", "weight_decay", "l2") for place in range(first, last))
    for place in range(first, last - 2):
        zero = board.free_number(place) and items[place].value == 0
        if decays and zero and items[place + 1].is_a("for"):
            target, targets = _target_after(board, place + 1, last)
            if target:
                board.add("group", target, 0.0, [place, *targets])


# Which optimizers a text names, and which it names only to say that it uses another


def find_optimizers(board: Board) -> None:
    """Add a fact for every optimizer that the text names."""
    for place, item in enumerate(board.items):
        if item.kind == "optimizer":
            before = board.items[max(0, place - 3) : place]
            denied = any(
                near.is_a("no", "instead") or (near.is_a("no", "no") and near is before[-1]) for near in before
            )
            board.add("optimizer", item.key, None, [place], denied=denied)


# The word "decay" standing alone: a verb, or the decay of the schedule, of momentum, of a moving average or of the
# weights, told apart by what stands around it

_FLOWS = frozenset({"is", "mod", "with", "word"})


def resolve_decay(items: Sequence[Item]) -> list[Item]:
    """Return the items with every lone "decay" given its kind and key.

    The noun "decay" of an unknown owner becomes the concept "decay", which its number decides later.
    """
    result = list(items)
    for index, item in enumerate(result):
        if item.is_a("word", "decay"):
            result[index] = _resolve(result, index)
        elif item.is_a("concept", "lr_decay"):
            owner = _owner(result, index)
            if owner in {"momentum", "ema", "weight_decay", "l2"}:
                result[index] = replace(item, key=owner)
            elif owner == "rho" and not _has_lr(result, index):
                result[index] = replace(item, key="rho")
    return result


def _resolve(items: list[Item], index: int) -> Item:
    item = items[index]
    before = items[index - 1] if index else None
    after = items[index + 1] if index + 1 < len(items) else None
    if after is not None and (
        (after.kind in {"by", "to"} and not after.is_a("by", "factor"))
        or after.is_a("concept", "lr")
        or (after.kind == "time" and not (before and before.is_a("word", "a")))
        or (before is not None and before.is_a("concept", "lr") and after.kind == "time")
        or (before is not None and before.is_a("word", "then"))
    ):
        return replace(item, kind="verb", key="reduce")
    owner = _owner(items, index)
    if owner:
        return replace(item, kind="concept", key=owner)
    if before is not None and before.is_a("concept", "lr"):
        return replace(item, kind="concept", key="lr_decay")
    return replace(item, kind="concept", key="decay")


def _owner(items: list[Item], index: int) -> str:
    """Return whose decay it is by what stands before it: "momentum with a decay of 0.9", "RMSProp with decay 0.9"."""
    near = True
    for place in range(index - 1, max(-1, index - 9), -1):
        item = items[place]
        if item.kind in {"break", "number"}:
            return ""
        if item.kind == "optimizer":
            return "rho" if item.key in {"rmsprop", "adadelta"} else ""
        if item.kind == "concept":
            if item.key in {"momentum", "ema", "weight_decay", "l2"}:
                return item.key if near else ""
            return ""
        if item.kind not in _FLOWS:
            near = False
    return ""


def _has_lr(items: list[Item], index: int) -> bool:
    return any(item.is_a("concept", "lr") for item in items[max(0, index - 4) : index])
