"""SIGKILL the real command at every file-system call it makes on its run folder, resume, and compare every file.

A program, started by `test_kills.py`. It imports everything once, with one thread, and forks a process for each run;
the calls are watched from outside (`system_calls.py`), so that those of the log, the lock, the report and of every
library count too, whoever makes them. Usage: kill_matrix.py FOLDER changing|full|every
"""

import errno
import gc
import hashlib
import os
import pickle
import shutil
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from system_calls import FAULTS, HALF, KILL, run_watched
from training_runs import TINY

from downslope.cli.main import main as command
from downslope.recipe.load import load_recipe, parse_recipe, to_toml
from downslope.training.report import page
from downslope.training.run import train as loop
from downslope.training.run.plan import plan_run
from downslope.training.run.train import train

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

TOGETHER = 50
"""From what so many kills left, one process goes on: each time, a fork costs more than the run."""

REAL = 16
"""Every so many moments, a copied one is compared with what a SIGKILL leaves there."""


class Quiet:
    """A console that says nothing."""

    def say(self, *_):
        """Say nothing."""

    progress = say

    def close(self):
        """Have nothing to end."""


def fork(task):
    """Run a task in a process of its own and return its exit code."""
    process = os.fork()
    if not process:
        code = 1
        try:
            code = task() or 0
        except BaseException as error:  # noqa: BLE001  a forked process must never return into its parent's code
            print(f"{type(error).__name__}: {error}", error.__cause__ or "", flush=True)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def speak_into(path):
    """Send what this process prints into a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def draw_equal_panels_once():
    """Have a panel of a report that equals one before get the picture of that, in the processes forked later too."""
    draw, drawn = page.draw, {}

    def draw_once(panel):
        key = pickle.dumps(panel)
        if key not in drawn:
            drawn[key] = draw(panel)
        return drawn[key]

    page.draw = draw_once


def real_command(words, said):
    """Return a task: the command line, with what it prints in a file; it returns 0 where all of the work is done.

    The loss of these runs is infinite on the held-out examples, too, which the command says at the end with code 1.
    """

    def task():
        speak_into(said)
        code = command([str(word) for word in words])
        sys.stderr.flush()
        return 0 if code == 1 and "held out    " in Path(said).read_text() else code

    return task


def go_on(recipe, folder, *, report):
    """Train to the end in a folder, from whatever lies there."""
    loaded = load_recipe(recipe)
    outcome = train(plan_run(loaded, name="tiny", out=folder), loaded, Quiet(), report=report)
    assert outcome.finished
    assert not report or outcome.report.exists()


def contents(folder):
    """Return a hash of every file of a run but those that hold times, by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in UNEQUAL
    }


def state(folder, without=()):
    """Return what lies in a folder: every name, with a hash of the contents but of the files named."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and path.name not in without
        else ""
        for path in sorted(folder.rglob("*"))
    }


def write_half(call, folder, copy):
    """Do half of a write in a copy of the folder."""
    data, place = call.half_of_write()
    with (copy / Path(call.path).relative_to(folder)).open("r+b") as file:
        file.seek(0, os.SEEK_END) if place is None else file.seek(place)
        file.write(data)


class Matrix:
    """Does something at each of the file-system calls of a command in turn, then resumes the run.

    Args:
        root: A folder to work in.
        recipe: The recipe's file.
        expected: What a run leaves that nothing interrupted.
    """

    def __init__(self, root, recipe, expected):
        self.root, self.recipe, self.expected = root, recipe, expected
        self.points = 0
        self._left = []

    def run(self, name, words, attempt, ways, begin=lambda folder: None, *, once=False):
        """Attempt something at each call, and see what comes of it each time.

        Args:
            name: What to call it.
            words: The command; "FOLDER" in it stands for the run folder.
            attempt: `killed`, `refused` or `removed`: checks what comes of it.
            ways: Function of a call to the list of what is to be tried at it: `KILL`, `HALF`, an errno, or None.
            begin: Makes what lies in the folder beforehand.
            once: Whether to try calls of the same kind on files of the same name, of several checkpoints, only once.
        """
        point, began = 0, time.monotonic()
        while self._try_at(name, point, words, attempt, ways, begin, once):
            point += 1
        self._go_on_from_all()
        assert point, f"{name}: nothing was tried"
        self.points += point
        print(f"{name}: {point} points, all equal ({time.monotonic() - began:.0f} s)", flush=True)

    def run_copied(self, name, words, ways, begin=lambda folder: None):
        """Go on from what a kill at each call leaves.

        That is what everybody else sees at that moment. So the command runs once and is copied at each call, and what
        lies there is gone on from once, however many calls leave the same. Now and then a kill shows that it is so.

        Args:
            name: What to call it.
            words: The command; "FOLDER" in it stands for the run folder.
            ways: Function of a call to the list of what is to be tried at it: `KILL`, `HALF`.
            begin: Makes what lies in the folder beforehand.
        """
        began, folder, said = time.monotonic(), self.root / f"{name} whole", self.root / "said"
        moments, different, real = 0, 0, {}
        seen = set()
        begin(folder)
        task = real_command([folder if w == "FOLDER" else w for w in words], said)

        def decide(call):
            nonlocal moments, different
            for way in ways(call):
                copy = self.root / f"{name} {moments}"
                shutil.copytree(folder, copy) if folder.exists() else copy.mkdir()
                if way == HALF:
                    write_half(call, folder, copy)
                found, report = state(copy), "report.html" in call.path
                if moments % REAL == 0:
                    real[moments] = state(copy, UNEQUAL)
                if (key := (report, *found.items())) not in seen:
                    seen.add(key)
                    different += 1
                    self._go_on(f"{name}: {way} {call.name} {call.path}", copy, report=report)
                else:
                    shutil.rmtree(copy)
                moments += 1

        code = run_watched(task, folder, decide)
        assert code == 0, f"{name}: ended with {code}: {said.read_text()}"
        shutil.rmtree(folder)
        self._go_on_from_all()
        for moment, expected in real.items():
            found = self._killed_at(moment, task, ways, lambda: begin(folder), folder)
            assert found == expected, f"{name}: a kill at {moment} leaves others: {differing(found, expected)}"
        self.points += moments
        shown = f"{moments} points, {different} different, {len(real)} killed there"
        print(f"{name}: {shown}, all equal ({time.monotonic() - began:.0f} s)", flush=True)

    def _killed_at(self, moment, task, ways, begin, folder):
        """Return what lies in a folder after a SIGKILL at a moment, and remove it."""
        passed = 0

        def decide(call):
            nonlocal passed
            for way in ways(call):
                passed += 1
                if passed == moment + 1:
                    return way
            return None

        begin()
        code = run_watched(task, folder, decide)
        assert code == -9, f"moment {moment}: ended with {code}"
        found = state(folder, UNEQUAL) if folder.exists() else {}
        shutil.rmtree(folder, ignore_errors=True)
        return found

    def _go_on(self, where, folder, *, report):
        """Note that it is to be gone on from what lies in a folder."""
        self._left.append((where, folder, report))
        if len(self._left) >= TOGETHER:
            self._go_on_from_all()

    def _go_on_from_all(self):
        """Go on from what lies in each folder that was noted, and compare what it ends with."""

        def each():
            for where, folder, report in left:
                try:
                    go_on(self.recipe, folder, report=report)
                except BaseException as error:
                    raise AssertionError(f"after {where}, it could not go on: see {folder}") from error
                found = contents(folder)
                assert found == self.expected, f"after {where}, these differ: {differing(found, self.expected)}"
                shutil.rmtree(folder)

        left, self._left = self._left, []
        assert fork(each) == 0, "what is printed above"

    def _try_at(self, name, point, words, attempt, ways, begin, once):
        folder, said = self.root / f"{name} {point}", self.root / "said"
        begin(folder)
        passed, where, tried = 0, None, set()

        def decide(call):
            nonlocal passed, where
            kind = call.name, Path(call.path).name.rstrip("0123456789")
            if once and kind in tried:
                return None
            tried.add(kind)
            for way in ways(call):
                if passed == point:
                    where = f"{way} {call.name} {call.path}"
                    passed += 1
                    return way(folder) if callable(way) else way
                passed += 1
            return None

        code = run_watched(real_command([folder if w == "FOLDER" else w for w in words], said), folder, decide)
        text = said.read_text()
        if where is None:
            assert code == 0, f"{name}: ended with {code}: {text}"
            shutil.rmtree(folder)
            return False
        attempt(f"{name}: {where}", code, text)
        if attempt is not removed:
            self._go_on(f"{name}: {where}", folder, report="report.html" in where)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        return True


def killed(where, code, text):
    """Check that a command was killed."""
    assert code == -9, f"{where}: ended with {code}: {text}"


def refused(where, code, text):
    """Check what a command says when the disk is full: exit code 1, or a finished run without a report."""
    assert "Traceback" not in text, f"{where}: {text}"
    assert "bug" not in text, f"{where}: {text}"
    assert "the disk is full. Free some space and start again; nothing that was saved before is lost." in text, where
    assert code == (0 if "no report page: " in text else 1), f"{where}: ended with {code}: {text}"


def removed(where, code, text):
    """Check what a command says when its folder is gone: exit code 1, unless all was done or none begun."""
    assert "Traceback" not in text, f"{where}: {text}"
    assert "bug" not in text, f"{where}: {text}"
    assert code in {0, 1, 2}, f"{where}: ended with {code}: {text}"
    assert code != 2 or "was removed or replaced just now" in text, f"{where}: {text}"
    assert code or "report      " in text, f"{where}: {text}"
    assert not code or "downslope: error: " in text, f"{where}: {text}"


def take_away(folder):
    """Remove a folder under a running command, and let its call happen."""
    shutil.rmtree(folder, ignore_errors=True)


def kills(call):
    """Kill before each call, and amid each write."""
    return [KILL, HALF] if FAULTS and call.name == "write" and call.arguments[2] > 1 else [KILL]


def kills_that_matter(call):
    """The same for calls that change the disk; before the others, the disk is as it was before the next of these."""
    return kills(call) if call.changes else []


def full_disk(call):
    """Refuse each call that needs room."""
    return [errno.ENOSPC] if call.changes and call.name not in {"flock", "unlink", "rmdir", "ftruncate"} else []


def differing(found, expected):
    """Return the names of the files that are not the same."""
    return sorted(name for name in found | expected if found.get(name) != expected.get(name))


def torn(root, recipe):
    """Return what puts down a run that was killed when all but the commit mark of its second checkpoint was there."""
    killed = root / "torn"

    def decide(call):
        return KILL if call.name.startswith("rename") and "step-00000004/.manifest" in call.path else None

    code = run_watched(real_command(["train", recipe, "--out", killed], os.devnull), killed, decide)
    assert code == -9, code
    return lambda folder: shutil.copytree(killed, folder)


def write_recipe(path, words):
    """Write the tiny recipe with overrides."""
    path.write_text(to_toml(parse_recipe(TINY, "tiny", list(words.items()))))
    return path


def main():
    """Run the matrix that the command line names."""
    root, mode = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    # The log reaches the disk after every step, not by the clock: the calls are the same each time, however long the
    # command is held up at one of them.
    loop._SHOW_SECONDS = loop._FLUSH_SECONDS = 0.0
    draw_equal_panels_once()
    recipe = write_recipe(root / "tiny.toml", WORDS)
    whole = root / "whole"
    assert fork(real_command(["train", recipe, "--out", whole], root / "said")) == 0, (root / "said").read_text()
    with redirect_stdout(StringIO()):
        command(["train", str(recipe), "--out", str(root / "warm")])  # everything that is imported late
    gc.freeze()  # so that a forked process does not copy the pages of what was imported
    matrix = Matrix(root, recipe, contents(whole))
    train_words = ["train", recipe, "--out", "FOLDER"]
    if mode == "changing":
        matrix.run_copied("train", train_words, kills_that_matter)
        matrix.run_copied("resume", ["resume", "FOLDER"], kills_that_matter, begin=torn(root, recipe))
    if mode == "every":
        matrix.run("train", train_words, killed, kills)
        matrix.run("resume", ["resume", "FOLDER"], killed, kills, begin=torn(root, recipe))
    if mode == "full" or (mode == "every" and FAULTS):
        matrix.run("full disk", train_words, refused, full_disk, once=mode == "full")
    if mode == "every" and FAULTS:
        matrix.run("full disk on resuming", ["resume", "FOLDER"], refused, full_disk, begin=torn(root, recipe))
    if mode == "every":
        matrix.run("folder removed", train_words, removed, lambda _: [take_away])
    print(f"{matrix.points} points, all equal")


if __name__ == "__main__":
    main()
