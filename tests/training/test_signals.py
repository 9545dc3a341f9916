import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from training_runs import checkpoint_names

import warm

HERE = Path(__file__).parent


def start(folder, model, steps):
    """Start training in a process of its own."""
    words = [HERE / "train_child.py", folder, model, str(steps)]
    return warm.Running(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def as_in_a_terminal():
    """Have SIGHUP end a child, also where the tests themselves were begun under nohup, which is inherited."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def wait_for(stream, text):
    """Read lines until one holds `text`."""
    for line in stream:
        if text in line:
            return
    pytest.fail(f"the process ended without {text!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_ends_the_process(number, tmp_path):
    """In the middle of a run: a checkpoint is written, an event noted, and the exit code is 130, 143 or 129."""
    process = start(tmp_path, "training_tasks:noisy", 1_000_000)
    wait_for(process.stderr, "step")
    before = time.time()
    process.send_signal(number)
    process.communicate(timeout=300)
    assert process.returncode == 128 + number
    names = checkpoint_names(tmp_path)
    assert (tmp_path / "checkpoints" / names[-1] / "manifest.json").stat().st_mtime > before - 1
    assert '"event": "signal"' in (tmp_path / "events.jsonl").read_text(encoding="utf-8")


def test_a_second_signal_quits_at_once(tmp_path):
    """While a step takes an hour, the first signal waits for it and the second does not."""
    process = start(tmp_path, "training_tasks:sleepy", 10)
    wait_for(process.stdout, "asleep")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    for _ in range(300):  # more than one, since two at once may count as one
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=1)
            break
        except subprocess.TimeoutExpired:
            continue
    ended = process.poll()
    process.kill()
    assert ended == 130


ENDLESS = ["train", "--train.steps", "1000000", "--train.evaluate_every", "1000000", "--out", "run"]


def test_a_terminal_that_is_closed_ends_a_run_as_a_signal_does(tmp_path):
    """The terminal goes away in the middle: nothing can be said any more, all is saved, and the exit code is 129."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "downslope", *ENDLESS],
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=300,
        preexec_fn=as_in_a_terminal,
    )
    child.expect("examples/s")
    os.close(child.child_fd)
    _, status = os.waitpid(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert '"event": "signal"' in (tmp_path / "run/events.jsonl").read_text(encoding="utf-8")
    assert checkpoint_names(tmp_path / "run")


def test_a_run_under_nohup_outlives_its_terminal(tmp_path):
    """Where SIGHUP is ignored, as nohup has it, it stays so; SIGTERM still ends the run."""
    command = ["nohup", sys.executable, "-m", "downslope", *ENDLESS]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as run:
        wait_for(run.stderr, "step")
        run.send_signal(signal.SIGHUP)
        wait_for(run.stderr, "step")
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=300)
    assert run.returncode == 143
