"""States of JAX's optimizers as trees: nested tables as files give them back, without JAX.

What lives here: where in a tree the velocities, parameters and steps are, and taking them out by name. What does not:
reading files, which takes the libraries that wrote them (`jax/state_files.py`).

A tree is what flax's msgpack and orbax's folders hold: tables by name, of tuples and lists by place, down to arrays.
A flax `TrainState` has params, opt_state and step; a state of optax is a tuple with a trace somewhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from downslope.core.errors import StateError
from downslope.exchange.convention import Convention
from downslope.exchange.conventions import find_convention
from downslope.exchange.snapshot import Snapshot

_PARAMS, _STEP, _COUNT, _STARTED = "params", "step", "count", "started"

Path = tuple[str, ...]


def snapshot_of_tree(tree: Any, convention: str, what: str) -> Snapshot:
    """Return what a tree holds.

    Args:
        tree: The tree; a leaf is an array, a number or None.
        convention: Whose velocities they are: "optax", or "downslope" for `downslope.jax.sgd`.
        what: What it is from, for messages.

    Raises:
        StateError: If it has not one state with velocities in it, or an array of another kind than numbers.
    """
    row = find_convention(convention)
    table = _as_table(tree)
    if not isinstance(table, dict):
        raise StateError(f"{what}: holds {type(tree).__name__}, not a tree with the state of an optimizer.")
    params = table.get(_PARAMS)
    is_state = isinstance(params, dict)  # else "params" may be a branch of the velocities themselves
    outside = {key: value for key, value in table.items() if not (is_state and key == _PARAMS)}
    place, state = _only_state(outside, row, what)
    notes: list[str] = []
    velocity: dict[str, Any] = {
        name: _array(leaf, name, what, notes) for name, leaf in _leaves(state[row.state_key], row.state_key)
    }
    if not velocity:
        raise StateError(f"{what}: {'.'.join((*place, row.state_key))} holds no array.")
    late = {name for name, flag in _leaves(state.get(_STARTED) or {}, row.state_key) if not flag}
    step = _step(outside, row, notes)
    held = dict(_leaves(params, _PARAMS)) if is_state else {}
    return Snapshot(
        what=f"{what} ({row.title})",
        convention=row.name,
        velocity={name: None if name in late else array for name, array in velocity.items()},
        params={name: _array(leaf, name, what, notes) for name, leaf in held.items() if _is_learned(leaf)},
        step=step,
        notes=tuple(dict.fromkeys(notes)),
    )


def _as_table(tree: Any) -> Any:
    """Return a tree whose tuples and lists are tables by place, and whose names are text."""
    if isinstance(tree, Mapping):
        return {str(key): _as_table(value) for key, value in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str | bytes):
        return {str(place): _as_table(value) for place, value in enumerate(tree)}
    return tree


def _only_state(table: dict[str, Any], row: Convention, what: str) -> tuple[Path, dict[str, Any]]:
    found = list(_states(table, row.state_key, ()))
    if len(found) == 1:
        return found[0]
    where = "".join(f"\n  - {'.'.join((*place, row.state_key))}" for place, _ in found)
    raise StateError(
        f"{what}: must hold one state with a `{row.state_key}`, which is what {row.title} calls its velocities; got "
        + (
            f"{len(found)}:{where}\nSave the states of separate groups separately."
            if found
            else "none. Save the optimizer's state too, of an optimizer with momentum."
        )
    )


def _states(table: Any, key: str, place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every table that has velocities in it, and where it is; what lies within velocities is not looked at."""
    if not isinstance(table, dict):
        return
    if key in table:
        yield place, table
        return
    for name, inner in table.items():
        yield from _states(inner, key, (*place, name))


def _step(outside: dict[str, Any], row: Convention, notes: list[str]) -> int | None:
    """Return the steps taken, if the tree says so without contradicting itself."""
    said = {int(leaf) for leaf in _counts(outside, row.state_key, ())}
    if len(said) > 1:
        notes.append(f"it counts {' and '.join(map(str, sorted(said)))} steps, so that the step is not known from it")
    return said.pop() if len(said) == 1 else None


def _counts(table: Any, key: str, place: Path) -> Iterator[Any]:
    """Yield the whole numbers called count, or step at the top, that lie beside velocities and not within."""
    if not isinstance(table, dict):
        return
    for name, inner in table.items():
        is_count = name == _COUNT or (name == _STEP and not place)
        if is_count and _is_whole(inner):
            yield inner
        elif name != key:
            yield from _counts(inner, key, (*place, name))


def _is_whole(leaf: Any) -> bool:
    import numpy as np

    array = np.asarray(leaf)
    return array.shape == () and array.dtype.kind in "iu"


def _leaves(tree: Any, alone: str, place: Path = ()) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a tree and their names, joined by dots; an array that is a whole tree is called `alone`."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from _leaves(inner, alone, (*place, name))
    elif tree is not None:
        yield ".".join(place) or alone, tree


def _is_learned(leaf: Any) -> bool:
    import numpy as np

    kind = np.asarray(leaf).dtype
    return kind.kind in "fc" or kind.name == "bfloat16"


def _array(leaf: Any, name: str, what: str, notes: list[str]) -> Any:
    import numpy as np

    array = np.asarray(leaf)
    if array.dtype.name == "bfloat16":
        notes.append("bfloat16 became float32, which holds the same numbers")
        return array.astype(np.float32)
    if array.dtype.kind not in "fc":
        raise StateError(f"{what}: `{name}` must hold floating or complex numbers; got {array.dtype}.")
    return array
