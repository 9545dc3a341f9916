"""Keras's files, `.keras` and `.weights.h5`, by their layout, without Keras: the optimizer's variables and the model's.

What lives here: which dataset is which parameter and which velocity, reading them, and writing into a copy of a file
that Keras itself wrote. What does not: the order of layers (`keras_layers.py`).

In the HDF5 part, `optimizer/vars/0` is the iteration, `1` the learning rate unless a schedule has it, and then come the
momentums, in the order of the trainable variables; `layers/GROUP/vars/N` are a layer's variables, with the layer's name
as an attribute. A `.keras` file is a zip archive of that and of config.json.
"""

from __future__ import annotations

import importlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from downslope.core.errors import MissingDependencyError, SettingsError, StateError, did_you_mean
from downslope.core.settings import Settings
from downslope.exchange.keras_layers import Layer, name_momentums, order_of_config
from downslope.exchange.own_words import keras_lr
from downslope.exchange.reading import settings_from_convention
from downslope.exchange.snapshot import Snapshot, as_written, damaged, replace_file

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"


@dataclass(frozen=True, kw_only=True)
class KerasFile:
    """A Keras file, taken apart.

    Attributes:
        path: Where it lies.
        weights: Its HDF5 part.
        config: Its configuration; empty for a `.weights.h5`.
        places: By parameter name, the dataset that holds it.
        momentums: By parameter name, the dataset that holds its velocity.
        iteration: The dataset of the iteration.
        learning_rate: The dataset of the learning rate, or None where a schedule has it.
        snapshot: What it holds.
    """

    path: Path
    weights: bytes
    config: Mapping[str, Any]
    places: dict[str, str]
    momentums: dict[str, str]
    iteration: str
    learning_rate: str | None
    snapshot: Snapshot


def read_keras(path: Path, convention: str = "keras") -> KerasFile:
    """Return what a Keras file holds.

    Args:
        path: A `.keras` or `.weights.h5` file.
        convention: "keras", or "downslope.keras" for ``downslope.keras.SGD``.

    Raises:
        StateError: If it is damaged, has no optimizer of momentum in it, or one that is not SGD.
    """
    weights, config = _open(path)
    own = _table(_table(config.get("compile_config")).get("optimizer"))
    name = own.get("class_name", "SGD")
    if name not in {"SGD", "Custom>SGD"}:
        raise StateError(f"{path}: its optimizer is {name}, and only SGD's state can be carried over.")
    h5py = _h5py()
    if str(own.get("registered_name") or "").startswith("downslope") and convention == "keras":
        raise StateError(f"{path}: its optimizer is downslope.keras.SGD. Use downslope.keras instead of keras.")
    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            datasets = _datasets(h5py, file)
            arrays = {place: file[place][()] for place in datasets}
            layers = _layers(file, datasets)
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise damaged(path, error) from None  # h5py raises any of these for a damaged file
    slots = sorted((p for p in arrays if re.fullmatch(r"optimizer/vars/\d+", p)), key=_in_numbers)
    if not slots:
        raise StateError(
            f"{path}: has no optimizer in it. Save it from a model that has been compiled and trained (or built)."
        )
    if arrays[slots[0]].shape != () or arrays[slots[0]].dtype.kind not in "iu":
        raise damaged(path, f"{slots[0]} is no count of steps")
    scheduled = isinstance(_table(own.get("config")).get("learning_rate"), Mapping)
    with_lr = len(slots) > 1 and not scheduled and arrays[slots[1]].shape == () and arrays[slots[1]].dtype.kind == "f"
    rest = slots[2 if with_lr else 1 :]
    ordered, certain = order_of_config(layers, config)
    found = name_momentums(ordered, [arrays[slot].shape for slot in rest], certain=certain)
    momentums = dict(zip(found, rest, strict=True))
    places = {name: place for layer in layers for name, place in layer.places.items()}
    lr = as_written(float(arrays[slots[1]])) if with_lr else None
    notes = () if all(name in places for name in found) else (_UNNAMED,)
    return KerasFile(
        path=path,
        weights=weights,
        config=config,
        places=places,
        momentums=momentums,
        iteration=slots[0],
        learning_rate=slots[1] if with_lr else None,
        snapshot=Snapshot(
            what=f"{path.name} (Keras)",
            convention=convention,
            velocity={name: arrays[slot] for name, slot in momentums.items()},
            params={name: arrays[place] for name, place in places.items()},
            step=int(arrays[slots[0]]),
            settings=_settings(_table(own.get("config")), lr, path, convention),
            notes=notes,
        ),
    )


_UNNAMED = (
    "which velocity is which parameter's cannot be told from this file, so that velocities are named by their place: "
    "momentum/0, momentum/1, ..., in the order of model.trainable_variables"
)


def write_keras(path: Path, snapshot: Snapshot, like: KerasFile) -> list[str]:
    """Write a snapshot into a copy of a Keras file, so that Keras loads it.

    Args:
        path: The new file.
        snapshot: Velocities under the names of `like`, each of them, and what parameters it has.
        like: A file that Keras wrote for this model and optimizer.

    Returns:
        Sentences on what was rounded or left as it was.

    Raises:
        StateError: If a name is missing or unknown, or a shape differs; nothing has then been written.
    """
    import numpy as np

    if (path.suffix == ".keras") != (like.path.suffix == ".keras"):
        raise StateError(f"{path} cannot be made like {like.path}: give both the same ending.")
    _check_names(snapshot, like)
    new: dict[str, Any] = {place: _filled(snapshot.velocity[name]) for name, place in like.momentums.items()}
    new |= {like.places[name]: array for name, array in snapshot.params.items()}
    if snapshot.step is not None:
        new[like.iteration] = np.array(snapshot.step)
    stream = io.BytesIO(like.weights)
    narrowed: set[str] = set()
    with _h5py().File(stream, "r+") as file:
        for place, array in new.items():
            target = file[place]
            cast = np.asarray(array).astype(target.dtype)
            if not np.array_equal(cast, np.asarray(array)):
                narrowed.add(str(target.dtype))
            target[...] = cast
    replace_file(path, _packed(like, stream.getvalue()))
    return _left_as_it_was(snapshot, like, sorted(narrowed))


def _filled(velocity: Any) -> Any:
    """Return a velocity, zero for a parameter that has had no gradient: Keras has one for each from the start."""
    return 0.0 if velocity is None else velocity


def _left_as_it_was(snapshot: Snapshot, like: KerasFile, narrowed: list[str]) -> list[str]:
    notes: list[str] = []
    if like.snapshot.settings is None:
        notes.append(f"{like.path.name} does not say its momentum and lr, which are taken to be the source's")
    late = [name for name in like.momentums if snapshot.velocity[name] is None]
    if late:
        notes.append(f"zero, since there has been no gradient yet: {', '.join(late)}")
    if snapshot.step is None:
        notes.append(f"the iteration stays {like.snapshot.step}, that of {like.path.name}")
    kept = [name for name in like.places if name not in snapshot.params]
    if kept:
        notes.append(f"as they are in {like.path.name}: {', '.join(kept)}")
    if narrowed:
        notes.append(f"rounded to {', '.join(narrowed)}, the format of {like.path.name}")
    return notes


def _check_names(snapshot: Snapshot, like: KerasFile) -> None:
    wanted, given = like.momentums, snapshot.velocity
    shapes = {name: like.snapshot.velocity[name].shape for name in wanted}
    problems = [f"nothing fills the velocity of `{name}` {shapes[name]}" for name in wanted if name not in given]
    problems += [
        f"`{name}` is no parameter of {like.path.name}.{did_you_mean(name, wanted)}"
        for name in given
        if name not in wanted
    ]
    problems += [
        f"`{name}` is {array.shape}, in {like.path.name} {shapes[name]}"
        for name, array in given.items()
        if name in wanted and array is not None and array.shape != shapes[name]
    ]
    for name, array in snapshot.params.items():
        if name not in like.places:
            if name not in given:
                problems.append(f"`{name}` is no parameter of {like.path.name}.{did_you_mean(name, like.places)}")
        elif array.shape != like.snapshot.params[name].shape:
            problems.append(f"`{name}` is {array.shape}, in {like.path.name} {like.snapshot.params[name].shape}")
    if problems:
        raise StateError(
            "the state does not fit, and nothing was written:\n  - "
            + "\n  - ".join(problems)
            + "\nSay which is which, and in which layout, with --map."
        )


def _table(value: Any) -> Mapping[str, Any]:
    """Return a table of a configuration, an empty one where it is missing."""
    return value if isinstance(value, Mapping) else {}


def _settings(config: Mapping[str, Any], lr: float | None, path: Path, convention: str) -> Settings | None:
    if not config:
        return None
    arguments = dict(config) if lr is None else {**config, "learning_rate": lr}
    try:
        if convention != "keras":
            return _own_settings(arguments)
        return settings_from_convention(convention, arguments)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def _own_settings(config: Mapping[str, Any]) -> Settings | None:
    """Return the settings in the configuration of ``downslope.keras.SGD``; None with groups, or schedules of ours."""
    if config.get("groups") or any(isinstance(config.get(name), Mapping) for name in ("momentum", "weight_decay")):
        return None
    lr = config.get("learning_rate")
    if isinstance(lr, Mapping) and str(lr.get("registered_name") or "").startswith("downslope"):
        return None
    own = {f.name: config[f.name] for f in fields(Settings) if config.get(f.name) is not None and f.name != "lr"}
    return Settings(lr=keras_lr(lr), **own)


def _open(path: Path) -> tuple[bytes, Mapping[str, Any]]:
    data = path.read_bytes()
    if path.suffix != ".keras":
        return data, {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(_WEIGHTS), _table(json.loads(archive.read(_CONFIG)))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, NotImplementedError) as error:
        raise damaged(path, error) from None


def _packed(like: KerasFile, weights: bytes) -> bytes:
    if like.path.suffix != ".keras":
        return weights
    stream = io.BytesIO()
    with zipfile.ZipFile(like.path) as old, zipfile.ZipFile(stream, "w") as new:
        for item in old.infolist():
            new.writestr(item, weights if item.filename == _WEIGHTS else old.read(item))
    return stream.getvalue()


def _datasets(h5py: Any, file: Any) -> list[str]:
    """Return every dataset that lies in this very file; links to others are not followed."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    if not all(isinstance(name, str) for name in found):
        raise ValueError("a name in it is no text")
    elsewhere = [name for name in found if file[name].is_virtual or file[name].external]
    if elsewhere:
        raise ValueError(f"{elsewhere[0]} refers to another file")
    return found


def _layers(file: Any, datasets: list[str]) -> list[Layer]:
    """Return the layers that have variables, numbered ones in order: their names and variables.

    A model within the model has layers of its own, whose names begin with its name.
    """
    groups: dict[str, list[str]] = {}
    for place in sorted(datasets, key=_in_numbers):  # dense_2 comes before dense_10
        match = re.fullmatch(r"layers/([^/]+(?:/layers/[^/]+)*)/(.+)", place)
        if match is not None:
            groups.setdefault(match[1], []).append(match[2])
    found: list[Layer] = []
    for group, places in groups.items():
        parts = group.split("/layers/")
        names = [_name_of(file, "/layers/".join(parts[: depth + 1]), part) for depth, part in enumerate(parts)]
        shapes = [file[f"layers/{group}/{place}"].shape for place in places]
        found.append(Layer.of("/".join(names), group, places, shapes))
    return found


def _name_of(file: Any, group: str, otherwise: str) -> str:
    item = file[f"layers/{group}"]
    return str(item["vars"].attrs.get("name", otherwise) if "vars" in item else otherwise)


def _in_numbers(path: str) -> list[tuple[str, int]]:
    """Return a key that sorts the numbers in a name as numbers."""
    parts = re.split(r"(\d+)", path)
    return [(text, int(digits or 0)) for text, digits in zip(parts[::2], [*parts[1::2], ""], strict=True)]


def _h5py() -> Any:
    try:
        return importlib.import_module("h5py")
    except ModuleNotFoundError:
        raise MissingDependencyError('this needs h5py. Run: pip install "downslope[keras]"') from None
