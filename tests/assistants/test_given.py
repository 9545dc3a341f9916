"""What tools may read: text, and below a root that was named files; nothing else, whatever a text looks like."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pydantic")

from downslope.assistants.given import LONGEST, GivenError, take
from downslope.assistants.tools import Tools
from downslope.core.errors import DownslopeError

SECRET = "SGD, lr 0.0625, momentum 0.9, 7 epochs"
opened = []


def note(event, arguments):
    """Note what is opened or listed while a test looks; a number is of a file that is open already."""
    if opened and event in {"open", "os.listdir", "os.scandir"} and not isinstance(arguments[0], int):
        opened.append(str(arguments[0]))


sys.addaudithook(note)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of secrets, in which the process stands."""
    for name in ("secret.txt", "digits", "secret.py", "recipe.toml", "solver.prototxt"):
        (tmp_path / name).write_text(SECRET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["secret.txt", "./secret.py", "recipe.toml", "solver.prototxt", "{}/secret.txt", "{}"])
def test_no_tool_reads_a_file_by_its_name(name, folder):
    """A text that names a file is refused or read as words, by every tool; nothing in the folder is opened."""
    text, tools = name.format(folder), Tools()
    recipe = "[sgd]\nlr = 0.1\n[train]\nepochs = 1\n"
    calls = [
        lambda: tools.read(text),
        lambda: tools.check(recipe, text),
        lambda: tools.check(text, recipe),
        lambda: tools.explain(text),
        lambda: tools.compare(text, recipe),
        lambda: tools.compare(recipe, text),
        lambda: tools.export(text, "torch"),
        lambda: tools.audit(text),
        lambda: tools.rescale(text, batch_size=3),
        lambda: tools.read(f"file:{text}"),
        lambda: tools.audit(f"file:{text}"),
    ]
    opened[:] = ["/looking"]
    try:
        for call in calls:
            with pytest.raises(DownslopeError) as error:
                call()
            assert "0.0625" not in str(error.value)
    finally:
        seen = [one for one in opened if str(folder) in str(Path(one).absolute())]
        opened.clear()
    assert not seen


def test_a_name_of_a_recipe_means_ours(folder):
    """A file called `digits` where the server stands is not taken for the recipe."""
    assert "128" in str(Tools().export("digits", "torch", with_model=True)["code"])


def test_files_below_the_root_alone(folder, tmp_path_factory):
    """By a path below the root; not by one that leads out, by dots, from the top, or over a link."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "other.txt").write_text(SECRET)
    (folder / "link.txt").symlink_to(elsewhere / "other.txt")
    (folder / "inner.txt").symlink_to(folder / "secret.txt")
    tools = Tools(folder)
    for name in ("secret.txt", "./x/../secret.txt", str(folder / "secret.txt"), "inner.txt"):
        assert tools.read(f"file:{name}")["readings"][0]["fields"]["sgd.lr"]["value"] == 0.0625
    for name in (
        f"../{elsewhere.name}/other.txt",
        str(elsewhere / "other.txt"),
        "link.txt",
        "../absent",
        "/etc/passwd",
    ):
        with pytest.raises(GivenError, match="outside the folder"):
            tools.read(f"file:{name}")
    with pytest.raises(GivenError, match="no such file below"):
        tools.read("file:absent.txt")
    with pytest.raises(GivenError, match="no file can be called so: File name too long"):
        tools.read("file:" + "a" * 5000)
    with pytest.raises(DownslopeError, match="is a folder"):
        tools.read("file:.")


def test_a_folder_below_the_root_is_taken_for_a_run(folder):
    """By `audit` alone, which says of one that holds none that it does not."""
    (folder / "runs").mkdir()
    with pytest.raises(DownslopeError, match="no run folder"):
        Tools(folder).audit("file:runs")


def test_sizes_are_bounded():
    """A text too long is refused with what to do; so is an answer."""
    with pytest.raises(GivenError, match="at most 200,000 are taken"):
        take("x " * LONGEST, None)
    milestones = ", ".join(str(10 * one) for one in range(1, 30_000))
    with pytest.raises(DownslopeError, match="characters, and at most"):
        Tools().read(f"lr 0.1, divided by 10 at epochs {milestones}")
