"""Tables that are read part by part: the numbers of those in memory, in memory that does not grow with the file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import feather, parquet
from training_runs import fingerprints, run, tiny

from downslope.core.errors import DownslopeError
from downslope.training.data import load_data, table_columns
from downslope.training.data.rows import Rows

COUNT = 400


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch, in_an_empty_folder):
    """Read fifty rows at a time."""
    for module in ("table_columns", "table_files"):
        monkeypatch.setattr(f"downslope.training.data.{module}.rows_at_once", lambda _: 50)


def write(kind, *, missing=False, more=0.0):
    """Write a table of two numbers, a word, a label and a price."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(5, 3, COUNT), rng.integers(0, 9, COUNT)
    a[17] += more
    word = np.array(["red", "green", "blue"])[rng.integers(0, 3, COUNT)]
    columns = {"a": a, "b": b, "word": word, "price": 3 * a + b + 100.0, "kind": np.array(["no", "yes"])[b % 2]}
    table = pa.table(columns)
    if missing:
        holes = pa.array([None if row % 40 == 7 else float(value) for row, value in enumerate(a)])
        words = pa.array([None if row % 40 == 9 else str(value) for row, value in enumerate(word)])
        table = table.set_column(0, "a", holes).set_column(2, "word", words)
    path = f"t.{kind}"
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=70)
    elif kind == "feather":
        feather.write_feather(table, path, compression="uncompressed", chunksize=90)
    elif kind == "arrow":
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table, max_chunksize=60)
    else:
        fields = [(name, np.asarray(column).dtype) for name, column in columns.items()]
        array = np.empty(COUNT, fields)
        for name, column in columns.items():
            array[name] = column
        np.save(path, array)
    return path


def of(path, target="price", loss="mse", **changes):
    """Return a recipe on a table; changes of its options, or of the recipe where there are two underscores."""
    options = {"path": f'"{path}"', "target": f'"{target}"', "categories": '["word"]', "ignore": '["kind"]'} | {
        key: value for key, value in changes.items() if "__" not in key
    }
    text = ", ".join(f"{key} = {value}" for key, value in options.items())
    others = {key: value for key, value in changes.items() if "__" in key}
    return tiny(data=f'{{ name = "table", batch_size = 16, options = {{ {text} }} }}', train__loss=loss, **others)


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow", "npy"])
def test_each_kind_gives_the_numbers_of_memory(kind):
    """Rows, split, words, scale and targets are the same; means may differ in the last bits of their sums."""
    path = write(kind)
    held, read = (load_data(of(path, data__in_memory=how)) for how in ("true", "false"))
    assert isinstance(read.train_inputs, Rows)
    for part in ("train_inputs", "held_out_inputs", "train_targets", "held_out_targets"):
        torch.testing.assert_close(getattr(read, part)[:], getattr(held, part)[:], rtol=1e-6, atol=1e-6)
    assert read.target_scale == pytest.approx(held.target_scale)
    assert read.reader.kept().words == held.reader.kept().words == {"word": ("blue", "green", "red")}
    every = torch.cat([read.train_inputs[:], read.held_out_inputs[:]])
    assert read.range_of_inputs() == (float(every.min()), float(every.max()))
    read.close()


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_missing_cells_are_dropped_or_filled(missing):
    """As in memory: left out before the split, or the mean, and for a word the share of each."""
    path = write("parquet", missing=True)
    held, read = (load_data(of(path, missing=f'"{missing}"', data__in_memory=how)) for how in ("true", "false"))
    torch.testing.assert_close(read.train_inputs[:], held.train_inputs, rtol=1e-6, atol=1e-6)
    filling = {name: pytest.approx(values, abs=1e-12) for name, values in held.reader.kept().filling.items()}
    assert read.reader.kept().filling == filling
    assert any("missing cell" in note for note in read.notes)


def test_classes_and_a_held_out_file(tmp_path):
    """Labels as in memory; a file to hold out is read the same way, and what only it has is refused."""
    path = write("parquet")
    Path("h.parquet").write_bytes(Path(path).read_bytes())
    changes = {"target": "kind", "loss": "cross_entropy", "ignore": '["price"]', "held_out_path": '"h.parquet"'}
    held, read = (load_data(of(path, data__in_memory=how, **changes)) for how in ("true", "false"))
    assert read.class_names == held.class_names == ("no", "yes")
    assert read.train_targets.equal(held.train_targets)
    assert read.held_out_targets.equal(held.held_out_targets)
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(2, "word", pa.array(["mauve"] * COUNT)), "h.parquet")
    with pytest.raises(DownslopeError, match="h.parquet, row 1, column `word`: 'mauve' was not among the words"):
        load_data(of(path, data__in_memory="false", **changes))


def test_a_run_has_the_same_bits_for_any_number_of_loaders(tmp_path):
    """And after an interruption; another number in the table is another fingerprint."""
    path = write("feather")
    for count, at in ((0, None), (2, 11)):
        recipe = of(path, data__in_memory="false", data__loaders=str(count))
        run(recipe, tmp_path / str(count), at=at)
        run(recipe, tmp_path / str(count))
    assert fingerprints(tmp_path / "0") == fingerprints(tmp_path / "2")
    then = load_data(recipe).fingerprint()
    write("feather", more=1.0)
    assert load_data(recipe).fingerprint() != then


# options, the recipe's loss, and a part of the message
REFUSED = {
    "a constant": ({"features": '["a", "word", "one"]'}, r"column `one`: is 1 in every row to learn from."),
    "a missing cell": ({"features": '["a", "hole", "word"]'}, r"row 61, column `hole`: the cell is empty"),
    "no number": ({"features": '["a", "kind", "word"]'}, r"row 1, column `kind`: '(no|yes)' is not a number"),
    "text": ({"path": '"t.csv"'}, r"t.csv can only be read as a whole. Save it as .parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_names_its_row(case):
    """Counted in the whole file."""
    changes, message = REFUSED[case]
    table = parquet.read_table(write("parquet"))
    table = table.append_column("one", pa.array([1] * COUNT))
    table = table.append_column("hole", pa.array([None if row == 60 else 1.0 * row for row in range(COUNT)]))
    parquet.write_table(table, "t.parquet")
    Path("t.csv").write_text("a,word,price\n1,red,2\n", encoding="utf-8")
    changes = {"ignore": "[]"} | changes
    with pytest.raises(DownslopeError, match=message):
        load_data(of(changes.pop("path", '"t.parquet"').strip('"'), data__in_memory="false", **changes))


def test_a_full_disk_is_said(monkeypatch):
    """Before anything is written."""
    path = write("parquet")
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DownslopeError, match="needs 8,000 bytes in .* Set TMPDIR to a folder on a disk with room"):
        load_data(of(path, data__in_memory="false"))


def test_a_size_decides_where_the_recipe_does_not(monkeypatch):
    """Above it a table is read part by part; a run that has begun keeps to what it did."""
    path = write("npy")
    held = load_data(of(path))
    assert isinstance(held.train_inputs, torch.Tensor)
    monkeypatch.setattr("downslope.training.data.table_large.LARGE", 100)
    read = load_data(of(path))
    assert isinstance(read.train_inputs, Rows)
    assert load_data(of(path), held.fingerprint()).fingerprint() == held.fingerprint()
    assert table_columns.rows_at_once(3) == 50
