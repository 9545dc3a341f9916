"""What disks and other hands do to a run folder: the real commands, their messages, and what is left afterwards."""

import errno
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import command
from storage_runs import fingerprint, train, words

import warm
from downslope.cli.main import main


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
    code = (
        "import resource, sys\nfrom downslope.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\nsys.exit(main(sys.argv[1:]))"
    )
    done = warm.run(
        "-c", code, *["train", "--model.hidden", "[512]", "--train.steps", "3", "--out", "run"], cwd=tmp_path
    )
    assert done.returncode == 1
    assert re.search(r"error: cannot write run/checkpoints/\S+: the file would be larger than allowed", done.stderr)


def wait_until(condition, process):
    """Wait until something holds while a process runs."""
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_two_processes_cannot_train_in_one_folder(tmp_path, capsys):
    """`train` and `resume` are refused while another process trains; killed, it leaves a lock that holds nobody up."""
    run = tmp_path / "run"
    first = warm.Running(["-m", "downslope", *words(run, train__steps="1000000")], stderr=subprocess.PIPE)
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

    monkeypatch.setattr("downslope.training.run.saving.prune", meddle)
    code, _, err = train(run, capsys)
    if done == "replaced" and name in {"recipe.toml", "run.json"}:
        return  # an editor may do that: what counts is in the checkpoints
    assert code == 1
    path = run if name == "." else run / name
    assert err.startswith(f"{path}: was {done}{' or moved' if done == 'removed' else ''} while training went on, and ")
    monkeypatch.undo()
    if name == ".":
        assert main(["resume", str(tmp_path / "taken")]) == 0


@pytest.mark.parametrize("jump", [1e9, -1e9])
def test_clocks_that_jump_change_nothing(jump, tmp_path, whole, capsys, monkeypatch):
    """Both clocks jump by thirty years at step 15: checkpoints by the clock, progress and the report go on."""
    monotonic, wall, jumped = time.monotonic, time.time, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + jumped[0])
    monkeypatch.setattr(time, "time", lambda: wall() + jumped[0])
    from downslope.training.run.train import Trainer

    one_step = Trainer.train_step

    def step(self):
        jumped[0] = jump if self.step >= 15 else 0.0
        one_step(self)

    monkeypatch.setattr(Trainer, "train_step", step)
    run = tmp_path / "run"
    code, out, _ = train(run, capsys, checkpoint__every_seconds="10", checkpoint__every_steps="1000")
    assert code == 0
    assert f"report      {run}/report.html" in out
    # the clock asked for a checkpoint at once, whichever way it jumped
    steps = re.findall(r'"event": "checkpoint", "step": (\d+)', (run / "events.jsonl").read_text())
    assert "16" in steps
    assert fingerprint(run) == whole


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


def test_a_run_folder_by_a_link_is_followed_and_loops_are_refused(
    stopped, tmp_path, whole, capsys, monkeypatch, no_report
):
    """A run on another file system by a symbolic link to its folder, a link to itself, one to nothing."""
    monkeypatch.chdir(tmp_path)
    memory = Path("/dev/shm")  # noqa: S108
    elsewhere = (memory if os.access(memory, os.W_OK) else tmp_path) / f"downslope-{os.getpid()}"
    shutil.copytree(stopped, elsewhere)
    Path("link").symlink_to(elsewhere)
    try:
        assert train(Path("link"), capsys)[0] == 0
        assert fingerprint(elsewhere) == whole
    finally:
        shutil.rmtree(elsewhere)
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
