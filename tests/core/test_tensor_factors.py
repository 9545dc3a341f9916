"""LARS, LARC and adaptive clipping: the factors of one tensor by hand, and what is not allowed."""

from __future__ import annotations

import math

import pytest

from downslope import Group, Settings, compare, explain, export, load_recipe
from downslope.core.errors import ExportError, GroupError, RecipeError, SettingsError
from downslope.core.tensor_factors import TensorFactors, factors_of
from downslope.recipe.load import parse_recipe

STEP = Settings(lr=0.5, momentum=0.9, weight_decay=0.25).at(0)


@pytest.mark.parametrize(
    ("factors", "norms", "grad_scale", "coupled_decay"),
    [
        # 0.1 * 4 / (1 + 0.25 * 4) = 0.2
        (TensorFactors(trust_coefficient=0.1), (1.0, 4.0), 0.2, 0.05),
        # the same over lr, 0.4; and 2 / 0.5, which is above 1
        (TensorFactors(trust_coefficient=0.1, trust_clip=True), (1.0, 4.0), 0.4, 0.1),
        (TensorFactors(trust_coefficient=1.0, trust_clip=True), (1.0, 4.0), 1.0, 0.25),
        # a gradient of 1 beside a parameter of 4 may have 0.04; beside one of 0, 0.00001; one of 0.01 stays
        (TensorFactors(adaptive_clip=0.01), (1.0, 4.0), 0.04, 0.25),
        (TensorFactors(adaptive_clip=0.01), (1.0, 0.0), 1e-5, 0.25),
        (TensorFactors(adaptive_clip=0.01), (0.01, 4.0), 1.0, 0.25),
        # clipped to 0.04 first: 0.1 * 4 / (0.04 + 1), of which the gradient has 0.04
        (TensorFactors(trust_coefficient=0.1, adaptive_clip=0.01), (1.0, 4.0), 0.04 * 0.4 / 1.04, 0.25 * 0.4 / 1.04),
        # a norm of 0: nothing is multiplied
        (TensorFactors(trust_coefficient=0.1, trust_clip=True), (0.0, 4.0), 1.0, 0.25),
        (TensorFactors(trust_coefficient=0.1), (1.0, 0.0), 1.0, 0.25),
    ],
)
def test_factors_by_hand(factors, norms, grad_scale, coupled_decay):
    """What becomes of the gradient's factor and of coupled decay; all else stays."""
    found = factors.of(STEP, *norms)
    assert found.grad_scale == pytest.approx(grad_scale, rel=1e-15)
    assert found.coupled_decay == pytest.approx(coupled_decay, rel=1e-15)
    assert (found.lr, found.momentum, found.velocity_out) == (0.5, 0.9, 0.5)


def test_a_factor_on_all_gradients_comes_first():
    """Gradients times -1/2, as for a mean of two batches going up: their norm is half of it."""
    from dataclasses import replace

    found = TensorFactors(trust_coefficient=0.1).of(replace(STEP, grad_scale=-0.5), 2.0, 4.0)
    assert found.grad_scale == pytest.approx(-0.1, rel=1e-15)


def test_lr_0_and_what_is_not_finite():
    """LARC at lr 0 divides by nothing; an infinite gradient is multiplied by 0, which makes NaN of it, as it should."""
    still = Settings(lr=0.0).at(0)
    assert TensorFactors(trust_coefficient=0.1, trust_clip=True).of(still, 1.0, 1.0).grad_scale == 1.0
    assert TensorFactors(trust_coefficient=0.1).of(STEP, math.inf, 1.0).grad_scale == 0.0
    assert TensorFactors(trust_coefficient=0.1, adaptive_clip=0.1).of(STEP, math.nan, 1.0).grad_scale == 1.0


def test_settings_and_groups():
    """0 is none; a group may switch a ratio off, and with it its bound."""
    assert Settings(lr=0.1, trust_coefficient=0.0, adaptive_clip=0) == Settings(lr=0.1)
    base = Settings(lr=0.1, trust_coefficient=0.001, trust_clip=True)
    assert not factors_of(Group(match="*.bias", trust_coefficient=0).apply(base)).given
    assert factors_of(Group(match="*.bias", trust_coefficient=0.1).apply(base)) == (0.1, True, None, None)
    assert Group(match="*", trust_clip=False).apply(base).trust_coefficient == 0.001


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"trust_coefficient": -1.0}, "`trust_coefficient` must be finite and >= 0; got -1.0. "),
        ({"trust_coefficient": "1"}, "`trust_coefficient` must be a number; got '1' of type str."),
        ({"adaptive_clip": math.inf}, "`adaptive_clip` must be finite; got inf."),
        ({"trust_clip": True}, "`trust_clip` bounds the trust ratio, and there is none"),
        ({"trust_clip": 1, "trust_coefficient": 0.1}, "`trust_clip` must be True or False; got 1."),
    ],
)
def test_what_is_not_allowed(how, message):
    """Each is one sentence."""
    with pytest.raises(SettingsError) as caught:
        Settings(lr=0.1, **how)
    assert str(caught.value).startswith(message)
    with pytest.raises(GroupError):
        Group(match="*", trust_coefficient=-1.0)


def test_they_are_compared_explained_and_exported():
    """No matrix knows of them, so that each of these says it by itself, or refuses."""
    plain = Settings(lr=0.1, momentum=0.9, weight_decay=1e-4)
    lars = Settings(lr=0.1, momentum=0.9, weight_decay=1e-4, trust_coefficient=0.001)
    assert not compare(plain, lars).same
    assert compare(plain, lars).causes == ("trust_coefficient",)
    assert compare(lars, lars).same
    assert "LARS multiplies" in str(explain(lars))
    assert "LARC multiplies" in str(explain(Settings(lr=0.1, trust_coefficient=0.001, trust_clip=True)))
    assert "Adaptive clipping scales" in str(explain(Settings(lr=0.1, adaptive_clip=0.01)))
    recipe = load_recipe(overrides=[("sgd.trust_coefficient", "0.001")])
    assert "trust_coefficient=0.001" in export(recipe, to="downslope")
    for target in ("torch", "tensorflow", "keras", "caffe"):
        with pytest.raises(ExportError, match="is not written out. Export to timm"):
            export(recipe, to=target)
    for system in ("torch", "optax", "keras", "qhoptim"):
        with pytest.raises(SettingsError, match="cannot express trust_coefficient=0.001"):
            lars.to_convention(system)
    with pytest.raises(RecipeError, match="parallel = "):
        parse_recipe('[sgd]\nlr = 0.1\nadaptive_clip = 0.01\n[train]\nepochs = 1\nparallel = "sharded"\n')
