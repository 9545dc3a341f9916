"""Two classes by one logit, and labels: torch's own loss, from every form of data, the same bits when resumed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import TINY, fingerprints, run

from cli.command_line import fail, succeed
from downslope.cli.main import main
from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.run.gradients import compute_gradients
from downslope.training.run.losses import binary_cross_entropy, margin_of
from downslope.training.run.task import build_task

BINARY = TINY.replace("epochs = 4", 'epochs = 4\nloss = "binary_cross_entropy"')


@pytest.fixture(autouse=True)
def _no_report(monkeypatch):
    """Write no report, which is not what is tested here."""
    monkeypatch.setattr("downslope.training.run.train._write_report", lambda *_: None)


def recipe(data, **overrides):
    """Return the tiny recipe on other data; dots in the names of overrides are written as two underscores."""
    text = BINARY.replace("training_tasks:blobs", data)
    return parse_recipe(text, "tiny", [(name.replace("__", "."), value) for name, value in overrides.items()])


def test_hand_worked():
    """Log 2 at 0; log(1 + exp(-z)) of a yes, log(1 + exp(z)) of a no; weighted as sum(w l) / sum(w)."""
    logits = torch.tensor([0.0, 2.0, 2.0], dtype=torch.float64)
    yes, no = np.log1p(np.exp(-2.0)), np.log1p(np.exp(2.0))
    targets = torch.tensor([0, 1, 0])
    assert binary_cross_entropy(logits, targets).item() == pytest.approx((np.log(2) + yes + no) / 3, rel=1e-15)
    weight = torch.tensor([1.0, 4.0])
    weighted = binary_cross_entropy(logits[:, None], targets, weight).item()
    assert weighted == pytest.approx((np.log(2) + 4 * yes + no) / 6, rel=1e-15)
    several = torch.tensor([[0.0, 1.0, 0.0]])
    of_labels = binary_cross_entropy(logits[None], several, torch.tensor([1.0, 4.0, 9.0])).item()
    assert of_labels == pytest.approx((np.log(2) + 4 * yes + no) / 3, rel=1e-15)


@pytest.mark.parametrize(("accumulate", "shards"), [(1, 1), (1, 5), (2, 3)])
@pytest.mark.parametrize("data", ["binary_tasks:two", "binary_tasks:labels"])
def test_a_step_is_torchs_loss_of_all_its_examples(data, accumulate, shards):
    """With balanced weights: BCEWithLogitsLoss, by weights of classes or `pos_weight` of labels."""
    task = build_task(
        recipe(
            data,
            data__batch_size=str(24 // accumulate),
            train__accumulate=str(accumulate),
            train__shards=str(shards),
            train__class_weights='"balanced"',
        )
    )
    model, dataset = task.state.model.double(), task.dataset
    object.__setattr__(dataset, "train_inputs", dataset.train_inputs.double())
    leaves = task.batches.leaves(0)
    found = compute_gradients(model, task.objective, dataset, leaves, seed=0, step=0)
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    examples = torch.cat([leaf.examples for leaf in leaves])
    targets, outputs = dataset.train_targets[examples], model(dataset.train_inputs[examples])
    if dataset.labels:
        having = dataset.train_targets.double().mean(0)
        expected = torch.nn.BCEWithLogitsLoss(pos_weight=(1 - having) / having)(outputs, targets.double())
    else:
        share = dataset.train_targets.double().mean()
        weight = torch.where(targets == 1, 1 / share, 1 / (1 - share)) / 2
        losses = torch.nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], targets.double(), reduction="none")
        expected = (weight * losses).sum() / weight.sum()
    expected.backward()
    assert found.loss() == pytest.approx(expected.item(), rel=1e-6)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["int", "float"])
def test_one_target_an_example_is_two_classes(kind):
    """As whole numbers or as floating-point ones: classes, told by one logit."""
    data = load_data(recipe("binary_tasks:two", data__options=f'{{ kind = "{kind}" }}'))
    assert (data.classes, data.one_logit, data.labels, data.train_targets.dtype) == (2, True, (), torch.int64)
    assert [tuple(p.shape) for p in build_task(recipe("binary_tasks:two")).state.model.parameters()][-1] == (1,)


def test_a_column_is_one_label():
    """As BCEWithLogitsLoss has it: targets of shape (n, 1) ask for outputs of that shape."""
    data = load_data(recipe("binary_tasks:two", data__options='{ kind = "column" }'))
    assert (data.classes, data.labels, tuple(data.train_targets.shape[1:])) == (None, ("0",), (1,))


@pytest.mark.parametrize(("labelled", "loaders"), [("false", "0"), ("true", "1")])
def test_a_dataset_resumed_has_the_same_bits(labelled, loaders, tmp_path):
    """Read by none or another process, in one go or killed at step 7: weights and log are the same."""
    options = f"{{ labelled = {labelled} }}"
    straight = tmp_path / "straight"
    run(recipe("binary_tasks:Items", data__options=options), straight)
    other = recipe("binary_tasks:Items", data__options=options, data__loaders=loaders)
    run(other, tmp_path / "killed", at=7, how="crash")
    run(other, tmp_path / "killed")
    assert fingerprints(tmp_path / "killed") == fingerprints(straight)


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        ("training_tasks:blobs", {}, 'tells two classes by one logit; there are 3. Use train.loss = "cross_entropy"'),
        ("binary_tasks:fractions", {}, "needs targets that are 0 or 1; train_targets holds 0.5 in example"),
        ("binary_tasks:two", {"model__name": '"binary_tasks:two_logits"', "model__hidden": ""}, "one logit an example"),
        ("binary_tasks:two", {"train__label_smoothing": "0.1"}, '`label_smoothing` is for loss = "cross_entropy"'),
        ("binary_tasks:two", {"train__threshold": "1.5"}, "`threshold` must be in (0, 1)"),
        ("training_tasks:blobs", {"train__loss": '"cross_entropy"', "train__threshold": "0.3"}, "`threshold` must be"),
        ("training_tasks:blobs", {"train__loss": '"bce"'}, "Did you mean `binary_cross_entropy`?"),
        ("binary_tasks:labels", {"train__class_weights": "[1, 2]"}, "a weight for each of 3 labels, in their order"),
        ("binary_tasks:labels", {"train__class_weights": "{ x = 1 }"}, "there is no label 'x'"),
        ("binary_tasks:labels", {"data__sampling": '"balanced"'}, "of labels an example may have several"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(data, changes, message, tmp_path):
    """Each with what is allowed and what to do."""
    changes = {name: value for name, value in changes.items() if value}
    text = BINARY.replace("training_tasks:blobs", data)
    if "model__name" in changes:
        text = text.replace("hidden = [8]\n", "")
    with pytest.raises(DownslopeError) as refused:
        run(parse_recipe(text, "t", [(name.replace("__", "."), value) for name, value in changes.items()]), tmp_path)
    assert message in str(refused.value)


def test_the_threshold_is_a_probability():
    """A logit is a yes above log(p / (1 - p))."""
    assert margin_of(recipe("binary_tasks:two", train__threshold="0.8").train) == pytest.approx(np.log(4))


TABLE = """
[data]
name = "table"
batch_size = 16
options = { path = "t.csv", target = TARGET }
[model]
name = "mlp"
hidden = []
[sgd]
lr = 0.5
momentum = 0.9
[train]
epochs = 30
loss = "binary_cross_entropy"
"""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write a table with two labels, and with a class that is their and; work beside it."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0).normal(size=(120, 2)).round(3)
    rows = [f"{a},{b},{int(a > 0)},{int(b > 0)},{'ny'[int(a + b > 1)]}" for a, b in drawn]
    Path("t.csv").write_text("a,b,left,right,both\n" + "\n".join(rows) + "\n", encoding="utf-8")


def trained(target, capsys, *more):
    """Train on the table and return what evaluate says of it, as a table for programs."""
    Path("r.toml").write_text(TABLE.replace("TARGET", target), encoding="utf-8")
    succeed(["train", "r.toml", "--out", "run", *more], capsys)
    return json.loads(succeed(["evaluate", "run", "--input", "t.csv", "--json"], capsys))


def test_labels_of_a_table(table, capsys):
    """Several target columns: a probability and a rate for each, their names wherever they are told."""
    found = trained('["left", "right"]', capsys, "--data.options.ignore", '["both"]')
    assert [row["name"] for row in found["labels"]] == ["left", "right"]
    assert min(found["macro_f1"], found["micro_f1"], found["exact_match"], found["worst_recall"]) > 0.9
    Path("new.csv").write_text("a,b,left,right\n2,-2,1,0\n-2,-2,0,0\n2,2,1,0\n", encoding="utf-8")
    told = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json"], capsys))
    assert [row["labels"] for row in told["predictions"]] == [["left"], [], ["left", "right"]]
    assert [row["true_labels"] for row in told["predictions"]] == [["left"], [], ["left"]]
    assert told["metrics"]["exact_match"] == 2 / 3
    text = succeed(["predict", "run", "--input", "new.csv"], capsys)
    assert "left, right  left  wrong" in text
    assert "2 of 3 with every label right" in text
    lines = succeed(["predict", "run", "--input", "new.csv", "--format", "csv"], capsys).splitlines()
    assert lines[0] == "example,predicted,probability_left,probability_right,true,loss,note"
    assert (lines[1].split(",")[1], lines[3].split(",")[1]) == ("left", "left | right")
    every = json.loads(succeed(["predict", "run", "--input", "new.csv", "--json", "--threshold", "1e-300"], capsys))
    assert [row["labels"] for row in every["predictions"]] == [["left", "right"]] * 3
    Path("none.csv").write_text("a,b,left,right\n2,-2,,1\n", encoding="utf-8")
    told = json.loads(succeed(["predict", "run", "--input", "none.csv", "--json"], capsys))
    assert (told["predictions"][0]["labels"], "metrics" in told) == (["left"], False)
    Path("bad.csv").write_text("a,b,left,right\n2,-2,1,2\n", encoding="utf-8")
    assert "line 2, column `right`: 2 is no label" in fail(["evaluate", "run", "--input", "bad.csv"], capsys)
    Path("bad.csv").write_text("a,b,left\n2,-2,1\n", encoding="utf-8")
    assert "has no column `right`, the target" in fail(["predict", "run", "--input", "bad.csv"], capsys)


@pytest.mark.parametrize(("suffix", "loaders"), [("csv", "0"), ("csv", "2"), ("parquet", "0")])
def test_labels_that_are_truth_values(tmp_path, monkeypatch, capsys, suffix, loaders):
    """True and False, as pandas' get_dummies writes them, are 1 and 0: the same run, to the bit, rated and compared."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0).normal(size=(120, 2)).round(3).tolist()
    words = {False: ["0", "False", "false", "FALSE"], True: ["1", "True", "TRUE", "true"]}
    for name, spelling in (("numbers", 1), ("truths", 4)):
        rows = [[a, b, *(words[x > 0][n % spelling] for x in (a, b))] for n, (a, b) in enumerate(drawn)]
        if suffix == "parquet":
            pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
            columns = dict(zip(("a", "b", "left", "right"), map(list, zip(*rows, strict=True)), strict=True))
            parquet.write_table(pyarrow.table(columns), f"{name}.parquet")
        else:
            text = "\n".join(",".join(map(str, row)) for row in rows)
            Path(f"{name}.csv").write_text(f"a,b,left,right\n{text}\n", encoding="utf-8")
        recipe = TABLE.replace("TARGET", '["left", "right"]').replace("t.csv", f"{name}.{suffix}")
        Path("r.toml").write_text(recipe, encoding="utf-8")
        succeed(["train", "r.toml", "--out", name, "--train.epochs", "3", "--data.loaders", loaders], capsys)
    assert len({Path(name, "model.safetensors").read_bytes() for name in ("numbers", "truths")}) == 1
    rated = [
        json.loads(succeed(["evaluate", "numbers", "--input", f"{name}.{suffix}", "--json"], capsys))
        for name in ("numbers", "truths")
    ]
    assert rated[0] == rated[1]
    told = json.loads(succeed(["predict", "truths", "--input", f"truths.{suffix}", "--json"], capsys))
    right = [[name for name, x in zip(("left", "right"), row, strict=True) if x > 0] for row in drawn]
    assert [row["true_labels"] for row in told["predictions"]] == right
    assert told["metrics"]["loss"] == rated[0]["loss"]


def test_labels_where_the_first_example_has_no_answer(table, capsys):
    """A row of the same keys, empty: the table that is shown, and every format, take it wherever it stands."""
    trained('["left", "right"]', capsys, "--data.options.ignore", '["both"]', "--train.epochs", "1")
    Path("new.csv").write_text("a,b\n,0\n2,2\n1e300,0\n", encoding="utf-8")
    for form, line in (("csv", "0,,,,"), ("jsonl", '{"example": 0, "labels": null, "probabilities": null, "note": ')):
        assert main(["predict", "run", "--input", "new.csv", "--format", form]) == 1
        assert f"{line}" in capsys.readouterr().out
    assert main(["predict", "run", "--input", "new.csv"]) == 1
    out, err = capsys.readouterr()
    assert [row.split()[1] for row in out.splitlines()[2:]][0::2] == ["-", "-"]
    assert "line 2, column `a`: the cell is empty" in err


def test_two_classes_of_a_table(table, capsys):
    """Words as classes, told with their probabilities; a threshold of its own at use."""
    found = trained('"both"', capsys, "--data.options.ignore", '["left", "right"]')
    assert [row["name"] for row in found["classes"]] == ["n", "y"]
    assert found["accuracy"] > 0.9
    told = json.loads(succeed(["predict", "run", "--input", "t.csv", "--json"], capsys))["predictions"]
    assert all(sum(row["probabilities"]) == pytest.approx(1) for row in told)
    assert all((row["probabilities"][1] > 0.5) == (row["class_name"] == "y") for row in told)
    eager = json.loads(succeed(["evaluate", "run", "--input", "t.csv", "--json", "--threshold", "0.01"], capsys))
    assert eager["loss"] == found["loss"]
    assert eager["classes"][1]["recall"] == 1.0
    told = json.loads(succeed(["predict", "run", "--input", "t.csv", "--json", "--threshold", "0.01"], capsys))
    assert sum(row["class"] == row["target"] for row in told["predictions"]) == round(120 * eager["accuracy"])
    assert "`threshold` must be in (0, 1)" in fail(["predict", "run", "--threshold", "2"], capsys)


@pytest.mark.parametrize(
    ("target", "more", "message"),
    [
        ('["left", "right"]', ("--train.loss", "mse"), "names 2 columns, labels of 0 and 1, which are learned with"),
        ('["left", "both"]', (), "column `both`: 'n' is not a number"),
        ('["left", "left"]', (), "`target` must name a column, or several, each once"),
        ("[]", (), "`target` must name a column"),
        ('["left", "nowhere"]', (), "`nowhere`"),
        ('"a"', (), "is a fraction, which names no class"),
    ],
)
def test_targets_of_a_table_that_do_not_fit(table, capsys, target, more, message):
    """Refused before training, with the column."""
    Path("r.toml").write_text(TABLE.replace("TARGET", target), encoding="utf-8")
    assert message in fail(["train", "r.toml", "--out", "run", *more], capsys)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool"])
def test_one_hot_rows_are_told_what_to_do(tmp_path, monkeypatch, capsys, dtype):
    """Classes as one-hot rows, as to_categorical writes them: both ways out are named, and both work."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    inputs, classes = rng.normal(size=(80, 3)).astype(np.float32), rng.integers(0, 2, 80)
    rows = np.eye(2)[classes].astype(dtype)
    words = ["train", "--data.name", "npz", "--data.options.path", '"t.npz"', "--train.epochs", "1", "--out"]
    np.savez("t.npz", inputs=inputs, targets=rows)
    told = fail([*words, "run"], capsys)
    assert "If they are one-hot, give the number of each class, targets.argmax(axis=1)" in told
    assert 'several labels, rows of 0 and 1, use train.loss = "binary_cross_entropy".' in told
    succeed([*words, "labels", "--train.loss", "binary_cross_entropy"], capsys)
    np.savez("t.npz", inputs=inputs, targets=rows.argmax(axis=1))
    succeed([*words, "classes"], capsys)


def test_labels_of_arrays(tmp_path, monkeypatch, capsys):
    """A matrix of 0 and 1 in .npz, with names; a file to rate, and one with other numbers refused."""
    monkeypatch.chdir(tmp_path)
    inputs = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    np.savez("t.npz", inputs=inputs, targets=(inputs > 0).astype(np.uint8))
    text = TABLE.replace('"table"', '"npz"').replace("target = TARGET", 'class_names = ["left", "right"]')
    Path("r.toml").write_text(text.replace("t.csv", "t.npz"), encoding="utf-8")
    succeed(["train", "r.toml", "--out", "run"], capsys)
    found = json.loads(succeed(["evaluate", "run", "--input", "t.npz", "--json"], capsys))
    assert ([row["name"] for row in found["labels"]], found["exact_match"] > 0.9) == (["left", "right"], True)
    np.savez("bad.npz", inputs=inputs, targets=inputs)
    assert "needs targets that are 0 or 1" in fail(["evaluate", "run", "--input", "bad.npz"], capsys)
    np.savez("t.npz", inputs=inputs, targets=(inputs[:, 0] > 0).astype(np.uint8))
    succeed(["train", "r.toml", "--out", "one"], capsys)
    assert json.loads(Path("one/inputs.json").read_text(encoding="utf-8"))["class_names"] == ["left", "right"]
