"""Sentences whose subject is something else than this training: what they measure, other networks, other quantities."""

from __future__ import annotations

import re

from downslope.reading.facts import SGD, Board

_OWN = re.compile(
    r"\b(?:learning[ -]?rates?|lr|step[ -]?sizes?|rates?|schedul\w*|momentum|weight decays?|wd|batch(?:es)?|sgd|"
    r"optimi[sz]\w*|warm-?up|train\w*|epochs?|iterations?|it|this|that|which|these|they|we|i|our|all|each|every|both|gradients?|initial|"
    r"base|peak|value|gamma|decay|models?|networks?|nets?|parameters?|hyper-?\s?parameters?|settings?|policy|annealing|cosine|"
    r"linear|exponential|polynomial|drops?|factor|multiplier|milestones?|steps?|everything|process|runs?|experiments?|"
    r"procedure|one)\b|"
    r"[ηαγ]|学习|速率|步长|动量|权重衰减|批|优化|训练|预热|热身|轮|周期|迭代|模型|网络|参数|策略|梯度|衰减|我们|本文|其|它"
)
"""Words of a subject that may be this training's: the rate, the training itself, or what a pronoun stands for."""

_RATE = re.compile(r"learning[ -]?rate|\blrs?\b|step[ -]?size|sgd|学习率|学习速率|步长")
_SETTING = re.compile(
    rf"{_RATE.pattern}|train|optimi|momentum|weight[ _]decay|batch|\bl2|训练|优化|动量|权重|权值|批|正则"
)
"""What a sentence that tells of the rate, or of any setting, says, whatever its subject is."""

_METRICS = (
    r"(?:(?:training|train|validation|val|test|top-?[15]|final|overall|classification|mean|average|best|its|our) )*"
    r"(?:loss|accuracy|accuracies|error|error rate|performance|perplexity|ppl|map|miou|bleu|wer|psnr|score|results?"
    r"|convergence)"
)
_METRICS_ZH = (
    r"(?:训练集?|验证集?|测试集?|分类|整体|最终|平均)?(?:的)?"
    r"(?:准确率|精度|损失(?:函数)?(?:值)?|误差|错误率|性能|效果|训练时间|耗时)"
)
_MOVES = (
    r"(?:falls?|fell|drops?|dropped|decreas\w+|improv\w+|saturat\w+|reach\w*|ris\w+|rose|increas\w+|converg\w+|"
    r"flatten\w*|(?:is|was|are|were)(?! (?:minimi|optimi|trained|computed|used|calculated))|peaks?|goes|went|declin\w+|"
    r"degrad\w+|suffers?|gains?)"
)
_EFFECT = (
    r"(?:hurts?|helps?|harms?|improv\w+|degrad\w+|leads? to|led to|results? in|resulted in|gives?|gave|works?|worked|"
    r"slows?|speeds?|reduces? (?:the )?(?:accuracy|performance|loss|error)|makes?|caused?s?|yields?|prevents?|drops?)"
)
_WITHOUT = r"(?:without|removing|dropping|omitting|disabling|w/o)"
_CHANGED = (
    rf"(?:larger|smaller|bigger|higher|lower|stronger|weaker|longer|shorter|too (?:large|small|much|high|low)|more|"
    rf"less|increasing|decreasing|reducing|{_WITHOUT})"
)
_SUBJECTS = re.compile(
    "|".join(
        (
            rf"(?:the |a )?{_METRICS}(?: \w+){{0,2}} {_MOVES}\b",
            rf"{_WITHOUT} [^,;]{{2,40}},? (?:the )?{_METRICS} {_MOVES}\b",
            rf"{_CHANGED} [^,;]{{2,60}} {_EFFECT}\b",
            rf"(?![^,;]*时){_METRICS_ZH}(?:在[^,;]{{1,16}})?[^,;]{{0,4}}(?:下降|降|上升|升|提[升高]|达|为|从|由|逐|趋|收敛|减)",
            rf"(?:去掉|移除|去除|没有|不用|不使用|取消)[^,;]{{1,12}}[后时]?,?{_METRICS_ZH}",
            rf"(?:当|如果|若)[^,;]{{2,24}}(?:时|后|,),?{_METRICS_ZH}[^;]{{0,12}}(?:减|降|增|升|提)",
            r"layer-?\s?wise (?:lr |learning[ -]rate )?decay\b",
            r"(?:figure|fig\.?|图) ?\d+\w? ?(?:shows?|plots?|illustrates?|depicts?|compares?|展示|给出|显示|比较)",
        )
    )
)
"""How sentences begin that tell of what was measured, of what an ablation did, and of a figure."""

_SCOPES = re.compile(
    r"(?:at|during|in|for) (?:the )?(?:test(?:ing)?|inference|evaluation|validation)(?: time| phase| stage)?\b(?! set)|"
    r"(?:测试|推理|验证|评估)(?:时|阶段|过程中)"
)
"""What is done for no training."""

_ANOTHER = re.compile(
    r"(?:for |during |in |on )?(?:(?:the )?(?:learning rates?|lr|batch size) (?:of|for) )?"
    r"(?:the |a |an |each |every |all |our )?(?:[\w-]+ ){0,2}?"
    r"(?:teachers?(?!\s+and\s+students?)|linear (?:classifiers?|probes?|probing|evaluations?|layers?)|discriminators?|"
    r"critics?|meta-?\s?learners?|controllers?|(?:architecture )?search|quanti[sz]ers?|tokeni[sz]ers?|attack(?:er)?s?|"
    r"adversary|clients?|svms?|k-?means|fine-?\s?tuning|linear eval\w*|pre-?\s?training of)\b|"
    r"教师(?:网络|模型)?|线性(?:分类器|探[针测]|评估)|判别器|元学习器|控制器|(?:架构|结构)搜索|量化器|"
    r"(?:每个|各个?)?客户端|微调(?:时|阶段)|[^,;。]{0,8}攻击|(?:原|该)论文"
)
_PRETRAINED = re.compile(
    r"(?:the |our )?(?:backbones?|encoders?|feature extractors?|networks?|models?) (?:is|are|was|were) (?:first )?"
    r"pre-?\s?trained\b|(?:骨干网络|主干网络|编码器|特征提取器)[^,;]{0,16}预训练"
)
"""Whose training a sentence tells of, if not the text's own."""

_QUANTITY = re.compile(
    r"(?:the |a |an |its |our )?(?:[^\W\d][\w/-]{0,30},? ){1,6}?(?:[σετβλκ] )?"
    r"(?:is|are|was|were|starts?|decays?|decreas\w+|increas\w+|grows?|anneals?|falls?|rises?|has|have|takes?|uses?)\b|"
    r"[\u4e00-\u9fff]{2,8}?(?:在|从|由|每|将?按|以|线性|逐|不断|随)"
)
"""A subject and its verb."""

_TRAINS = re.compile("train|训练")
_CHANGES = frozenset({"schedule", "verb", "from", "to"})
_LEFT_KINDS = frozenset({*_CHANGES, "time", "times", "number"})


def find_subjects(board: Board) -> None:
    """Take out of all further reading the sentences that tell of something else, as far as they begin so.

    What another network's training is told by is left out where the text tells its own elsewhere; a quantity of another
    name loses its changes and schedules, unless its sentence speaks of a setting as well.
    """
    plain = board.text.plain
    spans = [(first, last) for first, last in board.sentences() if first < last]
    others: list[tuple[int, int]] = []
    for first, last in spans:
        start, end = board.items[first].start, board.items[last - 1].end
        begin = _beginning(plain, start, board.items[first - 1].start if first else 0)
        until = min(end, begin + _LONGEST)
        if _SUBJECTS.match(plain, begin, until):
            if not _RATE.search(plain, begin, until) or not _goes_on(board, first, last):
                board.used.update(range(first, last))
        elif _SCOPES.match(plain, begin, until) and not _TRAINS.search(plain, begin, until):
            board.used.update(range(first, last))
        elif _ANOTHER.match(plain, begin, until) or _PRETRAINED.match(plain, begin, until):
            others.append((first, last))
        elif _is_quantity(plain, begin, until) and any(_is_change(board, place) for place in range(first, last)):
            left = (p for p in range(first, last) if board.items[p].kind in _LEFT_KINDS or _is_change(board, p))
            board.used.update(left)
    others = [(first, _end_of(board, last)) for first, last in others]
    theirs = {place for first, last in others for place in range(first, last)}
    named = {(place in theirs, item.key in SGD) for place, item in enumerate(board.items) if item.kind == "optimizer"}
    if (True, True) in named and (False, True) not in named and (False, False) in named:
        return  # 预训练用Adam, 微调改用SGD
    own = bool(others) and any(_tells(board, place) for place in range(len(board.items)) if place not in theirs)
    for first, last in others if own else ():
        board.add("another", "", None, range(first, last))


_LONGEST = 200
"""Characters of a sentence's beginning that tell its subject."""


def _end_of(board: Board, last: int) -> int:
    """Return where a sentence ends whose parts semicolons divide."""
    while last < len(board.items) and board.text.original[board.text.origin[board.items[last].start]] in ";；":
        last += 1
        while last < len(board.items) and board.items[last].kind != "break":
            last += 1
    return last


def _beginning(plain: str, start: int, earliest: int) -> int:
    """Return where the words of a sentence begin, of which its first item may have left some out."""
    words = plain[earliest:start]
    return start - len(words.lstrip(" .;\n\"'*#>-")) if words.strip() else start


def _goes_on(board: Board, first: int, last: int) -> bool:
    """Whether a sentence comes to what is done with the rate: "the loss is flat, so we divide lr by 10"."""
    return any(
        board.items[p].is_a("verb", "divide", "multiply", "reduce", "halve", "decimate") for p in range(first, last)
    )


def _tells(board: Board, place: int) -> bool:
    """Whether a place is a learning rate with its number near."""
    near = board.items[place + 1 : place + 6]
    unused = place not in board.used
    return unused and board.items[place].is_a("concept", "lr") and any(item.number for item in near)


def _is_quantity(plain: str, start: int, end: int) -> bool:
    """Whether a sentence is about something with a name of its own, and speaks of no setting."""
    match = _QUANTITY.match(plain, start, end)
    return match is not None and not _SETTING.search(plain, start, end) and not _OWN.search(match.group())


def _is_change(board: Board, place: int) -> bool:
    item = board.items[place]
    return item.kind in _CHANGES or item.is_a("concept", "warmup", "clip", "lr_decay", "decay")
