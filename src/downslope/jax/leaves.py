"""The leaves of the trees that meet in a step: their names, which group each is in, and the checks that they fit."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from downslope.core.errors import GroupError, SettingsError, StateError
from downslope.core.groups import Group, assign_groups
from downslope.core.shown import shown
from downslope.jax.blocks import (
    INT8,
    CodedVelocity,
    as_coded,
    check_can_be_coded,
    check_codes,
    is_worth_codes,
    zero_codes,
)

NamedLeaf = tuple[str, Any]


def is_hole(leaf: Any) -> bool:
    """Return whether a place in a tree holds nothing: None, or what `optax.masked` puts where it looks away."""
    return leaf is None or isinstance(leaf, optax.MaskedNode)


def named_leaves(tree: Any) -> tuple[list[NamedLeaf], Any]:
    """Return the leaves of a tree with their names, holes included, and its structure."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_hole)
    within = paths_of_variables(tree)
    return [(leaf_name(path[:-1] if path[:-1] in within else path), leaf) for path, leaf in leaves], structure


def leaf_name(path: tuple[Any, ...]) -> str:
    """Return the dotted name of a leaf: its keys, attributes and positions, as in ``params.Dense_0.kernel``.

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
    """
    nnx = sys.modules.get("flax.nnx")
    kinds = tuple(kind for name in ("Variable", "VariableState") if (kind := getattr(nnx, name, None)) is not None)
    if not kinds:
        return frozenset()
    nodes, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: isinstance(node, kinds))
    return frozenset(path for path, node in nodes if isinstance(node, kinds))


def assign_leaves(groups: Sequence[Group], shapes: Sequence[tuple[str, tuple[int, ...]]]) -> list[int]:
    """Return for each leaf the index of its group, len(groups) where none matches.

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


def leaves_beside(grads: Sequence[NamedLeaf], structure: Any, tree: Any, what: str) -> list[Any]:
    """Return what stands in `tree` in the place of each gradient; None everywhere if there is no tree.

    Raises:
        SettingsError: If it has another structure.
    """
    if tree is None:
        return [None] * len(grads)
    try:
        leaves = [as_coded(leaf) for leaf in structure.flatten_up_to(tree)]
    except (ValueError, TypeError, KeyError):
        leaves = None
    if leaves is None or not all(
        is_hole(grad) or is_hole(leaf) or isinstance(leaf, CodedVelocity) or jax.tree_util.all_leaves([leaf])
        for (_, grad), leaf in zip(grads, leaves, strict=True)
    ):
        theirs = jax.tree_util.tree_structure(tree, is_leaf=is_hole)
        raise SettingsError(
            f"the gradients and {what} are trees of different structure: {structure} and {theirs}. "
            "Pass gradients of the structure of the tree that `init` was called with."
        )
    return leaves


def check_params(named: Sequence[NamedLeaf]) -> None:
    """Raise `SettingsError` unless every parameter is an array of floating or complex numbers, or a hole."""
    for name, leaf in named:
        if is_hole(leaf):
            continue
        dtype = _dtype_of(leaf)
        if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
            kind = f"a value of type {type(leaf).__name__}" if dtype is None else f"one of {dtype}"
            way = "Keep what is not trained out of the tree, or hide it with optax.masked."
            if dtype is None and callable(leaf):
                way = "Of an equinox module pass the arrays alone: eqx.filter(model, eqx.is_inexact_array)."
            raise SettingsError(
                f"parameter {_quoted(name)} must be an array of floating or complex numbers; got {kind}. {way}"
            )


def check_gradient(name: str, grad: Any, param: Any, velocity: Any, *, has_params: bool, has_velocity: bool) -> None:
    """Raise unless a gradient fits its parameter and its velocity.

    Raises:
        SettingsError: If the gradient's kind or shape is not that of the parameter.
        StateError: If the state does not hold a velocity of that shape where it must.
    """
    dtype = _dtype_of(grad)
    if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
        kind = type(grad).__name__ if dtype is None else str(dtype)
        raise SettingsError(
            f"the gradient of {_quoted(name)} must hold floating or complex numbers; got {kind}. "
            "Pass None for a parameter that has no gradient."
        )
    if has_params and is_hole(param):
        raise SettingsError(f"there is a gradient of {_quoted(name)}, and {param!r} in its place among the parameters.")
    kept = velocity.codes if isinstance(velocity, CodedVelocity) else velocity
    beside = kept if param is None else param
    if beside is not None and jnp.shape(beside) != jnp.shape(grad):
        raise SettingsError(
            f"the gradient of {_quoted(name)} has shape {jnp.shape(grad)}, the "
            f"{'velocity' if param is None else 'parameter'} {jnp.shape(beside)}. They must be equal."
        )
    if isinstance(velocity, CodedVelocity):
        check_codes(_quoted(name), grad, velocity)
    if beside is not None and jnp.iscomplexobj(grad) and not jnp.iscomplexobj(beside):
        raise SettingsError(
            f"the gradient of {_quoted(name)} is complex, the parameter real: its imaginary part would be lost."
        )
    if velocity is None and has_velocity:
        raise StateError(
            f"the state has no velocity for {_quoted(name)}, which has momentum. Make the state with `init` of this "
            "optimizer; for a momentum that is 0 now and changes later, pass a schedule or a scalar array."
        )
    if kept is not None and jnp.shape(kept) != jnp.shape(grad):
        raise StateError(
            f"the velocity of {_quoted(name)} has shape {jnp.shape(kept)}, the gradient {jnp.shape(grad)}. "
            "Make the state with `init` of this optimizer and these parameters."
        )


def check_state(state: Any) -> None:
    """Raise `StateError` unless `state` is one of `sgd`'s."""
    if not (hasattr(state, "count") and hasattr(state, "velocity") and hasattr(state, "started")):
        raise StateError(
            f"the state must be the SGDState that `init` returned; got a {type(state).__name__}. The order is "
            "update(grads, state, params)."
        )


def checked_velocity_dtype(dtype: Any) -> Any:
    """Return `dtype` if it is None, "int8" or a format of at least 16 bits, floating or complex.

    Raises:
        SettingsError: If it is anything else.
    """
    if dtype is None:
        return None
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found == jnp.int8:
        return INT8
    if found is None or not jnp.issubdtype(found, jnp.inexact) or found.itemsize < 2:
        raise SettingsError(
            f'`velocity_dtype` must be None, "int8", or a floating format such as jnp.float32; got {dtype!r}.'
        )
    return found


def zeros_for(name: str, param: Any, dtype: Any) -> jax.Array | CodedVelocity:
    """Return the velocity that a parameter starts with.

    Args:
        name: Name of the parameter.
        param: The parameter.
        dtype: The format that was asked for, or None for the parameter's own. A complex parameter has its complex
            counterpart, a real one its real counterpart. "int8" for codes, of a small parameter for float32.

    Raises:
        SettingsError: If JAX does not have it: float64 while 64 bits are switched off, or complex numbers of 16 bits;
            and if codes are asked for of a parameter that can have none.
    """
    if isinstance(dtype, str):
        check_can_be_coded(_quoted(name), param)
        return zero_codes(_quoted(name), param) if is_worth_codes(param) else jnp.zeros_like(param, dtype=jnp.float32)
    return jnp.zeros_like(param, dtype=_velocity_format(name, param, dtype))


def _velocity_format(name: str, param: Any, dtype: Any) -> Any:
    own = jnp.asarray(param).dtype
    if dtype is None:
        return own
    is_complex = jnp.issubdtype(own, jnp.complexfloating)
    if is_complex and not jnp.issubdtype(dtype, jnp.complexfloating):
        counterpart = {"float32": jnp.complex64, "float64": jnp.complex128}.get(dtype.name)
        if counterpart is None:
            raise SettingsError(f"{_quoted(name)} is complex, and there are no complex numbers of {dtype}.")
        dtype = jnp.dtype(counterpart)
    elif not is_complex:
        dtype = jnp.finfo(dtype).dtype  # of a complex format, the real one of the same precision
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise SettingsError(
            f"`velocity_dtype` {dtype} needs 64 bits, which JAX has switched off. Use "
            'jax.config.update("jax_enable_x64", True) at the start, or jnp.float32.'
        )
    return dtype


def _dtype_of(leaf: Any) -> Any:
    """Return the format of an array or a Python float, None for anything else."""
    if isinstance(leaf, float | complex):
        return jnp.result_type(leaf)
    return getattr(leaf, "dtype", None)


def _quoted(name: str) -> str:
    return f"`{shown(name)}`" if name else "(the only one)"
