"""Numbers and schedules that say nothing of this training: marks of lists, pages, trials, failures, other subjects."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise

from downslope.reading.facts import Board

_NUMBER = r"\d[\d.]{0,12}(?:\s?\*\s?10\^-?\d+|e-?\d+)?"
_LIST = rf"{_NUMBER}(?:\s?(?:[,、/;]\s?(?:and\s|or\s|和|与)?|\sand\s|\sor\s|和|与|或)\s?{_NUMBER}){{1,12}}"
_CONCEPT = (
    r"(?:(?:learning rate|lr|step size|weight decay|batch size|batch|momentum)s?(?: value| coefficient)?s?"
    r"|学习率|动量|权重衰减|批大小|批量大小|批次大小)"
)
_TRIED = (
    r"(?:test(?:ed|ing)|tr(?:ied|ying)|explor(?:ed|ing)|evaluated|compar(?:ed|ing)|considered|swept|sweeping|searched|"
    r"experiment(?:ed|ing) with|examined)"
)
_OF = r"(?:of|=|:|in|from|at|is|was)"
_ADVERBS = r"(?:(?:that|which|already|quickly|soon|and|but|so|then|always|often) )*"
_FAILS = (
    r"(?:overshoot|diverg|explod|oscillat|fail(?:s|ed)\b|blows? up|blew up|does ?n[o']t (?:converge|work|train|learn)"
    r"|did ?n[o']t (?:converge|work|train|learn)|(?:the )?(?:model|training|network|loss|it) "
    r"(?:diverg|explod|oscillat|does ?n[o']t|did ?n[o']t|did not|does not|failed|blew|"
    r"(?:bec[ao]mes?|goes(?: to)?|went(?: to)?|turn(?:s|ed)(?: to| into)?|is|was|gets?|got) nan)"
    r"|(?:is|was|are|were|seems|seemed) (?:far |way |much |clearly )?too (?:high|low|large|small|big|aggressive)"
    r"|(?:gave|gives|led to|leads to|results? in|resulted in|caused?s?) (?:nan|diverg|instab|worse|poor))"
)
_OTHER_SIZES = r"\b(?:larger|smaller|bigger|higher|lower|other|greater)"
_ONWARD = r"\b(?:(?!\b(?:and|we|i|so|but)\b)[^.;\n]|\.(?=\d))*"
_BLANK = [
    re.compile(r"(?:^|(?<=\n))[ >*#\-]{0,12}(?P<blank>\(?\d{1,2}(?:、|\)(?=\s?[^\W\d]))|\d{1,2}\.(?= [^\W\d]))"),
    re.compile(r"(?<=[^\n]{20}\n)(?P<blank>[ ]*\d{1,4})[ ]*\n[ ]*(?=\n|#+ ?page)"),
    re.compile(r"(?:(?:^|(?<=\n))#{1,6} *|\[)(?P<blank>\d{1,2}(?:\.\d{1,2}){0,3}\.?)(?= [^\W\d]{3})"),
    re.compile(r"\(#(?P<blank>[\d.]{1,8})\)"),
    re.compile(r"\(\s?(?P<blank>1)\s?-\s?[({]?\s?(?:cur_|current_)?(?:iter|epoch|step|t\b|i\b|k\b)"),
]
"""Digits that count something in the text itself: entries of a list, headings, pages; and the 1 of a formula."""

_UNLIKE = r"\b(?:unlike|in contrast to|contrary to)\b"
_ASIDE = [
    re.compile(one.replace(" ", r"[ \n]"))
    for one in (
        rf"{_CONCEPT} ?{_OF}? ?[(\[{{]?{_LIST}[)\]}}]? (?:were|was|are|has been|have been) {_TRIED}",
        rf"{_TRIED}(?: with| several| different| various| out)* {_CONCEPT} ?{_OF}? ?[(\[{{]?{_LIST}",
        rf"(?:尝试|测试|比较|对比|试验|实验)了?[^,。;\d]{{0,8}}{_LIST}[^,。;\d]{{0,6}}{_CONCEPT}",
        rf"(?:尝试|测试|比较|对比|试验)了?[^,。;\d]{{0,8}}{_CONCEPT}[^,。;\d]{{0,6}}{_LIST}",
        rf"{_CONCEPT} ?{_OF}? ?{_NUMBER},? {_ADVERBS}{_FAILS}",
        rf"{_CONCEPT}(?:为|设为|取|是|=)?{_NUMBER}时?,?(?:但|就|会|则|训练|模型|网络|损失)*(?:[过太][大高小低]|发散|不收敛|震荡|爆炸)",
        r"\b(?:measured|averaged|evaluated|computed|repeated|smoothed) (?:\w+ )?(?:over|across|for) \d+ \w+",
        r"\b(?:exponential|linear)(?:ly)?[-\s]?(?:weighted|decay(?:ing|ed))?[-\s](?:moving )?(?:average|mean|weight)",
        r"(?:^|\n)[^\w\n]{0,9}(?:\w+\s)?(?:epoch|iter|step)\w*[:=\[(\s]{1,3}\d+[^\n]*\b(?:loss|acc\w*|top-?1|prec@1)\b[:=(\s][^\n]*",
        r"(?:^|\n)[^\w\n]{0,9}(?:test|val\w*|train)\b[^\n]{0,30}\b(?:loss|accuracy|acc)[:=][^\n]*",
        r"(?:^|(?<=\n))[^\n]*\b(?:epoch|iter|step|train)\w*[:\s]{0,2}\d{0,4}\s?\[\s*\d+\s?/\s?\d+[^\n]*",
        r"\b(?:1|one|an|each|every) epoch ?(?:=|is|equals|has|contains|takes|~) ?(?:about |roughly )?[\d,.]+k? ?\w+",
        r"\b(?:baseline|original|reference)s? ?\([^()\n]{0,120}\)",
        r"\b(?:pytorch|torch|tensorflow|keras|timm|the library)(?:'s)?,? (?:the )?defaults?\b(?! ?:)[^;\n]{0,80}",
        rf"{_OTHER_SIZES} (?:batch sizes|batches|learning rates|lrs|weight decays){_ONWARD}",
        r"\b(?:suppose|imagine|assume|assuming|let us say)\b[^.;\n]{0,120}|(?:假设|假如)[^。;\n]{0,60}",
        rf"{_UNLIKE}(?:[^.;\n]|al\.){{0,60}}\b(?:who|which|that)\b[^;\n]{{0,99}}?(?=, (?:our|we|i)\b)",
        r"除(?!以|\d+(?:[,;、和]|$))了?[^,;、\n]{1,60}?(?:以外|之外|外(?=[,、\s]))",
        r"\((?:e\.g\.|for example|for instance|例如|比如|如(?![果下表图]))[^()\n]{0,120}\)",
        r"指数衰减(?:的)?(?:加权|权重|平均|均值|平方|梯度|窗口|核函数)(?:[^,;。\n\d]{0,10}[\d.]+)?|指数(?:衰减)?加权",
        r"(?:覆盖|重写|可以?用|能用)[^;。\n-]{0,12}--[a-z][^\n;。]{0,200}|--[a-z][^\n;。]{0,80}(?:覆盖|重写)",
        rf"{_CONCEPT}[过太偏][高大低小]\s?\([^()\n]{{0,30}}\)",
        r"(?:降低?|下降|减少|提[升高]|升|涨|增加)了?约?\s?\d[\d.]*\s?(?:分(?!之)|个?百分点|个点|pp\b|db\b)",
        r"\bfor \w+ ?= ?\d+ ?, ?\d+ ?, ?(?:,|\.\.|…|\\[lc]?dots)",
        r"(?:cosine|余弦|linear|线性|poly\w*|指数)\s?\(\s?(?:λ|α|β|lambda|alpha|beta|weight|权重)[^()\n]{0,12}\)",
    )
]
"""Values that were tried, or failed, spans that something is measured over, and schedules of averages."""

_PROGRESS = re.compile(r"\bepoch ?[:=]? ?\d+ ?/ ?\d+(?! ?[/\d])")
_FALLS_AT = re.compile(
    r"(?:step(?:lr)?|decay\w*|milestones?|drop\w*|reduced?|lowered|divided|\* ?0\.\d+|by \d[\d.]*)(?: at)?[ :=(]*$"
)
"""What makes "epoch 20/30" two times, and not how far a training has come."""

_RESULTS = re.compile(
    r"(?:^|(?<=\n))[^\n]*\|[^\n]*\b(?:acc|accuracy|map|ap|top-?[15]|error|err|miou|bleu|psnr|f1|score|flops|params)\b[^\n]*"
    r"\n[ |:-]{5,300}(?:\n[^\n]*\|[^\n]*){1,60}"
)
_RATED = re.compile(r"(?:learning rate|\blr)\b[^.;\n\d]{0,20}\d")
"""Tables of results, whose rows are of trainings that they compare; and the learning rate of the text's own."""

_AVERAGES = re.compile(
    r"\b(?:ema|(?:exponential(?:ly)?[ -])?(?:moving|running|decaying|weighted)[ -](?:moving[ -])?averages?)\b of "
    r"(?!\d|(?:the |all |its |our |trained )*(?:model|weight|param|network|student|teacher))(?:\w+ ){0,3}[^.;\n]{0,40}|"
    r"\b(?:running|smoothed) (?:loss|reward|cost|statistics)[^.;,\n]{0,20}\b(?:ema|moving average)\b[^.;,\n]{0,40}"
)
"""Moving averages of what is no model."""

_OF_RATE = re.compile(r"learning|\blr\b|学习率|sgd|optimi|优化|schedul|warm|退火|anneal|momentum|动量|epoch|训练|train")
_PARAGRAPH = re.compile(r"\n\s*\n")


def blank_marks(plain: str) -> str:
    r"""Return a text whose marks of lists, page numbers and formulas' ones are blanks.

    Example:
        >>> blank_marks("lr\n1、momentum 0.9")
        'lr\n; momentum 0.9'
    """
    for pattern in _BLANK:
        pieces, here = [], 0
        for match in pattern.finditer(plain):
            start, end = match.span("blank")
            pieces += [plain[here:start], (";" if pattern is _BLANK[0] else " ").ljust(end - start)]
            here = end
        plain = "".join([*pieces, plain[here:]])
    plain = _tabulated(_first_training(plain))
    return plain if _OTHERWISE.search(plain) else _UNTIL.sub(_until, plain)


_NAME = r"(?P<key>[^\W\d](?:[^\n|:=,;.\d ]|(?<=l)2| (?! )){0,44})"
_SHORT = r"(?P<value>[\d.][\w.,*^%/ -]{0,40}|sgd|adamw?|cosine|linear|poly)"
_JOINING = r"(?:of|with|for|at|and|the|is|was|are|by|to|in|we|a|on|from)"
_CELLS = [
    re.compile(one)
    for one in (
        r" *\|? *(?P<key>[^\W\d][^\n|]{0,44}?) *\| *(?P<value>[^\s|][^\n|]*?) *\|? *",
        rf" *;? *(?:[-*+] )?{_NAME}(?: {{2,}}| +- +)(?P<value>\S[^\n|]*)",
        rf" *(?:[-*+] )?(?![^\n]* {_JOINING} ){_NAME} {_SHORT} *",
    )
]
"""A line of two cells, parted by a bar or a gap, or a name and its number."""

_RULE = re.compile(r"[ |:=+-]*")
_ROWS = 3
"""Lines that make a table, at least."""


_SETTING = re.compile(
    r"\W*(?:base |initial |max |total |training |mini-?|global |peak )*(?:lr|learning[ _]rate|batch|epoch|momentum"
    r"|weight[ _]decay|wd|optimi[sz]er|schedul|warm-?up|iteration|step|dropout)"
)
_OWN_COLUMN = re.compile(r"default|value|setting|description|type|range|meaning|note|option|choice|search|ours")
_NUMBERED = re.compile(r"\W*\d")


def _first_training(plain: str) -> str:
    """Return a text with the tables that give each training a column of its own cut to the first of these columns."""
    lines = plain.split("\n") if plain.count("|") > 8 else []
    place = 0
    while place < len(lines):
        after = place
        while after < len(lines) and lines[after].count("|") > 1:
            after += 1
        rows = [_bounds(line) for line in lines[place:after]]
        widths = {len(row) for row in rows}
        named = [line for line in lines[place:after] if _SETTING.match(line.lstrip(" |"))]
        if len(widths) == 1 and min(widths) > 2 and len(named) >= _ROWS and not _OWN_COLUMN.search(lines[place]):
            cells = [
                [line[slice(*row[at])] for at in (1, 2)] for line, row in zip(lines[place:after], rows, strict=True)
            ]
            if sum(all(map(_NUMBERED.match, pair)) for pair in cells) >= _ROWS - 1:
                for at, row in enumerate(rows, place):
                    lines[at] = lines[at][: row[1][1]] + "|" + " " * (len(lines[at]) - row[1][1] - 1)
        place = max(after, place + 1)
    return "\n".join(lines) if lines else plain


def _bounds(line: str) -> list[tuple[int, int]]:
    """Return where the cells of a row begin and end."""
    bars = [at for at, sign in enumerate(line) if sign == "|"]
    ends = [
        *([] if line.lstrip().startswith("|") else [-1]),
        *bars,
        *([] if line.rstrip().endswith("|") else [len(line)]),
    ]
    return [(one + 1, other) for one, other in pairwise(ends)]


_NUMERIC = re.compile(r" *[\d.][^\n]{0,24}")
_LOCAL_SETTING = re.compile(r" *(?:初始|基础|最大|总)?(?:学习率|动量|权重衰减|批|训练轮|轮|迭代|优化器|epoch)")


def _paired(lines: list[str]) -> list[str]:
    """Return what ends each line: ":" and ";" where names and their values have lines of their own, in turn."""
    ends = ["\n"] * len(lines)
    place = 0
    while place < len(lines):
        after = place
        while after < len(lines) and 0 < len(lines[after].strip()) <= 45:
            after += 1
        numeric = [_NUMERIC.fullmatch(line) is not None for line in lines[place:after]]
        named = [bool(_SETTING.match(line) or _LOCAL_SETTING.match(line)) for line in lines[place:after]]
        for first in (0, 1):
            told = sum(one and other for one, other in zip(named[first::2], numeric[first + 1 :: 2], strict=False))
            if told >= _ROWS and not any(numeric[first::2]) and sum(numeric) >= _ROWS:
                for at in range(place + first, after - 1, 2):
                    ends[at], ends[at + 1] = ":", ";"
        place = max(after, place + 1)
    return ends


def _tabulated(plain: str) -> str:
    """Return a text with its tables of two columns as entries: "lr 0.1" over "epochs 90" as "lr:0.1;epochs:90"."""
    lines = plain.split("\n")
    ends = _paired(lines)
    rows = [next((m for p in _CELLS if (m := p.fullmatch(one))), None) if len(one) < 160 else None for one in lines]
    rule = [bool(line.strip()) and _RULE.fullmatch(line) is not None for line in lines]
    place = 0
    while place < len(lines):
        after = place
        while after < len(lines) and (rows[after] or rule[after]):
            after += 1
        if sum(row is not None for row in rows[place:after]) >= _ROWS:
            ends[place - 1 if place else 0 : after] = ";" * (after - place + (place > 0))
            for at in range(place, after):
                row, line = rows[at], lines[at].replace("|", " ")
                left, right = (row.end("key"), row.start("value")) if row is not None else (0, 0)
                lines[at] = line[:left] + ":".rjust(right - left) + line[right:] if row is not None else " " * len(line)
        place = max(after, place + 1)
    return "".join(line + end for line, end in zip(lines, ends, strict=True))[: len(plain)]


_UNTIL = re.compile(r"(?:\(|\b(?:when|if|for|while)\s)\s?epochs?\s?<=?\s?(?P<last>\d{1,6})\s?\)?")
_OTHERWISE = re.compile(r"\b(?:else|otherwise|afterwards?)\b")


def _until(match: re.Match[str]) -> str:
    """Return "0.1 when epoch < 80" in the words for a time, as long as it was."""
    words = f" until ep {match['last']} "
    return (
        words[: len(match.group())].ljust(len(match.group())) if len(words) <= len(match.group()) + 1 else match.group()
    )


_SIGNATURE = re.compile(r"\bclass (?:[\w.]+\.)?\w*(?:sgd|momentum|optimizer)\w*\([^()]{0,400}\)(?!:)")
"""How the documents of a library show an optimizer, whose defaults they then list."""

_LABEL = re.compile(
    r"(?:^|(?<=[.;\n]))[ \t]{0,9}[*#-]{0,3}\s?(?P<stage>pre-?\s?train|fine-?\s?tun|linear (?:prob|eval))\w* ?:"
)


_THEIR_LABEL = re.compile(
    r"(?:^|(?<=[.;\n]))[ \t*#-]{0,9}(?:the )?(?:baseline|original|official|paper|reference|their|default)s?(?:'s)?"
    r"(?: (?:settings?|config\w*|recipe|code|paper|implementation|hyper-?param\w*|version|repo))?[ *]{0,3}:"
)
_OUR_LABEL = re.compile(
    r"(?:^|(?<=[.;\n]))[ \t*#-]{0,9}(?:ours?|proposed|this (?:repo|work|paper)|mine|my)[\w ]{0,20}[ *]{0,3}:"
)
"""Labels of what is told of others and of the text's own training."""


def find_asides(board: Board) -> None:
    """Take out of all further reading what is said of values that are none, and of schedules of other things."""
    plain = board.text.plain
    starts = [item.start for item in board.items]

    def leave(start: int, end: int) -> None:
        first = bisect_left(starts, start)
        first -= first > 0 and board.items[first - 1].end > start
        board.used.update(
            p for p in range(first, bisect_left(starts, end)) if not board.items[p].is_a("concept", "ema")
        )

    for pattern in (*_ASIDE, _AVERAGES):
        for match in pattern.finditer(plain):
            leave(*match.span())
    for match in _RESULTS.finditer(plain):
        if _RATED.search(plain[: match.start()] + plain[match.end() :]):
            leave(*match.span())
    for match in _PROGRESS.finditer(plain):
        if _FALLS_AT.search(plain, max(0, match.start() - 24), match.start()) is None:
            leave(*match.span())
    if _SIGNATURE.search(plain):
        leave(0, len(plain))
    labels = list(_LABEL.finditer(plain))
    if len({match["stage"] for match in labels}) > 1:  # of two trainings the first is read
        end = re.compile(r"[.;\n]|$").search(plain, labels[1].end())
        leave(labels[1].start(), end.start() if end else len(plain))
    theirs, ours = _THEIR_LABEL.search(plain), _OUR_LABEL.search(plain)
    if theirs is not None and ours is not None:
        end = ours.start() if theirs.start() < ours.start() else len(plain)
        leave(theirs.end(), min(end, plain.find("\n", theirs.end()) % (len(plain) + 1)))
    bounds = [0, *(match.end() for match in _PARAGRAPH.finditer(plain)), len(plain)]
    paragraphs = [(start, end) for start, end in pairwise(bounds) if end > start]
    own = [bool(_OF_RATE.search(plain, start, end)) for start, end in paragraphs]
    for (start, end), told in zip(paragraphs, own, strict=True):
        if not told and any(own):  # nothing is said there of training
            left, right = bisect_left(starts, start), bisect_left(starts, end)
            board.used.update(p for p in range(left, right) if board.items[p].kind == "schedule")


def is_aside(board: Board, concept: int, number: int, first: int) -> bool:
    """Whether a number stands outside of the brackets with a concept: "clip the norm (divided by batch size) at 5"."""
    if not board.leaves_brackets(concept, number):
        return False
    begin = next(p for p in range(concept, first - 1, -1) if board.items[p].kind == "open")
    owner = next((i for i in reversed(board.items[first:begin]) if i.kind == "concept"), None)
    glossed = begin > first and board.items[begin - 1] == owner  # Nesterov动量(momentum)设为0.9
    return owner is not None and not glossed and owner.key != board.items[concept].key


_LOSS = re.compile(r"loss|损失|(?<!正则)权重系数|objective|balanc|trade-?off|平衡")
_TERM = re.compile(
    r"\b(?:weight|strength|importance|contribution|coefficient)s? (?:of|for) (?:the |our |this )?(?!decay|l2|regul)"
)
"""What else than the decay of weights a letter weighs: "the weight of the rotation task is λ = 0.05"."""

_SYMBOL_OF = re.compile(
    r"(?:constant|parameter|coefficient|factor|weight|threshold|temperature|penalty|参数|系数|常数|因子|阈值|权重)\s{0,3}(?:λ|lambda|μ|mu)\b"
)
"""A letter whose own name stands before it: "the coverage parameter λ"."""

_OF_SEVERAL = re.compile(r"(?:λ|lambda|μ|mu)(?:_?\{?\d|_\{?[a-z])")
"""A letter of several: λ1, λ_cls."""

_OF_A_RATE = re.compile(r"学习率|learning|\blr\b")
_NAMED_RATE = re.compile(
    r"(?:学习率|learning rate|\blr)\s?(?:设置?为|[=:为是])?\s?(?:\d*\.\d|\d+(?:\.\d+)?\s?(?:e-?\d|\*\s?10)|10\^)"
)
"""A learning rate by its name."""

_DECAYS = re.compile(r"weight.?decay|regulari[sz]|penalty|权重衰减|权值衰减|正则|惩罚")


def is_of_a_loss(board: Board, key: str, named: str, value: float, first: int, number: int) -> bool:
    """Whether a letter, or an L2 loss, is a part of the loss: "loss weights λ = 0.5 and μ = 10"."""
    words = board.text.plain[board.items[first].start : board.items[number].end]
    if named in {"η", "eta"} and not _OF_A_RATE.search(re.split(r"[,;]", words)[-1]):
        return bool(_LOSS.search(words) or _NAMED_RATE.search(board.text.plain))  # or of something beside a named rate
    if named == "l2 loss" or (key == "l2" and "loss" in named):
        return value >= 0.1
    if named not in {"λ", "lambda", "μ", "mu"} or _DECAYS.search(words) is not None:
        return False
    before = words[: board.items[number].start - board.items[first].start].rpartition(",")[2]
    if _TERM.search(before):
        return True
    end = next((p for p in range(number, len(board.items)) if board.items[p].kind == "break"), len(board.items))
    near = (item for item in board.items[first:end] if item.kind == "concept" and board.plain(item) != named)
    if named in {"λ", "lambda"} and all(item.key in {"other", "teacher"} for item in near):
        return True  # "the number K is 8 and λ is 0.001", which may weigh anything
    other = _LOSS.search(words) or _SYMBOL_OF.search(before) or _OF_SEVERAL.search(before)
    return other is not None or (named in {"λ", "lambda"} and value >= 0.1)
