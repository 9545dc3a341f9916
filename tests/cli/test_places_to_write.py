"""Every path that a command is to write to is looked at first: what a person can mend gets exit code 2, and why."""

import shutil

import pytest
from command_line import fail
from denied import denied

from downslope.cli.main import main

WRITERS = {
    "report --out": ["report", "RUN", "--out"],
    "explain --html": ["explain", "digits", "--html"],
    "export --out": ["export", "digits", "--to", "torch", "--out"],
    "predict --output": ["predict", "RUN", "--output"],
    "predict --attention": ["predict", "RUN", "--attention"],
    "convert": ["convert", "RUN", "--from", "downslope", "--to", "torch"],
}
"""Every way to have a file written; the path follows."""

ENDINGS = {"predict --output": "x.csv", "predict --attention": "x.svg", "convert": "x.safetensors"}


@pytest.mark.parametrize("name", WRITERS)
def test_a_place_that_is_none_is_a_mistake(name, trained, tmp_path, monkeypatch, capsys):
    """A folder that is missing or a file, a folder in the file's place, a device and a name that none can have."""
    monkeypatch.chdir(tmp_path)
    file = ENDINGS.get(name, "x.html")
    (tmp_path / "plain").write_text("")
    (tmp_path / "folder" / file).mkdir(parents=True)
    words = [str(trained[0]) if word == "RUN" else word for word in WRITERS[name]]
    for place, message in {
        f"nowhere/{file}": f"nowhere/{file}: there is no folder nowhere. Make it first",
        f"plain/{file}": f"plain/{file}: there is no folder plain. Make it first",
        f"folder/{file}": f"folder/{file}: is a folder. Give the file to write",
        "/dev/null": "/dev/null: is a device, not a regular file, and would be replaced. Give a file",
        "x" * 5000 + file: "no file can be called so: File name too long",
    }.items():
        assert message in fail([*words, place], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "plain"]


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "predict --attention"])
def test_a_file_that_cannot_be_written_is_a_failure(name, trained, tmp_path, capsys):
    """In a folder that is there and takes no files, as a full disk does, the work has failed: exit code 1."""
    words = [str(trained[0]) if word == "RUN" else word for word in WRITERS[name]]
    place = f"/proc/{ENDINGS.get(name, 'x.html')}"
    assert main([*words, place]) == 1
    message = capsys.readouterr().err
    assert message.startswith("downslope: error: ")
    assert place.rpartition("/")[2] in message


OPTIONS = {
    "predict --output": ["predict", "RUN", "--output", "ro/x.csv"],
    "evaluate --output": ["evaluate", "RUN", "--output", "ro/x.csv"],
    "train --preview": ["train", "--preview", "ro/x.html"],
    "train --out": ["train", "--train.steps", "1", "--out", "ro/run"],
    "tune --out": ["tune", "digits", "--out", "ro/study"],
    "report --out": ["report", "RUN", "--out", "ro/x.html"],
    "pack --out": ["pack", "RUN", "--to", "export", "--out", "ro/x.pt2"],
    "export --out": ["export", "digits", "--to", "torch", "--out", "ro/program"],
    "rescale --out": ["rescale", "digits", "--epochs", "2", "--examples", "100", "--out", "ro/a.toml"],
    "lab --out": ["lab", "--out", "ro/x.html"],
    "schema --out": ["schema", "--out", "ro/x.json"],
    "explain --html": ["explain", "digits", "--html", "ro/x.html"],
    "read --html": ["read", "SGD, lr 0.1", "--html", "ro/x.html"],
    "convert OUT": ["convert", "RUN", "ro/x.safetensors", "--to", "torch"],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_where_writing_is_denied_the_commands_own_option_is_named(name, trained, tmp_path, monkeypatch, capsys):
    """Not another command's; the file is named as it was given, not the one beside it that was to take its place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ro").mkdir()
    words = [str(trained[0]) if word == "RUN" else word for word in OPTIONS[name]]
    place, option = next(word for word in words if word.startswith("ro/")), name.split()[1]
    with denied(tmp_path / "ro"):
        assert main(words) == 1
    told = (
        f"{place}: permission denied. Choose another folder {'for' if option == 'OUT' else 'with'} {option}, or change"
    )
    assert told in (err := capsys.readouterr().err)
    assert err.startswith(("downslope: error: cannot write ro/", "downslope: error: cannot create ro/"))
    assert list((tmp_path / "ro").iterdir()) == []


def test_a_folder_that_may_not_be_looked_into_is_a_mistake(tmp_path, capsys):
    """It is said before any work is done."""
    (tmp_path / "ro").mkdir()
    with denied(tmp_path / "ro"):
        (tmp_path / "ro").chmod(0)
        told = fail(["export", "digits", "--to", "torch", "--out", tmp_path / "ro" / "program"], capsys)
    assert f"{tmp_path}/ro/program: permission denied. Give another place, or change its permissions" in told


def test_a_run_that_cannot_be_written_goes_on_as_a_copy(trained, tmp_path, capsys):
    """`resume` has no option for it: what is advised works. Where a page of a run cannot be written, --out is named."""
    run = shutil.copytree(trained[0], tmp_path / "run")
    with denied(run):
        assert main(["report", str(run)]) == 1
        assert "report.html: permission denied. Choose another folder with --out, or" in capsys.readouterr().err
    (run / "lock").unlink(missing_ok=True)
    with denied(run):
        assert main(["resume", str(run), "--train.epochs", "30"]) == 1
    advice = "Copy the run to where writing is allowed and use the copy, or change its permissions."
    assert capsys.readouterr().err == f"downslope: error: cannot write {run}/lock: permission denied. {advice}\n"
    copy = shutil.copytree(run, tmp_path / "copy")
    assert main(["resume", str(copy), "--train.epochs", "30"]) == 0


OWN = {
    "recipe.toml": ["explain", "digits", "--html"],
    "log.jsonl": ["report", "RUN", "--out"],
    "run.json": ["predict", "RUN", "--output"],
    "inputs.json": ["evaluate", "RUN", "--output"],
    "model.safetensors": ["pack", "RUN", "--to", "export", "--out"],
    "checkpoints/step-00000060/model.safetensors": ["pack", "RUN", "--to", "export", "--out"],
    "ema.safetensors": ["convert", "RUN", "--force"],
}


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_a_run_is_not_replaced(name, trained, tmp_path, monkeypatch, capsys):
    """By its own path or by a link; all that the run holds stays as it is, but its page may be written anew."""
    run = shutil.copytree(trained[0], tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    words = ["run" if word == "RUN" else word for word in OWN[name]]
    assert f"run/{name}: is a file of the run" in fail([*words, f"run/{name}"], capsys)
    link = tmp_path / f"link{run.joinpath(name).suffix}"
    link.symlink_to(run / name)
    assert f"{link.name}: is a file of the run" in fail([*words, link.name], capsys)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_only_pages_take_the_place_of_pages(tmp_path, monkeypatch, capsys):
    """A recipe, a text and a table that are named by mistake stay."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("mine")
    for words in (["explain", "digits", "--html"], ["lab", "--out"], ["read", "SGD, lr 0.1", "--html"]):
        assert "mine.toml: a page ends in .html. Give such a name" in fail([*words, "mine.toml"], capsys)
    assert (tmp_path / "mine.toml").read_text() == "mine"


def test_a_packed_run_takes_the_place_of_its_kind_alone(trained, tmp_path, monkeypatch, capsys):
    """A file with another ending stays, and what to do is said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("mine")
    assert "mine.toml: exists, and is no .pt2" in fail(
        ["pack", trained[0], "--to", "export", "--out", "mine.toml"], capsys
    )
    assert (tmp_path / "mine.toml").read_text() == "mine"


def test_a_run_folder_within_a_file_is_a_mistake(tmp_path, capsys):
    """`train --out` makes the folders that it needs, but none within a file."""
    (tmp_path / "plain").write_text("")
    message = fail(["train", "--out", tmp_path / "plain" / "run"], capsys)
    assert message.startswith(f"{tmp_path}/plain/run: {tmp_path}/plain is a file")
