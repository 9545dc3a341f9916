"""Paths below a home, on the command line and in a recipe, where no shell has expanded them."""

from pathlib import Path

import pytest
from command_line import fail, succeed

RECIPE = """
[data]
name = "table"
batch_size = 8
options = { path = "~/data/t.csv", target = "y" }
[model]
name = "mlp"
hidden = []
[sgd]
lr = 0.1
[train]
epochs = 1
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, no_report):
    """Work beside a home with a table in it."""
    home, work = tmp_path / "home", tmp_path / "work"
    (home / "data").mkdir(parents=True)
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    rows = "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(40))
    (home / "data/t.csv").write_text(f"a,b,y\n{rows}", encoding="utf-8")
    (home / "r.toml").write_text(RECIPE, encoding="utf-8")
    return home


def test_every_path_may_begin_at_home(home, capsys):
    """Recipe, data, run folder, input and checkpoint: nothing called ~ is made or looked for."""
    succeed(["train", "~/r.toml", "--out=~/runs/a"], capsys)
    assert (home / "runs/a/model.safetensors").is_file()
    assert list(Path().iterdir()) == []
    shown = succeed(["evaluate", "~/runs/a", "--checkpoint", "~/runs/a/checkpoints/step-00000004"], capsys)
    assert shown.startswith(f"{home}/runs/a/checkpoints/step-00000004, after 4 steps")
    assert "on ~/data/t.csv:" in succeed(["predict", "~/runs/a", "--input", "~/data/t.csv"], capsys)
    assert "resuming    from step 4" in succeed(["resume", "~/runs/a", "--train.epochs", "2"], capsys)
    succeed(["train", "~/r.toml", "--resume", "~/runs/a", "--out", "~/b", "--train.epochs", "3"], capsys)
    assert (home / "b/model.safetensors").is_file()


# the command, and the message
NOWHERE = {
    "run": (["evaluate", "~/no"], "~/no (HOME/no): there is no such run folder."),
    "resumed": (["resume", "~/no"], "~/no (HOME/no): there is no such run folder."),
    "reported": (["report", "~/no"], "~/no (HOME/no): there is no such run folder."),
    "recipe": (["train", "~/no.toml"], "~/no.toml (HOME/no.toml): no such file."),
    "forked": (
        ["train", "~/r.toml", "--resume", "~/no"],
        "--resume ~/no (HOME/no): no such folder. Give auto, never, a run",
    ),
    "table": (
        ["train", "~/r.toml", "--data.options.path", '"~/no.csv"'],
        "data.options.path = '~/no.csv' (HOME/no.csv): there is no such file.",
    ),
    "images": (
        ["train", "~/r.toml", "--data.name", '"images"', "--data.options", '{ path = "~/no" }'],
        "data.options.path = '~/no' (HOME/no): there is no such folder.",
    ),
    "dictionary": (
        ["train", "~/r.toml", "--data.name", '"cmudict"', "--data.options", '{ path = "~/no" }'],
        "data.options.path = '~/no' (HOME/no): cannot be read: No such file or directory.",
    ),
    "run elsewhere": (
        ["evaluate", "no"],
        "no: there is no such run folder. It is looked for from the current directory, WORK. Start one with downslope",
    ),
    "dictionary elsewhere": (
        ["train", "~/r.toml", "--data.name", '"cmudict"', "--data.options", '{ path = "no" }'],
        (
            "data.options.path = 'no': cannot be read: No such file or directory. It is looked for from the current "
            "directory, WORK."
        ),
    ),
    "user": (
        ["train", "~/r.toml", "--out", "~no-such-user/a"],
        "train: argument --out: ~no-such-user/a: begins with `~`, which stands for a home, but there is no user",
    ),
    "user of data": (
        ["train", "~/r.toml", "--data.options.path", '"~no-such-user/t.csv"'],
        "data.options.path = '~no-such-user/t.csv': begins with `~`",
    ),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_a_path_that_leads_nowhere_is_named_twice(case, home, capsys):
    """As it was written, and as what it became."""
    words, message = NOWHERE[case]
    assert fail(words, capsys).startswith(message.replace("HOME", str(home)).replace("WORK", str(home.parent / "work")))
    assert list(Path().iterdir()) == []
