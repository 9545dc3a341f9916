"""The weights that a run begins with: those of another run or of a .safetensors file, matched by name; the rest is new.

They are read before the first step alone: the checkpoint of step 0 holds them, so that no resume needs their source.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import safetensors.torch
from torch import Tensor, nn

from downslope.core.errors import CheckpointError, DataError, GroupError
from downslope.core.files import MIB, open_regular, refuse_irregular
from downslope.core.groups import chosen_by
from downslope.core.parameter_names import pair_names
from downslope.core.paths import expand_home
from downslope.core.shown import shown
from downslope.torch.parameters import norm_parameter_names
from downslope.training.augmenting.augment import NORMALIZE
from downslope.training.folder.checkpoint import Tensors, encode_tensors, is_checkpoint_folder
from downslope.training.folder.manifest import MANIFEST, Start
from downslope.training.folder.names import MODEL, is_run_folder, read_facts, run_around
from downslope.training.use.weights import Weights, find_weights
from downslope.training.workers.workers import ALONE, Workers

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe
    from downslope.training.data import Dataset

_COUNT = "n_averaged"
"""What `torch.optim.swa_utils.AveragedModel` saves beside the model."""
_CONVERTING = (
    "python -c \"import torch, safetensors.torch as s; s.save_file(torch.load('FILE', weights_only=True, "
    "map_location='cpu'), 'FILE.safetensors')\""
)


def source_of(recipe: Recipe) -> tuple[str, str] | None:
    """Return the path of the weights that a recipe begins with and the key that gives it, or None.

    Raises:
        DataError: If two keys give one, or something is left out of none.
    """
    own = recipe.model.options.get("weights") if recipe.model.name.startswith("timm:") else None
    if own is not None and not isinstance(own, str):
        raise DataError(f"model.options.weights: must be the path of a .safetensors file; got {own!r}.")
    if own is not None and recipe.train.start_from is not None:
        raise DataError("train.start_from and model.options.weights both give the weights to begin with. Give one.")
    if own is None and recipe.train.start_from is None and recipe.train.start_without:
        raise DataError("train.start_without: leaves names out of train.start_from, which is not given. Give both.")
    path = own or recipe.train.start_from
    return None if path is None else (path, "train.start_from" if own is None else "model.options.weights")


def start(model: nn.Module, recipe: Recipe, dataset: Dataset, workers: Workers = ALONE) -> Start | None:
    """Give a new model the weights that its recipe begins with, and return what was taken; None where it names none.

    Worker 0 alone reads them.

    Raises:
        DataError: If they cannot be read, hold inf or NaN, or nothing of them fits; or names are ambiguous.
        GroupError: If a pattern of `train.start_without` matches nothing.
    """
    source = source_of(recipe)
    if source is None:
        return None
    taken, told = _take(model, recipe, dataset, *source) if workers.is_first else ({}, None)
    if workers.size > 1:
        told = msgspec.convert(workers.broadcast(lambda: msgspec.to_builtins(told)), Start)
        data = workers.broadcast_bytes(lambda: encode_tensors(taken))
        taken = taken or safetensors.torch.load(data)
    model.load_state_dict(taken, strict=False)
    return told


def _take(model: nn.Module, recipe: Recipe, dataset: Dataset, given: str, key: str) -> tuple[Tensors, Start]:
    where = f"{key} = {shown(given)!r}"
    weights = _read(given, key, where)
    found = {name: tensor for name, tensor in sorted(weights.model.items()) if name != _COUNT}
    decided = NORMALIZE if recipe.data.normalize is not None else ()  # by the recipe
    own = {n: t for n, t in model.state_dict().items() if isinstance(t, Tensor) and n not in decided}
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    norms = norm_parameter_names(model)
    without = chosen_by(recipe.train.start_without, shapes, norms, "train.start_without")
    try:
        pairs, names = pair_names(list(own), list(found), lambda mine, theirs: _fits(own[mine], found[theirs]))
    except GroupError as error:
        raise DataError(f"{where}: {error}") from None
    wanted = {mine: theirs for mine, theirs in pairs.items() if mine not in without}
    taken = {mine: found[theirs] for mine, theirs in wanted.items() if _fits(own[mine], found[theirs])}
    other = {mine: (_form(found[theirs]), _form(own[mine])) for mine, theirs in wanted.items() if mine not in taken}
    places = {own[name].data_ptr() for name in taken if own[name].numel()}
    tied = {name for name in own if own[name].data_ptr() in places}  # whose other name need not be there
    new = [name for name in own if name not in pairs and name not in without and name not in tied]
    learnable = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    counts = {name: math.prod(shape) for name, shape in learnable.items()}
    learned = sum(counts.get(name, 0) for name in taken)
    products = [name for name, shape in learnable.items() if len(shape) > 1] or list(learnable)
    if not any(name in taken for name in products):  # a bias alone, whose length happens to be the same, is nothing
        reason = f"`{next(iter(other))}` is {' there, '.join(next(iter(other.values())))} here" if other else ""
        raise DataError(
            f"{where}: none of its weights fits this model{f': {reason}' if reason else ''}. It holds "
            f"{_listed(found)}; the model has {_listed(own)}{f', without {_listed(without)}' if without else ''}."
        )
    for name, tensor in taken.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DataError(f"{where}: `{shown(wanted[name])}` holds inf or NaN, from which nothing is learned.")
    facts = _facts_around(weights.origin)
    fresh = {*new, *other, *without}
    notes = [
        *weights.notes,
        *_note_on_head(model, taken, facts, dataset),
        *_note_on_inputs(model, found, recipe),
        *_note_on_frozen(chosen_by(recipe.train.freeze, learnable, norms, "train.freeze"), fresh),
    ]
    told = Start(
        origin=shown(weights.origin, 500),
        step=weights.step,
        checksum=_checksum(weights.origin),
        names=names,
        taken=len(taken),
        parameters=learned,
        of=(len(own), sum(counts.values())),
        other=other,
        new=new,
        without=without,
        left=[shown(name) for name in found if name not in set(pairs.values()) and name not in NORMALIZE],
        notes=[shown(note, 500) for note in notes],
    )
    return taken, told


# Reading


def _read(given: str, key: str, where: str) -> Weights:
    path = expand_home(given, DataError, key)
    refuse = path.is_dir() and not is_run_folder(path) and not is_checkpoint_folder(path)
    if refuse or not path.exists():
        inside = ", ".join(str(file) for file in sorted(path.glob("*.safetensors"))[:3]) if refuse else ""
        raise DataError(
            f"{where}: {'is neither a run folder nor a checkpoint' if refuse else 'there is no such file or folder'}. "
            f"Give a run folder such as runs/digits, or a .safetensors file{f' such as {inside}' if inside else ''}."
        )
    try:
        if not path.is_dir():
            refuse_irregular(path, CheckpointError)
        if not is_run_folder(path):
            return find_weights(path, str(path))
        return _best_or_last(path)
    except CheckpointError as error:
        other = path.is_file() and path.suffix != ".safetensors"
        convert = f" Weights that torch.save wrote become such a file by: {_CONVERTING}" if other else ""
        raise DataError(f"{where}: {error}{convert}") from None


def _best_or_last(run: Path) -> Weights:
    try:
        return find_weights(run, "best")
    except CheckpointError as error:
        last = find_weights(run, "last")
        return Weights(**{**vars(last), "notes": (*last.notes, f"these are the last weights: {error}")})


def _checksum(origin: Path) -> str:
    """Return that of the file that was read; of a checkpoint of several files, that of the manifest."""
    files = (origin / MODEL, origin / MANIFEST) if origin.is_dir() else (origin,)
    with open_regular(next(file for file in files if file.exists()), DataError) as file:
        digest = hashlib.blake2b(digest_size=16)
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def _facts_around(origin: Path) -> Mapping[str, Any]:
    run = run_around(origin)
    try:
        return {} if run is None else read_facts(run)["data"]
    except CheckpointError:
        return {}


def _fits(own: Tensor, found: Tensor) -> bool:
    alike = own.dtype == found.dtype or (own.is_floating_point() and found.is_floating_point())
    return alike and own.shape == found.shape


def _form(tensor: Tensor) -> str:
    size = "x".join(map(str, tensor.shape)) or "scalar"
    return size if tensor.is_floating_point() else f"{size} {str(tensor.dtype).removeprefix('torch.')}"


# What a person should know


def _note_on_head(model: nn.Module, taken: Tensors, facts: Mapping[str, Any], dataset: Dataset) -> Iterator[str]:
    """Yield a note if the head of a run on other data was taken, since it has as many classes."""
    last = [name for name, _ in model.named_parameters()][-1]
    theirs, mine = list(facts.get("class_names", [])), list(dataset.class_names or ())
    known = theirs == mine and (mine or facts.get("name") == dataset.name)
    if facts and not known and last in taken and facts.get("classes") == dataset.classes is not None:
        yield (
            f"that run learned {dataset.classes} classes, as many as these data have, and its last layer was taken "
            f'too. If they are others, let it begin new: train.start_without = ["{last.rpartition(".")[0]}.*"]'
        )


def _note_on_inputs(model: nn.Module, found: Mapping[str, Tensor], recipe: Recipe) -> Iterator[str]:
    """Yield a note if the other model's inputs were shifted and scaled otherwise."""
    theirs = [found[name].flatten().tolist() for name in NORMALIZE if name in found]
    if len(theirs) != len(NORMALIZE):
        return
    state = model.state_dict()
    if recipe.data.normalize is None or theirs != [state[name].flatten().tolist() for name in NORMALIZE]:
        mean, deviation = (f"[{', '.join(f'{number:.6g}' for number in numbers)}]" for numbers in theirs)
        yield (
            "its inputs were shifted and scaled otherwise than this recipe's: data.normalize = "
            f"{{ mean = {mean}, deviation = {deviation} }} would do the same"
        )


def _note_on_frozen(frozen: Sequence[str], fresh: set[str]) -> Iterator[str]:
    if both := [name for name in frozen if name in fresh]:
        yield f"new and not learned, by train.freeze: {_listed(both)} stay as they were drawn"


def lines_of(told: Start) -> list[str]:
    """Return what was taken, what was not and what is new, as the lines that training begins with."""
    steps = "" if told.step is None else f", after {told.step:,} steps"
    learned = f"{told.parameters:,} of {told.of[1]:,} parameters"
    rows = [f"{told.origin}{steps}: {told.taken} of {told.of[0]} tensors, {learned}"]
    rows += [f"names {told.names}"] if told.names else []
    forms = [f"{name} ({there} there, {here} here)" for name, (there, here) in told.other.items()]
    named = (
        ("of another shape, so new", forms),
        ("not there, so new", told.new),
        ("new by train.start_without", told.without),
        ("there and not here", told.left),
    )
    rows += [f"{what}: {_listed(names)}" for what, names in named if names]
    rows += told.notes
    said = [shown(row, 800) for row in rows]  # a manifest may come from elsewhere
    return [f"start       {said[0]}", *(f"            {row}" for row in said[1:])]


def _listed(names: Sequence[str] | Mapping[str, Tensor], most: int = 6) -> str:
    several = [shown(name) for name in names]
    more = f" and {len(several) - most} more" if len(several) > most else ""
    return f"{', '.join(several[:most])}{more}"
