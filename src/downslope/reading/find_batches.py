"""Batch sizes: "mini-batches of 64 images", 每批128张, "4 images per GPU on 8 GPUs (32 in total)"."""

from __future__ import annotations

import re

from downslope.reading.facts import Board, Fact, Value
from downslope.reading.numbers import number_at
from downslope.reading.patterns import Match, Pattern

_DEVICES = ("gpu", "tpu", "machine", "worker", "node", "replica", "device", "cpu", "core", "chip", "卡", "节点", "台")
_PARTS = {
    "device": "unit:ignored",
    "each": "each:every",
    "soft": "(word|is|open|mod|with|at|by|close)",
    "ofbatch": "(concept:batch (is|of_it)?)",
}
_PER_DEVICE = [
    Pattern(pattern, **_PARTS)
    for pattern in (
        "number=number unit:example? (at|open|word:on)? each:every count=number? device=device",
        "device=device comma? each:every (with|is|verb) word{0,2} ofbatch? number=number unit:example",
        "word:local concept:batch soft{0,3} number=number (word|at){0,2} count=number device=device",
        "each:every device=device word{0,2} unit:example word{0,2} is number=number",
        "concept:batch each:every device=device soft{0,3} number=number",
        "each:every count=number? device=device soft{0,3} (each? concept:batch soft{0,3})? number=number unit:example?",
        "device=device soft{0,2} each:every word{0,2} number=number unit:example",
        "device=device (comma|with|and) number=number unit:example (at|word:on)? each:every",
        "device=device concept:batch is? number=number",
        "concept:batch soft{0,2} number=number unit:example? soft? word:单 device=device",
        "device=device (open|comma|with)? concept:batch is? number=number each:every (close|comma|break)",
        "concept:batch is? number=number slash device=device",
        "one=number device=device is number=number word:的? concept:batch",
    )
]
"""How many examples one device takes."""

_EACH_OF = Pattern("count=number word{0,2} device=device star number=number unit:example", **_PARTS)
_EACH = Pattern("concept:batch (is|of_it)? number=number each:every (is|with|at|comma|break|close)")
"""Of devices that go by their names: "4 V100s with batch size 64 each"."""

_COUNT = Pattern("number=number word{0,5} device=device", **_PARTS)
_TOTAL = [
    Pattern(pattern)
    for pattern in (
        "mod:total concept:batch (is|word|open|mod|to){0,4} number=number",
        "concept:batch mod:total word? is? number=number",
        "number=number (unit:example|concept:batch)? mod:total",
        "mod:total is? number=number (unit:example|concept:batch)",
    )
]
_TOLD = [
    Pattern(pattern)
    for pattern in (
        "(unit:batches|each:every concept:batch) is number=number",
        "concept:batch word:holds,hold,has,had,have,comprises,comprised,includes,held number=number (unit|word)",
        "number=number unit:example (each:every|at:at|at:in) each:every? concept:batch",
        "number=number each:every concept:batch",
        "number=number unit:example each:every unit:step",
        "number=number unit:example word{0,4} number? word? concept:batch",
        "number=number word:-? word:sized,sample,image,example (concept:batch|unit:batches)",
    )
]
_MODELS = re.compile(
    r"(?:\d{1,4}|one|two|three|four|eight|sixteen|[一两二三四六八])\s?(?:块|张|个|台|片|x|\*)?\s?"
    r"(?:nvidia |geforce |tesla |quadro ){0,3}(?:rtx|gtx|"
    r"v100|a100|h100|h800|p100|p40|t4|k80|k40|titan|a6000|tpuv?\d|[1234]0[6789]0)"
)
"""Devices by their names: two RTX 3090."""

_MODEL = re.compile(r"(?:rtx|gtx|geforce|tesla|quadro|titan|nvidia)[ -]?$")

_AT_ONCE = re.compile(
    r"(?:一次|单次|每次|每步|同时)[^,;\d]{0,14}?(?P<han>\d{1,6})\s?(?:张|幅|个样本|条|组样本|个图)"
    r"|\b(?:each|every|one|a single|per) (?:step|iteration|update)\b[^.;,\d]{0,24}?(?P<number>\d{1,6}) "
    r"(?:images|examples|samples|sequences|sentences|crops|patches|clips)"
)
"""What is seen at once: 一次取16张图."""

_SEEN_BY = re.compile(r"batch|批|(?:per|each|every) (?:step|iteration|update)")
_REGIONS = re.compile(r"\s?个?\s?(?:rois?|anchors?|锚|候选|区域|proposals?|box|边?框|regions?)")
_NAMED = re.compile(r"batch[ _-]?(?:size)?\s?(?:=|:|为|是|of|is)?\s?\d")
_LETTER = Pattern("word:b is number=number")


def find_batches(board: Board) -> None:
    """Add a fact for every batch size told by devices or examples, per device or in total, and how many devices are."""
    shared = False
    for pattern in _PER_DEVICE:
        for match in board.matches(pattern):
            own = [item.kind for item in board.items[match["device"] + 1 : match["device"] + 3]]
            others = match["device"] > match["number"] and (own[:1] == ["number"] or own == ["is", "number"])
            others = others or ("one" in match and board.items[match["one"]].value != 1)
            others = others or _is_batch(board, match.after)  # 4 GPUs, 256 images per batch
            fresh = not others and not board.used.intersection(_places(match))  # 16幅图像(每个GPU有2幅)
            fresh = fresh and not any(is_whole(board, place) for place in _places(match))
            behind = [item.kind for item in board.items[match["number"] + 1 : match["number"] + 3]]
            led = board.items[match.first - 1] if match.first == match["device"] > 0 else None
            named = board.items[match.first + 1].is_a("concept", "batch")
            several = led is not None and led.kind == "number" and led.value > 1 and named  # 8卡batch size: 256
            fresh = fresh and not several and (behind != ["star", "number"] or match["device"] > match["number"])
            if fresh and _is_device(board, match["device"]) and _may_be(board, match["number"]):
                board.note(Value("value", "batch", board.items[match["number"]].value, per_device=True), _places(match))
                shared = True
                if "count" in match:
                    count, device = board.items[match["count"]], board.items[match["device"]]
                    board.facts.append(Fact("devices", "", count.value, count.start, device.end))
    for match in board.matches(_EACH_OF):  # 8 GPUs x 128 images
        if _is_device(board, match["device"]) and _may_be(board, match["number"]) and _may_be(board, match["count"]):
            total = board.items[match["count"]].value * board.items[match["number"]].value
            board.note(Value("value", "batch", total, product=True), _places(match))
    named = _MODELS.search(board.text.plain) or any(_is_device(board, one["device"]) for one in board.matches(_COUNT))
    for match in _EACH.find(board.code()) if named else ():
        if not board.used.intersection(_places(match)) and _may_be(board, match["number"]):
            board.note(Value("value", "batch", board.items[match["number"]].value, per_device=True), _places(match))
            shared = True
    for match in board.matches(_COUNT):
        number, device = board.items[match["number"]], board.items[match["device"]]
        model = _MODEL.search(board.text.plain, max(0, number.start - 12), number.start)  # RTX 3090 GPUs
        if _is_device(board, match["device"]) and 1 <= number.value < 1e5 and model is None:
            board.facts.append(Fact("devices", "", number.value, number.start, device.end))
    for match in _MODELS.finditer(board.text.plain):
        number = number_at(board.text.plain, match.start())
        if number is not None and 1 <= number.value < 1e4:
            board.facts.append(Fact("devices", "", number.value, *match.span()))
    if shared:
        for pattern in _TOTAL:
            for match in board.matches(pattern):
                if _may_be(board, match["number"]):
                    total = Value("value", "batch", board.items[match["number"]].value, role="total")
                    board.note(total, _places(match))
    for match in _AT_ONCE.finditer(board.text.plain):
        start = match.start("han" if match["han"] else "number")
        place = next((p for p, item in enumerate(board.items) if item.start == start), None)
        if place is not None and _may_be(board, place):
            board.note(Value("value", "batch", board.items[place].value), [place])
    lettered = "batch" in board.text.plain and not _NAMED.search(board.text.plain)
    for pattern in (*_TOLD, *([_LETTER] if lettered else [])):
        for match in board.matches(pattern):
            words = board.text.plain[board.items[match.first].start : board.items[match.after - 1].end]
            least = 2 if pattern is _LETTER else 1
            before = board.items[match.first - 1] if match.first else None
            counted = before is not None and before.kind in {
                "each",
                "star",
            }  # "0.1 per 256 images in a batch", "16 * 4 images"
            start = board.items[match.first].start
            counted = counted or board.text.plain[max(0, start - 6) : start].startswith("micro")
            if (
                not counted
                and _may_be(board, match["number"], least)
                and _REGIONS.match(board.text.plain, board.items[match["number"]].end) is None
                and (pattern is _LETTER or _SEEN_BY.search(words))
            ):
                board.note(Value("value", "batch", board.items[match["number"]].value), _places(match))


def is_whole(board: Board, place: int) -> bool:
    """Whether what stands at a place names the batch of all devices: "so that the effective mini-batch size is 16"."""
    item = board.items[place]
    return item.is_a("concept", "batch") and board.plain(item).startswith(("effective", "total", "global", "overall"))


def _places(match: Match) -> range:
    return range(match.first, match.after)


def _is_batch(board: Board, place: int) -> bool:
    return place < len(board.items) and board.items[place].is_a("concept", "batch")


def _is_device(board: Board, place: int) -> bool:
    words = board.plain(board.items[place])
    return any(word in words for word in _DEVICES)


def _may_be(board: Board, place: int, least: int = 1) -> bool:
    """Whether a number may be a batch size: whole, and not used."""
    value = board.items[place].value
    return board.free_number(place) and float(value).is_integer() and least <= value < 1e8
