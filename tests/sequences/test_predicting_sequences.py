import contextlib
import io
import json
from pathlib import Path

import pytest
import torch
from sequence_runs import REVERSE

from downslope.cli.main import main
from downslope.training.sequences.transcribe import draw_attention
from house.source_tree import ROOT


def command(capsys, *words):
    """Run a command in this process; return its exit code, what it printed, and its messages."""
    code = main([str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def predictions(capsys, *words):
    """Return what `predict --json` gives."""
    code, out, err = command(capsys, "predict", *words, "--json")
    assert code == 0, err
    return json.loads(out)["predictions"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a run that has learned to reverse words of up to 5 letters."""
    folder = tmp_path_factory.mktemp("sequences")
    recipe = folder / "reverse.toml"
    recipe.write_text(REVERSE, encoding="utf-8")
    options = "{ examples = 3000, symbols = 5, shortest = 2, longest = 5, longest_held_out = 8 }"
    lr = '{ schedule = "cosine", initial = 0.5, final = 0.0, duration = 8, unit = "epoch" }'
    words = [
        *("train", str(recipe), "--out", str(folder / "run"), "--data.options", options, "--data.batch_size", "32"),
        *("--model.options", '{ hidden = 48, embedding = 16, cell = "gru" }', "--sgd.lr", lr, "--train.epochs", "8"),
        *("--checkpoint.every_steps", "1000"),
    ]
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(words) == 0
    assert "symbol error rate" in said.getvalue()
    return folder / "run"


@pytest.mark.slow
def test_a_word_given_as_text_is_written_backwards(trained, capsys):
    """`predict --input` prints what is asked for, and the JSON has its probability."""
    code, out, err = command(capsys, "predict", trained, "--input", "abcd dcb")
    assert code == 0, err
    assert "dcba" in out
    (one, two) = predictions(capsys, trained, "--input", "abcd dcb")
    assert (one["input"], one["output"], two["output"]) == ("abcd", "dcba", "bcd")
    assert 0.5 < one["probability"] <= 1
    assert one["ended"]


@pytest.mark.slow
def test_a_beam_gives_alternatives(trained, capsys):
    """The first is right, all differ, and none is likelier a symbol than the one before."""
    found = predictions(capsys, trained, "--input", "abcd", "--beam", "4")[0]
    listed = [found, *found["alternatives"]]
    assert found["output"] == "dcba"
    assert len(listed) == len({one["output"] for one in listed}) >= 2
    scores = [one["probability"] ** (1 / (len(one["output"]) + one["ended"])) for one in listed]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
def test_attention_is_drawn(trained, tmp_path, capsys):
    """The command line writes the picture and says where."""
    path = tmp_path / "plot.png"
    code, out, err = command(capsys, "predict", trained, "--input", "abcd", "--attention", path)
    assert code == 0, err
    assert path.read_bytes().startswith(b"\x89PNG")
    assert str(path) in out


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_has_the_format_of_its_name(tmp_path, ending, begins):
    """Each of the three formats begins as such files do."""
    path = tmp_path / f"plot.{ending}"
    draw_attention(path, torch.eye(2), ["a", "b"], ["B", "A"])
    assert path.read_bytes().startswith(begins)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--input", "abxd"), "'x'"),
        (("--input", "   "), "is empty"),
        (("--input", "abc", "--beam", "0"), "--beam"),
        (("--input", "abc", "--attention", "plot.gif"), "must end in"),
        (("--input", "abc", "--attention", "no/such/folder/plot.png"), "there is no folder no/such/folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(trained, words, message, capsys):
    """An unknown letter, nothing, a beam of none, an unknown format, no folder: exit code 2 and why."""
    code, _, err = command(capsys, "predict", trained, *words)
    assert code == 2
    assert message in err


@pytest.mark.slow
def test_a_file_of_words_and_the_held_out_examples(trained, tmp_path, capsys):
    """A text file gives its words; without input, held-out examples come with their right answers."""
    path = tmp_path / "words.txt"
    path.write_text("abc\ncab\n", encoding="utf-8")
    assert [one["input"] for one in predictions(capsys, trained, "--input", path)] == ["abc", "cab"]
    held_out = predictions(capsys, trained, "--count", "3")
    assert len(held_out) == 3
    assert all(one["targets"] == [one["input"][::-1]] for one in held_out)


@pytest.mark.slow
def test_evaluate_gives_both_rates_and_those_of_longer_inputs(trained, capsys):
    """On the terminal and as JSON; what is as long as the examples learned from is the easier part."""
    _, out, _ = command(capsys, "evaluate", trained)
    assert "symbol error rate" in out
    assert "sequence error rate" in out
    found = json.loads(command(capsys, "evaluate", trained, "--json")[1])
    assert found["symbol_error_rate"] < 0.05
    assert found["longer_symbol_error_rate"] > found["symbol_error_rate"]


def test_what_is_written_for_rated_words_goes_into_a_file(tmp_path, monkeypatch, capsys):
    """Input, what is written and what is right, and the mean cross-entropy a symbol of each; the mean is the loss."""
    monkeypatch.chdir(tmp_path)
    Path("reverse.toml").write_text(REVERSE, encoding="utf-8")
    options = "{ examples = 60, symbols = 4, shortest = 3, longest = 3, longest_held_out = 3 }"
    words = ["--data.options", options, "--model.options", '{ hidden = 8, embedding = 4, cell = "gru" }']
    code, _, err = command(capsys, "train", "reverse.toml", "--out", "run", *words, "--train.epochs", "1")
    assert code == 0, err
    Path("words.txt").write_text("abc\tcba\nabx\tcba\nddd\tddd\n", encoding="utf-8")
    for source, right in (([], None), (["--input", "words.txt"], ["cba", None, "ddd"])):
        code, out, _ = command(capsys, "evaluate", "run", *source, "--output", "found.jsonl", "--json")
        rated, lines = json.loads(out), Path("found.jsonl").read_text(encoding="utf-8").splitlines()
        Path("found.jsonl").unlink()
        rows = list(map(json.loads, lines))
        losses = [row["loss"] for row in rows if "loss" in row]
        assert len(losses) == rated["examples"]
        assert sum(losses) / len(losses) == pytest.approx(rated["loss"], rel=1e-5)  # all are equally long
        wrong = [row["output"] not in row["targets"] for row in rows if "targets" in row]
        assert sum(wrong) / len(wrong) == pytest.approx(rated["sequence_error_rate"])
        if right is not None:
            assert code == 1
            assert [row["targets"][0] if "targets" in row else None for row in rows] == right
            assert "note" in rows[1]
    code, _, err = command(capsys, "evaluate", "run", "--output", "found.csv")
    header = Path("found.csv").read_text(encoding="utf-8").splitlines()[0]
    assert (code, header) == (0, "example,input,predicted,probability,ended,true,loss,note"), err
    assert "sequences are in memory" in command(capsys, "predict", "run", "--loaders", "2")[2]
