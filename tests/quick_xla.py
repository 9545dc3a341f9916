"""XLA's quickest compilation, for tests of what is compiled and not of how: most steps of the tests are few.

`conftest.py` asks for it before anything loads JAX, but by night; processes inherit it.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

KNOWN = "0.10."
"""Versions of jaxlib that these flags were tried with: a flag that is unknown to XLA ends the process."""

QUICK = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0"

AS_SHIPPED = {"xla_cpu_use_fusion_emitters": True, "xla_backend_optimization_level": 3}


def ask_for_quick_compilation() -> None:
    """Leave XLA's dearest optimizations out of whatever is compiled from here on, unless it is named `as_shipped`."""
    if is_known():
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICK}".strip()


def is_known() -> bool:
    """Whether the flags are known to the XLA that is installed."""
    try:
        return version("jaxlib").startswith(KNOWN)
    except PackageNotFoundError:
        return False


def as_shipped(function, **options):
    """Return a function compiled as XLA does it for users: where the bits of what is compiled are the test."""
    import jax

    return jax.jit(function, compiler_options=AS_SHIPPED if is_known() else None, **options)
