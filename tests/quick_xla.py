"""XLA's quickest compilation, for tests of what is compiled and not of how: their steps are few."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def quick_to_compile() -> Iterator[None]:
    """Leave XLA's dearest optimizations out of what JAX compiles meanwhile."""
    import jax

    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
