"""Settings that are no optimizer's: label smoothing, augmentation, precision, seed, by their names and numbers."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from downslope.reading.facts import Board, Setting
from downslope.reading.numbers import number_at

_OF = (
    r"(?:\s|[(:=,\[]|alpha|beta|[αβεσp]|with|of|is|was|set|to|at|a|an|the|value|using|use[sd]?|factor|rate|coefficient|"
    r"parameter|probability|prob|strength|equal|regulari[sz]ation|method|by|applied|smoothing|weight|as|chosen|amount|ratio|"
    r",\s?其?(?=[系平参因])|[为取设置定是成系数参因子概率值的了正则化平滑度大小]){0,16}?"
)
"""What may stand between a name and its number."""

_NUMBER = r"(?P<number>(?<![\d.])(?:\d*\.\d+|\d+)%?(?![\d^]|\.\d|\s?[*x]\s?\d))"


def _named(names: str) -> tuple[str, ...]:
    """Return patterns of a name with its number behind or before it."""
    return (rf"(?:{names})s?{_OF}{_NUMBER}", rf"{_NUMBER}(?:\s|的\s?)(?:{names})")


_ITS_OWN = r"(?!\.?\d|\s?%|\s?(?!and|or|to|和)[^\W\d])"
"""Behind a number of something else: seed 0, 4 GPUs."""
_SEVERAL = rf"(?!\d|\.\d|\s?[,/、和]\s?\d+{_ITS_OWN}|\s?(?:and|to|-|different|runs|seeds|个))"
_IS = r"(?:is|was|of|=|:|to|set to|fixed to|fixed at|\(|were)"
_FEW = r"(?P<number>\d{1,4}(?!\d|\.\d)|two|four|eight|sixteen)"
_COUNT = (
    r"(?:\s?[=:(]| of| is| was| set| to| equal|的?步数|次数|系数|因子|数|值|累[积加计]|"
    r"策略[,，]?其?(?=累?[积加计]?(?:步数|次数|系数))"
    rf"|设置|设定|设|[为是取]){{0,6}}\s?{_FEW}"
    r"(?!\s?(?:epoch|[a-z]\d|x\s|gpu|card|device|machine|node|轮|块|张|卡|台|个(?:gpu|epoch)|的批))"
)
_COUNTED = rf"(?:\s?[=:(]| of| is| was| set| to| for| over| across| with| every| using| equal|,? every){{0,6}}\s?{_FEW}"
_BATCHES = (
    r"(?:steps?|batches|mini-?batches|iterations|updates|times|个?(?:batch(?:es)?|批次?|小批量?|mini-?batch)|步|次)"
)
_GRADIENTS = r"(?:the |all )?gradients?"
_PIXELS = r"(?:\s|-|pixels?|px|zeros?|像素|个|by|of|with|each|on|all|four|sides?)*"
_ROWS: Mapping[str, tuple[tuple[str, ...], Any]] = {
    "train.label_smoothing": (
        _named(
            r"label[- ]?smoothing|label[- ]?smooth|labels? (?:are|were|is) smoothed|smooth\w* (?:the )?label|标签平滑"
        ),
        None,
    ),
    "data.augment.mixup": (_named(r"mix-?up"), None),
    "data.augment.cutmix": (_named(r"cut-?mix"), None),
    "data.augment.erase": (_named(r"random erasing|random erase|随机擦除"), None),
    "data.augment.jitter": (_named(r"colou?r jitter(?:ing)?|颜色抖动|色彩抖动"), None),
    "data.augment.crop": (
        (
            rf"pad(?:ded|ding)?{_OF}(?P<number>\d{{1,2}}){_PIXELS}[^.;]{{0,60}}?crop",
            rf"crop(?:s|ped|ping)?[^.;,]{{0,40}}?(?:zero-?\s?)?pad(?:ding|ded)?{_OF}(?P<number>\d{{1,2}})(?![\d.])",
            r"(?P<number>\d{1,2})(?:\s|-)?(?:pixels?|px)(?:\s|-)(?:zero-?\s?)?pad(?:ded|ding)?[^.;]{0,60}?crop",
            r"(?:填充|补零)[^,;]{0,6}?(?P<number>\d{1,2})(?:个)?(?:像素)?[^;]{0,20}?(?:裁剪|剪裁)",
        ),
        None,
    ),
    "data.augment.resized_crop": (
        (r"random[- ]?(?:ly )?(?:sized|resized|resize)[- ]?crop\w*|随机缩放裁剪|随机调整大小(?:并|后)?裁剪",),
        (0.08, 1.0),
    ),
    "data.augment.flip": (
        (
            r"random(?:ly)? (?:left-?right |horizontal(?:ly)? )?(?:crop\w* and )?(?:horizontal(?:ly)? )?flip\w*",
            r"(?:horizontal(?:ly)?|left-?right) flip\w*|flip(?:s|ped|ping)? horizontal(?:ly)?|mirror(?:ing|ed)",
            r"随机(?:水平|左右)?翻转|(?:水平|左右)(?:和垂直)?(?:随机)?翻转",
        ),
        True,
    ),
    "data.augment.trivial": ((r"trivial-?\s?augment(?:wide)?",), True),
    "train.accumulate": (
        (
            rf"gradient[-_ ]accumulation(?:[-_ ](?:steps?|factor|count))?{_COUNT}",
            rf"gradient[-_ ]accumulation{_COUNTED} {_BATCHES}",
            rf"accumulat\w+ {_GRADIENTS}{_COUNTED} {_BATCHES}",
            rf"gradients? (?:is|are|was|were) accumulated{_COUNTED} {_BATCHES}",
            rf"{_FEW}(?:[- ]steps?)? (?:of )?gradient[- ]accumulation",
            rf"every {_FEW} {_BATCHES}(?: by| with| using|,)? (?:accumulat\w+ {_GRADIENTS}|gradient accumulation)",
            rf"梯度累[积加计](?:的)?(?:步数|次数|步长)?{_COUNT}",
            rf"{_FEW}\s?{_BATCHES}的?(?:梯度)?累[积加计](?:一次)?的?(?:梯度)?",
            rf"累[积加计](?:一次)?(?:了)?{_FEW}\s?{_BATCHES}的?梯度(?!的?范数)",
            rf"累[积加计](?:了)?梯度\s?{_FEW}\s?{_BATCHES}",
        ),
        None,
    ),
    "train.precision": (
        (
            r"(?P<bfloat16>bf16|bfloat16)|(?P<float16>fp16|float16|half[- ]precision|半精度)",
            r"(?P<float32>fp32|float32|full precision|single precision|单精度)",
            r"(?P<mixed>mixed[- ]precision|混合精度|torch\.cuda\.amp|\bamp\b|\bapex\b)",
        ),
        None,
    ),
    "seed": (
        (
            rf"(?:random |fixed |manual )?seeds?\s?{_IS}?\s?(?P<number>\d{{1,9}}){_SEVERAL}",
            rf"(?:随机)?种子(?:数)?(?:固定|设置|设)?(?:为|=|是)?\s?(?P<number>\d{{1,9}}){_SEVERAL}",
        ),
        None,
    ),
}
"""Path of a field -> how it is said, and its value where no number says it."""

_COMPILED = [(path, [re.compile(rf"(?<![a-z]){one}") for one in ways], value) for path, (ways, value) in _ROWS.items()]
_MOST = {
    "train.label_smoothing": 0.9, "data.augment.erase": 1.0, "data.augment.jitter": 1.0, "data.augment.mixup": 10.0,
    "data.augment.cutmix": 10.0,
}  # fmt: skip
_SPELLED = {"two": 2, "four": 4, "eight": 8, "sixteen": 16}
_SHARED = frozenset({"data.augment.mixup", "data.augment.cutmix"})
_CHANCE = re.compile(r"\bp\b|prob|概率")
_DENIED = re.compile(
    r"(?:\bno|\bnot|\bwithout|n't|\bneither|\bnor|\binstead of|\brather than|\bdisabled?|\bremov\w+"
    r"|不使用|不采用|没有使用|未使用|没有|不用|无|未采用|去掉|不加)"
    r"(?:\s|any|use|using|apply|employ|additional|data|augmentation|other|either|\w+ or )*$"
)
_OTHERS = re.compile(r"\b(?:et al\.|they\b|their\b|unlike\b|baselines?\b|compared?\b)[^.;]*$")


def find_training(board: Board) -> None:
    """Add a fact for every setting of the training that no optimizer has."""
    plain = board.text.plain
    starts = [item.start for item in board.items]
    for path, ways, value in _COMPILED:
        for way in ways:
            for match in way.finditer(plain):
                before = plain[max(0, match.start() - 40) : match.start()]
                left = bisect_left(starts, match.start())
                places = [p for p in range(left, min(len(starts), left + 40)) if starts[p] < match.end()]
                taken = bool(places) and all(place in board.used for place in places) and len(places) > 1
                if taken or _DENIED.search(before) or _OTHERS.search(before):
                    continue
                if path in _SHARED and _CHANCE.search(match.group()):
                    continue  # how often it is done, and not how strongly
                told = _value(path, match, value)
                if told is not None:
                    board.facts.append(Setting("setting", path, told[0], match.start(), match.end(), implied=told[1]))
                    board.used.update(places)


def _value(path: str, match: re.Match[str], value: Any) -> tuple[Any, bool] | None:
    """Return what a match says, and whether that follows from a convention alone; None if it cannot be."""
    if path == "train.precision":
        said = match.lastgroup or "mixed"  # of which autocast is only the usual way
        return ("float16" if said == "mixed" else said), True
    if value is not None:
        return value, path != "data.augment.trivial"
    if match["number"] in _SPELLED:
        return _SPELLED[match["number"]], False
    number = number_at(match.string, match.start("number"))
    if number is None or not 0 <= number.value <= _MOST.get(path, 10**9):
        return None
    whole = path in {"data.augment.crop", "seed", "train.accumulate"}
    return (int(number.value) if whole else float(number.value)), False
