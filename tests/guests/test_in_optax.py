"""Inside optax's wrappers, with parameters in a dictionary and orbax for checkpoints."""

from __future__ import annotations

import pytest

pytest.importorskip("jax", reason="JAX is not installed")
pytest.importorskip("optax", reason="optax is not installed")
pytest.importorskip("orbax.checkpoint", reason="orbax is not installed")
from guest_jax import TITLES, Optax, data, found_in, near, ours, theirs
from guest_table import judge


@pytest.mark.parametrize("title", TITLES)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Optax.name, title, found_in(Optax(), title, tmp_path))


def test_ours_in_contrib(tmp_path):
    """A wrapper of optax's contrib takes it as it takes optax's."""
    from optax.contrib import schedule_free

    both = [
        Optax().train(schedule_free(one, learning_rate=0.1, b1=0.9), data(), tmp_path) for one in (ours(), theirs())
    ]
    assert near(*both)
