"""SIGKILL the real command at every file-system call it makes on its run folder, resume, and compare every file.

A program, started by `test_kills.py`. It imports everything once, with one thread, and forks a process for each run; the
calls are watched from outside (`system_calls.py`), so that those of the log, the lock, the report and of every library
count too, whoever makes them. Usage: kill_matrix.py FOLDER changing|every
"""

import gc
import hashlib
import os
import shutil
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
import torch._dynamo  # what every optimizer of torch loads at its first use: once here, not in each process
from system_calls import HALF, KILL, run_watched
from training_runs import TINY

from downslope.cli.main import main as command
from downslope.recipes.decode import load_recipe
from downslope.training.loop import train
from downslope.training.plan import plan_run

WORDS = {
    "train.epochs": "1",
    "train.ema": "0.9",
    "train.evaluate_every": "3",
    "train.loss": "training_tasks:sometimes_infinite",
    "train.on_nonfinite": "rewind",
    "checkpoint.every_steps": "2",
    "checkpoint.keep": "1",
}
UNEQUAL = {"events.jsonl", "report.html", "lock"}
"""What holds times of the clock, or nothing."""


class Quiet:
    """A console that says nothing."""

    def say(self, text):
        """Say nothing."""

    progress = close = say = lambda *_: None


def fork(task):
    """Run a task in a process of its own and return its exit code."""
    process = os.fork()
    if not process:
        code = 1
        try:
            code = task() or 0
        except BaseException as error:  # noqa: BLE001  a forked process must never return into its parent's code
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def speak_into(path):
    """Send what this process prints into a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def real_command(words, said):
    """Return a task: the command line, with what it prints in a file."""

    def task():
        speak_into(said)
        return command([str(word) for word in words])

    return task


def go_on(recipe, folder, *, report):
    """Return a task: train to the end in a folder, from whatever lies there."""

    def task():
        loaded = load_recipe(recipe)
        outcome = train(plan_run(loaded, name="tiny", out=folder), loaded, Quiet(), report=report)
        assert outcome.finished
        assert not report or outcome.report.exists()

    return task


def contents(folder):
    """Return a hash of every file of a run but those that hold times, by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in UNEQUAL
    }


class Matrix:
    """Kills one command at each of its calls in turn.

    Args:
        root: A folder to work in.
        recipe: The recipe's file.
        expected: What a run leaves that nothing interrupted.
        every: Whether to kill before calls that change nothing too.
    """

    def __init__(self, root, recipe, expected, *, every):
        self.root, self.recipe, self.expected, self.every = root, recipe, expected, every
        self.killed = 0

    def run(self, name, words, begin=lambda folder: None):
        """Kill a command at each of its calls, and resume each time.

        Args:
            name: What to call it.
            words: The command; "FOLDER" in it stands for the run folder.
            begin: Makes what lies in the folder beforehand.
        """
        point, began = 0, time.monotonic()
        while self._kill_at(name, point, words, begin):
            point += 1
        assert point, f"{name}: nothing was killed"
        self.killed += point
        print(f"{name}: {point} points, all equal ({time.monotonic() - began:.0f} s)", flush=True)

    def _kill_at(self, name, point, words, begin):
        folder = self.root / f"{name} {point}"
        begin(folder)
        passed, where = 0, None

        def decide(call):
            nonlocal passed, where
            ways = [KILL, HALF] if call.name == "write" and call.arguments[2] > 1 else [KILL]
            for way in ways if call.changes or self.every else []:
                if passed == point:
                    where = f"{way} {call.name} {call.path}"
                    return way
                passed += 1
            return None

        said = self.root / "said"
        code = run_watched(real_command([folder if w == "FOLDER" else w for w in words], said), folder, decide)
        if where is None:
            assert code == 0, f"{name}: ended with {code}: {said.read_text()}"
            return False
        assert code == -9, f"{name}: to be killed at {where}, it ended with {code}: {said.read_text()}"
        again = go_on(self.recipe, folder, report="report.html" in where)
        assert fork(again) == 0, f"{name}: killed at {where}, it could not go on: see {folder}"
        found = contents(folder)
        assert found == self.expected, f"{name}: killed at {where}, these differ: {differing(found, self.expected)}"
        shutil.rmtree(folder)
        return True


def torn(root, recipe):
    """Return what puts down a run that was killed when all but the commit mark of its second checkpoint was there."""
    killed = root / "torn"

    def decide(call):
        return KILL if call.name.startswith("rename") and "step-00000004/.manifest" in call.path else None

    code = run_watched(real_command(["train", recipe, "--out", killed], os.devnull), killed, decide)
    assert code == -9, code
    return lambda folder: shutil.copytree(killed, folder)


def differing(found, expected):
    """Return the names of the files that are not the same."""
    return sorted(name for name in found | expected if found.get(name) != expected.get(name))


def write_recipe(path, words):
    """Write the tiny recipe with overrides."""
    from downslope.recipes.encode import to_toml
    from downslope.recipes.decode import parse_recipe

    path.write_text(to_toml(parse_recipe(TINY, "tiny", list(words.items()))))
    return path


def main():
    """Run the matrix that the command line names."""
    root, mode = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    recipe = write_recipe(root / "tiny.toml", WORDS)
    whole = root / "whole"
    assert fork(real_command(["train", recipe, "--out", whole], root / "said")) == 0, (root / "said").read_text()
    with redirect_stdout(StringIO()):
        command(["train", str(recipe), "--out", str(root / "warm")])  # everything that is imported late
    gc.freeze()  # so that a forked process does not copy the pages of what was imported
    matrix = Matrix(root, recipe, contents(whole), every=mode == "every")
    matrix.run("train", ["train", recipe, "--out", "FOLDER"])
    matrix.run("resume", ["resume", "FOLDER"], begin=torn(root, recipe))
    print(f"{matrix.killed} points, all equal")


if __name__ == "__main__":
    main()
