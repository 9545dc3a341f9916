"""evaluate --split: what was learned from, what is held out, and a test part that training never reads."""

from pathlib import Path

import numpy as np
import pytest
from command_line import fail
from PIL import Image
from runs_on_data import rate, train

from downslope.cli.main import main
from downslope.core.errors import DataError, DownslopeError
from downslope.training.use.evaluate import evaluate_run

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

RECIPE = """
[data]
name = "NAME"
batch_size = 8
[model]
hidden = []
[sgd]
lr = 0.1
[train]
steps = 5
"""


def pictures(folder, *counts):
    """Write that many pictures of each class."""
    for kind, count in zip(("cat", "dog"), counts, strict=True):
        Path(folder, kind).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((2, 2), 100 * (kind == "dog") + number, dtype=np.uint8)).save(
                f"{folder}/{kind}/{number}.png"
            )


def test_a_folder_of_images_with_three_parts(capsys):
    """A damaged test picture is met by --split test alone."""
    pictures("p/train", 5, 5)
    pictures("p/validation", 2, 1)
    pictures("p/test", 3, 4)
    said = train(RECIPE, "images", "--data.path", "p")
    assert "10 examples to learn from, 3 held out" in said
    assert [rate("--split", part, capsys=capsys)["examples"] for part in ("train", "held_out", "test")] == [10, 3, 7]
    assert evaluate_run("run", split="test")["split"] == "test"
    Path("p/test/cat/0.png").write_bytes(b"no picture")
    assert main(["evaluate", "run", "--split", "test"]) == 1
    assert "p/test/cat/0.png: cannot be read as an image" in "".join(capsys.readouterr())
    assert rate(capsys=capsys)["notes"] == []


def test_a_folder_of_images_with_a_test_part_alone(capsys):
    """It is held out, and may be rated as the test too; or a part of the others is held out in its place."""
    pictures("p/train", 5, 5)
    pictures("p/test", 3, 4)
    assert "`test` is what is held out" in train(RECIPE, "images", "--data.path", "p")
    found = rate("--split", "test", capsys=capsys)
    assert found["examples"] == 7
    assert found["notes"][0].startswith("the test part is what is held out of these data: it was looked at while")
    said = train(RECIPE, "images", "--data.path", "p", "--data.options.held_out_from", "train", out="b")
    assert "8 examples to learn from, 2 held out" in said
    assert [evaluate_run("b", split=part)["examples"] for part in ("train", "held_out", "test")] == [8, 2, 7]


def test_a_folder_of_images_without_parts(capsys):
    """There is no test; one may lie elsewhere."""
    pictures("p", 5, 5)
    pictures("q", 1, 1)
    train(RECIPE, "images", "--data.path", "p")
    assert "data.name = 'images': brings no test part; it would be a folder `test`" in fail(
        ["evaluate", "run", "--split", "test"], capsys
    )
    train(RECIPE, "images", "--data.path", "p", "--data.options.test_path", "q", out="b")
    assert evaluate_run("b", split="test")["examples"] == 2
    with pytest.raises(DataError, match="chooses between a test part .*p brings no test part"):
        train(RECIPE, "images", "--data.path", "p", "--data.options.held_out_from", "train", out="c")


def test_a_table_with_a_test_table(capsys):
    """Its rows are encoded as the run learned to; nothing else of it is looked at before."""
    rows = "".join(f"{number},{'ab'[number % 2]}\n" for number in range(20))
    Path("t.csv").write_text(f"x,kind\n{rows}")
    Path("u.csv").write_text("kind,x\na,3\nb,4\nc,5\n")
    words = ["--data.path", "t.csv", "--data.options.target", "kind", "--data.options.test_path", "u.csv"]
    train(RECIPE, "table", *words)
    found = rate("--split", "test", capsys=capsys)
    assert (found["examples"], found["notes"]) == (2, ["1 of 3 examples have no target that is known"])
    assert rate("--split", "train", capsys=capsys)["examples"] == 16


def write_parts(*parts):
    """Write a table whose rows belong to these parts in turn; of class c there is nothing but in a test."""
    rows = [f"{number},{'c' if parts[number % len(parts)] == 'test' else 'ab'[number % 2]},{parts[number % len(parts)]}"
            for number in range(30)]  # fmt: skip
    Path("t.csv").write_text("x,kind,part\n" + "\n".join(rows))


def test_a_table_with_a_column_that_tells(capsys):
    """The rows of a test are not looked at before: a class of theirs is none of the run's."""
    write_parts("train", "Train", "val", "train", "test")
    words = ["--data.path", "t.csv", "--data.options.target", "kind", "--data.options.split_column", "part"]
    said = train(RECIPE, "table", *words)
    assert "18 examples to learn from, 6 held out, 2 classes" in said
    assert "`test` is left alone, to be used once at the end" in said
    assert [rate("--split", part, capsys=capsys)["examples"] for part in ("train", "held_out")] == [18, 6]
    assert "there is no example with a target to rate" in fail(["evaluate", "run", "--split", "test"], capsys)
    Path("t.csv").write_text(Path("t.csv").read_text().replace(",c,test", ",a,test", 2))
    assert rate("--split", "test", capsys=capsys)["examples"] == 2
    write_parts("train", "train", "tests")
    train(RECIPE, "table", *words, out="b")
    assert "the test part is what is held out" in evaluate_run("b", split="test")["notes"][0]
    train(RECIPE, "table", *words, "--data.options.held_out_from", "train", out="c")
    assert [evaluate_run("c", split=part)["examples"] for part in ("train", "held_out", "test")] == [16, 4, 10]
    write_parts("train", "other")
    with pytest.raises(DataError, match="t.csv, line 3, column `part`: 'other' names no part"):
        train(RECIPE, "table", *words, out="d")
    write_parts("val", "test")
    with pytest.raises(DataError, match="t.csv, column `part`: no row is of the part train"):
        train(RECIPE, "table", *words, out="d")
    for options, words_of in [
        (["--data.options.held_out_from", "train"], "`held_out_from` chooses among the parts that `split_column`"),
        (["--data.options.split_column", "kind"], "`split_column` names the target"),
        (
            ["--data.options.split_column", "x", "--data.options.test_path", "u.csv"],
            "tells the parts of one. Give one.",
        ),
        (["--data.options.split_column", "parts"], "has no column `parts`"),
    ]:
        with pytest.raises(DownslopeError, match=words_of):
            train(RECIPE, "table", *words[:4], *options, out="d")


@pytest.mark.parametrize("more", ["", ", collate=collate"])
def test_datasets_of_ones_own(more, capsys):
    """A Dataset for the test is read by --split test alone, and must be like the others."""
    name = f"points{len(more)}"  # a module is imported once
    Path(f"{name}.py").write_text(
        "import torch\n"
        "from pathlib import Path\n"
        "class Points(torch.utils.data.Dataset):\n"
        "    def __init__(self, count, name, classes=2): self.count, self.name, self.classes = count, name, classes\n"
        "    def __len__(self): return self.count\n"
        "    def __getitem__(self, index):\n"
        "        Path(self.name).touch()\n"
        "        return torch.full((3,), float(index)), index % self.classes\n"
        "def collate(items):\n"
        "    return torch.stack([one for one, _ in items]), torch.tensor([label for _, label in items])\n"
        "def load(classes=2):\n"
        f"    return dict(train=Points(20, 'a'), test=Points(6, 'read', classes){more})\n"
    )
    train(RECIPE, f"{name}:load")
    assert not Path("read").exists()
    assert [rate("--split", part, capsys=capsys)["examples"] for part in ("train", "held_out", "test")] == [16, 4, 6]
    assert Path("read").exists()
    train(RECIPE, f"{name}:load", "--data.options.classes", "3", out="b")
    with pytest.raises(DataError, match="the targets of its test part go from 0 to 2; the run learned 2 classes"):
        evaluate_run("b", split="test")


def test_a_function_of_ones_own(capsys):
    """It gets the path as a keyword, and may return a test part; one without is told so."""
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def load(path, parts=6):\n"
        "    x = np.arange(24, dtype='float32').reshape(12, 2)\n"
        "    names = [f'{part}_{what}' for part in ('train', 'held_out', 'test') for what in ('inputs', 'targets')]\n"
        "    found = [x, np.arange(12) % 2, x[:4], np.arange(4) % 2, x[:5], np.arange(5) % 2]\n"
        "    assert path == 'somewhere'\n"
        "    return dict(list(zip(names, found))[:parts])\n"
    )
    train(RECIPE, "mine:load", "--data.path", "somewhere")
    assert [rate("--split", part, capsys=capsys)["examples"] for part in ("train", "held_out", "test")] == [12, 4, 5]
    with pytest.raises(DataError, match="the dict lacks test_targets"):
        train(RECIPE, "mine:load", "--data.path", "somewhere", "--data.options.parts", "5", out="b")
    train(RECIPE, "mine:load", "--data.path", "somewhere", "--data.options.parts", "4", out="b")
    with pytest.raises(DataError, match="data.name = 'mine:load': brings no test part"):
        evaluate_run("b", split="test")
    with pytest.raises(DataError, match="split must be"):
        evaluate_run("b", split="tset")
    with pytest.raises(DataError, match="Give one"):
        evaluate_run("b", source="a.npz", split="test")
