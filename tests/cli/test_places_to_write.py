"""Every path that a command is to write to is looked at first: what a person can mend gets exit code 2, and why."""

import pytest
from command_line import fail

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


def test_a_run_folder_within_a_file_is_a_mistake(tmp_path, capsys):
    """`train --out` makes the folders that it needs, but none within a file."""
    (tmp_path / "plain").write_text("")
    message = fail(["train", "--out", tmp_path / "plain" / "run"], capsys)
    assert message.startswith(f"{tmp_path}/plain/run: {tmp_path}/plain is a file")
