"""Which sub-folders of a folder of images are parts, to learn from and to hold out, and which are classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.class_names import show_names
from downslope.training.data.image_files import sorted_entries

_TRAIN = frozenset({"train", "training", "trn", "训练", "訓練"})

_HELD_OUT = (
    frozenset({"heldout", "holdout", "留出"}),
    frozenset({"val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation", "验证", "驗證"}),
    frozenset({"test", "testing", "tst", "tests", "测试", "測試"}),
)
"""Names of what is held out, in small letters without signs. Of several kinds the first is held out: what a test is for
should not be looked at while training."""

_SHARED = 2
"""Sub-folders of one name in two folders from which on these look like parts: a class each, in both."""


@dataclass(frozen=True)
class Parts:
    """Where the images are.

    Attributes:
        train: The folder of the classes to learn from.
        held_out: That of the classes held out; None to split the other.
        note: What a person should know of the choice, or nothing.
    """

    train: Path
    held_out: Path | None = None
    note: str = ""


def find_parts(folder: Path, *, split: bool | None) -> Parts:
    """Return which sub-folders are parts.

    Raises:
        DataError: If that is not certain; the message says what to do.
    """
    if split is False:
        return Parts(folder)
    names = [entry.name for entry in sorted_entries(folder) if entry.is_dir()]
    train = [name for name in names if _plain(name) in _TRAIN]
    held_out = [[name for name in names if _plain(name) in kind] for kind in _HELD_OUT]
    parts = [name for kind in held_out for name in kind]
    if train and parts:
        return _choose(folder, names, train, held_out)
    alone = names[0] if len(names) == 1 else ""
    if alone and (train or parts) and _class_folders(folder / alone):
        return _of_one(folder, alone, is_train=bool(train))
    _check_classes(folder, names)
    return Parts(folder)


def _of_one(folder: Path, name: str, *, is_train: bool) -> Parts:
    """Return the parts of a folder that holds one part of a split alone."""
    place = shown(folder)
    if not is_train:
        raise DataError(
            f"{place}: has `{shown(name)}` alone, which is a part to hold out, and nothing to learn from. "
            f"{_paths(folder, held_out=name)} If it is all there is, give data.options.path = "
            f'"{shown(folder / name)}": a part of it is then held out, data.held_out.'
        )
    return Parts(
        folder / name,
        note=f"{place} has `{shown(name)}` alone, without a part to hold out: data.held_out of its images are held out",
    )


def _choose(folder: Path, names: Sequence[str], train: Sequence[str], held_out: Sequence[Sequence[str]]) -> Parts:
    parts = [name for kind in held_out for name in kind]
    others = [name for name in names if name not in {*train, *parts}]
    place = shown(folder)
    if others:
        raise DataError(
            f"{place}: has {show_names([train[0], parts[0]], last=' and ')}, which bring a split, but also "
            f"{show_names(others)}. Remove what is no part, or give the folder of the classes alone. {_paths(folder)}"
        )
    chosen = next(kind for kind in held_out if kind)
    if len(train) > 1 or len(chosen) > 1:
        twice = train if len(train) > 1 else chosen
        raise DataError(f"{place}: has {show_names(twice)}, of which only one can be meant. {_paths(folder)}")
    rest = [name for name in parts if name != chosen[0]]
    note = ""
    if rest:
        note = (
            f"of {place}, `{shown(train[0])}` is learned from and `{shown(chosen[0])}` held out; {show_names(rest)} is "
            "left alone, to be used once at the end"
        )
    return Parts(folder / train[0], folder / chosen[0], note)


def _check_classes(folder: Path, names: Sequence[str]) -> None:
    """Raise if folders that would be classes hold the same sub-folders, as the parts of a split do.

    A model that took parts for classes would learn to tell the training images from the others.
    """
    inside = {name: _class_folders(folder / name) for name in names}
    owners: dict[str, list[str]] = {}
    for name, found in inside.items():
        for one in found if len(found) >= _SHARED else ():
            owners.setdefault(one, []).append(name)
    for name, found in inside.items():
        for other in sorted({other for one in found for other in owners.get(one, ()) if other != name}):
            shared = found & inside[other]
            if len(shared) >= _SHARED and 2 * len(shared) >= min(len(found), len(inside[other])):
                first, second = sorted((name, other), key=_order)
                raise DataError(
                    f"{shown(folder)}: its folders `{shown(first)}` and `{shown(second)}` hold the same sub-folders, "
                    f"{show_names(sorted(shared))}, so they look like the parts of a split, not like classes. "
                    f"{_paths(folder, first, second)} If they are classes, set data.options.split = false."
                )


def _order(name: str) -> tuple[bool, bool, str]:
    """Return by what two folders are put in order, the one to learn from first, as far as their names tell."""
    letters = re.sub(r"[\d]+", "", _plain(name))
    return letters not in _TRAIN, any(letters in kind for kind in _HELD_OUT), name


def _class_folders(folder: Path) -> frozenset[str]:
    """Return the sub-folders of a folder that holds nothing else."""
    entries = sorted_entries(folder)
    return frozenset(entry.name for entry in entries) if all(entry.is_dir() for entry in entries) else frozenset()


def _paths(folder: Path, train: str = "TRAIN", held_out: str = "HELD_OUT") -> str:
    return (
        f'Say which: data.options.path = "{shown(folder / train)}" and data.options.held_out_path = '
        f'"{shown(folder / held_out)}".'
    )


def _plain(name: str) -> str:
    """Return a name without case, signs and numbers, by which parts are compared.

    Example:
        >>> _plain("Held-Out_Set"), _plain("TEST")
        ('heldout', 'test')
    """
    letters = re.sub(r"[\W_]+", "", name.casefold())
    return re.sub(r"(images|imgs|data|set|split|集|集合|数据|数据集|數據|數據集)$", "", letters)
