"""Checkpoints of a sharded model: each worker writes what it holds, and any number of workers read it again.

The format is that of every other checkpoint: safetensors files and a manifest, written last, that vouches for each by
size and checksum. torch.distributed.checkpoint would do the same, but its metadata are pickled, and to read a pickle is
to run what is in it; so there is none here. What lives here: writing, and reading the rows that a worker needs. What
does not: what is done with them (`state.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard

from downslope.core.errors import CheckpointError
from downslope.training import durable
from downslope.training.checkpoint import (
    Checkpoint,
    Tensors,
    checkpoint_folder,
    encode_tensors,
    make_place,
    rows_of,
)
from downslope.training.manifest import FORMAT, MANIFEST, describe_bytes, part_files, render_manifest
from downslope.training.parallel.workers import Workers


def write_sharded(workers: Workers, run: Path, tensors: Mapping[str, Tensors], manifest: Mapping[str, Any]) -> Path:
    """Write a checkpoint together with all workers, and return its folder, which every worker must see.

    Args:
        workers: The workers.
        run: The run folder.
        tensors: What this worker holds: "model" and "optimizer"; what is not sharded is written by worker 0.
        manifest: As in `write_checkpoint`; that of worker 0 counts.

    Raises:
        StorageError: If the disk refuses. What was saved before is untouched.
    """
    folder = checkpoint_folder(run, manifest["step"])
    if workers.is_first:
        make_place(folder)
    workers.gather(None)  # the folder is there
    files: dict[str, Any] = {}
    for part, held in tensors.items():
        name = f"{part}.{workers.rank}-of-{workers.size}.safetensors"
        local = {n: t.to_local() if isinstance(t, DTensor) else t for n, t in held.items()}
        data = encode_tensors({n: t for n, t in local.items() if workers.is_first or isinstance(held[n], DTensor)})
        durable.write_file(folder / name, data, sync_folder=False)
        files[name] = describe_bytes(data)
    every = workers.gather(files)  # and all files are on the disk
    if workers.is_first:
        shapes = {
            part: {name: list(t.shape) for name, t in held.items() if isinstance(t, DTensor)}
            for part, held in tensors.items()
        }
        table = {"format": FORMAT, **manifest, "shapes": shapes, "files": {k: v for d in every for k, v in d.items()}}
        durable.fsync_folder(folder)
        durable.write_file(folder / MANIFEST, render_manifest(table))
    workers.gather(None)  # and so is the manifest
    return folder


def cut(checkpoint: Checkpoint, workers: Workers, mesh: DeviceMesh, sharded: Mapping[str, Any]) -> Checkpoint:
    """Return a checkpoint with this worker's part of its tensors, whatever number of workers wrote it.

    Args:
        checkpoint: A verified checkpoint.
        workers: The workers.
        mesh: All of them in a row.
        sharded: The model's parameters that are sharded, by name.

    Raises:
        CheckpointError: If its files do not fit together.
    """
    parts = dict.fromkeys(name.split(".")[0] for name in checkpoint.manifest["files"])
    try:
        tensors = {part: dict(_cut_part(checkpoint, part, workers, mesh, sharded)) for part in parts}
    except (RuntimeError, IndexError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{checkpoint.folder}: its files do not fit together: {error}.") from None
    return replace(checkpoint, tensors=tensors)


def _cut_part(
    checkpoint: Checkpoint, part: str, workers: Workers, mesh: DeviceMesh, sharded: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    files = part_files(checkpoint.manifest, part)
    shapes = checkpoint.manifest.get("shapes", {}).get(part, {})
    opened = [safetensors.safe_open(checkpoint.folder / name, framework="pt") for name in files]
    for name in opened[0].keys():  # noqa: SIM118  it is no dict
        source = opened[0].get_slice(name)
        shape = torch.Size(shapes.get(name, source.get_shape()))
        if name not in sharded:
            yield name, opened[0].get_tensor(name)
            continue
        wanted = rows_of(shape[0], workers.rank, workers.size)
        pieces = []
        for index, file in enumerate(opened):
            held = rows_of(shape[0], index, len(opened)) if name in shapes else range(shape[0])
            start, end = max(wanted.start, held.start), min(wanted.stop, held.stop)
            if start < end:
                pieces.append(file.get_slice(name)[start - held.start : end - held.start])
        local = torch.cat(pieces) if pieces else torch.empty(0, *shape[1:], dtype=sharded[name].dtype)
        yield (
            name,
            DTensor.from_local(
                local, mesh, [Shard(0)], run_check=False, shape=shape, stride=torch.empty(shape, device="meta").stride()
            ),
        )
