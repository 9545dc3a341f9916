"""Every command on a run folder that has been damaged: a message that names the file, or the work done all the same."""

import json
import os
import shutil

import pytest

from downslope.cli.main import main

COMMANDS = ["evaluate", "predict", "report", "resume"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return a finished run of 30 steps."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    assert main(["train", "--train.steps", "30", "--checkpoint.every_steps", "10", "--out", str(folder)]) == 0
    return folder


def overwrite(name, data):
    """Return a damage that overwrites files."""

    def damage(run):
        paths = list(run.glob(name))
        assert paths
        for path in paths:
            path.write_bytes(data)

    return damage


def cut(name):
    """Return a damage that cuts files in half."""

    def damage(run):
        paths = list(run.glob(name))
        assert paths
        for path in paths:
            os.truncate(path, path.stat().st_size // 2)

    return damage


def remove(name):
    """Return a damage that removes files or folders."""

    def damage(run):
        paths = list(run.glob(name))
        assert paths
        for path in paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


DAMAGES = {
    "recipe no TOML": overwrite("recipe.toml", b"[sgd"),
    "recipe binary": overwrite("recipe.toml", b"\xff\xff"),
    "recipe cut": cut("recipe.toml"),
    "recipe with an unknown key": overwrite("recipe.toml", b"[sgd]\nlr = 1\nnew = 2\n[train]\nsteps = 5\n"),
    "recipe a folder": lambda run: ((run / "recipe.toml").unlink(), (run / "recipe.toml").mkdir()),
    "facts gone": remove("run.json"),
    "facts cut": cut("run.json"),
    "facts a list": overwrite("run.json", b"[]"),
    "facts empty": overwrite("run.json", b"{}"),
    "log gone": remove("log.jsonl"),
    "log cut": cut("log.jsonl"),
    "log binary": overwrite("log.jsonl", b"\x00\xff\n\x00"),
    "log of other rows": overwrite("log.jsonl", b'{"kind": "step"}\n[]\n5\n'),
    "events gone": remove("events.jsonl"),
    "events binary": overwrite("events.jsonl", b"\x00\xff\n"),
    "events of other rows": overwrite("events.jsonl", b'{}\n[]\n"x"\n'),
    "checkpoints gone": remove("checkpoints"),
    "a manifest gone": remove("checkpoints/step-00000030/manifest.json"),
    "all manifests cut": cut("checkpoints/*/manifest.json"),
    "all manifests of nothing": overwrite("checkpoints/*/manifest.json", b"{}"),
    "all models cut": cut("checkpoints/*/model.safetensors"),
    "optimizers gone": remove("checkpoints/*/optimizer.safetensors"),
    "final model cut": cut("model.safetensors"),
    "final model and checkpoints gone": lambda run: (remove("model.safetensors")(run), remove("checkpoints")(run)),
    "no weight anywhere intact": lambda run: (
        cut("model.safetensors")(run),
        cut("checkpoints/*/model.safetensors")(run),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_run_gives_a_message_or_still_serves(sound, tmp_path, capsys, command, damage):
    """Never a traceback, never "a bug"; if it fails, one message that names a file or folder of the run."""
    run = tmp_path / "run"
    shutil.copytree(sound, run)
    DAMAGES[damage](run)
    capsys.readouterr()
    code = main([command, str(run)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "bug" not in err, err
    assert code in {0, 1, 2}
    if code:
        assert err.startswith("downslope: error: ")
        assert str(run) in err
    else:
        assert out


@pytest.mark.parametrize("damage", ["facts cut", "log cut", "events binary", "all models cut"])
def test_the_weights_of_a_run_serve_whatever_else_is_damaged(sound, tmp_path, capsys, damage):
    """Evaluating needs the recipe and weights that verify, nothing else: the result is the sound run's."""
    run = tmp_path / "run"
    shutil.copytree(sound, run)
    DAMAGES[damage](run)
    results = []
    for folder in (sound, run):
        capsys.readouterr()
        assert main(["evaluate", str(folder), "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]["loss"] == results[1]["loss"]
    assert bool(results[1]["notes"]) == (damage == "all models cut")
