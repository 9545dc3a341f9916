"""Tables by path: what a model sees of them, worked out by hand, whatever kind of file they stand in."""

import csv
from array import array
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.data.class_names import order_classes
from downslope.training.data.table_columns import Wanted
from downslope.training.data.table_files import open_table
from downslope.training.data.table_options import Options
from downslope.training.run.randomness import permutation
from draws import draws

HOUSES = """area,rooms,district,price
10,2,north,100
20,3,south,200
30,3,east,300
40,4,north,400
"""
MORE = """price,district,rooms,area
500,south,3,50
"""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    """Work where relative paths lead to the test's own files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "houses.csv").write_text(HOUSES, encoding="utf-8")
    (tmp_path / "more.csv").write_text(MORE, encoding="utf-8")


def load(options, loss="mse", **overrides):
    """Return the data set of options written as TOML."""
    text = f"""
[data]
name = "table"
options = {{ {options} }}
[sgd]
lr = 0.1
[train]
epochs = 1
loss = "{loss}"
"""
    changes = [(key.replace("__", "."), value) for key, value in overrides.items()]
    return load_data(parse_recipe(text, "recipe", changes))


OPTIONS = 'path = "houses.csv", held_out_path = "more.csv", target = "price", categories = ["district"]'


def test_numbers_are_standardised_and_words_are_inputs_of_their_own():
    """By hand: area 10 to 40 has mean 25 and variance 125; rooms mean 3 and variance 1/2; districts by alphabet."""
    data = load(f"{OPTIONS}, standardize_target = false")
    area, rooms = (np.array([10, 20, 30, 40]) - 25) / np.sqrt(125), (np.array([2, 3, 3, 4]) - 3) / np.sqrt(0.5)
    districts = [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]  # east, north, south
    expected = np.column_stack([area, rooms, districts])
    assert data.train_inputs.dtype == torch.float32
    np.testing.assert_allclose(data.train_inputs.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(data.held_out_inputs.numpy(), [[25 / np.sqrt(125), 0, 0, 0, 1]], rtol=1e-6)
    assert data.train_targets.tolist() == [100, 200, 300, 400]
    assert data.held_out_targets.tolist() == [500]
    assert (data.classes, data.class_names, data.target_scale) == (None, (), None)


def test_the_order_of_features_is_the_one_given():
    """`features` decides which columns, and in which order; without standardising they are as they stand."""
    data = load('path = "houses.csv", target = "price", features = ["rooms", "area"], standardize = false')
    rows = sorted([*data.train_inputs.tolist(), *data.held_out_inputs.tolist()])
    assert rows == [[2, 10], [3, 20], [3, 30], [4, 40]]


def test_means_are_those_of_the_examples_to_learn_from():
    """What is held out says nothing about how the rest is scaled."""
    data = load('path = "houses.csv", target = "price", features = ["area"]', data__held_out="0.5")
    order = permutation(0, "held out", 4)
    areas = np.array([10.0, 20, 30, 40])
    kept, out = areas[order[2:]], areas[order[:2]]
    np.testing.assert_allclose(data.train_inputs[:, 0], (kept - kept.mean()) / kept.std(), rtol=1e-6)
    np.testing.assert_allclose(data.held_out_inputs[:, 0], (out - kept.mean()) / kept.std(), rtol=1e-6)


def test_a_standardised_target_keeps_its_scale_beside_it():
    """Prices 100 to 400 have mean 250 and variance 12500."""
    data = load(f"{OPTIONS}, standardize_target = true")
    assert data.target_scale == pytest.approx((250, np.sqrt(12500)))
    np.testing.assert_allclose(data.train_targets, (np.array([100, 200, 300, 400]) - 250) / np.sqrt(12500), rtol=1e-6)


def test_labels_are_classes_with_names():
    """Words become indices by alphabet; integers by their size."""
    data = load('path = "houses.csv", target = "district", ignore = ["price"]', loss="cross_entropy", seed="1")
    assert data.class_names == ("east", "north", "south")
    targets = [*data.train_targets.tolist(), *data.held_out_targets.tolist()]
    assert sorted(targets) == [0, 1, 1, 2]
    assert order_classes(["10", "9", "2"]) == ("2", "9", "10")


MISSING = "area,district,price\n10,north,1\n,south,2\n30,,3\n50,north,4\n"


def test_missing_cells_are_dropped_if_asked():
    """Only the rows without a hole are left."""
    Path("holes.csv").write_text(MISSING + "70,south,\n90,south,6\n", encoding="utf-8")
    data = load(
        'path = "holes.csv", target = "price", categories = ["district"], missing = "drop", standardize = false',
        data__held_out="0.3",
    )
    rows = sorted([*data.train_inputs.tolist(), *data.held_out_inputs.tolist()])
    assert rows == [[10, 1, 0], [50, 1, 0], [90, 0, 1]]


def test_missing_cells_get_the_mean_if_asked():
    """A number gets the mean of 10, 30 and 50; a word the share of each: north 2/3, south 1/3."""
    Path("holes.csv").write_text(MISSING, encoding="utf-8")
    data = load(
        'path = "holes.csv", held_out_path = "holes.csv", target = "price", categories = ["district"], '
        'missing = "mean", standardize = false'
    )
    expected = [[10, 1, 0], [30, 0, 1], [30, 2 / 3, 1 / 3], [50, 1, 0]]
    np.testing.assert_allclose(data.train_inputs, expected, rtol=1e-6)
    np.testing.assert_allclose(data.held_out_inputs, expected, rtol=1e-6)


def write_other_files():
    """Write the houses as every other kind of table."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "area": [10.0, 20, 30, 40],
        "rooms": [2, 3, 3, 4],
        "district": ["north", "south", "east", "north"],
        "price": [100, 200, 300, 400],
    }
    parquet.write_table(pa.table(columns), "houses.parquet")
    np.savez("houses.npz", **{name: np.array(column) for name, column in columns.items()})
    fields = [("area", "f8"), ("rooms", "i4"), ("district", "U5"), ("price", "f4")]
    np.save("houses.npy", np.array(list(zip(*columns.values(), strict=True)), dtype=fields))
    lines = HOUSES.replace(",", "\t")
    Path("houses.tsv").write_text(lines, encoding="utf-8-sig")
    Path("houses2.csv").write_bytes(
        ('"area";"rooms";"district";"price"\r\n\r\n' + HOUSES.split("\n", 1)[1].replace(",", ";")).encode()
    )


@pytest.mark.parametrize("name", ["houses.parquet", "houses.npz", "houses.npy", "houses.tsv", "houses2.csv"])
def test_every_kind_of_file_gives_the_same_examples(name):
    """Parquet, NumPy with names, tabs with a byte-order mark, semicolons with quotes and blank lines."""
    write_other_files()
    more = ', delimiter = ";"' if name == "houses2.csv" else ""
    expected = load('path = "houses.csv", target = "price", categories = ["district"]')
    found = load(f'path = "{name}", target = "price", categories = ["district"]{more}')
    assert found.train_inputs.equal(expected.train_inputs)
    assert found.held_out_inputs.equal(expected.held_out_inputs)
    assert found.fingerprint() == expected.fingerprint()


CELLS = st.lists(
    st.tuples(
        st.floats(-1e30, 1e30),
        st.text("aZ9,;|\"'-.é漢", min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=draws(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CELLS, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_was_written_is_read(cells, delimiter, quoting):
    """Any numbers and words, quoted where they must be, come back to the last bit."""
    with Path("any.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting).writerows([("x", "word"), *cells])
    table = open_table("any.csv", Options(path="any.csv", target="", delimiter=delimiter), "path")
    columns = table.read({"x": Wanted("number"), "word": Wanted("word")})
    assert columns.numbers["x"].tolist() == [number for number, _ in cells]
    assert columns.words["word"] == [word for _, word in cells]
    assert columns.lines == array("q", range(2, len(cells) + 2))


def test_columns_without_names_are_counted():
    """A plain array of two dimensions has columns 0, 1, 2."""
    np.save("plain.npy", np.array([[1.0, 2, 30], [3, 5, 40], [7, 11, 50]]))
    data = load('path = "plain.npy", target = "2", standardize = false')
    assert sorted([*data.train_inputs.tolist(), *data.held_out_inputs.tolist()]) == [[1, 2], [3, 5], [7, 11]]


def test_further_rows_are_read_as_the_run_read_its_own():
    """Columns by name in any order, the target absent, scaled by what was learned from."""
    data = load(OPTIONS)
    Path("new.csv").write_text("note,district,area,rooms\nx,south,50,3\n", encoding="utf-8")
    found = next(data.reader.stream(Path("new.csv")))
    assert found.inputs.equal(data.held_out_inputs)
    assert (found.names, found.targets, found.known) == ((), None, None)


def test_names_and_scale_are_part_of_what_a_run_was_trained_on():
    """The same numbers under other names are other data."""
    first = load('path = "houses.csv", target = "district", features = ["area"]', loss="cross_entropy", seed="1")
    Path("renamed.csv").write_text(HOUSES.replace("north", "nord"), encoding="utf-8")
    second = load('path = "renamed.csv", target = "district", features = ["area"]', loss="cross_entropy", seed="1")
    assert first.train_targets.equal(second.train_targets)
    assert first.fingerprint() != second.fingerprint()


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_names_that_differ_in_capitals_alone_are_told(in_memory):
    """Classes and words stay apart as they are written, and a line says so of each; other names are no news."""
    rows = [(i, word, kind) for i, word in enumerate(["red", "Red", "blue"] * 8) for kind in "yn"]
    options = 'path = "mixed.parquet", target = "kind", categories = ["colour"], held_out_path = "mixed.parquet"'

    def notes(rows):
        a, colour, kind = (list(column) for column in zip(*rows, strict=True))
        parquet.write_table(pa.table({"a": a, "colour": colour, "kind": kind}), "mixed.parquet")
        data = load(options, "cross_entropy", data__in_memory=in_memory)
        data.close()
        assert data.class_names == tuple(sorted(set(kind)))
        return [note for note in data.notes if "capitals" in note]

    assert notes([(0, "red", "Y"), *rows]) == [
        "column `colour`: words that differ in capitals alone are told apart, such as `Red` / `red`",
        "classes that differ in capitals alone are told apart, such as `Y` / `y`",
    ]
    assert notes([(i, word.replace("Red", "green"), kind) for i, word, kind in rows]) == []
