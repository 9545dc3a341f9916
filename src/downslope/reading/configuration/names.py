"""What a key means by the words it is made of, where no table has it: `sgd_lr_drop_epochs`, `--batch-size-train`."""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = {
    "lr": "lr lrs learningrate learningrates learnrate lrate lrnrate eta",
    "batch": "batch batchsize bs bsz bsize minibatch batchsz",
    "size": "size sz mini effective global",
    "epoch": "epoch epochs",
    "step": "step steps iter iters iteration iterations update updates",
    "warm": "warmup warm warming burnin rampup",
    "decay": "decay decays drop drops dropped reduce reduction anneal annealing adjust adjustment lower shrink "
    "change cut",
    "factor": "factor gamma ratio mult multiplier coef coeff by decrement",
    "rate": "rate",
    "at": "milestone milestones at boundaries boundary when",
    "list": "schedule schedules list points multistep multi",
    "trained": "trained",
    "every": "every interval period freq frequency per each",
    "number": "num n nb number nr no of count",
    "total": "total max maximum overall",
    "first": "init initial base start starting begin basic orig default",
    "last": "min minimum final end last lowest floor",
    "peak": "peak target",
    "momentum": "momentum mom mmt",
    "weight": "weight weights",
    "wd": "wd wdecay weightdecay",
    "l2": "l2 ridge",
    "penalty": "reg regularization regularizer regularisation penalty lambda",
    "nesterov": "nesterov nag",
    "clip": "clip clipping clipped",
    "grad": "grad grads gradient gradients norm gradnorm",
    "label": "label labels",
    "smooth": "smoothing smooth smoothness",
    "accumulate": "accum accu accumulate accumulation accumulations acc",
    "power": "power exponent pow",
    "poly": "poly polynomial",
    "optimizer": "optimizer optim optimiser opt",
    "policy": "policy scheduler sched strategy",
    "named": "name type method mode kind algorithm algo scheme",
    "device": "gpu gpus device card worker replica rank",
    "cosine": "cosine cos cosineannealing",
    "": "train training trn tr learning sgd solver value param params hyper hp use for my main model net network the "
    "arg cfg",
    "elsewise": "clipgradient",  # of MXNet, which clips each element
}
_CLASS = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_LONGEST = max(map(len, _CLASS))

_RULES = (
    ("warmup_epochs", "warm epoch", "lr number total cosine policy"),
    ("warmup_steps", "warm step", "lr number total cosine policy"),
    ("warmup_start", "warm lr first", "last"),
    ("warmup_end", "warm lr peak", ""),
    ("accumulate", "accumulate", "grad step batch number every"),
    ("smoothing", "label smooth", "factor"),
    ("clip", "clip grad", "total factor"),
    ("clip", "total grad", ""),
    ("device_batch", "batch every device", "size"),
    ("batch", "batch", "size total"),
    ("batch", "size batch number of", ""),
    ("weight_decay", "weight decay", "factor rate optimizer l2"),
    ("weight_decay", "wd", "factor rate optimizer l2"),
    ("weight_decay", "l2", "weight factor decay rate penalty"),
    ("strength", "penalty", "weight factor"),
    ("momentum", "momentum", "factor rate optimizer"),
    ("nesterov", "nesterov", "momentum optimizer"),
    ("power", "power", "poly lr decay policy"),
    ("power", "poly factor", "lr decay"),
    ("gamma", "lr factor", "decay rate step epoch optimizer policy list"),
    ("gamma", "lr decay rate", "step epoch optimizer"),
    ("gamma", "decay factor", "step epoch policy list"),
    ("gamma", "list factor", "step epoch policy"),
    ("gamma", "decay rate", "step epoch policy"),
    ("gamma", "policy factor", "step decay"),
    ("every", "lr every", "decay step epoch size policy"),
    ("every", "decay every", "epoch step"),
    ("every", "lr step size", "decay policy"),
    ("every", "policy step size", "decay"),
    ("milestones", "lr at", "decay step epoch list policy"),
    ("milestones", "at", "decay step epoch list policy"),
    ("milestones", "lr step epoch", "decay"),
    ("policy", "lr policy", "decay named"),
    ("policy", "lr named", "decay policy"),
    ("policy", "lr list", "named decay"),
    ("times", "lr decay", "step epoch list"),
    ("times", "lr step", "epoch list"),
    ("times", "lr epoch", "list"),
    ("times", "lr list", ""),
    ("times", "decay epoch", "step list"),
    ("times", "step epoch", "list"),
    ("times", "decay step", "list"),
    ("times", "policy step", "decay list"),
    ("every", "decay epoch", "lr"),
    ("every", "decay step", "lr"),
    ("final", "lr last", "cosine policy optimizer"),
    ("values", "lr list", ""),
    ("lr", "lr", "first peak total optimizer"),
    ("epochs", "epoch trained", "number total"),
    ("epochs", "epoch number", "total"),
    ("epochs", "epoch total", "number"),
    ("steps", "step number", "total"),
    ("steps", "step total", "number"),
    ("policy", "policy", "named list"),
    ("cosine", "cosine", "lr policy decay list step"),
    ("optimizer", "optimizer", "named"),
)
"""A concept, the words it must have, and those it may have besides; of several the first whose value fits counts."""

_SPLIT = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+\d?(?![a-z])|[A-Z]?[a-z]+|[A-Z]|\d+")


@lru_cache(maxsize=4096)
def concepts_of(key: str) -> tuple[str, ...]:
    """Return what a key may mean, the likeliest first; nothing where any of its words is not known.

    Example:
        >>> concepts_of("lr-decay-epochs"), concepts_of("batchSizeTrain"), concepts_of("val_batch_size")
        (('times', 'every'), ('batch',), ())
    """
    words = [word.lower() for word in _SPLIT.findall(key)]
    joined = "".join(words)
    if len(joined) > 60 or len(joined) != sum(character.isalnum() for character in key):
        return ()
    kinds = _kinds(joined)
    if not kinds:
        return ()
    return tuple(dict.fromkeys(concept for concept, *told in _RULES if _has(kinds, *told)))


def _has(kinds: frozenset[str], needed: str, allowed: str) -> bool:
    must = set(needed.split())
    return must <= kinds <= must | set(allowed.split())


def _kinds(joined: str) -> frozenset[str]:
    """Return the kinds of words that a key is made of, as few words as possible; none where it is not."""
    best: list[tuple[str, ...] | None] = [(), *[None] * len(joined)]
    for end in range(1, len(joined) + 1):
        for start in range(max(0, end - _LONGEST), end):
            before, word = best[start], joined[start:end]
            if before is not None and word in _CLASS:
                made = (*before, _CLASS[word])
                known = best[end]
                if known is None or len(made) < len(known):
                    best[end] = made
    return frozenset(best[-1] or ()) - {""}
