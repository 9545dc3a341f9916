"""Which trained weights are meant, of a checkpoint or a file, and loading them into a model that they must fit."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor, nn

from downslope.core.errors import CheckpointError
from downslope.core.files import refuse_irregular
from downslope.core.paths import expand_home, expansion_of
from downslope.core.shown import shown
from downslope.training.folder.checkpoint import (
    FOLDER,
    MANIFEST,
    checkpoint_folder,
    is_checkpoint_folder,
    list_checkpoints,
    read_checkpoint,
    read_manifest,
)
from downslope.training.folder.manifest import part_of
from downslope.training.folder.names import describe_no_checkpoint
from downslope.training.folder.run_folder import EMA, MODEL


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


def find_weights(run: Path, checkpoint: str) -> Weights:
    """Return the weights that `checkpoint` names, as in `evaluate_run`."""
    if checkpoint == "last":
        return _last(run)
    if checkpoint == "best":
        return _best(run)
    path = expand_home(checkpoint, CheckpointError, "--checkpoint")
    if path.is_dir():
        if not is_checkpoint_folder(path):
            raise CheckpointError(
                f"--checkpoint {checkpoint}{expansion_of(checkpoint)}: {describe_no_checkpoint(path)} {_allowed(run)}"
            )
        return _from_checkpoint(path)
    if path.is_file():
        return _from_file(path)
    where = f"--checkpoint {checkpoint}{expansion_of(checkpoint)}"
    refuse_irregular(path, CheckpointError)
    raise CheckpointError(f"{where}: there is no such checkpoint. {_allowed(run)}")


def _allowed(run: Path) -> str:
    return (
        "Give last, best, the folder of a checkpoint, or a .safetensors file, such as in `downslope evaluate "
        f"{shlex.quote(str(run))} --checkpoint last`. {_list_of(run)}"
    )


def load_weights(model: nn.Module, state: Mapping[str, Tensor], origin: Path) -> None:
    """Load a state_dict whose every name, shape and dtype must fit.

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
            raise CheckpointError(
                f"{run}: no evaluation yet whose outputs were all finite numbers, so no checkpoint is the best. "
                "Use last."
            )
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
    _refuse_velocities(path, is_checkpoint=is_checkpoint)
    if is_checkpoint and path.name == MODEL:
        return _from_checkpoint(path.parent, notes)  # its manifest can vouch for the file
    return Weights(
        origin=path,
        step=None,
        model=_read(path),
        ema=_read(ema) if path.name == MODEL and ema.is_file() else None,
        notes=notes,
    )


def _refuse_velocities(path: Path, *, is_checkpoint: bool) -> None:
    """Raise for the velocities of a checkpoint, which have the names and shapes of the weights that they move."""
    if part_of(path.name) != "optimizer":
        return
    where, folder = shown(path), shown(path.parent)
    if is_checkpoint:
        raise CheckpointError(f"{where}: holds velocities, not weights. Give the folder of the checkpoint: {folder}.")
    raise CheckpointError(f"{where}: holds velocities, not weights. Give the {MODEL} that it was made beside.")


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
