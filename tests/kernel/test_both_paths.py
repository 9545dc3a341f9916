"""Kernel and fallback: who takes which tensors, and that the fallback passes the conformance table too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from native_plans import native
from torch.nn import Parameter

from downslope.core.errors import SettingsError
from downslope.torch import SGD

ROOT = Path(__file__).resolve().parents[2]


class Subclass(torch.Tensor):
    """A tensor that is not plain."""


def plan_after_two_steps(param: torch.Tensor, **options: Any) -> Any:
    """Return the plan that an optimizer of one parameter steps by."""
    optimizer = SGD([param], lr=0.1, momentum=0.9, **options)
    for _ in range(2):
        param.grad = torch.ones_like(param)
        optimizer.step()
    return optimizer._plan


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_the_kernel_takes_plain_tensors(dtype: torch.dtype) -> None:
    """By default everything dense on the CPU, of each format, in rows or channels last, goes to the kernel."""
    native()
    for param in (torch.ones(2, 3, 2, 2), torch.ones(2, 3, 2, 2).to(memory_format=torch.channels_last), torch.ones(())):
        plan = plan_after_two_steps(Parameter(param.to(dtype)))
        assert plan.has_kernel
        assert plan.rest == []


@pytest.mark.parametrize("options", [{"foreach": True}, {"foreach": False}, {"fused": False}], ids=str)
def test_the_kernel_leaves_what_chose_another_way(options: dict[str, Any]) -> None:
    """`foreach` given, or fused=False, is another path."""
    plan = plan_after_two_steps(Parameter(torch.ones(3)), **options)
    assert not plan.has_kernel
    assert len(plan.rest) == 1


def test_the_kernel_leaves_what_it_cannot_read() -> None:
    """Complex numbers, subclasses, tensors with gaps, negated views: stepped, but not by the kernel."""
    others = [
        (torch.ones(3, dtype=torch.complex64), {}),
        (torch.ones(3).as_subclass(Subclass), {}),
        (torch.ones(3, 6)[:, ::2], {}),
        (torch._neg_view(-torch.ones(3)), {}),
    ]
    for param, options in others:
        plan = plan_after_two_steps(param, **options)
        assert not plan.has_kernel
        assert len(plan.rest) == 1
        expected = 1 - 0.1 * 1 - 0.1 * 1.9
        torch.testing.assert_close(
            torch.Tensor(param.real), torch.full(param.shape, expected), rtol=1e-3, atol=1e-3, check_dtype=False
        )


def test_a_sparse_gradient_is_refused_with_a_plan() -> None:
    """A gradient that turns sparse once there is a plan is refused, and nothing moves."""
    param = Parameter(torch.ones(3))
    optimizer = SGD([param], lr=0.1)
    param.grad = torch.ones(3)
    optimizer.step()
    before = param.detach().clone()
    param.grad = torch.ones(3).to_sparse()
    with pytest.raises(SettingsError, match="sparse"):
        optimizer.step()
    assert torch.equal(param, before)


WITHOUT_KERNEL = (
    "torch_door/test_conformance_torch.py",
    "torch_door/test_state_exchange.py",
    "torch_door/test_state_resumed.py",
    "torch_door/test_rounding.py",
    "numpy_door/test_conformance_numpy.py",
    "numpy_door/test_numpy_door.py",
    "numpy_door/test_aliasing.py",
    "numpy_door/test_foreign_arrays.py",
)
"""What is tested again with the kernel switched off, in one process."""

SAME_EITHER_WAY = (
    "test_case_against_torchs_sgd",  # `foreach` is given, which the kernel leaves as it is
    "test_multi_tensor_and_per_tensor_agree",  # the same
    # the rule's own path is the same whether or not there is a kernel: of NumPy's table, float32 is enough
    *(f"test_case_is_within_its_bound_of_the_float64_rule and {dtype}" for dtype in ("float16", "float64")),
)


@pytest.mark.slow
def test_the_fallback_passes_the_same_tests() -> None:
    """Every case of the table, rounding, states and what users of NumPy see, with the kernel switched off."""
    chosen = " and ".join(f"not ({words})" for words in SAME_EITHER_WAY)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", "-vv", "-rs", "-k", chosen]
        + [f"tests/{file}" for file in WITHOUT_KERNEL],
        env={**os.environ, "DOWNSLOPE_KERNEL": "off"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "switched off by DOWNSLOPE_KERNEL=off" in done.stdout
    for file in WITHOUT_KERNEL:
        assert re.search(rf"^tests/{re.escape(file)}::.* PASSED", done.stdout, re.MULTILINE), f"{file} was not run"
