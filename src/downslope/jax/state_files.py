"""Files of JAX's world: flax's msgpack, and the folders of orbax, each read by the library that wrote it.

What lives here: choosing the library, and its errors in our words. What does not: what is found in the tree that it
returns (`exchange/trees.py`), and any parser. Nothing in either format can run code.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

from downslope.core.errors import MissingDependencyError, StateError
from downslope.exchange.snapshot import Snapshot, damaged
from downslope.exchange.trees import snapshot_of_tree

_METADATA = "_METADATA"
"""The file by which a folder is known to hold a tree that orbax wrote."""


def read_msgpack(path: Path, convention: str) -> Snapshot:
    """Return what a file holds that ``flax.serialization.to_bytes`` wrote: an optimizer's state, or a `TrainState`.

    Args:
        path: The file.
        convention: Whose velocities they are: "optax", or "downslope" for `downslope.jax.sgd`.

    Raises:
        StateError: If it is damaged, or does not hold one state with velocities.
        MissingDependencyError: If flax is not installed.
    """
    serialization = _library("flax.serialization", "a .msgpack file", "flax")
    if not path.is_file():
        raise StateError(f"{path}: there is no such file.")
    try:
        tree = serialization.msgpack_restore(path.read_bytes())
    except Exception as error:  # noqa: BLE001 - msgpack and NumPy raise a dozen kinds for a damaged file
        raise damaged(path, error) from None
    return snapshot_of_tree(tree, convention, path.name)


def read_orbax(folder: Path, convention: str) -> Snapshot:
    """Return what a folder holds that orbax wrote: a tree with an optimizer's state in it.

    Args:
        folder: The folder of a tree, or of one step of a `CheckpointManager` that holds one tree.
        convention: As in `read_msgpack`.

    Raises:
        StateError: If it is damaged, is several steps or trees, or does not hold one state with velocities.
        MissingDependencyError: If orbax is not installed.
    """
    checkpoint = _library("orbax.checkpoint", "a folder of orbax", "orbax-checkpoint")
    items = _items(folder)
    if len(items) != 1:
        inner = [item.name for item in items] or _steps(folder)
        what = "several trees" if items else "the steps of a CheckpointManager"
        raise StateError(f"{folder}: holds {what}: {', '.join(inner)}. Give one of them, such as {folder / inner[-1]}.")
    numpy = importlib.import_module("numpy")
    checkpointer: Any = checkpoint.PyTreeCheckpointer()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of devices that it was saved on; arrays come back as NumPy's
            shape = checkpointer.metadata(items[0].resolve()).item_metadata.tree
            wanted = importlib.import_module("jax").tree.map(
                lambda _: checkpoint.RestoreArgs(restore_type=numpy.ndarray), shape
            )
            tree = checkpointer.restore(items[0].resolve(), restore_args=wanted)
    except Exception as error:  # noqa: BLE001 - orbax and tensorstore raise many kinds for a damaged folder
        raise damaged(folder, error) from None
    return snapshot_of_tree(tree, convention, folder.name)


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
