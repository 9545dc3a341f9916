"""Which optimizers a text names, whose the words "decay" and "momentum" are, and what it tells of somebody else's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from downslope.reading.facts import SGD, Board, Mention, Value
from downslope.reading.items import Item
from downslope.reading.patterns import Pattern, Rules, encode

_DENIED = Pattern("(no:no|no:instead (word|open|is|with){0,2}) optimizer=optimizer")

_GENERAL = Pattern(
    "optimizer=optimizer:sgd (with|by|is|word:via,through) word{0,2} "
    "optimizer:adam,adamw,adamax,nadam,radam,rmsprop,adagrad,adadelta"
)
"""Gradient descent as what another optimizer is a kind of: "SGD with Adam updates"."""

_SWITCHED = Pattern("from word? optimizer=optimizer (with? open? (concept:lr is?)? number close?)? to optimizer")
"""What is given up for another optimizer in the midst of training: a recipe has one."""


def find_optimizers(board: Board) -> None:
    """Add a fact for every optimizer that the text names, with where the words that speak of it end.

    That is where the next is named, the sentence ends, or the parenthesis closes in which it is named.
    """
    denied = {match["optimizer"] for match in _DENIED.find(board.code())}
    compared = "compar" in board.text.plain
    denied |= {match["optimizer"] for match in _GENERAL.find(board.code())} if not compared else set()
    for match in _SWITCHED.find(board.code()):
        denied.add(match["optimizer"])
        board.add("another", "", None, range(match.first, match.after - 2))
    for first, last in board.sentences():
        named: list[Mention] = []
        opened = depth = 0
        alone = sum(item.kind == "optimizer" for item in board.items[first:last]) == 1
        for place in range(first, last):
            item = board.items[place]
            opened += (item.kind == "open") - (item.kind == "close")
            if item.kind == "optimizer" and named and _is_kind_of(board, named[-1], item):
                continue
            if item.kind == "optimizer":
                after = board.items[place + 1] if place + 1 < last else None
                told = after is not None and after.kind in {"with", "open", "concept", "number"}
                silent = place in denied and not told
                reach = item.end if silent else board.items[last - 1].end
                since = board.items[first].start if alone and place not in denied else item.start
                mention = Mention("optimizer", item.key, None, denied=place in denied, reach=reach, since=since)
                if after is not None and board.plain(after).startswith("baseline") and _is_compared(board):
                    mention.denied = True  # what its sentence says is still its own
                named.append(board.note(mention, [place]))
                for fact in named[:-1]:
                    fact.reach = min(fact.reach, item.start)
                named, depth = named[-1:], opened
            elif item.kind == "close" and named and depth > opened:
                named.pop().reach = item.end


def _is_compared(board: Board) -> bool:
    """Whether a text tells of more than a baseline: of another optimizer, or of another learning rate."""
    named = {item.key for item in board.items if item.kind == "optimizer"}
    return len(named) > 1 or sum(item.is_a("concept", "lr") for item in board.items) > 1


_FOR_EACH = Pattern(
    "concept=concept:lr,weight_decay,momentum (is|mod|word|to|of_it|taken){0,4} open? first=one (link one){1,4}",
    one="(number unit? open? (for|at|with|is)? word? optimizer close?|optimizer (is|word|at|with|by){0,2} number)",
    link="(comma|and|slash|word){1,2}",
)
_ONE = Rules(
    {
        "value first": "value=number unit? open? (for|at|with|is)? word? optimizer=optimizer",
        "name first": "optimizer=optimizer (is|word|at|with|by){0,2} value=number",
    }
)


def find_values_of_each(board: Board) -> None:
    """Add the value of SGD where a setting is told for each optimizer: "0.001 for Adam and 0.1 for SGD"."""
    code = board.code()
    for match in board.matches(_FOR_EACH):
        ones = list(_ONE.find(code, match.groups["first"][0], match.after))
        own = next((one for one in ones if board.items[one["optimizer"]].key in SGD), None)
        board.used.update(one["value"] for one in ones)
        if own is not None:
            value = Value("value", board.items[match["concept"]].key, board.items[own["value"]].value)
            board.note(value, [match["concept"], own["value"]])


def _is_kind_of(board: Board, named: Mention, item: Item) -> bool:
    """Whether "gradient descent" only says what the optimizer named before does: 采用AdaDelta方法进行梯度下降."""
    general = board.plain(item) in {"gradient descent", "stochastic gradient descent", "梯度下降"}
    between = board.text.plain[named.end : item.start]
    return general and named.key not in SGD and _JOINS.search(between) is None and len(between) < 40


_JOINS = re.compile(r"[,;]|\b(?:and|or|vs|than|instead)\b|[和与或及]|而")

# The word "decay" standing alone: a verb, or the decay of the schedule, of momentum, of a moving average or of the
# weights, told apart by what stands around it; and the momentum of batch normalisation and of moving averages

_ALIAS = Pattern("concept=concept:lr,momentum,weight_decay name=(word:α) (is|comma|with|open|break|number|verb|and)")
_PERIODIC = Pattern("word:decay is{0,2} number time:every")
_FLOWS = frozenset({"is", "mod", "with", "word"})
_ANOTHERS = [
    Pattern(pattern, between="(word|is|verb|with|by|unit|at|mod|target|of_it)", owned="concept:momentum,decay,eps")
    for pattern in (
        "concept:teacher (between|comma|for|concept:ema){0,8} concept=concept:momentum,decay,ema",
        "concept:other,ema between{0,8} concept=concept:momentum,decay",
        "target:norm (between|after|each){0,10} concept=(owned|concept:lr_decay,ema) (and (is|mod)? more=owned)?",
        "concept=owned (of_it|is|for|at|word:的) target:norm",
        "concept=owned is? number (for|at|is) target:norm",
        "concept=concept:momentum is? number for (concept:teacher|target:encoder)",
    )
]
"""Momentum, decay and epsilon of a teacher, of a moving average and of batch normalisation."""


def resolve_owners(items: Sequence[Item]) -> list[Item]:
    """Return the items with every lone "decay" given its kind and key, and no momentum that is another's.

    The noun "decay" of an unknown owner becomes the concept "decay", which its number decides later.
    """
    result = [_as_symbol(items, index) for index in range(len(items))]
    for index, item in enumerate(result):
        if item.is_a("word", "decay"):
            result[index] = _resolve(result, index)
        elif item.is_a("concept", "lr_decay") and item.end - item.start in _DECAYS and _falls(result, index):
            result[index] = replace(item, kind="verb", key="reduce")
        elif item.is_a("concept", "lr_decay"):
            owner = "weight_decay" if index and result[index - 1].kind == "target" else _owner(result, index)
            if owner in {"momentum", "ema", "weight_decay", "l2"}:
                result[index] = replace(item, key=owner)
            elif owner == "rho" and not any(i.is_a("concept", "lr") for i in result[max(0, index - 4) : index]):
                result[index] = replace(item, key="rho")
        elif _names_decay(result, index):
            result[index] = replace(item, kind="concept", key="decay")
        elif item.is_a("to") and item.end - item.start == 3 and 1 < index < len(result) - 1:
            kept = result[index + 1].value
            if result[index - 1].kind == "comma" and 0.5 <= kept < 1 and _owner(result, index - 1) == "rho":
                result[index] = replace(item, kind="concept", key="rho")  # RMSProp, 衰减为0.9
    code = encode(result)
    names = {result[match["name"]].key: result[match["concept"]].key for match in _ALIAS.find(code)}
    for index, item in enumerate(result[:-1]):  # a letter that stands for the learning rate
        if item.key in names and item.kind == "word" and result[index + 1].kind == "is":
            result[index] = replace(item, kind="concept", key=names[item.key])
    for pattern in _ANOTHERS:
        for match in pattern.find(code):
            averaged = result[match.first].is_a("concept", "ema") and _keeps(result, match["concept"])
            for name in ("concept", "more"):
                if name in match:
                    result[match[name]] = replace(result[match[name]], key="ema" if averaged else "other")
    return result


_DECAYS = (len("lr decays"), len("learning rate decays"))


_AROUND_AVERAGES = frozenset({"open", "close", "comma", "target", "for"})


def _keeps(items: Sequence[Item], index: int) -> bool:
    """Whether the number behind a decay is what an average keeps of itself at each step: 0.9 and more."""
    number = next((item for item in items[index + 1 : index + 4] if item.kind not in {"is", "open", "by", "to"}), None)
    return number is not None and number.kind == "number" and 0.9 <= number.value < 1


def _falls(items: Sequence[Item], index: int) -> bool:
    """Whether "lr decays" is a rate and its verb, by what follows: "lr decays by 10 at 150 and 250"."""
    return index + 1 < len(items) and items[index + 1].kind in {"by", "to", "time", "from", "each"}


def _as_symbol(items: Sequence[Item], index: int) -> Item:
    """Return the item at a place; a letter that stands for the setting named before it is a word: 学习率λ = 1e-4."""
    item = items[index]
    before = items[index - 1 - (index > 1 and items[index - 1].kind == "open")] if index else item
    said = index + 1 < len(items) and items[index + 1].kind == "is" and item.end - item.start == 1
    own = before.kind == "concept" and before.end - before.start > 1 and before.key in _LETTERED
    if item.kind != "concept" or item.end - item.start > 1:
        return item
    below = items[index + 1 : index + 3]
    other = item.key in _LETTERED - {"lr"} and len(below) > 1 and below[0].is_a("word", "_")
    other = other and not below[1].key.startswith(("w", "l2", "d"))  # λ_rec, but not λ_wd
    spaced = index > 0 and item.key == "momentum" and items[index - 1].end - items[index - 1].start == 1
    spaced = spaced and items[index - 1].kind in {"word", "concept"} and items[index - 1].end + 1 == item.start
    return replace(item, kind="word") if other or spaced or (said and own and item.key != before.key) else item


_LETTERED = frozenset({"lr", "momentum", "weight_decay", "l2", "batch", "ema"})


def _names_decay(items: list[Item], index: int) -> bool:
    """Whether 衰减 begins a clause after another of the optimizer's settings, and is one: 动量0.9，衰减设为0.0005."""
    item, before = items[index], items[max(0, index - 8) : index]
    named = (item.is_a("verb", "reduce") and item.end - item.start == 2) or (
        item.is_a("to") and item.end - item.start == 3
    )
    if not (named and before and before[-1].kind in {"comma", "and", "break"} and index + 2 < len(items)):
        return False
    number = items[index + 2 if items[index + 1].kind == "is" else index + 1]
    owner = next((i for i in reversed(before) if i.kind in {"concept", "schedule", "optimizer"}), None)
    return 0 < number.value < 0.01 and owner is not None and owner.key in {"momentum", "nesterov", "batch", "sgd"}


def _resolve(items: list[Item], index: int) -> Item:
    item = items[index]
    before = items[index - 1] if index else None
    after = items[index + 1] if index + 1 < len(items) else None
    if after is not None and (
        (after.kind in {"by", "to", "star", "slash"} and not after.is_a("by", "factor"))
        or after.is_a("concept", "lr")
        or (after.kind == "time" and not (before and before.is_a("word", "a")))
        or (before is not None and before.is_a("concept", "lr") and after.kind == "time")
        or (before is not None and before.is_a("word", "then"))
        or [i.kind for i in items[index + 1 : index + 5]] == ["open", "number", "to", "number"]
    ):
        return replace(item, kind="verb", key="reduce")
    if (
        before is not None
        and before.is_a("no")
        and after is not None
        and any(i.kind == "target" for i in items[index + 1 : index + 3])
    ):
        return replace(item, kind="concept", key="weight_decay")  # "no decay on BN and biases"
    if _PERIODIC.at(encode(items[index : index + 5]), 0):  # "a decay of 0.5 every 20 epochs" is the rate's
        return replace(item, kind="concept", key="lr_decay")
    told = next((i for i in reversed(items[max(0, index - 3) : index]) if i.kind not in {"is", "word"}), None)
    owner = "lr_decay" if told is not None and told.is_a("concept", "lr_decay") else _owner(items, index)
    if owner:
        return replace(item, kind="concept", key=owner)
    return replace(item, kind="concept", key="decay")


def _owner(items: list[Item], index: int) -> str:
    """Return whose decay it is by what stands before it: "momentum with a decay of 0.9", "RMSProp with decay 0.9"."""
    near = beside = True
    led = index > 1 and items[index - 1].kind == "number" and items[index - 2].kind in {"with", "is"}
    for place in range(index - 1 - led, max(-1, index - 9), -1):  # "RMSProp with 0.9 decay" too
        item = items[place]
        if item.kind in {"break", "number"}:
            return ""
        if item.kind == "optimizer":
            return "rho" if item.key in {"rmsprop", "adadelta"} else ""
        if item.kind == "concept":
            if item.key in {"momentum", "ema", "weight_decay", "l2"}:
                averaged = item.key == "ema" and beside and _keeps(items, index)  # EMA (decay 0.999)
                return item.key if near or averaged else ""
            return ""
        if item.kind not in _FLOWS and item.kind != "of_it":
            near = False
            beside = beside and (item.kind in _AROUND_AVERAGES or item.is_a("unit", "ignored"))
    return ""
