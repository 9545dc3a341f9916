"""Failures that are nobody's misspelling: interrupts, missing packages, full memory, bugs. One message each."""

import importlib
import subprocess
import sys

import pytest

from downslope.cli import main as cli


@pytest.fixture
def failing(monkeypatch):
    """Return a function that makes the command `train` raise an error."""

    def fail(error):
        class Module:
            @staticmethod
            def execute(words):
                raise error

        monkeypatch.setattr(importlib, "import_module", lambda name: Module)

    return fail


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "stopped."),
        (SystemExit(), 1, "something called sys.exit()."),
        (SystemExit(0), 1, "something called sys.exit(0)."),
        (SystemExit("no data"), 1, "something called sys.exit('no data')."),
        (MemoryError(), 1, "out of memory. Use a smaller model or batch, or a machine with more memory."),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), 1, "out of memory."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "out of memory."),
        (PermissionError(13, "Permission denied", "runs/x"), 1, "runs/x: Permission denied."),
        (OSError(28, "No space left on device"), 1, "No space left on device."),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            'this needs torch, which is not installed. Run: pip install "downslope[train]"',
        ),
        (
            ModuleNotFoundError("No module named 'sklearn.datasets'", name="sklearn.datasets"),
            2,
            'this needs scikit-learn, which is not installed. Run: pip install "downslope[train]"',
        ),
        (
            ZeroDivisionError("division by zero"),
            1,
            (
                "ZeroDivisionError: division by zero\nThis is a bug in Downslope. Set DOWNSLOPE_TRACEBACK=1 to see "
                "where, and please report it."
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_failure_gets_one_message(failing, capsys, error, code, message):
    """The message and the exit code are the table's; there is no traceback."""
    failing(error)
    assert cli.main(["train"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"downslope: error: {message}")
    assert "Traceback" not in err


def test_a_traceback_is_to_be_had(failing, monkeypatch):
    """With the environment variable set, the error goes through as it is."""
    failing(ZeroDivisionError("division by zero"))
    monkeypatch.setenv(cli.TRACEBACK, "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["train"])


def test_a_package_that_is_really_missing_is_named(tmp_path):
    """With torch made unimportable, the real command says what to install."""
    (tmp_path / "recipe.toml").write_text("[sgd]\nlr = 0.1\n[train]\nsteps = 1\n")
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        f"from downslope.cli.main import main\nsys.exit(main(['evaluate', {str(tmp_path)!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        'downslope: error: this needs torch, which is not installed. Run: pip install "downslope[train]"\n'
    )
