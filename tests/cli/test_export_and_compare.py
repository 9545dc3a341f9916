"""`downslope export` and `downslope compare` through the real command line: pipes, files, mistakes, time."""

import ast
import json

import pytest

from cli.command_line import command, fail, succeed
from downslope.exporting import TARGETS
from house.source_tree import ROOT
from reading.first_corpus import FOUNDING

RECIPE = str(ROOT / "recipes" / "digits.toml")
TORCH = "torch: SGD(lr=0.1, momentum=0.9, weight_decay=5e-4)"
KERAS = "keras: SGD(learning_rate=0.1, momentum=0.9, weight_decay=5e-4)"


def piped(first, second):
    """Run two commands, the second reading what the first prints."""
    one = command(*first)
    assert one.returncode == 0, one.stderr
    return command(*second, input=one.stdout)


def test_the_founding_question_through_a_pipe():
    """`read ... --to toml | export - --to keras` prints a program that Python can parse; SGD is assumed."""
    done = piped(["read", FOUNDING, "--to", "toml", "--accept", "optimizer"], ["export", "-", "--to", "keras"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "keras.optimizers.schedules.ExponentialDecay(" in done.stdout
    ast.parse(done.stdout)


@pytest.mark.slow
def test_the_founding_question_in_keras_runs(capsys):
    """Its second reading, the page's own answer, is a Keras program that trains when it is run.

    It is run here, where Keras is loaded: that takes longer than all the rest.
    """
    words = ["export", FOUNDING, "--reading", "2", "--to", "keras", "--with-model", "--train.epochs", "2"]
    text = command(*words).stdout
    assert "kernel_regularizer=keras.regularizers.L2(0.02)" in text
    exec(compile(text, "program.py", "exec"), {"__name__": "__main__"})  # noqa: S102
    assert "held-out accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_of_a_recipe_or_why_not(target, capsys):
    """A recipe file is printed for every target; Caffe, which cannot, is told what is nearest."""
    if target == "caffe":
        message = fail(["export", RECIPE, "--to", target], capsys)
        assert "sgd.lr_in_velocity = true" in message
        out = succeed(["export", RECIPE, "--to", target, "--sgd.lr_in_velocity", "true"], capsys)
        assert 'lr_policy: "step"' in out
    else:
        ast.parse(succeed(["export", RECIPE, "--to", target], capsys))


def test_recipes_and_sentences_on_standard_input():
    """A recipe that is piped needs no dash, and words do as well as TOML."""
    text = (ROOT / "recipes" / "digits.toml").read_text(encoding="utf-8")
    from_file = command("export", RECIPE, "--to", "torch").stdout
    assert command("export", "--to", "torch", input=text).stdout == from_file
    done = command("export", "-", "--to", "torch", input="SGD, learning rate 0.25, momentum 0.9, 20 epochs")
    assert "lr=0.25" in done.stdout


def test_a_sentence_with_several_readings_says_so(capsys):
    """The first reading is exported, and that there are more is said beside the program, not in it."""
    done = command("export", FOUNDING, "--to", "torch")
    assert "this is number 1" in done.stderr
    assert "readings" not in done.stdout
    assert "there are" in fail(["export", FOUNDING, "--to", "torch", "--reading", "9"], capsys)


def test_out_writes_a_new_file_only(tmp_path, capsys):
    """--out writes what would be printed, and overwrites nothing."""
    file = tmp_path / "program.py"
    printed = succeed(["export", RECIPE, "--to", "optax"], capsys)
    assert not succeed(["export", RECIPE, "--to", "optax", "--out", file], capsys)
    assert file.read_text(encoding="utf-8") == printed
    assert "nothing is overwritten" in fail(["export", RECIPE, "--to", "optax", "--out", file], capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", RECIPE], "--to is missing"),
        (["export", RECIPE, "--to", "kears"], "Did you mean `keras`"),
        (["export", "missing.toml", "--to", "torch"], "no such file"),
        (["export", "folder/missing", "--to", "torch"], "no such file"),
        (["export", RECIPE, "--to", "torch", "--examples", "0"], "must be an integer >= 1"),
        (["export", RECIPE, "--to", "torch", "--examples", "9", "--steps-per-epoch", "9"], "not both"),
        (["export", "Adam with learning rate 0.001", "--to", "torch"], "the optimizer is adam"),
        (["export", RECIPE, "--to", "torch", "--sgd.momentun", "0.5"], "Did you mean"),
        (["compare", TORCH], "required: B"),
        (["compare", TORCH, ""], "the text is empty"),
        (["compare", TORCH, KERAS, "--steps-per-epoch", "3", "--examples", "3"], "not both"),
        (["compare", TORCH, "keras: SGD(momentun=0.9)"], "Did you mean `momentum`"),
    ],
)
def test_mistakes_get_one_message(words, message, capsys):
    """What a person gets wrong is one message and exit code 2."""
    assert message in fail(words, capsys)


def test_compare_says_where_why_and_what_to_do(capsys):
    """The page names the step, the cause and the regularizer; the exit code is 0 unless it is asked for."""
    out = succeed(["compare", TORCH, KERAS], capsys)
    assert "they part at step 1, the 2nd" in out
    assert "Because of: decay" in out
    assert "use kernel_regularizer=L2(0.00025), not weight_decay=0.0005" in out
    assert command("compare", TORCH, KERAS, "--exit-code").returncode == 1
    assert command("compare", TORCH, TORCH, "--exit-code").returncode == 0


def test_compare_as_json(capsys):
    """The same as data."""
    found = json.loads(succeed(["compare", RECIPE, RECIPE, "--json"], capsys))
    assert found["same"] is True
    assert found["settings_a"]["lr"]["schedule"] == "exponential"


def test_the_same_rule_says_the_scale(capsys):
    """Where only the velocity's scale differs, it is said."""
    out = succeed(
        ["compare", "torch: SGD(lr=0.1, momentum=0.9)", "keras: SGD(learning_rate=0.1, momentum=0.9)"], capsys
    )
    assert "The same rule (velocity of B = 0.1 times that of A)" in out
