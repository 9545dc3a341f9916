"""A checkpoint: a folder of safetensors files and, written last, the manifest that commits it. No pickle anywhere.

A checkpoint is used only after all of it has been verified. Its folder may be a symbolic link, such as to a larger
disk: it is read, since its checksums vouch for it, and never changed or removed.

    checkpoints/step-00000460/model.safetensors      the model's state_dict, as anyone can load it
                              optimizer.safetensors  the velocities, by parameter name (of 8 bits: codes and scales)
                              ema.safetensors        the averaged model's state_dict, if there is one
                              manifest.json          sizes, checksums and everything that is no tensor

Of a sharded model each worker writes its rows: model.0-of-4.safetensors, ... (`workers/sharded.py`).
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from downslope.core.errors import CheckpointError
from downslope.core.files import open_regular, read_regular
from downslope.core.shown import shown
from downslope.core.tables import to_table
from downslope.recipe.schema import Recipe
from downslope.training.folder import durable
from downslope.training.folder.log import NAME as LOG_NAME
from downslope.training.folder.log import hash_prefix
from downslope.training.folder.manifest import (
    FORMAT,
    LARGEST,
    MANIFEST,
    PARTS,
    decode_manifest,
    describe_bytes,
    is_file_of_a_checkpoint,
    part_files,
    render_manifest,
)
from downslope.training.folder.names import CHECKPOINTS, RECIPE

FOLDER = CHECKPOINTS
_NAME = re.compile(r"step-([0-9]{8,18})")

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that has been verified.

    Attributes:
        folder: Where it lies.
        manifest: Everything that is no tensor: "step" (updates done), "finished", "log", "recipe", "environment",
            "data" and "state" (see `state.py`).
        tensors: "model", "optimizer" and perhaps "ema", each a dict of tensors by name.
    """

    folder: Path
    manifest: Mapping[str, Any]
    tensors: Mapping[str, Tensors]

    @property
    def step(self) -> int:
        """Updates done."""
        return self.manifest["step"]

    @property
    def run_folder(self) -> Path:
        """The run folder it belongs to."""
        return self.folder.parent.parent


def checkpoint_folder(run: Path, step: int) -> Path:
    """Return where the checkpoint after `step` updates lies."""
    return run / FOLDER / f"step-{step:08d}"


def is_checkpoint_folder(folder: Path) -> bool:
    """Return whether a folder is a checkpoint, or what a crash has left of one; it may be damaged."""
    is_called_so = _NAME.fullmatch(folder.resolve().name) is not None
    return _has_manifest(folder) or (is_called_so and not os.path.lexists(folder / RECIPE))


def encode_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return tensors as the bytes of a safetensors file.

    Tensors that share memory, such as tied weights, are each written out: the file is then a plain state_dict, and
    loading it into a model that ties them gives both the same values again.
    """
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    )


def write_checkpoint(run: Path, tensors: Mapping[str, Tensors], manifest: Mapping[str, Any]) -> Path:
    """Write a checkpoint durably and return its folder.

    Raises:
        StorageError: If the disk refuses. What was saved before is untouched.
    """
    files = {f"{part}.safetensors": encode_tensors(tensors[part]) for part in PARTS if part in tensors}
    table = {"format": FORMAT, **manifest, "files": {name: describe_bytes(data) for name, data in files.items()}}
    return _commit(checkpoint_folder(run, manifest["step"]), files, render_manifest(table))


def copy_checkpoint(checkpoint: Checkpoint, run: Path) -> Path:
    """Copy a checkpoint into another run folder, and return where it lies there.

    Raises:
        CheckpointError: If it has been damaged since it was verified.
        StorageError: If the disk refuses.
    """
    files = {name: _read_file(checkpoint.folder, name, mark) for name, mark in checkpoint.manifest["files"].items()}
    return _commit(checkpoint_folder(run, checkpoint.step), files, render_manifest(checkpoint.manifest))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return a checkpoint, all of it verified before any of it is used.

    Raises:
        CheckpointError: If it is incomplete or damaged; the message is the reason alone.
    """
    manifest = read_manifest(folder)
    tensors: dict[str, Tensors] = {}
    is_sharded = "shapes" in manifest
    for name, expected in manifest["files"].items():
        data = _read_file(folder, name, expected)
        if is_sharded:
            continue  # it is read where it is needed, and may not fit here
        try:
            tensors[name.removesuffix(".safetensors")] = safetensors.torch.load(data)
        except (safetensors.SafetensorError, KeyError, RuntimeError, ValueError) as error:  # torch lacks dtypes
            raise CheckpointError(f"{name} is no safetensors file: {shown(error)}") from None
    return Checkpoint(folder=folder, manifest=manifest, tensors=_Joined(folder, manifest) if is_sharded else tensors)


def _read_file(folder: Path, name: str, expected: Mapping[str, Any]) -> bytes:
    """Return the content of a checkpoint's file, verified; nothing is read of one that has another size."""
    try:
        with open_regular(folder / name, CheckpointError, follow=False) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size == expected["bytes"] else b""
    except CheckpointError as error:
        raise CheckpointError(str(error).rstrip(".")) from None
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read: {error.strerror}") from None
    except MemoryError:
        raise CheckpointError(f"{name} does not fit into memory") from None
    if size != expected["bytes"]:
        raise CheckpointError(f"{name} has {size} bytes, its manifest says {expected['bytes']}")
    if describe_bytes(data) != expected:
        raise CheckpointError(f"{name} is damaged: its checksum is not that of its manifest")
    return data


class _Joined(Mapping[str, Tensors]):
    """The tensors of a checkpoint that several workers wrote, each put together when it is asked for.

    Args:
        folder: The checkpoint's folder, its files verified.
        manifest: Its manifest.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self._folder, self._manifest = folder, manifest

    def __getitem__(self, part: str) -> Tensors:
        if part not in self._manifest["shapes"]:
            raise KeyError(part)
        sharded = self._manifest["shapes"][part]
        try:
            files = [safetensors.torch.load_file(self._folder / name) for name in part_files(self._manifest, part)]
            return {
                name: torch.cat([file[name] for file in files]) if name in sharded else tensor
                for name, tensor in files[0].items()
            }
        except (KeyError, RuntimeError, OSError, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{self._folder}: its files of the {part} do not fit together: {error}.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest["shapes"])

    def __len__(self) -> int:
        return len(self._manifest["shapes"])


def rows_of(count: int, rank: int, size: int) -> range:
    """Return the rows of a tensor that one of several workers holds: as many for each as can be, the last ones fewer.

    Example:
        >>> [list(rows_of(5, rank, 4)) for rank in range(4)]
        [[0, 1], [2, 3], [4], []]
    """
    each = -(-count // size)
    return range(min(rank * each, count), min((rank + 1) * each, count))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's manifest, verified; its files are not.

    Raises:
        CheckpointError: If it is missing or damaged; the message is the reason alone.
    """
    try:
        data = read_regular(folder / MANIFEST, CheckpointError, limit=LARGEST, follow=False)
    except FileNotFoundError:
        raise CheckpointError(f"it has no {MANIFEST}: it was not finished, or was being removed") from None
    except OSError as error:
        raise CheckpointError(f"{MANIFEST} cannot be read: {error.strerror}") from None
    except CheckpointError as error:
        raise CheckpointError(str(error).rstrip(".")) from None
    manifest = decode_manifest(data)
    if checkpoint_folder(folder.parent.parent, manifest["step"]).name != folder.name:
        raise CheckpointError(f"{MANIFEST} is of step {manifest['step']}, which is not the folder's name")
    return manifest


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as the table that a manifest holds; dates in its options, which JSON has not, as text."""
    return json.loads(json.dumps(to_table(recipe), default=str))


def list_checkpoints(run: Path) -> list[Path]:
    """Return the folders of all checkpoints of a run that were committed, oldest first; damaged ones too."""
    return [folder for folder in _step_folders(run) if _has_manifest(folder)]


def linked_checkpoints(run: Path) -> list[Path]:
    """Return the committed checkpoints of a run whose folders are symbolic links, oldest first."""
    return [folder for folder in list_checkpoints(run) if folder.is_symlink()]


def newest_verifying(run: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint of a run that verifies, with the log up to it.

    Returns:
        The checkpoint or None, and one sentence for each newer one that was passed over.
    """
    passed_over: list[str] = []
    for folder in reversed(_step_folders(run)):
        if _is_left(folder):
            continue
        try:
            checkpoint = read_checkpoint(folder)
            verify_log(checkpoint)
        except CheckpointError as error:
            passed_over.append(f"passed over {folder.name}: {error}")
        else:
            return checkpoint, passed_over
    return None, passed_over


def verify_log(checkpoint: Checkpoint) -> None:
    """Raise unless the run's log begins with what it held when the checkpoint was written.

    Raises:
        CheckpointError: If it does not.
    """
    log = checkpoint.manifest["log"]
    if hash_prefix(checkpoint.run_folder / LOG_NAME, log["bytes"]).hexdigest() != log["checksum"]:
        raise CheckpointError(f"the first {log['bytes']} bytes of {LOG_NAME} are not those written before it")


def without_log(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose log is lost as one that needs none: its run's log begins after it."""
    log = {"bytes": 0, "checksum": hash_prefix(checkpoint.run_folder / LOG_NAME, 0).hexdigest()}
    return replace(checkpoint, manifest={**checkpoint.manifest, "log": log})


Say = Callable[[str], None]
"""Takes a sentence for the person."""


def remove_uncommitted(run: Path, say: Say) -> None:
    """Remove the checkpoints of a run that a crash left without a manifest; say what stays."""
    for folder in _step_folders(run):
        if not _has_manifest(folder) and not folder.is_symlink():
            _remove(folder, say)


def remove_all(run: Path, say: Say) -> None:
    """Remove every checkpoint of a run, of links the links; say what stays."""
    for folder in _step_folders(run):
        _remove(folder, say)


def prune(run: Path, *, step: int, keep: int, needed: Collection[int | None], say: Say) -> None:
    """Remove checkpoints that are no longer kept, but for those that somebody has put elsewhere and linked.

    A folder in which something else lies stays, with that alone, and no longer counts as a checkpoint.

    Args:
        run: The run folder.
        step: Updates done; checkpoints after it, which could not be used, are left alone.
        keep: How many of the newest are kept.
        needed: Steps of those that are kept besides; None among them is none.
        say: Where to say what stays.
    """
    past = [folder for folder in list_checkpoints(run) if _step_of(folder) <= step]
    for folder in past[:-keep]:
        if _step_of(folder) not in needed and not folder.is_symlink():
            _remove(folder, say)


def _remove(folder: Path, say: Say) -> None:
    kept = durable.remove_folder(folder, MANIFEST, _is_ours)
    if kept:
        names = f"{', '.join(map(shown, kept[:3]))}{', ...' if len(kept) > 3 else ''}"
        say(f"{folder}: its checkpoint is removed; the folder stays, since it holds {names}, which is not the run's")


def _is_ours(name: str) -> bool:
    return is_file_of_a_checkpoint(durable.whole_name(name) or name)


def make_place(folder: Path) -> None:
    """Make the folder of a checkpoint that is about to be written; one of the same step that was passed over goes.

    Raises:
        StorageError: If something else is in the way.
    """
    durable.refuse_link(folder.parent)
    durable.remove_folder(folder, MANIFEST, _is_ours)
    durable.make_folder(folder)


def _commit(folder: Path, files: Mapping[str, bytes], manifest: bytes) -> Path:
    make_place(folder)
    for name, data in files.items():
        durable.write_file(folder / name, data, sync_folder=False)
    durable.fsync_folder(folder)  # one sync for all names, which must be on the disk before the manifest says so
    durable.write_file(folder / MANIFEST, manifest)
    return folder


def _step_folders(run: Path) -> list[Path]:
    """Return the folders, and links, that are named as checkpoints are; a file so named is somebody else's."""
    root = run / FOLDER
    found = [path for path in root.iterdir() if _NAME.fullmatch(path.name)] if root.is_dir() else []
    return sorted((path for path in found if _may_hold(path)), key=_step_of)


def _has_manifest(folder: Path) -> bool:
    try:
        os.lstat(folder / MANIFEST)
    except OSError:  # none, or the folder is a link that leads nowhere
        return False
    return True


def _is_left(folder: Path) -> bool:
    """Return whether nothing of ours is in a folder: what stayed of it, since something else was, is no checkpoint."""
    try:
        return not folder.is_symlink() and not any(_is_ours(name) for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False


def _may_hold(path: Path) -> bool:
    mode = durable.mode_of(path)
    return mode is not None and (stat.S_ISDIR(mode) or stat.S_ISLNK(mode))


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))
