"""The biases of an LSTM: PyTorch keeps two, whose sum is the one of Keras.

What lives here: joining and splitting them, in a snapshot and its table of names, before the names are changed. What
does not: every other parameter (`layouts.py`).

Parameters are exact: only the sum is ever used. Velocities are not, unless the settings differ: both of PyTorch's have
the whole gradient, so that their sum moves twice as far as Keras's one. With g the gradient of the sum s, and lr
outside the velocities v and w, s -= lr (v + w), where each is mu v + g + wd (its own bias). Half of v + w is then mu u
+ g + (wd / 2) s, and s -= (2 lr) u: the very rule, with twice the lr and half the weight decay for this one variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from downslope.core.errors import StateError, one_of
from downslope.core.settings import Settings
from downslope.exchange.layouts import BIASES, Entry, Table
from downslope.exchange.snapshot import Snapshot

_OWN_LR: Mapping[bool, frozenset[str]] = {
    True: frozenset({"downslope.keras"}),
    False: frozenset({"torch", "downslope"}),
}
"""By whether it is Keras's side, the systems in which one variable can have an lr of its own."""


def with_biases(
    snapshot: Snapshot, table: Table, *, from_keras: bool, to_keras: bool, target: str
) -> tuple[Snapshot, Table]:
    """Return the snapshot and the table with biases joined, or split, that have the layout of LSTM's biases.

    Args:
        snapshot: The snapshot.
        table: The table.
        from_keras: Whether the source keeps one bias, as Keras does, rather than two.
        to_keras: Whether the target does.
        target: Name of the convention that it goes to.

    Raises:
        StateError: If one of a pair is missing, or the velocities cannot be carried over to this target.
    """
    entries = {name: entry for name, entry in table.items() if entry.layout == BIASES and entry.to is not None}
    if not entries:
        return snapshot, table
    if from_keras == to_keras:
        raise StateError(f"--map: the layout \"{BIASES}\" is for the way between PyTorch's two biases and Keras's one.")
    kept: Table = {name: entry for name, entry in table.items() if name not in entries}
    velocity, params, notes = dict(snapshot.velocity), dict(snapshot.params), list(snapshot.notes)
    settings = dict(snapshot.settings) if isinstance(snapshot.settings, dict) else snapshot.settings
    for names, places in _pairs(entries, from_keras=from_keras):
        absent = [name for name in names if name not in velocity and name not in params]
        if absent:
            raise StateError(f"--map: {snapshot.what} has no parameter `{absent[0]}`.")
        own = [settings.get(name) for name in names] if isinstance(settings, dict) else [settings]
        if len(own) > 1 and own[0] != own[1]:
            raise StateError(f"`{names[0]}` and `{names[1]}` have different settings, so that their sum has no rule.")
        held = [params.pop(name) for name in names if name in params]
        moving = [velocity.pop(name) for name in names if name in velocity]
        if any(v is not None for v in moving):
            _check_velocities(names, target, from_keras=from_keras)
            notes.append(_what_it_needs(places, own[0], from_keras=from_keras))
        inside = isinstance(own[0], Settings) and own[0].lr_in_velocity and target != "torch"
        new = _split(held, moving, halved=inside) if from_keras else _joined(names, held, moving, halved=not inside)
        for place, (param, of_it) in zip(places, new, strict=True):
            name = f"{' + '.join(names)} as {place}"
            kept[name] = Entry(place)
            params |= {} if param is None else {name: param}
            velocity |= {name: of_it} if moving else {}
            if isinstance(settings, dict) and isinstance(own[0], Settings):
                settings[name] = own[0]
    return replace(snapshot, velocity=velocity, params=params, settings=settings, notes=tuple(notes)), kept


def _pairs(entries: Table, *, from_keras: bool) -> list[tuple[list[str], list[str]]]:
    """Return the names that belong together, and where they go: two and one, or one and two."""
    if from_keras:
        found = [([name], list(entry.targets)) for name, entry in entries.items()]
        wrong = next((names[0] for names, places in found if len(places) != 2), None)
        if wrong is not None:
            raise StateError(
                f"--map: PyTorch has two biases where Keras has `{wrong}`. Name both, as "
                f"{wrong}=lstm.bias_ih_l0+lstm.bias_hh_l0:{BIASES}."
            )
        return found
    together: dict[str, list[str]] = {}
    for name, entry in entries.items():
        together.setdefault(str(entry.to), []).append(name)
    for place, names in together.items():
        if len(names) != 2:
            raise StateError(
                f"--map: Keras has one bias, `{place}`, where PyTorch has two. Name both, as "
                f"lstm.bias_ih_l0={place}:{BIASES} and lstm.bias_hh_l0={place}:{BIASES}."
            )
    return [(names, [place]) for place, names in together.items()]


def _joined(names: list[str], held: list[Any], moving: list[Any], *, halved: bool) -> list[tuple[Any, Any]]:
    late = [velocity is None for velocity in moving]
    shapes = {array.shape for array in (*held, *moving) if array is not None}
    if len(shapes) > 1 or len(held) == 1 or len(moving) == 1 or any(late) != all(late):
        raise StateError(f"`{names[0]}` and `{names[1]}` differ in shape, or one of them has no velocity yet.")
    velocity = None if not moving or any(late) else (moving[0] + moving[1]) * (0.5 if halved else 1)
    return [(held[0] + held[1] if held else None, velocity)]


def _split(held: list[Any], moving: list[Any], *, halved: bool) -> list[tuple[Any, Any]]:
    velocity = moving[0] if moving else None
    if velocity is not None and halved:
        velocity = velocity * 0.5
    return [(held[0] if held else None, velocity), (held[0] * 0 if held else None, velocity)]


def _check_velocities(names: list[str], target: str, *, from_keras: bool) -> None:
    able = _OWN_LR[not from_keras]
    if target in able:
        return
    one, many = "Keras's one bias", "the sum of PyTorch's two"
    far = f"{one} moves half as far as {many}" if from_keras else f"{many} moves twice as far as {one}"
    raise StateError(
        f"the velocities of {one_of(names)} cannot be carried over to {target}: {far}, and no variable can have an "
        f"lr of its own there, which would make up for it. Use {one_of(f'--to {name}' for name in sorted(able))}."
    )


def _what_it_needs(places: list[str], settings: Any, *, from_keras: bool) -> str:
    how_far, decays = ("half", "twice") if from_keras else ("twice", "half")
    is_with_decay = not isinstance(settings, Settings) or settings.weight_decay != 0
    keeps = isinstance(settings, Settings) and settings.decay in {"independent", "relative"}
    decay = f" and {decays} the weight decay" if is_with_decay and not keeps else ""
    return (
        f"{' and '.join(places)}: PyTorch's two biases have the whole gradient each. It goes on as it was with "
        f"{how_far} the lr{decay} there: give {'them a group' if from_keras else 'it a group'} of its own"
    )
