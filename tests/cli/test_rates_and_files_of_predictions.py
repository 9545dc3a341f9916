"""What is rated and how predictions are written: errors of numbers, rates of classes, files for other programs."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import fail, succeed
from PIL import Image

from browser import CHROMIUM, measure
from downslope.cli.main import main

TABLE = """
[data]
name = "table"
batch_size = 20
options = { path = "learn.csv", target = "TARGET", features = ["a", "food"], categories = ["food"] }
[model]
hidden = [4]
[sgd]
lr = 0.05
momentum = 0.9
[train]
epochs = 3
loss = "LOSS"
"""
PICTURES = """
[data]
name = "images"
batch_size = 8
options = { path = "pictures", colour = "grey" }
[model]
name = "mlp"
hidden = [4]
[sgd]
lr = 0.05
[train]
epochs = 2
"""


@pytest.fixture(autouse=True)
def rows(tmp_path, monkeypatch):
    """Work beside a table of 80 rows: a number, a word, a name, a class and a price that follow from them."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(7)
    found = []
    for number in range(80):
        a, food = generator.normal(), ("hay", "grass")[generator.integers(2)]
        kind = ("ant", "bee", "cow")[int(a > -0.4) + int(a > 0.4 and food == "hay")]
        found.append(
            {
                "name": f"row {number}",
                "a": f"{a:.4f}",
                "food": food,
                "kind": kind,
                "price": f"{250_000 + 80_000 * a:.0f}",
            }
        )
    write("learn.csv", found)
    return found


def write(path, rows, without=()):
    """Write rows as CSV."""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name not in without], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(text):
    """Return the rows of CSV as dictionaries."""
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def trained_on(capsys):
    """Return a function that trains on the table's classes or prices."""

    def train(target, loss, report="without"):
        with pytest.MonkeyPatch.context() as patch:
            if report == "without":
                patch.setattr("downslope.training.run.train._write_report", lambda *_: None)
            text = TABLE.replace("TARGET", target).replace("LOSS", loss)
            if target == "price":
                text = text.replace('target = "price"', 'target = "price", standardize_target = true')
            Path("recipe.toml").write_text(text, encoding="utf-8")
            return succeed(["train", "recipe.toml", "--out", "run"], capsys)

    return train


def test_errors_are_in_the_targets_own_unit(rows, trained_on, capsys):
    """RMSE, MAE and R2 by their definitions, of the prices themselves: in the terminal, as JSON, and on the page."""
    said = trained_on("price", "mse", report="with")
    write("new.csv", rows)
    found = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))
    true = np.array([float(row["price"]) for row in rows])
    predicted = np.array([row["value"] for row in found["predictions"]])
    expected = {
        "rmse": np.sqrt(np.mean((predicted - true) ** 2)),
        "mae": np.mean(np.abs(predicted - true)),
        "r2": 1 - np.sum((predicted - true) ** 2) / np.sum((true - true.mean()) ** 2),
    }
    rated = json.loads(succeed(["evaluate", "run", "--input", "new.csv", "--json"], capsys))
    assert 1000 < expected["rmse"] < 80_000
    for name, value in expected.items():
        assert found["metrics"][name] == rated[name] == pytest.approx(value, rel=1e-5)
    assert "accuracy" not in rated
    evaluated = succeed(["evaluate", "run"], capsys).splitlines()[1]
    assert evaluated.startswith("  RMSE ")
    assert f"held out    {evaluated.strip()}" in said
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "Not in this log" not in page
    assert '<h2 id="fit">Predicted against true</h2>' in page
    assert "16 held-out numbers: true ones from" in page
    held_out = json.loads(succeed(["evaluate", "run", "--json"], capsys))
    for name in ("rmse", "mae", "r2"):
        assert f'value="{held_out[name]!r}"' in page
    charts = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])["charts"]
    [fit], [left] = charts["fit"]["lines"], charts["residuals"]["lines"]
    assert left["x"] == fit["v"]
    assert left["v"] == pytest.approx(np.subtract(fit["v"], fit["x"]), rel=1e-9, abs=1e-6)
    assert np.sqrt(np.mean(np.square(left["v"]))) == pytest.approx(held_out["rmse"], rel=1e-5)
    Path("learn.csv").unlink()
    succeed(["report", "run", "--out", "again.html"], capsys)
    again = Path("again.html").read_text(encoding="utf-8")
    assert "The held-out examples cannot be shown: the held-out examples cannot be read" in again


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
def test_no_plot_fills_a_wide_page(trained_on):
    """At 1280 pixels the letters of no plot, predicted against true among them, are much larger than drawn."""
    trained_on("price", "mse", report="with")
    [[_, *percents]] = measure(
        Path("run/report.html").resolve(),
        (1280,),
        "return [...page.querySelectorAll('svg.plot')]"
        ".map(e => Math.round(100 * e.getBoundingClientRect().width / e.viewBox.baseVal.width));",
    )
    assert len(percents) > 3
    assert max(percents) < 160


def test_every_class_has_its_rates(rows, trained_on, capsys):
    """Precision, recall, F1 and counts as they are defined, and the confusion matrix that they follow from."""
    trained_on("kind", "cross_entropy", report="with")
    write("new.csv", rows)
    found = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))
    said = [row["class_name"] for row in found["predictions"]]
    rated = json.loads(succeed(["evaluate", "run", "--input", "new.csv", "--json"], capsys))
    names = ["ant", "bee", "cow"]
    pairs = [(row["kind"], name) for row, name in zip(rows, said, strict=True)]
    assert rated["confusion"] == [[pairs.count((true, name)) for name in names] for true in names]
    for row, name in zip(rated["classes"], names, strict=True):
        right = pairs.count((name, name))
        answers, examples = said.count(name), sum(true == name for true, _ in pairs)
        assert (row["name"], row["examples"]) == (name, examples)
        assert row["precision"] == (pytest.approx(right / answers) if answers else None)
        assert row["recall"] == pytest.approx(right / examples)
        if right:
            assert 1 / row["f1"] == pytest.approx((1 / row["precision"] + 1 / row["recall"]) / 2)
    lines = succeed(["evaluate", "run", "--input", "new.csv"], capsys).splitlines()
    assert lines[0].endswith(", on 80 examples of new.csv:")
    assert lines[2].split() == ["class", "examples", "precision", "recall", "F1"]
    assert [line.split()[:2] for line in lines[3:6]] == [
        [row["name"], str(row["examples"])] for row in rated["classes"]
    ]
    assert lines[6] == "  rows: what it is; columns: what the model says"
    assert [list(map(int, line.split()[1:])) for line in lines[8:]] == rated["confusion"]
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert '<th scope="col" class="number">precision</th>' in page
    write("new.csv", rows, without=("kind",))
    assert fail(["evaluate", "run", "--input", "new.csv"], capsys) == (
        "new.csv: has no column `kind`, the target, so that there is nothing to rate by."
    )
    write("new.csv", [{**rows[0], "kind": ""}])
    assert "new.csv, line 2, column `kind`: the cell is empty" in fail(
        ["evaluate", "run", "--input", "new.csv"], capsys
    )


def test_rows_with_words_for_numbers_are_told_of_the_run(rows, trained_on, capsys):
    """What options would mend is no advice for a run that has learned; of Parquet no second message around it."""
    trained_on("kind", "cross_entropy")
    write("new.csv", [{**row, "a": "wide"} for row in rows])
    pd.DataFrame({"a": [[1]] * 3, "food": ["leaf"] * 3}).to_parquet("new.parquet")
    more = f" The same holds for {len(rows) - 1} more of its {len(rows)} cells."
    for file, place in (
        ("new.csv", f"line 2, column `a`: 'wide' is not a number.{more}"),
        ("new.parquet", "row 1, column `a`: [1] is not a number. The same holds for 2 more of its 3 cells."),
    ):
        message = fail(["predict", "run", "--input", file], capsys)
        assert message == f"{file}, {place} The run has learned from numbers there: mend the file."


def test_predictions_are_written_for_other_programs(rows, trained_on, capsys):
    """CSV, JSON and JSON lines, by the suffix or on stdout: the same predictions, with the row and its mark."""
    trained_on("kind", "cross_entropy")
    write("new.csv", rows[:7])
    words = ["predict", "run", "--input", "new.csv", "--id", "name"]
    expected = json.loads(succeed([*words, "--json"], capsys))["predictions"]
    out = succeed([*words, "--output", "found.csv"], capsys)
    assert "  7 predictions written to found.csv\n" in out
    table = read_csv(Path("found.csv").read_text(encoding="utf-8"))
    assert succeed([*words, "--format", "csv"], capsys) == Path("found.csv").read_text(encoding="utf-8")
    assert list(table[0]) == [
        "example", "name", "predicted", "probability", "probability_ant", "probability_bee", "probability_cow", "true",
        "loss", "note",
    ]  # fmt: skip
    for cells, row, given in zip(table, expected, rows, strict=False):
        assert (cells["example"], cells["name"]) == (str(row["example"]), given["name"])
        assert (cells["predicted"], cells["true"], cells["note"]) == (row["class_name"], given["kind"], "")
        assert float(cells["probability"]) == row["probability"]
        assert [float(cells[f"probability_{name}"]) for name in ("ant", "bee", "cow")] == row["probabilities"]
    succeed([*words, "--output", "found.jsonl"], capsys)
    assert list(map(json.loads, Path("found.jsonl").read_text(encoding="utf-8").splitlines())) == expected
    succeed([*words, "--output", "found.json"], capsys)
    assert json.loads(Path("found.json").read_text(encoding="utf-8"))["predictions"] == expected
    write("new.csv", [{"": number + 100, **row} for number, row in enumerate(rows[:7])])  # as pandas writes an index
    indexed = read_csv(succeed([*words[:-1], "", "--format", "csv"], capsys))
    assert [row[""] for row in indexed] == [str(number + 100) for number in range(7)]
    assert [row["predicted"] for row in indexed] == [row["predicted"] for row in table]
    assert "must end in .csv, .parquet, .json or .jsonl" in fail([*words, "--output", "found.xlsx"], capsys)
    assert "is the input itself" in fail([*words, "--output", "new.csv"], capsys)
    Path("learn.csv").write_text("kept")
    assert "is what the run learned from" in fail([*words, "--output", "learn.csv"], capsys)
    assert Path("learn.csv").read_text() == "kept"
    assert "there is no folder nowhere" in fail([*words, "--output", "nowhere/found.csv"], capsys)
    assert "has no column `nme`, but --id names it. Did you mean `name`?" in fail([*words[:-1], "nme"], capsys)
    assert "--id names a column of the file given with --input" in fail(["predict", "run", "--id", "name"], capsys)


def test_a_row_with_a_word_that_is_new_gets_no_prediction(rows, trained_on, capsys):
    """It is named with its column and word, alone; the others are predicted as they are without it."""
    trained_on("price", "mse")
    write("new.csv", rows[:5])
    expected = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))["predictions"]
    changed = [dict(row) for row in rows[:6]]
    changed[2]["food"], changed[5]["a"] = "beans", ""
    write("new.csv", changed)
    assert main(["predict", "run", "--input", "new.csv", "--output", "found.csv"]) == 1
    out, err = capsys.readouterr()
    notes = [
        "new.csv, line 4, column `food`: 'beans' was not among the words to learn from. There are `grass`, `hay`",
        "new.csv, line 7, column `a`: the cell is empty",
    ]
    assert err == "".join(f"note: no prediction: {note}\n" for note in notes)
    assert "  4 predictions written to found.csv\n" in out
    table = read_csv(Path("found.csv").read_text(encoding="utf-8"))
    assert [row["note"] for row in table] == ["", "", notes[0], "", "", notes[1]]
    assert [row["predicted"] == "" for row in table] == [False, False, True, False, False, True]
    for place in (0, 1, 3, 4):
        assert float(table[place]["predicted"]) == pytest.approx(expected[place]["value"], rel=1e-5)
    assert main(["predict", "run", "--input", "new.csv", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["unpredicted"], found["predictions"][2]["value"], found["metrics"]["examples"]) == (2, None, 4)
    assert main(["evaluate", "run", "--input", "new.csv"]) == 1
    out, err = capsys.readouterr()
    assert err == f"note: 2 of 6 examples are not rated; the first: {notes[0]}\n"
    assert ", on 4 examples of new.csv:" in out
    changed[3]["a"] = "1e300"
    write("new.csv", changed)
    assert main(["predict", "run", "--input", "new.csv", "--format", "csv"]) == 1
    table = read_csv(capsys.readouterr().out)
    assert (table[3]["predicted"], "no finite numbers" in table[3]["note"]) == ("", True)


def train_on_pictures(capsys):
    """Train on ten dark pictures of cats and ten bright ones of dogs, in `pictures`, into `run`."""
    generator = np.random.default_rng(5)
    for number in range(20):
        name = ("cat", "dog")[number % 2]
        Path("pictures", name).mkdir(parents=True, exist_ok=True)
        pixels = (generator.integers(0, 100, (4, 4)) + 100 * (number % 2)).astype(np.uint8)
        Image.fromarray(pixels).save(f"pictures/{name}/{number:02}.png")
    Path("recipe.toml").write_text(PICTURES, encoding="utf-8")
    succeed(["train", "recipe.toml", "--out", "run"], capsys)


def test_images_are_compared_by_their_folders(capsys, no_report):
    """A sub-folder that is called as a class tells what is right; each image is known by its path below the folder."""
    train_on_pictures(capsys)
    found = json.loads(succeed(["predict", "run", "--input", "pictures", "--json"], capsys))
    assert [row["target_name"] for row in found["predictions"]] == [row["name"][:3] for row in found["predictions"]]
    rated = json.loads(succeed(["evaluate", "run", "--input", "pictures", "--json"], capsys))
    measured = ("examples", "loss", "accuracy", "balanced_accuracy", "macro_f1", "worst_recall")
    assert {name: rated[name] for name in measured} == found["metrics"]
    right = sum(row["class"] == row["target"] for row in found["predictions"])
    assert rated["accuracy"] == right / 20
    succeed(["predict", "run", "--input", "pictures", "--output", "found.csv"], capsys)
    table = read_csv(Path("found.csv").read_text(encoding="utf-8"))
    assert [row["path"] for row in table] == [row["name"] for row in found["predictions"]]
    assert {row["true"] for row in table} == {"cat", "dog"}
    alone = json.loads(succeed(["predict", "run", "--input", "pictures/cat", "--json"], capsys))
    assert all("target" not in row for row in alone["predictions"])
    Path("pictures/cat").rename("pictures/kitty")
    some = json.loads(succeed(["predict", "run", "--input", "pictures", "--json"], capsys))
    assert some["metrics"]["examples"] == 10
    assert some["notes"] == ["images in folders that are not called as a class are not compared: `kitty`"]
    assert fail(["evaluate", "run", "--input", "pictures"], capsys).startswith(
        "pictures: the run has learned no class `kitty`. To be rated, each image must lie in the sub-folder of its"
    )


@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_image_gets_no_prediction(large, monkeypatch, capsys, no_report):
    """It is named with its reason, alone; the others are answered as they are without it, in memory or when needed."""
    train_on_pictures(capsys)
    if large:
        monkeypatch.setattr("downslope.training.data.image_reader.LARGE", 64)
    whole = json.loads(succeed(["predict", "run", "--input", "pictures", "--json"], capsys))["predictions"]
    bad, odd = Path("pictures/cat/02.png"), Path("pictures/dog/19.png")
    bad.write_bytes(bad.read_bytes()[:60])
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(odd)
    assert main(["predict", "run", "--input", "pictures"]) == 1
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert first.startswith(f"note: no prediction: {bad}: cannot be read as an image: ")
    assert second.startswith(f"note: no prediction: {odd}: is 5 pixels high and 6 wide; the run's own, 4 and 4. Set ")
    assert "of 18 right" in out
    assert main(["predict", "run", "--input", "pictures", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["unpredicted"], found["metrics"]["examples"]) == (2, 18)
    for row, before in zip(found["predictions"], whole, strict=True):
        without = before["name"] in {"cat/02.png", "dog/19.png"}
        assert row == before if not without else (row["name"], row["class"]) == (before["name"], None)
    assert main(["predict", "run", "--input", "pictures", "--output", "found.csv"]) == 1
    assert "  18 predictions written to found.csv\n" in capsys.readouterr().out
    table = read_csv(Path("found.csv").read_text(encoding="utf-8"))
    assert [row["path"] for row in table if not row["predicted"]] == ["cat/02.png", "dog/19.png"]
    assert [bool(row["note"]) for row in table] == [not row["predicted"] for row in table]
    assert main(["evaluate", "run", "--input", "pictures", "--json"]) == 1
    rated = json.loads(capsys.readouterr().out)
    assert (rated["examples"], rated["refused"], rated["loss"]) == (18, 2, found["metrics"]["loss"])
    assert f"{bad}: cannot be read as an image" in fail(["predict", "run", "--input", bad], capsys)
    for file in Path("pictures/cat").iterdir():
        file.write_bytes(b"none")
    assert main(["predict", "run", "--input", "pictures/cat", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["unpredicted"] == 10


def test_arrays_with_targets_are_rated(trained, capsys, tmp_path):
    """An .npz file with `inputs` and `targets` is rated and compared; targets that are no classes are refused."""
    folder = trained[0]
    generator = np.random.default_rng(2)
    inputs, targets = generator.random((9, 64)), generator.integers(0, 10, 9)
    np.savez("both.npz", inputs=inputs, targets=targets)
    found = json.loads(succeed(["predict", folder, "--input", "both.npz", "--json"], capsys))
    assert [row["target"] for row in found["predictions"]] == targets.tolist()
    rated = json.loads(succeed(["evaluate", folder, "--input", "both.npz", "--json"], capsys))
    right = sum(row["class"] == row["target"] for row in found["predictions"])
    assert (rated["examples"], rated["accuracy"]) == (9, right / 9)
    np.savez("both.npz", inputs=inputs, targets=targets + 5)
    message = "both.npz: `targets` must be classes, whole numbers from 0 to 9."
    assert fail(["evaluate", folder, "--input", "both.npz"], capsys) == message
    np.savez("both.npz", inputs=inputs, targets=np.where(targets > 4, np.nan, 1.0))
    assert fail(["evaluate", folder, "--input", "both.npz"], capsys) == message
    np.savez("both.npz", inputs=inputs, targets=targets[:5])
    assert "`targets` must be numbers of shape (9,); got int64 of shape (5,)." in fail(
        ["evaluate", folder, "--input", "both.npz"], capsys
    )
    np.save("alone.npy", inputs)
    assert "holds no targets to rate by. Give an .npz file with two arrays" in fail(
        ["evaluate", folder, "--input", "alone.npy"], capsys
    )
