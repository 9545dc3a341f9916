"""A person's own Datasets, lists, model classes and losses: taken as they are written, or told what to do."""

import pytest
import torch
import training_datasets
from training_runs import run, tiny

from downslope.core.errors import DownslopeError
from downslope.training.data import load_data, numpy_files
from downslope.training.run.task import build_task

FROZEN = "each of the {} items of its Dataset was read once: what a transform draws at random stays as it was drawn"


def data_of(name, **overrides):
    """Return the data of a function or class of `training_datasets`."""
    return load_data(tiny(data=f'{{ name = "training_datasets:{name}" }}', **overrides))


def together(data):
    """Return all inputs and targets, learned from or held out, in the order of the first input."""
    inputs = torch.cat([data.train_inputs[:], data.held_out_inputs[:]])
    targets = torch.cat([data.train_targets, data.held_out_targets])
    order = inputs.flatten(1)[:, 0].argsort()
    return inputs[order], targets[order]


@pytest.mark.parametrize("name", ["Pairs", "tensors", "lists", "list_of_pairs", "MADE"])
def test_what_holds_examples_gives_them(name):
    """A Dataset by its class, an object, a function; lists; a list of pairs: the same twenty examples, each once."""
    inputs, targets = together(data_of(name))
    assert inputs.equal(training_datasets.INPUTS)
    assert targets.equal(training_datasets.TARGETS)
    assert targets.dtype == torch.int64


def test_each_item_is_asked_for_once_in_order():
    """What reads a file for each item reads it once, and a transform that draws is said to be frozen."""
    training_datasets.ASKED.clear()
    data = data_of("Pairs", data__in_memory="true")
    assert list(range(20)) == training_datasets.ASKED
    assert data.notes == (FROZEN.format(20),)


def test_random_items_are_those_of_the_seed():
    """Torch's generator is set before the first item, so that a resumed run finds the same ones."""
    draws = '{ name = "training_datasets:Pairs", in_memory = true, options = { draws = true } }'
    one, same, other = (load_data(tiny(data=draws, seed=seed)) for seed in ("1", "1", "2"))
    assert one.fingerprint() == same.fingerprint()
    assert not together(one)[0].equal(together(other)[0])
    torch.rand(1)
    assert load_data(tiny(data=draws, seed="1")).fingerprint() == one.fingerprint()


def test_a_pair_of_datasets_is_the_split():
    """The first is learned from, all of it and in its order, the second held out."""
    data = data_of("pair")
    assert data.train_inputs[:].equal(training_datasets.INPUTS[:12])
    assert data.held_out_inputs[:].equal(training_datasets.INPUTS[12:])
    assert data.held_out_targets.equal(training_datasets.TARGETS[12:])


def test_pictures_are_arrays_and_bring_the_names_of_classes():
    """As ToTensor has them: (channels, height, width) from 0 to 1; a Subset has the classes of what it is of."""
    data = data_of("Pictures", data__held_out="0.3")
    inputs, targets = together(data)
    assert inputs.shape == (10, 1, 2, 3)
    assert (inputs[:, 0, 0, 0] * 255).round().int().tolist() == [25 * i for i in range(10)]
    assert targets.tolist() == [0, 1] * 5
    assert (data.classes, data.class_names) == (2, ("cat", "dog"))
    assert data_of("subset", data__held_out="0.3").class_names == ("cat", "dog")


def test_numbers_of_both_kinds_are_one_column():
    """A list of targets that are whole or not: all of them numbers."""
    data = data_of("numbers_of_both_kinds", train__loss="mse")
    assert together(data)[1].tolist() == [i / 2 if i % 2 else i // 2 for i in range(20)]


def test_what_does_not_fit_is_not_begun(monkeypatch):
    """The first item tells how much all of them take."""
    monkeypatch.setattr(numpy_files, "memory_limit", lambda: 100)
    training_datasets.ASKED.clear()
    with pytest.raises(DownslopeError, match="needs 640 bytes for 20 examples, all in memory"):
        data_of("Pairs", data__in_memory="true")
    assert training_datasets.ASKED == [0]


# what is named, and a part of the message
REFUSED = {
    "loader": r"gives a DataLoader. Return its dataset \(loader.dataset\)",
    "stream": r"gives a stream, of the type Stream, .*\n.* or what fits into memory as a list of \(input, target\)",
    "generator": "gives a stream, of the type generator",
    "Dicts": r"item 0 of it must be \(input, target\); got dict with 'pixels', 'label'",
    "only_inputs": r"item 0 of it must be \(input, target\); got tuple of 1",
    "Uneven": r"item 1 of it: all inputs must be of one shape and dtype; this is torch.float32 of shape \(3,\)",
    "Fails": r"item 3 of it raised OSError: gone \(.*training_datasets.py, line \d+\)",
    "Endless": "it has no length: NotImplementedError",
    "half_a_pair": "must return two Datasets, to learn from and held out; one is Tensor of 20",
    "three": "got tuple of 3",
    "nothing": "got NoneType. Does it lack a `return`?",
    "words": "inputs has dtype <U1; use numbers",
    "ragged": "inputs are a list that is no array: ",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_what_to_do(name):
    """One message, which names the item where there is one."""
    with pytest.raises(DownslopeError, match=REFUSED[name]) as caught:
        data_of(name)
    assert caught.value.exit_code == 2


def test_a_dataset_that_is_made_takes_no_options():
    """An option that would be ignored is refused."""
    with pytest.raises(DownslopeError, match=r"is a TensorDataset already, which takes no data.options"):
        load_data(tiny(data='{ name = "training_datasets:MADE", options = { count = 3 } }'))


def model_of(name, options="{}"):
    """Return the model that a recipe on `Pairs` names."""
    data, model = (
        '{ name = "training_datasets:Pairs" }',
        f'{{ name = "training_datasets:{name}", options = {options} }}',
    )
    return build_task(tiny(data=data, model=model)).state.model


@pytest.mark.parametrize(
    ("name", "options", "width"),
    [("Net", "{}", 8), ("Net", "{ hidden = 4 }", 4), ("OfData", "{}", 3), ("Bare", "{}", 3)],
)
def test_a_model_may_be_a_class(name, options, width):
    """Called with the data if its first argument is for them, and with the options alone if it can do without."""
    assert next(model_of(name, options).parameters()).shape == (width, 2)


# what is named, its options, and a part of the message
MODELS = {
    "an unknown option": (
        "Net",
        "{ hiden = 4 }",
        r"cannot be called as Net\(hiden=4\): got an unexpected .* .hiden.. It is Net\(hidden=8, classes=3\)",
    ),
    "numbers first": (
        "Sized",
        "{}",
        r"raised TypeError: .*It was called as Sized\(dataset\). The first argument is the data: take sizes from it",
    ),
    "made already": ("READY", "{}", "is a module that is made already, a Bare, .* Name its class, or a function"),
    "a class returned": ("returns_class", "{}", r"got the class Net. Call it: return Net\(...\)"),
    "nothing returned": ("forgets_to_return", "{}", "got None. Does it lack a `return`?"),
    "no argument": ("takes_none", "{}", r"cannot be called as takes_none\(dataset\): too many positional arguments"),
    "a number": ("TARGETS", "{}", "is Tensor, not a function"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_cannot_be_made_says_what_was_called(case):
    """The call as it was written out, what it is, and what to do."""
    name, options, message = MODELS[case]
    with pytest.raises(DownslopeError, match=message) as caught:
        model_of(name, options)
    assert caught.value.exit_code == 2


def test_a_model_of_torch_itself_may_be_named():
    """Its first argument is among the options, so the data are not."""
    data, model = (
        '{ name = "training_datasets:Pairs" }',
        '{ name = "torch.nn:Linear", options = { in_features = 2, out_features = 3 } }',
    )
    assert build_task(tiny(data=data, model=model)).state.model.weight.shape == (3, 2)


def test_outputs_that_do_not_fit_say_what_is_needed(tmp_path):
    """Too few classes, and a last dimension of one."""
    data = '{ name = "training_datasets:Pairs" }'
    with pytest.raises(DownslopeError, match="so for 2 classes; the targets are classes up to 2, which needs 3"):
        run(tiny(data=data, model='{ name = "training_datasets:too_few_classes" }'), tmp_path / "a")
    numbers = '{ name = "training_datasets:numbers_of_both_kinds" }'
    with pytest.raises(DownslopeError, match=r"the targets \(16,\). Return outputs.squeeze\(-1\)"):
        run(tiny(data=numbers, model='{ name = "training_datasets:one_too_deep" }', train__loss="mse"), tmp_path / "b")


def test_a_loss_may_be_a_class_of_torch(tmp_path):
    """`torch.nn:CrossEntropyLoss` is the built-in one; what takes other arguments is refused before training."""
    data = '{ name = "training_datasets:Pairs" }'
    one, _ = run(tiny(data=data, train__loss="torch.nn:CrossEntropyLoss"), tmp_path / "a")
    two, _ = run(tiny(data=data), tmp_path / "b")
    assert one.held_out == two.held_out
    with pytest.raises(
        DownslopeError, match=r"cannot be called as loss_of_three\(outputs, targets\): missing a required"
    ):
        build_task(tiny(data=data, train__loss="training_datasets:loss_of_three"))
