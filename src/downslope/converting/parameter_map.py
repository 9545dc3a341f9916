"""Names and layouts: which parameter of one framework is which of another, by an explicit table.

Nothing is guessed: a name that the table lacks is an error.

    "0.weight" = "dense/kernel"                                  as it is
    "0.weight" = { to = "dense/kernel", layout = "dense" }       transposed
    "head.bias" = false                                          left out
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from downslope.converting.snapshot import Snapshot
from downslope.core.errors import StateError, did_you_mean, one_of
from downslope.core.files import read_text
from downslope.core.settings import Settings
from downslope.core.shown import shown

BIASES = "lstm_bias"
"""The layout of an LSTM's biases, two in PyTorch and one in Keras."""

LAYOUTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "same": (),
        "dense": (1, 0),
        "conv1d": (2, 1, 0),
        "conv2d": (2, 3, 1, 0),
        "conv3d": (2, 3, 4, 1, 0),
        "lstm": (1, 0),
        BIASES: (),
    }
)
"""Axes of a Keras kernel in those of PyTorch's: Linear (out, in) and Dense (in, out); ConvNd (out, in, ...) and
(..., in, out); LSTM (4 units, in), gates i f g o in both, and (in, 4 units). "same" is for everything else."""

_OWN_LR: Mapping[bool, frozenset[str]] = {
    True: frozenset({"downslope.keras"}),
    False: frozenset({"torch", "downslope"}),
}
"""By whether it is Keras's side, the systems in which one variable can have an lr of its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a parameter goes.

    Attributes:
        to: Its name there; None to leave it out.
        layout: A word of `LAYOUTS`.
    """

    to: str | None
    layout: str = "same"

    def __post_init__(self) -> None:
        """Check the layout."""
        if self.layout not in LAYOUTS:
            raise StateError(
                f"the layout must be {one_of(LAYOUTS)}; got {shown(self.layout)!r}."
                f"{did_you_mean(shown(self.layout), LAYOUTS)}"
            )

    @property
    def targets(self) -> tuple[str, ...]:
        """Names there: two, with a plus between them, for the biases of an LSTM."""
        if self.to is None:
            return ()
        return tuple(self.to.split("+")) if self.layout == BIASES else (self.to,)


Table = dict[str, Entry]


def read_table(words: Iterable[str]) -> Table:
    """Return the table of several words, each the name of a TOML file or one entry.

    Args:
        words: "FILE.toml", or "0.weight=dense/kernel", or with a layout "0.weight=dense/kernel:dense"; nothing after
            the equals sign leaves the parameter out.

    Raises:
        StateError: If a file cannot be read or a word is neither.
    """
    table: Table = {}
    for word in words:
        entries = _entries_of_file(Path(word)) if "=" not in word else dict([_entry_of_word(word)])
        for name, entry in entries.items():
            if name in table:
                raise StateError(f"--map: `{shown(name)}` is given twice. Give it once.")
            table[name] = entry
    aims = [aim for entry in table.values() for aim in entry.targets]
    shared = {entry.to for entry in table.values() if entry.layout == BIASES}
    twice = next((aim for aim in aims if aims.count(aim) > 1 + (aim in shared)), None)
    if twice is not None:
        raise StateError(f"--map: two parameters go to `{shown(twice)}`. Each needs a place of its own.")
    return table


def _entry_of_word(word: str) -> tuple[str, Entry]:
    name, _, aim = word.partition("=")
    place, colon, layout = aim.rpartition(":")
    if colon and layout in LAYOUTS:
        return name, Entry(place or None, layout)
    return name, Entry(aim or None)


def _entries_of_file(path: Path) -> Table:
    try:
        parsed = tomllib.loads(read_text(path, StateError))
    except StateError as error:
        raise StateError(f"--map {error}") from None
    except FileNotFoundError:
        raise StateError(
            f"--map {shown(path)}: there is no such file, and it is no entry either. Write NAME=THERE, or "
            "NAME=THERE:LAYOUT."
        ) from None
    except OSError as error:
        raise StateError(f"--map {shown(path)}: cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise StateError(f"--map {shown(path)}: not valid TOML: {shown(error)}.") from None
    table: Table = {}
    for name, value in parsed.items():
        if value is False:
            table[name] = Entry(None)
        elif isinstance(value, str) and value:
            table[name] = Entry(value)
        elif isinstance(value, dict) and {"to"} <= set(value) <= {"to", "layout"} and isinstance(value["to"], str):
            chosen = cast("dict[str, Any]", value)
            table[name] = Entry(chosen["to"], chosen.get("layout", "same"))
        else:
            raise StateError(
                f'--map {shown(path)}: `{shown(name)}` must be a name, {{ to = "name", layout = "dense" }}, or false '
                f"to leave it out; got {shown(repr(value))}. Names with dots need quotes around them."
            )
    return table


def apply_table(snapshot: Snapshot, table: Table, *, to_keras: bool, from_keras: bool, target: str) -> Snapshot:
    """Return the snapshot under the names and in the layouts of the table.

    Args:
        snapshot: The snapshot.
        table: The table; empty to leave every name as it is.
        to_keras: Whether the target stores kernels as Keras does.
        from_keras: Whether the source does.
        target: Name of the convention that it goes to.

    Raises:
        StateError: If the table lacks a name, has one that is not there, or a layout does not fit a shape; or if the
            velocities of an LSTM's biases cannot be carried over to this target.
    """
    snapshot, table = _with_biases(snapshot, table, from_keras=from_keras, to_keras=to_keras, target=target)
    if not table:
        return snapshot
    names = [*snapshot.velocity, *(name for name in snapshot.params if name not in snapshot.velocity)]
    unknown = [name for name in table if name not in names]
    if unknown:
        raise StateError(
            f"--map: {snapshot.what} has no parameter `{shown(unknown[0])}`.{did_you_mean(unknown[0], names)} "
            f"It has {shown(', '.join(names), 2000)}."
        )
    missing = [name for name in snapshot.velocity if name not in table]
    if missing:
        raise StateError(
            f"--map: nothing is said about {shown(', '.join(f'`{name}`' for name in missing), 2000)}. "
            f'Write {shown(missing[0])}=THERE, or "{shown(missing[0])}=" to leave it out.'
        )

    def moved(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            entry.to: permuted(name, values[name], entry.layout, to_keras=to_keras, from_keras=from_keras)
            for name, entry in table.items()
            if entry.to is not None and name in values
        }

    settings = snapshot.settings
    if isinstance(settings, dict):
        kept: dict[str, Settings] = {
            entry.to: settings[name] for name, entry in table.items() if entry.to is not None and name in settings
        }
        settings = kept
    left_out = [name for name in snapshot.params if name not in table]
    said = f"left out, since --map does not name them: {', '.join(left_out)}"
    return replace(
        snapshot,
        velocity=moved(snapshot.velocity),
        params=moved(snapshot.params),
        average=moved(snapshot.average),
        settings=settings,
        notes=(*snapshot.notes, said) if left_out else snapshot.notes,
    )


def permuted(name: str, array: Any, layout: str, *, to_keras: bool, from_keras: bool) -> Any:
    """Return an array in the other framework's layout.

    Raises:
        StateError: If the array has not as many axes as the layout.
    """
    axes = LAYOUTS[layout]
    if array is None or not axes:
        return array
    if to_keras == from_keras:
        raise StateError(
            f"`{shown(name)}`: the layout \"{layout}\" says how PyTorch's and Keras's kernels differ, and here "
            f'{"both are" if to_keras else "neither is"} Keras. Use "same".'
        )
    if array.ndim != len(axes):
        raise StateError(
            f'`{shown(name)}` has shape {array.shape}; the layout "{layout}" is for arrays of {len(axes)} axes. '
            'Use "same", or the layout of its layer.'
        )
    order = axes if to_keras else tuple(axes.index(axis) for axis in range(len(axes)))
    return array.transpose(order)


# The biases of an LSTM: PyTorch keeps two, whose sum is the one of Keras.
#
# Parameters are exact: only the sum is ever used. Velocities are not, unless the settings differ: both of PyTorch's
# have the whole gradient, so that their sum moves twice as far as Keras's one. With g the gradient of the sum s, and lr
# outside the velocities v and w, s -= lr (v + w), where each is mu v + g + wd (its own bias). Half of v + w is then u'
# = mu u + g + (wd / 2) s, and s -= (2 lr) u': the very rule, with twice the lr and half the weight decay for this one
# variable. With lr inside, it is v + w itself that has twice the lr.


def _with_biases(
    snapshot: Snapshot, table: Table, *, from_keras: bool, to_keras: bool, target: str
) -> tuple[Snapshot, Table]:
    """Return the snapshot and the table with an LSTM's biases joined, Keras having one of them, or split in two."""
    entries = {name: entry for name, entry in table.items() if entry.layout == BIASES and entry.to is not None}
    if not entries:
        return snapshot, table
    if from_keras == to_keras:
        raise StateError(f"--map: the layout \"{BIASES}\" is for the way between PyTorch's two biases and Keras's one.")
    kept: Table = {name: entry for name, entry in table.items() if name not in entries}
    velocity, params, notes = dict(snapshot.velocity), dict(snapshot.params), list(snapshot.notes)
    average = dict(snapshot.average)
    settings = dict(snapshot.settings) if isinstance(snapshot.settings, dict) else snapshot.settings
    for names, places in _pairs(entries, from_keras=from_keras):
        absent = [name for name in names if name not in velocity and name not in params]
        if absent:
            raise StateError(f"--map: {snapshot.what} has no parameter `{absent[0]}`.")
        own = [settings.get(name) for name in names] if isinstance(settings, dict) else [settings]
        if len(own) > 1 and own[0] != own[1]:
            raise StateError(f"`{names[0]}` and `{names[1]}` have different settings, so that their sum has no rule.")
        held = [params.pop(name) for name in names if name in params]
        averages = [average.pop(name) for name in names if name in average]
        moving = [velocity.pop(name) for name in names if name in velocity]
        if any(v is not None for v in moving):
            _check_velocities(names, target, from_keras=from_keras)
            notes.append(_what_it_needs(places, own[0], from_keras=from_keras))
        inside = isinstance(own[0], Settings) and own[0].lr_in_velocity and target != "torch"
        new = _split(held, moving, halved=inside) if from_keras else _joined(names, held, moving, halved=not inside)
        if averages:  # of a sum it is the sum of both
            parts = [averages[0], averages[0] * 0] if from_keras else [sum(averages)]
            average |= {f"{' + '.join(names)} as {place}": part for place, part in zip(places, parts, strict=True)}
        for place, (param, of_it) in zip(places, new, strict=True):
            name = f"{' + '.join(names)} as {place}"
            kept[name] = Entry(place)
            params |= {} if param is None else {name: param}
            velocity |= {name: of_it} if moving else {}
            if isinstance(settings, dict) and isinstance(own[0], Settings):
                settings[name] = own[0]
    moved = {"velocity": velocity, "params": params, "average": average}
    return replace(snapshot, **moved, settings=settings, notes=tuple(notes)), kept


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
