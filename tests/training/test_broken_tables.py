"""Tables that cannot be used: each gets a message that names the file, the line and what to do."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

GOOD = "area,rooms,district,price\n10,2,north,100\n20,3,south,200\n30,3,east,300\n40,4,north,400\n"
HINT = (
    ' If its words are to count, set data.options.categories = ["{0}"]; to leave it out, data.options.ignore = ["{0}"].'
)


def message_of(options, loss="mse", seed=0):
    """Return the message with which loading fails."""
    text = f"""
seed = {seed}
[data]
name = "table"
options = {{ {options} }}
[sgd]
lr = 0.1
[train]
epochs = 1
loss = "{loss}"
"""
    with pytest.raises(DownslopeError) as caught:
        load_data(parse_recipe(text, "recipe"))
    assert caught.value.exit_code == 2
    return str(caught.value)


def without(line, text=GOOD):
    """Return the good table with a line replaced: (number, text)."""
    number, new = line
    lines = text.splitlines()
    lines[number - 1] = new
    return "\n".join(lines) + "\n"


HOUSES = 'path = "t.csv", target = "price", categories = ["district"]'

# what the file holds, and the message
FILES = {
    "word": (
        without((3, "20,three,south,200")),
        "t.csv, line 3, column `rooms`: 'three' is not a number." + HINT.format("rooms"),
    ),
    "underscore": (
        without((3, "20,3_0,south,200")),
        "t.csv, line 3, column `rooms`: '3_0' is not a number." + HINT.format("rooms"),
    ),
    "infinite": (
        without((5, "40,inf,north,400")),
        (
            "t.csv, line 5, column `rooms`: 'inf' is not finite. If it stands for a missing number, set "
            'data.options.missing_marks = ["inf"].'
        ),
    ),
    "target": (
        without((2, "10,2,north,dear")),
        (
            "t.csv, line 2, column `price`: 'dear' is not a number. If it names classes, use train.loss = "
            '"cross_entropy".'
        ),
    ),
    "missing": (
        without((4, "30,,east,300")),
        (
            "t.csv, line 4, column `rooms`: the cell is empty. Fill it in, or set "
            'data.options.missing = "drop" to leave such rows out, or "mean" to put the mean of the column in its '
            "place."
        ),
    ),
    "missing target": (
        without((4, "30,3,east,")),
        (
            "t.csv, line 4, column `price`: the cell is empty. Fill it in, or set "
            'data.options.missing = "drop" to leave such rows out; a target has no other way.'
        ),
    ),
    "missing word": (without((4, "30,3, ,300")), "t.csv, line 4, column `district`: the cell is empty. Fill it in"),
    "short row": (
        without((4, "30,3,east")),
        "t.csv, line 4: has 3 cell(s), but there are 4 columns: area, rooms, district, price.",
    ),
    "long row": (without((2, "10,2,north,100,")), "t.csv, line 2: has 5 cell(s), but there are 4 columns"),
    "quote": (without((2, '10,2,"north,100')), "t.csv, after line 1: unexpected end of data."),
    "empty": ("", "t.csv: holds nothing, not even a line that names the columns."),
    "no rows": ("area,rooms,district,price\n\n", "t.csv: holds no rows."),
    "no header": (
        "1,2,3,4\n5,6,7,8\n",
        "t.csv, line 1: must name the columns, such as area,rooms,price; got numbers: 1, 2, 3, 4.",
    ),
    "nameless": (
        without((1, "area,,district,price")),
        "t.csv: column 2 has no name. The first line must name every column.",
    ),
    "twice": (
        without((1, "area,area,district,price")),
        "t.csv: two columns are called `area`. Give each a name of its",
    ),
    "semicolons": (
        GOOD.replace(",", ";"),
        (
            "t.csv, line 1: is one column, 'area;rooms;district;price', since cells are "
            "separated by ','. Set data.options.delimiter = ';'."
        ),
    ),
    "renamed": (
        without((1, "area,rooms,distrikt,price")),
        (
            "t.csv: has no column `district`, but "
            "data.options.categories names it. Did you mean `distrikt`? It has `area`, `rooms`, `distrikt` and "
            "`price`."
        ),
    ),
    "no target": (
        without((1, "area,rooms,district,cost")),
        "t.csv: has no column `price`, but data.options.target names it.",
    ),
    "constant": (
        GOOD.replace(",2,", ",3,").replace(",4,", ",3,"),
        (
            "t.csv, column `rooms`: is 3 in every row to learn "
            'from. Nothing can be learned from it; leave it out: data.options.ignore = ["rooms"].'
        ),
    ),
    "constant of seven digits": (
        GOOD.replace(",2,", ",1234567,").replace(",3,", ",1234567,").replace(",4,", ",1234567,"),
        "t.csv, column `rooms`: is 1234567 in every row to learn from. Nothing can",
    ),
    "numbers that only more digits tell apart": (  # two of them lie 256 apart
        "\n".join(re.sub(r",(\d),", rf",{2**60 // 10}\1,", line) for line in GOOD.splitlines()),
        (
            "t.csv, column `rooms`: is 1.15292150460685e+18 in every row to learn from, to the 16 digits that are "
            "kept. Nothing can be learned from it"
        ),
    ),
    "a target that only more digits tell apart": (
        "\n".join(re.sub(r",(\d)00$", rf",{10**20}\1", line) for line in GOOD.splitlines()),
        (
            "t.csv, column `price`: is 1e+21 in every row to learn from, to the 16 digits that are kept; there is "
            "nothing to learn."
        ),
    ),
    "constant word": (
        GOOD.replace("south", "north").replace("east", "north"),
        "t.csv, column `district`: is 'north' everywhere. Nothing can be learned from it; leave it out",
    ),
    "constant target": (
        "\n".join(line.rsplit(",", 1)[0] + ",1" for line in GOOD.splitlines()).replace("district,1", "district,price"),
        "t.csv, column `price`: is 1 in every row to learn from; there is nothing to learn.",
    ),
    "one row": (
        "area,rooms,district,price\n10,2,north,100\n",
        "data.name = 'table': 1 example(s) cannot be split with data.held_out = 0.2.",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_broken_file_is_refused(case):
    """The message names the file and, where there is one, the line and the column."""
    content, message = FILES[case]
    Path("t.csv").write_text(content, encoding="utf-8")
    assert message_of(HOUSES).startswith(message)


def test_what_is_no_text_is_refused():
    """Bytes that are no UTF-8, with the line, the byte's place in the file, and what to set."""
    Path("t.csv").write_bytes(GOOD.encode() + b"50,5,\xff\xfe,500\n")
    assert message_of(HOUSES) == (
        f"t.csv, line 6: is not UTF-8 at byte {len(GOOD) + 5} (0xff). Set data.options.encoding to the one it was "
        'saved in, such as "cp1252" (Western Europe), "gb18030" (Chinese) or "utf-16", or save it as UTF-8.'
    )


# the options, the loss, and the message
OPTIONS = {
    "no path": (
        'target = "price"',
        "mse",
        ("recipe, [data.options]: the key `path` is missing. Add it, or give --data.path on the command line."),
    ),
    "no such file": (
        'path = "u.csv", target = "price"',
        "mse",
        ("data.options.path = 'u.csv': there is no such file. It is looked for from the current directory, "),
    ),
    "a folder": (
        'path = ".", target = "price"',
        "mse",
        (
            "data.options.path = '.': is a folder; a table is a file that ends in .csv, .tsv, .parquet, "
            ".feather, .arrow, .npy, .npz."
        ),
    ),
    "spreadsheet": (
        'path = "t.xlsx", target = "price"',
        "mse",
        ("data.options.path = 't.xlsx': has the suffix '.xlsx'; a table is a file that ends in"),
    ),
    "unknown option": (
        'path = "t.csv", target = "price", feature = ["area"]',
        "mse",
        ("recipe, [data.options]: unknown key `feature`. Did you mean `features`?"),
    ),
    "unknown feature": (
        'path = "t.csv", target = "price", features = ["aera"]',
        "mse",
        ("t.csv: has no column `aera`, but data.options.features names it. Did you mean `area`?"),
    ),
    "unknown ignored": (
        'path = "t.csv", target = "price", ignore = ["id"]',
        "mse",
        ("t.csv: has no column `id`, but data.options.ignore names it."),
    ),
    "target a feature": (
        'path = "t.csv", target = "price", features = ["price"]',
        "mse",
        ("recipe, [data.options]: `features` names the target, 'price'."),
    ),
    "features and ignore": (
        'path = "t.csv", target = "price", features = ["area"], ignore = ["rooms"]',
        "mse",
        (
            "recipe, [data.options]: `ignore` says what to leave out of all columns; with `features`, "
            "leave it out there."
        ),
    ),
    "all ignored": (
        'path = "t.csv", target = "price", ignore = ["area", "rooms", "district"]',
        "mse",
        "t.csv: has no column but the target to learn from.",
    ),
    "idle category": (
        'path = "t.csv", target = "price", ignore = ["district"], categories = ["district"]',
        "mse",
        "data.options.categories names `district`, which is not among the columns to learn from.",
    ),
    "delimiter": (
        'path = "t.csv", target = "price", delimiter = "::"',
        "mse",
        ("recipe, [data.options]: `delimiter` must be one character, such as \";\"; got '::'."),
    ),
    "kind": (
        'path = "t.csv", target = "price", kind = "classes"',
        "mse",
        ("data.name = 'table': data.options.kind = 'classes' does not go with train.loss = 'mse'."),
    ),
    "own loss": (
        'path = "t.csv", target = "price"',
        "my_task:loss",
        (
            "data.name = 'table': say what the target is, since "
            'train.loss = \'my_task:loss\' does not: data.options.kind = "classes" or "number".'
        ),
    ),
    "scaled classes": (
        'path = "t.csv", target = "district", standardize_target = true',
        "cross_entropy",
        ("data.name = 'table': data.options.standardize_target is for numbers; this target names classes."),
    ),
    "fractions": (
        'path = "f.csv", target = "y"',
        "cross_entropy",
        ('f.csv, line 3, column `y`: 0.5 is a fraction, which names no class. To fit numbers, use train.loss = "mse".'),
    ),
    "one class": (
        'path = "o.csv", target = "y"',
        "cross_entropy",
        ("data.name = 'table': column `y`: there is only one class, '1'; two are needed to tell apart."),
    ),
    "rare class": (
        'path = "t.csv", target = "district", ignore = ["price"]',
        "cross_entropy",
        (
            "data.name = 'table': "
            "column `district`: every example of `south` is held out, so that there is none to learn from. Use a "
            "smaller data.held_out, another seed, or more examples."
        ),
    ),
    "new class": (
        'path = "t.csv", held_out_path = "n.csv", target = "district"',
        "cross_entropy",
        (
            "n.csv, line 3, "
            "column `district`: there is no class 'noth' to learn from. Did you mean `north`? There are `east`, "
            "`north`, `south`."
        ),
    ),
    "new word": (
        'path = "t.csv", held_out_path = "n.csv", target = "price", categories = ["district"]',
        "mse",
        ("n.csv, line 3, column `district`: 'noth' was not among the words to learn from. Did you mean `north`?"),
    ),
    "other columns": (
        'path = "t.csv", held_out_path = "f.csv", target = "price", ignore = ["district"]',
        "mse",
        "f.csv: has no columns `area`, `rooms` and `price`, but its columns must be those of data.options.path.",
    ),
    "nothing left": (
        'path = "h.csv", target = "y", missing = "drop"',
        "mse",
        ('h.csv: every row has a missing cell, so that data.options.missing = "drop" keeps none.'),
    ),
    "missing target": (
        'path = "h.csv", target = "y", missing = "mean"',
        "mse",
        ("h.csv, line 2, column `y`: the cell is empty, and a target cannot be filled in."),
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_fit_are_refused(case):
    """The message names the option, and what the table has instead."""
    Path("t.csv").write_text(GOOD, encoding="utf-8")
    Path("t.xlsx").write_bytes(b"PK")
    Path("f.csv").write_text("x,y\n1,1\n2,0.5\n3,1\n", encoding="utf-8")
    Path("o.csv").write_text("x,y\n1,1\n2,1\n3,1\n", encoding="utf-8")
    Path("h.csv").write_text("x,y\n1,\nNA,2\n", encoding="utf-8")
    Path("n.csv").write_text("area,rooms,district,price\n1,2,north,3\n1,2,noth,3\n", encoding="utf-8")
    options, loss, message = OPTIONS[case]
    assert message_of(options, loss, seed=RARE if case == "rare class" else 0).startswith(message)


RARE = 3
"""A seed that holds out the one house in the south."""


def write_arrays(name, value):
    """Return a function that writes an array."""
    return lambda: np.save(name, value)


# how the file is written, its name, and the message
ARRAYS = {
    "pickled": (
        write_arrays("a.npy", np.array([{}])),
        "a.npy",
        ("a.npy: cannot be read as NumPy's: Object arrays cannot be loaded when allow_pickle=False."),
    ),
    "flat": (
        write_arrays("a.npy", np.zeros(3)),
        "a.npy",
        ("a.npy: must have two dimensions, (rows, columns); got shape (3,)."),
    ),
    "uneven": (
        lambda: np.savez("a.npz", x=np.zeros(3), y=np.zeros(4)),
        "a.npz",
        ("a.npz: each array must be a column, all equally long; `y` has shape (4,), the first one (3,)."),
    ),
    "infinite": (
        lambda: np.savez("a.npz", x=np.array([1.0, np.inf]), y=np.zeros(2)),
        "a.npz",
        ("a.npz, row 2, column `x`: inf is not finite."),
    ),
    "words": (
        lambda: np.savez("a.npz", x=np.array(["1", "b"]), y=np.zeros(2)),
        "a.npz",
        ("a.npz, row 2, column `x`: 'b' is not a number."),
    ),
    "complex": (
        lambda: np.savez("a.npz", x=np.array([1j, 2]), y=np.zeros(2)),
        "a.npz",
        ("a.npz, row 1, column `x`: 1j is not a number."),
    ),
    "no archive": (lambda: Path("a.npz").write_bytes(b"PK\x03\x04"), "a.npz", "a.npz: cannot be read as NumPy's: "),
    "no array": (lambda: Path("a.npy").write_text("x,y"), "a.npy", "a.npy: cannot be read as NumPy's: "),
    "no columns": (write_arrays("a.npy", np.zeros((3, 0))), "a.npy", "a.npy: has no columns."),
    "no parquet": (lambda: Path("a.parquet").write_text("x,y"), "a.parquet", "a.parquet: cannot be read as Parquet: "),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_broken_arrays_are_refused(case):
    """Nothing is unpickled, and rows are counted from 1."""
    write, name, message = ARRAYS[case]
    write()
    assert message_of(f'path = "{name}", target = "y"').startswith(message)


def test_parquet_says_what_is_missing(monkeypatch):
    """Without pyarrow the message says how to get it."""
    Path("t.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert message_of('path = "t.parquet", target = "y"') == (
        't.parquet: Parquet is read by pyarrow, which is not installed. Run: pip install "downslope[tables]"'
    )


def test_fractions_are_told_from_the_first_and_counted():
    """The first in the file, not the smallest; a row that is left out before it does not move its line."""
    Path("f.csv").write_text("x,y\n1,2\n2,\n3,0.5\n4,1.5\n5,-0.25\n6,0.5\n", encoding="utf-8")
    assert message_of('path = "f.csv", target = "y", missing = "drop"', "cross_entropy") == (
        "f.csv, line 4, column `y`: 0.5 is a fraction, which names no class. The same holds for 3 more of its 5 cells, "
        'such as 1.5, -0.25. To fit numbers, use train.loss = "mse".'
    )


def test_one_number_written_in_two_ways_is_refused():
    """`1` and `1.0` would be two classes; large whole numbers that differ in their last digit stay two."""
    from downslope.training.data.class_names import order_classes

    with pytest.raises(DownslopeError, match=r"labels `1` and `1\.0` are one number written in two ways"):
        order_classes(["1", "2", "1.0"])
    assert order_classes([str(2**53), str(2**53 + 1)]) == (str(2**53), str(2**53 + 1))
    assert order_classes(["nan", "NaN", "cat"]) == ("NaN", "cat", "nan")
