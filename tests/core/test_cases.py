"""The table of cases covers what it says, and the measure of errors measures."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from cases import CASES, SHAPES, STEPS, Case, gradients, initial_params
from downslope import Group, Settings
from downslope.core.settings import DECAYS
from downslope.schedules import MultiStep, Schedule
from reference import reference_of, run_reference, settings_by_name, ulp, ulp_error


def test_table_covers_the_product():
    """At least 64 rows of different names, and every way of decay with every form of momentum."""
    assert len(CASES) == len({case.name for case in CASES}) >= 64
    met = {
        (
            case.settings.decay,
            case.settings.nesterov,
            case.settings.lr_in_velocity,
            case.settings.dampening > 0,
            case.settings.undampened_first_step,
        )
        for case in CASES
        if case.settings.weight_decay and case.settings.momentum
    }
    for decay, nesterov, inside in itertools.product(DECAYS, (False, True), (False, True)):
        assert {(decay, nesterov, inside, *rest) for rest in ((False, True), (True, True), (True, False))} <= met


def test_table_changes_every_setting():
    """Every setting differs from its default somewhere, and lr, momentum and decay are scheduled somewhere."""
    for field in dataclasses.fields(Settings):
        assert any(getattr(case.settings, field.name) != field.default for case in CASES), field.name
    for name in ("lr", "momentum", "weight_decay"):
        assert any(isinstance(getattr(case.settings, name), Schedule) for case in CASES)
    assert any(case.groups for case in CASES)
    assert any(case.first_gradient for case in CASES)
    assert any(case.every for case in CASES)


def test_no_two_rows_are_the_same_problem():
    """Every row walks a path of its own, so that none is tested twice under two names.

    But for two: without momentum and with a constant lr three rules are one, and a constant schedule is a number.
    """
    paths = {}
    for case in CASES:
        end = reference_of(case.name).params[-1]
        paths.setdefault(b"".join(np.round(end[name], 12).tobytes() for name in SHAPES), []).append(case.name)
    assert [names for names in paths.values() if len(names) > 1] == [
        ["plain-coupled", "plain-decoupled", "plain-lr-inside"],
        ["momentum", "lr-constant"],
    ]


def test_problem_is_the_same_in_every_dtype():
    """Parameters and gradients are exact in float16 and bfloat16, so that all dtypes start at one point."""
    for arrays in (initial_params, lambda dtype: gradients(CASES[0], 17, dtype)):
        wide = arrays(np.float64)
        for name, half in arrays(np.float16).items():
            assert half.dtype == np.float16
            np.testing.assert_array_equal(half, wide[name])
            bits = wide[name].astype(np.float32).view(np.uint32)
            assert not (bits & 0xFFFF).any(), "bfloat16 keeps the upper 16 bits"


def test_gradients_arrive_when_the_case_says():
    """A late parameter has its first gradient at its step, one with gaps each n-th step from there on."""
    case = Case("late", Settings(), first_gradient={"last.bias": 7}, every={"last.bias": 3, "kernels": 2})
    having = {step: set(gradients(case, step)) for step in range(14)}
    assert [step for step in having if "last.bias" in having[step]] == [7, 10, 13]
    assert [step for step in having if "kernels" in having[step]] == [0, 2, 4, 6, 8, 10, 12]
    assert all("first.weight" in names for names in having.values())


def test_reference_by_hand_with_a_late_gradient():
    """A parameter waits unmoved for its first gradient, which is undampened although the step count runs on."""
    settings = Settings(lr=MultiStep(1.0, 0.5, (2,)), momentum=0.5, dampening=0.5, weight_decay=0.25)
    case = Case("hand", settings, (Group(match="last.*", weight_decay=0.0),), {"temperature": 1})
    reference = run_reference(case, 3)
    start = initial_params(np.float64)["temperature"]
    g1, g2 = (gradients(case, step, np.float64)["temperature"] for step in (1, 2))
    assert "temperature" not in reference.velocities[0]
    assert reference.params[0]["temperature"] == start
    v1 = g1 + start / 4
    p1 = start - v1
    v2 = v1 / 2 + (g2 + p1 / 4) / 2
    np.testing.assert_allclose(reference.velocities[2]["temperature"], v2, rtol=1e-15)
    np.testing.assert_allclose(reference.params[2]["temperature"], p1 - v2 / 2, rtol=1e-15)
    assert reference.magnitudes["temperature"] == max(abs(start), abs(p1), abs(p1 - v2 / 2))


def test_reference_uses_each_group():
    """Each parameter has the settings of the first group that matches it."""
    case = Case("g", Settings(lr=0.1), (Group(match="first.*", lr=0.2), Group(match="*.bias", lr=0.3)))
    lrs = {name: settings.lr for name, settings in settings_by_name(case).items()}
    assert lrs == {name: 0.2 if name.startswith("first") else 0.3 if name.endswith("bias") else 0.1 for name in SHAPES}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ulp_is_the_spacing_of_numpy(dtype):
    """The unit is the distance to the next number, normal or subnormal, at and around powers of two."""
    tiny = np.finfo(dtype).smallest_subnormal
    values = np.array([1.0, 1.5, 2.0, 0.1, 1000.0, tiny * 3, np.finfo(dtype).tiny], dtype)
    np.testing.assert_array_equal(ulp(values, dtype), np.spacing(values).astype(np.float64))
    np.testing.assert_array_equal(ulp(-values, np.dtype(dtype).name), ulp(values, np.dtype(dtype)))


def test_ulp_of_bfloat16():
    """bfloat16 keeps 8 significant bits: between 1 and 2 its numbers are 1/128 apart."""
    import torch

    assert ulp([1.0, 1.99, 2.0], torch.bfloat16).tolist() == [1 / 128, 1 / 128, 1 / 64]
    assert ulp(1.0, "bfloat16") == 1 / 128


def test_ulp_error():
    """Errors count in neighbours of the dtype under test; what is not finite is infinitely wrong; empty is right."""
    next_after = np.nextafter(np.float32(1.0), np.float32(2.0))
    assert ulp_error(np.array([1.0, next_after]), np.array([1.0, 1.0]), dtype=np.float32) == 1.0
    assert ulp_error(np.array([next_after]), np.array([1.0])) == 1.0
    assert ulp_error(np.array([next_after]), np.array([1.0]), magnitude=4.0) == 0.25
    assert ulp_error(np.array([np.nan], np.float32), np.array([1.0])) == np.inf
    assert ulp_error(np.zeros((0, 3), np.float32), np.zeros((0, 3))) == 0.0
    with pytest.raises(AssertionError, match="shape"):
        ulp_error(np.zeros(2), np.zeros(3))


def test_reference_is_long_enough():
    """The trajectory has every step, and no case ends at a value that is not a number."""
    for case in CASES[::10]:
        reference = reference_of(case.name)
        assert len(reference.params) == len(reference.velocities) == STEPS
        assert all(np.isfinite(p).all() for p in reference.params[-1].values())
