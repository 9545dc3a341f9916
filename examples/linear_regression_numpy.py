"""Linear regression in plain NumPy with `downslope.numpy.SGD`: fit a line through noisy points.

The model is y = slope * x + offset, the loss is the mean of the squared errors, and its gradient is written by hand:
nothing is hidden. The answer is compared with the exact one, from the normal equations.

Run it: python examples/linear_regression_numpy.py
"""

from __future__ import annotations

import numpy as np

import downslope.numpy

STEPS = 200


def make_points() -> tuple[np.ndarray, np.ndarray]:
    """Return 100 points near the line y = 3 x - 1."""
    rng = np.random.default_rng(seed=0)
    x = rng.uniform(-1.0, 1.0, size=100)
    y = 3.0 * x - 1.0 + rng.normal(0.0, 0.1, size=100)
    return x, y


def gradients(params: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.floating]:
    """Return the gradient of mean((slope * x + offset - y) ** 2)."""
    error = params["slope"] * x + params["offset"] - y
    return {"slope": np.mean(2.0 * error * x), "offset": np.mean(2.0 * error)}


def main() -> dict[str, float]:
    """Fit the line, print it beside the exact answer, and return it."""
    x, y = make_points()
    params = {"slope": np.array(0.0), "offset": np.array(0.0)}
    optimizer = downslope.numpy.SGD(params, lr=0.1, momentum=0.9)
    for step in range(STEPS):
        if step % 40 == 0:
            loss = np.mean((params["slope"] * x + params["offset"] - y) ** 2)
            print(f"step {step:3d}   slope {params['slope']:+.4f}   offset {params['offset']:+.4f}   loss {loss:.5f}")
        optimizer.step(gradients(params, x, y))  # writes into params

    exact_slope, exact_offset = np.polyfit(x, y, deg=1)
    print(f"by SGD     slope {params['slope']:+.4f}   offset {params['offset']:+.4f}")
    print(f"exactly    slope {exact_slope:+.4f}   offset {exact_offset:+.4f}")
    assert abs(params["slope"] - exact_slope) < 1e-3
    assert abs(params["offset"] - exact_offset) < 1e-3
    return {name: float(value) for name, value in params.items()}


if __name__ == "__main__":
    main()
