"""What tells the rows of a run's own table apart: where they stand in its file, and the column that marks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from downslope.training.data.dataset import Marks
from downslope.training.data.table_columns import Unnamed, Wanted
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.data.table_problems import KEY

Lines = np.ndarray[Any, np.dtype[np.int64]]


def find_marks(options: Options, names: Sequence[str], part: Literal["train", "held_out"], lines: Lines) -> Marks:
    """Return which rows of their file, from 0, the examples of a part are, and their marks; the file is read anew.

    Args:
        options: The table's.
        names: What its columns are called.
        part: The part.
        lines: Where each of its examples stands in the file, as messages count.
    """
    other = part == "held_out" and options.held_out_path is not None
    given = options.held_out_path if other and options.held_out_path is not None else options.path
    origin = f"{KEY}.{'held_out_path' if other else 'path'}"
    file = open_table(given, options, origin, unnamed=Unnamed(tuple(names)), fixed=True)
    if options.id == "":
        file.find_nameless()
    column = options.targets[0] if options.id is None else options.id
    file.check_names((column,), f"{KEY}.id names it")
    places: list[Lines] = []
    marks: dict[int, str] = {}
    wanted = set(lines.tolist())
    for columns in file.chunks({column: Wanted("word")}):
        places.append(np.array(columns.lines, dtype=np.int64))
        if options.id is not None:
            words = zip(columns.lines, columns.words[column], strict=True)
            marks |= {line: word or "" for line, word in words if line in wanted}
    index = np.searchsorted(np.concatenate(places), lines)
    whole = options.held_out_path is not None and bool((index == np.arange(len(index))).all())  # the file says as much
    ids = [marks[line] for line in lines.tolist()] if options.id is not None else ()
    return Marks(index=None if whole else torch.from_numpy(index), ids=ids, id_name=options.id or "")
