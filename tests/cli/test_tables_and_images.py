"""Tables and images through the real command line: trained, evaluated, predicted, and their report looked into."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, succeed, train
from PIL import Image

from downslope.cli.main import main

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

ANIMALS = """
[data]
name = "table"
batch_size = 16
options = { path = "animals.csv", target = "animal", categories = ["food"] }
[model]
hidden = [8]
[sgd]
lr = 0.1
momentum = 0.9
[train]
epochs = 15
"""
KINDS = [("ant", 0, "leaves"), ("cow", 500, "grass"), ("<b>ox", 500, "hay")]
HOUSES = """
[data]
name = "table"
batch_size = 16
options = { path = "houses.csv", target = "price", standardize_target = true }
[model]
hidden = []
[sgd]
lr = 0.1
momentum = 0.9
[train]
epochs = 20
loss = "mse"
"""
PICTURES = """
[data]
name = "images"
batch_size = 8
options = { path = "pictures", COLOUR, standardize = true }
[model]
name = "convnet"
options = { channels = [8] }
[sgd]
lr = 0.05
momentum = 0.9
[train]
epochs = 6
"""


def write_animals():
    """Write animals that their weight and food tell apart: 120 rows."""
    generator = np.random.default_rng(3)
    lines = ["weight,food,animal"]
    for _ in range(120):
        animal, weight, food = [("ant", 0, "leaves"), ("cow", 500, "grass"), ("<b>ox", 500, "hay")][
            generator.integers(3)
        ]
        lines.append(f"{weight + generator.normal(0, 50):.3f},{food},{animal}")
    Path("animals.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_houses():
    """Write houses whose price is 3 times the area and 1000 a room, exactly."""
    generator = np.random.default_rng(4)
    rows = [
        (area, rooms, 3 * area + 1000 * rooms)
        for area, rooms in zip(generator.integers(20, 200, 60), generator.integers(1, 9, 60), strict=True)
    ]
    text = "area,rooms,price\n" + "".join(f"{a},{r},{p}\n" for a, r, p in rows)
    Path("houses.csv").write_text(text, encoding="utf-8")


def write_pictures(channels):
    """Write 24 noisy pictures of 10x12: cats dark above, dogs dark below."""
    generator = np.random.default_rng(5)
    for number in range(24):
        pixels = generator.integers(120, 256, (10, 12, channels))
        name = "cat" if number % 2 else "dog"
        rows = slice(0, 5) if name == "cat" else slice(5, 10)
        pixels[rows] -= 120
        folder = Path("pictures", name)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8).squeeze()).save(folder / f"{number}.png")


def test_a_table_of_classes(tmp_path, capsys):
    """Names of classes everywhere; new rows with other columns in another order; one bad row named."""
    write_animals()
    train(ANIMALS, capsys)
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["class_names"] == ["<b>ox", "ant", "cow"]
    assert json.loads(succeed(["evaluate", "run", "--json"], capsys))["accuracy"] >= 0.9
    (tmp_path / "new.csv").write_text("name,food,weight\na,leaves,3\nb,grass,520\nc,hay,510\n", encoding="utf-8")
    lines = succeed(["predict", "run", "--input", "new.csv"], capsys).splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["0", "ant"], ["1", "cow"], ["2", "<b>ox"]]
    found = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json", "--count", "1"], capsys))
    (one,) = found["predictions"]
    assert (one["class"], one["class_name"], found["notes"]) == (
        1,
        "ant",
        ["columns that the run does not know are left out: name"],
    )
    shown = succeed(["predict", "run"], capsys).splitlines()
    assert {line.split()[3] for line in shown[2:-1]} <= {"<b>ox", "ant", "cow"}
    (tmp_path / "new.csv").write_text("food,weight\nleaves,3\ngras,520\n", encoding="utf-8")
    assert main(["predict", "run", "--input", "new.csv"]) == 1
    out, err = capsys.readouterr()
    assert err == (
        "note: no prediction: new.csv, line 3, column `food`: 'gras' was not among the words to learn from. Did you "
        "mean `grass`? There are `grass`, `hay`, `leaves`\n"
    )
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [["0", "ant"], ["1", "-"]]
    (tmp_path / "new.csv").write_text("food,height\nleaves,3\n", encoding="utf-8")
    assert fail(["predict", "run", "--input", "new.csv"], capsys) == (
        "new.csv: has no column `weight`, but the run learned from it. Did you mean `height`? It has `food` "
        "and `height`."
    )
    (tmp_path / "new.csv").write_text("height\n3\n", encoding="utf-8")
    assert fail(["predict", "run", "--input", "new.csv"], capsys) == (
        "new.csv: has no columns `weight` and `food`, but the run learned from them. It has `height`."
    )


def test_a_table_of_numbers(tmp_path, capsys):
    """Predictions are prices, whatever the model computes in; a table that was changed is noticed."""
    write_houses()
    train(HOUSES, capsys)
    (tmp_path / "new.csv").write_text("rooms,area\n4,100\n2,50\n", encoding="utf-8")
    found = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))["predictions"]
    assert [row["value"] for row in found] == pytest.approx([4300, 2150], rel=0.02)
    held_out = json.loads(succeed(["predict", "run", "--json"], capsys))["predictions"]
    assert [row["value"] for row in held_out] == pytest.approx([row["target"] for row in held_out], rel=0.05)
    with (tmp_path / "houses.csv").open("a", encoding="utf-8") as file:
        file.write("1,1,9000\n")
    assert main(["evaluate", "run"]) == 0
    assert capsys.readouterr().err == (
        "note: the data have changed since the run was trained: these are not its held-out examples, and it may have "
        "learned from some of them\n"
    )
    assert main(["train", "recipe.toml", "--out", "run", "--train.epochs", "21"]) == 2
    assert "was trained on other data: those that 'table' gives now differ." in capsys.readouterr().err
    (tmp_path / "houses.csv").unlink()
    again = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))
    assert (again["predictions"], again["notes"]) == (found, [])
    assert fail(["predict", "run"], capsys) == (
        "the held-out examples cannot be read: data.options.path = 'houses.csv': there is no such file. It is looked "
        f"for from the current directory, {tmp_path}. The run itself needs no data any more: give examples of your "
        "own with --input, or put the data back."
    )


@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("rgb", 3)])
def test_a_folder_of_images(tmp_path, capsys, colour, channels):
    """One image, a folder of them, the names of files and classes; and the report shows the pictures."""
    write_pictures(channels)
    train(PICTURES.replace("COLOUR", f'colour = "{colour}"'), capsys)
    lines = succeed(["predict", "run", "--input", "pictures/cat/1.png"], capsys).splitlines()
    assert lines[2].split()[:2] == ["1.png", "cat"]
    found = json.loads(succeed(["predict", "run", "--input", "pictures", "--json"], capsys))["predictions"]
    assert {row["name"].split("/")[0] == row["class_name"] for row in found} == {True}
    assert len(found) == 24
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert page.count('alt="a ') == 5  # the held-out fifth of 24
    assert "<strong>dog</strong>" in page
    assert '<th scope="row">cat</th>' in page
    assert fail(["predict", "run", "--input", "recipe.toml"], capsys).startswith(
        "recipe.toml: must be an image, ending"
    )


def test_a_path_in_the_place_of_a_data_sets_name_is_told_what_to_write(tmp_path, monkeypatch, capsys):
    """`--data houses.csv` is what one tries first; the words that the message gives are taken."""
    monkeypatch.chdir(tmp_path)
    Path("my houses.csv").write_text("a,price\n1,2\n2,4\n3,5\n4,9\n5,9\n", encoding="utf-8")
    Path("pets").mkdir()
    assert main(["train", "--data", "pets/../pets", "--dry-run"]) == 2
    assert "say --data images --data.options.path" in capsys.readouterr().err
    assert main(["train", "--data", '"my houses.csv"', "--dry-run"]) == 2
    said = capsys.readouterr().err.partition("To learn from a table, say ")[2].partition(". Use ")[0]
    words = [{"COLUMN": "price"}.get(word, word) for word in shlex.split(said)]
    assert main(["train", *words, "--train.loss", "mse", "--dry-run"]) == 0
    assert "4 examples to learn from, 1 held out" in capsys.readouterr().out
    assert main(["train", "--data", f'"{"x" * 5000}"', "--dry-run"]) == 2
    assert "there is no such data set" in capsys.readouterr().err
