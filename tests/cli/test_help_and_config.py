"""What needs no training: help, version, and the recipe printed back; none of it loads a framework."""

import re
import subprocess
import sys

import pytest

import downslope
from downslope import load_recipe
from downslope.cli.main import COMMANDS, main
from downslope.recipe.load import parse_recipe

FRAMEWORKS = {"torch", "sklearn", "matplotlib", "jax", "tensorflow", "keras", "scipy", "pandas", "safetensors", "tqdm"}
"""None of these may be loaded by a command that does not train; NumPy too, which `LEAN` adds."""
LEAN = FRAMEWORKS | {"numpy"}


def loaded_by(*words):
    """Return the exit code of a command in a process of its own, and the top-level modules it had loaded."""
    code = (
        "import sys\nfrom downslope.cli.main import main\ncode = main(sys.argv[1:])\n"
        "print('\\n' + ' '.join(sorted({name.split('.')[0] for name in sys.modules})))\nsys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "downslope" in loaded
    return done.returncode, loaded


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_and_its_example_works(words, capsys):
    """The overview goes to stdout, with exit code 0."""
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert all(f"\n  {name} " in out for name in COMMANDS)
    assert "example:\n  downslope train " in out


def test_no_command_at_all_shows_the_same_help_as_a_mistake(capsys):
    """Nothing was asked for: help on stderr, exit code 2."""
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: downslope COMMAND")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command, capsys):
    """Usage, what it does, every option, one example; never wider than a terminal."""
    assert main(["help", command]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out == out
    assert out.startswith(f"usage: downslope {command} ")
    assert f"example:\n  downslope {command} " in out
    usage, _, options = out.partition("\n\n")
    for option in re.findall(r"^  (?:-\w, )?(--[a-z][a-z-]*)(?=[ ,\n])", options, re.MULTILINE):
        assert option == "--help" or re.search(rf"[\[ ]{option}[\] \n]", f"{usage}\n"), option
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_version(words, capsys):
    """One line, the package's version."""
    assert main(words) == 0
    assert capsys.readouterr().out == f"downslope {downslope.__version__}\n"


def test_the_printed_recipe_saved_is_the_same_recipe(capsys, tmp_path):
    """`--print-config` gives a file with which the overrides are no longer needed."""
    words = ["--sgd.lr", "0.05", "--sgd.nesterov=true", "--title", '"a title"', "--train.steps", "7"]
    assert main(["train", *words, "--print-config"]) == 0
    first = capsys.readouterr().out
    path = tmp_path / "saved.toml"
    path.write_text(first)
    assert main(["train", str(path), "--print-config"]) == 0
    assert capsys.readouterr().out == first
    recipe = parse_recipe(first)
    assert (recipe.sgd.lr, recipe.sgd.nesterov, recipe.title, recipe.train.steps) == (0.05, True, "a title", 7)
    assert recipe == load_recipe(
        None,
        [
            (w.lstrip("-"), v)
            for w, v in [("sgd.lr", "0.05"), ("sgd.nesterov", "true"), ("title", '"a title"'), ("train.steps", "7")]
        ],
    )


def test_overrides_win_wherever_they_stand(capsys, tmp_path):
    """Before or after the file, and around other options, the meaning is the same."""
    path = tmp_path / "mine.toml"
    path.write_text("seed = 5\n[sgd]\nlr = 0.5\n[train]\nsteps = 3\n")
    printed = set()
    for words in (
        ["--sgd.lr", "0.25", str(path), "--print-config", "--seed", "6"],
        [str(path), "--sgd.lr=0.25", "--seed=6", "--print-config"],
        ["--print-config", "--seed", "6", "--sgd.lr", "0.25", "--", str(path)],
    ):
        assert main(["train", *words]) == 0
        printed.add(capsys.readouterr().out)
    (text,) = printed
    assert (parse_recipe(text).sgd.lr, parse_recipe(text).seed) == (0.25, 6)


def test_values_may_begin_with_a_minus_sign(capsys):
    """A negative number is a value, not an option, with a space and with an equals sign."""
    for words in (["--data.options.offset", "-1.5"], ["--data.options.offset=-1.5"]):
        assert main(["train", "--print-config", *words]) == 0
        assert parse_recipe(capsys.readouterr().out).data.options == {"offset": -1.5}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "--help"], ["report", "--help"]])
def test_help_and_version_load_no_framework_and_not_even_numpy(words):
    """Measured in modules, since seconds depend on the machine."""
    code, loaded = loaded_by(*words)
    assert code == 0
    assert not loaded & LEAN


def test_printing_a_recipe_and_refusing_one_load_no_framework():
    """A mistake in a recipe is told before anything heavy is loaded."""
    code, loaded = loaded_by("train", "--print-config")
    assert code == 0
    assert not loaded & LEAN
    for words in (
        ["train", "--sgd.momentum", "1.5"],
        ["train", "nowhere.toml"],
        ["evaluate", "nowhere"],
        ["resume", "nowhere"],
    ):
        code, loaded = loaded_by(*words)
        assert code == 2
        assert not loaded & LEAN


def test_only_the_chosen_command_is_imported():
    """Each command pays for its own module alone."""
    code = (
        "import sys\nfrom downslope.cli.main import main\nmain(['report', '--help'])\n"
        "print('\\n' + ' '.join(name for name in sys.modules if name.startswith('downslope.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded & {f"downslope.cli.{name}" for name in COMMANDS} == {"downslope.cli.report"}


def test_a_reader_that_goes_away_is_no_error():
    """`downslope train --print-config | head -1` ends quietly."""
    script = f'"{sys.executable}" -m downslope train --print-config | true; echo "code ${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout in {"code 141\n", "code 0\n"}  # 0 if all was written before the reader left


def test_a_closed_pipe_ends_with_141():
    """With the reading end closed beforehand, the write fails for certain, and quietly."""
    import os

    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "downslope", "train", "--print-config"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
