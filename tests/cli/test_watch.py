"""`downslope watch`: real runs in one process, seen from another; killed, resumed, cut back, damaged and removed."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from command_line import command, copied, fail, succeed

import warm
from downslope.cli.main import main
from downslope.core.errors import CheckpointError
from downslope.training.folder.lock import holder_of, locked
from downslope.training.folder.log import Tail
from downslope.training.folder.names import LOCK
from downslope.training.view.watch import WatchedRun

ENVIRONMENT = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
LONG = ["--train.epochs", "100000", "--checkpoint.every_steps", "50", "--train.evaluate_every", "50"]


def begin(*words):
    """Start a command in a process of its own, and return it."""
    words = ["-m", "downslope", *words]
    return warm.Running(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_until(true, seconds=300):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def state_of(folder):
    """Return each file's content and times, without what reading changes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            stat = path.stat()
            found[str(path)] = (path.read_bytes(), stat.st_mtime_ns, stat.st_ctime_ns)
    return found


def test_a_run_is_watched_killed_and_resumed(tmp_path):
    """Steps go up, on a terminal and in a pipe; after SIGKILL both say so; one that waits sees the run resumed."""
    run = tmp_path / "a run"
    training = begin("train", *LONG, "--out", str(run), "--quiet")
    wait_until(lambda: (run / "checkpoints").is_dir() and any((run / "checkpoints").iterdir()))
    lines = begin("watch", str(run))
    screen = pexpect.spawn(
        sys.executable,
        ["-m", "downslope", "watch", str(run), "--wait"],
        env=ENVIRONMENT,
        dimensions=(30, 200),
        encoding="utf-8",
        timeout=300,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background may ignore it
    )
    screen.expect(r"training    .*by process (\d+) on .*step        ([\d,]+) of 4,500,000")
    assert int(screen.match[1]) == training.pid
    once = command("watch", str(run), "--once", env=ENVIRONMENT)
    assert (once.returncode, once.stderr) == (0, "")
    assert once.stdout.startswith(f"training    {run}, by process {training.pid} on ")
    assert re.search(r"^speed       [\d,]+ examples/s", once.stdout, flags=re.MULTILINE)
    said = ""
    while len(re.findall(r"^step ", said, flags=re.MULTILINE)) < 2:
        line = lines.stdout.readline()
        assert line, said
        said += line
    training.kill()  # not waited for yet: a process whose parent has not heard of its end is no process that trains
    said += lines.communicate(timeout=300)[0]
    training.communicate()
    assert lines.returncode == 1
    steps = [int(step.replace(",", "")) for step in re.findall(r"^step ([\d,]+) of", said, flags=re.MULTILINE)]
    assert len(steps) >= 2
    assert steps == sorted(set(steps))
    last = said.splitlines()
    assert re.fullmatch(r".* without a word: killed, or failed where it ran; saved up to step [\d,]+", last[-7])
    assert last[-1] == f"continue    with: downslope resume '{run}'"
    screen.expect("ended       ")
    resumed = begin("resume", str(run), "--quiet")
    screen.expect(rf"training    .*by process {resumed.pid} on ")
    screen.sendintr()
    shown = screen.read()
    screen.close()
    assert screen.exitstatus == 130
    assert "Traceback" not in shown
    assert shown.endswith("\n")
    resumed.send_signal(signal.SIGINT)
    assert resumed.wait(30) == 130
    resumed.communicate()
    stopped = command("watch", str(run), env=ENVIRONMENT)
    assert stopped.returncode == 1
    assert re.match(
        r"stopped     .*at step [\d,]+ of 4,500,000, by SIGINT, .* ago; all of it is saved\n", stopped.stdout
    )
    assert "downslope resume" in stopped.stdout


def test_a_finished_run_is_shown_and_left_alone(trained, capsys):
    """Its last state, code 0, within moments; no file is changed, and none is new."""
    folder, _ = trained
    before = state_of(folder)
    shown = succeed(["watch", folder], capsys).splitlines()
    assert re.match(rf"finished    {re.escape(str(folder))}, at step 60 of 60, .* ago", shown[0])
    assert [line.split()[0] for line in shown] == ["finished", "step", "loss", "held", "accuracy", "lr"]
    assert succeed(["watch", folder, "--once"], capsys).splitlines()[1:] == shown[1:]
    assert state_of(folder) == before


def test_watching_loads_no_framework(trained):
    """The whole of a look at a finished run, not only its help, does without torch."""
    code = (
        "import sys\nfrom downslope.cli.main import main\n"
        f"assert main(['watch', {str(trained[0])!r}]) == 0\n"
        "assert not {'torch', 'safetensors', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=300)


def test_what_is_no_run_is_refused(tmp_path, capsys):
    """No folder, a folder without a run, a file, both options, an override: code 2 and one message."""
    assert "there is no such run folder" in fail(["watch", tmp_path / "none"], capsys)
    assert "is no run folder" in fail(["watch", tmp_path], capsys)
    (tmp_path / "file").touch()
    assert "is a file" in fail(["watch", tmp_path / "file"], capsys)
    assert "give one of them" in fail(["watch", tmp_path, "--once", "--wait"], capsys)
    assert "RUN" in fail(["watch"], capsys)


def test_a_half_written_line_is_left_until_it_is_whole(trained, tmp_path, capsys):
    """The step of a line without an end is not told of yet, also where it breaks amid a character."""
    folder = copied(trained[0], tmp_path)
    (folder / "events.jsonl").write_text("", encoding="utf-8")
    log = folder / "log.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"kind": "step", "step": 99, "lo')
    assert "step        60 of 60" in succeed(["watch", folder, "--once"], capsys)
    log.write_bytes(whole.replace(b'"step"', b'"st', 1))
    assert "line 1: damaged; it is not JSON" in fail(["watch", folder, "--once"], capsys)


def test_a_log_that_is_cut_back_is_read_anew(tmp_path):
    """Cut, written on beyond where one was, removed: what was read is forgotten; else only new rows come."""
    path = tmp_path / "log"
    rows = [json.dumps({"step": step, "loss": 1 / (step + 1)}).encode() + b"\n" for step in range(9)]
    others = [json.dumps({"step": step, "loss": 2 / (step + 1)}).encode() + b"\n" for step in range(99)]
    tail = Tail(path, required=("step",))
    assert tail.read() == ([], False)

    def read(*lines):
        path.write_bytes(b"".join(lines))
        found, is_anew = tail.read()
        return [row["step"] for row in found], is_anew

    assert read(*rows[:4]) == ([0, 1, 2, 3], False)
    assert read(*rows[:6], rows[6][:5]) == ([4, 5], False)
    assert read(*rows[:3]) == ([0, 1, 2], True)
    assert read(*rows[:5]) == ([3, 4], False)
    assert read(*rows[:2], *others[2:40])[1]
    path.unlink()
    assert tail.read() == ([], True)
    assert read(*others[:2]) == ([0, 1], False)
    path.write_bytes(b"".join([*others[:2], b"[]\n"]))
    with pytest.raises(CheckpointError, match=r"line 3: damaged; it is no object with step"):
        tail.read()


def test_a_resumed_run_is_shown_by_its_new_facts(trained, tmp_path):
    """After a resume the log is shorter and the recipe longer: step, curve and length are the new ones."""
    folder = copied(trained[0], tmp_path)
    watched = WatchedRun(folder)
    watched.look()
    assert watched.line().startswith("step 60 of 60 (100 %)")
    log = folder / "log.jsonl"
    kept = [line for line in log.read_bytes().splitlines(keepends=True) if json.loads(line)["step"] < 40]
    log.write_bytes(b"".join(kept))
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**facts, "total_steps": 80}), encoding="utf-8")
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "event": "resume", "step": 40}\n')
    assert watched.look()
    assert watched.line().startswith("step 40 of 80 (50 %)")
    assert not watched.look()
    assert watched.status(time.time()).word == "ended"


@pytest.mark.parametrize("how", ["removed", "replaced", "without its recipe"])
def test_a_folder_that_goes_is_noticed(how, trained, tmp_path):
    """Removed or replaced while it is watched: a message with the last step, and code 1."""
    folder = copied(trained[0], tmp_path)
    (folder / "events.jsonl").write_text("", encoding="utf-8")
    watched = WatchedRun(folder)
    watched.look()
    if how == "without its recipe":
        (folder / "recipe.toml").unlink()
    else:
        folder.rename(tmp_path / "elsewhere")
    if how == "replaced":
        shutil.copytree(tmp_path / "elsewhere", folder)
    with pytest.raises(CheckpointError, match="was removed, moved or replaced while it was watched; it was at step 60"):
        watched.look()


def test_removed_under_the_command(trained, tmp_path, capsys, monkeypatch):
    """The command ends with one message and code 1."""
    folder = copied(trained[0], tmp_path)
    (folder / "events.jsonl").unlink()
    monkeypatch.setattr("downslope.cli.watch.time.sleep", lambda _: shutil.rmtree(folder, ignore_errors=True))
    assert main(["watch", str(folder)]) == 1
    assert "was removed, moved or replaced" in capsys.readouterr().err


def test_whoever_holds_the_lock_is_seen_and_not_disturbed(tmp_path):
    """This process while it has it; nobody before and after, or where the lock names nobody that lives."""
    assert holder_of(tmp_path) is None
    with locked(tmp_path):
        holder = holder_of(tmp_path)
        assert holder is not None
        assert (holder.process, holder.elsewhere) == (os.getpid(), False)
    assert holder_of(tmp_path) is None
    lock = tmp_path / LOCK
    for text in (
        "",
        "nonsense",
        f"process {2**22 + 1} on {os.uname().nodename}",
        f"process {10**30} on {os.uname().nodename}",
    ):
        lock.write_text(text, encoding="utf-8")
        assert holder_of(tmp_path) is None
    lock.write_text("process 1 on another-machine", encoding="utf-8")
    holder = holder_of(tmp_path)
    assert holder is not None
    assert holder.elsewhere


def test_a_run_on_another_machine_is_told_of_as_far_as_can_be_known(trained, tmp_path, capsys):
    """Its lock names a machine that cannot be looked at: it trains unless its events say how it ended."""
    folder = copied(trained[0], tmp_path)
    (folder / LOCK).write_text("process 7 on another-machine\n", encoding="utf-8")
    assert succeed(["watch", folder], capsys).startswith("finished")
    (folder / "events.jsonl").unlink()
    shown = succeed(["watch", folder, "--once"], capsys)
    assert "by process 7 on another-machine, which cannot be seen from here; last heard of" in shown


def test_no_characters_that_a_pipe_cannot_spell(trained, monkeypatch):
    """In ASCII the curves are drawn with ASCII."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["watch", str(trained[0]), "--once"]) == 0
    out.seek(0)
    assert "\\u" not in out.read()
    assert Path(trained[0]).is_dir()
