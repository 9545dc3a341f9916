"""How runs on several processes end when something happens to one of them: real signals, real processes.

A program, started by `test_workers_that_end.py`, so that no test's own process is forked: worker_ends.py FOLDER NAME...
Each function is one case; it prints what the run said.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from training_runs import checkpoint_names, fingerprints, tiny
from worker_runs import BASE, train

from downslope.cli.main import explain
from downslope.training.workers import launch, process_group

SLOW = {**BASE, "model": '{ name = "worker_tasks:slow" }', "train__epochs": "5"}
"""15 steps of 0.1 seconds or more."""


class Running:
    """A run on some workers, in a process of its own that starts them.

    Args:
        folder: The run folder.
        size: Number of workers.
        timeout: Seconds that one waits for another.
        **overrides: Of the recipe.
    """

    def __init__(self, folder, size, *, timeout=20.0, **overrides):
        self.folder, self.said = folder, folder.with_suffix(".said")
        sys.stdout.flush()  # or the process would say again what is not said yet
        self.process = os.fork()
        if self.process == 0:
            code, text = 1, ""
            try:
                code = train(tiny(**{**SLOW, **overrides}), folder, size, timeout=timeout)
            except Exception as error:  # noqa: BLE001  as the command line does
                text, code = explain(error)
            finally:
                self.said.write_text(text, encoding="utf-8")
                os._exit(code)

    def wait_until_it_trains(self):
        """Wait for the first checkpoint, and return the processes of the workers, by rank."""
        end = time.monotonic() + 300
        while not (self.folder / "checkpoints").is_dir() or not checkpoint_names(self.folder):
            assert time.monotonic() < end, "the run does not begin"
            time.sleep(0.02)
        return children(self.process)

    def end(self, workers):
        """Wait for the end; return the exit code and what was said, after looking for processes that were left."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        end = time.monotonic() + 120
        while any(is_running(worker) for worker in workers):
            assert time.monotonic() < end, "a worker is left"
            time.sleep(0.02)
        said = self.said.read_text(encoding="utf-8") if self.said.exists() else ""
        print(f"exit code {code}: {said}")
        return code, said


def children(parent):
    """Return the child processes of a process, in the order in which they were started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return sorted(found)


def is_running(process):
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def resumes(folder, root):
    """Finish a run on one process, and compare it with the run that was never stopped."""
    whole = root.parent / "whole"
    if not whole.exists():
        assert train(tiny(**SLOW), whole, 1) == 0
    assert train(tiny(**SLOW), folder, 1) == 0
    assert fingerprints(folder) == fingerprints(whole)


def killed(root):
    """One of four is killed: the others save and end, and the message says which, at which step, and what to do."""
    run = Running(root / "run", 4, checkpoint__every_steps="1")
    workers = run.wait_until_it_trains()
    os.kill(workers[2], signal.SIGKILL)
    code, said = run.end(workers)
    assert code == 1
    assert f"worker 2 (process {workers[2]}) was ended by SIGKILL" in said
    assert "Training stopped at step " in said
    assert "all before it is saved" in said
    assert f"downslope resume {root / 'run'}" in said
    resumes(root / "run", root)


def first_killed(root):
    """Worker 0, which writes the folder, is killed: what was saved remains."""
    run = Running(root / "run", 2, checkpoint__every_steps="1")
    workers = run.wait_until_it_trains()
    os.kill(workers[0], signal.SIGKILL)
    code, said = run.end(workers)
    assert code == 1
    assert "worker 0 " in said
    assert "what was saved before remains" in said
    resumes(root / "run", root)


def sharded_killed(root):
    """A worker that held a part of the model is killed: what was saved before remains, and another number goes on."""
    run = Running(root / "run", 4, train__parallel="sharded", checkpoint__every_steps="1")
    workers = run.wait_until_it_trains()
    os.kill(workers[2], signal.SIGKILL)
    code, said = run.end(workers)
    assert code == 1
    assert f"worker 2 (process {workers[2]}) was ended by SIGKILL" in said
    assert "what was saved before remains" in said
    assert train(tiny(**SLOW, train__parallel="sharded"), root / "run", 2) == 0


def hung(root):
    """One of two stops answering: the other gives up after the timeout, saves, and the one that hangs is ended."""
    run = Running(root / "run", 2, timeout=8.0, checkpoint__every_steps="1")
    workers = run.wait_until_it_trains()
    os.kill(workers[1], signal.SIGSTOP)
    code, said = run.end(workers)
    assert code == 1
    assert "worker 1 of 2 has not answered for 8 seconds" in said
    resumes(root / "run", root)


def interrupted(root):
    """Ctrl-C or SIGTERM once: all workers stop at the same step, all of it is saved, and the exit code says so."""
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = root / f"{number}"
        run = Running(folder, 4, checkpoint__every_steps="2")
        workers = run.wait_until_it_trains()
        os.kill(run.process, number)
        code, said = run.end(workers)
        assert (code, said) == (128 + number, "")
        assert '"event": "signal"' in (folder / "events.jsonl").read_text(encoding="utf-8")
        resumes(folder, root)


def interrupted_twice(root):
    """A second Ctrl-C does not wait for the step."""
    run = Running(
        root / "run",
        2,
        model='{ name = "worker_tasks:slow", options = { pause = 0.5 } }',
        checkpoint__every_steps="1",
    )
    workers = run.wait_until_it_trains()
    for _ in range(2):
        os.kill(run.process, signal.SIGINT)
        time.sleep(0.1)
    assert run.end(workers)[0] == 128 + signal.SIGINT


def launcher_killed(root):
    """Whatever started the workers is killed: they save and end by themselves."""
    run = Running(root / "run", 2, checkpoint__every_steps="1")
    workers = run.wait_until_it_trains()
    os.kill(run.process, signal.SIGKILL)
    assert run.end(workers)[0] == -signal.SIGKILL
    assert '"event": "signal"' in (root / "run" / "events.jsonl").read_text(encoding="utf-8")
    resumes(root / "run", root)


def data_fail(root):
    """The data function of one worker raises, ends its process, or gives other data: that is what the message says."""
    for how, code, words in (
        ("raise", 2, ["worker 1: ", "no such file: images/0001.png"]),
        ("exit", 1, ["worker 1 (process ", "ended with exit code 9 and no message", "a library gives up"]),
        ("differ", 2, ["worker 1 has other data than worker 0"]),
    ):
        run = Running(root / how, 2, data__name='"worker_tasks:blobs_but_not_on"', data__options=f'{{ how = "{how}" }}')
        got, said = run.end([])
        assert got == code
        assert all(word in said for word in words), said
        assert not (root / how / "recipe.toml").exists()


def evaluation_fails(root):
    """The model raises in evaluation on one worker alone: the others do not wait for it."""
    run = Running(root / "run", 2, model='{ name = "worker_tasks:fails_in_evaluation" }')
    code, said = run.end([])
    assert code == 2
    assert "worker 1: the model or its loss raised ValueError: no evaluation here" in said
    assert "on the held-out examples" in said


def unseeded(root):
    """Initial weights that differ from worker to worker are those of worker 0 for all of them."""
    folder = root / "run"
    assert train(tiny(**{**BASE, "model": '{ name = "worker_tasks:unseeded" }'}), folder, 2) == 0


def main():
    """Run the cases that the command line names."""
    folder, *names = sys.argv[1:]
    launch._GRACE = process_group._GRACE = 1.0
    for name in names:
        root = Path(folder) / name
        root.mkdir()
        began = time.monotonic()
        globals()[name](root)
        print(f"{name} is as it should be, after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
