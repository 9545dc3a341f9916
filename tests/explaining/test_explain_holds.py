"""Whatever the recipe, every number of its explanation is what the rule does, stepped in float64, or says otherwise."""

from __future__ import annotations

import math
import random
from dataclasses import astuple, replace
from types import SimpleNamespace

import numpy as np
import pytest

import downslope
from downslope import Group, Settings
from downslope.core.rule import StepScalars, sgd_rule
from downslope.core.settings import DECAYS
from downslope.explaining.language import epochs_text, short, whole
from downslope.explaining.quantities import own_form
from downslope.explaining.terminal import describe
from downslope.schedules import Cosine, Linear, MultiStep, Warmup
from downslope.theory import rotation
from draws import SEED, draws
from simulations import random_walk

STEPS = 120
"""Of the runs that are explained."""

_NAMES = [one.name for one in StepScalars.__dataclass_fields__.values()]


def some_settings(chance: random.Random) -> Settings:
    """Return settings of any kind, weak and strong, with schedules on any number."""
    log = lambda low, high: 10 ** chance.uniform(low, high)  # noqa: E731
    momentum = chance.choice([0.0, 0.5, 0.9, 0.9, 0.99, chance.random()])
    lr = chance.choice([0.1, log(-3, 0.7)])
    decay = chance.choice(DECAYS)
    weight_decay = chance.choice([0.0, 5e-4, 5e-4, 0.98, log(-4, 0.7)])
    moving = chance.random() < 0.4
    nesterov = momentum > 0 and chance.random() < 0.4
    settings = Settings(
        lr=chance.choice(
            [lr, MultiStep(lr, 0.1, (30, 60)), Cosine(lr, 0.0, STEPS), Warmup(7, then=Linear(lr, lr / 9, STEPS - 7))]
        )
        if moving
        else lr,
        momentum=Linear(0.5, momentum, 50) if momentum and moving and chance.random() < 0.4 else momentum,
        dampening=chance.choice([0.0, 0.0, 0.5, 0.9, 1.0, chance.random()]) if momentum else 0.0,
        nesterov=nesterov,
        weight_decay=Linear(0.0, weight_decay, 40)
        if weight_decay and moving and chance.random() < 0.4
        else weight_decay,
        decay=decay,
        lr_in_velocity=chance.random() < 0.3,
        undampened_first_step=chance.random() < 0.5,
        maximize=chance.random() < 0.1,
    )
    if not momentum or nesterov or chance.random() < 0.6:
        return settings
    return replace(settings, nu=chance.choice([0.0, 0.7, chance.random()]))


def explained(count: int, seed: int = SEED):
    """Yield (settings, explanation, the scalars that it is of), with two curvatures, a run, and a group."""
    chance = random.Random(seed)
    for _ in range(count):
        settings = some_settings(chance)
        recipe = replace(
            downslope.load_recipe(overrides=[("train.epochs", "3")]),
            sgd=settings,
            groups=(Group(match="*.bias", weight_decay=chance.choice([0.0, 0.3]), lr=chance.choice([0.01, 1.0])),),
        )
        top = 10 ** chance.uniform(-2, 2)
        explanation = downslope.explain(recipe, curvature=[top / 30, top], steps=STEPS)
        yield settings, explanation, settings.at(explanation.peak.step)


@pytest.fixture(scope="module")
def all_explained():
    """All that are looked at, once."""
    return list(explained(draws(320)))


def together(scalars):
    """Yield (indices, scalars as arrays) for all of each form of momentum."""
    for form in ("heavy_ball", "nesterov", "quasi_hyperbolic"):
        chosen = [i for i, one in enumerate(scalars) if own_form(one) == form]
        if chosen:
            columns = np.array([[float(x or 0.0) for x in astuple(scalars[i])] for i in chosen]).T
            shared = {"nesterov": form == "nesterov"} | ({} if form == "quasi_hyperbolic" else {"nu": None})
            yield chosen, SimpleNamespace(**dict(zip(_NAMES, columns, strict=True)) | shared)


def growth(scalars, curvatures, steps=3000):
    """Return the factor per step of param and velocity together, of every pair, over the second half of many steps."""
    found = np.empty(len(scalars))
    curvatures = np.asarray(curvatures, float)
    for chosen, s in together(scalars):
        param, velocity = np.ones(len(chosen)), np.zeros(len(chosen))
        logs = np.zeros(len(chosen))
        for step in range(steps):
            delta, velocity = sgd_rule(param, curvatures[chosen] * s.grad_scale * param, velocity, s)
            param = param + delta
            length = np.hypot(param, velocity) + 1e-300
            param, velocity = param / length, velocity / length
            if step >= steps // 2:
                logs += np.log(length)
        found[chosen] = np.exp(logs / (steps - steps // 2))
    return found


def at_rest(scalars, steps):
    """Return the weights after 0, 1, ... steps from 1 with no velocity and no gradient: (recipes, steps + 1)."""
    paths = np.empty((len(scalars), steps + 1))
    for chosen, s in together(scalars):
        param, velocity = np.ones(len(chosen)), np.zeros(len(chosen))
        paths[chosen, 0] = 1.0
        for step in range(steps):
            delta, velocity = sgd_rule(param, 0.0, velocity, s)
            param = np.clip(param + delta, -1e100, 1e100)
            velocity = np.clip(velocity, -1e100, 1e100)
            paths[chosen, step + 1] = param
    return paths


MOST = 3000
"""Steps that a weight is followed; one that remembers for longer fades by a closed form, and is tested as it fades."""


def check_memory(way, steps, path, factor, crosses=0):
    """Assert what is said of a weight: `way` and `steps`, of the path that the rule takes."""
    target = math.exp(-1)
    if way == "grows":
        assert abs(path[-1]) > abs(path[0]) or factor > 1
        return
    if way == "stays":
        assert path[-1] == pytest.approx(1.0, rel=1e-9)
        return
    if way in {"fades", "at once"}:
        if steps > MOST / 2:  # so slow that a straight line in the logarithm is it
            pace = math.log(path[MOST // 2] / path[MOST]) / (MOST - MOST // 2)
            assert MOST + (1 + math.log(path[MOST])) / pace == pytest.approx(steps, rel=0.012)
            return
        passed = next(n for n in range(len(path)) if path[n] <= target)
        assert (path[: passed + 1] > -1e-9).all() or passed <= steps + 1
        if passed < 60:
            assert passed - 1.02 - 0.011 * passed <= steps <= passed + 0.011 * passed + 0.01
        else:
            assert steps == pytest.approx(passed, rel=0.02)
        return
    assert path.min() < 0 or (crosses or 0) > MOST  # it swings or jumps
    if steps <= MOST / 2:
        last = max((n for n in range(len(path)) if abs(path[n]) > target), default=-1)
        assert steps == last + 1


def test_what_becomes_of_weights_is_what_the_rule_does_without_gradients(all_explained):
    """How long they are remembered, where they swing through 0 and how far, whether they grow: by stepping."""
    scalars = [now for _, _, now in all_explained]
    paths = at_rest(scalars, MOST)
    seen = set()
    for (_, explanation, _), path in zip(all_explained, paths, strict=True):
        memory = explanation.memory
        seen.add(memory.way)
        check_memory(memory.way, memory.steps, path, memory.rate, memory.crosses)
        if memory.crosses is not None and memory.crosses < MOST:
            assert memory.crosses == int(np.argmax(path < 0))
            assert memory.lowest == pytest.approx(path[memory.lowest_at], abs=1e-9)
            assert memory.lowest == pytest.approx(path.min(), abs=1e-9) or memory.rate > 0.999
        if "decay_steps" in explanation:
            assert explanation["decay_steps"].value == explanation.peak.decay_steps == memory.steps
        if "decoupled_equivalent" in explanation:
            per_step = explanation.peak.lr * explanation["decoupled_equivalent"].value
            assert (1 - per_step) ** memory.steps == pytest.approx(math.exp(-1), rel=0.02)  # 1 % of either
    assert seen == {"fades", "at once", "swings", "jumps", "grows", "stays"}


def test_what_becomes_of_a_group_s_weights_too(all_explained):
    """The same for groups, which have an lr and decay of their own."""
    scalars, groups = [], []
    for settings, explanation, _ in all_explained[:: max(1, len(all_explained) // 100)]:
        group = explanation.groups[0]
        own = Group(match="*", **group.changes).apply(settings)
        steps = range(STEPS)
        at = max(steps, key=lambda step, own=own: _rank(own, step))
        scalars.append(own.at(at))
        groups.append(group)
    for group, now, path in zip(groups, scalars, at_rest(scalars, MOST), strict=True):
        check_memory(group.memory, group.decay_steps, path, 2.0, math.inf)
        assert group.lr == now.lr


def _gain(now):
    """Return the effective lr by the rule: what one gradient moves altogether, its decay left out."""
    passed = (1 - now.momentum * now.dampening) if now.nesterov else (1 - now.dampening)
    if now.nu is not None:
        return now.lr * (1 - now.nu + now.nu * passed / (1 - now.momentum))
    return now.lr * passed / (1 - now.momentum)


def _rank(settings, step):
    now = settings.at(step)
    return _gain(now), now.lr, now.coupled_decay * _gain(now) + now.decoupled_decay


def test_the_effective_lr_is_what_a_constant_gradient_moves(all_explained):
    """Decay aside: after many steps under a gradient of 1."""
    bare = [replace(now, coupled_decay=0.0, decoupled_decay=0.0) for _, _, now in all_explained]
    for chosen, s in together(bare):
        velocity, delta = np.zeros(len(chosen)), np.zeros(len(chosen))
        for _ in range(2500):
            delta, velocity = sgd_rule(0.0, s.grad_scale * 1.0, velocity, s)
        for index, moved in zip(chosen, delta, strict=True):
            value = all_explained[index][1]["effective_lr"].value
            if bare[index].momentum ** 2500 > 0.005:  # the velocity has not settled
                continue
            assert value == pytest.approx(-moved, rel=0.01, abs=1e-12)


def test_limits_are_where_the_rule_begins_to_grow(all_explained):
    """The largest curvature at this lr, and the largest lr at the given curvature: 1 % below shrinks, above grows."""
    cases = []
    for settings, explanation, now in all_explained:
        if explanation.memory.way == "grows":
            assert explanation[f"largest_curvature_{own_form(now)}"].value < 1e-12
            continue
        for form in dict.fromkeys(("nesterov", "heavy_ball", own_form(now))):
            if form == "nesterov" and not now.momentum:
                continue
            limit = explanation[f"largest_curvature_{form}"].value
            nu = now.nu if form == "quasi_hyperbolic" else None
            shaped = replace(now, nesterov=form == "nesterov", nu=nu)
            if 0 < limit < 1e9:
                cases += [(shaped, 0.99 * limit, True), (shaped, 1.01 * limit + 0.01 * now.coupled_decay, False)]
        lr_limit = explanation[f"largest_lr_{own_form(now)}"].value
        top = explanation.damping[-1].curvature
        if isinstance(settings.lr, float) and 0 < lr_limit < 1e9:
            for factor, stable in ((0.99, True), (1.01, False)):
                moved = replace(settings, lr=factor * lr_limit).at(explanation.peak.step)
                cases.append((moved, top, stable))
    found = growth([scalars for scalars, _, _ in cases], [curvature for _, curvature, _ in cases], 1200)
    for (scalars, curvature, stable), rate in zip(cases, found, strict=True):
        assert (rate < 1 + 1e-9) == stable, (scalars, curvature, rate)
    assert len(cases) > 800


def test_the_table_of_curvatures_is_what_the_rule_does(all_explained):
    """Regime and rate of each row, each stretch and the limit say the same, and the rule does it."""
    rows = [(now, row, explanation) for _, explanation, now in all_explained for row in explanation.damping]
    found = growth([now for now, _, _ in rows], [row.curvature for _, row, _ in rows])
    for (now, row, explanation), rate in zip(rows, found, strict=True):
        if _gain(now) and (now.momentum < 0.999) and now.nu != 0:  # at 0 no step reads the velocity
            assert math.log(row.rate or 1e-9) == pytest.approx(math.log(max(rate, 1e-9)), rel=0.02, abs=6e-3)
        own = own_form(now)
        assert (row.regime == "unstable") == (row.curvature > explanation[f"largest_curvature_{own}"].value)
        assert (row.regime == "unstable") == (now.lr > explanation[f"largest_lr_{own}"].value) or row.curvature < max(
            one.curvature for one in explanation.damping
        )
        for stretch in explanation.stretches:
            if stretch.start < row.curvature < stretch.end:
                assert stretch.regime == row.regime


def test_stretches_and_critical_momenta_are_where_eigenvalues_turn(all_explained):
    """Against eigenvalues of the 2x2 map, by NumPy: real or complex, and of which sign, along the curvature."""
    chance = random.Random(SEED)
    critical = 0
    for _, explanation, now in all_explained:
        for stretch in explanation.stretches:
            inside = chance.uniform(stretch.start, min(stretch.end, 2 * stretch.start + 10))
            if not 1.001 * stretch.start < inside < 0.999 * stretch.end:
                continue
            values = _eigenvalues(now, inside)
            largest = max(values, key=abs)
            expected = "unstable" if abs(largest) > 1 else "oscillating" if abs(largest.imag) > 1e-9 else (
                "alternating" if largest.real < 0 else "over-damped")  # fmt: skip
            assert stretch.regime == expected, (now, inside, values)
        for row in explanation.damping:
            if row.critical_momentum and 1e-3 < row.critical_momentum < 0.99:
                critical += 1
                below, above = (
                    abs(_eigenvalues(replace(now, momentum=factor * row.critical_momentum), row.curvature)[0].imag)
                    > 1e-9
                    for factor in (0.9999, 1.0001)
                )
                assert not below
                assert above or now.dampening > 0.95
    assert critical > 50


def _eigenvalues(now, curvature):
    columns = [sgd_rule(p, curvature * now.grad_scale * p, v, now) for p, v in ((1.0, 0.0), (0.0, 1.0))]
    (dp, vp), (dv, vv) = columns
    if now.momentum == 0 or now.dampening == 1 or now.nu == 0 or (vp == 0 or dv == 0):
        return [complex(1 + dp)] * 2
    return [complex(one) for one in np.linalg.eigvals([[1 + dp, dv], [vp, vv]])]


def test_edges_follow_from_the_limit_and_the_effective_lr(all_explained):
    """Full batch: the limit, coupled decay counted in. Small batches: plain SGD at the effective lr, as it decays."""
    for _, explanation, now in all_explained:
        own = own_form(now)
        limit = explanation[f"largest_curvature_{own}"].value + now.coupled_decay
        assert explanation["edge_full_batch"].value == pytest.approx(limit, rel=1e-6, abs=1e-9) or limit < 1e-9
        if _gain(now):
            bare = replace(now, momentum=0.0, dampening=0.0, nesterov=False, nu=None)
            plain = replace(bare, grad_in=1.0, velocity_out=_gain(now))
            edge = explanation["edge_mini_batch"].value
            factor = 1 + sgd_rule(1.0, edge * now.grad_scale, 0.0, replace(plain, coupled_decay=0.0))[0]
            assert factor == pytest.approx(-1.0, abs=1e-9)


def test_rules_that_are_one_rule_have_the_same_numbers(all_explained):
    """Dampened from the first step on is lr times 1 - dampening: all that is said of the two agrees."""
    names = ("effective_lr", "decay_steps", "decoupled_equivalent", "largest_curvature_heavy_ball", "edge_full_batch",
             "edge_mini_batch", "critical_curvature", "oscillation_rate", "rotation_per_step", "equilibrium_norm",
             "equilibrium_gradient_ratio")  # fmt: skip
    seen = 0
    for settings, _, _ in all_explained:
        constant = all(isinstance(getattr(settings, name), float) for name in ("lr", "momentum", "weight_decay"))
        of_gradient = settings.nesterov or settings.nu is not None  # whose part of the step no lr dampens
        if not (0 < settings.dampening < 1) or of_gradient or not constant:
            continue
        kept = 1 - settings.dampening
        factor = 1 / kept if settings.decay in {"decoupled", "corrected"} else 1.0
        same = replace(settings, lr=settings.lr * kept, dampening=0.0, weight_decay=settings.weight_decay * factor)
        dampened = replace(settings, undampened_first_step=False)
        assert downslope.compare(dampened, same, steps=5).same
        one, two = (downslope.explain(given, curvature=[0.5, 20]) for given in (dampened, same))
        for name in names:
            if name == "decoupled_equivalent":  # said in each one's own lr
                continue
            assert (name in one) == (name in two), name
            if name in one:
                assert one[name].value == pytest.approx(two[name].value, rel=1e-9), name
        assert [(r.regime, pytest.approx(r.rate)) for r in one.damping] == [(r.regime, r.rate) for r in two.damping]
        seen += 1
    assert seen > 20


def test_the_course_over_the_run_is_that_of_all_its_steps(all_explained):
    """First, smallest, largest, last and mean of what moves: against every step; the pace of forgetting by a run."""
    seen = 0
    for settings, explanation, _ in all_explained:
        now = [settings.at(step) for step in range(STEPS)]
        values = {
            "lr": [one.lr for one in now],
            "momentum": [one.momentum for one in now],
            "effective_lr": [_gain(one) for one in now],
            "weight_decay": [
                settings.weight_decay if isinstance(settings.weight_decay, float) else settings.weight_decay(step)
                for step in range(STEPS)
            ],
        }
        extents = {extent.name: extent for extent in explanation.extents}
        for name, course in values.items():
            if max(course) - min(course) <= 1e-12 * max(course):
                assert name not in extents or extents[name].largest == pytest.approx(extents[name].smallest)
                continue
            extent = extents[name]
            assert (extent.first, extent.last) == (course[0], course[-1])
            assert (extent.smallest, extent.largest) == pytest.approx((min(course), max(course)), rel=0.01)
            assert course[round(extent.largest_at)] == pytest.approx(max(course), rel=0.01)
            assert extent.mean == pytest.approx(sum(course) / STEPS, rel=0.01)
            seen += 1
        if "effective_lr" in extents:
            assert explanation.peak.effective_lr == pytest.approx(max(values["effective_lr"]), rel=0.01)
        slow = "decay_steps" in extents and extents["decay_steps"].smallest > 100
        if slow and math.isfinite(extents["decay_steps"].mean) and isinstance(settings.momentum, float):
            left = 1.0 if settings.momentum else math.prod(
                1 - one.coupled_decay * one.lr - one.decoupled_decay for one in now
            )  # fmt: skip
            if left < 1:
                assert extents["decay_steps"].mean == pytest.approx(-STEPS / math.log(left), rel=0.02)
    assert seen > 100


def test_the_text_shows_the_numbers_of_the_data(all_explained):  # noqa: C901 -- one branch for each kind of number
    """Each quantity, row and stretch stands in the text of either language, as it is rounded there."""
    for _, explanation, now in all_explained[:: max(1, len(all_explained) // 50)]:
        for lang in ("en", "zh"):
            text = describe(explanation, lang, width=100_000)
            for row in explanation.damping:
                assert f" {short(row.curvature)} " in text
                assert f"\N{MULTIPLICATION SIGN} {short(row.rate)}" in text
            if not now.lr or not explanation.peak.effective_lr:
                continue
            own, memory = own_form(now), explanation.memory
            for name in (f"largest_curvature_{own}", "effective_lr", "rotation_per_step", "equilibrium_norm",
                         "edge_full_batch", "oscillation_rate", "keras_l2", f"largest_lr_{own}"):  # fmt: skip
                if name in explanation and 0 < explanation[name].value < math.inf:
                    if name.startswith("edge") and explanation[f"largest_curvature_{own}"].value <= 0:
                        continue
                    assert short(explanation[name].value) in text, name
            if "decay_steps" in explanation and memory.way == "fades":
                assert whole(memory.steps) in text
                assert "37 %" in text
            if memory.way in {"swings", "jumps"}:
                assert whole(memory.crosses) in text
                assert f"{short(-100 * memory.lowest, 3)} %" in text
                assert ("do not fade" if lang == "en" else "并不渐渐消退") in text
                assert (
                    "Weights forget their past over" if lang == "en" else "步忘记过去\N{FULLWIDTH COLON}"
                ) not in text
            if memory.way in {"grows", "stays", "at once"} and "decay_steps" in explanation:
                assert "37 % (1/e) is left of what" not in text
            if explanation.groups[0].memory == "fades":
                assert whole(explanation.groups[0].decay_steps) in text
            for extent in explanation.extents:
                show = whole if extent.name == "decay_steps" else short
                assert f"{show(extent.largest)} (" in text
            if (epochs := explanation.peak.decay_epochs) is not None and memory.way == "fades" and memory.steps < 1e9:
                assert epochs_text(epochs) in text


@pytest.mark.parametrize(
    "settings",
    [
        Settings(lr=0.1, momentum=0.9, weight_decay=0.98),
        Settings(lr=0.5, momentum=0.9, dampening=0.5, nesterov=True, weight_decay=0.3),
        Settings(lr=0.1, weight_decay=0.4, momentum=0.5, decay="independent"),
    ],
    ids=repr,
)
def test_strong_decay_finds_its_own_balance(settings):
    """Where weights swing or forget at once, the balance is the matrix's: a random walk's norm and angle within 1 %."""
    explanation = downslope.explain(settings)
    assert explanation["rotation_per_step"].formula == "equilibrium"
    balance = rotation.equilibrium(settings.at(0))
    fourth, squared = random_walk(settings, strength=1.0, steps=400, burn_in=200, dimensions=6000, start=balance.norm)
    assert explanation["equilibrium_norm"].value == pytest.approx(fourth**0.25, rel=0.01)
    assert explanation["rotation_per_step"].value == pytest.approx(math.sqrt(squared), rel=0.01)
