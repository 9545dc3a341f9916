"""`downslope read` through its real command line: a sentence, a file, a pipe; pages, TOML, JSON; and mistakes."""

from __future__ import annotations

import json
import os

import pytest

from cli.command_line import command, fail, succeed
from downslope.cli.main import main
from downslope.core.columns import width_of
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
    page = succeed(["read", FOUNDING, "--lang", "en"], capsys)
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
    """Of a Chinese text, headings, reasons and remarks are Chinese; --lang decides otherwise."""
    assert succeed(["read", FOUNDING, "--lang", "en"], capsys).startswith("Reading 1 of 4: SGD")
    assert succeed(["read", SENTENCE, "--lang", "zh"], capsys).startswith("读法 1（共 1 种）：SGD")
    page = succeed(["read", FOUNDING], capsys)
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
        (["read", SENTENCE, "--to", "toml", "--accept", "sgd.ir"], "--accept sgd.ir: no such field was read"),
        (["read", SENTENCE, "--accept", "sgd.lr"], "--accept and --force belong to --to toml"),
        (["read", SENTENCE, "--to", "toml", "--json"], "give either --to or --json, not both"),
        (["read", SENTENCE, "--check", "missing.toml"], "missing.toml: no such file"),
        (["read", SENTENCE, "--check", ""], "argument --check: is empty"),
        (["read", FOUNDING, "--reading", "2"], "--reading belongs to --to toml and --check"),
        (["read", FOUNDING, "--json", "--reading", "1"], "--reading belongs to --to toml and --check"),
        (["read", SENTENCE, "missing.py"], "missing.py: No such file"),
        (["read", SENTENCE, "--html", "missing/page.html"], "there is no folder missing"),
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
    assert "is a folder" in fail(["read", SENTENCE, f"{tmp_path}/paper"], capsys)


# What is marked is not written unawares


@pytest.mark.parametrize(
    ("text", "field", "why"),
    [
        ("SGD, lr 15, momentum 0.9, 90 epochs", "sgd.lr", "a learning rate above 10"),
        ("SGD, lr 0.1, momentum 0.99995, 90 epochs", "sgd.momentum", "a momentum so near 1"),
        ("SGD, lr 0.1, weight decay 0.3, 90 epochs", "sgd.weight_decay", "a weight decay so strong"),
        ("SGD, lr 0.1, batch size 2000000, 90 epochs", "data.batch_size", "more than a million"),
        ("SGD, lr 0.1, momentum 0.9, 90 epochs; momentum 0.8", "sgd.momentum", "another value is stated too"),
        ("lr 0.1, 90 epochs", "optimizer", "no optimizer is named"),
    ],
)
def test_a_marked_value_is_refused_unless_accepted(text, field, why, capsys):
    """--to toml says which value and why; --accept of that field, or --force, writes it, the mark in its comment."""
    message = fail(["read", text, "--to", "toml"], capsys)
    assert f"`{field}`" in message
    assert why in message
    assert f"--accept {field}" in message
    accepted = succeed(["read", text, "--to", "toml", "--accept", field], capsys)
    assert succeed(["read", text, "--to", "toml", "--force"], capsys) == accepted
    assert parse_recipe(accepted).train.epochs == 90
    if field != "optimizer":
        line = next(line for line in accepted.splitlines() if line.startswith(f"{field.rsplit('.', 1)[-1]} = "))
        assert f"! {why}" in line
        row = next(row for row in succeed(["read", text], capsys).splitlines() if field in row)
        assert f"! {why}" in row


def test_every_marked_value_is_to_be_accepted(capsys):
    """Of two marked values, accepting one leaves the other to be told."""
    text = "lr 15, momentum 0.9, 90 epochs; momentum 0.8"
    message = fail(["read", text, "--to", "toml", "--accept", "sgd.lr"], capsys)
    assert "`sgd.momentum`" in message
    assert "`sgd.lr`" not in message
    succeed(["read", text, "--to", "toml", "--accept", "sgd.lr", "--accept", "sgd.momentum"], capsys)


# The page


def test_the_page_has_the_order_of_a_recipe(capsys):
    """Fields stand as in a recipe: data, the learning rate, the rest of SGD, the length; not as in the alphabet."""
    text = "SGD for 90 epochs, weight decay 1e-4, lr 0.1 divided by 10 every 30 epochs, batch size 256, momentum 0.9"
    paths = [line.split()[0] for line in succeed(["read", text], capsys).splitlines() if line.startswith("  ")]
    wanted = [
        "data.batch_size",
        "sgd.lr.schedule",
        "sgd.lr.initial",
        "sgd.momentum",
        "sgd.weight_decay",
        "train.epochs",
    ]
    assert [path for path in paths if path in wanted] == wanted


def test_the_page_is_wrapped(monkeypatch, capsys):
    """No line is wider than the terminal, Chinese characters counted as two columns."""
    for text in (f"{SENTENCE}, {SENTENCE}, dropout of 0.5 after the second fully connected layer of it", FOUNDING * 2):
        for width in (60, 80, 132):
            monkeypatch.setenv("COLUMNS", str(width))
            page = succeed(["read", text], capsys)
            assert max(map(width_of, page.splitlines())) <= width


def test_unused_numbers_are_whole_phrases(capsys):
    """What was not used is listed with the words around it."""
    page = succeed(["read", f"{SENTENCE}, dropout of 0.5"], capsys)
    assert "Not used:\n    - dropout of 0.5\n" in page


# Several files


def test_several_files(tmp_path, capsys):
    """A configuration and the command that overrides it are read together; each field says where its words stand."""
    (tmp_path / "base.yaml").write_text("lr: 0.1\nmomentum: 0.9\nepochs: 90\n", encoding="utf-8")
    (tmp_path / "run.sh").write_text("python train.py --lr 0.4\n", encoding="utf-8")
    page = succeed(["read", tmp_path / "base.yaml", tmp_path / "run.sh"], capsys)
    rows = {line.split()[0]: line for line in page.splitlines() if line.startswith("  ")}
    assert "0.4" in rows["sgd.lr"]
    assert f'{tmp_path / "run.sh"}:1: "--lr 0.4"' in " ".join(page.split())
    assert f'{tmp_path / "base.yaml"}:2: "momentum: 0.9"' in " ".join(page.split())
    assert "the configuration says 0.1" in " ".join(page.split())
    printed = json.loads(succeed(["read", tmp_path / "base.yaml", tmp_path / "run.sh", "--json"], capsys))
    found = printed["readings"][0]["fields"]["sgd.lr"]
    assert found["file"] == str(tmp_path / "run.sh")
    text = next(one["text"] for one in printed["files"] if one["name"] == found["file"])
    assert text[found["start"] : found["end"]] == found["words"] == "--lr 0.4"


def test_a_file_and_words(tmp_path, capsys):
    """Words in quotes beside a file are read with it."""
    (tmp_path / "base.yaml").write_text("lr: 0.1\nmomentum: 0.9\nepochs: 90\n", encoding="utf-8")
    recipe = parse_recipe(
        succeed(["read", tmp_path / "base.yaml", "--lr 0.4 --wd 1e-4", "--to", "toml", "--force"], capsys)
    )
    assert (recipe.sgd.lr, recipe.sgd.weight_decay, recipe.sgd.momentum) == (0.4, 1e-4, 0.9)


def test_a_huge_file_is_refused(tmp_path, capsys):
    """A text beyond any description of a training is refused by its size."""
    path = tmp_path / "log.txt"
    path.write_bytes(b"lr 0.1\n" * 1_500_000)
    assert "longer than 10,000,000 bytes" in fail(["read", path], capsys)


# A recipe that somebody else filled in


def test_check(tmp_path, capsys):
    """Each value is confirmed, contradicted or absent, with the words; the exit code is 0 only if all are confirmed."""
    good = succeed(["read", SENTENCE, "--to", "toml"], capsys)
    (tmp_path / "good.toml").write_text(good, encoding="utf-8")
    page = succeed(["read", SENTENCE, "--check", tmp_path / "good.toml"], capsys)
    assert "Every value is confirmed" in page
    (tmp_path / "bad.toml").write_text(good.replace("momentum = 0.9", "momentum = 0.8"), encoding="utf-8")
    code = main(["read", SENTENCE, "--check", str(tmp_path / "bad.toml")])
    out, _ = capsys.readouterr()
    assert code == 1
    row = next(line for line in out.splitlines() if line.startswith("sgd.momentum"))
    assert row.split(maxsplit=3) == ["sgd.momentum", "0.8", "contradicted", 'the text says 0.9: "momentum 0.9"']


def test_check_of_a_broken_recipe(tmp_path, capsys):
    """A recipe that is no TOML, or none of ours, is a person's mistake."""
    for text, message in (("[sgd", "not valid TOML"), ("[sgd]\nlr = 0.1\nmomentun = 0.9\n", "momentun")):
        (tmp_path / "broken.toml").write_text(text, encoding="utf-8")
        assert message in fail(["read", SENTENCE, "--check", tmp_path / "broken.toml"], capsys)


def test_html(tmp_path, capsys):
    """--html writes a page to the file, and says so."""
    assert succeed(["read", SENTENCE, "--html", tmp_path / "page.html"], capsys) == f"page: {tmp_path / 'page.html'}\n"
    assert "momentum 0.9" in (tmp_path / "page.html").read_text(encoding="utf-8")
