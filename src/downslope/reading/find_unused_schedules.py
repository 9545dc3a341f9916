"""Schedules that a text names and does not use: in ablations, advice, plans, choices, of others, of other things."""

from __future__ import annotations

import re
from bisect import bisect_left

from downslope.reading.facts import Board
from downslope.reading.patterns import Pattern

_RATED = Pattern("concept:lr (is|mod|word|to|with|at|open|optimizer){0,4} number|number concept:lr")
_CHANGES = ("reduce", "divide", "multiply", "halve")
_OTHERS = re.compile(
    r"(?:^|(?<=[,;(]))(?: ?(?:the|our|its|all|this|a|and|while|whereas|but|here|in the paper))* ?"
    r"(?:teachers?|pre-?trained|baselines?|original|competing|competitors?)(?: (?!student)\w+)? "
    r"(?:(?:is|was|were|are|has been|have been) (?:pre-?)?trained|uses?|used|follows|followed|employ(?:s|ed))\b"
    r"|\bfor (?:the |our |all )?(?:baselines?|teachers?)(?: (?:model|network|method)s?)?,"
    r"|\b(?:paper|repo\w*|readme|authors?|tutorial|official (?:code|implementation)) "
    r"(?:says?|claims?|mentions?|suggests?|reports?|uses?|used)\b"
)
"""Who else than the text's own network is trained."""

_UNREAL = re.compile(
    r"\bif you (?:want|wish|like|prefer|need|have)|\b(?:could|might) (?:also )?(?:try|help|be)\b|\bshould (?:i|we)\b"
    r"|\byou (?:can|could|may|might|should) (?:also )?(?:try|lower|reduce|decay|decrease|use|switch|drop|divide|adjust)"
    r"|\b(?:did|have|do) you (?:try|tried|use)|\bconsider (?:using|adding|lowering|a)\b|\bwhat (?:if|about)\b"
    r"|\btry (?:using|lowering|reducing|adding|to|with|a)\b|\b(?:maybe|perhaps)\b|\bwould (?:it|you|a)\b"
    r"|\b(?:recommend|suggest)\w*|\bto-?do\b|\[ \]|\bfuture work\b|\bnot (?:yet )?(?:implemented|supported)\b"
    r"|\b(?:i|we)(?:'ll| will| plan to| want to| intend to| am going to| are going to|'m going to) "
    r"(?:then |also |next |now |soon )?(?:try|test|experiment|explore|add|implement|compare|investigate)"
    r"|\b(?:we|i) (?:also )?(?:compared?|investigated?|study|studied|analy[sz]ed?|examined?|evaluated?|explored?)\b"
    r"|\b(?:effect|influence|impact|comparison)s? (?:of|between)\b|\bcompared (?:with|to)\b|\boutperform"
    r"|\bperform\w*(?: \w+)? (?:better|worse|similarly)|\b(?:higher|lower|better|worse) (?:accuracy|error|results?)\b"
    r"|\b(?:improves?|gains?|gives?|yields?|reach\w*|achiev\w*|obtain\w*) (?:[\w.]+ ){0,4}[\d.]+ ?(?:%|point|percent)"
)
"""Words of a sentence that asks, advises, plans or compares."""

_ABLATION = re.compile(
    r"\b(?:in|for) (?:the|our|this|an|these|another) (?:\w+ )?ablations?\b|\bablat\w+ (?:of|on|over)\b"
)
_OWN = re.compile(
    r"(?<!should )(?<!could )(?<!can )(?<!did )(?<!do )(?<!would )(?<!if )"
    r"\b(?:we|i) (?:(?:then|therefore|also|always|thus|hence|only|finally) )?(?:use|used|adopt\w*|employ\w*|train\w*|"
    r"set|decay\w*|keep|chose|choose|divide\w*|reduce\w*|apply|applied|follow\w*)\b|\bfair\b"
)
"""How the text's own training is told of, whatever else a sentence holds."""

_OFFERED = re.compile(
    r"\b(?:support\w*|available|options?|choices?|choose|can be|one of|either|implement\w*|such as|e\.g|like|between|"
    r"etc|various|different)\b"
)
_RESULT = Pattern("open schedule (concept|word){0,2} close is? number")
_KINDS = (
    r"(?:discount|scaling|loss|smoothing|balancing|weighting|exploration|sampling|dropout|mutation|pruning|forcing)"
)
_THINGS = (
    r"(?:weights?(?! decays? (?!by|linear|exp|from|to))|coefficients?|ratios?|temperature|probabilit(?:y|ies)|levels?|"
    r"margins?|strengths?|sparsity|radius|lengths?|accurac(?:y|ies)|(?:training |run-?|wall-clock )time|errors?|"
    r"loss(?:es)?|noise|threshold|penalty|dropout|resolutions?|sizes?|scales?|variance|std|scores?|memory|costs?|"
    r"rewards?|perplexity|entropy|difficulty|epsilon|exploration|ema(?: decay)?|"
    r"(?:target|teacher) decay|(?:(?:batch[ -]?norm(?:ali[sz]ation)?|bn|target|teacher|encoder) )?momentum|"
    rf"masking|mask|[αβγεκλμσςτωϵ](?:_\{{?\w{{1,4}}\}}?)?|beta|lambda|sigma|tau|kappa|{_KINDS} (?:factor|rate|term)s?)"
)
"""What has a course of its own in many trainings."""

_NOUN = (
    r"(?:(?!(?:learning|lr|step|stepsize|batch|training|number|epochs?|decay)\b(?! time)|weight decay\b|"
    rf"(?:and|or|with|the)\b)[a-z'-]+ ){{0,3}}?(?<!step )(?<!batch ){_THINGS}"
    r"(?: (?:epsilon|[a-zα-ω]|of (?!learning|lr)(?:the )?(?:[\w-]+ ?){1,3}?))?"
)
_CURVE = r"(?:an? )?(?:\w+ )?(?:cosine|linear|polynomial|exponential|step(?:wise)?|poly)\b"
_FALLS = (
    r"(?:decay(?:s|ed)|anneal(?:s|ed)|reduc(?:es|ed)|decreas(?:es|ed)|increas(?:es|ed)|shrinks?|shrunk|grows?|"
    r"drop(?:s|ped)?|ramp(?:s|ed)?|warm(?:s|ed)|multiplied|divided|halved|doubled|lowered|raised|scheduled|varied|"
    r"falls?|starts? (?:from|at))"
)
_HOW = r"(?:linear|exponential|by|to|from|over|every|at|in|during|after|with|using|follow)"
_ANOTHERS = (
    re.compile(
        r"(?:^|(?<=[,;] )|(?<=\band )|(?<=\bwhile ))\s*(?:(?:the|our|an?|its|this|and|while|then|here|where) )*"
        rf"(?!momentum (?!follow|use)|weights (?:are|were) decay){_NOUN} (?:(?:(?:is|are|was|were|will be|has been) )?"
        rf"(?:(?:then|also|\w+ly) ){{0,2}}{_FALLS}\b"
        rf"|(?:follow(?:s|ed|ing)?|us(?:es|ed)|(?:is|are) (?:set|chosen) by) {_CURVE})"
    ),
    re.compile(
        r"\b(?:\w+ly )?(?<!weight[ -])(?!decay (?:coefficient|ratio|strength)s?\b)"
        r"(?:decay|anneal|reduc|decreas|increas|ramp|halv|doubl|lower|rais|warm)(?:e|es|ed|ing|s)?"
        rf"(?: up| down)? (?:the |our )?(?!momentum){_NOUN}(?= {_HOW}|[,.;]|$)"
    ),
    re.compile(
        r"\b(?:(?:cosine|linear|polynomial|exponential|step) )?"
        r"(?:schedule|(?<!weight )decay|annealing|warm-?up|ramp-?up) "
        rf"(?:is (?:used|applied) )?(?:for|of|on) (?:the |our )?{_NOUN}\b"
    ),
    re.compile(r"\baverag\w*[^.;]{0,60}\bexponential(?:ly)? decay"),
)
"""How it falls, rises or follows a curve: "the temperature is annealed linearly"."""

_CLAUSE_ENDS = re.compile(
    r"[;\n]|\.(?!\d)|,? (?:and|while|but|whereas) (?:the |our |an? |its )?(?:initial |base )?"
    r"(?:learning|lr|we|sgd|step size)|, (?:the |with |and |we |a |an |our |initial )*(?:learning rate|lr\b|we\b|sgd)"
)
_CHANGE = re.compile(
    r"schedul|decay|anneal|cosin|linear|poly|exponent|warm|ramp|step|lower|reduc|decreas|increas|divid|drop|halv|multipl|lr\b"
)
_LR = re.compile(r"learning rate|\blrs?\b|step[ -]?size|学习率")


def find_unused_schedules(board: Board) -> None:
    """Leave out schedules of sentences that do not tell what is done, where another one gives the learning rate."""
    if not _CHANGE.search(board.text.plain):
        return
    _leave_things(board)
    plain, code = board.text.plain, board.code()
    sentences = board.sentences()
    rated = [next(_RATED.find(code, first, last), None) is not None for first, last in sentences]
    for index, (first, last) in enumerate(sentences):
        items = board.items[first:last]
        named = {i.key for i in items if i.kind == "schedule" and i.key != "constant"}
        changed = any(i.is_a("verb", *_CHANGES) or i.is_a("concept", "warmup", "lr_decay") for i in items)
        if not (named or changed) or (sum(rated) == rated[index] and (rated[index] or len(named) < 2)):
            continue
        start, end = board.items[first - 1].end if first else 0, items[-1].end
        words = plain[start:end]
        theirs = _OTHERS.search(words)
        if sum(rated) == rated[index]:
            board.used.update(range(first, last) if _is_choice(words, named) else ())
        elif theirs is not None:
            own = _OWN.search(words, theirs.start())
            until = start + own.start() if own else end
            board.used.update(p for p in range(first, last) if start + theirs.start() <= board.items[p].start < until)
        elif rated[index]:
            continue
        elif _ABLATION.search(words) or (_is_unreal(words, named) and not _OWN.search(words)):
            board.used.update(range(first, last))
        else:
            board.used.update(p for match in _RESULT.find(code, first, last) for p in range(match.first, match.after))


def _is_unreal(words: str, named: set[str]) -> bool:
    """Whether words ask, advise, plan or compare, or name several schedules to choose from."""
    return _is_choice(words, named) or _UNREAL.search(words) is not None


def _is_choice(words: str, named: set[str]) -> bool:
    return len(named) > 2 or (len(named) > 1 and _OFFERED.search(words) is not None)


def _leave_things(board: Board) -> None:
    """Leave out what falls, rises or follows a curve and is no learning rate."""
    plain = board.text.plain
    starts = [item.start for item in board.items]
    for first, last in board.sentences() if _LR.search(plain) else ():
        start, end = board.items[first - 1].end if first else 0, board.items[last - 1].end
        words = plain[start:end]
        for match in (match for pattern in _ANOTHERS for match in pattern.finditer(words)):
            if _LR.search(match.group()):
                continue
            stop = _CLAUSE_ENDS.search(words, match.end())
            left = bisect_left(starts, start + match.start())
            right = bisect_left(starts, start + stop.start() if stop else end)
            board.used.update(p for p in range(left, right) if not board.items[p].is_a("concept", "ema", "batch"))
