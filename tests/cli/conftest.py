"""What the tests of the command line share: one finished run, trained once by the real command."""

import pytest
from command_line import SHORT, command


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return a finished run of 60 steps and what its training printed; tests must not change the folder."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = command("train", *SHORT, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout
