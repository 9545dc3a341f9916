"""Tables as people have them: all that is wrong is told at once, with options that were tried and read them."""

import random
import tomllib
from pathlib import Path

import numpy as np
import pytest

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.data.table_numbers import NumberForm, describe_cell
from draws import draws

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

COUNT = 20
REST = "\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\n"
BLOCK = "With these options in place of its data.options the recipe reads this table:\n"


def load(options='path = "t.csv"\ntarget = "y"', loss="mse"):
    """Return the data set of options written as lines of TOML."""
    return load_data(
        parse_recipe(f'[data]\nname = "table"\n[data.options]\n{options}{REST}loss = "{loss}"\n', "recipe")
    )


def message_of(options='path = "t.csv"\ntarget = "y"', loss="mse"):
    """Return the message with which loading fails as a person's mistake."""
    with pytest.raises(DownslopeError) as caught:
        load(options, loss)
    assert caught.value.exit_code == 2
    return str(caught.value)


def pasted(message):
    """Return the options that a message ends with, as text and as a table; the text is what is pasted."""
    block = message.partition(BLOCK)[2]
    assert block.startswith("[data.options]\n")
    text = block.removeprefix("[data.options]\n")
    return text, tomllib.loads(block)["data"]["options"]


def rows(line, count=COUNT):
    """Return lines, one for each number from 1."""
    return "".join(line(number) + "\n" for number in range(1, count + 1))


def write(header, line, count=COUNT, name="t.csv"):
    """Write a table, a line for each number from 1."""
    Path(name).write_text(header + "\n" + rows(line, count), encoding="utf-8")


def wave(number):
    """Return a number that is no line of its own place."""
    return number * 7 % 11


# the line of names, a line for each number, the options that are to be added, and the numbers of the first column then
READ = {
    "thousands": ("x,y", lambda n: f'"{n},000.5",{wave(n)}', {"thousands": ","}, lambda n: 1000 * n + 0.5),
    "millions": ("x,y", lambda n: f'"{n},000,500",{wave(n)}', {"thousands": ","}, lambda n: 1e6 * n + 500),
    "lakhs": ("x,y", lambda n: f'"{n},00,500",{wave(n)}', {"thousands": ","}, lambda n: 1e5 * n + 500),
    "percent": ("x,y", lambda n: f"{n}%,{wave(n)}", {"units": ["%"]}, lambda n: n),
    "dollars": ("x,y", lambda n: f"${n}.50,{wave(n)}", {"units": ["$"]}, lambda n: n + 0.5),
    "debts": ("x,y", lambda n: f"-${n},{wave(n)}", {"units": ["$"]}, lambda n: -n),
    "a unit in words": ("x,y", lambda n: f"{n} kg,{wave(n)}", {"units": ["kg"]}, lambda n: n),
    "dear": ("x,y", lambda n: f'"$1,{n:03d}",{wave(n)}', {"thousands": ",", "units": ["$"]}, lambda n: 1000 + n),
    "German": (
        "x;y",
        lambda n: f"1.{n:03d},5;{wave(n)}",
        {"delimiter": ";", "thousands": ".", "decimal": ","},
        lambda n: 1000.5 + n,
    ),
    "German prices": (
        "x;y",
        lambda n: f"{n},50 €;{wave(n)}",
        {"delimiter": ";", "decimal": ",", "units": ["€"]},
        lambda n: n + 0.5,
    ),
    "French": (
        "x;y",
        lambda n: f"1\u202f{n:03d},5;{wave(n)}",
        {"delimiter": ";", "decimal": ",", "thousands": " "},
        lambda n: 1000.5 + n,
    ),
    "spaces": ("x,y", lambda n: f"1 {n:03d},{wave(n)}", {"thousands": " "}, lambda n: 1000 + n),
    "Swiss": ("x,y", lambda n: f"1'{n:03d}.25,{wave(n)}", {"thousands": "'"}, lambda n: 1000.25 + n),
    "semicolons": ("x;y", lambda n: f"{n};{wave(n)}", {"delimiter": ";"}, lambda n: n),
    "bars": ("x|y", lambda n: f"{n}|{wave(n)}", {"delimiter": "|"}, lambda n: n),
    "remarks first": ("# made by hand\n#\nx,y", lambda n: f"{n},{wave(n)}", {"comment": "#"}, lambda n: n),
    "a remark between": (
        "x,y",
        lambda n: f"{n},{wave(n)}" + ("\n# half" if n == 10 else ""),
        {"comment": "#"},
        lambda n: n,
    ),
    "remarks in quotes": ('# "open\nx,y', lambda n: f"{n},{wave(n)}", {"comment": "#"}, lambda n: n),
    "a date": ("x,d,y", lambda n: f"{n},2024-01-{n:02d},{wave(n)}", {"ignore": ["d"]}, lambda n: n),
    "a time": ("x,d,y", lambda n: f"{n},12:{n:02d},{wave(n)}", {"ignore": ["d"]}, lambda n: n),
    "words": ("x,w,y", lambda n: f"{n},{['red', 'blue'][n % 2]},{wave(n)}", {"categories": ["w"]}, lambda n: n),
    "truths": ("x,w,y", lambda n: f"{n},{n % 2 == 0},{wave(n)}", {"categories": ["w"]}, lambda n: n),
    "names": ("x,w,y", lambda n: f"{n},name{n},{wave(n)}", {"ignore": ["w"]}, lambda n: n),
    "a constant": ("x,w,y", lambda n: f"{n},5,{wave(n)}", {"ignore": ["w"]}, lambda n: n),
    "nothing": ("x,w,y", lambda n: f"{n},,{wave(n)}", {"ignore": ["w"]}, lambda n: n),
    "names without one": (",x,y", lambda n: f"car {n},{n},{wave(n)}", {"ignore": [""]}, lambda n: n),
    "a name twice": ("x,w,w,y", lambda n: f"{n},{wave(n)},{n % 3},{wave(n)}", {"ignore": ["w"]}, lambda n: n),
    "two units": (
        "x,w,y",
        lambda n: f"{n},{'$€'[n % 2]}{n},{wave(n)}",
        {"units": ["$", "€"], "ignore": ["w"]},
        lambda n: n,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_the_options_that_are_shown_read_the_table(case):
    """They are those worked out by hand, and the numbers that they give are those that were meant."""
    header, line, added, number = READ[case]
    write(header, line)
    text, options = pasted(message_of())
    assert options == {"path": "t.csv", "target": "y", **added}
    data = load(f"{text}\nstandardize = false\nstandardize_target = false")
    inputs = sorted([*data.train_inputs[:, 0].tolist(), *data.held_out_inputs[:, 0].tolist()])
    assert inputs == sorted(np.float32(number(n)).item() for n in range(1, COUNT + 1))


@pytest.mark.parametrize(("mark", "share"), [("?", 1), ("-", 8), ("unknown", 1), ("#N/A", 8), ("inf", 1), ("1e999", 1)])
def test_what_stands_for_a_missing_number_may_be_said(mark, share):
    """Few rows are left out, many are filled in; either way it is said how many."""
    write("x,y", lambda n: f"{mark if n <= share else n},{wave(n)}")
    text, options = pasted(message_of())
    assert options["missing_marks"] == [mark]
    assert options["missing"] == ("drop" if share == 1 else "mean")
    assert load(text).notes == (
        ("t.csv: 1 of 20 rows have a missing cell and are left out",)
        if share == 1
        else ("t.csv: 8 missing cell(s) in 1 column(s) are filled with the column's mean",)
    )


def test_a_mark_is_missing_among_words_too():
    """`?` in a column of categories, or as the class itself, is a word until the options say otherwise."""
    write("x,w,y", lambda n: f"{n},{['red', 'blue', '?'][n % 3]},{['yes', 'no', '?'][n % 3]}")
    options = 'path = "t.csv"\ntarget = "y"\ncategories = ["w"]'
    data = load(options, "cross_entropy")
    assert (data.class_names, data.train_inputs.shape[1]) == (("?", "no", "yes"), 4)
    assert data.notes == tuple(
        f"column `{name}`: '?' counts as a word like any other; if it stands for a missing one, set "
        'data.options.missing_marks = ["?"]'
        for name in ("w", "y")
    )
    data = load(f'{options}\nmissing_marks = ["?"]\nmissing = "drop"', "cross_entropy")
    assert (data.class_names, data.train_inputs.shape[1]) == (("no", "yes"), 3)
    assert data.notes == ("t.csv: 7 of 20 rows have a missing cell and are left out",)


def test_what_may_be_two_numbers_is_refused_with_both_ways():
    """1,234 is a thousand and more, or one and a little: both are said, and the frequent one is ready to paste."""
    write("x,y", lambda n: f'"1,{n + 200}",{wave(n)}')
    message = message_of()
    assert 'If its comma separates thousands, set data.options.thousands = ",".' in message
    assert 'If its comma stands for a decimal point, set data.options.decimal = ",".' in message
    assert pasted(message)[1]["thousands"] == ","
    write("x,w,y", lambda n: f'"1,{n + 200}","{n},000,000",{wave(n)}')
    column, other = message_of().splitlines()[:2]
    assert 'decimal = ","' in column
    assert 'decimal = ","' not in other


def test_everything_is_told_at_once():
    """Each column once, with examples and counts, and what only the options before would show."""
    write(
        "# a remark\n;x;price;d;w;c;y",
        lambda n: f'{n};{wave(n)},5;"€ 1.{n:03d},00";2024-02-{n:02d};{"?" if n == 3 else n};4;{wave(n)}',
    )
    message = message_of()
    text, options = pasted(message)
    assert options == {
        "path": "t.csv",
        "target": "y",
        "delimiter": ";",
        "comment": "#",
        "thousands": ".",
        "decimal": ",",
        "units": ["€"],
        "ignore": ["d", "c"],
        "missing_marks": ["?"],
        "missing": "drop",
    }
    told = message.partition(BLOCK)[0]
    for column in ("x", "price", "d", "w", "c"):
        assert told.count(f"column `{column}`: ") == 1
    assert "The same holds for 19 more of its 20 cells, such as '€ 1.002,00', '€ 1.003,00', '€ 1.004,00'." in told
    assert len(load(text).train_inputs) == 15


def test_a_thousand_bad_columns_are_told_shortly():
    """A message that nobody could read tells of the first ones and how many more there are."""
    names = [f"c{i}" for i in range(1000)]
    write(",".join([*names, "x", "y"]), lambda n: ",".join(["word"] * 1000 + [f"{n},{wave(n)}"]))
    message = message_of()
    assert message.partition(BLOCK)[0].count("\n") < 40
    assert "... and 988 more" in message
    assert load(pasted(message)[0]).train_inputs.shape == (16, 1)


def test_what_no_option_mends_is_told_beside_the_rest():
    """Rows of other lengths and a target of words leave nothing to paste, but each is told."""
    write("x,w,y", lambda n: f"{n},{'?' if n == 2 else n},{wave(n)}" + (",7" if n in {5, 6, 7, 8, 9} else ""))
    message = message_of()
    assert "t.csv, line 6: has 4 cell(s), but there are 3 columns: x, w, y." in message
    assert "2 more rows another number of cells" in message
    assert "column `w`: '?' is not a number" in message
    assert BLOCK not in message
    write("x,w,y", lambda n: f"{n},{n}%,{['low', 'high'][n % 2]}")
    message = message_of()
    assert "column `w`: '1%' is not a number" in message
    assert "column `y`: 'high' is not a number" in message
    assert 'If it names classes, use train.loss = "cross_entropy".' in message
    assert BLOCK not in message


@pytest.mark.parametrize(
    ("header", "line", "note"),
    [
        (",x,y", lambda n: f"{n - 1},{n},{wave(n)}", "column 1 of t.csv has no name and counts the rows from 0"),
        ('"","x","y"', lambda n: f'"{n}",{n},{wave(n)}', "column 1 of t.csv has no name and counts the rows from 1"),
        (
            ",x,y",
            lambda n: f"{n * 37 % 101},{n},{wave(n)}",
            "column 1 of t.csv has no name and holds a number of its own",
        ),
        ("x,y", lambda n: f"{n},{n},{wave(n)}", "column 1 of t.csv has no name and counts the rows from 1"),
        ("x,y", lambda n: f"{n},{wave(n)},", "column 3 of t.csv has no name and no cell in it holds anything"),
        ("x,y,", lambda n: f"{n},{wave(n)},", "column 3 of t.csv has no name and no cell in it holds anything"),
        ("x,,y", lambda n: f"{n},,{wave(n)}", "column 2 of t.csv has no name and no cell in it holds anything"),
    ],
)
def test_what_is_certainly_no_feature_is_left_out_and_said(header, line, note):
    """The index that pandas and R write, and what a comma at the end of every line makes."""
    write(header, line)
    data = load('path = "t.csv"\ntarget = "y"\nstandardize = false')
    inputs = [*data.train_inputs.flatten().tolist(), *data.held_out_inputs.flatten().tolist()]
    assert sorted(inputs) == list(range(1, COUNT + 1))
    assert [one.startswith(note) and one.endswith("it is left out") for one in data.notes] == [True]


@pytest.mark.parametrize(
    "line",
    [
        lambda n: f"{n % 5},{n},{wave(n)}",  # numbers that repeat
        lambda n: f"{n}.5,{n},{wave(n)}",
        lambda n: f"{'' if n == 4 else n},{n},{wave(n)}",
        lambda n: f"id{n},{n},{wave(n)}",
    ],
)
def test_a_column_without_a_name_that_may_be_more_is_refused(line):
    """It is asked to be named or left out; nothing is dropped because it has no name."""
    write(",x,y", line)
    message = message_of()
    assert message.startswith("t.csv: column 1 has no name. The first line must name every column. This one holds ")
    assert pasted(message)[1]["ignore"] == [""]


def test_rows_longer_than_their_names_are_an_index_only_if_they_count():
    """Decimal commas without quotes make rows longer too; their whole part is no index."""
    write("x,y", lambda n: f"{n * 3},{n},{wave(n)}")
    assert message_of().startswith("t.csv: column 1 has no name.")


def test_parquet_has_its_index_by_another_name(tmp_path):
    """What pandas calls __index_level_0__ is the same thing."""
    import pyarrow as pa
    from pyarrow import parquet

    numbers = range(1, COUNT + 1)
    columns = {"x": [*numbers], "y": [wave(n) for n in numbers], "__index_level_0__": [*range(COUNT)]}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    data = load('path = "t.parquet"\ntarget = "y"')
    assert data.train_inputs.shape == (16, 1)
    assert data.notes == ("column 3 of t.parquet has no name and counts the rows from 0: it is left out",)


def test_what_is_read_in_another_way_is_said():
    """Codes that begin with 0 are numbers here, and digits of other alphabets are digits."""
    write("zip,x,y", lambda n: f"{n:05d},{chr(0xFF10 + n % 10)}{chr(0x660 + n // 10)},{wave(n)}")
    zeros, digits = load().notes
    assert zeros == (
        "column `zip`: 20 cell(s) begin with 0, such as '00001', and are read as numbers; if they are codes, set "
        'data.options.categories = ["zip"]'
    )
    assert digits == (
        "column `x`: 20 cell(s) are written in other signs than 0 to 9, such as '\uff11\u0660', read as 10"
    )
    write("x,y", lambda n: f"{n}.0,{wave(n)}")
    assert load().notes == ()


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1.", 1), (".5", 0.5), ("+2e3", 2000), ("\u22125", -5), ("\uff11\uff12", 12), (" 7\t", 7), ("1E+05", 1e5),
        ("1_000", None), ("0x10", None), ("1e", None), ("e5", None), ("5\u00b2", None), ("infinity", None),
        ("1 2", None), ("--5", None), ("\u2460", None), ("1,5", None), ("(5)", None), ("<5", None), ("1e999", None),
        ("9" * 400, None),
    ],
)  # fmt: skip
def test_a_number_is_what_anybody_would_write(cell, number):
    """Python's own float would read 1_000 and more; what is no number is none whatever the fast path does."""
    if number is None:
        with pytest.raises(ValueError, match="is not"):
            NumberForm().read(cell)
    else:
        assert NumberForm().read(cell) == number
    write("x,y", lambda n: f"{chr(34)}{cell}{chr(34) if True else ''},{n}" if n == 3 else f"{n},{wave(n)}")
    if number is None:
        assert "line 4, column `x`: " in message_of()
    else:
        load()


@pytest.mark.parametrize("cell", ["<5", ">5", "~5", "5+", "5*", "(5)", "5 of 10", "A5", "5-10"])
def test_a_sign_that_says_something_of_the_number_is_no_unit(cell):
    """To leave it out would turn `less than 5` into 5."""
    assert describe_cell(cell).forms == frozenset()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('thousands = "."', "`thousands` and `decimal` must differ; both are '.'. Set decimal = ',' as well."),
        ('thousands = "_"', "`thousands` must be `,`, `.`, ` ` or `'`; got '_'."),
        ('units = ["5%"]', "`units` must be signs or words without digits"),
        ('units = [""]', "`units` must be signs or words without digits"),
        ('comment = ""', "`comment` must be what such lines begin with"),
        ('missing_marks = [" ?"]', "`missing_marks` must be words without space around them"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(more, message):
    """Before a file is looked for."""
    assert message_of(f'path = "t.csv"\ntarget = "y"\n{more}').startswith(f"recipe, [data.options]: {message}")


def test_rows_to_predict_are_told_all_at_once_and_nothing_to_paste():
    """A run decides how its tables are written; a bad table of further rows is told column by column."""
    write("x,w,y", lambda n: f"{n},{wave(n)},{wave(n)}")
    reader = load().reader
    write("x,w", lambda n: f'"1,{n:03d}",{n}%', name="new.csv")
    with pytest.raises(DownslopeError) as caught:
        next(reader.stream(Path("new.csv")))
    assert str(caught.value).count("is not a number") == 2
    assert "data.options.thousands" not in str(caught.value)
    assert BLOCK not in str(caught.value)


STYLES = {
    "plain": "{n}",
    "fractions": "{n}.25",
    "thousands": "{n},000.5",
    "percent": "{n}%",
    "dollars": "${n}",
    "German": "1.{n:03d},5",
    "spaces": "1 {n:03d}",
    "dates": "2024-01-{n:02d}",
    "words": "{word}",
    "names": "name{n}",
    "truths": "{truth}",
    "codes": "{n:05d}",
    "empty": "",
    "constant": "3",
    "control": "\x1b[{n}m",
    "long": "{n}" + "x" * 3000,
    "digits": "\uff11{n}",
    "underscores": "1_{n}",
}
ODD = (
    "?",
    "NA",
    "",
    "-",
    "inf",
    "1e999",
    "nan",
    "word",
    "1_000",
    "a,b",
    'quo"te',
    "new\nline",
    "#",
    "\x1b[31m",
    "0x1F",
)
NAMES = ("x", "y", "", "w w", "#c", "a\x1b[2J", "x", "\u00e9", "1", "n" * 300)


def random_table(draw):
    """Return a random table: good but for a few faults of names, numbers, cells, rows or signs."""
    count = draw.randint(1, 4)
    names = ["y", *(f"c{i}" for i in range(count))]
    if draw.random() < 0.15:
        names[draw.randrange(len(names))] = draw.choice(NAMES)
    styles = [draw.choice([*STYLES]) if draw.random() < 0.3 else "plain" for _ in names]
    order = draw.sample(range(len(names)), len(names))
    sign = draw.choice(",,,,;\t|")
    lines = [sign.join(names[i] for i in order)]
    for _ in range(draw.choice([0, 1, 2, *[20] * 6])):
        words = {
            "n": draw.randint(1, 28),
            "word": draw.choice(["red", "blue"]),
            "truth": draw.choice(["True", "False"]),
        }
        cells = [STYLES[style].format(**{**words, "n": draw.randint(1, 28)}) for style in styles]
        if draw.random() < 0.05:
            cells[draw.randrange(len(cells))] = draw.choice(ODD)
        cells = [cells[i] for i in order] + (["more"] if draw.random() < 0.003 else [])
        lines.append(
            sign.join(f'"{one.replace(chr(34), chr(34) * 2)}"' if set(one) & set(',;\n"|\t') else one for one in cells)
        )
    if draw.random() < 0.1:
        lines = [line + sign for line in lines]
    if draw.random() < 0.1:
        lines = [f"{place - 1 if place else ''}{sign}{line}" for place, line in enumerate(lines)]
    if draw.random() < 0.1:
        lines.insert(draw.randrange(len(lines) + 1), "# remark")
    return draw.choice(["\n", "\n", "\r\n", "\r"]).join(lines)


@pytest.mark.parametrize("seed", range(draws(60)))
def test_any_table_is_read_or_refused_in_words(seed):
    """No traceback, no control character in a message, none longer than a page; and what is to be pasted reads it."""
    draw = random.Random(seed)
    encoding = draw.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"])
    Path("t.csv").write_bytes(random_table(draw).encode(encoding, "replace"))
    loss = draw.choice(["mse", "cross_entropy"])
    try:
        data = load(loss=loss)
    except DownslopeError as error:
        message, code = str(error), error.exit_code
    else:
        assert all(getattr(data, part).isfinite().all() for part in ("train_inputs", "held_out_inputs"))
        return
    assert code == 2
    assert not set(message) & {"\x1b", "\x07", "\r", "\0"}
    assert len(message) < 20_000
    if BLOCK in message:
        load(pasted(message)[0], loss)
