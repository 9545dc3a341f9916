"""A run folder from elsewhere whose recipe names functions: nothing of it is run before a person says so."""

import json
import re
import shutil
from pathlib import Path

import pytest
from command_line import fail

import downslope
from downslope.cli.main import main
from downslope.cli.run_folders import find_trusted_run
from downslope.recipe.load import parse_recipe
from downslope.training.folder.trust import TrustError
from downslope.training.user_code import functions_named

MODULE = """
import pathlib, torch
with open({marks!r}, "a") as file:
    file.write("imported\\n")
def load():
    inputs = torch.arange(40.0).reshape(20, 2)
    return inputs, (inputs[:, 0] > 20).long()
def net(dataset):
    return torch.nn.Linear(dataset.train_inputs.shape[1], 10)
def loss(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets)
"""
OWN = {"data": '{ name = "MODULE:load", batch_size = 4 }', "model": "'MODULE:net'", "train.loss": '"MODULE:loss"'}
KEYS = {"data": "data.name", "model": "model.name", "train.loss": "train.loss"}
NONE = {"data": '{ name = "digits" }', "model": '{ name = "mlp", hidden = [4] }', "train.loss": '"cross_entropy"'}


@pytest.fixture
def place(tmp_path, monkeypatch, no_report):
    """Work in an empty folder with a module of one's own; return (module's name, how often it was imported)."""
    name, marks = f"own_{abs(hash(tmp_path))}", tmp_path / "marks"
    (tmp_path / f"{name}.py").write_text(MODULE.format(marks=str(marks)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    become("me", monkeypatch)

    def imported():
        """Return whether the module was imported since asked last."""
        import sys

        sys.modules.pop(name, None)
        found = marks.exists()
        marks.unlink(missing_ok=True)
        return found

    return name, imported


def refused(words, capsys):
    """Run a command that must fail as a person's mistake, and return its message."""
    capsys.readouterr()
    return fail(words, capsys)


def become(who, monkeypatch):
    """Be another user: one with a state folder of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(Path.cwd() / f"state of {who}"))


def train(module, keys=("data", "model", "train.loss"), out="run"):
    """Train a run whose recipe names functions under some keys."""
    words = {key: OWN[key].replace("MODULE", module) if key in keys else NONE[key] for key in NONE}
    options = [f"--{key}={value}" for key, value in words.items()]
    assert main(["train", *options, "--train.steps=3", "--sgd.lr=0.1", "--out", out]) == 0
    return out


def commands(run):
    """Return every command that would run what a run's recipe names."""
    return [
        ["evaluate", run],
        ["predict", run],
        ["report", run],
        ["resume", run, "--train.steps=5"],
        ["resume", run, "--dry-run"],
        ["resume", run, "--workers", "2"],
        ["train", f"{run}/recipe.toml"],
        ["train", f"{run}/recipe.toml", "--dry-run"],
        ["train", f"{run}/recipe.toml", "--resume", run],
        ["train", f"{run}/recipe.toml", "--resume", f"{run}/checkpoints/step-00000003", "--out", "new"],
    ]


def test_ones_own_run_is_asked_nothing(place, capsys):
    """Made here: every command works, in a copy and after a move too."""
    module, imported = place
    train(module)
    shutil.copytree("run", "copy")
    Path("run").rename("moved")
    for run in ("copy", "moved"):
        for command in ("evaluate", "predict", "resume"):
            assert main([command, run]) == 0
            assert imported() or command == "resume"  # which finds it finished


@pytest.mark.parametrize("key", [*OWN, "all"])
def test_a_run_from_elsewhere_is_refused_until_it_is_trusted(key, place, capsys, monkeypatch):
    """Whichever key names a function: code 2, its name, nothing imported or written; `--trust` is asked for once."""
    module, imported = place
    keys = tuple(OWN) if key == "all" else (key,)
    run = train(module, keys=keys)
    become("somebody else", monkeypatch)
    imported(), capsys.readouterr()
    before = sorted(Path().rglob("*"))
    for words in commands(run):
        message = refused(words, capsys)
        assert message.startswith(f"{run}: was not made here by you")
        assert [key for key in KEYS if f"{KEYS[key]} = '{module}:" in message] == list(keys)
        assert "--trust" in message
        assert not imported(), words
    assert sorted(Path().rglob("*")) == before
    assert main(["watch", "--once", run]) == 0  # which runs nothing
    assert not imported()
    assert main(["evaluate", run, "--trust"]) == 0
    assert imported()
    for words in (["evaluate", run], ["predict", run], ["resume", run, "--train.steps=5"]):
        assert main(words) == 0
    assert imported()
    become("a third", monkeypatch)
    refused(["evaluate", run], capsys)


def test_a_run_from_elsewhere_that_names_no_function_needs_nothing(place, capsys, monkeypatch):
    """Weights, states and tables are data."""
    run = train(place[0], keys=())
    become("somebody else", monkeypatch)
    for words in (["evaluate", run], ["predict", run], ["resume", run, "--train.steps=5"]):
        assert main(words) == 0
    assert not (Path.cwd() / "state of me").exists()
    assert not (Path.cwd() / "state of somebody else").exists()
    assert "made_here" not in json.loads(Path(run, "run.json").read_text())


def test_a_seal_fits_no_other_function_and_no_made_up_one_is_taken(place, capsys, monkeypatch):
    """Ones own folder, come back with another function in its recipe; and folders without a seal or with any text."""
    module, imported = place
    run = Path(train(module))
    recipe, facts = (run / "recipe.toml").read_text(), json.loads((run / "run.json").read_text())
    (run / "recipe.toml").write_text(recipe.replace(f"{module}:net", "os:system"))
    imported()
    assert "model.name = 'os:system'" in refused(["evaluate", run], capsys)
    (run / "recipe.toml").write_text(recipe)
    for seal in (None, "", "0" * 32, facts["made_here"][:-1], facts["made_here"].upper(), "\u00e9", 5, [], {}):
        changed = {**facts, "made_here": seal}
        (run / "run.json").write_text(json.dumps(changed))
        refused(["evaluate", run], capsys)
    for text in ("", "{}", "[", "[" * 100_000, json.dumps({k: v for k, v in facts.items() if k != "made_here"})):
        (run / "run.json").write_text(text)
        refused(["evaluate", run], capsys)
    (run / "run.json").unlink()
    refused(["evaluate", run], capsys)
    assert not imported()
    assert main(["evaluate", str(run), "--trust"]) == 0
    (run / "recipe.toml").write_text(recipe.replace(f"{module}:net", "os:system"))
    refused(["evaluate", run], capsys)  # what was trusted is these functions


@pytest.mark.parametrize("state", ["a file", "read-only", "a link", "of another length"])
def test_where_nothing_can_be_noted_a_run_counts_as_one_from_elsewhere(state, place, capsys, monkeypatch):
    """Training goes on; what uses the run asks for --trust, each time, and then works."""
    module, _ = place
    root = Path.cwd() / "state of me"
    if state == "a file":
        root.write_text("")
    elif state == "read-only":
        monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    else:
        (root / "downslope").mkdir(parents=True)
        Path("key").write_text("0" * 64 + "\n")
        secret = root / "downslope" / "secret"
        secret.symlink_to(Path("key").resolve()) if state == "a link" else secret.write_text("00")
    capsys.readouterr()
    run = train(module)
    assert "that this run is yours; using it will need --trust" in capsys.readouterr().out
    for _ in range(2):
        refused(["evaluate", run], capsys)
        assert main(["evaluate", run, "--trust"]) == 0
    assert Path("key").read_text() == "0" * 64 + "\n" if state == "a link" else True


def test_the_secret_is_for_its_owner_alone_and_made_once(place):
    """Permissions 0600, in a folder of 0700; a second run takes the same, so that equal runs have equal facts."""
    module, _ = place
    train(module)
    secret = Path.cwd() / "state of me" / "downslope" / "secret"
    first = secret.read_bytes()
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    train(module, out="again")
    assert secret.read_bytes() == first
    assert Path("run", "run.json").read_bytes() == Path("again", "run.json").read_bytes()
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]


def test_every_key_whose_function_is_imported_is_looked_at():
    """What the source imports by name is what a recipe is asked for: a new key must be in both."""
    package = Path(downslope.__file__).parent
    text = "\n".join(path.read_text(encoding="utf-8") for path in (package / "training").rglob("*.py"))
    imported = re.findall(r'(?:call|import)_(?:function|object)\([^")]*"([a-z_]+\.[a-z_]+)"', text)
    recipe = parse_recipe('data.name = "a:b"\nmodel.name = "c:d"\nsgd.lr = 0.1\ntrain = { steps = 1, loss = "e:f" }')
    assert set(imported) == set(functions_named(recipe)) == set(KEYS.values())


def test_of_several_workers_the_first_alone_asks(place, capsys, monkeypatch):
    """The homes of other machines may know nothing of the run; the command was given once for all."""
    run = train(place[0])
    become("somebody else", monkeypatch)
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "20001"}.items():
        monkeypatch.setenv(name, value)
    assert find_trusted_run(run, trust=False) == Path(run)
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(TrustError):
        find_trusted_run(run, trust=False)
