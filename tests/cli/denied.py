"""Folders in which writing is denied, to root too, who goes meanwhile without what lets it pass by permissions."""

import contextlib
import ctypes
import os

import pytest

_PASSES_BY = 1 << 1 | 1 << 2 | 1 << 3
"""CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER, of Linux."""


@contextlib.contextmanager
def denied(folder):
    """Within the ``with`` block nothing can be written directly in a folder."""
    folder.chmod(0o555)
    try:
        with _as_others_are():
            yield
    finally:
        folder.chmod(0o755)


@contextlib.contextmanager
def _as_others_are():
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "capset"):
        pytest.skip("permissions do not bind root here")
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the third version, of this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the low 32 of each, then the high
    assert libc.capget(header, sets) == 0
    before = sets[0]
    sets[0] = before & ~_PASSES_BY
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(header, sets) == 0
