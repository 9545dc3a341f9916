"""What a key means that no table has: by the words that it is made of, all of which must be understood."""

from __future__ import annotations

from functools import lru_cache

from downslope.reading.configuration.entries import squeezed

_WORDS = {
    "lr": "lr learningrate learnrate lrate",
    "momentum": "momentum mom",
    "decays": "weightdecay wdecay wd l2",
    "nesterov": "nesterov",
    "dampening": "dampening",
    "batch": "batchsize batchsz minibatchsize",
    "warm": "warmup warm",
    "clip": "clip clipping",
    "gradient": "grad grads gradient gradients",
    "norm": "norm l2norm",
    "smooth": "smoothing smooth",
    "label": "label labels",
    "poly": "poly polynomial",
    "power": "power exponent",
    "cosine": "cos cosine",
    "optimizer": "optimizer optimiser optim opt solver",
    "gathers": "accum accumulate accumulation",
    "change": "decay decays decayed drop drops change changes adjust adjustment reduce reduction decrease lower shrink "
    "anneal annealing step stepping steplr cut divide",
    "schedule": "schedule scheduler sched policy strategy",
    "factor": "factor gamma ratio rate mult multiplier coef coefficient",
    "divisor": "by divisor div",
    "gamma": "gamma",
    "milestone": "milestone milestones multistep multisteps",
    "epoch": "epoch epochs ep",
    "step": "step steps iter iters iteration iterations update updates",
    "epochs": "epochs",
    "training": "train training",
    "thing": "img imgs ims image images sample samples train",
    "whole": "batch",
    "at": "at boundary boundaries point points times list",
    "every": "every interval period freq frequency each size per",
    "fall": "decay drop reduction reduce decrease anneal annealing",
    "first": "init initial start starting begin base min",
    "last": "min minimum end ending final last lowest floor",
    "start": "init initial start starting base max peak",
    "part": "ratio proportion fraction frac pct percent",
    "count": "num n nb number of max maximum total count trained",
    "size": "global total mini effective",
    "kind": "type name method kind class",
    "manner": "scheme style mode function fn",
    "worth": "value factor coef coefficient rate weight strength lambda lambd reg regularization regularizer penalty",
    "on": "use is enable enabled with",
    "long": "length duration period linear",
    "own": "sgd optim optimizer opt optimiser train training main model net network default my param params hparam hp "
    "cfg config args the learning student",
}
"""A sort of words -> the words."""

_RULES = """
lr: lr | start own
final: lr last | own
momentum: momentum | worth own
weight_decay: decays | worth own
nesterov: nesterov | on momentum own
dampening: dampening | own
batch: batch | size own
batch: thing every whole | own
epochs: epochs | count own
epochs: epoch count | count own
steps: step count | count own
steps: step training | count own
policy: lr schedule | kind manner own
policy: lr schedule kind | change own
policy: lr schedule manner | change own
policy: lr change kind | own
policy: lr change manner | own
policy: schedule kind | own
policy: schedule manner | own
gamma: gamma | lr change schedule milestone own
gamma: lr change factor | schedule own
gamma: schedule change factor | own
divisor: lr change factor | schedule own
divisor: lr change divisor | own
milestones: milestone | lr change schedule epoch step at own
times: lr change epoch | schedule at own
times: lr change step | schedule at own
times: lr change at | schedule own
times: schedule change epoch | at own
every: lr change every | schedule epoch step own
every: schedule change every | epoch step own
every: fall every epoch | count lr own
every: fall every step | count lr own
warmup_epochs: warm epoch | lr count long schedule own
warmup_steps: warm step | lr count long schedule own
warmup_start: warm lr first | own
warmup_ratio: warm part | lr step epoch own
warmup_factor: warm factor | lr first own
clip: clip norm | gradient count size worth own
clip: gradient norm count | own
smoothing: label smooth | worth own
power: poly power | lr change schedule own
optimizer: optimizer kind | own
cosine: cosine | lr change schedule on own
accumulate: gathers gradient | step count own
accumulate: gathers step | count own
"""
"""A concept, the sorts of words that its key must have, and those that it may have besides."""

_SORTS: dict[str, set[str]] = {}
for _sort, _listed in _WORDS.items():
    for _word in _listed.split():
        _SORTS.setdefault(_word, set()).add(_sort)
_LONGEST = max(map(len, _SORTS))


def _rule(line: str) -> tuple[str, list[str], frozenset[str]]:
    concept, _, rest = line.partition(": ")
    needed, _, besides = rest.partition(" | ")
    return concept, needed.split(), frozenset(besides.split())


_READ = [_rule(line) for line in _RULES.split("\n") if line]


@lru_cache(maxsize=4096)
def concepts_of(key: str) -> tuple[str, ...]:
    """Return what a key may mean, by its words; which of these, its value tells.

    Example:
        >>> concepts_of("TOTAL_TRAINING_EPOCHS"), concepts_of("epoch_lr_milestones"), concepts_of("bn_momentum")
        (('epochs',), ('milestones',), ())
    """
    words = _parted(squeezed(key))
    if not words:
        return ()
    return tuple(dict.fromkeys(concept for concept, needed, besides in _READ if _fits(words, needed, besides)))


def _parted(key: str) -> tuple[str, ...]:
    """Return the fewest known words that a squeezed key is made of; () where it is not."""
    if len(key) > 48:
        return ()
    ways: list[tuple[str, ...] | None] = [()]
    for end in range(1, len(key) + 1):
        found: tuple[str, ...] | None = None
        for start in range(max(0, end - _LONGEST), end):
            before, word = ways[start], key[start:end]
            if before is not None and word in _SORTS and (found is None or len(before) + 1 < len(found)):
                found = (*before, word)
        ways.append(found)
    return ways[-1] or ()


def _fits(words: tuple[str, ...], needed: list[str], besides: frozenset[str]) -> bool:
    """Return whether each sort that is needed is some word's, another's each, and the rest may stand beside."""
    if not needed:
        return all(_SORTS[word] & besides for word in words)
    return any(
        needed[0] in _SORTS[word] and _fits((*words[:place], *words[place + 1 :]), needed[1:], besides)
        for place, word in enumerate(words)
    )
