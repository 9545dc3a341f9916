"""PyTorch's files, `.pt` and `.pth`: an optimizer's state_dict, alone or in a checkpoint beside the model's.

What lives here: reading them, with ``weights_only=True`` and in no other way. What does not: writing them, since such a
file is a pickle and this project writes none.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from downslope.core.errors import DownslopeError, MissingDependencyError, SettingsError, StateError, one_of
from downslope.core.parameter_names import without_wrappers
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.exchange.conventions import find_convention
from downslope.exchange.reading import settings_from_convention
from downslope.exchange.snapshot import Snapshot, damaged
from downslope.recipes.decode import Source, decode_schedule
from downslope.torch import param_groups as keys
from downslope.torch.beyond_settings import within_settings
from downslope.torch.loading import is_group_of_sgd

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Last names of what batch normalisation keeps in a model's state_dict beside parameters."""


def read_state_file(path: Path, convention: str) -> Snapshot:
    """Return what a `.pt` or `.pth` file holds.

    Args:
        path: The file.
        convention: Whose velocities they are: "torch", "timm", "composer", ..., or "downslope".

    Raises:
        StateError: If it is damaged, holds more than tensors and plain values, or no state of SGD.
        SettingsError: If its hyperparameters are not allowed.
    """
    loaded = load_plain(path)
    optimizer, model, notes = _parts(path, loaded)
    groups = [cast("dict[str, Any]", group) for group in optimizer["param_groups"]]
    _check_places(path, groups, optimizer["state"])
    names, said = _names(groups, model, optimizer["state"])
    row = find_convention(convention)
    key = "momentum_buffer" if row.name == "downslope" else row.state_key
    velocity: dict[str, Any] = {}
    settings: dict[str, Settings] = {}
    for group in groups:
        of_group = settings_of_group(path, group, convention)
        for place in group["params"]:
            entry = optimizer["state"].get(place, {})
            velocity[names[place]] = _velocity(path, names[place], entry, key, notes, of_sgd=is_group_of_sgd(group))
            settings[names[place]] = of_group
    params = {}
    if model is not None:
        bare = zip(without_wrappers(model), model.values(), strict=True)
        params = {n: as_array(t, n, notes) for n, t in bare if t.is_floating_point() or t.is_complex()}
    steps = {group.get("step") for group in groups}
    return Snapshot(
        what=f"{path.name} ({row.title})",
        convention=row.name,
        velocity=velocity,
        params=params,
        step=steps.pop() if len(steps) == 1 else None,
        settings=settings,
        notes=tuple(dict.fromkeys([*said, *notes])),
    )


def load_plain(path: Path) -> Any:
    """Return the tensors and plain values of a file, which can run no code.

    Raises:
        StateError: If it is damaged or holds anything else.
        MissingDependencyError: If torch is older than 2.10, whose check can be passed by.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < (2, 10):
        raise MissingDependencyError(f"reading {path.name} safely needs torch >= 2.10; this is {torch.__version__}.")
    if not path.is_file():
        raise StateError(f"{path}: there is no such file.")
    _check_sums(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols; what cannot be read is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- torch raises a dozen kinds, down to IndexError, for a damaged file
        if type(error).__name__ == "UnpicklingError" and "Weights only load failed" in str(error):
            raise StateError(_refusal(path, str(error))) from None
        raise damaged(path, error) from None


def _check_sums(path: Path) -> None:
    """Raise if the checksum of a part of the file does not fit, which torch does not look at."""
    try:
        if not zipfile.is_zipfile(path):  # as older torch wrote it, or damaged, which torch says
            return
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise damaged(path, error) from None
    if broken is not None:
        raise damaged(path, f"the checksum of {broken} does not fit")


def _refusal(path: Path, message: str) -> str:
    named = re.search(r"(?:GLOBAL|global|function|class) ['`]?([\w.]+\.[\w.]+)", message)
    what = f": {named.group(1)}" if named else ""
    return (
        f"{path}: holds more than tensors, numbers and plain containers{what}. Reading that could run code, so it is "
        "not read. Save only optimizer.state_dict() (and model.state_dict()) from where the file was made."
    )


def _parts(path: Path, loaded: Any) -> tuple[dict[str, Any], dict[str, Tensor] | None, list[str]]:
    """Return the optimizer's state_dict, the model's or None, and what a person should know."""
    if _is_optimizer(loaded):
        return loaded, None, []
    if not isinstance(loaded, Mapping):
        raise StateError(f"{path}: holds {type(loaded).__name__}, not a state_dict.")
    table = cast("dict[str, Any]", loaded)
    optimizers = [key for key, value in table.items() if _is_optimizer(value)]
    if not optimizers and _is_model(table):
        raise StateError(f"{path}: holds a model's parameters and no optimizer. Save optimizer.state_dict() too.")
    if len(optimizers) != 1:
        found = f"{len(optimizers)} ({', '.join(optimizers)})" if optimizers else "none"
        raise StateError(f"{path}: must hold one optimizer's state_dict; got {found}. Its keys: {', '.join(table)}.")
    models = [key for key, value in table.items() if _is_model(value)]
    notes = [f"the optimizer is under {optimizers[0]!r}"]
    if len(models) == 1:
        notes.append(f"the model is under {models[0]!r}")
    elif models:
        notes.append(f"left out, since there are several: the parameters under {one_of(models)}")
    return table[optimizers[0]], table[models[0]] if len(models) == 1 else None, notes


def _check_places(path: Path, groups: list[dict[str, Any]], state: Mapping[Any, Any]) -> None:
    places = [place for group in groups for place in group["params"]]
    if not all(isinstance(place, int | str) for place in places) or len(set(places)) < len(places):
        raise StateError(f"{path}: its groups must list each parameter once, by number or name.")
    stray = [str(place) for place in state if place not in places]
    if stray:
        raise StateError(f"{path}: it has a state for {one_of(stray)}, which no group lists.")
    if not all(isinstance(entry, Mapping) for entry in state.values()):
        raise StateError(f"{path}: the state of each parameter must be a table.")


def _is_optimizer(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("state"), Mapping)
        and isinstance(value.get("param_groups"), list)
        and all(isinstance(g, Mapping) and isinstance(g.get("params"), list) for g in value["param_groups"])
        and bool(value["param_groups"])
    )


def _is_model(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def _names(
    groups: list[dict[str, Any]], model: dict[str, Tensor] | None, state: Mapping[Any, Any]
) -> tuple[dict[Any, str], list[str]]:
    """Return the name of each saved index, and how it was found."""
    places = [place for group in groups for place in group["params"]]
    if all(len(group.get("param_names", ())) == len(group["params"]) for group in groups):
        own = without_wrappers(name for group in groups for name in group.get("param_names", ()))
        if len(set(own)) == len(own):
            return dict(zip(places, own, strict=True)), []
    model = None if model is None else dict(zip(without_wrappers(model), model.values(), strict=True))
    learned = [name for name in model or () if name.rsplit(".", 1)[-1] not in _BUFFERS]
    if model is not None and len(learned) == len(places) and len(groups) == 1:
        shapes = [_shape(state.get(place)) for place in places]
        if all(shape in (None, tuple(model[n].shape)) for n, shape in zip(learned, shapes, strict=True)):
            said = "the optimizer was made without names; its parameters are taken in the order of the model's"
            return dict(zip(places, learned, strict=True)), [said]
    said = "the optimizer was made without names, so parameters are named by their place: 0, 1, ..."
    return {place: str(place) for place in places}, [said]


def _shape(entry: Any) -> tuple[int, ...] | None:
    tensors = [value for value in entry.values() if isinstance(value, Tensor)] if isinstance(entry, Mapping) else []
    return tuple(tensors[0].shape) if tensors else None


def _velocity(path: Path, name: str, entry: Any, key: str, notes: list[str], *, of_sgd: bool) -> Any:
    foreign = [shown(word) for word in entry if word != key]
    if foreign and of_sgd and key in entry:
        notes.append(f"left out: {one_of(foreign)}, which something around the optimizer keeps beside the velocity")
    elif foreign:
        raise StateError(f"{path}: the state of `{shown(name)}` holds {one_of(foreign)}, and {key} alone is SGD's.")
    return None if entry.get(key) is None else as_array(entry[key], name, notes)


def as_array(tensor: Any, name: str, notes: list[str]) -> Any:
    """Return a tensor as a NumPy array, bfloat16 as the same numbers in float32.

    Args:
        tensor: The tensor.
        name: For messages.
        notes: Is added to where the format changes.

    Raises:
        StateError: If it is no dense tensor of floating or complex numbers.
    """
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        raise StateError(f"`{name}` must be a dense tensor; got {type(tensor).__name__}.")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise StateError(f"`{name}` must hold floating or complex numbers; got {tensor.dtype}.")
    if tensor.dtype == torch.bfloat16:
        notes.append("bfloat16 became float32, which holds the same numbers")
        tensor = tensor.float()
    return tensor.detach().cpu().resolve_conj().resolve_neg().numpy()


def settings_of_group(path: Path, group: Mapping[str, Any], convention: str) -> Settings:
    """Return the settings of a saved parameter group, ours or another system's.

    Args:
        path: Where it is from, for messages.
        group: The group.
        convention: Whose arguments it holds.

    Raises:
        SettingsError: If they are not allowed.
    """
    try:
        if all(name in group for name in keys.HYPERPARAMETERS):  # downslope.torch.SGD's own
            values = {name: group[name] for name in keys.HYPERPARAMETERS}
            for name in keys.SCHEDULABLE:
                if isinstance(table := group.get(keys.schedule_key(name)), Mapping):
                    values[name] = decode_schedule(table, Source(str(path)), ("param_groups", name))
            inside, _ = within_settings(
                values
            )  # of what is no effect (dampening without momentum), and what is too much
            if inside["momentum"] != values["momentum"]:
                Settings(**{**inside, "momentum": values["momentum"]})  # raises
            return Settings(**inside)
        return settings_from_convention(convention, {k: v for k, v in group.items() if k != "params"})
    except (SettingsError, KeyError) as error:
        raise SettingsError(f"{path}, param_groups: {error}") from None
    except DownslopeError as error:
        raise StateError(f"{path}: {error}") from None
