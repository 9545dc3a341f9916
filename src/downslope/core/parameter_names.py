"""Names of parameters without what wrappers put into them, so that a wrapped model and the bare one are the same.

``torch.compile``, data parallelism, sharding and activation checkpointing each hold the module they wrap in an
attribute, whose name then stands in the name of every parameter below it. States are matched by name, and groups chosen
by name, so all of them ask here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def _without_held(name: str) -> str:
    *path, last = name.split(".")
    return ".".join([*(part for part in path if part not in _HELD), last])


def _prefix(names: Sequence[str]) -> str:
    prefix = ""
    while names and all(name.startswith(prefix + _AROUND) for name in names):
        prefix += _AROUND
    return prefix
