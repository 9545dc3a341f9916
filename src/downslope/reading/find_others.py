"""What speaks of another training than the text's own: of cited authors, of baselines, of a pretraining before it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from downslope.reading.facts import SGD, Board, Mention, Value
from downslope.reading.items import Item
from downslope.reading.patterns import Match, Pattern, Rules

_OTHERS = Rules(
    {
        "cited": "others:authors (open|close|number|word|and|comma|taken){0,6} (did|word:trained,set|is|verb)",
        "contrast": "others:contrast",
        "source": "others:source (open number close)? (is|verb|did|word:中,的)",
        "theirs": "others:source open number close word:的",
        "pronoun": "word:they (did|verb:train)|word:paper,article,author (word|mod){0,2} (is|verb:train|did|word:的)",
        "named": "word did",
        "possessed": "word word:network,model,method,paper,work,approach,setup,recipe,code,implementation (did|is)",
        "said": "word:readme,tutorial,docs,documentation,repo,blog,paper (word:says,said,recommends,suggests|did)",
    },
    did="word:used,uses,adopted,adopts,employed,employs",
)
_FOLLOWED = re.compile(r"\b(?:follow\w*|as in|same as|similar to|according to|taken from|based on)\b[^.;:\n]{0,40}$")
"""What makes others' training the text's own: "the settings follow Goyal et al.: the learning rate is ..."."""

_SAYING = frozenset({"possessed", "source", "said", "cited", "theirs", "pronoun"})
_OWNER = re.compile(r"(?:\b(?:but|while|whereas|however)\s+|[而但,;]\s*)?(?P<who>\b(?:we|i|ours|our)\b|我们?|本文)")
"""Where a sentence that tells of others comes to the text's own training."""

_OWN = Pattern(
    "(word|is|did|verb:train|for:for){0,4} value=number (comma|break|close|open|with|and|at|for|to|.)?",
    did="word:use,used,did,chose,set",
)
"""What is said to be done instead, without its name."""

_COUNTS = {"epoch": "epochs_total", "step": "steps_total"}
_SCOPE = Pattern(
    "(for:for|at:in,at|word:on,when,对,针对,至) "
    "(word|target|verb|number|schedule|concept:other|at|and|is){0,10} (comma|word|verb|is)"
)
_TUNING = re.compile(
    r"[\s.;]*(?:for |during |in |when |在|对于)?(?:the )?"
    r"(?:fine-?\s?tun|pre-?\s?training (?:used|uses|was|is|with)|linear (?:prob|eval|class)|微调|线性(?:探|评))"
)
_CITED_IN = re.compile(r"\s*(?:in|the authors of|文献|在文献)\s*\[\d{1,3}\]")
_LATER_STAGE = re.compile(
    r"第[二三四2-4]个?(?:训练)?阶段|\b(?:in|during|for) the (?:second|third|final|last) (?:training )?(?:stage|phase)\b"
    r"|\bthe (?:second|third) (?:training )?(?:stage|phase)\b|\b(?:stage|phase)[ -]?(?:2|two|ii|3|three|iii)\b"
)
_PICTURES = re.compile(r"imag|pictur|patch|crop|resiz|resolution|pixel|video|frame|audio|[图像素尺寸]|\d\s?\*\s?\d")
_GRADIENTS = re.compile(r"grad|norm(?!al)|梯度|范数")
_ATTACK = re.compile(r"\b(?:pgd|fgsm|attacks?|adversarial|perturbations?)\b|攻击|扰动")
_ALL = re.compile(
    r"\b(?:all|both|always|(?:every|each)(?! ?(?:\d|epoch|iter|step|few|other|two|three|time|ten)))\b"
    r"|所有|均|都|两者|全部"
)
_SETTINGS = ("lr", "momentum", "weight_decay", "l2", "batch", "warmup")
_PARAGRAPH = re.compile(r"\n\s*\n")
_STEPS = Rules(
    {
        "step size": "size=concept:lr is{0,2} number",
        "steps": "time:bare,with,for,total",
        "with": "with number unit:step",
    }
)
_PRETRAINING = Pattern("verb:pretrain (word|concept|number|is|at|with|for|by){0,3} span=time")
_TRAINING = Pattern("verb:train (word|concept|number|is|at|with|for|by){0,6} time")


_RATED = r"[^.;\n]{0,80}\b(?:lr|learning rate)s?\b[^.;\n]{0,12}\d[^;\n]{0,160}"
STAGED = re.compile(rf"pre-?\s?train\w*\b{_RATED}fine-?\s?tun\w*\b{_RATED}")
"""Two trainings that have a rate each, of which the first is read."""


def find_others(board: Board) -> None:
    """Take what others' sentences say out of all further reading, where the text's own training is told elsewhere."""
    code = board.code()
    told = False
    others: list[tuple[int, int]] = []
    for first, last in board.sentences():
        match = next(_OTHERS.find(code, first, last), None)
        end = last
        saying = match is not None and match.rule in _SAYING and _begins(board, match.first, first)
        own = _own(board, match.after, last) if saying and match is not None else None
        if saying and match is not None and own is not None:
            _instead(board, match.first, own, last)
        elif first < last and _CITED_IN.match(board.text.plain, board.items[first].start):
            others.append((first, last))
            end = first
        elif (
            match is not None
            and match.rule != "theirs"
            and _begins(board, match.first, first)
            and _is_other(board, match)
        ):
            others.append((match.first, last))
            end = match.first
        elif others and others[-1][1] == first - 1 and _own(board, first, last) == first:
            _instead(board, others[-1][0], first, last)
        numbered = any(item.kind == "number" for item in board.items[first:end])
        named = any(item.is_a("concept", *_SETTINGS) or item.is_a("verb", "train") for item in board.items[first:end])
        told = told or (numbered and named)
    _leave_attacks(board)
    _leave_images(board)
    _leave_superseded(board)
    _leave_trials(board)
    _leave_tried(board, code)
    later = _second_recipe(board) if told else []
    if not _OWNER.search(board.text.plain) and others and not _told_twice(board, others):
        others = []  # the text tells of nobody's training but theirs
    for first, last in [*others, *later] if told else []:
        board.used.update(range(first, last))
    theirs = {p for first, last in others if told for p in range(first, last)}
    named = [fact for fact in board.facts if isinstance(fact, Mention)]
    starts = {item.start: place for place, item in enumerate(board.items)}
    if any(starts.get(fact.start) not in theirs and not fact.denied for fact in named):
        for fact in named:
            fact.denied = fact.denied or starts.get(fact.start) in theirs
    for first, last in later:
        board.add("another", "", None, range(first, last))
    trained = next(_TRAINING.find(code), None)
    if trained is not None and trained.first not in board.used and not STAGED.search(board.text.plain):
        board.used.update(match["span"] for match in _PRETRAINING.find(code))


def _told_twice(board: Board, others: list[tuple[int, int]]) -> bool:
    """Whether a setting is told of both in others' sentences and elsewhere."""
    theirs = {place for first, last in others for place in range(first, last)}
    named = [(p in theirs, i.key) for p, i in enumerate(board.items) if i.is_a("concept", *_SETTINGS)]
    lengths = (p for p, i in enumerate(board.items) if i.is_a("time", "for", "bare", "total") and i.data.unit)
    named += [(place in theirs, board.items[place].data.unit) for place in lengths]
    return bool({key for own, key in named if own} & {key for own, key in named if not own})


def _own(board: Board, first: int, last: int) -> int | None:
    """Return where a sentence comes to the text's own training, None if it does not."""
    if first >= last:
        return None
    match = _OWNER.search(board.text.plain, board.items[first - 1].end if first else 0, board.items[last - 1].end)
    places = range(first, last)
    return None if match is None else next((p for p in places if board.items[p].start >= match.start("who")), None)


def _instead(board: Board, first: int, own: int, last: int) -> None:
    """Leave out what others are said to do, and note what is said to be done instead: "they use lr 0.1, I use 0.05"."""
    theirs = {item.key for item in board.items[first:own] if item.is_a("concept", *_SETTINGS)}
    units = {item.data.unit for item in board.items[first:own] if item.kind == "time"}
    board.used.update(range(first, own))
    match = _OWN.at(board.code(), own, last)
    if match is None or board.items[match.after - 1].kind in {"unit", "concept", "time"}:
        return
    trained = any(item.is_a("verb", "train") for item in board.items[own : match["value"]])
    keys = theirs or ({_COUNTS.get(units.pop(), "")} if len(units) == 1 else set())
    if len(keys) == 1 and (theirs or trained) and all(keys):
        board.note(Value("value", keys.pop(), board.items[match["value"]].value), [match["value"]])


_NUMBER = r"(?:\d{1,9}(?:\.\d{1,12})?|\.\d{1,12})(?:e-?\d{1,3}|\*10\^-?\d{1,3})?"  # bounded: so is the work
_SUPERSEDED = [
    re.compile(
        rf"\b(?:initially|at first|first|started)\b[^.;\n\d]{{0,40}}(?P<old>{_NUMBER})(?![\w.]*\w)[^\n\d]{{0,80}}"
        rf"\b(?:i|we) (?:then |finally |later )?"
        rf"(?:lowered|reduced|decreased|dropped|raised|increased|changed|switched) "
        rf"(?:it|this|the (?:learning )?rate) to (?P<new>{_NUMBER})(?! ?(?:after|at|for|when|every|by)\b)"
    ),
    re.compile(
        rf"(?<![\w.])(?P<old>{_NUMBER})(?![\w.])[^\n]{{0,80}}?\b"
        rf"(?:settled (?:on|for)|went with|opted for|ended up (?:with|at)) "
        rf"(?:[a-z]{{1,20}} ){{0,2}}(?P<new>{_NUMBER})"
    ),
    re.compile(
        rf"(?<![\w.])(?P<old>{_NUMBER})(?![\w.])[^.;\n]{{0,80}}?\b(?:so|but|then|and|now)\b[^.;\n]{{0,20}}?"
        rf"\b(?:i|we|switch\w{{0,5}}|chang\w{{0,5}})(?: \w{{1,20}}){{0,2}}?"
        rf"(?: (?:lowered|reduced|dropped|decreased|switched|changed|raised|increased|moved|went|set))?"
        rf"(?: (?!to\b)\w{{1,20}}){{0,4}} to (?:[a-z]{{1,20}} ?){{0,3}}[= ]{{0,3}}(?P<new>{_NUMBER})"
    ),
    re.compile(
        rf"(?<![\d.])(?P<old>{_NUMBER})(?!\d)[^\d\n()]{{0,30}}(?:所以|于是|后来|然后|现在|因此|但|就|不同|最终|最后)[^\d。;\n]{{0,12}}"
        rf"(?:改成|改为|换成|换为|调成|调到|降到|改用|用|是|取|设为|选|选择|选定|采用|使用)了?(?P<new>{_NUMBER})"
    ),
]
"""A value that was tried, and the one that took its place: "with lr 0.1 it diverged, so I lowered it to 0.01"."""


def _leave_superseded(board: Board) -> None:
    """Give a setting the value that took the place of an earlier one."""
    starts = [item.start for item in board.items]
    for pattern in _SUPERSEDED:
        for match in pattern.finditer(board.text.plain):
            old, new = (bisect_left(starts, match.start(name)) for name in ("old", "new"))
            if not (old < len(starts) and board.items[old].number and board.free_number(new)):
                continue
            near = range(old - 1, max(-1, old - 5), -1)
            head = next((p for p in near if board.items[p].kind == "concept"), None)
            between = board.items[old + 1 : new]
            if head is None or board.items[head].key not in _SETTINGS or any(i.kind == "time" for i in between):
                continue
            key, other = board.items[head].key, [i.key for i in between if i.is_a("concept", *_SETTINGS)]
            if other and other[-1] != key:
                continue
            board.used.update(range(head, new))
            board.note(Value("value", key, board.items[new].value), [new])


_FINAL = re.compile(r"\bfinal(?:ly)? (?:used )?(?:model|hyper-?\s?param\w*|settings?|values?|config\w*)\b[^:\n]{0,40}:")


_TRIED = re.compile(
    r"\b(?:i|we) (?:have |had |also |first |already )*tried (?:using|with|to|setting|a|the|different|an)\b"
)


_ASKS = re.compile(
    r"\W*(?:(?:also|so|and|but|or|then),? )*(?:should|would|could|can|do|does|is|are|what|which|why|how|any|have|did)\b"
)


def _is_question(board: Board, last: int) -> bool:
    """Whether a sentence ends with a question mark."""
    end = board.items[last - 1].end if last == len(board.items) else board.items[last].start
    return "?" in board.text.original[board.text.origin[end] : board.text.origin[end] + 2]


def _leave_tried(board: Board, code: str) -> None:
    """Leave out the value of a setting that was tried or is asked for, where another sentence gives that setting."""
    if not (_TRIED.search(board.text.plain) or "?" in board.text.original):
        return
    valued: list[tuple[bool, Match]] = []
    for first, last in board.sentences():
        start = board.items[first - 1].end if first else 0
        tried = _TRIED.search(board.text.plain, start, board.items[last - 1].end) is not None
        tried = tried or (_ASKS.match(board.text.plain, start) is not None and _is_question(board, last))
        valued += [(tried, match) for match in _VALUED.find(code, first, last)]
    own = {board.items[match.first].key for tried, match in valued if not tried}
    for tried, match in valued:
        if tried and board.items[match.first].key in own:
            board.used.update(range(match.first, match.after))


_VALUED = Pattern("concept:lr,momentum,weight_decay,l2,batch (is|mod|word|to){0,3} number")


def _leave_trials(board: Board) -> None:
    """Leave out the values of settings that a text lists as the final ones later."""
    last = max((match.end() for match in _FINAL.finditer(board.text.plain)), default=0)
    told = {item.key for item in board.items if item.start >= last and item.is_a("concept", *_SETTINGS)}
    for first, end in board.sentences() if last else ():
        named = [p for p in range(first, end) if board.items[p].is_a("concept", *told)]
        if named and board.items[end - 1].end <= last:
            board.used.update(range(named[0], end))


def _leave_attacks(board: Board) -> None:
    """Leave out the steps and the step size of an attack on the network."""
    for match in _STEPS.find(board.code()):
        near = slice(max(0, board.items[match.first].start - 60), board.items[match.after - 1].end + 40)
        around = re.split(r"[.;\n]", board.text.plain[near])
        words = board.text.plain[board.items[match.first].start : board.items[match.after - 1].end]
        time = board.items[match.first].data
        counted = "step" in words or "步长" in words if "size" in match else time is None or time.unit == "step"
        if counted and any(words in part and _ATTACK.search(part) for part in around):
            board.used.update(range(match.first, match.after))


def _leave_images(board: Board) -> None:
    """Leave out what is clipped or rescaled and is no gradient: 将图像裁剪成1024×1024的小块."""
    plain = board.text.plain
    for place, item in enumerate(board.items):
        if not item.is_a("concept", "clip") or _GRADIENTS.search(plain, item.start, item.end):
            continue
        before = re.split(r"[,;\n]", plain[max(0, item.start - 60) : item.start])[-1]
        clause = before + re.split(r"[,;\n]|\. ", plain[item.start : item.end + 40])[0]
        scaled = board.plain(item).replace("-", "").startswith("resc") and not _GRADIENTS.search(clause)
        scaled = scaled and not _GRADIENTS.search(plain, max(0, item.start - 60), item.start)
        if scaled or (_PICTURES.search(clause) and not _GRADIENTS.search(clause)):
            near = range(place, min(len(board.items), place + 6))
            end = next((p for p in near if board.items[p].kind in {"comma", "break"}), near.stop)
            board.used.update(range(place, end))


def _second_recipe(board: Board) -> list[tuple[int, int]]:
    """Return where a later recipe of several stands: "For ImageNet, SGD with ... for 90 epochs", after one for CIFAR.

    It begins with what it is for and tells again of at least two things; it ends with its paragraph, or where a
    sentence speaks of all. The first that names SGD is none, where other optimizers were told of before.
    """
    plain, code = board.text.plain, board.code()
    before: set[str] = set()
    names: set[str] = set()
    started = 0.0
    begun = brief = False
    found: list[tuple[int, int]] = []
    end = 0
    own = any(item.kind == "optimizer" and item.key in SGD for item in board.items) or "baseline" in plain
    for first, last in board.sentences():
        items = board.items[first:last]
        counted = {place for place in range(first, last) if board.items[place].kind in {"number", "time"}}
        if counted and counted <= board.used:
            continue  # known already to be nobody's, or another's
        apart = _PARAGRAPH.search(plain, end, items[0].start) or _ALL.search(plain, items[0].start, items[-1].end)
        begun, end = begun and not apart, items[-1].end
        beginning = board.items[first - 1].end if first else 0
        staged = _LATER_STAGE.search(plain, beginning, items[-1].end)
        stage = next((p for p in range(first, last) if staged and board.items[p].start >= staged.start()), last)
        if stage < last and _goes_on(board, code, stage, last):
            continue
        if not begun and _is_stage(board.items[stage:last]) and "lr" in before | _told(board.items[first:stage]):
            found.append((stage, last))
            begun = brief = True
            continue
        told, named = _told(items), {item.key for item in items if item.kind == "optimizer"}
        if names and named & SGD and not names & SGD:
            begun, before, started = False, set(), 0.0
        names |= named
        begun = begun and not (brief and told and not told & before)  # what all stages share
        again = told & before
        tunes = "lr" in again and _TUNING.match(plain, beginning) is not None
        initial = next(_INITIAL.find(code, first, last), None)
        rate = board.items[initial["rate"]].value if initial is not None else 0.0
        anew = initial is not None and "again" in initial and 0 < rate < 2 and started not in {0.0, rate}
        theirs = own and bool(named) and not named & SGD  # "for Adam we use 3e-4. The initial learning rate is 0.1 ..."
        started = started or (rate if rate < 2 and not theirs else 0.0)
        scope = _SCOPE.at(code, first, last)
        ours = _OF_OURS.search(plain, beginning, items[-1].end) is not None
        if scope is not None and (ours or _is_alternative(board, scope)):
            scope = None
        longer = scope is not None and _is_named(board, first, last, again, before)
        scoped = scope is not None and len(again) >= 2
        anew = anew and not theirs
        if not begun and (((tunes or scoped or anew) and told & {"optimizer", "lr"}) or longer):
            begun = any(i.kind in {"number", "time"} for i in items)
        if begun:
            found.append((first, last))
        elif not theirs:
            before |= told
    return found


def _is_alternative(board: Board, scope: Match) -> bool:
    """Whether what a sentence is for is the schedule that was named first: "Step or cosine. For step, ..."."""
    named = [item.key for item in board.items[scope.first : scope.after] if item.kind == "schedule"]
    first = next((item.key for item in board.items if item.kind == "schedule"), "")
    return bool(named) and named[0] == first


_OF_OURS = re.compile(
    r"\b(?:for|in|with) (?:our|the proposed|this) (?:method|model|approach|network|work|experiments?)\b"
)
_CAPITAL = re.compile(r"\b[A-Z]\w*(?:[A-Z]|-?\d)")


def _is_named(board: Board, first: int, last: int, again: set[str], before: set[str]) -> bool:
    """Whether a paragraph is of another data set: "For ImageNet, we train for 100 epochs", with the rate behind."""
    start, end = board.items[first].start, board.items[last - 1].end
    words = board.text.words(start, min(end, start + 30))
    if "time" not in again or "lr" not in before or not _CAPITAL.search(words.partition(",")[0]):
        return False
    apart = _PARAGRAPH.search(board.text.plain, end)
    until = apart.start() if apart else len(board.text.plain)
    told = _told([item for item in board.items[last:] if item.start < until])
    return len(told & before & {"lr", "lr change", "batch", "weight_decay", "momentum"}) >= 2


_PHASE = Rules(
    {
        "rate first": "concept:lr said{0,4} rate=number (comma|and)? (word|for:next){0,2} verb:train word? time:bare",
        "rate, named behind": "rate=number word? concept:lr (word|for:next){0,2} verb:train word? time:bare",
        "length first": "verb:train word? time:bare comma? (word|is|by){0,2} concept:lr said{0,4} rate=number",
    },
    said="(is|to|word|mod)",
)
_ANEW = re.compile(r"fine-?\s?tun|pre-?train|froz|freez|微调|预训练|冻结|解冻")
"""Words of stages that are trainings of their own."""


def _goes_on(board: Board, code: str, stage: int, last: int) -> bool:
    """Whether a later stage goes on at a lower rate: 第一阶段以0.1训练60轮, 第二阶段以0.01训练30轮."""
    first = max(0, stage - 40)
    earlier, later = [*_PHASE.find(code, first, stage)], next(_PHASE.find(code, stage, last), None)
    if not earlier or later is None or _told(board.items[later.first : later.after]) - {"lr", "time"}:
        return False
    apart = _ANEW.search(board.text.plain, board.items[first].start, board.items[later.after - 1].end)
    return apart is None and 0 < board.items[later["rate"]].value < board.items[earlier[-1]["rate"]].value


def _told(items: Sequence[Item]) -> set[str]:
    """Return which settings, changes and times items speak of."""
    return {
        "lr change" if i.is_a("verb", "reduce", "divide", "multiply") else i.key if i.kind == "concept" else i.kind
        for i in items
        if i.kind in {"optimizer", "time", "schedule"} or i.is_a("concept", *_SETTINGS)
    }


def _is_stage(items: Sequence[Item]) -> bool:
    """Whether words of a later stage give it a learning rate of its own, and no times that go on from those before."""
    goes_on = any(i.kind == "time" and i.data.prep in {"between", "next", "after", "at", "until"} for i in items)
    return not goes_on and any(i.is_a("concept", "lr") for i in items) and any(i.kind == "number" for i in items)


_INITIAL = Pattern("again=mod:initial? concept:lr (is|mod:initial|word|to|target|of_it){0,6} rate=number")


def _begins(board: Board, place: int, first: int) -> bool:
    """Whether a place is where a clause begins, but for "in", "that", "note" and the like."""
    while place > first and board.items[place - 1].kind in {"word", "at"}:
        place -= 1
    return place == first or board.items[place - 1].kind in {"comma", "break", "open", "star"}


def _is_other(board: Board, match: Match) -> bool:
    """Whether the words of a match name somebody else: of names only those in capitals."""
    start = board.items[match.first].start
    before = board.text.plain[max(0, start - 5) : start]
    words = board.text.words(start, board.items[match.after - 1].end)
    if match.rule == "possessed":
        return words.split()[0].endswith(("'s", "’s")) and words[0].isupper()
    if match.rule == "named":
        return sum(character.isupper() for character in words.split()[0]) >= 2
    if _FOLLOWED.search(board.text.plain, max(0, start - 60), start):
        return False
    return "our" not in before and " we " not in f" {words.lower()} "
