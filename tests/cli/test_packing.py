"""A packed run answers as `predict` does, from pixels, cells and words, without Downslope."""

import csv
import functools
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import fail, succeed
from PIL import Image
from runs_on_data import train
from torch.onnx._internal.exporter._registration import ONNXRegistry

import warm
from downslope.cli.main import main

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "no_report", "operators_are_read_once")

TABLE = """
[data]
name = "table"
batch_size = 8
options = { path = "t.csv", target = "kind", categories = ["colour", "shape"], missing = "mean" }
[model]
name = "mlp"
hidden = [8]
[sgd]
lr = 0.3
momentum = 0.9
[train]
epochs = 5
"""
REGRESSION = """
[data]
name = "table"
batch_size = 8
options = { path = "t.csv", target = "width", features = ["length", "weight"] }
[model]
name = "mlp"
hidden = [8]
[sgd]
lr = 0.05
momentum = 0.9
[train]
epochs = 5
loss = "mse"
"""
IMAGES = """
[data]
name = "images"
batch_size = 8
options = { path = "pictures", size = [8, 12], colour = "COLOUR" }
[model]
name = "convnet"
options = { channels = [4], blocks = 1 }
[sgd]
lr = 0.1
[train]
steps = 6
"""


@pytest.fixture(scope="module")
def operators_are_read_once():
    """Have torch's exporter read the source of every operator of ONNX once, not for every file."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        yield


def write_table(path="t.csv", rows=48):
    """Write a table of numbers and words, some cells of which are empty; return its rows."""
    generator = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        length, weight = generator.normal(50, 9), generator.normal(3e4, 4e3)
        lines.append(
            {
                "colour": "" if row % 11 == 3 else ["red", "Grün", "blue"][row % 3],
                "length": "" if row % 7 == 2 else f"{length:.3f}",
                "shape": ["round", "flat"][row % 2],
                "weight": f"{weight:.1f}",
                "width": f"{2000 + length / 100 + weight / 1e6:.5f}",
                "kind": ["fern", "moss"][int(length > 50) ^ (row % 2)],
            }
        )
    if path == "t.csv":
        for row in lines:
            row["length"] = row["length"] or ""
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return lines


def write_pictures(folder, mode, size):
    """Write three classes of eight images of a size (height, width)."""
    generator = np.random.default_rng(1)
    for number, name in enumerate(("ant", "bee", "cat")):
        Path(folder, name).mkdir(parents=True)
        for count in range(8):
            shape = size if mode == "L" else (*size, 3)
            pixels = (generator.integers(0, 128, shape) + 60 * number).astype(np.uint8)
            Image.fromarray(pixels, mode).save(Path(folder, name, f"{count}.png"))


def pack(to, capsys, run="run", *words):
    """Pack a run and return the file."""
    file = Path(f"packed.{'onnx' if to == 'onnx' else 'pt2'}")
    said = succeed(["pack", run, "--to", to, "--out", file, *words], capsys)
    assert "answers as predict does" in said
    return file


def ask_onnx(file, **given):
    """Return what an ONNX file answers, and what it says of itself."""
    session = onnxruntime.InferenceSession(str(file))
    names = [output.name for output in session.get_outputs()]
    facts = session.get_modelmeta().custom_metadata_map
    return dict(zip(names, session.run(names, given), strict=True)), facts


def ask_program(file, *given):
    """Return what a program of torch.export answers, and what it says of itself."""
    extra = {"about.json": ""}
    program = torch.export.load(str(file), extra_files=extra)
    answers = program.module()(*(torch.from_numpy(one) for one in given))
    return {name: value.detach().numpy() for name, value in answers.items()}, json.loads(extra["about.json"])


def predicted(capsys, *words, code=0):
    """Return what predict says, as rows."""
    assert main(["predict", "run", "--json", *words]) == code
    return json.loads(capsys.readouterr().out)["predictions"]


def probabilities(rows):
    """Return probabilities, NaN where there is no prediction."""
    known = next(row["probabilities"] for row in rows if row["probabilities"])
    return np.array([row["probabilities"] or [np.nan] * len(known) for row in rows])


def cells(rows, name):
    """Return cells as numbers, NaN where they are empty."""
    return [float(row[name] or "nan") for row in rows]


def test_a_table_with_words_and_missing_cells(capsys):
    """Numbers and words go in as they stand in the table; empty cells are filled; an unknown word gives NaN."""
    write_table()
    train(TABLE, "table")
    lines = write_table("new.csv", 20)
    lines[4]["colour"], lines[9]["shape"] = "violet", "Round"
    with Path("new.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    right = probabilities(predicted(capsys, "--input", "new.csv", code=1))
    assert np.isnan(right[[4, 9]]).all()
    names = ("length", "weight", "width")
    numbers = np.array([cells(lines, name) for name in names]).T
    words = np.array([[row["colour"], row["shape"]] for row in lines], dtype=object)
    answers, facts = ask_onnx(pack("onnx", capsys), numbers=numbers, words=words)
    np.testing.assert_allclose(answers["probabilities"], right, atol=1e-6)
    given = json.loads(facts["inputs"])
    assert [tuple(one["columns"]) for one in given] == [names, ("colour", "shape")]
    assert [one["dtype"] for one in given] == ["float64", "string"]
    assert json.loads(facts["class_names"]) == ["fern", "moss"]
    assert 'target = "kind"' in facts["recipe"]
    assert set(json.loads(facts["versions"])) == {"downslope", "torch", "onnx"}
    answers, facts = ask_program(pack("export", capsys), numbers, indices_of(words, facts["inputs"]))
    np.testing.assert_allclose(answers["probabilities"], right, atol=1e-6)
    assert facts["class_names"] == ["fern", "moss"]
    assert facts["outputs"][1]["shape"] == ["batch", 2]


def indices_of(words, inputs):
    """Return words as the indices that the facts tell of, one that is unknown as 99."""
    known = json.loads(inputs)[1]["words"].values()
    tables = [{"": -1, **{word: code for code, word in enumerate(column)}} for column in known]
    return np.array([[table.get(word, 99) for table, word in zip(tables, row, strict=True)] for row in words])


def test_a_number_comes_in_its_own_unit(capsys):
    """A regression answers in the target's unit, as precisely as predict does; a missing cell gives NaN."""
    lines = [row for row in write_table() if row["length"]]
    with Path("t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    train(REGRESSION, "table")
    right = [row["value"] for row in predicted(capsys, "--input", "t.csv")]
    numbers = np.array([cells(lines, "length"), cells(lines, "weight")]).T
    for to, ask in (("onnx", lambda file, x: ask_onnx(file, numbers=x)), ("export", ask_program)):
        file = pack(to, capsys)
        answers, facts = ask(file, numbers)
        np.testing.assert_allclose(answers["values"], right, atol=1e-5)  # of numbers around 2000
        assert facts["target"] == "width"
        lost = ask(file, np.array([[np.nan, 3e4], [50.0, 3e4]]))[0]["values"]
        assert np.isnan(lost).tolist() == [True, False]


@pytest.mark.parametrize(("colour", "mode"), [("grey", "L"), ("rgb", "RGB")])
def test_images_go_in_as_pixels(colour, mode, capsys):
    """An image that Pillow has scaled goes in as its bytes."""
    write_pictures("pictures", mode, (16, 16))
    train(IMAGES.replace("COLOUR", colour), "images", "--data.options.standardize", "true")
    right = probabilities(predicted(capsys, "--input", "pictures"))
    pixels = np.stack(
        [
            np.asarray(Image.open(file).resize((12, 8), Image.Resampling.BILINEAR))
            for file in sorted(Path("pictures").rglob("*.png"))
        ]
    )
    pixels = pixels[:, np.newaxis] if mode == "L" else pixels.transpose(0, 3, 1, 2)
    answers, facts = ask_onnx(pack("onnx", capsys), pixels=pixels)
    np.testing.assert_allclose(answers["probabilities"], right, atol=1e-5)
    assert json.loads(facts["class_names"]) == ["ant", "bee", "cat"]
    assert any("divided by 255" in step for step in json.loads(facts["preprocessing"]))
    assert json.loads(facts["inputs"])[0]["shape"] == ["batch", 1 if mode == "L" else 3, 8, 12]


def test_a_network_of_a_paper_with_its_mean_and_window(capsys):
    """ResNet-20 takes whole images: the middle window, mean and deviation are in the file."""
    generator = np.random.default_rng(2)
    x = generator.integers(0, 256, (24, 12, 12, 3)).astype(np.uint8)
    np.savez("a.npz", x_train=x, y_train=np.arange(24) % 4)
    text = IMAGES[: IMAGES.index("[model]")].replace("images", "npz").replace("pictures", "a.npz")
    text = text[: text.index("options")] + 'path = "a.npz"\nnormalize = "measured"\n[data.augment]\nresized_crop = '
    text += '[0.5, 1.0]\nsize = 8\n[model]\nname = "resnet20"\n[sgd]\nlr = 0.1\n[train]\nsteps = 4\n'
    train(text, "npz")
    np.save("x.npy", x)
    right = probabilities(predicted(capsys, "--input", "x.npy"))
    pixels = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    answers, facts = ask_onnx(pack("onnx", capsys), pixels=pixels)
    np.testing.assert_allclose(answers["probabilities"], right, atol=1e-5)
    assert answers["logits"].argmax(1).tolist() == right.argmax(1).tolist()
    assert [step for step in json.loads(facts["preprocessing"]) if "8x8" in step]
    assert ask_onnx("packed.onnx", pixels=pixels[:1])[0]["probabilities"].shape == (1, 4)


def test_labels_and_two_classes_by_one_logit(capsys):
    """Of labels a logit and a probability each; one logit of two classes is packed as two; the threshold is told."""
    lines = write_table()
    for row in lines:
        row["tall"], row["heavy"] = int(float(row["length"] or 0) > 50), int(float(row["weight"]) > 3e4)
    with Path("t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    text = TABLE.replace('["colour", "shape"]', '["shape"]').replace("{ path", '{ features = ["weight", "shape"], path')
    text += 'loss = "binary_cross_entropy"\nthreshold = 0.25\n'
    given = {
        "numbers": np.array([cells(lines, "weight")]).T,
        "words": np.array([[row["shape"]] for row in lines], dtype=object),
    }
    for target, told in (('["tall", "heavy"]', {"labels": ["tall", "heavy"]}), ('"kind"', {})):
        shutil.rmtree("run", ignore_errors=True)
        train(text.replace('"kind"', target), "table")
        right = probabilities(predicted(capsys, "--input", "t.csv"))
        answers, facts = ask_onnx(pack("onnx", capsys), **given)
        np.testing.assert_allclose(answers["probabilities"], right, atol=1e-6)
        assert facts["threshold"] == "0.25"
        assert "target" not in facts
        assert json.loads(facts["class_names"]) == ([] if told else ["fern", "moss"])
        assert json.loads(facts.get("labels", "[]")) == told.get("labels", [])
        if not told:
            assert answers["logits"][:, 0].tolist() == [0.0] * 48
        codes = indices_of(given["words"], facts["inputs"])
        answers, _ = ask_program(pack("export", capsys), given["numbers"], codes)
        np.testing.assert_allclose(answers["probabilities"], right, atol=1e-6)
        lost = ask_program("packed.pt2", np.array([[1e200], [3e4]]), codes[:2])[0]["probabilities"]
        assert np.isnan(lost).tolist() == [[True] * 2, [False] * 2]  # an infinite logit is no answer


def test_mirror_images_a_start_and_frozen_layers(capsys):
    """A run that averages over mirror images, began with another's weights and froze some is packed as it predicts."""
    write_pictures("pictures", "L", (8, 8))
    text = IMAGES.replace("COLOUR", "grey").replace("[8, 12]", "[8, 8]")
    train(text, "images", out="first")
    start = (
        "--train.start_from",
        "first",
        "--train.start_without",
        '["logits.*"]',
        "--train.freeze",
        '["conv.*", "norm.*"]',
    )
    words = ("--data.augment.tta", "flip", "--data.sampling", "balanced", *start)
    train(text, "images", *words)
    pixels = np.stack([np.asarray(Image.open(file))[None] for file in sorted(Path("pictures").rglob("*.png"))])
    answers, facts = ask_onnx(pack("onnx", capsys), pixels=pixels)
    right = probabilities(predicted(capsys, "--input", "pictures"))
    np.testing.assert_allclose(answers["probabilities"], right, atol=1e-5)
    mirrored = ask_onnx("packed.onnx", pixels=pixels[..., ::-1].copy())[0]
    np.testing.assert_allclose(mirrored["logits"], answers["logits"], atol=1e-5)
    assert "mirror image" in json.loads(facts["preprocessing"])[-1]
    assert 'start_from = "first"' in facts["recipe"]


OWN = """
import torch
from torch import nn

class Chooses(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
    def forward(self, x):
        return self.layer(x) BRANCH

def build(dataset):
    return Chooses()
"""


@pytest.fixture
def own(monkeypatch):
    """Return what trains a model of one's own, with a branch or without."""
    monkeypatch.syspath_prepend(".")
    made = iter(range(9))

    def make(branch, folder="run"):
        name = f"own_packed_{id(make)}_{next(made)}"
        Path(f"{name}.py").write_text(OWN.replace("BRANCH", branch), encoding="utf-8")
        text = f'model = "{name}:build"\n[sgd]\nlr = 0.1\n[train]\nsteps = 3\n'
        train(text, "digits", out=folder)

    return make


def test_a_model_of_ones_own(own, capsys):
    """It is packed as it is; one that branches on numbers, or draws some, is refused, and nothing is written."""
    own("")
    rows = np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 64)
    np.save("x.npy", rows)
    right = probabilities(predicted(capsys, "--input", "x.npy"))
    np.testing.assert_allclose(ask_onnx(pack("onnx", capsys), inputs=rows)[0]["probabilities"], right, atol=1e-6)
    own("if x.sum() > 3 else self.layer(-x)", "branches")
    message = fail(["pack", "branches", "--to", "export", "--out", "b.pt2"], capsys)
    assert "torch.export cannot follow the model" in message
    assert "torch.where" in message
    own("+ torch.rand(1)", "draws")
    message = fail(["pack", "draws", "--to", "export", "--out", "b.pt2"], capsys)
    assert "nothing was written" in message
    assert not Path("b.pt2").exists()


def test_a_run_from_elsewhere_is_not_run(own, capsys):
    """The functions of a run that was not made here are not called until they are trusted."""
    own("")
    facts = json.loads(Path("run/run.json").read_text(encoding="utf-8"))
    Path("run/run.json").write_text(json.dumps({**facts, "made_here": "0" * 32}), encoding="utf-8")
    assert "add --trust" in fail(["pack", "run", "--to", "export"], capsys)
    assert "written     run/model.pt2" in succeed(["pack", "run", "--to", "export", "--trust"], capsys)


def test_without_the_data_it_is_checked_on_made_up_examples(capsys):
    """A run is complete in itself; what it was checked on is said."""
    write_table()
    train(TABLE, "table")
    Path("t.csv").unlink()
    assert main(["pack", "run", "--to", "export"]) == 0
    out, err = capsys.readouterr()
    assert "made-up examples" in err
    assert "on 64 examples" in out


def test_what_cannot_be_packed_is_refused(capsys):
    """Sequences, an unknown form, a form that is missing: one message each."""
    text = '[data]\nname = "rearranged"\nbatch_size = 8\n[model]\nname = "seq2seq"\noptions = { hidden = 4 }\n'
    train(text + "[sgd]\nlr = 0.1\n[train]\nsteps = 1\n", "rearranged")
    assert "symbol by symbol" in fail(["pack", "run", "--to", "onnx"], capsys)
    assert "--to is missing: give one of onnx, export" in fail(["pack", "run"], capsys)
    assert "--to" in fail(["pack", "run", "--to", "tflite"], capsys)
    assert sorted(path.name for path in Path("run").glob("model.*")) == ["model.safetensors"]


def test_without_what_it_needs_it_says_so(capsys, monkeypatch):
    """Without onnxscript nothing is written; without onnxruntime it is written, and said that nothing ran it."""
    train("[sgd]\nlr = 0.1\n[train]\nsteps = 2\n[model]\nhidden = [4]\n", "digits")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxscript", None)
        assert 'pip install "downslope[pack]"' in fail(["pack", "run", "--to", "onnx"], capsys)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "not checked: onnxruntime is not installed" in succeed(["pack", "run", "--to", "onnx"], capsys)


def test_averaged_weights_are_packed_when_named(capsys):
    """As predict, it takes the model's own weights; the average by its file."""
    train("[sgd]\nlr = 0.1\n[train]\nsteps = 9\nema = 0.9\n[model]\nhidden = [4]\n", "digits")
    assert main(["pack", "run", "--to", "export"]) == 0
    note = capsys.readouterr().err
    average = note.split("--checkpoint ")[1].strip()
    ones = np.ones((1, 64), dtype=np.float32)
    own = ask_program("run/model.pt2", ones)[0]["logits"]
    averaged = ask_program(pack("export", capsys, "run", "--checkpoint", average), ones)[0]["logits"]
    assert np.abs(own - averaged).max() > 1e-3


@pytest.mark.slow
def test_it_needs_no_downslope(capsys):
    """Both files are loaded by a process that cannot import the package."""
    train("[sgd]\nlr = 0.1\n[train]\nsteps = 2\n[model]\nhidden = [4]\n", "digits")
    pack("onnx", capsys)
    pack("export", capsys)
    program = (
        "import sys\nsys.modules['downslope'] = None\nimport numpy, onnxruntime, torch\n"
        "x = numpy.ones((3, 64), dtype=numpy.float32)\n"
        "one = onnxruntime.InferenceSession('packed.onnx').run(['logits'], {'inputs': x})[0]\n"
        "other = torch.export.load('packed.pt2').module()(torch.from_numpy(x))['logits'].detach().numpy()\n"
        "assert abs(one - other).max() < 1e-5\n"
    )
    done = warm.run("-c", program, imported=warm.TORCH)
    assert done.returncode == 0, done.stderr
