"""Exported programs with LARS and adaptive clipping by unit: run with timm's and optax's functions."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from downslope import Group, Settings, export
from downslope.core.errors import ExportError
from downslope.recipe.schema import Recipe, Train
from downslope.schedules import Exponential
from exporting.exported_cases import Case
from exporting.problem import NAMES, START, batch, gradients
from exporting.running import run_optax, run_torch
from torchvision_operators import declare

FALLING = Exponential(0.2, 0.5, 3, staircase=True)
LARS = Settings(lr=FALLING, momentum=0.9, weight_decay=0.05, trust_coefficient=0.1)
AGC = Settings(lr=FALLING, momentum=0.9, weight_decay=0.05, adaptive_clip=0.02, adaptive_clip_by="unit")
NOT_BIASES = (Group(match="@bias_and_norm", weight_decay=0.0, trust_coefficient=0.0),)
STEPS = 7


def _recipe(sgd, groups=()):
    return Recipe(sgd=sgd, groups=groups, train=Train(steps=STEPS))


ON_TIMM = {
    "lars": _recipe(LARS),
    "nesterov": _recipe(replace(LARS, nesterov=True)),
    "larc": _recipe(replace(LARS, trust_clip=True)),
    "dampened": _recipe(replace(LARS, dampening=0.25)),
    "dampened from the first step on": _recipe(replace(LARS, dampening=0.25, undampened_first_step=False)),
    "inside": _recipe(replace(LARS, lr=0.1, lr_in_velocity=True)),
    "without decay": _recipe(replace(LARS, weight_decay=0.0)),
    "not of biases": _recipe(LARS, NOT_BIASES),
    "of some alone": _recipe(
        Settings(lr=0.1, momentum=0.9),
        (Group(match="logits.*", trust_coefficient=0.1, trust_clip=True, weight_decay=0.01),),
    ),
    "by unit": _recipe(AGC),
    "by unit, decoupled": _recipe(replace(AGC, decay="decoupled")),
    "lars by unit": _recipe(replace(LARS, adaptive_clip=0.02, adaptive_clip_by="unit"), NOT_BIASES),
}
ON_OPTAX = ("without decay", "by unit", "by unit, decoupled")


@pytest.fixture
def timm(monkeypatch):
    """Have the real timm, whatever another test has put in its place."""
    declare()
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    yield pytest.importorskip("timm.optim")
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)


def by_the_rule(recipe, *, last):
    """Return the parameters before each step and after the last, by the doors' own optimizers.

    A unit is a slice along the first axis in torch's layout, along the last in JAX's.
    """
    import downslope.numpy

    def laid_out(array):
        return array if last or array.ndim < 2 else array.T

    params = {name: np.array(laid_out(START[name]), order="C") for name in NAMES}
    optimizer = downslope.numpy.SGD(params, settings=recipe.sgd, groups=recipe.groups)
    path = []
    for step in range(STEPS + 1):
        own = {name: laid_out(array) for name, array in params.items()}
        path.append({name: array.copy() for name, array in own.items()})
        optimizer.step({name: laid_out(grad) for name, grad in gradients(own, *batch(step, 4)).items()})
    return path


def largest(path, expected):
    """Return the largest difference between two paths."""
    return max(float(np.abs(a[name] - b[name]).max()) for a, b in zip(path, expected, strict=True) for name in NAMES)


def case_of(name):
    """Return a case to be run."""
    return Case(name, ON_TIMM[name], 4, STEPS)


@pytest.mark.parametrize("name", ON_TIMM)
def test_in_timm_it_is_the_rule(name, timm):
    """With timm's own LARS and clipping, in float64 to rounding."""
    case = case_of(name)
    assert largest(run_torch(case, "timm"), by_the_rule(case.recipe, last=False)) < 1e-12


@pytest.mark.parametrize("name", ON_OPTAX)
def test_in_optax_it_is_the_rule_where_nothing_is_declared(name):
    """Without coupled decay the norm that is divided by is the same; units lie along the last axis there."""
    case = case_of(name)
    assert "larger one" not in export(case.recipe, to="optax")
    recipe = case.recipe
    if recipe.sgd.adaptive_clip is None:
        expected = by_the_rule(recipe, last=True)
    else:  # the columns of these matrices are the rows of torch's
        expected = by_the_rule(recipe, last=False)
    assert largest(run_optax(case), expected) < 1e-12


@pytest.mark.parametrize("name", ["lars", "nesterov", "dampened", "not of biases"])
def test_what_optax_does_otherwise_is_what_the_program_declares(name, monkeypatch):
    """With the norm of the decayed gradient in the rule instead of the sum of both, it is the program."""
    from downslope.core.tensor_factors import TensorFactors

    case = case_of(name)
    text = export(case.recipe, to="optax")
    words = " ".join(text.replace("#", "").split())
    assert "the norm of grad + weight_decay * param, as in optax.lars; the recipe's by the sum of both norms" in words
    path = run_optax(case)
    assert largest(path, by_the_rule(case.recipe, last=True)) > 1e-6
    import downslope.numpy

    kept = {}

    def with_norms(self, grads):
        for one, grad in grads.items():
            if self.settings[one].trust_coefficient:
                own = self.settings[one] = replace(self.settings[one])
                decayed = np.linalg.norm(grad + own.weight_decay * self.params[one])
                ratio = own.trust_coefficient * np.linalg.norm(self.params[one]) / decayed
                kept[id(own)] = _Ratio(ratio), 0.0, 0.0
        return grads, dict(kept)

    class _Ratio(TensorFactors):
        def __new__(cls, ratio):
            made = super().__new__(cls, 1.0)
            made.ratio = ratio
            return made

        def of(self, scalars, grad_norm, param_norm):
            return replace(scalars, grad_scale=self.ratio, coupled_decay=scalars.coupled_decay * self.ratio)

    monkeypatch.setattr(downslope.numpy.SGD, "_with_norms", with_norms)
    assert largest(path, by_the_rule(case.recipe, last=True)) < 1e-12


@pytest.mark.parametrize(
    ("target", "changes", "message"),
    [
        ("timm", {"decay": "decoupled"}, "timm.optim.Lars has coupled weight decay alone"),
        ("timm", {"maximize": True}, "has no maximize"),
        ("timm", {"trust_clip": True, "dampening": 0.5, "undampened_first_step": False}, "no dampening of the first"),
        ("timm", {"lr_in_velocity": True}, "its lr outside the velocity"),
        ("timm", {"nu": 0.5}, "has not quasi-hyperbolic momentum"),
        ("optax", {"trust_clip": True}, "optax.scale_by_trust_ratio has no bound"),
        ("torch", {}, "Export to timm, whose Lars is the same, or to optax"),
        ("keras", {}, "Export to timm, whose Lars is the same, or to optax"),
    ],
)
def test_what_cannot_be_declared_is_refused(target, changes, message):
    """With what the target has otherwise."""
    with pytest.raises(ExportError, match=message):
        export(Recipe(sgd=replace(LARS, **changes), train=Train(steps=STEPS)), to=target)


def test_clipping_that_a_target_lacks_is_refused():
    """By tensor; by unit in torch; by groups in timm; a group that decays without a ratio."""
    by_tensor = Recipe(sgd=replace(AGC, adaptive_clip_by=None), train=Train(steps=1))
    for target in ("timm", "optax", "torch"):
        with pytest.raises(
            ExportError, match='of each tensor as a whole is not written out.*adaptive_clip_by = "unit"'
        ):
            export(by_tensor, to=target)
    with pytest.raises(ExportError, match="of each unit is not written out. Export to timm or optax"):
        export(replace(by_tensor, sgd=AGC), to="torch")
    with pytest.raises(ExportError, match="timm clips all gradients by one share"):
        export(replace(by_tensor, sgd=AGC, groups=(Group(match="*.bias", adaptive_clip=0.0),)), to="timm")
    with pytest.raises(ExportError, match="a group with weight decay has none"):
        export(replace(by_tensor, sgd=LARS, groups=(Group(match="*.bias", trust_coefficient=0.0),)), to="timm")
    assert "adaptive_clip_by" in export(replace(by_tensor, sgd=AGC), to="downslope")
