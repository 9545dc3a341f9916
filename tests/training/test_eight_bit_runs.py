"""Runs whose velocities are kept in 8 bits: interrupted, resumed, changed, converted, explained, exported."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from training_runs import run, tiny

from downslope import explain, export
from downslope.cli.main import main
from downslope.core.blocks import decode
from downslope.core.errors import RecipeError

WIDE = {"model__hidden": "[80, 60]", "train__velocity_dtype": '"int8"'}
"""The tiny recipe's model, its second layer with 4800 weights: the one whose velocity is worth codes."""


def last(folder, part):
    """Return the tensors of the newest checkpoint."""
    checkpoint = max((folder / "checkpoints").iterdir())
    return safetensors.torch.load_file(checkpoint / f"{part}.safetensors")


@pytest.mark.parametrize("how", ["signal", "crash"])
def test_an_interrupted_run_ends_with_the_same_bits(how, tmp_path):
    """Codes, scales, weights and log of a run that was broken off are those of one that was not."""
    recipe = tiny(**WIDE, checkpoint__every_steps="5")
    run(recipe, tmp_path / "whole")
    run(recipe, tmp_path / "broken", at=12, how=how)
    run(recipe, tmp_path / "broken")
    for part in ("model", "optimizer"):
        mine, theirs = last(tmp_path / "whole", part), last(tmp_path / "broken", part)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    held = last(tmp_path / "whole", "optimizer")
    assert {name for name, value in held.items() if value.dtype == torch.int8} == {"dense2.weight"}
    assert held[".scales.dense2.weight"].shape == (19,)


def test_the_format_may_change_and_what_it_costs_is_said(tmp_path):
    """To float32 nothing more is lost, to 8 bits the velocities are rounded; each is told when the run goes on."""
    run(tiny(**WIDE), tmp_path, at=8)
    held = last(tmp_path, "optimizer")
    _, said = run(tiny(**{**WIDE, "train__velocity_dtype": '"float32"'}), tmp_path, at=9)
    assert any("float32 from here on, beginning with the numbers that 8 bits stood for" in text for text in said)
    assert last(tmp_path, "optimizer")["dense2.weight"].dtype == torch.float32
    _, said = run(tiny(**WIDE), tmp_path)
    assert any("rounded to 8 bits, each by up to 0.8 per cent" in text for text in said)
    assert held["dense2.weight"].dtype == last(tmp_path, "optimizer")["dense2.weight"].dtype == torch.int8


def test_a_run_is_converted_with_the_numbers_that_its_codes_stand_for(tmp_path, capsys):
    """`convert` writes float32, and says so."""
    run(tiny(**WIDE), tmp_path / "run", at=3)
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(tmp_path / "run"), str(out), "--from", "downslope", "--to", "torch"]) == 0
    assert "velocities of 8 bits became float32" in capsys.readouterr().err
    held = last(tmp_path / "run", "optimizer")
    expected = decode(held["dense2.weight"].numpy(), held[".scales.dense2.weight"].numpy())
    written = safetensors.numpy.load_file(out)
    (name,) = [name for name in written if name.endswith("dense2.weight") and not name.startswith("param")]
    np.testing.assert_array_equal(written[name], expected)


def test_a_recipe_with_8_bits_is_explained_and_exported():
    """explain has a sentence in both languages; other frameworks' programs say that theirs are float32; ours asks."""
    recipe = tiny(train__velocity_dtype='"int8"')
    assert "eight_bits" in [remark.name for remark in explain(recipe).remarks]
    assert "eight_bits" not in [remark.name for remark in explain(tiny()).remarks]
    for target in ("torch", "keras", "optax"):
        program = export(recipe, to=target, steps_per_epoch=5)
        assert "keeps velocities in 8 bits" in program
        assert "keeps velocities in 8 bits" not in export(tiny(), to=target, steps_per_epoch=5)
    program = export(recipe, to="downslope", steps_per_epoch=5)
    assert 'velocity_dtype="int8"' in program
    assert "float32, and take" not in program


def test_shards_are_refused():
    """A block would end where a worker's part does."""
    with pytest.raises(RecipeError, match='`velocity_dtype` = "int8" needs `parallel = "replicated"`'):
        tiny(**WIDE, train__parallel='"sharded"')
