"""A data set of Hugging Face's through the real command line: trained, rated on each split, further rows predicted."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, succeed
from PIL import Image
from runs_on_data import rate

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from array_files import bars
from training_runs import run

from downslope.recipe.load import parse_recipe

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

RECIPE = """
[data]
name = "hf:d"
batch_size = 10
OPTIONS
[model]
MODEL
[sgd]
lr = 0.1
momentum = 0.9
[train]
epochs = 25
"""


def train(options="", model="hidden = [12]"):
    """Train on the data in the folder `d`, without a report, and return what was said."""
    text = RECIPE.replace("OPTIONS", f"options = {{ {options} }}").replace("MODEL", model)
    outcome, said = run(parse_recipe(text), Path("run"))
    assert outcome.finished
    return "\n".join(said)


def predict(*words, capsys):
    """Return what predict says, as JSON."""
    return json.loads(succeed(["predict", "run", "--json", *words], capsys))["predictions"]


def test_images(capsys):
    """Without the data the run still predicts: rows saved, a Parquet file, pictures; --trust is not asked for."""
    names = ["top", "mid", "low"]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    parts = {}
    for part, count in (("train", 30), ("validation", 6), ("test", 9)):
        images, labels = bars(count, seed=count)
        rows = {"image": [Image.fromarray(one) for one in images], "label": labels.tolist()}
        parts[part] = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(parts).save_to_disk("d")
    said = train('colour = "grey", standardize = true')
    assert "30 examples to learn from, 6 held out, 3 classes" in said
    assert "`test` is left alone, to be used once at the end" in said
    for part, count in (("train", 30), ("held_out", 6), ("test", 9)):
        found = rate("--split", part, capsys=capsys)
        assert (found["examples"], found["accuracy"], found["notes"]) == (count, 1.0, [])
    Path("d").rename("gone")
    text = RECIPE.replace("OPTIONS", "options = { colour = 'grey', standardize = true }").replace("hf:d", "hf:gone")
    outcome, said = run(parse_recipe(text.replace("MODEL", "hidden = [12]").replace("= 25", "= 26")), Path("run"))
    assert outcome.finished  # data may be moved, and a run goes on with them
    assert "resuming with a different recipe: data.name hf:d -> hf:gone" in "\n".join(said)
    Path("gone").rename("moved")
    parts["test"].save_to_disk("more")
    parts["test"].to_parquet("more.parquet")
    for given in ("more", "more.parquet"):
        assert [one["class_name"] for one in predict("--input", given, capsys=capsys)] == names * 3
        assert rate("--input", given, capsys=capsys)["accuracy"] == 1.0
    Path("pictures/mid").mkdir(parents=True)
    Image.fromarray(bars(3)[0][1]).resize((12, 12)).save("pictures/mid/a.png")
    assert rate("--input", "pictures", capsys=capsys)["accuracy"] == 1.0
    assert "moved: has the splits `train`, `validation`, `test`" in fail(["predict", "run", "--input", "moved"], capsys)
    parts["test"].rename_column("image", "picture").save_to_disk("other")
    message = fail(["predict", "run", "--input", "other"], capsys)
    assert message.startswith("data.options.inputs = 'image': other has no such column. Its columns: `picture` (image)")


def test_tokens_for_a_model_of_ones_own(capsys):
    """Rows as long as the run's, whatever is given; longer ones are refused unless the run says how long they are."""
    Path("words.py").write_text(
        "import torch\n"
        "def build(data):\n"
        "    return torch.nn.Sequential(torch.nn.EmbeddingBag(10, 8, mode='mean'), torch.nn.Linear(8, data.classes))\n"
    )
    draw = np.random.default_rng(0)
    rows = {"input_ids": [], "label": []}
    for number in range(30):
        word = draw.integers(1, 5) + 4 * (number % 2)
        rows["input_ids"].append([int(word)] * int(draw.integers(1, 6)))
        rows["label"].append(number % 2)
    datasets.Dataset.from_dict(rows).save_to_disk("d")
    train(model='name = "words:build"')
    datasets.Dataset.from_dict({"input_ids": [[1, 1], [8]]}).save_to_disk("more")
    assert [one["class"] for one in predict("--input", "more", "--trust", capsys=capsys)] == [0, 1]
    datasets.Dataset.from_dict({"input_ids": [[1] * 9]}).save_to_disk("long")
    assert "1 of its lists have more than 5 items, the most of the run's own. Set data.options.length" in fail(
        ["predict", "run", "--input", "long", "--trust"], capsys
    )
