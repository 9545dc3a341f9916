import json
import subprocess
import sys

import pytest
from sequence_runs import REVERSE

from house.source_tree import ROOT


def command(*words):
    """Run the real command line."""
    return subprocess.run(
        [sys.executable, "-m", "downslope", *map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a run that has learned to reverse words of up to 5 letters, mostly."""
    folder = tmp_path_factory.mktemp("sequences")
    recipe = folder / "reverse.toml"
    recipe.write_text(REVERSE, encoding="utf-8")
    done = command(
        *("train", recipe, "--out", folder / "run", "--train.epochs", 40, "--data.options.examples", 700),
        *("--model.options.hidden", 32, "--model.options.cell", "gru", "--checkpoint.every_steps", 1000),
    )
    assert done.returncode == 0, done.stderr
    assert "symbol error rate" in done.stdout
    return folder / "run"


@pytest.mark.slow
def test_a_word_given_as_text_is_written_backwards(trained):
    """`predict --input` prints what is asked for, and the JSON has its probability."""
    done = command("predict", trained, "--input", "abcd dcb")
    assert done.returncode == 0, done.stderr
    assert "dcba" in done.stdout
    assert "bcd" in done.stdout
    (one, two) = json.loads(command("predict", trained, "--input", "abcd dcb", "--json").stdout)["predictions"]
    assert (one["input"], one["output"], two["output"]) == ("abcd", "dcba", "bcd")
    assert 0.5 < one["probability"] <= 1
    assert one["ended"]


@pytest.mark.slow
def test_a_beam_gives_alternatives(trained):
    """The first is right, all differ, and none is likelier a symbol than the one before."""
    found = json.loads(command("predict", trained, "--input", "abcd", "--beam", "4", "--json").stdout)["predictions"][0]
    outputs = [found["output"], *(one["output"] for one in found["alternatives"])]
    assert found["output"] == "dcba"
    assert len(outputs) == len(set(outputs)) >= 2
    scores = [
        one["probability"] ** (1 / (len(one["output"]) + one["ended"])) for one in (found, *found["alternatives"])
    ]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_attention_is_drawn(trained, tmp_path, ending, begins):
    """In the format that the file's name asks for."""
    path = tmp_path / f"plot.{ending}"
    done = command("predict", trained, "--input", "abcd", "--attention", path)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(begins)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--input", "abxd"), "'x'"),
        (("--input", "   "), "is empty"),
        (("--input", "abc", "--beam", "0"), "--beam"),
        (("--input", "abc", "--attention", "plot.gif"), "must end in"),
        (("--input", "abc", "--attention", "no/such/folder/plot.png"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(trained, words, message):
    """An unknown letter, nothing, a beam of none, an unknown format, no folder: exit code 2 and no traceback."""
    done = command("predict", trained, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_file_of_words_and_the_held_out_examples(trained, tmp_path):
    """A text file gives its words; without input, held-out examples come with their right answers."""
    path = tmp_path / "words.txt"
    path.write_text("abc\ncab\n", encoding="utf-8")
    from_file = json.loads(command("predict", trained, "--input", path, "--json").stdout)["predictions"]
    assert [one["input"] for one in from_file] == ["abc", "cab"]
    held_out = json.loads(command("predict", trained, "--count", "3", "--json").stdout)["predictions"]
    assert len(held_out) == 3
    assert all(one["targets"] == [one["input"][::-1]] for one in held_out)


@pytest.mark.slow
def test_evaluate_gives_both_rates_and_those_of_longer_inputs(trained):
    """On the terminal and as JSON; what is as long as the examples learned from is the easier part."""
    done = command("evaluate", trained)
    assert "symbol error rate" in done.stdout
    assert "sequence error rate" in done.stdout
    found = json.loads(command("evaluate", trained, "--json").stdout)
    assert found["symbol_error_rate"] < 0.2
    assert found["longer_symbol_error_rate"] > found["symbol_error_rate"]
