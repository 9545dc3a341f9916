"""Names of parameters without what wrappers put into them, so that a wrapped model and the bare one are the same.

``torch.compile``, data parallelism, sharding and activation checkpointing each hold the module they wrap in an
attribute, whose name then stands in the name of every parameter below it. States are matched by name, and groups chosen
by name, so all of them ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from downslope.core.errors import GroupError

_HELD = frozenset(
    {
        "_orig_mod",  # torch.compile
        "_checkpoint_wrapped_module",  # torch's activation checkpointing
        "_fsdp_wrapped_module",  # the first FullyShardedDataParallel
        "_dmp_wrapped_module",  # torchrec
        "_forward_module",  # Lightning Fabric
        "_module",  # Opacus
    }
)
"""Attributes in which wrappers hold the wrapped module at any depth; nobody calls a layer of their own so."""

_AROUND = "module."
"""What DistributedDataParallel, DataParallel, DeepSpeed and AveragedModel put before every name of a model."""


_DEEPEST = 3
"""How many parts a prefix may have that one of two models has before its names."""


def without_wrappers(names: Iterable[str], around: str | None = None) -> list[str]:
    """Return parameter names without the parts that wrappers put in.

    "module." may be a layer of the model's own: it is taken off the front only where every name begins with it. Where
    two names would become one, all are returned as they are.

    Args:
        names: The names of all parameters, in any order.
        around: What is known to stand before every name, such as "module."; None to find out from the names.

    Example:
        >>> without_wrappers(["module._orig_mod.first.weight", "module._orig_mod.module.weight"])
        ['first.weight', 'module.weight']
    """
    given = list(names)
    inner = [_without_held(name) for name in given]
    prefix = _prefix(inner) if around is None else around
    if not all(name.startswith(prefix) for name in inner):
        prefix = ""
    bare = [name.removeprefix(prefix) for name in inner]
    return bare if len(set(bare)) == len(set(given)) else given


def prefix_of_wrappers(names: Sequence[str]) -> str:
    """Return what wrappers put before each of these names: "module.", several times where they are nested, or none."""
    return _prefix([_without_held(name) for name in names])


def pair_names(
    here: Sequence[str], there: Sequence[str], fits: Callable[[str, str], bool]
) -> tuple[dict[str, str], str]:
    """Return the name there of each name here that is there too, of two models of which one may lie in the other.

    What wrappers put in counts nowhere. Where the names of one side, or some of them, follow a prefix, it is the one by
    which the most pairs fit.

    Args:
        here: The names of one model.
        there: Those of the other.
        fits: Whether what two names stand for fits, such as by its shape.

    Returns:
        The pairs, and which names follow what in words, or "".

    Raises:
        GroupError: If several prefixes do equally well.

    Example:
        >>> pair_names(["trunk.1.weight", "head.weight"], ["1.weight", "fc.weight"], lambda mine, theirs: True)
        ({'trunk.1.weight': '1.weight'}, 'follow `trunk.` here')
    """
    mine = dict(zip(without_wrappers(here), here, strict=True))
    theirs = dict(zip(without_wrappers(there), there, strict=True))
    best: dict[str, str] = {}
    fitting: dict[str, str] = {}
    words, ways = "", 1
    for before_mine, before_theirs in _prefixes(list(mine), list(theirs)):
        bare = {name.removeprefix(before_mine): name for name in mine if name.startswith(before_mine)}
        pairs = {mine[name]: theirs[before_theirs + n] for n, name in bare.items() if before_theirs + n in theirs}
        fit = {a: b for a, b in pairs.items() if fits(a, b)}
        if len(fit) > len(fitting) or not best:
            best, fitting, ways = pairs, fit, 1
            sides = ((before_mine, "here"), (before_theirs, "there"))
            words = " and ".join(f"`{prefix}` {side}" for prefix, side in sides if prefix)
            if not words and len(fit) == len(mine):
                break
        elif words and len(fit) == len(fitting) and fit != fitting:
            ways += 1
    if not best or not words:
        return best, ""
    if ways > 1:
        raise GroupError(
            f"its names fit in {ways} ways, one of which is that they follow {words}. Rename those of one side."
        )
    return best, f"follow {words}"


def _prefixes(here: Sequence[str], there: Sequence[str]) -> list[tuple[str, str]]:
    """Return what may stand before names here and there: nothing; a prefix of some; one of all on the other side."""
    (some_here, all_here), (some_there, all_there) = _heads(here), _heads(there)
    ways = [("", ""), *((a, "") for a in some_here), *(("", b) for b in some_there)]
    ways += [(a, b) for a in all_here for b in some_there] + [(a, b) for a in some_here for b in all_there]
    return list(dict.fromkeys(ways))


def _heads(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the beginnings of names, such as "network.", and those that all of them have."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        for depth in range(1, min(len(parts) - 1, _DEEPEST) + 1):
            head = ".".join(parts[:depth]) + "."
            counts[head] = counts.get(head, 0) + 1
    return list(counts), [head for head, count in counts.items() if count == len(names)]


def _without_held(name: str) -> str:
    *path, last = name.split(".")
    return ".".join([*(part for part in path if part not in _HELD), last])


def _prefix(names: Sequence[str]) -> str:
    prefix = ""
    while names and all(name.startswith(prefix + _AROUND) for name in names):
        prefix += _AROUND
    return prefix
