"""PyTorch's files: an optimizer's state_dict, alone or in a checkpoint beside the model's, Lightning's among them.

They are read with ``weights_only=True`` and in no other way, and never written, since such a file is a pickle.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from downslope.converting.formats import check_sums, open_archive
from downslope.converting.snapshot import Snapshot, damaged
from downslope.converting.which_optimizer import choose, refusal, torch_optimizer
from downslope.core.blocks import BLOCK, blocks_of
from downslope.core.bounds import check_memory, check_unpacked
from downslope.core.errors import DownslopeError, MissingDependencyError, SettingsError, StateError, one_of
from downslope.core.files import open_regular
from downslope.core.parameter_names import without_wrappers
from downslope.core.settings import Settings
from downslope.core.shown import shown
from downslope.core.tables import Source, decode_schedule
from downslope.systems.from_system import settings_from_convention
from downslope.systems.table import find_convention
from downslope.torch import group_values
from downslope.torch.average import AVERAGE
from downslope.torch.blocks import CODES, SCALES, decode
from downslope.torch.state import is_group_of_sgd

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Last names of what batch normalisation keeps in a model's state_dict beside parameters."""

_NEEDED = "one optimizer's state_dict"
_DEEPEST = 6
"""How deep in a checkpoint's lists and tables an optimizer is looked for."""


def read_state_file(path: Path, convention: str, *, optimizer: str | None = None, order: str | None = None) -> Snapshot:
    """Return what a file holds that torch wrote, whatever it is called: `.pt`, `.pth`, `.ckpt`, `.bin`, `.pth.tar`.

    Args:
        path: The file.
        convention: Whose velocities they are: "torch", "timm", "composer", ..., or "downslope".
        optimizer: Which optimizer, where there are several: its number, or where it is, such as "optimizer_states.0".
        order: Of an optimizer that was made without names: "model" if it was made of all parameters of the model
            beside it, in the model's order; "place" to call them by their place, 0, 1, ...; None for the latter where
            there is no model beside it, and else to refuse, since the file does not say which is which.

    Raises:
        StateError: If it is damaged, holds more than tensors and plain values, or no state of SGD.
        SettingsError: If its hyperparameters are not allowed.
    """
    loaded, size = _load(path)
    found, model, notes = _parts(path, loaded, optimizer)
    groups = [_each_once(cast("dict[str, Any]", group)) for group in found["param_groups"]]
    state = found["state"]
    _check_places(path, groups, state)
    _check_is_sgd(path, groups, state)
    _check_sizes(path, size, [*(model or {}).values(), *(t for entry in state.values() for t in entry.values())])
    names, said = _names(path, groups, model, state, order)
    row = find_convention(convention)
    key = "momentum_buffer" if row.name == "downslope" else row.state_key
    velocity: dict[str, Any] = {}
    settings: dict[str, Settings] = {}
    average: dict[str, Any] = {}
    for group in groups:
        of_group = settings_of_group(path, group, convention)
        for place in group["params"]:
            entry, of_sgd = state.get(place, {}), is_group_of_sgd(group)
            if AVERAGE in entry:
                average[names[place]] = as_array(entry[AVERAGE], names[place], notes)
            velocity[names[place]] = _velocity(path, names[place], entry, key, notes, of_sgd=of_sgd)
            settings[names[place]] = of_group
    params = {}
    if model is not None:
        bare = zip(without_wrappers(model), model.values(), strict=True)
        params = {n: as_array(t, n, notes) for n, t in bare if t.is_floating_point() or t.is_complex()}
    steps = {group.get("step") for group in groups}
    return Snapshot(
        what=f"{shown(path.name)} ({row.title})",
        convention=row.name,
        velocity=velocity,
        params=params,
        step=steps.pop() if len(steps) == 1 else None,
        settings=settings,
        notes=tuple(dict.fromkeys([*said, *notes])),
        average=average,
    )


def _load(path: Path) -> tuple[Any, int]:
    """Return the tensors and plain values of a file, which can run no code, and its size.

    Raises:
        StateError: If it is damaged, no regular file, or holds anything else.
        MissingDependencyError: If torch is older than 2.10, whose check can be passed by.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if version < (2, 10):
        raise MissingDependencyError(
            f"reading {shown(path.name)} safely needs torch >= 2.10; this is {torch.__version__}."
        )
    try:
        file = open_regular(path, StateError)
    except FileNotFoundError:
        raise StateError(f"{shown(path)}: there is no such file.") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        check_memory(path, size, StateError)
        if file.read(4) == b"PK\x03\x04":
            with open_archive(file, path) as archive:
                check_sums(archive, path)  # at which torch does not look
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickle protocols; what cannot be read is an error
                return torch.load(file, map_location="cpu", weights_only=True), size
        except Exception as error:  # noqa: BLE001 -- torch raises a dozen kinds, down to IndexError, for a damaged file
            if type(error).__name__ == "UnpicklingError" and "Weights only load failed" in str(error):
                raise StateError(_refusal(path, str(error))) from None
            raise damaged(path, error) from None


def _refusal(path: Path, message: str) -> str:
    named = re.search(r"(?:GLOBAL|global|function|class) ['`]?([\w.]+\.[\w.]+)", message)
    what = f": {shown(named.group(1))}" if named else ""
    return (
        f"{shown(path)}: holds more than tensors, numbers and plain containers{what}. Reading that could run code, so "
        "it is not read. Save only optimizer.state_dict() (and model.state_dict()) from where the file was made."
    )


def _parts(path: Path, loaded: Any, chosen: str | None) -> tuple[dict[str, Any], dict[str, Tensor] | None, list[str]]:
    """Return the optimizer's state_dict, the model's or None, and what a person should know."""
    if _is_optimizer(loaded):
        choose(["0"], chosen, path, _NEEDED)
        return loaded, None, []
    if not isinstance(loaded, Mapping):
        raise StateError(f"{shown(path)}: holds {type(loaded).__name__}, not a state_dict.")
    table = cast("dict[str, Any]", loaded)
    places = dict(_optimizers(table))
    if not places:
        if _is_model(table) or any(map(_is_model, table.values())):
            raise StateError(
                f"{shown(path)}: holds a model's parameters and no optimizer. Save optimizer.state_dict() too."
            )
        keys = shown(", ".join(map(str, table)))
        raise StateError(f"{shown(path)}: must hold {_NEEDED}; got none. Its keys: {keys}.")
    place = list(places)[choose(list(places), chosen, path, _NEEDED)]
    notes = [f"the optimizer is under {shown(place)!r}"]
    models = [str(key) for key, value in table.items() if _is_model(value)]
    if len(models) == 1:
        notes.append(f"the model is under {shown(models[0])!r}")
        return places[place], next(value for value in table.values() if _is_model(value)), notes
    if models:
        notes.append(f"left out, since there are several: the parameters under {shown(one_of(models))}")
    return places[place], None, notes


def _optimizers(table: Mapping[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where in a checkpoint each optimizer's state_dict is, and itself: at the top, or in lists and tables."""
    seen: set[int] = set()

    def within(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        if not isinstance(value, Mapping | list | tuple) or len(place) > _DEEPEST:
            return
        if _is_optimizer(value):
            yield ".".join(place), cast("dict[str, Any]", value)
            return
        if id(value) in seen:  # a list may hold itself
            return
        seen.add(id(value))
        inner = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in inner:
            yield from within(each, (*place, str(key)))

    return within(table, ())


def _each_once(group: dict[str, Any]) -> dict[str, Any]:
    """Return a group with each parameter once, under its first name: torch lists one twice that was given twice."""
    places, names = group["params"], group.get("param_names")
    if not all(isinstance(place, int | str) for place in places) or len(set(places)) == len(places):
        return group
    first = {place: index for index, place in reversed([*enumerate(places)])}
    kept = sorted(first.values())
    once = {**group, "params": [places[index] for index in kept]}
    if isinstance(names, list | tuple) and len(names) == len(places):
        once["param_names"] = [names[index] for index in kept]
    return once


def _check_places(path: Path, groups: list[dict[str, Any]], state: Mapping[Any, Any]) -> None:
    places = [place for group in groups for place in group["params"]]
    known = set(places) if all(isinstance(place, int | str) for place in places) else set()
    if len(known) < len(places):
        raise StateError(f"{shown(path)}: its groups must list each parameter once, by number or name.")
    stray = [str(place) for place in state if place not in known]
    if stray:
        raise StateError(f"{shown(path)}: it has a state for {shown(one_of(stray))}, which no group lists.")
    if not all(isinstance(entry, Mapping) for entry in state.values()):
        raise StateError(f"{shown(path)}: the state of each parameter must be a table.")
    odd = next((key for table in (*groups, *state.values()) for key in table if not isinstance(key, str)), None)
    if odd is not None:
        raise StateError(f"{shown(path)}: its tables must be by name; got {shown(repr(odd))}.")


def _check_is_sgd(path: Path, groups: list[dict[str, Any]], state: Mapping[Any, Any]) -> None:
    words = {key for entry in state.values() for key in entry}
    other = torch_optimizer(words, {key for group in groups for key in group})
    if other:
        raise StateError(refusal(shown(path), other, words))


def _check_sizes(path: Path, size: int, values: list[Any]) -> None:
    """Raise if tensors have more elements than the file has numbers: a single one, say, seen as a million."""
    declared = sum(value.numel() * value.element_size() for value in values if isinstance(value, Tensor))
    check_unpacked(path, declared, size, StateError)


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
    path: Path,
    groups: list[dict[str, Any]],
    model: dict[str, Tensor] | None,
    state: Mapping[Any, Any],
    order: str | None,
) -> tuple[dict[Any, str], list[str]]:
    """Return the name of each saved index, and how it was found."""
    places = [place for group in groups for place in group["params"]]
    given = [group.get("param_names", ()) for group in groups]
    if all(
        isinstance(own, list | tuple) and len(own) == len(g["params"]) for own, g in zip(given, groups, strict=True)
    ):
        own = [name for names in given for name in names]
        own = without_wrappers(own) if all(isinstance(name, str) for name in own) else own
        if all(isinstance(name, str) for name in own) and len(set(own)) == len(own):
            return dict(zip(places, own, strict=True)), []
    if order == "model":
        return _in_the_order_of_the_model(path, groups, model, state)
    if model is not None and order is None:
        raise StateError(
            f"{shown(path)}: the optimizer was made without names, so that the file does not say which velocity is "
            "which parameter's of the model beside it. If it was made of model.parameters(), all of them and in their "
            "order, say --order model. Else say --order place, which calls them 0, 1, ..., and name them with --map "
            "0=NAME."
        )
    said = "the optimizer was made without names, so parameters are named by their place: 0, 1, ..."
    return {place: str(place) for place in places}, [said]


def _in_the_order_of_the_model(
    path: Path, groups: list[dict[str, Any]], model: dict[str, Tensor] | None, state: Mapping[Any, Any]
) -> tuple[dict[Any, str], list[str]]:
    if model is None or len(groups) != 1:
        why = "there is no model in it" if model is None else f"its optimizer has {len(groups)} groups"
        raise StateError(f"{shown(path)}: --order model: {why}, so that there is no such order. Say --order place.")
    model = dict(zip(without_wrappers(model), model.values(), strict=True))
    learned = [name for name in model if name.rsplit(".", 1)[-1] not in _BUFFERS]
    places = groups[0]["params"]
    if len(learned) != len(places):
        raise StateError(
            f"{shown(path)}: --order model: the optimizer has {len(places)} parameters, the model {len(learned)}: "
            f"{shown(', '.join(learned))}. Say --order place, and name them with --map 0=NAME."
        )
    for place, name in zip(places, learned, strict=True):
        shape = _shape(state.get(place))
        if shape not in {None, tuple(model[name].shape)}:
            raise StateError(
                f"{shown(path)}: --order model: the velocity at place {place} is {shape}, `{shown(name)}` is "
                f"{tuple(model[name].shape)}: its order is another. Say --order place, and name them with --map 0=NAME."
            )
    said = "as you say, the parameters of the optimizer are in the order of the model's"
    return dict(zip(places, learned, strict=True)), [said]


def _shape(entry: Any) -> tuple[int, ...] | None:
    tensors = [value for value in entry.values() if isinstance(value, Tensor)] if isinstance(entry, Mapping) else []
    return tuple(tensors[0].shape) if tensors else None


def _velocity(path: Path, name: str, entry: Any, key: str, notes: list[str], *, of_sgd: bool) -> Any:
    if CODES in entry or SCALES in entry:
        entry = {word: value for word, value in entry.items() if word not in (CODES, SCALES)} | {
            key: _decoded(path, name, entry, notes)
        }
    if AVERAGE in entry:
        entry = {word: value for word, value in entry.items() if word != AVERAGE}
    foreign = [shown(word) for word in entry if word != key]
    if foreign and of_sgd and key in entry:
        notes.append(f"left out: {one_of(foreign)}, which something around the optimizer keeps beside the velocity")
    elif foreign:
        raise StateError(
            f"{shown(path)}: the state of `{shown(name)}` holds {shown(one_of(foreign))}, and {key} alone is SGD's."
        )
    return None if entry.get(key) is None else as_array(entry[key], name, notes)


def _decoded(path: Path, name: str, entry: Mapping[str, Any], notes: list[str]) -> Tensor:
    """Return a velocity of 8 bits as float32."""
    codes, scales = entry.get(CODES), entry.get(SCALES)
    if not isinstance(codes, Tensor) or not isinstance(scales, Tensor):
        raise StateError(f"{shown(path)}: the state of `{shown(name)}` must hold both `{CODES}` and `{SCALES}`.")
    return decoded_velocity(name, codes, scales, notes)


def decoded_velocity(name: str, codes: Tensor, scales: Tensor, notes: list[str]) -> Tensor:
    """Return a velocity of 8 bits as float32, of which a note is added.

    Raises:
        StateError: If these are no codes and scales.
    """
    if codes.dtype != torch.int8 or scales.dtype != torch.float32 or scales.shape != (blocks_of(codes.numel()),):
        raise StateError(
            f"`{shown(name)}`: codes of 8 bits must be int8 with a float32 scale for each {BLOCK}; got {codes.dtype} "
            f"of {tuple(codes.shape)} with {scales.dtype} of {tuple(scales.shape)}."
        )
    notes.append("velocities of 8 bits became float32: the numbers that they stood for")
    return decode(codes, scales)


def as_array(tensor: Any, name: str, notes: list[str]) -> Any:
    """Return a tensor as a NumPy array, bfloat16 as the same numbers in float32, of which a note is added.

    Raises:
        StateError: If it is no dense tensor of floating or complex numbers.
    """
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        raise StateError(f"`{shown(name)}` must be a dense tensor; got {_kind(tensor)}.")
    if tensor.device.type == "meta":
        raise StateError(f'`{shown(name)}` is on the device "meta": it has a shape and no numbers. Save a real one.')
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise StateError(f"`{shown(name)}` must hold floating or complex numbers; got {tensor.dtype}.")
    if tensor.dtype == torch.bfloat16:
        notes.append("bfloat16 became float32, which holds the same numbers")
        tensor = tensor.float()
    try:
        return tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    except (TypeError, RuntimeError):  # of the formats that NumPy has not, such as float8
        raise StateError(f"`{shown(name)}` is {tensor.dtype}, which cannot be read here. Save it as float32.") from None


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    kinds = {"nested": value.is_nested, "quantised": value.is_quantized}
    return next((f"a {word} one" for word, is_so in kinds.items() if is_so), f"one of the layout {value.layout}")


def settings_of_group(path: Path, group: Mapping[str, Any], convention: str) -> Settings:
    """Return the settings of a saved parameter group with the arguments of a convention, ours or another system's.

    Raises:
        SettingsError: If they are not allowed.
    """
    group = {name: _plain(value) for name, value in group.items()}
    if "weight_sum" in group:
        raise StateError(
            f"{shown(path)}: is a state of schedule-free SGD, which no other system's SGD can go on from: what it "
            "keeps is no velocity. downslope.torch.ScheduleFreeSGD loads one of schedulefree.SGDScheduleFree, and "
            "its reference_state_dict() gives one back."
        )
    try:
        own = {**group_values.NEWER, **group}  # which earlier versions did not have
        if all(name in own for name in group_values.HYPERPARAMETERS):  # downslope.torch.SGD's own
            values = {name: own[name] for name in group_values.HYPERPARAMETERS}
            for name in group_values.SCHEDULABLE:
                if isinstance(table := group.get(group_values.schedule_key(name)), Mapping):
                    values[name] = decode_schedule(table, Source(str(path)), ("param_groups", name))
            inside, _ = group_values.within_settings(
                values
            )  # of what is no effect (dampening without momentum), and what is too much
            if inside["momentum"] != values["momentum"]:
                Settings(**{**inside, "momentum": values["momentum"]})  # raises
            return Settings(**inside)
        return settings_from_convention(convention, {k: v for k, v in group.items() if k != "params"})
    except (SettingsError, KeyError) as error:
        raise SettingsError(f"{shown(path)}, param_groups: {shown(error, 1000)}") from None
    except DownslopeError as error:
        raise StateError(f"{shown(path)}: {shown(error, 1000)}") from None


def _plain(value: Any) -> Any:
    """Return a setting as a number where it is a tensor of one, as torch's `capturable` keeps lr."""
    is_one = isinstance(value, Tensor) and value.numel() == 1 and value.device.type != "meta"
    return value.item() if is_one and value.layout == torch.strided else value
