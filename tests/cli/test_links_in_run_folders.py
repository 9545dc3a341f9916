"""What is linked into a run folder is somebody's: it is not written to, cut, emptied or removed, and that is said."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from command_line import fail
from storage_runs import fingerprint, train

from downslope.cli.main import main

CHECKPOINTS = ["step-00000010", "step-00000020", "step-00000030"]
KEPT = ["recipe.toml", "run.json", "lock", "log.jsonl", "events.jsonl", "loggers.json"]
WRITTEN_ANEW = ["model.safetensors", "ema.safetensors", "report.html"]


def picture(folder):
    """Return what lies in a folder: names, kinds, contents, and of links where they lead."""
    return {
        str(path.relative_to(folder)): path.readlink()
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else stat.S_IFMT(path.lstat().st_mode))
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def run(stopped, tmp_path):
    """Return a copy of a stopped run that may be changed."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.fixture
def elsewhere(tmp_path):
    """Return a folder with files that are somebody's."""
    folder = tmp_path / "elsewhere"
    (folder / "deeper").mkdir(parents=True)
    for name in ("thesis.tex", "manifest.json", "model.safetensors", "deeper/notes"):
        (folder / name).write_text(f"years of work on {name}\n")
    return folder


def move_and_link(path, target):
    """Move something elsewhere and link it back, as one does when a disk is full."""
    shutil.move(path, target)
    path.symlink_to(target)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_that_was_moved_and_linked_back_is_read_and_never_touched(
    name, run, tmp_path, whole, capsys, no_report
):
    """Moved to a larger disk: training goes on from it, to the same bits; pruning leaves it and its link."""
    link = run / "checkpoints" / name
    move_and_link(link, tmp_path / "disk")
    before = picture(tmp_path / "disk")
    for _ in range(2):
        code, out, _ = train(run, capsys, checkpoint__keep="1")
        assert code == 0
        assert picture(tmp_path / "disk") == before
        assert link.is_symlink()
    assert fingerprint(run) == whole
    code, out, _ = train(run, capsys, train__steps="50", checkpoint__keep="1")
    assert (code, out.count(f"{link}: is a symbolic link")) == (0, 1)
    assert picture(tmp_path / "disk") == before
    assert main(["evaluate", str(run), "--checkpoint", str(link)]) == 0
    assert picture(tmp_path / "disk") == before


@pytest.mark.parametrize("target", ["elsewhere", "nowhere", "itself"])
@pytest.mark.parametrize("name", [*CHECKPOINTS, "step-00000005", "step-00000040"])
def test_a_link_in_the_place_of_a_checkpoint_loses_nobody_anything(
    name, target, run, elsewhere, whole, capsys, no_report
):
    """To a folder of somebody's, to nothing, to itself: the run goes on, to the same bits, again and again."""
    link = run / "checkpoints" / name
    shutil.rmtree(link, ignore_errors=True)
    link.symlink_to({"elsewhere": elsewhere, "nowhere": "absent", "itself": link.name}[target])
    before = picture(elsewhere)
    for steps in ("40", "50"):
        assert train(run, capsys, train__steps=steps, checkpoint__keep="1")[0] == 0
        assert picture(elsewhere) == before
        if steps == "40":
            assert fingerprint(run) == whole


@pytest.mark.parametrize("kind", ["file", "nothing"])
@pytest.mark.parametrize("name", KEPT)
def test_a_linked_file_of_a_run_is_refused_before_anything_is_written(name, kind, run, elsewhere, capsys, no_report):
    """Code 2 and the file's name, for every way to go on; what it leads to and the run stay as they are."""
    path = run / name
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere / ("thesis.tex" if kind == "file" else "absent"))
    before = picture(elsewhere), picture(run)
    for words in (["resume", run], ["train", "--resume", run], ["train", "--out", run]):
        assert name in fail(words, capsys)
    assert (picture(elsewhere), picture(run)) == before
    path.unlink()
    if name not in {"recipe.toml", "log.jsonl"}:
        assert main(["resume", str(run)]) == 0


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard", "wandb"])
def test_a_linked_folder_of_a_run_is_refused(name, run, elsewhere, capsys, no_report):
    """Training would write in it and remove from it; its checkpoints can still be read."""
    if (run / name).exists():
        move_and_link(run / name, elsewhere / name)
    else:
        (run / name).symlink_to(elsewhere)
    before = picture(elsewhere), picture(run)
    assert f"{name} is a symbolic link" in fail(["resume", run], capsys)
    assert main(["evaluate", str(run)]) == 0
    assert (picture(elsewhere), picture(run)) == before


@pytest.mark.parametrize("name", WRITTEN_ANEW)
def test_of_a_linked_result_only_the_link_is_replaced(name, run, elsewhere, capsys, no_report):
    """A run that goes on removes its old weights and report: of a link the link, and says so."""
    (run / name).symlink_to(elsewhere / "thesis.tex")
    before = picture(elsewhere)
    code, out, _ = train(run, capsys)
    assert code == 0
    assert f"{run / name}: was a symbolic link" in out
    assert picture(elsewhere) == before
    assert not (run / name).is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        ".recipe.toml.partial",
        ".model.safetensors.partial",
        ".lock.partial",
        "checkpoints/step-00000040/.manifest.json.partial",
        "checkpoints/step-00000040/.model.safetensors.partial",
    ],
)
def test_nothing_is_written_through_a_link_of_a_temporary_name(name, run, elsewhere, whole, capsys, no_report):
    """The names under which files are half written are known; what stands there goes, not what it leads to."""
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(elsewhere / "thesis.tex")
    before = picture(elsewhere)
    assert train(run, capsys)[0] == 0
    assert picture(elsewhere) == before
    assert fingerprint(run) == whole
    assert not list(run.rglob("*.partial"))


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "optimizer.safetensors"])
def test_a_linked_file_of_a_checkpoint_does_not_count(name, run, tmp_path, whole, capsys, no_report):
    """The checkpoint is passed over with that reason, and the one before it is taken."""
    path = run / "checkpoints" / "step-00000030" / name
    move_and_link(path, tmp_path / "file")
    before = (tmp_path / "file").read_bytes()
    code, out, _ = train(run, capsys)
    assert code == 0
    assert f"passed over step-00000030: {path}: is a symbolic link" in out
    assert (tmp_path / "file").read_bytes() == before
    assert fingerprint(run) == whole


@pytest.mark.parametrize("name", ["lock", "log.jsonl", "events.jsonl"])
def test_a_file_with_another_name_besides_is_not_cut_or_written_under_it(
    name, run, elsewhere, whole, capsys, no_report
):
    """A hard link, as `cp -al` and backups make: the run gets a file of its own, and goes on to the same bits."""
    other = elsewhere / "other"
    if name == "lock":
        (run / name).unlink()
        os.link(elsewhere / "thesis.tex", run / name)
    else:
        with (run / name).open("ab") as file:
            file.write(b'{"kind": "step", "half a line')  # which is to be cut off
    os.link(run / name, other)
    before = picture(elsewhere)
    assert train(run, capsys)[0] == 0
    assert picture(elsewhere) == before
    assert fingerprint(run) == whole
    assert (run / name).stat().st_nlink == 1


def test_a_copy_of_hard_links_is_a_run_of_its_own(run, tmp_path, whole, capsys, no_report):
    """`cp -al` of a run, then training in the copy: the first stays as it was, and both end with the same bits."""
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, copy_function=os.link)
    before = picture(run)
    assert train(copy, capsys)[0] == 0
    assert picture(run) == before
    assert train(run, capsys)[0] == 0
    assert fingerprint(run) == fingerprint(copy) == whole


@pytest.mark.parametrize("name", ["lock", "log.jsonl", "events.jsonl", "checkpoints", "report.html"])
def test_a_folder_that_holds_links_under_a_runs_names_is_not_begun_in(name, tmp_path, elsewhere, capsys):
    """No recipe, so no run; but a link under a name that a run writes to, or would remove."""
    out = tmp_path / "new"
    out.mkdir()
    target = elsewhere if name == "checkpoints" else elsewhere / "thesis.tex"
    (out / name).symlink_to(target)
    before = picture(elsewhere)
    code = main(["train", "--train.steps", "3", "--model.hidden", "[4]", "--out", str(out)])
    assert (code, "symbolic link" in "".join(capsys.readouterr())) == (0 if name == "report.html" else 2, True)
    assert picture(elsewhere) == before


@pytest.mark.parametrize("name", ["recipe.toml", "run.json", "log.jsonl", "events.jsonl", "lock", "loggers.json"])
def test_pipes_are_not_waited_for(name, run, capsys, no_report):
    """A FIFO in the place of any file: no command hangs; each says what it is, or does without."""
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    reading = ["report"] if name in {"run.json", "log.jsonl", "events.jsonl"} else ["evaluate"]  # a page takes long
    for command in ("resume", "watch", *reading):
        code = main([command, str(run), *(["--once"] if command == "watch" else [])])
        err = capsys.readouterr().err
        assert code in ({2} if command == "resume" else {0, 2})
        assert not code or name in err


def test_pipes_in_a_checkpoint_are_not_waited_for(run, whole, capsys, no_report):
    """It is passed over like a damaged one."""
    for name in ("manifest.json", "model.safetensors"):
        path = run / "checkpoints" / ("step-00000030" if name == "manifest.json" else "step-00000020") / name
        path.unlink()
        os.mkfifo(path)
    code, out, _ = train(run, capsys)
    assert (code, out.count("is a FIFO")) == (0, 2)
    assert fingerprint(run) == whole


def test_a_link_put_in_place_while_training_goes_on_is_noticed(run, elsewhere, capsys, monkeypatch, no_report):
    """At the next save, as when a file is replaced; what it leads to stays as it is."""

    def meddle(*_, **__):
        if not (run / "log.jsonl").is_symlink():
            move_and_link(run / "log.jsonl", elsewhere / "log")

    monkeypatch.setattr("downslope.training.run.saving.prune", meddle)
    code, _, err = train(run, capsys)
    assert (code, err.startswith(f"{run / 'log.jsonl'}: was replaced while training went on")) == (1, True)


def test_the_run_folder_itself_may_be_a_link(stopped, tmp_path, whole, capsys, no_report):
    """It is where a person says that the run is."""
    real = shutil.copytree(stopped, tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert train(tmp_path / "link", capsys)[0] == 0
    assert fingerprint(real) == whole


@pytest.mark.parametrize(
    "words",
    [
        ["report", "RUN", "--out"],
        ["predict", "RUN", "--output"],
        ["predict", "RUN", "--attention"],
        ["explain", "digits", "--html"],
        ["convert", "RUN", "--to", "torch"],
    ],
)
def test_no_pipe_or_device_is_replaced_by_what_is_written(words, run, tmp_path, capsys):
    """Nor where a link leads to one, as /dev/stdout does: root would lose its /dev/null."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "pipe.csv")
    for name in ("pipe.csv", "link.csv"):
        assert main([*(str(run) if word == "RUN" else word for word in words), str(tmp_path / name)]) == 2
        assert "is a FIFO (a named pipe), not a regular file, and would be replaced" in capsys.readouterr().err
        assert (tmp_path / "pipe.csv").is_fifo()
    assert (tmp_path / "link.csv").is_symlink()
