"""Which sub-folders of a folder of images are parts, to learn from and to hold out, and which are classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.training.data.class_names import show_names
from downslope.training.data.image_files import sorted_entries
from downslope.training.data.part_names import KINDS, Kind, choose_roles, kind_of_part

_SHARED = 2
"""Sub-folders of one name in two folders from which on these look like parts: a class each, in both."""


@dataclass(frozen=True)
class Parts:
    """Where the images are.

    Attributes:
        train: The folder of the classes to learn from.
        held_out: That of the classes held out; None to split the other.
        test: That of the classes for one look at the end, which may be what is held out; None if there is none.
        note: What a person should know of the choice, or nothing.
    """

    train: Path
    held_out: Path | None = None
    test: Path | None = None
    note: str = ""


def find_parts(folder: Path, *, split: bool | None, held_out_from: Literal["train", "test"] | None = None) -> Parts:
    """Return which sub-folders are parts; `held_out_from` as in `choose_roles`.

    Raises:
        DataError: If that is not certain; the message says what to do.
    """
    found: dict[Kind, list[str]] = {}
    names = [entry.name for entry in sorted_entries(folder) if entry.is_dir()]
    for name in names if split is not False else ():
        if (kind := kind_of_part(name)) is not None:
            found.setdefault(kind, []).append(name)
    if "train" in found and len(found) > 1:
        return _choose(folder, names, found, held_out_from)
    if held_out_from is not None:
        choose_roles({"train": folder.name}, held_out_from, shown(folder))
    if split is False:
        return Parts(folder)
    alone = names[0] if len(names) == 1 else ""
    if alone and found and _class_folders(folder / alone):
        return _of_one(folder, alone, is_train="train" in found)
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


def _choose(
    folder: Path,
    names: Sequence[str],
    found: Mapping[Kind, Sequence[str]],
    held_out_from: Literal["train", "test"] | None,
) -> Parts:
    parts = [name for kind in KINDS for name in found.get(kind, ())]
    others = [name for name in names if name not in parts]
    place = shown(folder)
    if others:
        first = next(name for name in parts if name not in found["train"])
        raise DataError(
            f"{place}: has {show_names([found['train'][0], first], last=' and ')}, which bring a split, but also "
            f"{show_names(others)}. Remove what is no part, or give the folder of the classes alone. {_paths(folder)}"
        )
    there: dict[Kind, str] = {kind: found[kind][0] for kind in KINDS if kind in found}
    roles = choose_roles({kind: shown(name) for kind, name in there.items()}, held_out_from, place)
    twice = next((found[kind] for kind in ("train", roles.held_out, roles.test) if kind and len(found[kind]) > 1), None)
    if twice is not None:
        raise DataError(f"{place}: has {show_names(twice)}, of which only one can be meant. {_paths(folder)}")
    held_out, test = (kind and folder / there[kind] for kind in (roles.held_out, roles.test))
    return Parts(folder / there["train"], held_out, test, roles.note)


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
    kind = kind_of_part(re.sub(r"\d+", "", name))
    return kind != "train", kind is not None, name


def _class_folders(folder: Path) -> frozenset[str]:
    """Return the sub-folders of a folder that holds nothing else."""
    entries = sorted_entries(folder)
    return frozenset(entry.name for entry in entries) if all(entry.is_dir() for entry in entries) else frozenset()


def _paths(folder: Path, train: str = "TRAIN", held_out: str = "HELD_OUT") -> str:
    return (
        f'Say which: data.options.path = "{shown(folder / train)}" and data.options.held_out_path = '
        f'"{shown(folder / held_out)}".'
    )
