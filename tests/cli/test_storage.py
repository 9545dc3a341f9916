"""What disks and other hands do to a run folder: the real commands, their messages, and what is left afterwards."""

import errno
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import command

from downslope.cli.main import main

RECIPE = {
    "model.hidden": "[64]",
    "train.steps": "40",
    "sgd.lr": "0.1",
    "train.evaluate_every": "20",
    "checkpoint.every_steps": "10",
    "checkpoint.every_seconds": "0",
}
EXACT = ("model.safetensors", "log.jsonl")


def words(folder, resume="auto", **overrides):
    """Return the words of a command that trains; two underscores stand for a dot."""
    recipe = RECIPE | {name.replace("__", "."): value for name, value in overrides.items()}
    return ["train", *(f"--{name}={value}" for name, value in recipe.items()), "--resume", resume, "--out", str(folder)]


@pytest.fixture
def no_report(monkeypatch):
    """Leave out the report, which takes longer than all the rest."""
    monkeypatch.setattr("downslope.training.loop._write_report", lambda *_: None)


def train(folder, capsys, **overrides):
    """Train in this process and return (exit code, what it printed, what it complained of)."""
    code = main(words(folder, **overrides))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "bug" not in err, err
    return code, out, err.removeprefix("downslope: error: ").rstrip("\n")


def fingerprint(folder):
    """Return hashes of what must be the same."""
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in EXACT]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main(words(folder)) == 0
    return fingerprint(folder)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Return a run of 40 steps that was stopped after 30; tests must not change it."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("downslope.training.run.Run.finished", property(lambda self: self.step >= 30))
        patch.setattr("downslope.training.run.Run._finish", lambda self: None)
        patch.setattr("downslope.training.loop._write_report", lambda *_: None)
        assert main(words(folder)) == 0
    for name in ("model.safetensors", "report.html"):
        assert not (folder / name).exists()
    return folder


def mount(kind, options, where):
    """Mount a file system, or skip the test where that is not permitted."""
    where.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", kind, "-o", options, "downslope", where], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"this process may not mount: {done.stderr.decode().strip()}")


@pytest.fixture
def small_disk(tmp_path):
    """Return a file system of 160 kB: room for the beginning of a run, not for all of it."""
    if shutil.which("mount") is None:
        pytest.skip("there is no program to mount a small file system with")
    where = tmp_path / "disk"
    mount("tmpfs", "size=160k", where)
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_full_disk_ends_the_run_with_a_message_and_room_lets_it_go_on(small_disk, whole, capsys):
    """On a real file system that fills up in mid-checkpoint: exit code 1, nothing lost, the same bits afterwards."""
    code, _, err = train(small_disk / "run", capsys)
    assert code == 1
    assert re.match(r"cannot write \S+/run/\S+: the disk is full. Free some space and start again; nothing that", err)
    kept = [path.parent.name for path in small_disk.glob("run/checkpoints/*/manifest.json")]
    assert kept
    assert not list(small_disk.rglob("*.partial"))  # half a file does not stay in the way of what could be saved
    assert train(small_disk / "run", capsys)[0] == 1  # still full
    assert [path.parent.name for path in small_disk.glob("run/checkpoints/*/manifest.json")] == kept
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    code, out, _ = train(small_disk / "run", capsys)
    assert code == 0
    assert f"resuming    from step {int(max(kept).removeprefix('step-'))}" in out
    assert fingerprint(small_disk / "run") == whole


def test_a_read_only_disk_is_said(small_disk, capsys):
    """A new run and one that is to go on: both are refused before anything is trained, and nothing has changed."""
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    assert train(small_disk / "run", capsys)[0] == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in small_disk.rglob("*"))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    remedy = "the file system is read-only. Choose another folder with --out."
    assert train(small_disk / "new", capsys)[::2] == (1, f"cannot create {small_disk}/new: {remedy}")
    code, _, err = train(small_disk / "run", capsys, train__steps="50")
    assert (code, err) == (1, f"cannot write {small_disk}/run/lock: {remedy}")
    assert sorted((path, path.stat().st_mtime_ns) for path in small_disk.rglob("*")) == before
    assert main(["evaluate", str(small_disk / "run")]) == 0  # which writes nothing


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root; the read-only disk above stands for them")
def test_a_folder_without_permission_is_said(tmp_path, capsys):
    """A folder that may be read only."""
    tmp_path.chmod(0o500)
    code, _, err = train(tmp_path / "run", capsys)
    tmp_path.chmod(0o700)
    assert (code, err[:60]) == (1, f"cannot create {tmp_path}/run: permission denied."[:60])


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_said(tmp_path):
    """Under `ulimit -f`, in a process of its own: the message names it."""
    script = f"ulimit -f 64; exec {sys.executable} -m downslope train --model.hidden '[512]' --train.steps 3 --out run"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"error: cannot write run/checkpoints/\S+: the file would be larger than allowed", done.stderr)


def wait_until(condition, process):
    """Wait until something holds while a process runs."""
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_two_processes_cannot_train_in_one_folder(tmp_path, capsys):
    """`train` and `resume` are refused while another process trains; killed, it leaves a lock that holds nobody up."""
    run = tmp_path / "run"
    first = subprocess.Popen(
        [sys.executable, "-m", "downslope", *words(run, train__steps="1000000")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: list(run.glob("checkpoints/*/manifest.json")), first)
        for attempt in (words(run, train__steps="1000000"), ["resume", str(run)]):
            assert main(attempt) == 2
            err = capsys.readouterr().err
            who = rf"process {first.pid} on \S+"
            assert re.match(rf"downslope: error: {run}: another process is training there, {who}. Wait for it, or", err)
        second = command("resume", str(run))
        assert (second.returncode, "another process is training there" in second.stderr) == (2, True)
        assert main(["evaluate", str(run)]) == 0  # reading is free
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    steps = max(int(path.parent.name[5:]) for path in run.glob("checkpoints/*/manifest.json"))
    assert main(["resume", str(run), f"--train.steps={steps + 5}"]) == 0


@pytest.mark.parametrize("name", ["lock", "log.jsonl", "events.jsonl", "recipe.toml", "run.json", "."])
@pytest.mark.parametrize("done", ["removed", "replaced"])
def test_what_is_removed_or_replaced_while_training_goes_on_is_noticed(
    name, done, tmp_path, capsys, monkeypatch, no_report
):
    """At the next save: exit code 1 and the file's name. A folder that was only moved goes on where it is now."""
    run = tmp_path / "run"

    def meddle(*_, **__):
        path = run / name
        if not (tmp_path / "taken").exists():
            path.rename(tmp_path / "taken")
            if done == "replaced":
                shutil.copytree(tmp_path / "taken", path) if path == run else path.write_bytes(b"other")

    monkeypatch.setattr("downslope.training.run.prune", meddle)
    code, _, err = train(run, capsys)
    if done == "replaced" and name in {"recipe.toml", "run.json"}:
        return  # an editor may do that: what counts is in the checkpoints
    assert code == 1
    path = run if name == "." else run / name
    assert err.startswith(f"{path}: was {done}{' or moved' if done == 'removed' else ''} while training went on, and ")
    monkeypatch.undo()
    if name == ".":
        assert main(["resume", str(tmp_path / "taken")]) == 0


def test_a_run_that_lost_its_recipe_loses_nothing_else(stopped, tmp_path, whole, capsys, no_report):
    """`train` into its folder is refused, not begun anew; from a checkpoint it goes on elsewhere, to the same bits."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    (run / "recipe.toml").unlink()
    code, _, err = train(run, capsys)
    assert code == 2
    assert err.startswith(f"{run}: is a run that has lost its recipe.toml. Put it back, or go on from a checkpoint")
    newest = re.search(r"--resume (\S+) and another --out", err)[1]
    assert newest == str(run / "checkpoints" / "step-00000030")
    assert train(tmp_path / "new", capsys, resume=newest)[0] == 0
    assert fingerprint(tmp_path / "new") == whole


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_run_that_lost_its_log_keeps_its_weights(damage, stopped, tmp_path, whole, capsys, no_report):
    """It cannot go on in place, and is told how it can: elsewhere, to the same weights, with a log from there on."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    log = (run / "log.jsonl").read_bytes()
    {
        "gone": (run / "log.jsonl").unlink,
        "cut": lambda: (run / "log.jsonl").write_bytes(log[:100]),
        "other": lambda: (run / "log.jsonl").write_bytes(b"x" + log[1:]),
    }[damage]()
    code, _, err = train(run, capsys)
    assert code == 2
    assert err.startswith(f"{run}: none of its checkpoints can be used.\n  passed over step-00000030: ")
    newest = re.search(r"--resume (\S+) and another --out", err)[1]
    code, out, _ = train(tmp_path / "new", capsys, resume=newest)
    assert code == 0
    assert "its log is lost" in out
    assert fingerprint(tmp_path / "new")[0] == whole[0]
    assert (tmp_path / "new" / "log.jsonl").read_text().startswith('{"kind": "step", "step": 30,')
    assert f"{tmp_path / 'new'} is finished under this recipe" in train(tmp_path / "new", capsys)[1]


FILES = [
    "recipe.toml",
    "run.json",
    "log.jsonl",
    "events.jsonl",
    "lock",
    "checkpoints/step-00000030/manifest.json",
    "checkpoints/step-00000030/model.safetensors",
    "checkpoints/step-00000030/optimizer.safetensors",
]


@pytest.mark.parametrize("name", FILES)
def test_no_damaged_file_changes_a_number_in_silence(name, stopped, tmp_path, whole, capsys, no_report):
    """Flipped bits and cut ends: the same bits, or a message and a code, or another recipe that is said."""
    moments = random.Random(name)
    data = (stopped / name).read_bytes()
    cases = [data[:cut] for cut in (0, len(data) // 2, len(data) - 1)]
    for _ in range(8):
        flipped = bytearray(data)
        flipped[moments.randrange(len(data))] ^= 1 << moments.randrange(8)
        cases.append(bytes(flipped))
    seen = set()
    for number, case in enumerate(cases):
        run = Path(shutil.copytree(stopped, tmp_path / str(number)))
        (run / name).write_bytes(case)
        code = main(["resume", str(run)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "bug" not in err, err
        if code:
            assert code == 2
            assert str(run) in err
        elif "resuming with a different recipe" not in out:
            assert fingerprint(run) == whole, f"{name}, case {number}: other bits, and not a word"
        seen.add(code)
    assert 0 in seen or name in {"recipe.toml", "log.jsonl"}


def test_a_checkpoint_of_another_run_is_not_taken_up(stopped, tmp_path, whole, capsys, no_report):
    """Copied into the folder as its newest: passed over, since the log does not begin as it says."""
    other = tmp_path / "other"
    assert train(other, capsys, seed="1")[0] == 0
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    shutil.copytree(other / "checkpoints" / "step-00000040", run / "checkpoints" / "step-00000040")
    code, out, _ = train(run, capsys)
    assert code == 0
    assert re.search(r"passed over step-00000040: .*log.jsonl", out)
    assert fingerprint(run) == whole
    code, _, err = train(tmp_path / "new", capsys, resume=str(other), model__hidden="[5]")
    assert (code, "was trained under another recipe" in err) == (2, True)


@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_clocks_that_jump_change_nothing(jump, tmp_path, whole, capsys, monkeypatch):
    """Both clocks jump by thirty years at step 15: checkpoints by the clock, progress and the report go on."""
    monotonic, wall, jumped = time.monotonic, time.time, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + jumped[0])
    monkeypatch.setattr(time, "time", lambda: wall() + jumped[0])
    from downslope.training.run import Run

    one_step = Run._one_step

    def step(self):
        jumped[0] = jump if self.step >= 15 else 0.0
        one_step(self)

    monkeypatch.setattr(Run, "_one_step", step)
    run = tmp_path / "run"
    code, out, _ = train(run, capsys, checkpoint__every_seconds="10", checkpoint__every_steps="1000")
    assert code == 0
    assert f"report      {run}/report.html" in out
    # the clock asked for a checkpoint at once, whichever way it jumped
    steps = re.findall(r'"event": "checkpoint", "step": (\d+)', (run / "events.jsonl").read_text())
    assert "16" in steps
    assert fingerprint(run) == whole


def test_events_of_a_clock_set_back_are_reported(stopped, tmp_path):
    """Times that run backwards: the page is written all the same."""
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    events = (run / "events.jsonl").read_text().splitlines()
    events = [re.sub(r'"time": "\d{4}', f'"time": "{2030 - number}', line) for number, line in enumerate(events)]
    (run / "events.jsonl").write_text("\n".join(events) + "\n")
    assert main(["report", str(run)]) == 0


@pytest.mark.parametrize("name", ["my runs/第一次 🚀", 'it\'s "quoted"', "-dash", "line\nbreak", "a" * 200])
def test_any_name_of_a_folder_will_do(name, stopped, tmp_path, whole, capsys, monkeypatch, no_report):
    """Spaces, quotes, Chinese, emoji, a dash, a line break: resumed, evaluated, reported."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stopped, tmp_path / name)
    given = f"./{name}" if name.startswith("-") else name
    assert main(["resume", given]) == 0
    assert fingerprint(tmp_path / name) == whole
    assert main(["evaluate", given]) == 0
    assert main(["report", given]) == 0
    assert "bug" not in capsys.readouterr().err


def test_links_are_followed_and_loops_refused(stopped, tmp_path, whole, capsys, monkeypatch, no_report):
    """A folder by a symbolic link, checkpoints on another file system by one, a link to itself, one to nothing."""
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(stopped, tmp_path / "real"))
    memory = Path("/dev/shm")  # noqa: S108
    elsewhere = (memory if os.access(memory, os.W_OK) else tmp_path) / f"downslope-{os.getpid()}"
    shutil.move(run / "checkpoints", elsewhere)
    (run / "checkpoints").symlink_to(elsewhere)
    Path("link").symlink_to("real")
    try:
        assert train(Path("link"), capsys)[0] == 0
    finally:
        shutil.rmtree(elsewhere)
    assert fingerprint(run) == whole
    Path("loop").symlink_to("loop")
    Path("nowhere").symlink_to("absent/run")
    for name in ("loop", "nowhere"):
        code, _, err = train(Path(name), capsys)
        assert code == 1
        assert err.startswith(f"cannot create {name}: a file, or a symbolic link that leads nowhere, is in the way.")
        assert main(["resume", name]) == 2
        assert "there is no such run folder" in capsys.readouterr().err


def test_a_lock_that_cannot_be_had_is_not_another_process(tmp_path, capsys, monkeypatch):
    """A file system without locks says so, rather than that someone trains there."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    code, _, err = train(tmp_path / "run", capsys)
    assert (code, err) == (
        1,
        f"cannot lock {tmp_path}/run/lock: this file system cannot lock files. Choose another folder with --out.",
    )


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, whole, capsys, monkeypatch, no_report):
    """Where a file system answers that folders have no sync (EINVAL), training goes on, to the same bits."""
    fsync = os.fsync

    def picky(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    assert train(tmp_path / "run", capsys)[0] == 0
    assert fingerprint(tmp_path / "run") == whole
