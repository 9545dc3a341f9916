"""Runs of the table's cases with `downslope.jax.sgd`, shared by the tests of the JAX front door. No test lives here."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cases import CASES, SHAPES, STEPS, Case, gradients, initial_params
from quick_xla import as_shipped

Tree = dict[str, Any]


def nested(flat: Tree) -> Tree:
    """Return {"first.weight": x} as {"first": {"weight": x}}, the way JAX's models keep parameters."""
    tree: Tree = {}
    for name, value in flat.items():
        *homes, last = name.split(".")
        inner = tree
        for home in homes:
            inner = inner.setdefault(home, {})
        inner[last] = value
    return tree


def flat(tree: Tree, prefix: str = "") -> Tree:
    """Return the tree as one dictionary, with dotted names."""
    found: Tree = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def case_params(dtype: Any) -> Tree:
    """Return the table's parameters as a nested tree of JAX arrays."""
    return nested({name: jnp.asarray(param, dtype) for name, param in initial_params(np.float64).items()})


_arrays: dict[Any, Tree] = {}


def case_grads(case: Case, step: int, dtype: Any, *, in_one: bool = False) -> Tree:
    """Return the gradients of a step as a nested tree, None where there is none; or as `joined` would have it.

    The arrays are one for all cases that have gradients at the same steps.
    """
    key = (repr((case.first_gradient, case.every)), step, np.dtype(dtype), jax.config.jax_enable_x64, in_one)
    if key not in _arrays:
        given = gradients(case, step, np.float64)
        if in_one:
            every = np.concatenate([given[name].ravel() for name in SHAPES])
            _arrays[key] = {"all": jnp.asarray(every, dtype)}
        else:
            _arrays[key] = {name: jnp.asarray(given[name], dtype) if name in given else None for name in SHAPES}
    return nested(_arrays[key])


def is_uniform(case: Case) -> bool:
    """Return whether every parameter of a case has the same settings, no norm, and a gradient at every step."""
    return not (case.has_factors or case.groups or case.first_gradient or case.every)


def joined(tree: Tree) -> Tree:
    """Return the tree with all its leaves in one: a uniform case is then the same, and quicker to compile."""
    return {"all": jnp.concatenate([leaf.ravel() for leaf in flat(tree).values()])}


def parted(tree: Tree) -> Tree:
    """Return what `joined` joined, as the tree it was; None stays None."""
    found, start = {}, 0
    for name, shape in SHAPES.items():
        size = math.prod(shape)
        found[name] = None if tree["all"] is None else tree["all"][start : start + size].reshape(shape)
        start += size
    return nested(found)


def apply(params: Tree, updates: Tree) -> Tree:
    """Return the parameters plus their updates, where there is one; `optax.apply_updates` knows no None."""
    return jax.tree.map(
        lambda update, param: param if update is None else (param + update).astype(param.dtype),
        updates,
        params,
        is_leaf=lambda leaf: leaf is None,
    )


def update_and_apply(
    optimizer: optax.GradientTransformation, grads: Tree, state: Any, params: Tree
) -> tuple[Tree, Any]:
    """Return parameters and state after a step by optax's interface, with the arguments of `take_step`."""
    updates, state = optimizer.update(grads, state, params)
    return apply(params, updates), state


def run(
    optimizer: optax.GradientTransformation,
    case: Case,
    dtype: Any,
    *,
    grad_dtype: Any = None,
    jit: bool = True,
    steps: int = STEPS,
    take: Any = update_and_apply,
) -> tuple[Tree, Any]:
    """Take the steps of a case; return parameters and state. A uniform case is run with its leaves in one."""
    pack, unpack = (joined, parted) if is_uniform(case) else (lambda tree: tree, lambda tree: tree)

    def step(params: Tree, state: Any, grads: Tree) -> tuple[Tree, Any]:
        return take(optimizer, grads, state, params)

    params = pack(case_params(dtype))
    state = optimizer.init(params)
    taken = as_shipped(step, donate_argnums=(0, 1)) if jit else step
    for t in range(steps):
        grads = case_grads(case, t, grad_dtype or dtype, in_one=pack is joined)
        params, state = taken(params, state, grads)
    return unpack(params), state._replace(velocity=unpack(state.velocity))


BATCH = 24
"""Cases that are compiled into one program: XLA takes less time for one than for many."""


def batches(cases: Any = CASES) -> list[Any]:
    """Return the cases in parts, as parameters of a test.

    A program is compiled anew whenever another parameter begins to have gradients or has none: cases that share when
    this is are in one part, so that only they are.
    """
    alike: dict[str, list[Case]] = {}
    for case in cases:
        alike.setdefault(repr((case.first_gradient, case.every)), []).append(case)
    parts = [found[start : start + BATCH] for found in alike.values() for start in range(0, len(found), BATCH)]
    return [pytest.param(tuple(part), id=f"{part[0]}...{part[-1]}") for part in parts]


def run_together(
    cases: Sequence[Case], optimizers: Sequence[optax.GradientTransformation], dtype: Any, *, take: Any
) -> list[tuple[Tree, Any]]:
    """Take the steps of some cases, all in one compiled program; return parameters and state of each."""
    packs = [joined if is_uniform(case) else (lambda tree: tree) for case in cases]
    unpacks = [parted if is_uniform(case) else (lambda tree: tree) for case in cases]

    def step(params: list[Tree], states: list[Any], grads: list[Tree]) -> Any:
        given = zip(optimizers, grads, states, params, strict=True)
        return tuple(zip(*(take(*arguments) for arguments in given), strict=True))

    # copies, since each is donated
    params = [jax.tree.map(jnp.copy, pack(case_params(dtype))) for pack in packs]
    states = [optimizer.init(own) for optimizer, own in zip(optimizers, params, strict=True)]
    # where results are held to a bound, quickly; where to bits, as XLA does for users
    compiled = jax.jit if take is update_and_apply else as_shipped
    taken = compiled(step, donate_argnums=(0, 1))
    for t in range(STEPS):
        grads = [case_grads(case, t, dtype, in_one=is_uniform(case)) for case in cases]
        params, states = taken(list(params), list(states), grads)
    return [
        (unpack(own), state._replace(velocity=unpack(state.velocity)))
        for unpack, own, state in zip(unpacks, params, states, strict=True)
    ]
