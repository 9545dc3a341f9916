"""`downslope read` through its real command line: a sentence, a file, a pipe; pages, TOML, JSON; and mistakes."""

from __future__ import annotations

import json
import os

import pytest

from cli.command_line import command, fail, succeed
from downslope.recipe.load import parse_recipe
from reading.first_corpus import FOUNDING

SENTENCE = "SGD with momentum 0.9, lr 0.1 divided by 10 every 30 epochs, 90 epochs"


def test_a_sentence(capsys):
    """The page has the optimizer, and each field with value, provenance and words."""
    page = succeed(["read", SENTENCE], capsys)
    assert page.startswith("Reading 1 of 1: SGD")
    line = next(line for line in page.splitlines() if "sgd.lr.rate" in line)
    assert line.split(maxsplit=3) == ["sgd.lr.rate", "0.1", "stated", '"divided by 10 every 30 epochs"']
    assert "batch size is not stated" in page


def test_the_founding_question(capsys):
    """Four readings, each with its reason; and the second as a recipe."""
    page = succeed(["read", FOUNDING], capsys)
    assert page.count("Because:") == 4
    recipe = parse_recipe(succeed(["read", FOUNDING, "--to", "toml", "--reading", "2"], capsys))
    assert (recipe.sgd.weight_decay, recipe.sgd.decay, recipe.sgd.momentum) == (0.04, "coupled", 0.9)


def test_flags_in_quotes(capsys):
    """A sentence that begins with a dash is a sentence."""
    assert "256" in succeed(["read", "--lr 0.1 --momentum 0.9 --wd 1e-4 -b 256"], capsys)


def test_words_after_a_double_dash(capsys):
    """After `--`, words need no quotes."""
    page = succeed(["read", "--json", "--", "--lr", "0.1", "-b", "256"], capsys)
    fields = json.loads(page)["readings"][0]["fields"]
    assert (fields["sgd.lr"]["value"], fields["data.batch_size"]["value"]) == (0.1, 256)


def test_a_file(tmp_path, capsys):
    """The text of a file is read."""
    path = tmp_path / "solver.prototxt"
    path.write_text('base_lr: 0.01\nlr_policy: "step"\ngamma: 0.1\nstepsize: 1000\nmax_iter: 5000\n', encoding="utf-8")
    recipe = parse_recipe(succeed(["read", path, "--to", "toml"], capsys))
    assert (recipe.sgd.lr.every, recipe.train.steps, recipe.sgd.lr_in_velocity) == (1000, 5000, True)


@pytest.mark.parametrize("words", [["read"], ["read", "-"]])
def test_standard_input(words):
    """What is piped in is read, as a process of its own."""
    done = command(*words, "--to", "toml", input=SENTENCE)
    assert done.returncode == 0, done.stderr
    assert parse_recipe(done.stdout).train.epochs == 90


def test_json(capsys):
    """JSON holds the text and every reading whole."""
    printed = json.loads(succeed(["read", SENTENCE, "--json"], capsys))
    assert printed["text"] == SENTENCE
    assert printed["readings"][0]["fields"]["sgd.momentum"] == {
        "value": 0.9,
        "provenance": "stated",
        "words": "momentum 0.9",
        "start": 9,
        "end": 21,
        "file": "",
        "marks": [],
    }


def test_chinese_page(capsys):
    """With --lang zh, headings, reasons and remarks are Chinese."""
    page = succeed(["read", FOUNDING, "--lang", "zh"], capsys)
    assert "读法 1（共 4 种）" in page
    assert "Because" not in page
    assert "not stated" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["read", ""], "the text is empty"),
        (["read", "missing.txt"], "missing.txt: No such file"),
        (["read", SENTENCE, "--reading", "2"], "there are 1"),
        (["read", SENTENCE, "--reading", "0"], "must be an integer >= 1"),
        (["read", "SGD with momentum 0.9", "--to", "toml"], "does not say what `sgd.lr` is"),
        (["read", "Adam, lr 0.1", "--to", "toml"], "the optimizer is adam"),
        (["read", SENTENCE, "--to", "yaml"], "invalid choice"),
        (["read", SENTENCE, "--sgd.lr", "0.1"], "belongs to a recipe"),
    ],
)
def test_mistakes(words, message, capsys):
    """A person's mistake is one message and exit code 2."""
    assert message in fail(words, capsys)


def test_a_binary_file_is_refused(tmp_path, capsys):
    """A file that is no text says so, with the place."""
    path = tmp_path / "weights.bin"
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert "not UTF-8 text" in fail(["read", path], capsys)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, capsys):
    """What has a file's name is opened as one, or refused; nothing hangs until somebody writes into it."""
    os.mkfifo(tmp_path / "paper.txt")
    assert "is a FIFO (a named pipe), not a regular file" in fail(["read", str(tmp_path / "paper.txt")], capsys)


def test_a_folder_is_not_read_as_words(tmp_path, capsys):
    """The folder of a paper is no sentence."""
    (tmp_path / "paper").mkdir()
    assert fail(["read", str(tmp_path / "paper")], capsys).endswith(
        "paper: is a folder. Give a file in it, or a sentence in quotes."
    )
