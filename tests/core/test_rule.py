"""The update rule: linear, true on symbols, matrices and arrays alike, and equal under a change of basis."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from cases import CASES
from downslope import Settings, update_matrix
from downslope.core.rule import StepScalars, sgd_rule, step_matrix

fractions = st.fractions(min_value=-10, max_value=10, max_denominator=1000)
scalars = st.builds(
    StepScalars,
    lr=fractions,
    momentum=fractions,
    dampening=fractions,
    nesterov=st.booleans(),
    grad_scale=fractions,
    grad_in=fractions,
    velocity_out=fractions,
    coupled_decay=fractions,
    decoupled_decay=fractions,
    nu=st.none() | fractions,
)
triples = st.tuples(fractions, fractions, fractions)


def rescaled(matrix, k):
    """Return the matrix of the same rule when the velocity is kept as k times what it was."""
    return np.diag([1.0, k]) @ matrix @ np.diag([1.0, 1.0, 1.0 / k])


@given(scalars, triples, triples, fractions, fractions)
def test_rule_is_linear_exactly(s, x, y, a, b):
    """Superposition and homogeneity hold without any rounding, whatever the scalars."""
    mixed = [a * left + b * right for left, right in zip(x, y, strict=True)]
    apart = [a * left + b * right for left, right in zip(sgd_rule(*x, s), sgd_rule(*y, s), strict=True)]
    assert list(sgd_rule(*mixed, s)) == apart


@given(scalars, triples)
def test_matrix_applied_is_the_rule_exactly(s, x):
    """The matrix read off the basis vectors carries the whole rule, exactly in rational numbers."""
    columns = [sgd_rule(*basis, s) for basis in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    product = [sum(column[row] * part for column, part in zip(columns, x, strict=True)) for row in (0, 1)]
    assert list(sgd_rule(*x, s)) == product


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_step_on_arrays_is_the_matrix_applied(case, first):
    """For every row of the table, a step on arrays is the update matrix applied, to rounding."""
    rng = np.random.default_rng(0)
    stack = rng.standard_normal((3, 7, 5))
    step = sgd_rule(*stack, case.settings.at(33, first=first))
    by_matrix = np.einsum("ij,jkl->ikl", update_matrix(case.settings, 33, first=first), stack)
    np.testing.assert_allclose(np.stack(step), by_matrix, rtol=0, atol=8 * np.finfo(float).eps)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rule_superposes_on_float_arrays(case):
    """On float64 arrays superposition holds to rounding."""
    x, y = np.random.default_rng(1).standard_normal((2, 3, 4))
    s = case.settings.at(5)
    mixed = np.stack(sgd_rule(*(2.5 * x - 0.75 * y), s))
    apart = 2.5 * np.stack(sgd_rule(*x, s)) - 0.75 * np.stack(sgd_rule(*y, s))
    np.testing.assert_allclose(mixed, apart, rtol=0, atol=64 * np.finfo(float).eps)


def test_rule_on_symbols_heavy_ball():
    """On symbols the rule prints the textbook's equations: v' = mu v + g + wd p, delta = -lr v'."""
    p, g, v, lr, mu, wd = sympy.symbols("p g v lr mu wd")
    delta, velocity = sgd_rule(p, g, v, StepScalars(lr, mu, 0, False, 1, 1, lr, wd, 0))
    assert sympy.expand(velocity - (mu * v + g + wd * p)) == 0
    assert sympy.expand(delta + lr * (mu * v + g + wd * p)) == 0


def test_rule_on_symbols_nesterov_lr_inside():
    """Keras's Nesterov on symbols, its velocity being minus ours: m = mu m - lr g, p += mu m - lr g - lr wd p."""
    p, g, m, lr, mu, wd = sympy.symbols("p g m lr mu wd")
    delta, velocity = sgd_rule(p, g, -m, StepScalars(lr, mu, 0, True, 1, lr, 1, 0, lr * wd))
    keras_m = mu * m - lr * g
    assert sympy.expand(-velocity - keras_m) == 0
    assert sympy.expand(delta - (mu * keras_m - lr * g - lr * wd * p)) == 0


def test_rule_on_symbols_dampened_ascent():
    """Dampening weighs the gradient on its way into the velocity; ascent flips the gradient and not the decay."""
    p, g, v, lr, mu, tau, wd = sympy.symbols("p g v lr mu tau wd")
    _, velocity = sgd_rule(p, g, v, StepScalars(lr, mu, tau, False, -1, 1, lr, wd, 0))
    assert sympy.expand(velocity - (mu * v + (1 - tau) * (wd * p - g))) == 0


def test_rule_writes_to_nothing():
    """No argument is written to, and the new velocity is no view of the old or of the gradient."""
    arrays = [np.full(3, value) for value in (1.0, 2.0, 3.0)]
    for array in arrays:
        array.setflags(write=False)
    for momentum in (0.0, 0.9):
        delta, velocity = sgd_rule(*arrays, Settings(momentum=momentum).at(0))
        assert not any(np.shares_memory(new, old) for new in (delta, velocity) for old in arrays)


def test_rule_keeps_the_dtype():
    """Python scalars do not widen float32 or float16 arrays, 0-d ones included."""
    for dtype in (np.float16, np.float32, np.float64):
        for shape in ((3,), ()):
            arrays = [np.ones(shape, dtype)] * 3
            s = Settings(momentum=0.9, nesterov=True, weight_decay=0.1).at(0)
            assert [new.dtype for new in sgd_rule(*arrays, s)] == [dtype] * 2


def test_update_matrix_by_hand():
    """Momentum .5, lr .25, coupled decay .125, Nesterov, worked by hand."""
    # g' = g + p/8; v' = v/2 + g'; d = g' + v'/2 = 1.5 g' + v/4; delta = -d/4
    matrix = update_matrix(Settings(lr=0.25, momentum=0.5, nesterov=True, weight_decay=0.125))
    np.testing.assert_array_equal(matrix, [[-1.5 / 32, -1.5 / 4, -1 / 16], [1 / 8, 1.0, 0.5]])
    assert matrix.dtype == np.float64


def test_update_matrix_has_no_negative_zero():
    """Zeros print as 0, never as -0."""
    matrix = update_matrix(Settings(lr=0.0))
    assert not np.signbit(matrix[matrix == 0]).any()


def test_first_gradient_is_undampened_only_where_settings_say_so():
    """With undampened_first_step the first gradient enters whole, later ones by 1 - dampening."""
    torch_like = Settings(lr=1.0, momentum=0.5, dampening=0.25)
    always = dataclasses.replace(torch_like, undampened_first_step=False)
    entering = [update_matrix(s, first=first)[1, 1] for s in (torch_like, always) for first in (True, False)]
    assert entering == [1.0, 0.75, 0.75, 0.75]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", ["coupled", "decoupled", "independent", "relative", "corrected"])
def test_lr_inside_and_outside_are_one_rule_at_constant_lr(nesterov, decay):
    """Up to a velocity lr times as large, lr inside the velocity is the same rule, if lr stays."""
    outside = Settings(lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.01, decay=decay)
    inside = dataclasses.replace(outside, lr_in_velocity=True)
    np.testing.assert_allclose(update_matrix(inside), rescaled(update_matrix(outside), 0.1), rtol=1e-15)


def test_unit_gain_is_a_tenth_of_the_lr_undampened():
    """Momentum .9 with dampening .9 at lr 1.0 is lr .1 undampened, its velocity 10 times as large."""
    unit_gain = Settings(lr=1.0, momentum=0.9, dampening=0.9, weight_decay=0.01)
    plain = Settings(lr=0.1, momentum=0.9, weight_decay=0.01)
    np.testing.assert_allclose(update_matrix(plain), rescaled(update_matrix(unit_gain), 10.0), rtol=1e-14)
    # At the first gradient, which torch does not dampen, the first moves 10 times as far.
    np.testing.assert_allclose(update_matrix(unit_gain, first=True)[0, :2], 10 * update_matrix(plain)[0, :2])


def test_coupled_and_decoupled_part_through_the_velocity():
    """One step of coupled and of decoupled decay moves alike; only coupled leaves decay in the velocity.

    Without momentum that velocity is never read, so that there the two are one rule although the matrices differ.
    """
    for momentum in (0.0, 0.9):
        coupled, decoupled = (
            update_matrix(Settings(lr=0.1, momentum=momentum, weight_decay=0.01, decay=decay))
            for decay in ("coupled", "decoupled")
        )
        np.testing.assert_allclose(coupled[0], decoupled[0], rtol=1e-15)
        assert (coupled[1, 0], decoupled[1, 0]) == (0.01, 0.0)
        assert (coupled[0, 2] == 0) == (momentum == 0)


def test_delta_form_keeps_a_small_decay_in_float32():
    """A decay of 5e-7 a step survives float32 as a delta; as a factor, 1 - 5e-7 rounds to 1 - 4.77e-7."""
    settings = Settings(lr=1e-3, weight_decay=5e-4, decay="decoupled")
    param = np.random.default_rng(0).uniform(1, 2, 100_000).astype(np.float32)
    zero = np.zeros_like(param)
    delta, _ = sgd_rule(param, zero, zero, settings.at(0))
    np.testing.assert_allclose(delta, -5e-7 * param.astype(np.float64), rtol=2e-7)
    # On average over many parameters the step then decays by what was asked; the factor by 5 % less.
    moved = np.mean(((param + delta).astype(np.float64) - param) / param)
    factor = np.mean((np.float32(1 - 5e-7) * param).astype(np.float64) / param - 1)
    assert moved == pytest.approx(-5e-7, rel=0.005)
    assert abs(factor / -5e-7 - 1) > 0.04


def test_step_matrix_reads_any_scalars():
    """The loss scale, clipping and the sign of ascent all sit in one factor on the gradient's column."""
    s = Settings(lr=0.5, momentum=0.75, weight_decay=0.5).at(0)
    scaled = step_matrix(dataclasses.replace(s, grad_scale=-0.25))
    np.testing.assert_array_equal(scaled, step_matrix(s) * [1.0, -0.25, 1.0])


def test_rule_accepts_fractions():
    """The rule needs nothing but + - *, so exact rationals pass through it exactly."""
    s = StepScalars(Fraction(1, 10), Fraction(9, 10), 0, True, 1, 1, Fraction(1, 10), 0, 0)
    assert sgd_rule(Fraction(1), Fraction(1), Fraction(0), s) == (Fraction(-19, 100), Fraction(1))
