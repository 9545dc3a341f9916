"""Data given as a recipe, and a part of a run given as another: the message names it, and the command that works."""

import os
import re
import shlex

import pytest
from command_line import fail, succeed

from downslope.core.errors import RecipeError
from downslope.recipe.given import refuse_data

COMMANDS = (["train"], ["explain"], ["export", "--to", "torch"], ["compare", "digits"])


def command_in(message):
    """Return the words of the command that a message gives between backticks."""
    return shlex.split(re.search(r"`downslope ([^`]*)`", message)[1])


@pytest.fixture
def houses(tmp_path, monkeypatch):
    """Return the name of a table in the current folder."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i % 7},{i % 3},{'ab'[i % 2]}\n" for i in range(40))
    (tmp_path / "house prices.csv").write_text("rooms,area,kind\n" + rows)
    return "house prices.csv"


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_data_are_no_recipe_in_any_command(words, houses, capsys):
    """A table, a folder of tables, one of images and an image are said to be data, wherever a recipe is wanted."""
    for name, what in {houses: "is data, a table", ".": "is a folder, not a recipe file. It holds data."}.items():
        message = fail([*words, name], capsys)
        assert message.startswith(f"{name}: {what}")
        assert "downslope train RECIPE --data table" in message
        assert "`downslope recipes` lists" in message


def test_the_command_that_is_shown_trains_on_the_table(houses, capsys):
    """With the recipe and the column filled in, the command in the message is one that plans a run."""
    words = [{"RECIPE": "digits", "COLUMN": "kind"}.get(w, w) for w in command_in(fail(["train", houses], capsys))]
    assert "table: 32 examples to learn from, 8 held out, 2 classes" in succeed([*words, "--dry-run"], capsys)


def test_every_kind_of_folder_is_told(tmp_path, monkeypatch):
    """A folder that holds recipes, a run, images or nothing each gets what can be done with it."""
    monkeypatch.chdir(tmp_path)
    cases = {
        "mine": ("fast.toml", r"It holds recipes; give one: mine/fast\.toml\."),
        "run": ("recipe.toml", "It holds a run: `downslope resume run` goes on with it"),
        "pets": ("cat/1.png", r"--data images --data\.options\.path '\"pets\"'"),
        "tables": ("a.parquet", r"--data table --data\.options\.path '\"tables/a\.parquet\"'"),
    }
    for folder, (inside, message) in cases.items():
        path = tmp_path / folder / inside
        path.parent.mkdir(parents=True)
        path.touch()
        with pytest.raises(RecipeError, match=message):
            refuse_data(folder)
    with pytest.raises(RecipeError, match=r"an image.*--data images --data\.options\.path '\"pets\"'"):
        refuse_data("pets/cat/1.png")
    for passed in ("nosuch.csv", "lr 0.1, momentum 0.9", "mine/fast.toml", "x" * 5000, "a\nb.csv", "~nobody-such/x"):
        refuse_data(passed)


def test_all_checkpoints_are_not_one(trained, capsys, tmp_path):
    """The folder of checkpoints, a run and another folder, given as a checkpoint, are named with what is allowed."""
    run = trained[0]
    for given, what in {
        run / "checkpoints": f"is the folder of all checkpoints of the run {run}, not one of them.",
        run: "is a run folder, not one checkpoint.",
        tmp_path: "is a folder, but neither a run folder nor a checkpoint.",
    }.items():
        message = fail(["evaluate", run, "--checkpoint", given], capsys)
        assert message.startswith(f"--checkpoint {given}: {what} Give last, best, the folder of a checkpoint, or")
        assert f"{run}/checkpoints/step-" in message
        assert fail(["predict", run, "--checkpoint", given], capsys) == message
    assert "held-out examples" in succeed(command_in(message), capsys)


def test_velocities_are_no_weights(trained, capsys, tmp_path):
    """The file of a checkpoint that has the names and shapes of its weights is told, there and copied elsewhere."""
    step = min((trained[0] / "checkpoints").iterdir())
    given = step / "optimizer.safetensors"
    (tmp_path / given.name).write_bytes(given.read_bytes())
    (tmp_path / "optimizer.1-of-2.safetensors").write_bytes(given.read_bytes())
    for words in (["evaluate"], ["predict"], ["pack", "--to", "export", "--out", tmp_path / "x.pt2"]):
        assert fail([words[0], trained[0], *words[1:], "--checkpoint", given], capsys) == (
            f"{given}: holds velocities, not weights. Give the folder of the checkpoint: {step}."
        )
        for copy in tmp_path.iterdir():
            message = fail([words[0], trained[0], *words[1:], "--checkpoint", copy], capsys)
            assert (
                message == f"{copy}: holds velocities, not weights. Give the model.safetensors that it was made beside."
            )
    message = fail(["train", "--train.start_from", given, "--out", tmp_path / "new"], capsys)
    assert message.startswith(f"train.start_from = '{given}': {given}: holds velocities, not weights.")
    assert not (tmp_path / "x.pt2").exists()
    assert "held-out examples" in succeed(["evaluate", trained[0], "--checkpoint", step / "model.safetensors"], capsys)


def test_a_pipe_is_no_checkpoint_and_no_words(trained, capsys, tmp_path):
    """What is there and no regular file is said to be that, not to be absent or to have no possible name."""
    os.mkfifo(tmp_path / "pipe")
    for words in (["evaluate", trained[0], "--checkpoint"], ["read"]):
        message = fail([*words, tmp_path / "pipe"], capsys)
        assert message.removeprefix("read: ") == f"{tmp_path / 'pipe'}: is a FIFO (a named pipe), not a regular file."


def test_a_run_is_resumed_by_its_folder_or_one_checkpoint(trained, capsys, tmp_path):
    """The folder of checkpoints, or a file of a run, given to --resume is named, with the run to give."""
    run = trained[0]
    for given, what in {
        run / "checkpoints": f"is the folder of all checkpoints of the run {run}, not one of them.",
        run / "model.safetensors": "is a regular file, not the folder of a checkpoint.",
    }.items():
        for words in ([], ["--out", tmp_path / "new"], ["--out", tmp_path / "new", "--dry-run"]):
            message = fail(["train", "--resume", given, *words], capsys)
            assert message.startswith(f"--resume {given}: {what} Give the run, to go on")
            assert f"--resume {run}." in message
        assert not (tmp_path / "new").exists()
    neither = fail(["train", "--resume", tmp_path], capsys)
    assert neither.startswith(f"--resume {tmp_path}: is a folder, but neither a run folder nor a checkpoint. Give")


@pytest.mark.parametrize("command", ["resume", "watch", "evaluate", "predict", "report"])
def test_what_lies_in_a_run_leads_to_the_run(command, trained, capsys):
    """A part of a run given as a run is told to lie in one, and in which, by every command that takes a run."""
    run = trained[0]
    for part in ("checkpoints", "checkpoints/step-00000060", "log.jsonl"):
        assert fail([command, run / part], capsys).endswith(f"it lies in the run {run}. Give that: {run}.")


def test_a_part_of_a_run_is_no_recipe(trained, capsys):
    """Whatever a run writes beside its recipe, given as a recipe, is told by the run, its recipe and how to go on."""
    run = trained[0]
    step = min((run / "checkpoints").iterdir())
    for part in ("checkpoints", step.name, f"{step.name}/model.safetensors", "run.json", "log.jsonl", "events.jsonl"):
        path = run / "checkpoints" / part if part.startswith(step.name) else run / part
        for words in COMMANDS:
            message = fail([*words, path], capsys)
            assert message.startswith(f"{path}: is a part of the run {run}, not a recipe. `downslope resume")
            assert message.endswith(f"its recipe is {run}/recipe.toml.")
    assert "Nothing was trained or written" in succeed(["train", run / "recipe.toml", "--dry-run"], capsys)


def test_a_folder_beside_a_recipe_is_no_part_of_a_run(tmp_path):
    """A recipe that is called as a run's own makes no run of the folder of images beside it."""
    (tmp_path / "recipe.toml").touch()
    (tmp_path / "pets/cat").mkdir(parents=True)
    with pytest.raises(RecipeError, match="If it holds images"):
        refuse_data(tmp_path / "pets")


@pytest.mark.parametrize("words", [["train", ""], ["explain", ""], ["evaluate", ""], ["train", "--out", ""]], ids=str)
def test_an_empty_name_is_not_the_current_folder(words, capsys):
    """What a shell makes of a variable that is not set is refused, rather than taken for where one stands."""
    assert "is empty. Give " in fail(words, capsys)
