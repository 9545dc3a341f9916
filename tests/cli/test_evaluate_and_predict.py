"""Using a trained run: which weights are taken, what is printed, and what is refused."""

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_line import copied, fail, held_out, succeed
from safetensors.numpy import load_file, save_file

from downslope.cli.main import main

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_evaluate_repeats_the_last_evaluation_of_the_log(trained, capsys):
    """The finished run's numbers, to the last digit, and its average's."""
    folder, _ = trained
    result = json.loads(succeed(["evaluate", folder, "--json"], capsys))
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["kind"] == "evaluation"][-1]
    for name in ("loss", "accuracy", "ema_loss", "ema_accuracy"):
        assert result[name] == last[name]
    assert (result["step"], result["examples"], result["notes"]) == (60, 360, [])


def test_evaluate_says_it_in_words(trained, capsys):
    """Which weights, on what, accuracy in percent and loss."""
    folder, _ = trained
    lines = succeed(["evaluate", folder], capsys).splitlines()
    assert lines[0] == f"{folder}/checkpoints/step-00000060, after 60 steps, on 360 held-out examples:"
    assert re.fullmatch(r"  accuracy \d\d\.\d\d %, top-5 accuracy 9\d\.\d\d %, balanced .*, loss 0\.\d+", lines[1])
    assert re.fullmatch(r"  accuracy \d\d\.\d\d %, top-5 .*, loss \d\.\d+  \(average of the weights\)", lines[2])


def test_every_way_to_name_weights_reaches_them(trained, capsys):
    """last, a checkpoint's folder, its file, the run's final file, and best."""
    folder, _ = trained
    last = folder / "checkpoints" / "step-00000060"
    losses = {
        json.loads(succeed(["evaluate", folder, "--json", "--checkpoint", which], capsys))["loss"]
        for which in ("last", last, last / "model.safetensors", folder / "model.safetensors")
    }
    assert len(losses) == 1
    best = json.loads(succeed(["evaluate", folder, "--json", "--checkpoint", "best"], capsys))
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    assert best["accuracy"] == max(row["accuracy"] for row in evaluations)


def test_the_final_weights_serve_without_checkpoints(trained, capsys, tmp_path):
    """A run whose checkpoints were deleted to save room still evaluates, from its model.safetensors."""
    folder, _ = trained
    copy = copied(folder, tmp_path, without="checkpoints")
    expected = json.loads(succeed(["evaluate", folder, "--json"], capsys))
    result = json.loads(succeed(["evaluate", copy, "--json"], capsys))
    assert (result["loss"], result["ema_loss"], result["step"]) == (expected["loss"], expected["ema_loss"], None)
    message = fail(["evaluate", copy, "--checkpoint", "best"], capsys)
    assert message == f"{copy}: has no checkpoint that could be the best. {copy}/checkpoints holds none."


def test_a_damaged_checkpoint_is_passed_over_and_said_so(trained, capsys, tmp_path):
    """One flipped bit in the newest: the one before is used, with a note."""
    folder, _ = trained
    copy = copied(folder, tmp_path)
    newest = copy / "checkpoints" / "step-00000060" / "model.safetensors"
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(data)
    assert main(["evaluate", str(copy)]) == 0
    out, err = capsys.readouterr()
    assert "step-00000040, after 40 steps" in out
    assert err.startswith(f"note: passed over {newest.parent}: model.safetensors is damaged")
    message = fail(["evaluate", copy, "--checkpoint", newest.parent], capsys)
    assert message.startswith(f"{newest.parent}: model.safetensors is damaged")


def test_weights_of_another_model_are_refused_by_name_shape_and_dtype(trained, capsys, tmp_path):
    """Missing, superfluous and misshapen tensors are each listed."""
    folder, _ = trained
    state = load_file(folder / "model.safetensors")
    state["extra"] = state.pop("logits.bias")
    state["dense1.bias"] = state["dense1.bias"][:5]
    state["dense1.weight"] = state["dense1.weight"].astype(np.float64)
    save_file(state, tmp_path / "other.safetensors")
    assert fail(["evaluate", folder, "--checkpoint", "other.safetensors"], capsys) == (
        "other.safetensors: these weights are of another model: dense1.bias is float32 (5,) where the model has "
        "float32 (64,); dense1.weight is float64 (64, 64) where the model has float32 (64, 64); "
        "extra is not in the model; logits.bias is missing."
    )


def test_weights_that_are_no_safetensors_are_refused(trained, capsys, tmp_path):
    """No file is ever unpickled; a missing one lists those there are."""
    folder, _ = trained
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04N.")
    message = fail(["evaluate", folder, "--checkpoint", "weights.pt"], capsys)
    assert message.startswith("weights.pt: is no safetensors file: ")
    assert message.endswith("Other formats are not read: they can run code.")
    message = fail(["evaluate", folder, "--checkpoint", "step-5"], capsys)
    assert message.startswith("--checkpoint step-5: there is no such checkpoint. Give last, best, the folder of a ")
    assert "step-00000060" in message


def test_a_run_without_weights_says_so(capsys, tmp_path):
    """A folder that holds nothing but a recipe."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text("[sgd]\nlr = 0.1\n[train]\nsteps = 1\n")
    message = "run: holds no weights yet, neither a checkpoint nor model.safetensors."
    assert fail(["evaluate", "run"], capsys) == message
    assert fail(["predict", "run"], capsys) == message


def test_predict_shows_the_first_held_out_examples(trained, capsys):
    """A table of ten rows, and how many are right; the JSON agrees with it."""
    folder, _ = trained
    lines = succeed(["predict", folder], capsys).splitlines()
    result = json.loads(succeed(["predict", folder, "--json"], capsys))
    assert lines[0] == f"{folder}/checkpoints/step-00000060, after 60 steps, on held-out examples:"
    assert lines[1].split() == ["example", "predicted", "probability", "true"]
    for line, row in zip(lines[2:-1], result["predictions"], strict=True):
        wrong = [] if row["class"] == row["target"] else ["wrong"]
        expected = [row["example"], row["class"], f"{row['probability']:.4f}", row["target"], *wrong]
        assert line.split() == list(map(str, expected))
        assert row["probability"] == max(row["probabilities"])
        assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-12)
    right = sum(row["class"] == row["target"] for row in result["predictions"])
    assert lines[-1] == f"  {right} of 10 right"


@pytest.mark.parametrize("form", ["npy", "npz", "csv"])
def test_predict_reads_each_kind_of_file(trained, capsys, form):
    """The held-out examples written to a file and read back get the same predictions."""
    folder, _ = trained
    inputs = held_out(folder)[:7]
    path = Path(f"inputs.{form}")
    if form == "npy":
        np.save(path, inputs)
    elif form == "npz":
        np.savez(path, inputs)
    else:
        np.savetxt(path, inputs, delimiter=",", fmt="%.9g")
    own = json.loads(succeed(["predict", folder, "--json", "--input", path], capsys))["predictions"]
    expected = json.loads(succeed(["predict", folder, "--json", "--count", "7"], capsys))["predictions"]
    assert [row["class"] for row in own] == [row["class"] for row in expected]
    assert [row["probability"] for row in own] == pytest.approx([row["probability"] for row in expected], rel=1e-6)
    assert all("target" not in row for row in own)
    lines = succeed(["predict", folder, "--input", path, "--count", "3"], capsys).splitlines()
    assert (lines[1].split(), len(lines)) == (["example", "predicted", "probability"], 5)


def test_a_single_example_is_taken_as_one(trained, capsys):
    """An array of just one example's shape needs no first axis."""
    folder, _ = trained
    np.save("one.npy", held_out(folder)[0])
    assert len(json.loads(succeed(["predict", folder, "--json", "--input", "one.npy"], capsys))["predictions"]) == 1


def test_inputs_scaled_otherwise_get_a_note(trained, capsys):
    """Pixels from 0 to 16 where the model knows 0 to 1: predicted, but not without a word."""
    folder, _ = trained
    np.save("raw.npy", held_out(folder)[:3] * 16)
    assert main(["predict", str(folder), "--input", "raw.npy"]) == 0
    note = "note: the inputs go from 0 to 16, those trained on from 0 to 1: were they scaled alike?\n"
    assert capsys.readouterr().err == note


def write_text(text):
    """Return a function that writes a text file."""
    return lambda path: Path(path).write_text(text)


ROW = ",".join(["0"] * 64)


def write_bomb(path, *, says, holds):
    """Write an archive with an array of so many numbers that holds so many bytes, nearly all of them zeros."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (says,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(holds))


# the file's name, how it is written, and the message
BAD_INPUTS = {
    "missing": ("in.npy", lambda path: None, "in.npy: cannot be read as NumPy's: No such file or directory."),
    "other kind": ("in.txt", write_text("1"), "in.txt: must be a .npy, .npz or .csv file."),
    "no array": ("in.npy", write_text("hello"), "in.npy: cannot be read as NumPy's: "),
    "empty": ("in.npy", write_text(""), "in.npy: cannot be read as NumPy's: "),
    "pickled": (
        "in.npy",
        lambda path: np.save(path, np.array([{}])),
        "in.npy: cannot be read as NumPy's: Object arrays",
    ),
    "words": ("in.npy", lambda path: np.save(path, np.array(["a"])), "in.npy: must hold numbers; got dtype <U1."),
    "complex": (
        "in.npy",
        lambda path: np.save(path, np.ones((2, 64)) * 1j),
        "in.npy: must hold numbers; got dtype complex128.",
    ),
    "wrong width": (
        "in.npy",
        lambda path: np.save(path, np.zeros((5, 63))),
        (
            "in.npy: an example of this run has shape (64,), so the file must hold an array of shape (examples, 64); "
            "got (5, 63)."
        ),
    ),
    "a number": ("in.npy", lambda path: np.save(path, np.zeros(())), "in.npy: an example of this run has shape (64,)"),
    "no example": ("in.npy", lambda path: np.save(path, np.zeros((0, 64))), "in.npy: holds no example."),
    "nan": (
        "in.npy",
        lambda path: np.save(path, np.where(np.arange(128).reshape(2, 64) == 70, np.nan, 0)),
        "in.npy: 1 example(s) hold inf or NaN, the first is example 1.",
    ),
    "two arrays": (
        "in.npz",
        lambda path: np.savez(path, a=np.zeros(1), b=np.zeros(1)),
        "in.npz: must hold one array; got 2: a, b.",
    ),
    "no archive": ("in.npz", write_text("hello"), "in.npz: cannot be read as NumPy's: "),
    "csv header": (
        "in.csv",
        write_text("a,b\n1,2\n"),
        "in.csv, line 1: 'a,b' is not a row of numbers with commas. Leave the header out.",
    ),
    "csv word": (
        "in.csv",
        write_text(f"{ROW}\n1,x\n"),
        "in.csv, line 2: '1,x' is not a row of numbers with commas.",
    ),
    "csv ragged": (
        "in.csv",
        write_text(f"{ROW}\n1,2,3\n"),
        "in.csv, line 2: has 3 numbers; an example of this run is a row of 64.",
    ),
    "csv narrow": (
        "in.csv",
        write_text("1,2\n" * 9),
        "in.csv, line 1: has 2 numbers; an example of this run is a row of 64.",
    ),
    "more than it says": (
        "in.npz",
        lambda path: write_bomb(path, says=10**6, holds=10**7),
        "in.npz, `x`: cannot be read as NumPy's: an array of shape (1000000,) and dtype float64 has 8,000,000 bytes, ",
    ),
    "csv empty": ("in.csv", write_text("\n"), "in.csv: holds no example."),
    "csv binary": ("in.csv", lambda path: Path(path).write_bytes(b"\xff\xfe"), "in.csv: is not text."),
    "folder": ("in.csv", lambda path: Path(path).mkdir(), "in.csv: is a folder, not a regular file."),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused(trained, capsys, case):
    """The message names the file, what it holds and what it has to hold."""
    folder, _ = trained
    name, write, message = BAD_INPUTS[case]
    write(name)
    assert fail(["predict", folder, "--input", name], capsys).startswith(message)
