"""A finished run is complete in itself: it predicts without its training data, and whatever has become of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import copied, fail, succeed, train
from PIL import Image

from downslope.cli.main import main

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "no_report")

TABLE = """
[data]
name = "table"
batch_size = 16
options = { path = "PATH", target = "kind", categories = ["food"], missing = "mean" }
[model]
hidden = [6]
[sgd]
lr = 0.1
[train]
epochs = 2
"""
PICTURES = """
[data]
name = "images"
batch_size = 8
options = { path = "pictures", colour = "grey", standardize = true }
[model]
name = "mlp"
hidden = [4]
[sgd]
lr = 0.05
[train]
epochs = 2
"""
WORDS = """
[data]
name = "cmudict"
batch_size = 4
options = { path = "words.dict" }
[model]
name = "seq2seq"
options = { hidden = 4, embedding = 3 }
[sgd]
lr = 0.1
[train]
steps = 3
"""
OWN = """
[data]
name = "kept_data:load"
batch_size = 8
[model]
name = "mlp"
hidden = [3]
[sgd]
lr = 0.1
[train]
epochs = 1
"""


def predictions(capsys, *words):
    """Return what `predict --json` gives."""
    return json.loads(succeed(["predict", "run", *words, "--json"], capsys))


def animals():
    """Return columns of 60 animals, some without a weight; as few leaves as can be is a word of its own."""
    generator = np.random.default_rng(3)
    kinds = generator.integers(0, 3, 60)
    weights = [f"{500 * (kind > 0) + generator.normal(0, 50):.3f}" for kind in kinds]
    weights[5] = weights[40] = ""
    return {
        "weight": weights,
        "food": [["leaves", "grass", "hay"][kind] for kind in kinds],
        "age": [f"{generator.integers(1, 20)}" for _ in kinds],
        "kind": [["ant", "cow", "ox"][kind] for kind in kinds],
    }


def write_csv(path, columns):
    """Write columns as CSV."""
    rows = [",".join(columns), *(",".join(cells) for cells in zip(*columns.values(), strict=True))]
    Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_parquet(path, columns):
    """Write columns as Parquet; the numbers as numbers."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    typed = {
        name: [float(c) if c else None for c in cells] if name in {"weight", "age"} else cells
        for name, cells in columns.items()
    }
    parquet.write_table(arrow.table(typed), path)


def write_npz(path, columns):
    """Write columns as an archive of arrays; the numbers as numbers."""
    typed = {
        name: np.array([float(c) if c else np.nan for c in cells] if name in {"weight", "age"} else cells)
        for name, cells in columns.items()
    }
    np.savez(path, **typed)


def spelled_otherwise(columns):
    """Put a class before all others in the alphabet: an index by alphabet would move."""
    return {**columns, "kind": [{"cow": "zebu", "ox": "aurochs"}.get(one, one) for one in columns["kind"]]}


def one_row_more(columns):
    """Append a row that moves means, and brings a word and a class."""
    more = {"weight": "90000", "food": "beans", "age": "1", "kind": "bean weevil"}
    return {name: [*cells, more[name]] for name, cells in columns.items()}


CHANGES = {
    "gone": None,
    "classes spelled otherwise": spelled_otherwise,
    "columns in another order": lambda columns: dict(reversed(columns.items())),
    "a row appended": one_row_more,
    "rows in another order": lambda columns: {name: cells[::-1] for name, cells in columns.items()},
}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_predictions_follow_nothing_that_changes_in_a_table(suffix, capsys):
    """To the bit as at the end of training, for the same rows, by names and by probabilities."""
    write = {"csv": write_csv, "parquet": write_parquet, "npz": write_npz}[suffix]
    table = f"animals.{suffix}"
    write(table, animals())
    train(TABLE.replace("PATH", table), capsys)
    shutil.copy(table, f"new.{suffix}")
    before = predictions(capsys, "--input", f"new.{suffix}")
    evaluated = json.loads(succeed(["evaluate", "run", "--input", f"new.{suffix}", "--json"], capsys))
    assert before["notes"] == []
    assert {row["class_name"] for row in before["predictions"]} <= {"ant", "cow", "ox"}
    for change in CHANGES.values():
        Path(table).unlink(missing_ok=True)
        if change is not None:
            write(table, change(animals()))
        assert predictions(capsys, "--input", f"new.{suffix}") == before
        assert json.loads(succeed(["evaluate", "run", "--input", f"new.{suffix}", "--json"], capsys)) == evaluated


def test_columns_of_the_input_are_known_by_name(capsys):
    """In any order, more of them said, fewer refused all at once; without names, the run's order is taken and said."""
    write_csv("animals.csv", animals())
    train(TABLE.replace("PATH", "animals.csv"), capsys)
    write_csv("new.csv", {name: cells[:4] for name, cells in animals().items()})
    expected = predictions(capsys, "--input", "new.csv")["predictions"]
    columns = {"name": list("abcd"), **{name: animals()[name][:4] for name in ("kind", "age", "food", "weight")}}
    write_csv("new.csv", columns)
    found = predictions(capsys, "--input", "new.csv")
    assert found["predictions"] == expected
    assert found["notes"] == ["columns that the run does not know are left out: name"]
    write_csv("new.csv", {"food": ["hay"], "nothing": ["1"]})
    assert fail(["predict", "run", "--input", "new.csv"], capsys) == (
        "new.csv: has no columns `weight` and `age`, but the run learned from them. It has `food` and `nothing`."
    )
    rows = Path("animals.csv").read_text(encoding="utf-8").splitlines()[1:5]
    for lines in (rows, [row.rpartition(",")[0] for row in rows]):  # with the target and without
        Path("new.csv").write_text("\n".join(lines), encoding="utf-8")
        found = predictions(capsys, "--input", "new.csv")
        names = "weight, food, age, kind" if len(lines[0].split(",")) == 4 else "weight, food, age"
        assert found["notes"] == [f"new.csv names no columns; they are taken in the run's order: {names}"]
        assert [row["probabilities"] for row in found["predictions"]] == [row["probabilities"] for row in expected]


def sure_of(rows):
    """Return classes and probabilities, these to five digits: how many rows there are decides the last bits."""
    return {(row["class_name"], f"{row['probability']:.5f}") for row in rows}


@pytest.mark.parametrize("change", ["spelled", "appended", "renamed target"])
def test_a_changed_table_is_said_and_keeps_its_labels(change, capsys):
    """Held-out examples of a changed table are not the run's; each is named by the run's classes all the same."""
    write_csv("animals.csv", animals())
    train(TABLE.replace("PATH", "animals.csv"), capsys)
    everything = sure_of(predictions(capsys, "--input", "animals.csv")["predictions"])
    changed = spelled_otherwise(animals()) if change == "spelled" else animals()
    if change == "appended":
        changed = one_row_more(animals())
    if change == "renamed target":
        changed["sort"] = changed.pop("kind")
    write_csv("animals.csv", changed)
    assert main(["predict", "run", "--json", "--count", "100"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["notes"][0] == (
        "the data have changed since the run was trained: these are not its held-out examples, and it may have learned "
        "from some of them"
    )
    assert sure_of(row for row in found["predictions"] if "note" not in row) <= everything
    true = {row["target_name"] for row in found["predictions"] if "target" in row}
    assert true == (set() if change == "renamed target" else {"ant"} if change == "spelled" else {"ant", "cow", "ox"})


def test_a_folder_of_images_may_be_gone_or_renamed(capsys):
    """Classes are the run's, whatever the folders are called now; without any folder images are predicted."""
    generator = np.random.default_rng(5)
    for number in range(24):
        name = ("ape", "bee", "cat")[number % 3]
        pixels = (generator.integers(0, 100, (6, 5)) + 70 * (number % 3)).astype(np.uint8)
        Path("pictures", name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(f"pictures/{name}/{number:02}.png")
    train(PICTURES, capsys)
    shutil.copytree("pictures", "new")
    before = predictions(capsys, "--input", "new")
    held_out = predictions(capsys, "--count", "100")["predictions"]
    by_path = {row["name"]: row for row in before["predictions"]}
    assert before["metrics"]["examples"] == 24
    Path("pictures/ape").rename("pictures/zebra")  # a class by alphabet would be another
    assert predictions(capsys, "--input", "new") == before
    found = predictions(capsys, "--count", "100")
    assert found["notes"][1] == "images in folders that are not called as a class are not compared: `zebra`"
    for row in found["predictions"]:
        folder, _, file = row["name"].partition("/")
        old = by_path[f"{folder.replace('zebra', 'ape')}/{file}"]
        assert row["class_name"] == old["class_name"]
        assert row["probabilities"] == pytest.approx(old["probabilities"], abs=1e-6)
        assert row.get("target_name") == (None if folder == "zebra" else folder)
    Path("pictures/zebra").rename("pictures/ape")
    assert predictions(capsys, "--count", "100")["predictions"] == held_out
    shutil.rmtree("pictures")
    assert predictions(capsys, "--input", "new") == before
    assert "give examples of your own with --input, or put the data back." in fail(["evaluate", "run"], capsys)


def test_sequences_need_no_dictionary(capsys):
    """The symbols of both sides are the run's: words appended to the dictionary, or its removal, change nothing."""
    lines = ["cat K AE T", "act AE K T", "tack T AE K", "cac K AE K", "tat T AE T", "aca AE K AE", "ta T AE", "at AE T"]
    Path("words.dict").write_text("\n".join(lines), encoding="utf-8")
    train(WORDS, capsys)
    before = predictions(capsys, "--input", "cat tac")
    Path("words.dict").write_text("\n".join([*lines, "bab B AE B", "abe EY B"]), encoding="utf-8")
    assert predictions(capsys, "--input", "cat tac") == before
    found = predictions(capsys, "--count", "100")
    assert found["notes"][0].startswith("the data have changed since the run was trained")
    Path("words.dict").unlink()
    assert predictions(capsys, "--input", "cat tac") == before
    Path("pairs.txt").write_text("cat\tK AE T\ntac\tT AE K\tT AE\n", encoding="utf-8")
    rated = json.loads(succeed(["evaluate", "run", "--input", "pairs.txt", "--json"], capsys))
    assert (rated["examples"], set(rated) > {"phoneme_error_rate", "word_error_rate", "loss"}) == (2, True)
    compared = predictions(capsys, "--input", "pairs.txt")["predictions"]
    assert [row["targets"] for row in compared] == [["K AE T"], ["T AE K", "T AE"]]
    assert [row["output"] for row in compared] == [row["output"] for row in before["predictions"]]


def test_data_of_ones_own_may_be_gone(capsys, monkeypatch, tmp_path):
    """An array is predicted without the function that gave the training data; what it must be is kept."""
    Path("kept_data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    x = np.random.default_rng(0).normal(size=(40, 2, 3)).astype('float32')\n"
        "    return x, (x[:, 0, 0] > 0).astype('int64')\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    train(OWN, capsys)
    np.save("new.npy", np.random.default_rng(1).normal(size=(5, 2, 3)))
    before = predictions(capsys, "--input", "new.npy")
    Path("kept_data.py").write_text("def load():\n    raise OSError('the disk is gone')\n", encoding="utf-8")
    monkeypatch.delitem(__import__("sys").modules, "kept_data")
    assert predictions(capsys, "--input", "new.npy") == before
    np.save("wide.npy", np.zeros((5, 2, 4)))
    assert "an example of this run has shape (2, 3)" in fail(["predict", "run", "--input", "wide.npy"], capsys)
    assert "the disk is gone" in fail(["predict", "run"], capsys)


def test_a_run_of_an_earlier_version_reads_its_data_and_says_so(capsys):
    """Without `inputs.json` the training table is read, with a note; going on with the run writes what it lacks."""
    write_csv("animals.csv", animals())
    train(TABLE.replace("PATH", "animals.csv"), capsys)
    shutil.copy("animals.csv", "new.csv")
    before = predictions(capsys, "--input", "new.csv")
    kept = Path("run/inputs.json").read_bytes()
    Path("run/inputs.json").unlink()
    found = predictions(capsys, "--input", "new.csv")
    assert found["predictions"] == before["predictions"]
    (note,) = found["notes"]
    assert note == (
        "the run is of an earlier version and keeps nothing of its inputs, so its training data were read for it. "
        "Going on with it writes down what is missing: downslope resume"
    )
    Path("animals.csv").rename("away.csv")
    message = fail(["predict", "run", "--input", "new.csv"], capsys)
    assert message.startswith("the run is of an earlier version and keeps nothing of its inputs; its training data are")
    Path("away.csv").rename("animals.csv")
    succeed(["resume", "run"], capsys)
    assert Path("run/inputs.json").read_bytes() == kept
    assert predictions(capsys, "--input", "new.csv") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kept: {**kept, "format": 2}, "has format 2; this version of Downslope reads format 1."),
        (lambda kept: {**kept, "more": 1}, "Object contains unknown field `more`"),
        (lambda kept: {key: kept[key] for key in kept if key != "lowest"}, "missing required field `lowest`"),
        (lambda kept: {**kept, "classes": "3"}, "Expected `int | null`, got `str`"),
        (lambda kept: {**kept, "class_names": ["a"]}, "there must be a name for each class"),
        (lambda kept: {**kept, "inputs": {"shape": [64], "dtype": "object"}}, "there is no dtype 'object'"),
        (lambda kept: [kept], "Expected `object`, got `array`"),
    ],
)
def test_a_damaged_record_is_refused(trained, tmp_path, change, message, capsys):
    """Each field is known, there and of its type, or the file and the field are named."""
    folder = copied(trained[0], tmp_path)
    kept = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    (folder / "inputs.json").write_text(json.dumps(change(kept)), encoding="utf-8")
    said = fail(["predict", folder], capsys)
    assert said.startswith(f"{folder}/inputs.json: ")
    assert message in said


def test_a_run_goes_on_with_data_that_lie_elsewhere_now(capsys):
    """Their place decides no number, so it may change; other data are noticed there as well."""
    write_csv("animals.csv", animals())
    train(TABLE.replace("PATH", "animals.csv"), capsys)
    Path("moved").mkdir()
    Path("animals.csv").rename("moved/animals.csv")
    write_csv("other.csv", spelled_otherwise(animals()))
    more = ["resume", "run", "--train.epochs", "3", "--data.options.path"]
    assert main([*more, "./other.csv"]) == 2
    assert "was trained on other data" in capsys.readouterr().err
    succeed([*more, "./moved/animals.csv"], capsys)
    Path("moved/animals.csv").rename("animals.csv")
    succeed(["train", "recipe.toml", "--train.epochs", "3", "--out", "whole"], capsys)
    assert Path("run/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    assert main(["resume", "run", "--data.options.target", "food"]) == 2
    assert "data.options.target kind -> food" in capsys.readouterr().err
