"""The examples: each is run as a reader would run it, and does what it says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import pytest

import warm
from house.source_tree import ROOT, relative

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
ON_TORCH = {"torch_classifier", "digits_as_in_scikit_learn", "own_model_and_data"}
"""Those whose process is forked from one that has torch; the others' is a cold one."""
READS_DIGITS = {"logistic_regression_numpy", "jax_classifier", "torch_classifier"}
"""Those that have at least 97 % of the 360 test images right, and say so; each ends by asserting its own claims."""


def load(name):
    """Return an example as a module, without running its `main`."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.slow) if "keras" in p.name else p for p in EXAMPLES],
    ids=relative,
)
def test_it_runs_as_a_script(path, tmp_path):
    """From any directory, without a warning, and with something to read if it has a `main`; digits are read well."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    kerases = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"  # its own Variable's
    words = ["-W", "error", "-W", kerases, str(path)]
    if path.stem in ON_TORCH:
        done = warm.run(*words, cwd=tmp_path, env=environment, imported=warm.TORCH)
    else:
        done = subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
    assert done.returncode == 0, done.stderr
    assert bool(done.stdout) == ("def main(" in path.read_text(encoding="utf-8"))
    assert not list(tmp_path.iterdir())
    if path.stem in READS_DIGITS:
        said = re.search(r"[Tt]est accuracy:? (\d+\.\d)%$", done.stdout.rstrip())
        assert said is not None, done.stdout
        assert float(said[1]) >= 97.0


def test_linear_regression_finds_the_exact_line(capsys):
    """Its answer is that of the normal equations, within what the example states."""
    example = load("linear_regression_numpy")
    x, y = example.make_points()
    fitted = example.main()
    # normal equations by hand: slope = cov(x, y) / var(x)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    assert fitted["slope"] == pytest.approx(slope, abs=1e-3)
    assert fitted["offset"] == pytest.approx(y.mean() - slope * x.mean(), abs=1e-3)
    assert "exactly" in capsys.readouterr().out


def test_logistic_regression_gradient_is_right():
    """The gradient written by hand agrees with differences of the loss."""
    import numpy as np

    example = load("logistic_regression_numpy")
    rng = np.random.default_rng(3)
    params = {"weight": rng.normal(size=(64, 10)), "bias": rng.normal(size=10)}
    images, labels = rng.uniform(size=(5, 64)), np.array([0, 3, 3, 9, 1])

    def loss():
        probabilities = example.softmax(images @ params["weight"] + params["bias"])
        return -np.log(probabilities[np.arange(5), labels]).mean()

    gradients = example.gradients(params, images, labels)
    for name, place in (("weight", (7, 3)), ("weight", (0, 9)), ("bias", (3,)), ("bias", (5,))):
        kept, epsilon = params[name][place], 1e-6
        params[name][place] = kept + epsilon
        above = loss()
        params[name][place] = kept - epsilon
        below = loss()
        params[name][place] = kept
        assert gradients[name][place] == pytest.approx((above - below) / (2 * epsilon), rel=1e-5, abs=1e-9)
