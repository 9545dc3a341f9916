"""A run opened to be used: its model with trained weights, and how good it is on the held-out examples.

What lives here: finding and loading weights, strictly and without pickle, and `evaluate_run`. What does not: the
measurement (`held_out.py`) and printing (`cli/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from downslope.core.errors import CheckpointError
from downslope.core.paths import expand_home, expansion_of
from downslope.recipes.schema import Recipe
from downslope.training.checkpoint import (
    FOLDER,
    MANIFEST,
    checkpoint_folder,
    list_checkpoints,
    read_checkpoint,
    read_manifest,
)
from downslope.training.data import Dataset, load_data
from downslope.training.held_out import measure
from downslope.training.models import build_model
from downslope.training.objective import LengthRates, build_objective
from downslope.training.run_folder import EMA, MODEL, RunFolder


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Trained weights and where they came from.

    Attributes:
        origin: The checkpoint's folder, or a safetensors file.
        step: Updates done, or None where a file does not say.
        model: A state_dict.
        ema: That of the averaged model, or None.
        data: Fingerprint of the data they were trained on, or None where a file does not say.
        notes: What a person should know about how they were found.
    """

    origin: Path
    step: int | None
    model: Mapping[str, Tensor]
    ema: Mapping[str, Tensor] | None = None
    data: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainedRun:
    """A run with its data and its trained model, ready to be used.

    Attributes:
        recipe: The run's recipe.
        dataset: Its data.
        weights: The weights and their origin.
        model: The model with these weights, in evaluation mode.
        notes: What a person should know.
    """

    recipe: Recipe
    dataset: Dataset
    weights: Weights
    model: nn.Module
    notes: tuple[str, ...]


def evaluate_run(run: str | Path, checkpoint: str = "last") -> dict[str, Any]:
    """Return how good a run's model is on its held-out examples.

    Args:
        run: The run folder.
        checkpoint: "last", "best", the folder of a checkpoint, or a safetensors file.

    Returns:
        "run", "checkpoint" (where the weights came from), "step" (updates done, or None), "examples", "loss",
        "accuracy" in [0, 1] where there are classes, error rates where sequences are written, the same with "ema_"
        before them where there is an average, and "notes". Where some held-out inputs are longer than any learned
        from, "by_length": for each length "shortest", "longest" (the same, unless there are very many lengths),
        "longer" (than any learned from), "examples" and the error rates.

    Raises:
        CheckpointError: If the run or its weights are missing, damaged, or of another model.
    """
    opened = open_run(run, checkpoint)
    recipe, dataset, weights = opened.recipe, opened.dataset, opened.weights
    objective = build_objective(recipe, dataset)  # an evaluation never asks for a schedule's value
    found: dict[str, Any] = {}
    for prefix, state in (("", weights.model), ("ema_", weights.ema)):
        if state is None:
            continue
        load_weights(opened.model, state, weights.origin)
        rates = measure(
            opened.model,
            objective,
            dataset.held_out_inputs,
            dataset.held_out_targets,
            seed=recipe.seed,
            step=weights.step or 0,
        )
        found |= {prefix + name: value for name, value in rates.metrics.items()}
        if rates.by_length:
            found[f"{prefix}by_length"] = [_as_table(one) for one in rates.by_length]
    return {
        "run": str(run),
        "checkpoint": str(weights.origin),
        "step": weights.step,
        "examples": len(dataset.held_out_inputs),
        **found,
        "notes": list(opened.notes),
    }


def _as_table(rated: LengthRates) -> dict[str, Any]:
    table = {name: getattr(rated, name) for name in ("shortest", "longest", "longer", "examples")}
    return {**table, **rated.rates}


def open_run(run: str | Path, checkpoint: str = "last") -> TrainedRun:
    """Return a run with its data and trained model.

    Args:
        run: The run folder.
        checkpoint: As in `evaluate_run`.

    Raises:
        CheckpointError: As in `evaluate_run`.
    """
    folder = RunFolder(run)
    recipe = folder.recipe()
    weights = find_weights(folder.path, checkpoint)
    dataset = load_data(recipe)
    model = build_model(recipe, dataset)
    load_weights(model, weights.model, weights.origin)
    notes = weights.notes
    if weights.data is not None and weights.data != dataset.fingerprint():
        notes = (*notes, "the data are no longer those that the run was trained on")
    return TrainedRun(recipe=recipe, dataset=dataset, weights=weights, model=model.eval(), notes=notes)


def find_weights(run: Path, checkpoint: str) -> Weights:
    """Return the weights that `checkpoint` names, as in `evaluate_run`."""
    if checkpoint == "last":
        return _last(run)
    if checkpoint == "best":
        return _best(run)
    path = expand_home(checkpoint, CheckpointError)
    if path.is_dir():
        return _from_checkpoint(path)
    if path.is_file():
        return _from_file(path)
    raise CheckpointError(
        f"{checkpoint}{expansion_of(checkpoint)}: there is no such checkpoint. Give last, best, the folder of a "
        f"checkpoint, or a .safetensors file. {_list_of(run)}"
    )


def load_weights(model: nn.Module, state: Mapping[str, Tensor], origin: Path) -> None:
    """Load a state_dict whose every name, shape and dtype must fit.

    Args:
        model: The model.
        state: Tensors by name.
        origin: Where they came from, for the message.

    Raises:
        CheckpointError: If a name is missing or superfluous, or a shape or dtype differs; all are listed.
    """
    expected = {name: _form(tensor) for name, tensor in model.state_dict().items()}
    got = {name: _form(tensor) for name, tensor in state.items()}
    misfits = [
        *(f"{name} is missing" for name in expected.keys() - got.keys()),
        *(f"{name} is not in the model" for name in got.keys() - expected.keys()),
        *(
            f"{name} is {got[name]} where the model has {expected[name]}"
            for name in expected.keys() & got.keys()
            if expected[name] != got[name]
        ),
    ]
    if misfits:
        raise CheckpointError(f"{origin}: these weights are of another model: {'; '.join(sorted(misfits))}.")
    model.load_state_dict(dict(state))


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _last(run: Path) -> Weights:
    notes: list[str] = []
    for folder in reversed(list_checkpoints(run)):
        try:
            return _from_checkpoint(folder, tuple(notes))
        except CheckpointError as error:
            notes.append(f"passed over {error}")
    if (run / MODEL).is_file():
        return _from_file(run / MODEL, tuple(notes))
    reasons = f" {'; '.join(notes)}." if notes else ""
    raise CheckpointError(f"{run}: holds no weights yet, neither a checkpoint nor {MODEL}.{reasons}")


def _best(run: Path) -> Weights:
    for folder in reversed(list_checkpoints(run)):
        try:
            best = read_manifest(folder)["state"]["best"]["best_step"]
        except CheckpointError:
            continue
        if best is None:
            raise CheckpointError(f"{run}: nothing was evaluated yet, so no checkpoint is the best. Use last.")
        return _from_checkpoint(checkpoint_folder(run, best))
    raise CheckpointError(f"{run}: has no checkpoint that could be the best. {_list_of(run)}")


def _from_checkpoint(folder: Path, notes: tuple[str, ...] = ()) -> Weights:
    try:
        found = read_checkpoint(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    return Weights(
        origin=folder,
        step=found.step,
        model=found.tensors["model"],
        ema=found.tensors.get("ema"),
        data=found.manifest["data"],
        notes=notes,
    )


def _from_file(path: Path, notes: tuple[str, ...] = ()) -> Weights:
    """Return the weights of a safetensors file; beside a run's final weights lie those of the averaged model."""
    ema = path.with_name(EMA)
    is_checkpoint = path.with_name(MANIFEST).is_file()
    if is_checkpoint and path.name == MODEL:
        return _from_checkpoint(path.parent, notes)  # its manifest can vouch for the file
    return Weights(
        origin=path,
        step=None,
        model=_read(path),
        ema=_read(ema) if path.name == MODEL and ema.is_file() else None,
        notes=notes,
    )


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"{path}: is no safetensors file: {error}. Other formats are not read: they can run code."
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}.") from None


def _list_of(run: Path) -> str:
    names = [str(folder) for folder in list_checkpoints(run)]
    return f"The run's are {', '.join(names)}." if names else f"{run / FOLDER} holds none."
