"""Names of the leaves of a pytree, and which settings apply to which leaf.

What lives here: how a path in a pytree becomes the dotted name that patterns of `Group` match, and which leaves belong
to normalisation layers. What does not: matching, which is the core's.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax

from downslope.core.errors import GroupError
from downslope.core.groups import Group, assign_groups


def leaf_name(path: tuple[Any, ...]) -> str:
    """Return the dotted name of a leaf: its keys, attributes and positions, as in ``params.Dense_0.kernel``.

    Args:
        path: Path of the leaf, as `jax.tree_util.tree_flatten_with_path` gives it.

    Example:
        >>> import jax
        >>> leaves, _ = jax.tree_util.tree_flatten_with_path({"params": {"Dense_0": [1.0, {"kernel": 2.0}]}})
        >>> [leaf_name(path) for path, _ in leaves]
        ['params.Dense_0.0', 'params.Dense_0.1.kernel']
    """
    return jax.tree_util.keystr(path, simple=True, separator=".")


def paths_of_variables(tree: Any) -> frozenset[tuple[Any, ...]]:
    """Return the paths at which a tree has flax nnx's variables, around their arrays.

    `nnx.Optimizer` calls `init` with variables, whose arrays have one more name on their path, `value`, and `update`
    with their arrays alone; that name is left out, so that a parameter has one name in both.

    Args:
        tree: The tree.
    """
    nnx = sys.modules.get("flax.nnx")
    kinds = tuple(kind for name in ("Variable", "VariableState") if (kind := getattr(nnx, name, None)) is not None)
    if not kinds:
        return frozenset()
    nodes, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: isinstance(node, kinds))
    return frozenset(path for path, node in nodes if isinstance(node, kinds))


def assign_leaves(groups: Sequence[Group], shapes: Sequence[tuple[str, tuple[int, ...]]]) -> list[int]:
    """Return for each leaf the index of its group, len(groups) where none matches.

    Args:
        groups: The groups; the first that matches wins.
        shapes: Name and shape of each leaf.

    Raises:
        GroupError: If a pattern matches nothing, or two leaves have the same name.
    """
    if not groups:
        return [0] * len(shapes)
    names = [name for name, _ in shapes]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise GroupError(
            f"two parameters are called `{twice[0]}`, so no pattern can tell them apart. A key that holds a dot, "
            "beside nested keys of the same words, makes such names; rename one of them."
        )
    norm_names = {name for name in names if _is_in_norm(name)}
    assigned = assign_groups(groups, dict(shapes), norm_names)
    home = {name: index for index, own in enumerate(assigned) for name in own}
    return [home[name] for name in names]


def _is_in_norm(name: str) -> bool:
    """Whether the leaf lies directly in something called like a normalisation layer, as in ``LayerNorm_0.scale``."""
    words = name.split(".")
    return len(words) > 1 and "norm" in words[-2].lower()
