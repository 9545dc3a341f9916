"""Answers to inputs of any size: in parts, by any number of loaders, into files, to the same bytes."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import fail, succeed
from PIL import Image
from runs_on_data import rate, train

from downslope.cli.main import main
from downslope.training.data import table_columns

TABLE = """
[data]
name = "table"
batch_size = 20
options = { path = "learn.csv", target = "TARGET", id = "name", features = ["a", "food"], categories = ["food"] }
[model]
hidden = [4]
[sgd]
lr = 0.05
[train]
epochs = 2
loss = "LOSS"
"""
ARRAYS = """
[data]
name = "NAME"
batch_size = 10
path = "learn.npz"
[model]
hidden = [4]
[sgd]
lr = 0.05
[train]
epochs = 2
"""


@pytest.fixture(autouse=True)
def rows(tmp_path, monkeypatch):
    """Work beside a table of 80 rows: a mark, a number, a word, a class and a price."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(7)
    numbers = draw.normal(size=80)
    found = [
        {
            "name": f"row {number}",
            "a": f"{a:.4f}",
            "food": ("hay", "grass")[number % 2],
            "kind": ("ant", "bee", "cow")[int(a > -0.4) + int(a > 0.4)],
            "price": f"{250_000 + 80_000 * a:.0f}",
        }
        for number, a in enumerate(numbers)
    ]
    write("learn.csv", found)
    return found


def write(path, rows):
    """Write rows as CSV."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read(path):
    """Return the rows of a CSV file as dictionaries."""
    return list(csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8"))))


def train_table(target, loss):
    """Train on the table."""
    train(TABLE.replace("TARGET", target).replace("LOSS", loss), "table")


@pytest.fixture
def small_parts(monkeypatch):
    """Have tables read seven rows at a time."""
    for module in ("table_columns", "table_text", "table_files", "table_reader"):
        monkeypatch.setattr(f"downslope.training.data.{module}.rows_at_once", lambda _: 7)
    assert table_columns.rows_at_once(3) == 7


@pytest.fixture
def small_memory(monkeypatch):
    """Have hardly anything held in memory."""
    for module in ("data.image_reader", "data.images", "data.array_reader", "use.input_files"):
        monkeypatch.setattr(f"downslope.training.{module}.LARGE", 64)
    monkeypatch.setattr("downslope.training.data.numpy_files.MAPPED", 64)


def test_held_out_rows_tell_which_they_are_and_their_loss(rows, capsys):
    """Index and mark of the row in its file, what is right, and the cross-entropy of each: minus log of its share."""
    train_table("kind", "cross_entropy")
    out = succeed(["evaluate", "run", "--output", "found.csv"], capsys)
    assert out.endswith("  each example is in found.csv\n")
    table = read("found.csv")
    assert list(table[0])[:4] == ["example", "index", "name", "predicted"]
    assert len({row["index"] for row in table}) == len(table) == 16
    for cells in table:
        row = rows[int(cells["index"])]
        assert (cells["name"], cells["true"]) == (row["name"], row["kind"])
        assert float(cells["loss"]) == pytest.approx(-math.log(float(cells[f"probability_{row['kind']}"])), rel=1e-5)
    rated = rate(capsys=capsys)
    assert np.mean([float(cells["loss"]) for cells in table]) == pytest.approx(rated["loss"], rel=1e-5)
    assert np.mean([cells["predicted"] == cells["true"] for cells in table]) == rated["accuracy"]
    learned = rate("--split", "train", "--output", "train.jsonl", capsys=capsys)
    lines = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines()]
    assert learned["examples"] == len(lines) == 64
    assert {int(row["index"]) for row in table} | {row["index"] for row in lines} == set(range(80))
    assert [row["id"] for row in lines] == [rows[row["index"]]["name"] for row in lines]


def test_parquet_holds_what_csv_holds(rows, capsys):
    """Numbers as numbers, and rows without a prediction in their places."""
    train_table("price", "mse")
    write("new.csv", [{**row, "food": "beans" if number in {0, 5} else row["food"]} for number, row in enumerate(rows)])
    for name in ("found.csv", "found.parquet", "found.json"):
        assert main(["predict", "run", "--input", "new.csv", "--output", name]) == 1
    capsys.readouterr()
    table, found = read("found.csv"), pq.read_table("found.parquet")
    assert found.column_names == ["example", "name", "predicted", "true", "loss", "note"]
    assert [str(field.type) for field in found.schema] == ["int64", "string", *["double"] * 3, "string"]
    as_text = [{name: "" if cell is None else str(cell) for name, cell in row.items()} for row in found.to_pylist()]
    assert as_text == table
    assert [row["predicted"] == "" for row in table[:6]] == [True, False, False, False, False, True]
    written = json.loads(Path("found.json").read_text())
    assert (written["unpredicted"], written["metrics"]["examples"], len(written["predictions"])) == (2, 78, 80)
    prices = np.array([float(row["price"]) for row in rows])
    first = written["predictions"][1]
    kept = json.loads(Path("run/inputs.json").read_text())["target_scale"]
    assert first["target"] == pytest.approx(prices[1], abs=0.1)
    assert first["loss"] == pytest.approx(((first["value"] - first["target"]) / kept[1]) ** 2, rel=1e-3)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_tables_are_answered_part_by_part(rows, suffix, small_parts, capsys):
    """The same bytes with any number of loaders, rows in order, and no more parts read than are asked for."""
    train_table("kind", "cross_entropy")
    changed = [{**row, "food": "beans" if number % 9 == 0 else row["food"]} for number, row in enumerate(rows)]
    write("new.csv", changed)
    if suffix != "csv":
        import pyarrow as pa

        columns = {name: [row[name] for row in changed] for name in changed[0]}
        columns["a"] = [float(cell) for cell in columns["a"]]
        if suffix == "parquet":
            pq.write_table(pa.table(columns), "new.parquet")
        else:
            np.savez("new.npz", **{name: np.array(cells) for name, cells in columns.items()})
    found = []
    for loaders in ("0", "1", "3"):
        words = ["--input", f"new.{suffix}", "--loaders", loaders, "--output", f"by_{loaders}.csv"]
        assert main(["predict", "run", *words]) == 1
        found.append(Path(f"by_{loaders}.csv").read_bytes())
    assert found[0] == found[1] == found[2]
    table = read("by_0.csv")
    assert [row["example"] for row in table] == list(map(str, range(80)))
    assert [row["name"] for row in table] == [row["name"] for row in rows]
    assert [int(row["example"]) for row in table if row["note"]] == list(range(0, 80, 9))
    capsys.readouterr()
    assert main(["predict", "run", "--input", f"new.{suffix}", "--count", "16", "--format", "csv"]) == 1
    out = capsys.readouterr().out
    assert out.splitlines() == Path("by_0.csv").read_text().splitlines()[:17]


def test_a_file_is_whole_or_not_there(rows, small_parts, capsys):
    """A cell that is wrong in a later part ends the command; nothing is left of what it wrote."""
    train_table("kind", "cross_entropy")
    write("new.csv", [{**row, "a": "many" if number == 70 else row["a"]} for number, row in enumerate(rows)])
    for words in (["predict"], ["evaluate"]):
        said = fail([*words, "run", "--input", "new.csv", "--output", "found.csv"], capsys)
        assert "new.csv, line 72, column `a`: 'many' is not a number" in said
        assert not list(Path().glob("*found.csv*"))


@pytest.mark.parametrize("name", ["found.csv", "found.json", "found.jsonl", "found.parquet"])
def test_no_file_is_overwritten(rows, name, capsys):
    """What is there stays, be it a link to nowhere; another name is asked for, as `export` does."""
    train_table("kind", "cross_entropy")
    write("new.csv", rows)
    for command in (["predict", "run", "--input", "new.csv"], ["evaluate", "run"]):
        Path(name).write_text("before", encoding="utf-8")
        told = f"--output {name}: exists, and nothing is overwritten. Give another name."
        assert fail([*command, "--output", name], capsys) == told
        assert Path(name).read_text(encoding="utf-8") == "before"
        Path(name).unlink()
        Path(name).symlink_to("nowhere")
        assert fail([*command, "--output", name], capsys) == told
        assert Path(name).is_symlink()
        Path(name).unlink()
        succeed([*command, "--output", name], capsys)
        Path(name).unlink()


def test_a_mark_is_no_input(rows, capsys):
    """It is named by the recipe, read where it is, and is nothing else."""
    text = TABLE.replace("TARGET", "price").replace("LOSS", "mse").replace('features = ["a", "food"], ', "")
    train(text.replace('id = "name"', 'id = "name", ignore = ["kind"]'), "table")
    assert set(json.loads(Path("run/inputs.json").read_text())["table"]["features"]) == {"a", "food"}
    write("new.csv", [{key: row[key] for key in ("a", "food")} for row in rows[:3]])
    assert "id" not in json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))["predictions"][0]
    write("new.csv", rows[:3])
    found = json.loads(succeed(["predict", "run", "--input", "new.csv", "--id", "kind", "--json"], capsys))
    assert [row["id"] for row in found["predictions"]] == [row["kind"] for row in rows[:3]]
    write("new.csv", [{**row, "street": "s", "more": 1} for row in rows[:3]])
    found = json.loads(succeed(["predict", "run", "--input", "new.csv", "--id", "street", "--json"], capsys))
    assert found["notes"] == ["columns that the run does not know are left out: more"]
    Path("recipe.toml").write_text(text.replace('id = "name"', 'id = "food"'), encoding="utf-8")
    assert "`id` names 'food', and so does `categories`" in fail(["train", "recipe.toml", "--out", "a"], capsys)


def test_images_are_decoded_when_needed(small_memory, capsys):
    """A folder of any size: the same bytes with any number of loaders, each row with its path."""
    draw = np.random.default_rng(0)
    for name in ("pictures/ant", "pictures/bee", "new/ant", "new/bee"):
        Path(name).mkdir(parents=True)
        for number in range(5):
            pixels = draw.integers(0, 255, (6, 6), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{name}/{number}.png")
    text = ARRAYS.replace('path = "learn.npz"', 'options = { path = "pictures", colour = "grey" }')
    train(text, "images")
    found = []
    for loaders in ("0", "2"):
        rate("--input", "new", "--loaders", loaders, "--output", f"by_{loaders}.csv", capsys=capsys)
        found.append(Path(f"by_{loaders}.csv").read_bytes())
    assert found[0] == found[1]
    names = [f"{kind}/{number}.png" for kind in ("ant", "bee") for number in range(5)]
    assert [row["path"] for row in read("by_0.csv")] == names
    rate("--loaders", "1", "--output", "held.csv", capsys=capsys)
    every = [f"{kind}/{number}.png" for kind in ("ant", "bee") for number in range(5)]
    for row in read("held.csv"):
        assert row["path"] == every[int(row["index"])]
        assert row["true"] == row["path"].split("/")[0]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_large_arrays_are_mapped(save, small_memory, capsys):
    """Stored or packed, of a run on arrays or on a function's: the answers of arrays in memory; a NaN is named."""
    draw = np.random.default_rng(0)
    inputs, targets = draw.normal(size=(90, 5)), draw.integers(0, 3, 90)
    np.savez("learn.npz", inputs=inputs, targets=targets)
    train(ARRAYS, "npz")
    np.savez("new.npz", inputs=inputs[:20], targets=targets[:20])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("downslope.training.data.array_reader.LARGE", 2**20)
        expected = rate("--input", "new.npz", capsys=capsys)
        assert expected["notes"] == []
        assert rate("--input", "new.npz", "--loaders", "2", capsys=capsys)["notes"] == [
            "--loaders had nothing to do: the examples fit into memory, and are read at once"
        ]
    save("new.npz", inputs=inputs[:20], targets=targets[:20])
    for loaders in ("0", "2"):
        assert rate("--input", "new.npz", "--loaders", loaders, capsys=capsys) == expected
    inputs[11, 2] = np.nan
    save("new.npz", inputs=inputs[:20], targets=targets[:20])
    assert "1 example(s) hold inf, NaN" in fail(["predict", "run", "--input", "new.npz"], capsys)
    Path("digits.toml").write_text("[sgd]\nlr = 0.1\n[train]\nsteps = 1\n", encoding="utf-8")
    succeed(["train", "digits.toml", "--out", "digits", "--quiet"], capsys)
    from sklearn.datasets import load_digits

    every = (load_digits().data / 16).astype(np.float32)
    succeed(["predict", "digits", "--count", "9", "--output", "held.jsonl"], capsys)
    held = [json.loads(line) for line in Path("held.jsonl").read_text().splitlines()]
    save("some.npz", every[[row["index"] for row in held]])
    again = json.loads(succeed(["predict", "digits", "--input", "some.npz", "--json", "--loaders", "1"], capsys))
    assert [row["probabilities"] for row in again["predictions"]] == [row["probabilities"] for row in held]


OWN = """
import torch
def own(outputs, targets):
    if targets.max().item() >= 0:
        return ((outputs - targets) ** 2).mean()
def of_pairs(outputs, targets):
    if len(targets) < 2:
        raise ValueError("two are needed")
    return ((outputs - targets) ** 2).mean()
def data():
    inputs = torch.randn(600, 3, generator=torch.Generator().manual_seed(1))
    return inputs, inputs[:, :1].clone().abs()
"""


@pytest.mark.parametrize("loss", ["own", "of_pairs"])
def test_a_loss_of_ones_own_is_told_of_each_example_where_it_can(loss, monkeypatch, capsys):
    """Also where it looks at numbers; one that takes no single example leaves the column empty."""
    Path("own_losses.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    text = f'[data]\nname = "own_losses:data"\n[sgd]\nlr = 0.1\n[train]\nsteps = 2\nloss = "own_losses:{loss}"\n'
    train(text, "own")
    rate("--split", "train", "--output", "found.csv", capsys=capsys)
    table = read("found.csv")
    assert len(table) == 480
    for row in table:
        if loss == "own":
            squared = (float(row["predicted"]) - float(row["true"])) ** 2
            assert float(row["loss"]) == pytest.approx(squared, rel=1e-4, abs=1e-9)
        else:
            assert row["loss"] == ""
