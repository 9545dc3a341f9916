"""Stability, damping, optimal settings and the edge of stability, each against the rule run on quadratics."""

from __future__ import annotations

import itertools
import math

import pytest

from downslope import Settings
from downslope.theory import quadratic, stability
from simulations import growth, largest_stable, scaled_steps

MOMENTA = [0.3, 0.9, 0.99]


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize(("nesterov", "dampening"), [(False, 0.0), (False, 0.5), (True, 0.0), (True, 0.5)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_largest_lr_is_where_the_rule_begins_to_grow(momentum, nesterov, dampening, weight_decay):
    """Found by bisection on the rule's own steps, it agrees to five digits; coupled decay counts as curvature."""
    formula = stability.largest_lr_nesterov if nesterov else stability.largest_lr_heavy_ball
    expected = formula(2.0, momentum, weight_decay, dampening)

    def at(lr):
        how = {"momentum": momentum, "nesterov": nesterov, "dampening": dampening}
        return Settings(lr=lr, weight_decay=weight_decay, **how), 2.0

    assert largest_stable(at, expected / 3, expected * 3) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("momentum", MOMENTA)
@pytest.mark.parametrize(("nu", "dampening"), [(0.7, None), (0.3, 0.0), (0.9, 0.5), (0.2, 0.5)])
def test_the_limits_of_quasi_hyperbolic_momentum(momentum, nu, dampening):
    """lr and curvature, by bisection; None stands for the paper's dampening, that of momentum."""
    how = {"momentum": momentum, "nu": nu, "dampening": momentum if dampening is None else dampening}
    expected = stability.largest_lr_quasi_hyperbolic(2.0, momentum, 0.5, how["dampening"], nu=nu)
    found = largest_stable(lambda lr: (Settings(lr=lr, weight_decay=0.5, **how), 2.0), expected / 3, expected * 3)
    assert found == pytest.approx(expected, rel=1e-5)
    settings = Settings(lr=0.1, weight_decay=0.5, **how)
    expected = stability.largest_curvature_quasi_hyperbolic(0.1, momentum, 0.5, how["dampening"], nu=nu)
    found = largest_stable(lambda curvature: (settings, curvature), expected / 3, expected * 3)
    assert found == pytest.approx(expected, rel=1e-5)
    edge = stability.edge_full_batch(0.1, momentum, nu=nu, dampening=how["dampening"])
    assert edge == pytest.approx(expected + 0.5, rel=1e-12)


def test_quasi_hyperbolic_momentum_has_the_limits_of_what_it_holds():
    """nu = momentum, dampened alike, is Nesterov's form at lr (1 - momentum); nu = 1 is the heavy ball, 0 plain SGD."""
    limit = stability.largest_lr_quasi_hyperbolic
    assert limit(1, 0.9, dampening=0.9, nu=0.9) * 0.1 == pytest.approx(stability.largest_lr_nesterov(1, 0.9))
    assert limit(1, 0.9, nu=1.0) == pytest.approx(stability.largest_lr_heavy_ball(1, 0.9))
    assert limit(4, 0.9, nu=0.0) == 0.5
    assert quadratic.critical_curvature(1.0, 0.9, dampening=0.9, nu=0.9) == pytest.approx(
        10 * quadratic.critical_curvature(1.0, 0.9, nesterov=True)
    )


@pytest.mark.parametrize("nesterov", [False, True])
def test_largest_curvature_is_the_same_limit_solved_the_other_way(nesterov):
    """For lr 0.1 and momentum 0.9 with a coupled decay of 0.5, by bisection over the curvature."""
    formula = stability.largest_curvature_nesterov if nesterov else stability.largest_curvature_heavy_ball
    settings = Settings(lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.5)
    expected = formula(0.1, 0.9, 0.5)
    assert largest_stable(lambda curvature: (settings, curvature), 1, 100) == pytest.approx(expected, rel=1e-5)


def test_at_momentum_0_9_nesterov_shrinks_the_limit_2_8_times():
    """3.8 / L and 1.357 / L; without momentum both are 2 / L."""
    assert stability.largest_lr_heavy_ball(1, 0.9) == pytest.approx(3.8)
    assert stability.largest_lr_nesterov(1, 0.9) == pytest.approx(1.357, abs=5e-4)
    assert stability.largest_lr_heavy_ball(4, 0) == stability.largest_lr_nesterov(4, 0) == 0.5


def test_limits_that_there_are_not():
    """Nothing is divided by zero: a flat loss, full dampening or lr 0 have no limit."""
    assert math.isinf(stability.largest_lr_heavy_ball(0, 0.9))
    assert math.isinf(stability.largest_lr_heavy_ball(1, 0.9, dampening=1.0))
    assert math.isinf(stability.largest_curvature_nesterov(0, 0.9))
    assert math.isinf(stability.edge_mini_batch(0, 0.9))


def test_edges_of_stability_are_the_limits_of_the_rule():
    """Full batch: the curvature at which the rule begins to grow, for both forms. Small batches: that of lr_eff."""
    for nesterov in (False, True):
        settings = Settings(lr=0.05, momentum=0.8, nesterov=nesterov)
        limit = largest_stable(lambda curvature, settings=settings: (settings, curvature), 1, 200)
        assert stability.edge_full_batch(0.05, 0.8, nesterov=nesterov) == pytest.approx(limit, rel=1e-5)
    plain = Settings(lr=0.05 / (1 - 0.8))  # SGD at the effective lr, which small batches behave like
    limit = largest_stable(lambda curvature: (plain, curvature), 1, 200)
    assert stability.edge_mini_batch(0.05, 0.8) == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize(("lowest", "highest"), [(1.0, 10.0), (0.01, 1.0), (2.0, 2.0), (1.0, 1000.0)])
def test_optimal_heavy_ball_converges_at_its_rate_and_no_neighbour_is_faster(lowest, highest):
    """On both ends of the spectrum the rule shrinks by the rate; every nearby (lr, momentum) is slower on one."""
    best = quadratic.optimal_heavy_ball(lowest, highest)
    assert _slowest(best.lr, best.momentum, False, lowest, highest) == pytest.approx(best.rate, abs=2e-3)
    _no_neighbour_is_faster(best, False, lowest, highest)


@pytest.mark.parametrize(("lowest", "highest"), [(1.0, 10.0), (0.01, 1.0), (1.0, 1000.0)])
def test_optimal_nesterov_converges_at_its_rate_and_no_neighbour_is_faster(lowest, highest):
    """As for the heavy ball, by the rule on the ends of the spectrum and on what lies between."""
    best = quadratic.optimal_nesterov(lowest, highest)
    assert _slowest(best.lr, best.momentum, True, lowest, highest) == pytest.approx(best.rate, abs=2e-3)
    _no_neighbour_is_faster(best, True, lowest, highest)


def _slowest(lr, momentum, nesterov, lowest, highest):
    """Return the larger growth at the two ends: of the rule, run for 4000 steps."""
    settings = Settings(lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0)
    return max(growth(settings, lowest), growth(settings, highest))


def _no_neighbour_is_faster(best, nesterov, lowest, highest):
    for lr in (0.97, 1.0, 1.03):
        for gap in (0.9, 1.0, 1.1):
            momentum = max(0.0, 1 - (1 - best.momentum) * gap)
            settings = Settings(lr=best.lr * lr, momentum=momentum, nesterov=nesterov and momentum > 0)
            curvatures = [lowest * (highest / lowest) ** (i / 20) for i in range(21)]
            rates = [quadratic.damping(settings.at(0), curvature).rate for curvature in curvatures]
            assert max(rates) >= best.rate - 1e-9


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("scaled", [0.05, 0.3, 0.8])
def test_critical_momentum_divides_creeping_from_oscillating(nesterov, scaled):
    """Just below it the rule's error keeps its sign in the end; just above, it swings through zero again and again."""
    critical = quadratic.critical_momentum(scaled / 2, 2.0, nesterov=nesterov)
    assert quadratic.critical_curvature(scaled / 2, critical, nesterov=nesterov) == pytest.approx(2.0, rel=1e-9)
    for momentum, regime in ((critical * 0.98, "over-damped"), (critical + 0.02 * (1 - critical), "oscillating")):
        settings = Settings(lr=scaled / 2, momentum=momentum, nesterov=nesterov)
        found = quadratic.damping(settings.at(0), 2.0)
        assert found.regime == regime
        assert growth(settings, 2.0) == pytest.approx(found.rate, abs=2e-3)
        assert (_sign_changes(settings, 2.0) > 3) == (regime == "oscillating")


@pytest.mark.parametrize("nu", [0.3, 0.7])
@pytest.mark.parametrize("scaled", [0.05, 0.3])
def test_critical_momentum_of_quasi_hyperbolic_momentum(nu, scaled):
    """As for the other forms, at a dampening of 0.2, and with 0.01 of every weight decayed besides."""
    form = {"nu": nu, "dampening": 0.2}
    critical = quadratic.critical_momentum(scaled / 2, 2.0, decoupled=0.01, **form)
    assert quadratic.critical_curvature(scaled / 2, critical, decoupled=0.01, **form) == pytest.approx(2.0, rel=1e-9)
    for momentum, regime in ((critical * 0.98, "over-damped"), (critical + 0.02 * (1 - critical), "oscillating")):
        settings = Settings(lr=scaled / 2, momentum=momentum, weight_decay=0.01, decay="independent", **form)
        assert quadratic.damping(settings.at(0), 2.0).regime == regime
        assert (_sign_changes(settings, 2.0) > 3) == (regime == "oscillating")


def _sign_changes(settings, curvature):
    signs = [param > 0 for param, _ in scaled_steps(settings, curvature, 4000)]
    return sum(before != after for before, after in itertools.pairwise(signs))


@pytest.mark.parametrize("momentum", [0.5, 0.9, 0.99])
def test_oscillations_die_away_by_the_square_root_of_momentum(momentum):
    """The rule's own rate along a direction that oscillates; Nesterov's form damps by sqrt(momentum (1 - lr l))."""
    settings = Settings(lr=0.3, momentum=momentum)
    assert quadratic.damping(settings.at(0), 1.0).regime == "oscillating"
    assert growth(settings, 1.0) == pytest.approx(quadratic.oscillation_rate(momentum), abs=1e-3)
    nesterov = Settings(lr=0.3, momentum=momentum, nesterov=True)
    assert growth(nesterov, 1.0) == pytest.approx(math.sqrt(momentum * 0.7), abs=1e-3)


def test_regimes_of_plain_sgd_by_hand():
    """lr l = 0.5 creeps by 0.5, 1.5 jumps across by 0.5, 2.5 grows by 1.5 a step."""
    at = [quadratic.damping(Settings(lr=lr).at(0), 1.0) for lr in (0.5, 1.5, 2.5)]
    assert [(d.regime, d.rate) for d in at] == [("over-damped", 0.5), ("alternating", 0.5), ("unstable", 1.5)]
    assert quadratic.damping(Settings(lr=0.5, maximize=True).at(0), 1.0).rate == 0.5  # climbs where l is of -loss


def test_without_curvature_only_decay_is_left():
    """At curvature 0 the rate is the decay's: 0.98 coupled with momentum 0.9 oscillates by sqrt(0.9)."""
    assert quadratic.damping(Settings(lr=0.1, momentum=0.9).at(0), 0.0).rate == 1.0
    strong = quadratic.damping(Settings(lr=0.1, momentum=0.9, weight_decay=0.98).at(0), 0.0)
    assert (strong.regime, round(strong.rate, 6)) == ("oscillating", round(math.sqrt(0.9), 6))
