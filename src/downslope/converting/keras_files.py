"""Keras's files, `.keras` and `.weights.h5`, by their layout, without Keras: the optimizer's variables and the model's.

In the HDF5 part, `optimizer/vars/0` is the iteration, `1` the learning rate unless a schedule has it, and then come the
momentums, in the order of the trainable variables; `layers/GROUP/vars/N` are a layer's variables, with the layer's name
as an attribute. A `.keras` file is a zip archive of that and of config.json.
"""

from __future__ import annotations

import importlib
import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from downslope.converting.formats import open_archive, read_member
from downslope.converting.snapshot import Snapshot, as_written, damaged, replace_file
from downslope.converting.which_optimizer import KERAS_NAMES, refusal
from downslope.core.bounds import MOST_JSON, check_unpacked, read_whole
from downslope.core.errors import MissingDependencyError, SettingsError, StateError, did_you_mean
from downslope.core.files import open_regular
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.core.strict_json import decode_json
from downslope.systems.from_system import settings_from_convention
from downslope.systems.schedules import keras_lr

Shape = tuple[int, ...]
_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_HOW_TO_SAVE = (
    "Save it from a model that has been compiled with SGD and trained, or built: "
    "model.optimizer.build(model.trainable_variables); model.save(...)."
)
_BROKEN = (OSError, LookupError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)
"""What h5py raises for a damaged file."""
_DEEPEST, _MOST = 100, 100_000
"""Levels and datasets that an HDF5 file may have."""
_UNNAMED = (
    "which velocity is which parameter's cannot be told from this file, so that velocities are named by their place: "
    "momentum/0, momentum/1, ..., in the order of model.trainable_variables"
)

_VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("dense", "conv1d", "conv2d", "conv3d"), ("kernel", "bias")),
        **dict.fromkeys(("conv1d_transpose", "conv2d_transpose", "conv3d_transpose"), ("kernel", "bias")),
        **dict.fromkeys(("depthwise_conv1d", "depthwise_conv2d"), ("kernel", "bias")),
        "embedding": ("embeddings",),
        "layer_normalization": ("gamma", "beta"),
        "group_normalization": ("gamma", "beta"),
        **dict.fromkeys(("lstm", "gru", "simple_rnn"), ("kernel", "recurrent_kernel", "bias")),
    }
)
"""By the group's name without its number, what a layer's variables are called, in order."""

_MOST_ORDERS = 20_000
"""Orders of layers that are looked at."""
_MOVING = ("moving_mean", "moving_variance")


@dataclass(frozen=True, kw_only=True)
class KerasFile:
    """A Keras file, taken apart.

    Attributes:
        path: Where it lies.
        weights: Its HDF5 part.
        config: Its configuration; empty for a `.weights.h5`.
        is_archive: Whether it is a zip archive, as `.keras` files are, or HDF5 alone.
        places: By parameter name, the dataset that holds it.
        momentums: By parameter name, the dataset that holds its velocity.
        averages: By parameter name, the dataset that holds its average; empty without `use_ema`.
        iteration: The dataset of the iteration.
        learning_rate: The dataset of the learning rate, or None where a schedule has it.
        snapshot: What it holds.
    """

    path: Path
    weights: bytes
    config: Mapping[str, Any]
    is_archive: bool
    places: dict[str, str]
    momentums: dict[str, str]
    averages: dict[str, str]
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
    weights, config, is_archive = _open(path)
    own = _table(_table(config.get("compile_config")).get("optimizer"))
    name = str(own.get("class_name", "SGD"))
    if name not in {"SGD", "Custom>SGD"}:
        raise StateError(f"{shown(path)}: its optimizer is {shown(name)}, and only SGD's state can be carried over.")
    h5py = _h5py()
    if str(own.get("registered_name") or "").startswith("downslope") and convention == "keras":
        raise StateError(f"{shown(path)}: its optimizer is downslope.keras.SGD. Use downslope.keras instead of keras.")
    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            datasets = _datasets(h5py, file, path, len(weights))
            called = _called(file, path)
            arrays = {place: file[place][()] for place in datasets}
            layers = _layers(file, datasets)
    except StateError:
        raise
    except _BROKEN as error:
        raise damaged(path, error) from None
    if not own and called.lower() in KERAS_NAMES:
        raise StateError(refusal(shown(path), f"keras.optimizers' {shown(called)}", ()))
    notes = (
        []
        if called in {"", "sgd", "SGD"} or own
        else [
            f"its optimizer is called {shown(called)}, which does not say of which class it is; it is taken to be SGD"
        ]
    )
    slots = sorted((p for p in arrays if re.fullmatch(r"optimizer/vars/\d+", p)), key=_in_numbers)
    if not slots:
        raise StateError(f"{shown(path)}: has no optimizer in it. {_HOW_TO_SAVE}")
    if arrays[slots[0]].shape != () or arrays[slots[0]].dtype.kind not in "iu":
        raise damaged(path, f"{slots[0]} is no count of steps")
    scheduled = isinstance(_table(own.get("config")).get("learning_rate"), Mapping)
    with_lr = len(slots) > 1 and not scheduled and arrays[slots[1]].shape == () and arrays[slots[1]].dtype.kind == "f"
    rest = slots[2 if with_lr else 1 :]
    ordered, certain = order_of_config(layers, config)
    kept, rest = _apart(path, rest, arrays, own)
    found = name_momentums(ordered, [arrays[slot].shape for slot in rest or kept], certain=certain)
    momentums = dict(zip(found, rest, strict=False))
    averages = dict(zip(found, kept, strict=False))
    places = {name: place for layer in layers for name, place in layer.places.items()}
    lr = as_written(float(arrays[slots[1]])) if with_lr else None
    notes += [] if all(name in places for name in found) else [_UNNAMED]
    return KerasFile(
        path=path,
        weights=weights,
        config=config,
        is_archive=is_archive,
        places=places,
        momentums=momentums,
        averages=averages,
        iteration=slots[0],
        learning_rate=slots[1] if with_lr else None,
        snapshot=Snapshot(
            what=f"{shown(path.name)} (Keras)",
            convention=convention,
            velocity={name: arrays[slot] for name, slot in momentums.items()},
            average={name: arrays[slot] for name, slot in averages.items()},
            params={name: arrays[place] for name, place in places.items()},
            step=int(arrays[slots[0]]),
            settings=_settings(_table(own.get("config")), lr, path, convention),
            notes=tuple(notes),
        ),
    )


def _apart(
    path: Path, slots: list[str], arrays: Mapping[str, Any], optimizer: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Return the datasets of averages and those of velocities, which Keras keeps in this order for all variables.

    Between the two may be accumulated gradients, which are no state that goes on elsewhere.

    Raises:
        StateError: If the file does not say which are which.
    """
    config = _table(optimizer.get("config"))
    kinds = ["average"] * bool(config.get("use_ema"))
    kinds += ["accumulated"] * bool(config.get("gradient_accumulation_steps"))
    shapes = [arrays[slot].shape for slot in slots]
    half = len(slots) // 2
    if not config and half and len(slots) % 2 == 0 and shapes[:half] == shapes[half:] and _are_twice(arrays, half):
        raise StateError(
            f"{shown(path)}: its optimizer has two variables for each of the model's, and a file of weights does not "
            "say whether averages (use_ema) or accumulated gradients are beside the velocities. Save a .keras file."
        )
    if not kinds:
        return [], slots
    kinds += ["velocity"] * bool(config.get("momentum", 0.0))
    size = len(slots) // len(kinds)
    parts = {kind: slots[place * size : (place + 1) * size] for place, kind in enumerate(kinds)}
    if len(slots) % len(kinds) or len({tuple(arrays[slot].shape for slot in part) for part in parts.values()}) > 1:
        raise StateError(
            f"{shown(path)}: its optimizer has {len(slots)} variables of {' and '.join(kinds)} that are not each as "
            "many as the model's. Where only some variables have momentum, save it from an optimizer without use_ema."
        )
    return parts.get("average", []), parts.get("velocity", [])


def _are_twice(arrays: Mapping[str, Any], count: int) -> bool:
    """Whether the model has about `count` variables that are trained, and not twice as many."""
    return sum(not place.startswith("optimizer/") for place in arrays) < 2 * count


def write_keras(path: Path, snapshot: Snapshot, like: KerasFile) -> list[str]:
    """Write a snapshot into a copy of a Keras file, so that Keras loads it.

    `like` is a file that Keras wrote for this model and optimizer; velocities are under its names.

    Returns:
        Sentences on what was rounded or left as it was.

    Raises:
        StateError: If a name is missing or unknown, or a shape differs; nothing has then been written.
    """
    import numpy as np

    if (path.suffix == ".keras") != like.is_archive:
        form = "a .keras file" if like.is_archive else "a .weights.h5 file"
        raise StateError(
            f"{shown(path)} cannot be made like {shown(like.path)}, which is {form}: give both one ending."
        )
    _check_names(snapshot, like)
    new: dict[str, Any] = {place: _filled(snapshot.velocity[name]) for name, place in like.momentums.items()}
    new |= {like.places[name]: array for name, array in snapshot.params.items()}
    if snapshot.step is not None:
        new[like.iteration] = np.array(snapshot.step)
    new |= {place: _begun(name, snapshot, like) for name, place in like.averages.items()}
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


def _begun(name: str, snapshot: Snapshot, like: KerasFile) -> Any:
    """Return the average of a parameter; the parameter itself if there is none."""
    for held in (snapshot.average, snapshot.params, like.snapshot.params):
        if name in held:
            return held[name]
    raise StateError(
        f"{shown(like.path)} keeps averages, and nothing says what that of `{shown(name)}` is: there is neither an "
        "average nor a parameter of that name."
    )


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
    if snapshot.average and not like.averages:
        notes.append(f"left out: averages of the weights, of which {like.path.name} keeps none (use_ema)")
    begun = [name for name in like.averages if name not in snapshot.average]
    if begun:
        notes.append(f"averages begin with the parameters: {', '.join(begun)}")
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
    if arguments.get("ema_overwrite_frequency") is None:  # else parameters become their averages, as in no other
        arguments = {key: value for key, value in arguments.items() if key not in {"use_ema", "ema_momentum"}}
    try:
        if convention != "keras":
            return _own_settings(arguments)
        return settings_from_convention(convention, arguments)
    except (SettingsError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise SettingsError(f"{shown(path)}: {shown(error, 1000)}") from None


def _own_settings(config: Mapping[str, Any]) -> Settings | None:
    """Return the settings in the configuration of ``downslope.keras.SGD``; None with groups, or schedules of ours."""
    if config.get("groups") or any(isinstance(config.get(name), Mapping) for name in ("momentum", "weight_decay")):
        return None
    lr = config.get("learning_rate")
    if isinstance(lr, Mapping) and str(lr.get("registered_name") or "").startswith("downslope"):
        return None
    own = {f.name: config[f.name] for f in fields(Settings) if config.get(f.name) is not None and f.name != "lr"}
    return Settings(lr=keras_lr(lr), **own)


def _open(path: Path) -> tuple[bytes, Mapping[str, Any], bool]:
    """Return the HDF5 part of a file, its configuration, empty where it has none, and whether it is an archive."""
    with open_regular(path, StateError) as file:
        if file.read(4) == b"PK\x03\x04":
            with open_archive(file, path) as archive:
                config = read_member(archive, _CONFIG, path, MOST_JSON)
                weights = read_member(archive, _WEIGHTS, path)
            return weights, decode_json(config, dict[str, Any], f"{path}, {_CONFIG}", StateError), True
    return read_whole(path, StateError), {}, False


def _packed(like: KerasFile, weights: bytes) -> bytes:
    if not like.is_archive:
        return weights
    stream = io.BytesIO()
    with (
        open_regular(like.path, StateError) as file,
        open_archive(file, like.path) as old,
        zipfile.ZipFile(stream, "w") as new,
    ):
        for item in old.infolist():
            is_weights = item.filename == _WEIGHTS
            new.writestr(item, weights if is_weights else read_member(old, item.filename, like.path))
    return stream.getvalue()


def _called(file: Any, path: Path) -> str:
    """Return what the optimizer is called, which for a weights file is all that it says about its class."""
    if "optimizer_weights" in file or "model_weights" in file:
        raise StateError(
            f"{shown(path)}: is a whole model in one .h5 file, the form of older Keras, whose velocities are not read "
            "here. Load it with keras.models.load_model, and save it as .keras."
        )
    return str(file["optimizer/vars"].attrs.get("name", "")) if "optimizer/vars" in file else ""


def _datasets(h5py: Any, file: Any, path: Path, size: int) -> list[str]:
    """Return every dataset, all of them numbers that lie in this very file and fit its size.

    HDF5 can take data from any file of the machine, by links, external storage and virtual datasets; Keras never does.
    """
    found: list[str] = []
    declared = 0
    open_groups: list[tuple[str, Any]] = [("", file)]
    seen: set[Any] = set()
    while open_groups:
        place, group = open_groups.pop()
        info = h5py.h5o.get_info(group.id)
        if (info.fileno, info.addr) in seen or place.count("/") > _DEEPEST or len(seen) > _MOST:
            raise ValueError("its groups lead in a circle, or are too many or too deep")
        seen.add((info.fileno, info.addr))
        for name in group:
            here = f"{place}{name}"
            is_own = isinstance(name, str) and isinstance(group.get(name, getlink=True), h5py.HardLink)
            if not is_own:
                raise ValueError(f"{here} is a link, perhaps to another file")
            item = group[name]
            if isinstance(item, h5py.Group):
                open_groups.append((f"{here}/", item))
            elif isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    raise ValueError(f"{here} refers to another file")
                if item.dtype.kind not in "biufc" or item.shape is None:
                    raise StateError(f"{shown(path)}: {shown(here)} must hold numbers; got {shown(item.dtype)}.")
                declared += math.prod(item.shape) * item.dtype.itemsize
                chunk = math.prod(item.chunks) * item.dtype.itemsize if item.chunks else 0
                check_unpacked(path, max(declared, chunk), size, StateError)
                found.append(here)
                if len(found) > _MOST:
                    raise ValueError("it has too many datasets")
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


def _in_numbers(path: str) -> list[tuple[str, tuple[int, str]]]:
    """Return a key that sorts the numbers in a name as numbers."""
    parts = re.split(r"(\d+)", path)
    digits = [number.lstrip("0") for number in (*parts[1::2], "")]
    return [(text, (len(d), d)) for text, d in zip(parts[::2], digits, strict=True)]


def _h5py() -> Any:
    try:
        return importlib.import_module("h5py")
    except ModuleNotFoundError:
        raise MissingDependencyError('this needs h5py. Run: pip install "downslope[keras]"') from None


# The layers of a model, and which of their variables each momentum belongs to


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer.

    Attributes:
        name: Its name in the model.
        kind: Its class in snake case, such as "dense".
        places: By parameter name, "LAYER/kernel", the dataset.
        trainable: Names of the variables that gradients move, in order.
        shapes: Shape of each variable, by name.
    """

    name: str
    kind: str
    places: dict[str, str]
    trainable: tuple[str, ...]
    shapes: dict[str, Shape]

    @classmethod
    def of(cls, name: str, group: str, places: list[str], shapes: list[Shape]) -> Layer:
        """Return the layer of a group of datasets, "vars/0", "cell/vars/0", ..., whose shapes these are.

        Its group is its class in snake case, numbered from the second on; within an inner model, after that one's.
        """
        kind = re.sub(r"_\d+$", "", group.rsplit("/", 1)[-1])
        own = [place for place in places if "seed_generator" not in place]
        words = _VARIABLES.get(kind, ())
        moving: tuple[str, ...] = ()
        if kind == "batch_normalization" and len(own) >= 2:
            kept = ("gamma", "beta")[: len(own) - 2] if len(own) != 3 else ("vars/0",)
            words, moving = (*kept, *_MOVING), _MOVING
        known = len(own) <= len(words)
        names = [f"{name}/{words[place] if known else own[place]}" for place in range(len(own))]
        by_place = (
            dict(zip(own, shapes, strict=False))
            if own == places
            else {place: shape for place, shape in zip(places, shapes, strict=True) if place in own}
        )
        return cls(
            name=name,
            kind=kind,
            places={n: f"layers/{group}/{place}" for n, place in zip(names, own, strict=True)},
            trainable=tuple(n for n in names if n.rsplit("/", 1)[1] not in moving),
            shapes={n: tuple(by_place[place]) for n, place in zip(names, own, strict=True)},
        )


def order_of_config(layers: list[Layer], config: Mapping[str, Any]) -> tuple[list[Layer], bool]:
    """Return the layers in the order of the model, and whether that is certain.

    Args:
        layers: As in the file, whose order is the alphabet's.
        config: The model's configuration, empty if unknown. Layers that it says are frozen are left out.
    """
    by_name = {layer.name: layer for layer in layers}
    names = _trainable_names(config, ())
    if names is None:
        return layers, False
    return [by_name[name] for name in names if name in by_name], True


def _trainable_names(config: Mapping[str, Any], place: tuple[str, ...]) -> list[str] | None:
    """Return the names of the layers that are not frozen, in order, those of inner models too; None if none are listed.

    `place` has the names of the models that it lies within.
    """
    model = config.get("config")
    listed = model.get("layers") if isinstance(model, Mapping) else None
    if not isinstance(listed, list):
        return None
    names: list[str] = []
    for item in listed:
        own = item.get("config") if isinstance(item, Mapping) else None
        if not isinstance(own, Mapping) or own.get("trainable", True) is False:
            continue
        here = (*place, str(own.get("name")))
        inner = _trainable_names(item, here)
        names += ["/".join(here)] if inner is None else inner
    return names


def name_momentums(layers: list[Layer], shapes: list[Shape], *, certain: bool) -> list[str]:
    """Return which parameter each velocity belongs to, or "momentum/0", "momentum/1", ... where it cannot be told.

    Args:
        layers: The layers.
        shapes: Shapes of the velocities, in the order of the trainable variables.
        certain: Whether the layers are in the model's order. If not, layers of one class are in order among themselves,
            and the answer is given only where shapes allow a single one.
    """
    by_kind: dict[str, list[Layer]] = {}
    for layer in layers:
        if layer.trainable:
            by_kind.setdefault("" if certain else layer.kind, []).append(layer)
    order = _only_order([tuple(kind) for kind in by_kind.values()], shapes)
    if order is None:
        return [f"momentum/{place}" for place in range(len(shapes))]
    return [name for layer in order for name in layer.trainable]


def _only_order(queues: list[tuple[Layer, ...]], shapes: list[Shape]) -> list[Layer] | None:
    """Return the one way to take layers from the heads of queues so that their shapes are those given.

    None if there is no way, are several, or so many orders are thinkable that they cannot all be looked at. What is
    left to do depends only on how many layers were taken of each queue: each such state is visited once.
    """
    start = (0,) * len(queues)
    offsets = [_offsets(queue) for queue in queues]
    ends = tuple(len(queue) for queue in queues)
    ways: dict[tuple[int, ...], tuple[int, list[Layer]]] = {}  # how many ways lead on, at most 2, and the first step
    stack = [start]
    while stack:
        taken = stack[-1]
        if taken in ways:
            stack.pop()
            continue
        done = sum(offset[count] for offset, count in zip(offsets, taken, strict=True))
        if taken == ends:
            ways[taken] = (int(done == len(shapes)), [])
            continue
        onward = list(_onward(queues, taken, shapes[done:]))
        waiting = [state for _, state in onward if state not in ways]
        if waiting:
            stack += waiting
            if len(ways) + len(stack) > _MOST_ORDERS:
                return None
            continue
        possible = [(head, state) for head, state in onward if ways[state][0]]
        count = min(sum(ways[state][0] for _, state in possible), 2)
        ways[taken] = (count, [head for head, _ in possible[:1]])
    if ways[start][0] != 1:
        return None
    order: list[Layer] = []
    while start != ends:
        head = ways[start][1][0]
        order.append(head)
        place = next(p for p, queue in enumerate(queues) if start[p] < len(queue) and queue[start[p]] is head)
        start = (*start[:place], start[place] + 1, *start[place + 1 :])
    return order


def _onward(
    queues: list[tuple[Layer, ...]], taken: tuple[int, ...], shapes: list[Shape]
) -> Iterator[tuple[Layer, tuple[int, ...]]]:
    """Yield the layers that may come next, and what is then taken."""
    for place, queue in enumerate(queues):
        if taken[place] < len(queue):
            head = queue[taken[place]]
            own = [head.shapes[name] for name in head.trainable]
            if shapes[: len(own)] == own:
                yield head, (*taken[:place], taken[place] + 1, *taken[place + 1 :])


def _offsets(queue: tuple[Layer, ...]) -> list[int]:
    """Return how many variables the first 0, 1, 2, ... layers of a queue have."""
    counts = [0]
    for layer in queue:
        counts.append(counts[-1] + len(layer.trainable))
    return counts
