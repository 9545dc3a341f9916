"""Tables as text, however they are written: without a header, in another encoding, with another delimiter."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data, text_encoding
from downslope.training.data.text_encoding import check_encoding, find_bad_byte
from draws import draws

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

ROWS = "10,2,nörd,100\n20,3,süd,200\n30,3,öst,300\n40,4,nörd,400\n"
TABLE = f"fläche,rooms,district,price\n{ROWS}"
HAN = "面积,rooms,地区,price\n10,2,北,100\n20,3,南,200\n30,3,东,300\n40,4,北,400\n"


WESTERN = ("utf-8", "UTF8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-be", "mac-roman")
BYTES = ["utf-8", "utf-16-le", "utf-16-be", "ascii", "cp1252", "gb18030", "shift_jis"]


def load(options, loss="mse"):
    """Return the data set of options written as TOML."""
    text = f'[data]\nname = "table"\noptions = {{ {options} }}\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = "{loss}"\n'
    return load_data(parse_recipe(text, "recipe"))


def message_of(call, *arguments):
    """Return the message with which a call fails as a person's mistake."""
    with pytest.raises(DownslopeError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def write(name, text, encoding="utf-8"):
    """Write a text file."""
    Path(name).write_bytes(text.encode(encoding))


def test_a_file_without_a_header_loses_no_example():
    """Columns are counted from 0 as NumPy's are, or named; the examples are those of the same file with names."""
    write("with.csv", TABLE)
    write("bare.csv", ROWS)
    expected = load('path = "with.csv", target = "price", categories = ["district"]')
    counted = load('path = "bare.csv", target = "3", categories = ["2"], header = false')
    names = 'names = ["fläche", "rooms", "district", "price"]'
    named = load(f'path = "bare.csv", target = "price", categories = ["district"], {names}')
    both = load(f'path = "bare.csv", target = "price", categories = ["district"], header = false, {names}')
    assert len(counted.train_inputs) + len(counted.held_out_inputs) == 4
    assert expected.fingerprint() == counted.fingerprint() == named.fingerprint() == both.fingerprint()


def test_numbers_may_be_names_if_that_is_said():
    """A header that pandas counted itself, `0,1,2`, is taken for what it is by `header = true` alone."""
    write("t.csv", "0,1,2\n1,5,30\n2,6,40\n4,9,50\n")
    data = load('path = "t.csv", target = "2", header = true, standardize = false')
    rows = sorted([*data.train_inputs.tolist(), *data.held_out_inputs.tolist()])
    assert rows == [[1, 5], [2, 6], [4, 9]]


@pytest.mark.parametrize(
    ("encoding", "table"),
    [
        *((name, TABLE) for name in WESTERN),
        *((name, HAN) for name in ("gb18030", "gbk", "utf-32")),
    ],
)
def test_every_encoding_gives_the_same_examples(encoding, table):
    """What was saved in another encoding is read as if it had been UTF-8, in names and words."""
    area, _, district, _ = table.partition("\n")[0].split(",")
    options = f'target = "price", features = ["{area}", "rooms", "{district}"], categories = ["{district}"]'
    write("other.csv", table, encoding)
    write("utf8.csv", table)
    found = load(f'path = "other.csv", encoding = "{encoding}", {options}')
    assert found.fingerprint() == load(f'path = "utf8.csv", {options}').fingerprint()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
def test_a_mark_before_a_quote_is_no_part_of_a_name(encoding):
    """What editors write before the first cell is left out, whether or not the cell is quoted."""
    mark = "" if encoding in {"utf-8-sig", "utf-16"} else "\ufeff"
    write("t.csv", f'{mark}"x","y"\n1,2\n2,3\n4,7\n', encoding)
    data = load(f'path = "t.csv", target = "y", features = ["x"], encoding = "{encoding}"')
    assert len(data.train_inputs) + len(data.held_out_inputs) == 3


def test_decimal_commas_are_read_if_that_is_said():
    """What a spreadsheet in Germany saves: commas in numbers, semicolons between cells, cp1252."""
    write("other.csv", "fläche;preis\n1,5;-2,25e1\n,5;3\n7;1,0\n", "cp1252")
    write("plain.csv", "fläche,preis\n1.5,-22.5\n0.5,3\n7,1\n")
    found = load('path = "other.csv", target = "preis", delimiter = ";", encoding = "cp1252", decimal = ","')
    assert found.fingerprint() == load('path = "plain.csv", target = "preis"').fingerprint()


def test_the_options_hold_for_what_is_held_out_too():
    """A held-out file is written like the other; where neither names its columns, both have the same."""
    write("t.csv", ROWS.replace(",", ";"), "cp1252")
    write("h.csv", "50;3;süd;500\n", "cp1252")
    options = 'header = false, encoding = "cp1252", delimiter = ";", target = "3", categories = ["2"]'
    options += ", standardize_target = false"
    data = load(f'path = "t.csv", held_out_path = "h.csv", {options}')
    assert (len(data.train_inputs), data.held_out_targets.tolist()) == (4, [500])
    write("h.csv", "50;3;süd;500;6\n", "cp1252")
    assert message_of(load, f'path = "t.csv", held_out_path = "h.csv", {options}') == (
        "h.csv, line 1: has 5 column(s) without names, but there must be 4: 0, 1, 2, 3, in this order."
    )


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_rows_to_predict_may_lack_an_unnamed_target(kind):
    """Wherever the target stood, columns keep their names; any other number of columns is an error."""
    table = np.array([[1.0, 10, 7], [2, 20, 3], [3, 30, 5], [4, 40, 6]])

    def save(name, rows):
        if kind == "npy":
            np.save(name, rows)
        else:
            np.savetxt(name, rows, delimiter=",", fmt="%g")

    save(f"t.{kind}", table)
    more = "" if kind == "npy" else ", header = false"
    data = load(f'path = "t.{kind}", target = "1", standardize = false{more}')
    save(f"all.{kind}", table[:2])
    save(f"less.{kind}", table[:2][:, [0, 2]])
    for name in ("all", "less"):
        assert next(data.reader.stream(f"{name}.{kind}")).inputs.tolist() == [[1, 7], [2, 3]]
    save(f"few.{kind}", table[:2, :1])
    assert message_of(next, data.reader.stream(f"few.{kind}")).endswith(
        ": has 1 column(s) without names, but there must be 3, or all of them but the target: 0, 1, 2, in this order."
    )


def test_rows_to_predict_are_written_as_the_run_decided():
    """No message tells a person to set what only a run's own recipe can set."""
    write("t.csv", "a;b;y\n1;5;30\n2;6;40\n4;9;50\n")
    reader = load('path = "t.csv", target = "y", delimiter = ";"').reader
    write("in.csv", "a,b\n1,2\n")
    assert message_of(next, reader.stream("in.csv")) == (
        "in.csv, line 1: is one column, 'a,b', since cells are separated by ';'. The run reads its tables so; write "
        "this one like them."
    )
    write("in.csv", "a;b\n1;é\n", "cp1252")
    assert message_of(next, reader.stream("in.csv")) == (
        "in.csv, line 2: is not UTF-8 at byte 6 (0xe9). The run reads its tables as UTF-8; save it so."
    )
    write("in.csv", "1;2\n3;4\n")
    assert next(reader.stream("in.csv")).notes == ("in.csv names no columns; they are taken in the run's order: a, b",)
    reader = load('path = "t.csv", target = "y", delimiter = ";", header = true').reader
    assert next(reader.stream("t.csv")).inputs.shape == (3, 2)


SET_HEADER = (
    ' If the first line is an example already, set data.options.header = false, and the columns are called "0", "1", '
    "..., or name them: data.options.names = [...]."
)

# the file, its encoding, the options, and the message
REFUSED = {
    "no header": (
        "1,2\n3,4\n",
        "utf-8",
        "",
        (
            "t.csv, line 1: must name the columns, such as area,rooms,price; got numbers: 1, 2."
            f"{SET_HEADER} If these are names, set data.options.header = true."
        ),
    ),
    "some numbers": (
        "1,2,a\n3,4,b\n",
        "utf-8",
        "",
        "t.csv: has no column `y`, but data.options.target names it. It has `1`, `2` and `a`." + SET_HEADER,
    ),
    "equal numbers": (
        "1,1,a\n3,4,b\n",
        "utf-8",
        "",
        "t.csv: two columns are called `1`. Give each a name of its own." + SET_HEADER,
    ),
    "header counted": (
        "x,y\n3,4\n",
        "utf-8",
        ', header = false, ignore = ["1"]',
        "t.csv: has no column `y`, but data.options.target names it. It has `0` and `1`.",
    ),
    "header read": (
        "a,b\n3,4\n",
        "utf-8",
        ', names = ["x", "y"]',
        (
            "t.csv, line 1, column `x`: 'a' is not a number. It is the first line: if it names the columns, leave "
            "data.options.names out."
        ),
    ),
    "names repeated": (
        "x, y\n3,4\n",
        "utf-8",
        ', names = ["x", "y"]',
        "t.csv, line 1: holds the names themselves. Leave data.options.names out.",
    ),
    "names too few": (
        "1,2,3\n",
        "utf-8",
        ', names = ["x", "y"]',
        "t.csv, line 1: has 3 column(s) without names, but there must be 2: x, y, in this order.",
    ),
    "names and header": (
        "x,y\n1,2\n",
        "utf-8",
        ', names = ["x", "y"], header = true',
        "recipe, [data.options]: `names` is for a file whose first line is an example; with `header = true`, leave it",
    ),
    "decimal comma": (
        "x;y\n1;2\n-1,5;3\n",
        "utf-8",
        ', delimiter = ";"',
        (
            "t.csv, line 3, column `x`: '-1,5' is not a number. If its comma stands for a decimal point, set "
            'data.options.decimal = ",".'
        ),
    ),
    "thousands": (
        "x;y\n1;2\n1.000;3\n",
        "utf-8",
        ', delimiter = ";", decimal = ","',
        "t.csv, line 3, column `x`: '1.000' has a point, where numbers are written with a decimal comma.",
    ),
    "two commas": (
        "x;y\n1;2\n1,000,5;3\n",
        "utf-8",
        ', delimiter = ";", decimal = ","',
        "t.csv, line 3, column `x`: '1,000,5' is not a number.",
    ),
    "decimal header": (
        "1,5;2\n1;2\n",
        "utf-8",
        ', delimiter = ";", decimal = ","',
        "t.csv, line 1: must name the columns, such as area,rooms,price; got numbers: 1,5, 2.",
    ),
    "no decimal": (
        "x;y\n1;2\n",
        "utf-8",
        ', decimal = "p"',
        "recipe, [data.options]: `decimal` must be",
    ),
    "no names": (
        "1,2\n",
        "utf-8",
        ", names = []",
        "recipe, [data.options]: `names` must name every column; got none.",
    ),
    "names twice": (
        "1,2\n",
        "utf-8",
        ', names = ["y", "y"]',
        "recipe, [data.options]: `names` names 'y' twice.",
    ),
    "nameless": (
        "1,2\n",
        "utf-8",
        ', names = ["y", ""]',
        "recipe, [data.options]: `names` must be words without space around them; number 2 is ''.",
    ),
    "pandas' header": (
        "1,2\n",
        "utf-8",
        ", header = 0",
        "recipe, [data.options]: `header` must be true or false; got 0.",
    ),
    "empty": ("\n", "utf-8", ", header = false", "t.csv: holds nothing."),
    "encoding": (
        "x,ÿ\n",
        "utf-8",
        ', encoding = "utf8x"',
        (
            'recipe, [data.options]: `encoding` must be one of text that Python knows, such as "utf-8", "utf-16", '
            '"cp1252", "latin-1", "gb18030", "big5", "shift_jis", "cp1251"; got \'utf8x\'. Did you mean `utf-8`?'
        ),
    ),
    "no text": (
        "x,y\n",
        "utf-8",
        ', encoding = "base64"',
        "recipe, [data.options]: `encoding` must be one of text that Python knows",
    ),
    "no encoding": (
        "x,y\n",
        "utf-8",
        ', encoding = "undefined"',
        "recipe, [data.options]: `encoding` must be one of text that Python knows",
    ),
    "wrong": (
        "x,y\n1,2\n3,4é\n",
        "cp1252",
        ', encoding = "ascii"',
        "t.csv, line 3: is not ascii at byte 11 (0xe9). Set data.options.encoding to the one it was saved in, such as",
    ),
    "mark": (
        "x,y\n1,2\n",
        "utf-16",
        "",
        't.csv: begins with the mark of utf-16. Set data.options.encoding = "utf-16", or save it as UTF-8.',
    ),
    "another mark": (
        "x,y\n1,2\n",
        "utf-8-sig",
        ', encoding = "cp1252"',
        't.csv: begins with the mark of utf-8. Set data.options.encoding = "utf-8", or save it as cp1252.',
    ),
    "no mark": (
        "x,y\n1,2\n",
        "utf-16-le",
        "",
        (
            "t.csv, line 1: has characters of the number 0, as text in UTF-16 has if it is read otherwise. Set "
            'data.options.encoding = "utf-16-le"'
        ),
    ),
    "no mark for both orders": (
        "x,y\n1,2\n",
        "utf-16-be",
        ', encoding = "utf-16"',
        (
            "t.csv: is not utf-16: UTF-16 stream does not start with BOM. Set data.options.encoding = "
            '"utf-16-le" or "utf-16-be", or save it as utf-16.'
        ),
    ),
    "half a character": (
        "x,y\n1,23\n",
        "utf-8",
        ', encoding = "utf-16-le"',
        "t.csv, line 1: is not utf-16-le at byte 8 (0x0a).",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_written_otherwise_is_refused(case):
    """The message names the file, the place and the option to set."""
    text, encoding, options, message = REFUSED[case]
    write("t.csv", text, encoding)
    assert message_of(load, f'path = "t.csv", target = "y"{options}').startswith(message)


@pytest.mark.parametrize("name", ["t.parquet", "t.npy", "t.NPZ"])
@pytest.mark.parametrize(
    "option", ['delimiter = ","', 'encoding = "utf-8"', "header = true", 'names = ["x"]', 'decimal = "."']
)
def test_files_that_say_it_themselves_take_no_such_option(name, option):
    """An option that would be ignored is refused, its default too."""
    key = option.split()[0]
    assert message_of(load, f'path = "{name}", target = "y", {option}') == (
        f"recipe, [data.options]: `{key}` is for tables that are text, .csv or .tsv; {name!r} says itself what is in "
        f"it. Leave `{key}` out."
    )


@settings(max_examples=draws(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=24), st.sampled_from(BYTES))
@example(b"a\r\nb\rc\n\xff", "utf-8")
@example("漢字".encode("gb18030") + b"\r\n\xff\xff", "gb18030")
@example(b"\xff\xfea\x00\n\x00\xd8", "utf-16")
def test_the_byte_at_fault_is_found(tmp_path_factory, content, encoding):
    """However the file is cut into chunks, place, byte and line are those of decoding all of it at once."""
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "ignore")
        line = 1 + before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
        expected = (line, error.start, content[error.start])
    else:
        expected = None
    for size in (1, 3, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_encoding, "_CHUNK", size)
            if expected is None:
                with pytest.raises(ValueError, match="throughout"):
                    find_bad_byte(path, check_encoding(encoding))
            else:
                assert find_bad_byte(path, check_encoding(encoding)) == expected
