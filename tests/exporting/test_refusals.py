"""What a target cannot express is refused with the reason, and every other target that the message names can."""

import itertools
import re

import pytest

from downslope.core.errors import ExportError
from downslope.exporting import TARGETS, export
from downslope.recipe.load import parse_recipe

WAYS = ("coupled", "decoupled", "independent", "relative", "corrected")


def recipe(*, nesterov, dampening, undampened, decay):
    """Return a recipe of one combination of what targets differ in."""
    return parse_recipe(
        f'[sgd]\nlr = 0.1\nmomentum = 0.9\nweight_decay = 1e-3\ndecay = "{decay}"\nnesterov = {nesterov}\n'
        f"dampening = {dampening}\nundampened_first_step = {undampened}\n[train]\nepochs = 2\n"
    )


def test_a_refusal_names_only_targets_that_can():
    """Of all combinations of Nesterov, dampening, first step and decay, at every target: none leads to a refusal."""
    refused = 0
    for nesterov, dampening, undampened, decay in itertools.product(
        ("true", "false"), (0.0, 0.5), ("true", "false"), WAYS
    ):
        one = recipe(nesterov=nesterov, dampening=dampening, undampened=undampened, decay=decay)
        for target in TARGETS:
            try:
                export(one, to=target)
            except ExportError as error:
                refused += 1
                advice = re.search(r"[Ee]xport .*", str(error))[0]
                named = [other for other in TARGETS if other != target and re.search(rf"\b{other}\b", advice)]
                assert "downslope" in named
                assert all(export(one, to=other) for other in named)
    assert refused > 30


@pytest.mark.parametrize("undampened", ["true", "false"])
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("timm", "dampening together with Nesterov's momentum"),
        ("optax", "the step adds the gradient itself, undampened"),
    ],
)
def test_dampened_nesterov_is_refused_with_its_reason(target, why, undampened):
    """Whatever the first step is: neither has both, and torch's program writes the step out."""
    one = recipe(nesterov="true", dampening=0.5, undampened=undampened, decay="coupled")
    with pytest.raises(ExportError, match=f"{why}.*torch, which writes the step out"):
        export(one, to=target)
