"""A person's own map-style Dataset, read when it is needed: what is drawn, what is checked, what is refused."""

import random

import lazy_datasets
import numpy as np
import pytest
import torch
from training_runs import fingerprints, run, tiny

from downslope.core.errors import DownslopeError
from downslope.training.data import load_data
from downslope.training.data.rows import Rows
from downslope.training.folder.checkpoint import plain_recipe
from downslope.training.run import plan
from downslope.training.run.randomness import derive_seed


def data_of(name, options="{}", **overrides):
    """Return the data of a function or class of `lazy_datasets`."""
    return load_data(tiny(data=f'{{ name = "lazy_datasets:{name}", options = {options} }}', **overrides))


def drawn_by_hand(seed, epoch, index):
    """Return an item of `Drawn` as the documents say that it is drawn."""
    value = derive_seed(seed, "example", "all", epoch, index)
    torch.manual_seed(value)
    np.random.seed(value & 0xFFFFFFFF)
    random.seed(value)
    return lazy_datasets.Drawn()[index][0]


def test_what_an_item_draws_is_a_function_of_seed_epoch_and_index():
    """By all three generators; whatever was read before, alone or in a batch, and the generators stay as they were."""
    data = data_of("Drawn", seed="5")
    assert isinstance(data.train_inputs, Rows)
    assert (len(data.train_inputs), len(data.held_out_inputs), data.train_inputs.shape) == (40, 10, (40, 3))
    places = torch.tensor([3, 0, 7])
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    inputs, targets = data.take(places, 2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()
    indices = data.train_inputs.indices[places].tolist()
    for row, target, index in zip(inputs, targets, indices, strict=True):
        assert row.equal(drawn_by_hand(5, 2, index))
        assert target == index % 3
    assert data.take(places[1:2], 2)[0][0].equal(inputs[1])
    assert not data.take(places, 3)[0].equal(inputs)


def test_a_run_on_random_items_resumes_to_the_same_bits(tmp_path):
    """Interrupted within an epoch and gone on: weights and log are those of the run that was not."""
    recipe = tiny(data='{ name = "lazy_datasets:Drawn", batch_size = 8 }', train__evaluate_every="3")
    run(recipe, tmp_path / "a")
    outcome, _ = run(recipe, tmp_path / "b", at=7)
    assert not outcome.finished
    run(recipe, tmp_path / "b")
    assert fingerprints(tmp_path / "a") == fingerprints(tmp_path / "b")


def test_targets_that_a_dataset_lists_save_reading_it():
    """A sample is read; where the list is not that of the items, everything is."""
    lazy_datasets.ASKED.clear()
    listed = data_of("Listed", "{ count = 500 }")
    assert len(lazy_datasets.ASKED) < 100
    assert listed.train_targets.tolist() == [index % 3 for index in listed.train_inputs.indices]
    lazy_datasets.ASKED.clear()
    wrong = data_of("Listed", "{ count = 500, wrong = true }")
    assert len(lazy_datasets.ASKED) > 500
    assert wrong.train_targets.equal(listed.train_targets)


def test_a_changed_item_is_another_fingerprint(tmp_path, monkeypatch):
    """Each item counts where all are read, and a run does not go on with others."""
    one, same, other = (data_of("changed", f"{{ at = {at} }}").fingerprint() for at in (-1, -1, 11))
    assert one == same != other
    recipe = tiny(data='{ name = "lazy_datasets:changed" }', train__steps="4")
    run(recipe, tmp_path, at=2)
    monkeypatch.setattr(lazy_datasets, "changed", lambda: lazy_datasets.Changed(lazy_datasets.Drawn(20), 3))
    with pytest.raises(DownslopeError, match="was trained on other data"):
        run(recipe, tmp_path)


def test_a_collate_makes_the_batches(tmp_path):
    """Of items that are no pairs; what it draws is a function of the batch; held-out batches stay the same."""
    data = data_of("words")
    assert (data.train_inputs.shape, data.held_out_inputs.shape, data.classes) == ((20, 4), (8, 4), 3)
    inputs, targets = data.take(torch.tensor([2, 5]), 1)
    shift = inputs[0, 3].item()
    assert 0 < shift < 1
    torch.testing.assert_close(inputs - shift, torch.tensor([[2.0, 2, 2, 0], [5, 5, 0, 0]]))
    assert targets.tolist() == [0, 1]
    assert data.take(torch.tensor([2, 5]), 1)[0].equal(inputs)
    assert not data.take(torch.tensor([2, 5]), 2)[0].equal(inputs)
    assert data.held_out_inputs[:].equal(data.held_out_inputs[:])
    outcome, _ = run(tiny(data='{ name = "lazy_datasets:words" }', train__epochs="1"), tmp_path)
    assert outcome.finished


def test_held_in_memory_or_read_when_needed_it_trains_the_same(tmp_path):
    """What draws nothing gives the same weights; the recipe says which."""
    of = '{ name = "lazy_datasets:changed", options = { at = 3 } }'
    for name, how in (("a", "true"), ("b", "false")):
        run(tiny(data=of, data__in_memory=how), tmp_path / name)
    one, other = fingerprints(tmp_path / "a"), fingerprints(tmp_path / "b")
    assert one["model.safetensors"] == other["model.safetensors"]
    assert one["log.jsonl"] == other["log.jsonl"]


# what is named, its options, overrides, and a part of the message
REFUSED = {
    "an unknown key": ("misspelt", "{}", {}, r"unknown key 'colate'. Did you mean `?.?collate"),
    "a wrong collate": ("wrong_collate", "{}", {}, r"its collate of 1 items of it, .* must return \(inputs, targets\)"),
    "a collate in memory": ("words", "{}", {"data__in_memory": "true"}, "gives a `collate`, which makes batches"),
    "no number": ("Faulty", '{ how = "nan" }', {}, r"item 7 of it: inputs holds 3 number\(s\) that are inf or NaN"),
    "an item that raises": ("Faulty", '{ how = "raise" }', {}, "item 7 of it raised OSError: gone"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_says_what_to_do(case):
    """One message, with the item."""
    name, options, overrides, message = REFUSED[case]
    with pytest.raises(DownslopeError, match=message) as caught:
        data_of(name, options, **overrides)
    assert caught.value.exit_code == 2


def test_a_loader_of_torch_is_refused_in_two_lines():
    """And a stream: what to give instead."""
    for name in ("loader", "stream"):
        with pytest.raises(DownslopeError) as caught:
            load_data(tiny(data=f'{{ name = "training_datasets:{name}" }}'))
        assert len(str(caught.value).splitlines()) == 2


def test_what_has_no_meaning_is_refused():
    """Loaders, and reading when needed, of data that are arrays."""
    with pytest.raises(DownslopeError, match=r"data.loaders = 2: .* is in memory, and there is nothing to read ahead"):
        load_data(tiny(data__loaders="2"))
    with pytest.raises(DownslopeError, match=r"data.in_memory = false: .* gives arrays"):
        load_data(tiny(data__in_memory="false"))


def test_a_run_of_an_earlier_version_goes_on():
    """Its recipe says nothing of loaders, a device or smoothed labels, which is no change of it."""
    recipe = tiny()
    then = plain_recipe(recipe)
    del then["data"]["loaders"], then["data"]["loader_timeout"]
    del then["train"]["device"], then["train"]["tf32"], then["train"]["label_smoothing"]
    assert plan._changes(plan._settled(then, recipe), plain_recipe(recipe)) == {}
