"""Try the installed package, away from the checkout: its files, its recipes, every command that its documents show.

To be run by the Python that it is installed for, with what `backend()` must begin with: `smoke.py compiled`. With
`--files` after it only the files are looked at and two steps taken, for which NumPy is enough.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
COMMAND = Path(sys.executable).with_name("downslope")


def run(words: list[str], folder: Path) -> str:
    """Return what a command prints; end with all that it said if it fails."""
    environment = os.environ | {"XDG_STATE_HOME": str(folder), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([COMMAND, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"downslope {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    print("ok: downslope", *words)
    return done.stdout


def check_files(wanted: str) -> None:
    """What is imported is what was installed, with the kernel or without, and the types that belong to it."""
    import downslope
    from downslope.kernel import backend

    package = Path(downslope.__file__).parent
    assert package.is_relative_to(sys.prefix), package
    assert metadata.version("downslope") == downslope.__version__
    assert backend().startswith(wanted), backend()
    assert (package / "py.typed").is_file()
    assert (package / "kernel/_native.pyi").is_file() == (wanted == "compiled")
    print("ok:", package, backend())


def check_steps() -> None:
    """Two steps with momentum 0.5 from 1, by gradients of 1: velocities 1 and 1.5."""
    import numpy as np

    import downslope.numpy

    params = {"w": np.ones(1000, np.float32)}
    optimizer = downslope.numpy.SGD(params, lr=0.1, momentum=0.5)
    for _ in range(2):
        optimizer.step({"w": np.ones(1000, np.float32)})
    assert np.allclose(params["w"], 1 - 0.1 - 0.15), params
    print("ok: two steps in NumPy, on Python", sys.version.split()[0])


def check_commands(folder: Path) -> None:
    """The recipes of the checkout are there by name, and each command of the first page and the README works."""
    names = {path.stem for path in (ROOT / "recipes").glob("*.toml")}
    listed = run(["recipes"], folder)
    assert names == {line.split()[0] for line in listed.splitlines() if line.strip()} & names, listed
    for name in sorted(names):
        run(["explain", name], folder)
    for target in ("torch", "keras", "tensorflow", "optax", "timm", "downslope"):
        run(["export", "digits", "--to", target, "--with-model"], folder)
    run(["export", "digits-plain-sgd", "--to", "caffe"], folder)
    run(["train", "digits", "--train.epochs", "1", "--out", "by-name"], folder)
    run(["train", "recipes/digits.toml", "--train.epochs", "1", "--out", "by-path"], folder)

    sys.path.append(str(TESTS))
    from house.documents import shell_lines

    for document in ("README.md", "docs/package.md"):
        (beside := folder / Path(document).stem).mkdir()
        lines = [
            words for place, words in shell_lines() if place.startswith(f"{document}:") and words[0] == "downslope"
        ]
        assert any("digits" in word for words in lines for word in words), document
        for words in lines:
            run(words[1:], beside)


if __name__ == "__main__":
    check_files(sys.argv[1])
    check_steps()
    if sys.argv[2:] == ["--files"]:
        sys.exit()
    with tempfile.TemporaryDirectory(prefix="downslope-smoke-") as made:
        check_commands(Path(made))
