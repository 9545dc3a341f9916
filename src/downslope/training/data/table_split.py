"""A table whose column says which part each row belongs to: to learn from, to hold out, to test by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from downslope.core.errors import DataError
from downslope.core.shown import shown
from downslope.recipe.schema import Data
from downslope.training.data.checking import no_test, split
from downslope.training.data.dataset import Part
from downslope.training.data.part_names import KINDS, LOOKED_AT, Kind, Roles, choose_roles, kind_of_part
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY

Rows = np.ndarray[Any, np.dtype[np.int64]]


class RowParts:
    """Which rows of a table belong to which part.

    Args:
        words: What stands in the column, for each row.
        place: From a row to where that stands.
        file: What to call the file.
        options: The table's.

    Raises:
        DataError: If a word names no part, or no row is to be learned from.
    """

    def __init__(self, words: Sequence[str | None], place: Callable[[int], str], file: str, options: Options) -> None:
        kinds: list[Kind] = []
        called: dict[Kind, str] = {}
        for row, word in enumerate(words):
            kind = kind_of_part(word or "")
            if kind is None:
                raise DataError(
                    f"{place(row)}: '{shown(word or '', 60)}' names no part; {KEY}.split_column takes train, "
                    "validation and test, or other usual names of these."
                )
            kinds.append(kind)
            called.setdefault(kind, shown(word or "", 60))
        if "train" not in called:
            column = shown(options.split_column or "")
            raise DataError(
                f"{file}, column `{column}`: no row is of the part train, so that there is nothing to learn."
            )
        self._kinds = np.array(kinds, dtype=np.str_)
        there: dict[Kind, str] = {kind: called[kind] for kind in KINDS if kind in called}
        self.roles: Roles = choose_roles(there, options.held_out_from, file)

    def of(self, part: Part, data: Data, seed: int, usable: Rows) -> Rows:
        """Return the rows of a part, by index, among those that can be used."""
        if part == "test":
            return np.zeros(0, dtype=np.int64) if self.roles.test is None else self._of_kind(self.roles.test, usable)
        if self.roles.held_out is not None:
            return self._of_kind("train" if part == "train" else self.roles.held_out, usable)
        rows = torch.from_numpy(self._of_kind("train", usable))
        return split(data, seed, rows, rows)[f"{part}_inputs"].numpy()

    def asked_for(self, part: Part, data: Data, seed: int, usable: Rows) -> tuple[Rows, tuple[str, ...]]:
        """Return the rows of a part that somebody asks for, and notes.

        Raises:
            DataError: If there is no test part.
        """
        if part == "test" and self.roles.test is None:
            raise no_test("table", f"it would be the rows with `test` in {KEY}.split_column")
        is_held_out = part == "test" and self.roles.test == self.roles.held_out
        return self.of(part, data, seed, usable), (LOOKED_AT,) if is_held_out else ()

    def _of_kind(self, kind: Kind, usable: Rows) -> Rows:
        return usable[self._kinds[usable] == kind]
