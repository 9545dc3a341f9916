"""Arrays in every form that NumPy knows, for the tests of which path takes them. No test lives here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np

Make = Callable[[np.ndarray], Any]
"""From contiguous values, the same values in some form."""


class Subclass(np.ndarray):
    """An array that is not plain."""


def fortran(values: np.ndarray) -> np.ndarray:
    """Return a copy with the first axis innermost."""
    return np.asfortranarray(values).copy(order="F")


def permuted(values: np.ndarray) -> np.ndarray:
    """Return a dense copy whose axes lie in memory in another order than any standard one."""
    order = (1, *range(2, values.ndim), 0)
    return np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))


def offset(values: np.ndarray) -> np.ndarray:
    """Return a dense window of a larger memory, off its start."""
    memory = np.full(values.size + 7, 9, values.dtype)
    memory[3 : 3 + values.size] = values.ravel()
    return memory[3 : 3 + values.size].reshape(values.shape)


def with_gaps(values: np.ndarray) -> np.ndarray:
    """Return a view of every second column."""
    memory = np.full((*values.shape[:-1], 2 * values.shape[-1]), 9, values.dtype)
    memory[..., ::2] = values
    return memory[..., ::2]


def backwards(values: np.ndarray) -> np.ndarray:
    """Return a view that runs from the end of its memory to the start."""
    return values[::-1].copy()[::-1]


def swapped(values: np.ndarray) -> np.ndarray:
    """Return an array in the byte order that is not the processor's."""
    return values.astype(values.dtype.newbyteorder())


def misaligned(values: np.ndarray) -> np.ndarray:
    """Return an array whose elements lie one byte off."""
    memory = np.zeros(values.nbytes + 1, np.uint8)
    array = memory[1:].view(values.dtype).reshape(values.shape)
    array[...] = values
    return array


def masked(values: np.ndarray) -> Any:
    """Return a masked array with nothing masked."""
    return np.ma.masked_array(values.copy())


def subclassed(values: np.ndarray) -> np.ndarray:
    """Return an array of a subclass."""
    return values.copy().view(Subclass)


def mapped(values: np.ndarray) -> np.ndarray:
    """Return an array that lies in a file."""
    with TemporaryDirectory() as folder:  # its name goes, its memory stays
        array = np.memmap(Path(folder) / "array", values.dtype, "w+", shape=values.shape)
    array[...] = values
    return array


def read_only(values: np.ndarray) -> np.ndarray:
    """Return an array that must not be written to."""
    values = values.copy()
    values.flags.writeable = False
    return values


def unpickled_dtype(values: np.ndarray) -> np.ndarray:
    """Return an array whose dtype equals NumPy's own and is another object, as pickle makes them."""
    return values.copy().view(np.dtype(values.dtype, metadata={"from": "a file"}))


DENSE: Mapping[str, Make] = MappingProxyType(
    {
        "contiguous": np.copy,
        "fortran": fortran,
        "permuted": permuted,
        "offset": offset,
        "unpickled dtype": unpickled_dtype,
    }
)
"""Forms of a parameter, and of its gradient in the same, that the kernel takes as they are."""

OTHERS: Mapping[str, Make] = MappingProxyType(
    {
        "with gaps": with_gaps,
        "backwards": backwards,
        "other byte order": swapped,
        "misaligned": misaligned,
        "masked": masked,
        "subclass": subclassed,
        "memory map": mapped,
        "long double": lambda values: values.astype(np.longdouble),
        "complex": lambda values: values.astype(np.complex64),
    }
)
"""Forms of a parameter that are for the rule."""

GRADIENTS: Mapping[str, Make] = MappingProxyType(
    {
        **DENSE,
        **{name: make for name, make in OTHERS.items() if name != "complex"},
        "read-only": read_only,
        "broadcast": lambda values: np.broadcast_to(values[:1], values.shape),
        "float64": lambda values: values.astype(np.float64),
        "float16": lambda values: values.astype(np.float16),
        "int": lambda values: np.rint(values * 4).astype(int),
        "bool": lambda values: values > 0,
        "list": np.ndarray.tolist,
        "objects": lambda values: values.astype(object),
    }
)
"""Forms of a gradient."""
