"""`train.compile`: the model as one program, trained by the same loop."""

import pytest
from safetensors.torch import load_file
from torch import testing
from training_runs import fingerprints, run, tiny

from downslope.core.errors import RecipeError

COMPILED = {"train__compile": "true", "train__epochs": "2", "train__ema": "0.9"}


@pytest.mark.slow
def test_it_learns_the_same_and_resumes_exactly(tmp_path):
    """Weights within rounding of the run as it is; interrupted and resumed, the bits of the uninterrupted one."""
    plain, whole, stopped = (tmp_path / name for name in ("plain", "whole", "stopped"))
    run(tiny(**{**COMPILED, "train__compile": "false"}), plain)
    run(tiny(**COMPILED), whole)
    expected = load_file(plain / "model.safetensors")
    for name, weights in load_file(whole / "model.safetensors").items():
        testing.assert_close(weights, expected[name], rtol=1e-4, atol=1e-6)
    run(tiny(**COMPILED), stopped, at=4)
    outcome, _ = run(tiny(**COMPILED), stopped)
    assert outcome.finished
    assert fingerprints(stopped) == fingerprints(whole)


def test_a_sharded_model_is_not_compiled():
    """The recipe is refused, with what to remove."""
    with pytest.raises(RecipeError, match=r"`compile` = True needs `parallel = \"replicated\"`.*Remove one"):
        tiny(train__compile="true", train__parallel='"sharded"')
