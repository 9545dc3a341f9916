"""Every case of the table: against the float64 rule in units of the last place, and against torch.optim.SGD."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch_runs import assert_same_bits

from cases import CASES, NORM_NAMES, SHAPES, STEPS, Case, gradients, initial_params
from downslope.core.groups import assign_groups
from downslope.core.schedules.schedule import value_at
from downslope.torch import SGD
from reference import reference_of, settings_by_name, ulp_error

DTYPES = {"float32": torch.float32, "float64": torch.float64}

# The largest error over the table in units of the last place, taken at the largest value each element had on its way,
# as measured: parameters 28.1 (float32) and 17.0 (float64), both in "long-memory", where momentum is 0.999 and torch's
# own step is 27.3 away; velocities 16.6 and 6.0. The bounds leave a little room for processors that round otherwise.
PARAM_BOUND_ULP = {"float32": 32.0, "float64": 24.0}
VELOCITY_BOUND_ULP = {"float32": 20.0, "float64": 12.0}


class CaseModel(torch.nn.Module):
    """A module whose parameters have the names and shapes of the table, with a real normalisation layer."""

    def __init__(self, dtype: torch.dtype) -> None:
        """Make the parameters, in the order of the table, with the table's values."""
        super().__init__()
        self.first = torch.nn.Linear(5, 8)
        self.norm = torch.nn.LayerNorm(8)
        self.last = torch.nn.Linear(8, 3)
        self.kernels = torch.nn.Parameter(torch.empty(SHAPES["kernels"]))
        self.temperature = torch.nn.Parameter(torch.empty(()))
        self.nothing = torch.nn.Parameter(torch.empty(SHAPES["nothing"]))
        self.to(dtype)
        start = initial_params(np.float64)
        with torch.no_grad():
            for name, param in self.named_parameters():
                param.copy_(torch.from_numpy(np.asarray(start[name])))


@cache
def given_at(step: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return the table's gradients of a step, which are the same for every case that has one then."""
    given = gradients(CASES[0], step, "float64")
    return {name: torch.as_tensor(grad).to(dtype) for name, grad in given.items()}


def set_case_grads(params: dict[str, torch.nn.Parameter], case: Case, step: int) -> dict[str, torch.Tensor]:
    """Give each parameter its gradient of this step, or None; return what was given, of which each has a copy."""
    given = {name: given_at(step, param.dtype)[name] for name, param in params.items() if case.has_gradient(name, step)}
    for name, param in params.items():
        param.grad = given[name].clone() if name in given else None
    return given


def run_ours(case: Case, dtype: torch.dtype, **options: Any) -> tuple[CaseModel, SGD]:
    """Take all steps of a case with `downslope.torch.SGD`, checking after each that no gradient was written to."""
    model = CaseModel(dtype)
    optimizer = SGD(model, settings=case.settings, groups=case.groups, **options)
    params = dict(model.named_parameters())
    for step in range(STEPS):
        given = set_case_grads(params, case, step)
        objects = {name: param.grad for name, param in params.items()}
        optimizer.step()
        for name, param in params.items():
            assert param.grad is objects[name]
            if name in given:
                assert torch.equal(param.grad, given[name]), f"step {step} wrote to a gradient"
    return model, optimizer


@cache
def run_once(name: str, dtype: torch.dtype) -> tuple[CaseModel, SGD]:
    """Return what `run_ours` does for a case with no option, which several tests look at and none changes."""
    return run_ours(next(case for case in CASES if case.name == name), dtype)


@cache
def run_torchs(name: str, **options: Any) -> dict[str, np.ndarray]:
    """Take all steps of a case with `torch.optim.SGD` at float64, writing each schedule's value into the groups.

    What it comes to is the same for every way of ours, so it is run once.
    """
    case = next(case for case in CASES if case.name == name)
    model = CaseModel(torch.float64)
    names = dict(model.named_parameters())
    settings = settings_by_name(case)
    assigned = [group for group in assign_groups(case.groups, SHAPES, NORM_NAMES) if group]
    own = [settings[group[0]] for group in assigned]
    optimizer = torch.optim.SGD(
        [
            {
                "params": [names[name] for name in group],
                "momentum": value_at(s.momentum, 0),
                "dampening": s.dampening,
                "nesterov": s.nesterov,
                "maximize": s.maximize,
            }
            for group, s in zip(assigned, own, strict=True)
        ],
        **options,
    )
    for step in range(STEPS):
        set_case_grads(names, case, step)
        for group, s in zip(optimizer.param_groups, own, strict=True):
            group |= {key: value_at(getattr(s, key), step) for key in ("lr", "momentum", "weight_decay")}
        optimizer.step()
    return {name: param.detach().numpy() for name, param in model.named_parameters()}


def test_the_table_is_large_enough() -> None:
    """At least 64 settings, of which torch itself can express a good part."""
    assert len(CASES) >= 64
    assert sum(case.in_torch for case in CASES) >= 20


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case_against_the_float64_rule(case: Case, dtype: str, record_property: Any) -> None:
    """100 steps stay within the bound of the float64 rule; velocities too; no gradient is written to on the way."""
    model, optimizer = run_once(case.name, DTYPES[dtype])
    answer = reference_of(case.name)
    worst_param = worst_velocity = 0.0
    for name, param in model.named_parameters():
        error = ulp_error(param.detach().numpy(), answer.params[-1][name], magnitude=answer.magnitudes[name])
        worst_param = max(worst_param, error)
        expected = answer.velocities[-1].get(name)
        velocity = optimizer.state[param].get("momentum_buffer") if param in optimizer.state else None
        if settings_by_name(case)[name].momentum == 0:
            assert velocity is None, f"{name}: a velocity that nothing reads"
        elif expected is None:
            assert velocity is None, f"{name} never had a gradient"
        else:
            error = ulp_error(velocity.numpy(), expected, magnitude=answer.velocity_magnitudes[name])
            worst_velocity = max(worst_velocity, error)
    record_property("param_ulp", worst_param)
    record_property("velocity_ulp", worst_velocity)
    assert worst_param <= PARAM_BOUND_ULP[dtype]
    assert worst_velocity <= VELOCITY_BOUND_ULP[dtype]


@pytest.mark.parametrize("foreach", [False, True], ids=["per-tensor", "multi-tensor"])
@pytest.mark.parametrize("case", [case for case in CASES if case.in_torch], ids=str)
def test_case_against_torchs_sgd(case: Case, foreach: bool) -> None:
    """At float64, torch's for-loop, foreach and fused implementations agree within 1e-12 relative."""
    model, _ = run_ours(case, torch.float64, foreach=foreach)
    magnitudes = reference_of(case.name).magnitudes
    late = bool(case.first_gradient or case.every)
    # torch's fused step raises a TypeError for a first gradient that comes later than the others'
    for options in ({"foreach": False}, {"foreach": True}, *([] if late else [{"fused": True}])):
        theirs = run_torchs(case.name, **options)
        for name, param in model.named_parameters():
            gap = np.abs(param.detach().numpy() - theirs[name])
            assert np.all(gap <= 1e-12 * magnitudes[name]), f"{name} against {options}"


@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_multi_tensor_and_per_tensor_agree(case: Case) -> None:
    """Both paths are the same rule with the same roundings, up to a few units of the last place."""
    one, _ = run_ours(case, torch.float32, foreach=True)
    other, _ = run_ours(case, torch.float32, foreach=False)
    magnitudes = reference_of(case.name).magnitudes
    for (name, param), twin in zip(one.named_parameters(), other.parameters(), strict=True):
        error = ulp_error(param.detach().numpy(), twin.detach().double().numpy(), magnitude=magnitudes[name])
        assert error <= PARAM_BOUND_ULP["float32"]


@pytest.mark.parametrize("case", CASES[::5], ids=str)
def test_two_runs_are_equal_bit_for_bit(case: Case) -> None:
    """The same start and gradients give the same bits."""
    one, _ = run_once(case.name, torch.float32)
    other, _ = run_ours(case, torch.float32)
    assert_same_bits(one.parameters(), other.parameters())


@pytest.mark.parametrize("case", CASES[::9], ids=str)
def test_saved_and_loaded_midway_changes_no_bit(case: Case, tmp_path: Any) -> None:
    """Every kind of setting, 50 steps, saved to a file, loaded into a new optimizer, 50 more: the same bits."""
    whole, _ = run_once(case.name, torch.float32)
    model = CaseModel(torch.float32)
    optimizer = SGD(model, settings=case.settings, groups=case.groups)
    for step in range(STEPS):
        if step == STEPS // 2:
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
            saved = torch.load(tmp_path / "state.pt", weights_only=True)
            model = CaseModel(torch.float32)
            model.load_state_dict(saved["model"])
            optimizer = SGD(model, settings=case.settings, groups=case.groups)
            optimizer.load_state_dict(saved["optimizer"])
            assert optimizer.step_count == step
        set_case_grads(dict(model.named_parameters()), case, step)
        optimizer.step()
    assert_same_bits(model.parameters(), whole.parameters())
