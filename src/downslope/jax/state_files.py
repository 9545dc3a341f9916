"""Files of JAX's world: flax's msgpack, and the folders of orbax, each read by the library that wrote it.

What is in the tree that a library returns is read by `converting/trees.py`. Nothing in either format can run code.
"""

from __future__ import annotations

import importlib
import math
import os
import stat
import warnings
from pathlib import Path
from typing import Any

from downslope.converting.snapshot import Snapshot, damaged
from downslope.converting.trees import snapshot_of_tree
from downslope.core.bounds import check_unpacked, read_whole
from downslope.core.errors import MissingDependencyError, StateError
from downslope.core.files import kind_of
from downslope.core.shown import shown

_METADATA = "_METADATA"
"""The file by which a folder is known to hold a tree that orbax wrote."""


def read_msgpack(path: Path, convention: str, optimizer: str | None = None) -> Snapshot:
    """Return what a file holds that ``flax.serialization.to_bytes`` wrote: an optimizer's state, or a `TrainState`.

    Args:
        path: The file.
        convention: Whose velocities they are: "optax", or "downslope" for `downslope.jax.sgd`.
        optimizer: Which state, where there are several: its number, or where it is.

    Raises:
        StateError: If it is damaged, or does not hold such a state with velocities.
        MissingDependencyError: If flax is not installed.
    """
    serialization = _library("flax.serialization", "a .msgpack file", "flax")
    try:
        data = read_whole(path, StateError)
    except FileNotFoundError:
        raise StateError(f"{shown(path)}: there is no such file.") from None
    try:
        tree = serialization.msgpack_restore(data)
    except Exception as error:  # noqa: BLE001 - msgpack and NumPy raise a dozen kinds for a damaged file
        raise damaged(path, error) from None
    return snapshot_of_tree(tree, convention, shown(path.name), optimizer)


def read_orbax(folder: Path, convention: str, optimizer: str | None = None) -> Snapshot:
    """Return what a folder holds that orbax wrote: a tree with an optimizer's state in it.

    Args:
        folder: The folder of a tree, or of one step of a `CheckpointManager` that holds one tree.
        convention: As in `read_msgpack`.
        optimizer: As in `read_msgpack`.

    Raises:
        StateError: If it is damaged, is several steps or trees, or does not hold one state with velocities.
        MissingDependencyError: If orbax is not installed.
    """
    checkpoint = _library("orbax.checkpoint", "a folder of orbax", "orbax-checkpoint")
    items = _items(folder)
    if len(items) != 1:
        inner = [item.name for item in items] or _steps(folder)
        if not inner:
            raise damaged(folder, f"it has no {_METADATA} that is a file")
        what = "several trees" if items else "the steps of a CheckpointManager"
        raise StateError(f"{folder}: holds {what}: {', '.join(inner)}. Give one of them, such as {folder / inner[-1]}.")
    size = _size_of(items[0])
    numpy = importlib.import_module("numpy")
    checkpointer: Any = checkpoint.PyTreeCheckpointer()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of devices that it was saved on; arrays come back as NumPy's
            shape = checkpointer.metadata(items[0].resolve()).item_metadata.tree
            check_unpacked(folder, _declared(shape), size, StateError)
            wanted = importlib.import_module("jax").tree.map(
                lambda _: checkpoint.RestoreArgs(restore_type=numpy.ndarray), shape
            )
            tree = checkpointer.restore(items[0].resolve(), restore_args=wanted)
    except StateError:
        raise
    except Exception as error:  # noqa: BLE001 - orbax and tensorstore raise many kinds for a damaged folder
        raise damaged(folder, error) from None
    return snapshot_of_tree(tree, convention, shown(folder.name), optimizer)


def _size_of(folder: Path) -> int:
    """Return the bytes of all files of a tree.

    Raises:
        StateError: If something in it is no regular file or folder, for which orbax would wait, or links elsewhere.
    """
    size = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = (Path(place) / name).lstat()
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise damaged(folder, f"{name} in it is {kind_of(status.st_mode)}")
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size


def _declared(shape: Any) -> int:
    """Return the bytes that the arrays of a tree say they have."""
    leaves = importlib.import_module("jax").tree.leaves(shape)
    parts = [(getattr(leaf, "shape", None), getattr(leaf, "dtype", None)) for leaf in leaves]
    return sum(
        math.prod(extents) * int(getattr(dtype, "itemsize", 8)) for extents, dtype in parts if extents is not None
    )


def _items(folder: Path) -> list[Path]:
    """Return the trees in a folder: itself, or what a step of a `CheckpointManager` holds."""
    if (folder / _METADATA).is_file():
        return [folder]
    return sorted(inner.parent for inner in folder.glob(f"*/{_METADATA}"))


def _steps(folder: Path) -> list[str]:
    """Return the steps that a `CheckpointManager` keeps in a folder, the newest last."""
    found = {inner.parent.parent.name for inner in folder.glob(f"*/*/{_METADATA}")}
    return sorted(found, key=lambda name: (len(name), name))


def _library(module: str, what: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f'reading {what} needs {package} ({error}). Run: pip install "downslope[flax]"'
        ) from None
