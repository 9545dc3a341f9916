"""From facts to the first reading: optimizer, settings, data, length of training, groups, schedule."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import replace

from downslope.reading.assemble_rates import is_written
from downslope.reading.assemble_schedule import put_learning_rate
from downslope.reading.draft import Draft
from downslope.reading.facts import SGD, Board, Fact, Group, Mention, Setting, Value
from downslope.reading.find_others import STAGED
from downslope.reading.numbers import numbers_of
from downslope.reading.order import RATES, tidy, whole
from downslope.reading.reading import ADAMS, APEX, BY_UNIT, DAMPENED, ONLY_LOWER, title_of
from downslope.reading.remarks import shown
from downslope.reading.schedule_facts import Change, Course, Shape, Warmup
from downslope.reading.schedule_free import BETA

_MATCHES = {
    "bias_and_norm": "@bias_and_norm",
    "norm": "@bias_and_norm",
    "bias": "*.bias",
    "depthwise": "*depthwise*",
    "embedding": "*embed*",
    "head": "*head*",
    "classifier": "*classifier*",
    "fc": "*fc*",
    "backbone": "*backbone*",
    "encoder": "*encoder*",
    "decoder": "*decoder*",
}
"""What words call a group -> the pattern of its names; of the "last layer" nobody can know them."""

_PATHS = {"eps": "eps", "beta1": "beta1", "beta2": "beta2", "rho": "decay"}


def assemble(draft: Draft, board: Board) -> None:
    """Fill a draft's fields and remarks from its facts."""
    _decide_decay(draft)
    _put_optimizer(draft)
    _leave_out_others(draft)
    _put_batch(draft)
    _put_length(draft, board)
    _put_momentum(draft)
    _put_weight_decay(draft)
    _put_clip(draft)
    _put_factors(draft)
    put_learning_rate(draft)
    _put_groups(draft)
    _put_conventions(draft)
    _mark_odd(draft)
    for fact in draft.every(Setting):
        _put_setting(draft, fact)
    for fact in draft.of("another"):
        draft.remarks.say("another_training", words=draft.words(fact))


_OF_RATE = re.compile(r"learning|\blr\b|学习")


def _decide_decay(draft: Draft) -> None:
    """Give every "decay of 0.0005" whose owner is not said its owner, by its size and what stands near."""
    named = {fact.key for fact in draft.of("optimizer")}
    factors = any(not change.noun and (change.value is not None or change.at) for change in draft.every(Change))
    if "rmsprop" in named and factors and not list(draft.values("rho")):
        for fact in [f for f in draft.every(Change) if f.noun and not (f.at or f.every)][:1]:
            draft.facts[draft.facts.index(fact)] = Value("value", "rho", fact.value, fact.start, fact.end)
    has_decay = bool(list(draft.values("weight_decay", "l2")))
    inverse = any(fact.key == "inverse" for fact in draft.every(Shape))
    for fact in [f for f in draft.every(Change) if f.noun and not (f.at or f.every)]:
        small = fact.value is not None and 1e-6 <= fact.value <= 0.005 and list(draft.values("momentum"))
        if small and not (has_decay or _OF_RATE.search(draft.text.plain, fact.start, fact.end)):
            draft.facts[draft.facts.index(fact)] = Value("value", "weight_decay", fact.value, fact.start, fact.end)
    for fact in draft.values("decay"):
        if inverse and fact.value < 0.5:
            fact.key = "gamma"  # "lr0 / (1 + decay * epoch) with decay = 0.01"
        elif named & {"rmsprop"} and 0.5 <= fact.value < 1:
            fact.key = "rho"
        elif fact.value <= _SMALLEST and not has_decay:
            fact.key = "lr_decay"  # Keras's SGD(lr=0.01, decay=1e-6), in words
        elif fact.value < 0.1 and not has_decay:
            fact.key = "weight_decay"
        elif 0.5 <= fact.value < 1 and list(draft.values("momentum")) and not named & {"sgd"}:
            fact.key = "rho"
            draft.facts.append(Mention("optimizer", "rmsprop", None, fact.start, fact.end))
        elif 0 < fact.value < 1:
            fact.key = "lr_decay"


_SMALLEST = 1e-6
"""A decay of the weights is larger, one of the rate by the step may be this."""


def _put_optimizer(draft: Draft) -> None:
    named = draft.every(Mention)
    mentions = [fact for fact in named if not fact.denied]
    tellers = [_speaker(named, setting.start) for setting in _settings(draft)]
    told = [one for one in tellers if one is not None and not one.denied]
    others = [fact for fact in mentions if fact.key not in SGD]
    plain = [fact for fact in told if fact.key in SGD]
    if others and told and not plain and None not in tellers:
        draft.optimizer = told[0].key  # "minibatch SGD and the Adam solver with a learning rate of 0.0002"
    elif mentions:
        draft.optimizer = (plain or mentions)[0].key
        if others and len(others) < len(mentions):
            draft.remarks.say("two_optimizers", names=", ".join(dict.fromkeys(fact.key for fact in mentions)))
    elif list(draft.values("beta1", "beta2", "betas")):
        draft.optimizer = "adam"
    if draft.optimizer == "sgdw":
        draft.optimizer = "sgd"
        draft.put("sgd.decay", "decoupled", "implied", "SGDW decays apart from the gradient")
    if draft.optimizer in {"qhm", "larc"} or (draft.optimizer == "lars" and list(draft.values("trust"))):
        draft.optimizer = "sgd"  # in a form that settings hold; of LARS without its coefficient they hold too little
    if draft.optimizer != "sgd":
        draft.remarks.say("not_sgd", optimizer=title_of(draft.optimizer))
        table = "adam" if draft.optimizer in ADAMS else draft.optimizer
        averaging = draft.optimizer in {"rmsprop", "adadelta"}
        for concept, name in _PATHS.items():
            for fact in draft.values(concept) if averaging or concept != "rho" else ():
                if not averaging and fact.value >= {"eps": 0.1, "beta1": 1, "beta2": 1}[concept]:
                    continue  # a letter for something else
                draft.put(f"{table}.{name}", float(fact.value), "stated", draft.words(fact))
        for fact in draft.values("betas"):
            draft.put(f"{table}.beta1", float(fact.value), "stated", draft.words(fact))
            if fact.second is not None:
                draft.put(f"{table}.beta2", float(fact.second), "stated", draft.words(fact))


def _leave_out_others(draft: Draft) -> None:
    """Leave out the values that are told of another optimizer than that of the reading.

    Words before its name are another's where the own optimizer has such a value: "lr 3e-4 with Adam; SGD with lr 0.3".
    """
    mentions = [fact for fact in draft.every(Mention) if fact.reach]
    own = _own_names(draft)
    tellers = ((fact.key, _speaker(mentions, fact.start)) for fact in draft.every(Value))
    told = {key for key, teller in tellers if teller is not None and teller.key in own}
    kept: list[Fact] = []
    place = 0
    for fact in sorted(draft.facts, key=lambda fact: fact.start):
        while place < len(mentions) and mentions[place].start <= fact.start:
            place += 1
        mention = mentions[place - 1] if place else None
        if fact.key in told and place < len(mentions) and mentions[place].since <= fact.start:
            mention = mentions[place]
        theirs = mention is not None and fact.start < mention.reach and mention.key not in own
        if (
            mention is not None
            and theirs
            and fact.kind in {"value", "off", "change", "range", "shape", "warmup", "levels", "knots"}
            and fact.key != "batch"
        ):
            draft.remarks.say("anothers_value", optimizer=title_of(mention.key), words=draft.words(fact))
        else:
            kept.append(fact)
    draft.facts = kept


def _own_names(draft: Draft) -> set[str]:
    """Return the names of the optimizer that the reading is of."""
    if draft.optimizer != "sgd":
        return {draft.optimizer}
    return {*SGD, "lars"} if list(draft.values("trust")) else {*SGD}


def _mark_odd(draft: Draft) -> None:
    """Call implied, and mark, what was read out of a number that does not literally say it, such as 10-4."""
    for number in numbers_of(draft.text.plain):
        words = draft.text.words(number.start, number.end) if number.odd else None
        for path, found in draft.fields.items() if words is not None else ():
            if found.start <= words.start < found.end and not isinstance(found.value, str | bool):
                draft.fields[path] = replace(found, provenance="implied", marks=(*found.marks, number.odd))
                draft.remarks.say(number.odd, words=words, value=shown(number.value))


def _speaker(mentions: list[Mention], place: int) -> Mention | None:
    """Return the optimizer whose words a place lies in, of mentions in the order of the text."""
    index = bisect_right(mentions, place, key=lambda mention: mention.start) - 1
    return mentions[index] if index >= 0 and place < mentions[index].reach else None


def _settings(draft: Draft) -> list[Value]:
    """Return the values that are an optimizer's."""
    return [f for f in draft.every(Value) if f.key not in {"batch", "epochs_total", "steps_total", "other"}]


def _put_batch(draft: Draft) -> None:
    """Put the batch size of all devices, told or computed; that of one device where nothing tells how many."""
    facts = [fact for fact in draft.values("batch") if float(fact.value).is_integer() and 1 <= fact.value < 1e8]
    totals = [fact for fact in facts if not fact.per_device]
    totals.sort(key=lambda fact: fact.role != "total")
    shares = [fact for fact in facts if fact.per_device]
    for fact in totals:
        if "data.batch_size" in draft.fields and draft.value("data.batch_size") != int(fact.value):
            draft.remarks.say("another", path="data.batch_size", words=draft.words(fact))
        computed = fact.product and not is_written(draft, fact)
        draft.put("data.batch_size", int(fact.value), "implied" if computed else "stated", draft.words(fact))
    if not shares or totals:
        return
    share, devices = shares[0], draft.of("devices")
    if devices:
        count = max(devices, key=lambda fact: (fact.value > 1, -abs(fact.start - share.start)))
        words = f"{draft.words(share)}; {draft.words(count)}"
        draft.put("data.batch_size", int(share.value * count.value), "implied", words)
    else:
        draft.put("data.batch_size", int(share.value), "assumed", f"one device: {draft.words(share)}")
        draft.remarks.say("per_device", value=shown(share.value))


def _put_length(draft: Draft, board: Board) -> None:
    for key, unit, path in (("epochs_total", "epoch", "train.epochs"), ("steps_total", "step", "train.steps")):
        for fact in draft.values(key):
            unit_said = fact.unit or unit
            where = path if unit_said == unit else {"epoch": "train.epochs", "step": "train.steps"}[unit_said]
            if (1 if where == "train.steps" else 0) <= fact.value < 1e12 and fact.value:
                told = "implied" if fact.role == "of" else "stated"  # "at epochs 30 and 60 of 90"
                draft.put(where, whole(fact.value), told, draft.words(fact))
    mentions, own = draft.every(Mention), _own_names(draft)

    def of_another(place: int) -> bool:
        speaker = _speaker(mentions, board.items[place].start)
        return speaker is not None and speaker.key not in own

    for rank, place in sorted((rank + 10 * of_another(place), place) for rank, place in _lengths(board)):
        time = board.items[place].data
        if rank >= 5 and not _trained_near(board, place):
            continue
        path = "train.epochs" if time.unit == "epoch" else "train.steps"
        if rank <= 1 and path in draft.fields and draft.value(path) != whole(time.values[0]):
            draft.remarks.say(
                "another", path=path, words=draft.text.words(board.items[place].start, board.items[place].end)
            )
        if path in draft.fields or not (1 if time.unit == "step" else 0) <= time.values[0] < 1e12:
            continue
        if path == "train.steps" and "train.epochs" in draft.fields and rank > 1 and time.values[0] < 10:
            continue
        board.used.add(place)
        words = draft.text.words(board.items[place].start, board.items[place].end)
        draft.put(path, whole(time.values[0]), "stated", words)
        if len(time.values) > 1:
            draft.remarks.say("another", path=path, words=words)
    _put_constant_length(draft)
    for place, item in enumerate(board.items):  # "total of 200", without a unit
        if item.is_a("mod", "total") and "train.epochs" not in draft.fields and "train.steps" not in draft.fields:
            after = place + 1
            while after < len(board.items) and board.items[after].is_a("is"):
                after += 1
            if board.free_number(after) and _unit_of_changes(draft):
                number = board.items[after].number
                assert number is not None  # noqa: S101 - free numbers are numbers
                following = board.items[after + 1] if after + 1 < len(board.items) else None
                if following is not None and following.kind not in {"break", "comma", "close", "and"}:
                    continue
                board.used.add(after)
                unit = _unit_of_changes(draft)
                words = draft.text.words(item.start, board.items[after].end)
                draft.put("train.epochs" if unit == "epoch" else "train.steps", whole(number.value), "stated", words)
    if "train.epochs" in draft.fields and "train.steps" in draft.fields:
        draft.remarks.say("both_lengths")


def _lengths(board: Board) -> list[tuple[int, int]]:
    """Return the times that may be the length of training, each as (rank, place): the lower, the likelier."""
    ranks = {"total": 0, "for": 2, "": 3, "until": 5, "after": 5, "first": 9, "next": 9, "at": 9, "every": 9}
    candidates: list[tuple[int, int]] = []
    both = _TUNES.search(board.text.plain) is not None and not STAGED.search(board.text.plain)
    for place, item in enumerate(board.items):
        if item.kind != "time" or place in board.used or item.data.percent or item.data.prep == "every":
            continue
        if len(item.data.values) != 1 and item.data.prep != "for":
            continue
        before = board.items[max(0, place - 4) : place]
        trained = any(i.is_a("verb", "train") or i.is_a("mod", "total") for i in before)
        trained = trained or any(i.is_a("word", "training") for i in before[-1:])
        rank = ranks.get(item.data.prep, 9)
        longer = _LENGTHENED.search(board.text.plain, max(0, item.start - 60), item.start) is not None
        trained = trained or longer
        ranged = any(i.kind in {"to", "from"} or i.is_a("word", "-", "~") for i in before[-1:]) and not longer
        ranged = ranged or any(i.is_a("word", "between") for i in before[-1:])
        parted = before[-1:] and before[-1].kind in {"comma", "slash", "and"}
        ranged = ranged or bool(parted and len(before) > 1 and _is_listed(board, place - 2))
        # so 51到75轮, 10-20 epochs and "30, 60 epochs" are no length
        denied = any(near.is_a("no", "instead") for near in before)  # "200 instead of 90 epochs"
        said = re.split(r"[;\n]|\. ", board.text.plain[max(0, item.start - 24) : item.start])[-1]
        denied = denied or (not trained and _REPEATED.search(said) is not None)
        more = next((i for i in board.items[place + 1 : place + 17] if i.kind in {"break", "time"}), None)
        denied = denied or board.text.plain[max(0, item.start - 3) : item.start] == "再训练"  # 再训练10轮
        led = [item.kind for item in before[-2:]] == ["number", "star"]  # "60 x 104 iterations", which was 10^4
        led = led or any(
            item.number is not None and (item.number.ordinal or item.number.spelled) for item in before[-1:]
        )
        opens = not before or before[-1].kind == "break"  # "One epoch means that all samples ..."
        led = led or ((item.data.unit == "step" or opens) and board.plain(item).startswith(("single", "one ")))
        denied = denied or led or _STOPPING.search(board.text.plain, max(0, item.start - 24), item.start) is not None
        denied = denied or _is_condition(board, place) or _MORE.search(board.plain(item)) is not None
        denied = denied or (
            item.data.prep in {"for", ""} and not trained and more is not None and more.is_a("time", "next")
        )
        words = board.plain(item)
        denied = denied or _is_no_length(board, place, trained=trained)
        around = [board.items[p].kind for p in (place - 1, place + 1) if 0 <= p < len(board.items)]
        single = words.startswith("epoch ") and len(item.data.values) == 1
        if (
            (words.startswith("epochs") or single)
            and set(around) <= {"comma", "break", "close"}
            and not _falls_near(board, place)
        ):
            candidates.append((3, place))  # "momentum 0.9, epochs 50, batch 32"
        if item.data.prep in {"for", "", "total", "until", "after"} and not (ranged or denied):
            tuned = trained and _TUNED.search(board.text.plain, before[0].start, item.start) is not None
            earlier = _EARLIER.match(board.text.plain, item.end) is not None
            of_it = _OF_TRAINING.match(board.text.plain, item.end) is not None
            trained = trained or (of_it and item.data.prep != "after")  # "results after 30 epochs of training"
            before_it = re.split(r"[,;\n)]|\.\s", board.text.plain[max(0, item.start - 60) : item.start])[-1]
            earlier = earlier or (words.endswith("后") and _SEEN.match(board.text.plain, item.end) is not None)
            earlier = earlier or (both and _PRETRAINED.search(before_it) is not None)
            candidates.append((8 if earlier else 4 if tuned else min(rank, 1) if trained else rank, place))
    return candidates


_BOUNDS = frozenset({"comma", "break", "open", "close"})


def _is_no_length(board: Board, place: int, *, trained: bool) -> bool:
    """Whether a time counts something else: 共降低3次, 跑了10次, 一个epoch对应的步数, 1轮0.01, 在20轮后降到."""
    item, following = board.items[place], board.items[place + 1 : place + 2]
    words, before = board.plain(item), board.text.plain[max(0, item.start - 6) : item.start]
    often = words.endswith("次") and item.data.values[0] < 100 and ("跑" in before[-2:] or not trained)
    few = _FEW.match(words) is not None and not any(word in before + words for word in "只仅共总")
    valued = any(one.kind == "number" and one.start == item.end for one in following)
    first, last = place, place + 1
    while first > max(0, place - 6) and board.items[first - 1].kind not in _BOUNDS:
        first -= 1
    while last < min(len(board.items), place + 6) and board.items[last].kind not in _BOUNDS:
        last += 1
    waits = any(one.kind == "when" or one.is_a("end", "early") for one in board.items[first:last]) and not trained
    valued = valued or _BETWEEN.match(board.text.plain, item.end) is not None
    if item.data.unit == "step" and item.data.values[0] <= 1000:
        diffused = _DIFFUSED.search(board.text.plain, max(0, item.start - 60), item.start) is not None
        valued = valued or (diffused and _SAMPLED.match(board.text.plain, item.end) is not None)
    return often or few or valued or waits or (item.data.prep == "after" and words.startswith(("在", "当")))


def _falls_near(board: Board, place: int) -> bool:
    near = board.items[max(0, place - 8) : place + 8]
    return any(item.is_a("verb", "divide", "multiply", "reduce", "halve") or item.kind == "star" for item in near)


_FEW = re.compile(r"一个?\s?(?:epoch|轮|遍|代|周期|次|步|batch|mini|批|iter)|[2-9]\s?步训练")
"""What is seldom the length of a training: 一个epoch对应的步数, 4步训练法."""

_MORE = re.compile(r"\b(?:more|further|additional|another|extra)\b|再|额外|[又多]")
_IF = re.compile(
    r"\buntil (?:\w+ ){0,3}(?:error|loss|accuracy)\b"
    r"|\b(?:if|when(?:ever)?|once|unless|as soon as|each time|every time)\b|当|如果|若|一旦|倘若"
)


def _is_condition(board: Board, place: int) -> bool:
    """Whether a time stands in a clause that says when something happens."""
    first = place
    while first > max(0, place - 12) and board.items[first - 1].kind not in {"comma", "break"}:
        first -= 1
    return _IF.search(board.text.plain, board.items[first].start, board.items[place].start) is not None


def _put_constant_length(draft: Draft) -> None:
    """Put the length of "a constant learning rate of 0.05 for 40 epochs", where nothing else is told of it."""
    if {"train.epochs", "train.steps"} & set(draft.fields) or draft.every(Change) or draft.every(Course):
        return
    shapes = draft.every(Shape)
    over = shapes[0].over if len(shapes) == 1 and shapes[0].key == "constant" else None
    if over is not None and over.prep == "for" and over.unit and not over.percent and not draft.every(Warmup):
        draft.state("train.epochs" if over.unit == "epoch" else "train.steps", whole(over.values[0]), shapes[0])


def _is_listed(board: Board, place: int) -> bool:
    """Whether a number before a comma may be the first of a list of times, "25, 50 epochs"; not so in "depth 25"."""
    value, before = board.items[place].value, board.plain(board.items[place - 1]) if place else ""
    if place and board.items[place - 1].kind == "star":
        return False  # 640 * 640, 300 epochs
    named = before in {"=", ":"} or (board.items[place - 1].kind == "word" and not before.endswith("ed"))
    if named and not _falls_near(board, place):
        return False
    return board.free_number(place) and value >= 1 and float(value).is_integer()


_TUNED = re.compile(r"fine-?\s?tun|微调|pre-?train|预训练")
_TUNES = re.compile(r"fine-?\s?tun|微调")
_PRETRAINED = re.compile(r"pre-?\s?train|预训练(?!(?:好|过)?的?[^,;\d]{0,6}(?:模型|权重|网络|参数|主干))")
_EARLIER = re.compile(r"\s?(?:了|(?:训练)?(?:还|才|就)|的时候|时候|时|之?后|，?还是|发现|左右)")
"""What follows the time of something seen while training: 训练10个epoch的时候."""

_SEEN = re.compile(
    r"[,\s]?(?:的|其|在|模型|网络|验证集?|测试集?|训练集?){0,4}(?:准确|精度|损失|loss|acc|map|达到|可达|效果|结果)"
)
"""What follows the time after which something was seen: 训练150轮后准确率达到93%."""

_BETWEEN = re.compile(r"\s?/\s?(?:epoch|轮)|\s?(?:ddim|ddpm|去噪|采样|推理|扩散|交互|对话|反馈|精修|查询)")
"""What follows the time of something that is done within a step or after training."""

_DIFFUSED = re.compile(r"(?:扩散|去噪|噪声|denois\w*|diffusion|ddpm)[^;。\n]{0,50}$")
_SAMPLED = re.compile(r"\s?[,;、]?\s?(?:推理|采样|测试时|inference|sampl|ddim)")
"""What tells of the steps of a diffusion: 扩散调度: 训练用 100 步, 推理用 10 步."""

_OF_TRAINING = re.compile(r"\s?of (?:\w+ )?training\b|的(?:训练|微调)")
_STOPPING = re.compile(
    r"early[ -]stop\w*(?: \w+){0,2} $|上限[为是]?\s?$|"
    r"最近\s?$|(?:sinkhorn|mcts|ransac|icp)[^,;\d]{0,6}$|"
    r"(?:评估|测试|消融|评测|搜索|cooldown|冷却)\s?(?:阶段|实验|时)?[^,;\d]{0,3}$"
)
_LENGTHENED = re.compile(r"\b(?:lengthen|extend|prolong)\w* (?:the )?train\w*[^.,;\d]{0,20}to $")
_REPEATED = re.compile(
    r"(?:through[ -]time|bptt)[^,;\d]*$|\btime $|accumulat|repeat|average|evaluat|"
    r"(?:interval|freq(?:uency)?|\blog(?:ging)?|\bprint(?:ing)?|\bsav(?:e|ing)|checkpoints?)\b[^,;\d]{0,12}$|"
    r"diffusion|denois|sampling|扩散|去噪|推理|交互|"
    r"累积|累加|重复|运行|独立|实验|测试|采样|平均|尝试"
)
"""What is done some times over, and is no length of training: 重复实验10次."""


def _trained_near(board: Board, place: int) -> bool:
    return any(item.is_a("verb", "train") for item in board.items[max(0, place - 5) : place])


def _unit_of_changes(draft: Draft) -> str:
    times = [time for change in draft.every(Change) for time in [*change.at, change.every] if time is not None]
    return next((time.unit for time in times if time.unit), "")


def _in_range(draft: Draft, path: str, fact: Fact, low: float, high: float) -> bool:
    if low <= fact.value < high:
        return True
    draft.remarks.say("out_of_range", path=path, value=shown(fact.value))
    return False


def _put_momentum(draft: Draft) -> None:
    facts = [fact for fact in draft.values("momentum", "nesterov") if not _of_an_average(draft, fact)]
    facts.sort(key=lambda fact: not _beside_optimizer(draft, fact))  # before the momentum of an encoder or a queue
    for fact in facts:
        if fact.key == "nesterov" and isinstance(fact.value, bool):
            draft.state("sgd.nesterov", fact.value, fact)
        elif fact.key == "nesterov":
            draft.state("sgd.nesterov", True, fact)
            if _in_range(draft, "sgd.momentum", fact, 0, 1):
                draft.state("sgd.momentum", float(fact.value), fact)
        elif _in_range(draft, "sgd.momentum", fact, 0, 1):
            earlier = draft.value("sgd.momentum")
            if earlier is not None and earlier != float(fact.value):
                draft.remarks.say("another", path="sgd.momentum", words=draft.words(fact))
            draft.state("sgd.momentum", float(fact.value), fact)
    for fact in draft.of("off"):
        if fact.key == "momentum":
            draft.state("sgd.momentum", 0.0, fact)
        elif fact.key == "nesterov":
            draft.state("sgd.nesterov", False, fact)
        elif fact.key == "dampening":
            draft.state("sgd.dampening", 0.0, fact)
    for fact in draft.values("dampening"):
        if _in_range(draft, "sgd.dampening", fact, 0, 1.0000001):
            draft.state("sgd.dampening", float(fact.value), fact)
    if any(fact.key == "qhm" and not fact.denied for fact in draft.every(Mention)):
        for fact in draft.values("nu"):
            if _in_range(draft, "sgd.nu", fact, 0, 1.0000001):
                draft.state("sgd.nu", float(fact.value), fact)
        beta = BETA.search(draft.text.plain)
        if "sgd.momentum" not in draft.fields and beta is not None:
            draft.put("sgd.momentum", float(beta[1]), "stated", draft.text.words(beta.start(), beta.end()))
        if draft.value("sgd.momentum") and "sgd.dampening" not in draft.fields:
            draft.put("sgd.dampening", draft.value("sgd.momentum"), "implied", DAMPENED)
            draft.put("sgd.undampened_first_step", False, "implied", DAMPENED)
    if draft.value("sgd.nesterov") and "sgd.momentum" not in draft.fields:
        draft.remarks.say("nesterov_without")


_AVERAGES = re.compile(r"running|moving|teacher|\bema\b|statistics|滑动|移动平均|教师|统计量")
_OPTIMIZES = re.compile(
    r"sgd|optimi[sz]|nesterov|learning rate|\blr\b|weight decay|gradient descent|学习率|权重衰减|优化|梯度下降"
)


def _of_an_average(draft: Draft, fact: Value) -> bool:
    """Whether a momentum is that of an average, by what is named nearest to it, in its sentence or right behind it."""
    plain = draft.text.plain
    first = max(plain.rfind(end, 0, fact.start) + len(end) for end in (". ", ";", "\n\n", "\0"))
    ends = [place for end in (". ", ";", "\n\n") if (place := plain.find(end, fact.end)) >= 0]
    last = min(ends, default=len(plain))
    comma = plain.find(",", fact.end, last)

    def apart(pattern: re.Pattern[str], last: int) -> float:
        found = [max(fact.start - m.end(), m.start() - fact.end) for m in pattern.finditer(plain, first, last)]
        return min(found, default=float("inf"))

    return apart(_AVERAGES, last if comma < 0 else comma) < apart(_OPTIMIZES, last)


def _beside_optimizer(draft: Draft, fact: Fact) -> bool:
    return any(named.start <= fact.start < named.reach for named in draft.every(Mention))


def _put_weight_decay(draft: Draft) -> None:
    facts = sorted(draft.values("weight_decay", "l2"), key=lambda fact: draft.text.plain[fact.start] in "\\λ")
    for fact in facts:  # a letter after what is called by its name
        if not 0 <= fact.value < 1:
            draft.remarks.say("out_of_range", path="sgd.weight_decay", value=shown(fact.value))
            continue
        earlier = draft.value("sgd.weight_decay")
        if earlier is not None and earlier != float(fact.value):
            draft.remarks.say("another", path="sgd.weight_decay", words=draft.words(fact))
        draft.state("sgd.weight_decay", float(fact.value), fact)
        if earlier is None and _is_penalty(draft, fact):
            draft.remarks.say("l2_literal", value=shown(fact.value), doubled=shown(2 * fact.value))
    for fact in draft.of("off", "weight_decay", "l2"):
        draft.state("sgd.weight_decay", 0.0, fact)
    if "sgd.weight_decay" not in draft.fields or draft.optimizer not in {"sgd", "lars"}:
        return
    if "decoupled" in draft.text.plain or "解耦" in draft.text.plain:
        place = next(p for p in (draft.text.plain.find("decoupled"), draft.text.plain.find("解耦")) if p >= 0)
        draft.put("sgd.decay", "decoupled", "stated", draft.text.words(place, min(place + 22, len(draft.text.plain))))
    elif draft.value("sgd.weight_decay") != 0:
        draft.put("sgd.decay", "coupled", "implied", "weight decay with SGD is an L2 penalty unless said otherwise")


def _is_penalty(draft: Draft, fact: Fact) -> bool:
    words = draft.text.plain[fact.start : fact.end]
    return "penalty" in words or "惩罚" in words


def _put_factors(draft: Draft) -> None:
    """Put trust ratios and adaptive clipping."""
    for fact in draft.values("agc"):
        if _in_range(draft, "sgd.adaptive_clip", fact, 1e-9, 1e3):
            draft.state("sgd.adaptive_clip", float(fact.value), fact)
            draft.put("sgd.adaptive_clip_by", "unit", "implied", BY_UNIT)
    named = {fact.key for fact in draft.every(Mention) if not fact.denied}
    if draft.optimizer != "sgd" or not named & {"lars", "larc"}:
        return
    for fact in draft.values("trust"):
        if _in_range(draft, "sgd.trust_coefficient", fact, 1e-9, 1e6):
            draft.state("sgd.trust_coefficient", float(fact.value), fact)
    if "larc" in named:
        draft.put("sgd.trust_coefficient", 0.02, "implied", APEX)
        draft.put("sgd.trust_clip", True, "implied", ONLY_LOWER)


def _put_clip(draft: Draft) -> None:
    for fact in draft.values("clip"):
        if 0 < fact.value < 1e6:
            draft.state("train.clip_norm", float(fact.value), fact)
            if fact.per == "sample":
                draft.remarks.say("clip_per_sample", value=shown(fact.value))
    for fact in draft.values("ema"):
        if 0.5 <= fact.value < 1 and not _of_a_target(draft, fact):
            draft.state("train.ema", float(fact.value), fact)
            draft.remarks.say("ema", words=draft.words(fact))


def _of_a_target(draft: Draft, fact: Fact) -> bool:
    """Whether an average is that of a second network, which the first learns from."""
    near = draft.text.plain[max(0, fact.start - 60) : fact.end + 60]
    return re.search(r"target (?:network|critic|actor|model|q)|teacher|教师|目标网络", near) is not None


def _put_setting(draft: Draft, fact: Setting) -> None:
    """Put a setting that is not the optimizer's; of two ways to crop, the first."""
    crops = {"data.augment.crop": "data.augment.resized_crop", "data.augment.resized_crop": "data.augment.crop"}
    earlier = draft.value(fact.key)
    if crops.get(fact.key) in draft.fields:
        return
    if earlier is not None and earlier != fact.value:
        draft.remarks.say("another", path=fact.key, words=draft.words(fact))
    draft.put(fact.key, fact.value, "implied" if fact.implied else "stated", draft.words(fact))


def _put_groups(draft: Draft) -> None:
    """Put the groups, one for each pattern of names; where the names cannot be known, the value goes into a remark."""
    groups: dict[str, int] = {}
    base = next((path for path in RATES if draft.value(path) is not None), None)
    for fact in draft.every(Group):
        match, words = _MATCHES.get(fact.key), draft.words(fact)
        if match is None or (fact.factor and base is None):
            draft.remarks.say("group_unknown", words=words)
            continue
        path = f"groups.{groups.setdefault(match, len(groups))}"
        draft.put(f"{path}.match", match, "implied", words)
        if fact.factor and base is not None:
            draft.put(f"{path}.{fact.what}", tidy(draft.value(base) * fact.value), "implied", words)
        else:
            draft.put(f"{path}.{fact.what}", fact.value, "stated", words)
        draft.remarks.say("group" if fact.value == 0 else "own_group", match=match)


def _put_conventions(draft: Draft) -> None:
    for fact in draft.of("convention"):
        if fact.key == "lr_in_velocity" and fact.value:
            draft.put("sgd.lr_in_velocity", True, "implied", draft.words(fact))
            draft.remarks.say("inside")
