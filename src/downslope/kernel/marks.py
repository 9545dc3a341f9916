"""Tensors of torch that are to be read otherwise than they lie in memory: teaching the compiled module to see it.

Such are views that are negated or conjugated once somebody reads them (`z.conj().imag`), and tensors of zeros without
memory. The module asks each tensor by its method until it has learned from these examples where torch keeps the marks
(csrc/marks.h). Imported where torch is loaded.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from downslope.kernel import load_native


@cache
def teach_marks() -> bool:
    """Show the compiled module examples of each mark; return whether it has learned them.

    If not, nothing but time is lost.
    """
    native: Any = load_native()
    exchange = getattr(Tensor, "__dlpack_c_exchange_api__", None)
    if native is None or exchange is None:
        return False
    with torch.inference_mode(False), torch.no_grad():  # noqa: FBT003 -- what a user has switched on is in the marks' word
        return native.learn_marks(exchange, examples())


def examples() -> list[list[tuple[Tensor, Tensor]]]:
    """Return pairs of tensors by mark: negated, conjugated, zeros without memory; the second of a pair has it."""
    shapes = [(3,), (2, 4), ()]
    reals = [torch.ones(shape, dtype=dtype) for shape in shapes for dtype in (torch.float32, torch.float64)]
    complexes = [torch.ones(shape, dtype=torch.complex64) for shape in shapes]
    return [
        [(real, torch._neg_view(real)) for real in reals],  # noqa: SLF001 -- no other way to one on purpose
        [(number, number.conj()) for number in complexes],
        [(real, torch._efficientzerotensor(real.shape, dtype=real.dtype)) for real in reals],  # noqa: SLF001
    ]
