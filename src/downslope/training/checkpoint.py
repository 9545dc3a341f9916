"""A checkpoint: a folder of safetensors files and, written last, the manifest that commits it. No pickle anywhere.

What lives here: writing one, reading one only after all of it has been verified, finding the newest that verifies,
and removing those no longer kept. What does not: what is in a checkpoint (`state.py`), and when one is written
(`loop.py`).

    checkpoints/step-00000460/model.safetensors      the model's state_dict, as anyone can load it
                              optimizer.safetensors  the velocities, by parameter name
                              ema.safetensors        the averaged model's state_dict, if there is one
                              manifest.json          sizes, checksums and everything that is no tensor

Of a sharded model each worker writes its rows: model.0-of-4.safetensors, ... (`parallel/sharded_checkpoint.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch

from downslope.core.errors import CheckpointError
from downslope.recipes.encode import to_table
from downslope.recipes.schema import Recipe
from downslope.training import durable
from downslope.training.log import NAME as LOG_NAME
from downslope.training.log import hash_prefix

FOLDER = "checkpoints"
MANIFEST = "manifest.json"
FORMAT = 1
PARTS = ("model", "optimizer", "ema")
_NAME = re.compile(r"step-(\d{8,})")

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


def encode_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return tensors as the bytes of a safetensors file.

    Tensors that share memory, such as tied weights, are each written out: the file is then a plain state_dict, and
    loading it into a model that ties them gives both the same values again.

    Args:
        tensors: Tensors by name.
    """
    return safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    )


def write_checkpoint(run: Path, tensors: Mapping[str, Tensors], manifest: Mapping[str, Any]) -> Path:
    """Write a checkpoint durably and return its folder.

    Args:
        run: The run folder.
        tensors: As in `Checkpoint`.
        manifest: As in `Checkpoint`; "files", "format" and "checksum" are added.

    Raises:
        StorageError: If the disk refuses. What was saved before is untouched.
    """
    files = {f"{part}.safetensors": encode_tensors(tensors[part]) for part in PARTS if part in tensors}
    table = {"format": FORMAT, **manifest, "files": {name: describe_bytes(data) for name, data in files.items()}}
    return _commit(checkpoint_folder(run, manifest["step"]), files, render_manifest(table))


def copy_checkpoint(checkpoint: Checkpoint, run: Path) -> Path:
    """Copy a checkpoint into another run folder, and return where it lies there.

    Args:
        checkpoint: The checkpoint.
        run: The other run folder.
    """
    files = {name: durable.read_file(checkpoint.folder / name) for name in checkpoint.manifest["files"]}
    return _commit(checkpoint_folder(run, checkpoint.step), files, render_manifest(checkpoint.manifest))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return a checkpoint, all of it verified before any of it is used.

    Args:
        folder: The checkpoint's folder.

    Raises:
        CheckpointError: If it is incomplete or damaged; the message is the reason alone.
    """
    manifest = read_manifest(folder)
    tensors: dict[str, Tensors] = {}
    is_sharded = "shapes" in manifest
    for name, expected in manifest["files"].items():
        try:
            data = (folder / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{name} cannot be read: {error.strerror}") from None
        if len(data) != expected["bytes"]:
            raise CheckpointError(f"{name} has {len(data)} bytes, its manifest says {expected['bytes']}")
        if describe_bytes(data) != expected:
            raise CheckpointError(f"{name} is damaged: its checksum is not that of its manifest")
        if is_sharded:
            continue  # it is read where it is needed, and may not fit here
        try:
            tensors[name.removesuffix(".safetensors")] = safetensors.torch.load(data)
        except safetensors.SafetensorError as error:
            raise CheckpointError(f"{name} is no safetensors file: {error}") from None
    return Checkpoint(folder=folder, manifest=manifest, tensors=_Joined(folder, manifest) if is_sharded else tensors)


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
        files = [safetensors.torch.load_file(self._folder / name) for name in part_files(self._manifest, part)]
        sharded = self._manifest["shapes"][part]
        return {
            name: torch.cat([file[name] for file in files]) if name in sharded else tensor
            for name, tensor in files[0].items()
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest["shapes"])

    def __len__(self) -> int:
        return len(self._manifest["shapes"])


def part_files(manifest: Mapping[str, Any], part: str) -> list[str]:
    """Return the names of the files that hold a part, in the order of the workers that wrote them.

    Example:
        >>> part_files({"files": {"model.1-of-2.safetensors": {}, "model.0-of-2.safetensors": {}}}, "model")
        ['model.0-of-2.safetensors', 'model.1-of-2.safetensors']
    """
    names = [name for name in manifest["files"] if name.split(".")[0] == part]
    return sorted(names, key=lambda name: int(name.split(".")[1].partition("-of-")[0]) if "-of-" in name else 0)


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
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"it has no {MANIFEST}: it was not finished, or was being removed") from None
    except OSError as error:
        raise CheckpointError(f"{MANIFEST} cannot be read: {error.strerror}") from None
    try:
        parsed = json.loads(data)
    except ValueError:
        raise CheckpointError(f"{MANIFEST} is damaged: it is not JSON") from None
    if not isinstance(parsed, dict) or "format" not in parsed:
        raise CheckpointError(f"{MANIFEST} is damaged: it is no manifest")
    manifest = cast("dict[str, Any]", parsed)
    if manifest["format"] != FORMAT:
        raise CheckpointError(f"{MANIFEST} has format {manifest['format']!r}; this version of Downslope reads {FORMAT}")
    manifest.pop("checksum", None)
    if render_manifest(manifest) != data:
        raise CheckpointError(f"{MANIFEST} is damaged: its checksum does not fit")
    if checkpoint_folder(folder.parent.parent, manifest["step"]).name != folder.name:
        raise CheckpointError(f"{MANIFEST} is of step {manifest['step']}, which is not the folder's name")
    return manifest


def render_manifest(table: Mapping[str, Any]) -> bytes:
    """Return a manifest's bytes, its own checksum added. A table has one rendering only, so any flipped bit shows."""
    text = json.dumps(table, indent=1)
    return json.dumps({**table, "checksum": _checksum(text.encode())}, indent=1).encode() + b"\n"


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as the table that a manifest holds; dates in its options, which JSON has not, as text."""
    return json.loads(json.dumps(to_table(recipe), default=str))


def list_checkpoints(run: Path) -> list[Path]:
    """Return the folders of all checkpoints of a run that were committed, oldest first; damaged ones too."""
    return [folder for folder in _step_folders(run) if (folder / MANIFEST).exists()]


def newest_verifying(run: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint of a run that verifies, with the log up to it.

    Args:
        run: The run folder.

    Returns:
        The checkpoint or None, and one sentence for each newer one that was passed over.
    """
    passed_over: list[str] = []
    for folder in reversed(_step_folders(run)):
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


def remove_uncommitted(run: Path) -> None:
    """Remove the checkpoints of a run that a crash left without a manifest."""
    for folder in _step_folders(run):
        if not (folder / MANIFEST).exists():
            durable.remove_folder(folder, first=MANIFEST)


def remove_all(run: Path) -> None:
    """Remove every checkpoint of a run."""
    for folder in _step_folders(run):
        durable.remove_folder(folder, first=MANIFEST)


def prune(run: Path, *, step: int, keep: int, needed: Collection[int | None]) -> None:
    """Remove checkpoints that are no longer kept.

    Args:
        run: The run folder.
        step: Updates done; checkpoints after it, which could not be used, are left alone.
        keep: How many of the newest are kept.
        needed: Steps of those that are kept besides; None among them is none.
    """
    past = [folder for folder in list_checkpoints(run) if _step_of(folder) <= step]
    for folder in past[:-keep]:
        if _step_of(folder) not in needed:
            durable.remove_folder(folder, first=MANIFEST)


def _commit(folder: Path, files: Mapping[str, bytes], manifest: bytes) -> Path:
    durable.remove_folder(folder, first=MANIFEST)  # one of the same step that was passed over
    durable.make_folder(folder)
    for name, data in files.items():
        durable.write_file(folder / name, data, sync_folder=False)
    durable.fsync_folder(folder)  # the names of the blobs must be on the disk before the manifest says so
    durable.write_file(folder / MANIFEST, manifest)
    return folder


def _step_folders(run: Path) -> list[Path]:
    root = run / FOLDER
    found = [path for path in root.iterdir() if _NAME.fullmatch(path.name)] if root.is_dir() else []
    return sorted(found, key=_step_of)


def _step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def describe_bytes(data: bytes) -> dict[str, Any]:
    """Return the size and checksum of a file's content."""
    return {"bytes": len(data), "checksum": _checksum(data)}


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
