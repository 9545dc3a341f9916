"""What the tests of the command line share: finished and stopped runs, each trained once."""

import pytest
from command_line import SHORT, command
from storage_runs import fingerprint, words

from downslope.cli.main import main
from drawn_once import equal_panels_are_drawn_once  # noqa: F401  a fixture


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return a finished run of 60 steps and what its training printed; tests must not change the folder."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = command("train", *SHORT, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return what an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main(words(folder)) == 0
    return fingerprint(folder)


@pytest.fixture(scope="session")
def stopped(tmp_path_factory):
    """Return a run of 40 steps that was stopped after 30; tests must not change it."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("downslope.training.run.train.Trainer.finished", property(lambda self: self.step >= 30))
        patch.setattr("downslope.training.run.train.Trainer._finish", lambda self: None)
        patch.setattr("downslope.training.run.train._write_report", lambda *_: None)
        assert main(words(folder)) == 0
    for name in ("model.safetensors", "report.html"):
        assert not (folder / name).exists()
    return folder
