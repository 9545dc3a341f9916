"""`downslope explain` through its real command line."""

from __future__ import annotations

import json
import os

import pytest
from command_line import command, fail, succeed

from house.source_tree import ROOT

DIGITS = str(ROOT / "recipes/digits.toml")


def test_it_explains_the_default_recipe_in_both_languages():
    """As processes of their own: text of some length, exit code 0, nothing on stderr."""
    for words, sentence in (([], "Weights forget their past over 2,000 steps"), (["--lang", "zh"], "2,000 步忘记过去")):
        done = command("explain", "--sources", *words, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"})
        assert (done.returncode, done.stderr) == (0, "")
        assert sentence in done.stdout
        assert len(done.stdout.splitlines()) > 80


def test_it_is_short_unless_it_is_asked_for_sources(capsys):
    """Half as long, without one formula, the numbers all there; where to find the rest, and nothing wrong."""
    short, long = succeed(["explain", DIGITS], capsys), succeed(["explain", DIGITS, "--sources"], capsys)
    assert 2 * len(short.splitlines()) < len(long.splitlines())
    assert "arXiv" in long
    assert not [word for word in ("arXiv", "Source", "[1]", "1 / (1 - momentum)") if word in short]
    for number in ("2,000 steps", "44.4", "6.58 steps", "211", "13.57", "0.00025", "0.4157", "5.623", "0.3162"):
        assert number in short
    assert short.endswith("--sources\n")


@pytest.mark.parametrize("more", [[], ["--sources"]], ids=" ".join)
def test_why_a_recipe_looks_wrong_is_the_last_line(more, capsys, monkeypatch):
    """The gravest error of `downslope audit`, with where it is; nothing where there is none."""
    monkeypatch.setenv("COLUMNS", "300")
    wrong = succeed(["explain", DIGITS, "--sgd.lr", "40", *more], capsys)
    assert wrong.splitlines()[-1] == (
        "This looks wrong: without a gradient, weights swing through 0: what a step learns is gone within an epoch "
        "(sgd.weight_decay). Why and what to do: downslope audit"
    )
    words = succeed(["explain", "SGD, lr 0.1, weight decay 0.98", "--lang", "zh", *more], capsys)
    assert words.splitlines()[-1].startswith("这看来有误")
    assert "looks wrong" not in succeed(["explain", "SGD, lr 0.1, momentum 0.9, 90 epochs", *more], capsys)


def test_it_keeps_to_the_width_of_the_terminal(capsys, monkeypatch):
    """`COLUMNS` wide: every sentence, with what goes on below its number."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = succeed(["explain", DIGITS], capsys).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  damping by curvature"))
    assert lines[at + 1].startswith(" " * 29)
    assert max(map(len, lines)) <= 80


def test_a_file_overrides_and_options_are_taken(capsys):
    """The recipe's values from the command line win; curvature and sizes are used."""
    out = succeed(
        ["explain", DIGITS, "--sgd.weight_decay", "5e-3", "--curvature", "0.5,20", "--examples", "3200", "--sources"],
        capsys,
    )
    assert "32 examples a step, 100 steps an epoch" in out
    assert "Weights forget their past over 200 steps" in out
    assert "For the curvature 20 that was given" in out
    assert "Fastest heavy ball" in out
    assert "unknown. Pass" not in out
    assert "100 examples a step" not in out
    longer = succeed(["explain", DIGITS, "--batch-size", "100", "--steps", "5000"], capsys)
    assert "100 examples a step, 15 steps an epoch" in longer
    assert "5,000 steps in all" in longer


def test_json_has_every_digit(capsys):
    """A program reads the same numbers, and infinity as a word."""
    table = json.loads(succeed(["explain", DIGITS, "--json"], capsys))
    values = {item["name"]: item["value"] for item in table["items"]}
    assert values["decay_steps"] == pytest.approx(2000)
    assert values["decay_epochs"] == pytest.approx(2000 / 45)
    assert values["largest_lr_heavy_ball"] is None
    assert table["equations"][-1]["left"] == "param"
    bare = json.loads(succeed(["explain", DIGITS, "--json", "--sgd.weight_decay", "0.0"], capsys))
    assert bare["peak"]["decay_steps"] == "infinity"
    groups = '[{ match = "*.bias", lr = { schedule = "linear", initial = 0.1, final = 0.0, duration = 9 } }]'
    grouped = json.loads(succeed(["explain", DIGITS, "--json", "--groups", groups], capsys))
    assert grouped["groups"][0]["changes"]["lr"]["schedule"] == "linear"


def test_a_page_is_written(tmp_path, capsys):
    """Where it was asked for, in the language asked for, and its place is printed."""
    pytest.importorskip("matplotlib")
    page = tmp_path / "explained.html"
    out = succeed(["explain", DIGITS, "--html", page, "--lang", "zh"], capsys)
    assert out == f"网页：{page}\n"
    assert '<html lang="zh-Hans">' in page.read_text(encoding="utf-8")


def test_standard_input_is_read():
    """`-` takes a recipe's text from a pipe."""
    text = (ROOT / "recipes/digits.toml").read_text(encoding="utf-8")
    done = command("explain", "-", "--curvature", "20", "--sources", input=text, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "Weights forget their past over 2,000 steps" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.toml"], "none.toml: no such file"),
        ([DIGITS, "--lang", "fr"], "--lang must be `en`, `zh` or `auto`; got 'fr'"),
        ([DIGITS, "--curvature", "steep"], "--curvature: must be a number, or several separated by commas"),
        ([DIGITS, "--curvature", "-3"], "`curvature` must be above 0"),
        ([DIGITS, "--curvature", "nan"], "`curvature` must be finite"),
        ([DIGITS, "--examples", "0"], "--examples: must be an integer >= 1"),
        ([DIGITS, "--html", "x.html", "--json"], "give either --html or --json, not both"),
        ([DIGITS, "--sources", "--json"], "--sources is for the terminal"),
        ([DIGITS, "--sgd.lr", "-1"], "`lr` must be finite and >= 0"),
        ([DIGITS, "other.toml"], "one argument too many"),
        ([DIGITS, "--curvatur", "3"], "Did you mean --curvature?"),
    ],
    ids=" ".join,
)
def test_mistakes_get_one_message(words, message, capsys):
    """What was wrong, what is allowed, exit code 2, no traceback."""
    assert message in fail(["explain", *words], capsys)


def test_a_folder_is_no_page(tmp_path, capsys):
    """A folder given for --html is refused, with the file to give."""
    pytest.importorskip("matplotlib")
    assert f"{tmp_path}: is a folder. Give the file to write" in fail(["explain", DIGITS, "--html", tmp_path], capsys)


def test_a_place_that_is_not_there_is_said(tmp_path):
    """A page cannot be written into a folder that does not exist: one line, exit code 2."""
    done = command("explain", DIGITS, "--html", str(tmp_path / "none" / "page.html"))
    assert done.returncode == 2
    assert f"there is no folder {tmp_path / 'none'}. Make it first" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_line_as_one_word_is_text_and_not_an_option(capsys):
    """'--lr 0.1 --momentum 0.9' in quotes is a sentence: it is not taken for an unknown option."""
    from downslope.cli.explain import _sentence_last

    sentence = "--lr 0.1 --momentum 0.9 --wd 1e-4 -b 256"
    assert _sentence_last([sentence, "--lang", "zh"]) == ["--lang", "zh", "--", sentence]
    assert _sentence_last(["--title", "- a title -", "x.toml"]) == ["--title", "- a title -", "x.toml"]
    assert _sentence_last(["--", sentence]) == ["--", sentence]


@pytest.mark.parametrize("name", ["nosuch", "digits-typo", "my/solver.txt", "runs/one two.toml.bak", "网络"])
@pytest.mark.parametrize("command_of", [lambda name: ["explain", name], lambda name: ["compare", name, "lr=0.1"]])
def test_a_name_that_there_is_no_file_of_is_said_to_be_one(name, command_of, capsys, tmp_path, monkeypatch):
    """Before it is taken as words, of which it has none: what is missing is the file."""
    monkeypatch.chdir(tmp_path)
    err = fail(command_of(name), capsys)
    assert f"{name}: no such file or recipe." in err
    assert "As words, it says nothing" in err


TAKE_RECIPES = (
    ["explain"],
    ["lab"],
    ["audit"],
    ["compare", "lr=0.1"],
    ["export", "--to", "torch"],
    ["rescale", "--batch-size", "32"],
)


@pytest.mark.parametrize("words", TAKE_RECIPES, ids=lambda words: words[0])
def test_every_command_says_that_there_is_no_such_file(words, capsys, tmp_path, monkeypatch):
    """A misspelt recipe with the one that is meant; and a file is not there, even where its name has settings in it."""
    monkeypatch.chdir(tmp_path)
    assert "digitz: no such file or recipe. Did you mean `digits`?" in fail([*words, "digitz"], capsys)
    for name in ("runs/lr0.1/solver.txt", "lr0.1_wd5e-4.py", "lr=0.1.yaml"):
        assert f"{name}: no such file" in fail([*words, name], capsys)
    assert not list(tmp_path.iterdir())


def test_one_word_that_says_something_is_words(capsys):
    """No space, and yet an lr; and one that names another optimizer is told that."""
    assert "0.1" in succeed(["explain", "学习率0.1"], capsys)
    assert "the optimizer is adam" in fail(["explain", "adam"], capsys)
    assert "is a device" in fail(["explain", os.devnull], capsys)
