"""States of JAX's optimizers as trees: nested tables as files give them back, without JAX.

A tree is what flax's msgpack and orbax's folders hold: tables by name, of tuples and lists by place, down to arrays.
A flax `TrainState` has params, opt_state and step; a state of optax is a tuple with a trace somewhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from downslope.converting.snapshot import Snapshot
from downslope.converting.which_optimizer import OPTAX_WORDS, choose, optax_optimizer, refusal
from downslope.core.blocks import BLOCK, blocks_of, decode
from downslope.core.errors import StateError
from downslope.core.shown import shown
from downslope.systems.convention import Convention
from downslope.systems.table import find_convention

_PARAMS, _STEP, _COUNT, _STARTED = "params", "step", "count", "started"
_AVERAGE = "average"
"""Of downslope.jax.AveragingSGDState."""
_CODES, _SCALES = "codes", "scales"
"""Of a velocity of 8 bits, as downslope.jax.CodedVelocity has them."""

_DEEPEST, _MOST = 200, 1_000_000
"""Levels and entries that a tree may have."""

Path = tuple[str, ...]


def snapshot_of_tree(tree: Any, convention: str, what: str, optimizer: str | None = None) -> Snapshot:
    """Return what a tree holds.

    Args:
        tree: The tree; a leaf is an array, a number or None.
        convention: Whose velocities they are: "optax", or "downslope" for `downslope.jax.sgd`.
        what: What it is from, for messages.
        optimizer: Which state, where there are several: its number, or where it is, such as "opt_state.0.trace".

    Raises:
        StateError: If it has no state with velocities in it, several of which none was chosen, or an array of another
            kind than numbers.
    """
    row = find_convention(convention)
    tops = _as_table(tree, what, [0], 0)
    if not isinstance(tops, dict):
        raise StateError(f"{what}: holds {type(tree).__name__}, not a tree with the state of an optimizer.")
    found = list(_states(tops, row.state_key, ()))
    needed = f"one state with a `{row.state_key}`, which is what {row.title} calls its velocities"
    if not found:
        raise StateError(_why_none(tops, row, what, needed))
    names = [".".join((*place, row.state_key)) for place, _ in found]
    place, state = found[choose(names, optimizer, what, needed)]
    table, place = _training_around(tops, place)
    params = table.get(_PARAMS)
    is_state = isinstance(params, dict)  # else "params" may be a branch of the velocities themselves
    notes: list[str] = []
    coded = row.name == "downslope"
    velocity: dict[str, Any] = {
        name: _decoded(leaf, name, what, notes) if isinstance(leaf, dict) else _array(leaf, name, what, notes)
        for name, leaf in _leaves(state[row.state_key], row.state_key, coded=coded)
    }
    if not velocity:
        raise StateError(f"{what}: {'.'.join((*place, row.state_key))} holds no array.")
    late = {name for name, flag in _leaves(state.get(_STARTED) or {}, row.state_key) if not flag}
    step = _step(table, row, place, notes)
    held = dict(_leaves(params, _PARAMS)) if is_state else {}
    kept = dict(_leaves(state.get(_AVERAGE) or {}, row.state_key)) if coded and step != 0 else {}  # at 0 all are zeros
    return Snapshot(
        what=f"{what} ({row.title})",
        convention=row.name,
        velocity={name: None if name in late else array for name, array in velocity.items()},
        params={name: _array(leaf, name, what, notes) for name, leaf in held.items() if _is_learned(leaf)},
        step=step,
        average={name: _array(leaf, name, what, notes) for name, leaf in kept.items()},
        notes=tuple(dict.fromkeys(notes)),
    )


def _as_table(tree: Any, what: str, count: list[int], depth: int) -> Any:
    """Return a tree whose tuples and lists are tables by place, and whose names are text."""
    count[0] += 1
    if depth > _DEEPEST or count[0] > _MOST:
        raise StateError(f"{what}: is no tree of parameters: it has over {_DEEPEST} levels, or over {_MOST:,} entries.")
    if isinstance(tree, Mapping):
        table = {str(key): _as_table(value, what, count, depth + 1) for key, value in tree.items()}
        if len(table) < len(tree):
            raise StateError(f"{what}: has two entries of one name among {shown(', '.join(map(str, tree)))}.")
        return table
    if isinstance(tree, Sequence) and not isinstance(tree, str | bytes):
        return {str(place): _as_table(value, what, count, depth + 1) for place, value in enumerate(tree)}
    return tree


def _branches(table: dict[str, Any], place: Path) -> Iterator[tuple[str, Any]]:
    """Yield what a table holds, without the parameters beside a state, whose names may be words of states."""
    apart = isinstance(table.get(_PARAMS), dict) and (not place or len(table) > 1)
    for name, inner in table.items():
        if not (apart and name == _PARAMS):
            yield name, inner


def _why_none(table: dict[str, Any], row: Convention, what: str, needed: str) -> str:
    words = set(_words(table))
    other = optax_optimizer(words) if row.name == "optax" else ""
    if other:
        return refusal(what, other, words & OPTAX_WORDS)
    return f"{what}: must hold {needed}; got none. Save the optimizer's state too, of an optimizer with momentum."


def _words(table: Any, place: Path = ()) -> Iterator[str]:
    if isinstance(table, dict):
        for name, inner in _branches(table, place):
            yield name
            yield from _words(inner, (*place, name))


def _states(table: Any, key: str, place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every table that has velocities in it, and where it is; what lies within velocities is not looked at."""
    if not isinstance(table, dict):
        return
    if key in table:
        yield place, table
        return
    for name, inner in _branches(table, place):
        yield from _states(inner, key, (*place, name))


def _training_around(table: dict[str, Any], place: Path) -> tuple[dict[str, Any], Path]:
    """Return the innermost part of a tree that has parameters beside the state at a place, and the place within it.

    That is a `TrainState`, of which a file may hold several; else the whole tree.
    """
    around, inner, way = table, table, place
    for depth, name in enumerate(place, start=1):
        inner = inner[name]
        if isinstance(inner.get(_PARAMS), dict) and len(inner) > 1:
            around, way = inner, place[depth:]
    return around, way


def _step(table: dict[str, Any], row: Convention, way: Path, notes: list[str]) -> int | None:
    """Return the steps taken, if the tree says so without contradicting itself."""
    said = {int(leaf) for leaf in _counts(table, row.state_key, (), way)}
    if len(said) > 1:
        notes.append(f"it counts {' and '.join(map(str, sorted(said)))} steps, so that the step is not known from it")
    return said.pop() if len(said) == 1 else None


def _counts(table: Any, key: str, place: Path, way: Path) -> Iterator[Any]:
    """Yield the whole numbers called count, or step at the top, that lie beside velocities and not within.

    What lies beside another optimizer's velocities counts that one's steps.
    """
    if not isinstance(table, dict):
        return
    for name, inner in _branches(table, place):
        here = (*place, name)
        is_count = name == _COUNT or (name == _STEP and not place)
        if is_count and _is_whole(inner):
            yield inner
        elif name != key and (here == way[: len(here)] or next(_states(inner, key, here), None) is None):
            yield from _counts(inner, key, here, way)


def _is_whole(leaf: Any) -> bool:
    import numpy as np

    array = np.asarray(leaf)
    return array.shape == () and array.dtype.kind in "iu"


def _leaves(tree: Any, alone: str, place: Path = (), *, coded: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a tree and their names, joined by dots; an array that is a whole tree is called `alone`.

    Where velocities may be of 8 bits (`coded`), the table of codes and scales of one is yielded as it is.
    """
    if isinstance(tree, dict) and not (coded and _is_coded(tree)):
        for name, inner in tree.items():
            yield from _leaves(inner, alone, (*place, name), coded=coded)
    elif tree is not None:
        yield ".".join(place) or alone, tree


def _is_coded(table: dict[str, Any]) -> bool:
    """Whether a table is a velocity of 8 bits, and not of a layer whose weights are called so."""
    import numpy as np

    return set(table) == {_CODES, _SCALES} and np.asarray(table[_CODES]).dtype == np.int8


def _decoded(table: dict[str, Any], name: str, what: str, notes: list[str]) -> Any:
    """Return a velocity of 8 bits as float32."""
    import numpy as np

    codes, scales = np.asarray(table[_CODES]), np.asarray(table[_SCALES])
    if scales.dtype != np.float32 or scales.size != blocks_of(codes.size):
        raise StateError(
            f"{what}: `{shown(name)}`: codes of 8 bits need a float32 scale for each {BLOCK}; got {codes.shape} codes "
            f"with {scales.dtype} of {scales.shape}."
        )
    notes.append("velocities of 8 bits became float32: the numbers that they stood for")
    return decode(codes, scales.reshape(-1))


def _is_learned(leaf: Any) -> bool:
    import numpy as np

    kind = np.asarray(leaf).dtype
    return kind.kind in "fc" or kind.name == "bfloat16"


def _array(leaf: Any, name: str, what: str, notes: list[str]) -> Any:
    import numpy as np

    try:
        array = np.asarray(leaf)
    except (ValueError, TypeError, OverflowError):
        raise StateError(f"{what}: `{shown(name)}` is {type(leaf).__name__}, not an array.") from None
    if array.dtype.name == "bfloat16":
        notes.append("bfloat16 became float32, which holds the same numbers")
        return array.astype(np.float32)
    if array.dtype.kind not in "fc":
        raise StateError(f"{what}: `{shown(name)}` must hold floating or complex numbers; got {array.dtype}.")
    return array
