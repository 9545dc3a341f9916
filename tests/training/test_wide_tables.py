"""Tables of very many columns: names are looked up, not searched for, and a stated bound is kept. Nothing is timed."""

from pathlib import Path

import numpy as np
import pytest

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import class_names, load_data, table_files
from downslope.training.data.table import _choose_features
from downslope.training.data.table_columns import MOST_COLUMNS, TableFile
from downslope.training.data.table_encoding import Encoding, want_features
from downslope.training.data.table_options import Options

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


class Name(str):
    """A name that counts how often it is compared; what is looked up in a set is hashed first."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other):
        Name.compared += 1
        return str.__eq__(self, other)

    def __hash__(self):
        return str.__hash__(self)


class Bare(TableFile):
    """A file of nothing but names."""

    def read(self, wanted):
        raise NotImplementedError

    def chunks(self, wanted, size=None):
        raise NotImplementedError

    def texts(self, place):
        raise NotImplementedError


def comparisons(count):
    """Return how many comparisons of names it takes to choose the columns of a table of so many, in every way."""
    Name.compared = 0

    def named(begin, end):
        return tuple(Name(f"c{i}") for i in range(begin, end))

    third = count // 3
    file = Bare(Path("t.csv"), [*named(0, count), Name("y")])
    for options in (
        Options(path="t.csv", target=Name("y"), ignore=named(0, third), categories=named(third, 2 * third)),
        Options(path="t.csv", target=Name("y"), features=named(0, 2 * third), categories=named(0, third)),
        Options(path="t.csv", target=Name("y"), names=(*named(0, count), Name("y"))),
    ):
        features = _choose_features(file, options, [])
        file.check_names(want_features(features, options), "the run learned from it")
    return Name.compared


def test_names_are_looked_up():
    """Ten times as many columns take ten times as many comparisons of names, not a hundred times."""
    few, many = comparisons(300), comparisons(3000)
    assert many < 12 * few
    assert many < 30 * 3000


def test_a_wide_table_is_worked_on_in_blocks(monkeypatch):
    """The numbers are those of one column at a time, bit for bit, and NumPy is not called for each of them."""
    draw = np.random.default_rng(0)
    numbers = draw.normal(3, 20, (7, 2500)).round(3)
    np.savetxt("t.csv", numbers, delimiter=",", fmt="%.3f", header=",".join(f"c{i}" for i in range(2500)), comments="")
    text = '[data]\nname = "table"\noptions = { path = "t.csv", target = "c0", held_out_path = "t.csv" }\n'
    calls = []
    encode = Encoding.encode
    monkeypatch.setattr(Encoding, "encode", lambda *given: calls.append(1) or encode(*given))
    data = load_data(parse_recipe(f'{text}[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = "mse"\n'))
    assert len(calls) == 2
    features = numbers[:, 1:]
    expected = np.stack(
        [(column - column.mean()) / column.std() for column in map(np.ascontiguousarray, features.T)], axis=1
    )
    assert data.train_inputs.numpy().tobytes() == expected.astype(np.float32).tobytes()


def test_more_columns_than_the_bound_are_refused_at_their_first_line(monkeypatch):
    """A million is more than is read, and is known before a second line is looked at."""
    read = []
    rows = table_files.CsvTable._rows
    monkeypatch.setattr(table_files.CsvTable, "_rows", lambda table: (read.append(1) or row for row in rows(table)))
    line = ",".join(f"c{i}" for i in range(MOST_COLUMNS + 1))
    Path("t.csv").write_text(f"{line}\n" * 3, encoding="utf-8")
    text = '[data]\nname = "table"\noptions = { path = "t.csv", target = "c0" }\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\n'
    with pytest.raises(DownslopeError) as caught:
        load_data(parse_recipe(text))
    assert str(caught.value) == "t.csv: has 100,001 columns; at most 100,000 are read. Is each line an example?"
    assert len(read) == 1


def test_a_name_that_is_not_there_is_no_search_through_all(monkeypatch):
    """Among very many names nobody is asked which was meant, and a message names the first of them alone."""
    monkeypatch.setattr(class_names, "did_you_mean", lambda *_: pytest.fail("it was searched for"))
    Path("t.csv").write_text(",".join(f"c{i}" for i in range(5000)) + "\n", encoding="utf-8")
    text = '[data]\nname = "table"\noptions = { path = "t.csv", target = "y" }\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\n'
    with pytest.raises(DownslopeError) as caught:
        load_data(parse_recipe(text))
    assert str(caught.value).endswith("`c19` and 4,980 more.")
    assert len(str(caught.value)) < 400
