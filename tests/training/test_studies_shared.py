"""One study, four processes, through PostgreSQL and a journal file: killed at random, it ends as it would have."""

import os
import signal

import pytest

import warm

pytest.importorskip("optuna")

from downslope.core.errors import DownslopeError
from downslope.training.folder import durable
from downslope.training.tuning.result import write_result
from downslope.training.tuning.study import Study
from downslope.training.tuning.work import Design, work
from training import postgres, studying

KILLS = 20 if os.environ.get("DOWNSLOPE_NIGHTLY") == "1" else 5
FILES = ["study.json", "best.toml", "winner/seed-0/model.safetensors", "winner/seed-1/log.jsonl"]


@pytest.fixture(scope="module")
def database():
    """Return the URL of a server's database."""
    with postgres.server() as (url, _):
        yield url


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of the study as one process works on it, undisturbed."""
    folder, plan = tmp_path_factory.mktemp("whole") / "study", studying.plan()
    study = Study(folder, None, plan.about())
    work(study, plan)
    write_result(plan, study.state(), folder)
    return folder


def shared(folder, url, seed):
    """Have four processes work on a study, and return it."""
    done = warm.run(studying.__file__, folder, url or "-", str(KILLS), str(seed))
    assert done.returncode == 0, done.stderr
    study = Study(folder, url)
    write_result(Design.of(study.about), study.state(), folder)
    return study


def check_same(study, whole):
    """Check that a study ended with the trials, the recipe and the weights of another, and as Optuna's tools see it."""
    for name in FILES:
        assert (study.folder / name).read_bytes() == (whole / name).read_bytes(), name
    states = [sorted((one.user_attrs["trial"], one.state.name) for one in each._study.get_trials())
              for each in (study, Study(whole, None))]  # fmt: skip
    assert states[0] == states[1]
    assert not any("RUNNING" in one for one in states[0])


def test_four_processes_through_a_journal_file(whole, tmp_path):
    """Begun at one moment in an empty folder, killed with SIGKILL and begun anew: the same bytes."""
    check_same(shared(tmp_path / "study", None, seed=1), whole)


def test_four_processes_through_postgresql(whole, tmp_path, database):
    """The same on a server that knew nothing of the study."""
    check_same(shared(tmp_path / "study", database, seed=2), whole)


def test_a_server_that_is_gone_is_one_message(tmp_path):
    """While a study is worked on or when it is opened: what the storage says, and no bug of ours."""
    plan = studying.plan()
    with postgres.server() as (url, process):
        study = Study(tmp_path / "study", url, plan.about())
        assert study.state().points == {}
        process.send_signal(signal.SIGQUIT)  # at once, those that answer before it itself
        process.wait()
        with pytest.raises(DownslopeError, match="--storage: "):
            study.state()
        with pytest.raises(DownslopeError, match="--storage: "):
            Study(tmp_path / "study", url)


def test_a_folder_that_another_process_creates_meanwhile_is_no_mistake(tmp_path, monkeypatch):
    """Between the question whether it is there and its creation; a file that is in the way still is one."""
    create = os.mkdir

    def sooner(path, *arguments):
        create(path)
        create(path, *arguments)

    monkeypatch.setattr(os, "mkdir", sooner)
    durable.make_folder(tmp_path / "study" / "locks")
    assert (tmp_path / "study" / "locks").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(durable.StorageError, match=r"a file, or a symbolic link that leads nowhere, is in the way"):
        durable.make_folder(tmp_path / "file")
