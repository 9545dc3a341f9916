"""Crash a run at every point of every file operation, resume it, and compare with an uninterrupted run.

The run is copied at each point, since a crash leaves what others see at that moment; what lies there is resumed once,
however many points leave the same. At some points a process does crash, and leaves what was copied.

A program, started by `test_crashes.py`: it imports torch once, with one thread, and forks a process for each run.
Usage: crash_matrix.py FOLDER crash|power|kill [KILLS]
"""

import gc
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from crashing import CODE, CrashingOs
from training_runs import fingerprints, run, tiny

from downslope.training.folder import durable

RECIPE = {"train__epochs": "1", "train__ema": "0.9", "checkpoint__every_steps": "2", "checkpoint__keep": "1"}
REAL = 16
"""Every so many points, a copy is compared with what a crash leaves there."""
UNEQUAL = {"events.jsonl", "lock"}
"""What holds times of the clock, or who runs."""


def fork(task):
    """Run a task in a process of its own and return its process id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        task()
        code = 0
    except BaseException as error:  # noqa: BLE001  a forked process must never return into its parent's code
        print(f"{type(error).__name__}: {error}", error.__cause__ or "", flush=True)
    finally:
        os._exit(code)


def finish(process):
    """Wait for a process and return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def train(folder, crashing=None, **overrides):
    """Train in a folder, with a crashing `os` if one is given."""
    if crashing is not None:
        durable.os = crashing
    outcome, _ = run(tiny(**{**RECIPE, **overrides}), folder)
    assert outcome.finished


def check(folder, expected, what, **overrides):
    """Resume a run and compare what it leaves."""
    try:
        train(folder, **overrides)
    except BaseException as error:
        raise AssertionError(f"resuming failed after a crash at {what}: see {folder}") from error
    found = fingerprints(folder)
    assert found == expected, f"after a crash at {what}, {[n for n in expected if found.get(n) != expected[n]]} differ"
    leftovers = [path.name for path in folder.rglob("*.partial")]
    assert not leftovers, f"after a crash at {what}, {leftovers} are left"


def state(folder, without=()):
    """Return what lies in a folder: every name, with a hash of the contents but of the files named."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file() and path.name not in without
        else ""
        for path in sorted(folder.rglob("*"))
    }


def copy_everywhere(folder, copies):
    """Train in a folder, and copy it at every point: as a crash leaves it, and as a power cut does."""

    def look(crashing):
        for what in ("crash", "power"):
            copy = copies / f"{what} {crashing.points}"
            shutil.copytree(folder, copy) if folder.exists() else copy.mkdir()
            if what == "power":
                crashing.lose(folder, copy)

    copies.mkdir()
    train(folder, CrashingOs(look=look))


def crash_everywhere(root, expected, *, power):
    """Resume from what a crash at every point leaves, the same contents once."""
    assert finish(fork(lambda: copy_everywhere(root / "copied", root / "copies"))) == 0
    points, seen = len(list((root / "copies").glob("power *"))), {}
    for point in range(points):
        crashed, cut = (root / "copies" / f"{what} {point}" for what in ("crash", "power"))
        if point % REAL == 0:
            real = root / "real"
            code = finish(fork(lambda at=point, real=real: train(real, CrashingOs(at))))
            assert code == CODE, f"the run that was to crash at point {point} ended with {code}"
            left = state(real, UNEQUAL) if real.exists() else {}
            assert left == state(crashed, UNEQUAL), (point, left, state(crashed, UNEQUAL))
            shutil.rmtree(real, ignore_errors=True)
        folder = cut if power else crashed
        seen.setdefault(tuple(state(folder).items()), (folder, point))

    def check_each():  # in one process: each time, a fork costs more than the run
        for folder, point in seen.values():
            check(folder, expected, f"point {point}")

    assert finish(fork(check_each)) == 0, "what is printed above"
    print(f"{points} points, {len(seen)} different")


def kill_at_random(root, kills):
    """SIGKILL a process at random moments of a longer run, resume it, and compare."""
    longer = {"train__epochs": "60", "checkpoint__every_steps": "7"}
    began = time.monotonic()
    assert finish(fork(lambda: train(root / "whole", **longer))) == 0
    duration = time.monotonic() - began
    expected = fingerprints(root / "whole")
    moments = random.Random(0)
    killed = 0
    number = 0
    while killed < kills:  # a process that had ended before it was killed does not count
        number += 1
        folder = root / str(number)
        process = fork(lambda folder=folder: train(folder, **longer))
        time.sleep(moments.uniform(0, 0.9 * duration))
        os.kill(process, signal.SIGKILL)
        killed += finish(process) == -signal.SIGKILL
        again = fork(lambda folder=folder, number=number: check(folder, expected, f"random moment {number}", **longer))
        assert finish(again) == 0, "what is printed above"
    print(f"{killed} kills")


def main():
    """Run the matrix that the command line names."""
    root, mode = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    gc.freeze()  # so that a forked process does not copy the pages of what was imported
    if mode == "kill":
        kill_at_random(root, int(sys.argv[3]))
        return
    assert finish(fork(lambda: train(root / "whole"))) == 0
    crash_everywhere(root, fingerprints(root / "whole"), power=mode == "power")


if __name__ == "__main__":
    main()
