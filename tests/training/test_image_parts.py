"""Folders of images whose sub-folders are parts of a split, by any usual name, and those that only look like it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def make(*folders, each=1):
    """Write a small grey picture or more into each folder."""
    for number, folder in enumerate(folders):
        Path("p", folder).mkdir(parents=True)
        for count in range(each):
            Image.fromarray(np.full((2, 2), 10 * number + count, dtype=np.uint8)).save(f"p/{folder}/{count}.png")


def load(options='path = "p"'):
    """Return the data set of options written as TOML."""
    text = f'[data]\nname = "images"\noptions = {{ {options} }}\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\n'
    return load_data(parse_recipe(text, "recipe"))


def message_of(options='path = "p"'):
    """Return the message with which loading fails as a person's mistake."""
    with pytest.raises(DownslopeError) as caught:
        load(options)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("training", "testing"),
        ("train", "dev"),
        ("训练集", "验证集"),
        ("訓練", "測試數據"),
        ("Training_Set", "Held-Out"),
        ("train_images", "eval_images"),
        ("trainset", "HoldOut"),
        ("train", "Evaluation"),
    ],
)
def test_parts_are_known_by_any_usual_name(train, held_out):
    """Two classes of a picture each to learn from, two held out; never classes called train and test."""
    make(f"{train}/cat", f"{train}/dog", f"{held_out}/cat", f"{held_out}/dog")
    data = load()
    assert (data.class_names, len(data.train_inputs), len(data.held_out_inputs)) == (("cat", "dog"), 2, 2)


def test_of_validation_and_test_the_former_is_held_out_and_that_is_said():
    """What is held out is looked at in training, which a test set should not be."""
    make("train/cat", "train/dog", "Valid/cat", "Valid/dog", "test/cat", "test/dog", each=2)
    data = load()
    greys = sorted((data.held_out_inputs[:, 0, 0, 0] * 255).round().int().tolist())
    assert greys == [20, 21, 30, 31]
    note = (
        "of p, `train` is learned from and `Valid` held out; `test` is left alone, to be used once at the end: "
        "downslope evaluate RUN --split test"
    )
    assert data.notes == (note,)


def test_a_part_may_be_named_outright():
    """`held_out_path` decides where names do not, and nothing else is looked at."""
    make("train/cat", "train/dog", "Valid/cat", "Valid/dog", "test/cat", "test/dog")
    data = load('path = "p/train", held_out_path = "p/test"')
    assert sorted((data.held_out_inputs[:, 0, 0, 0] * 255).round().int().tolist()) == [40, 50]
    assert message_of('path = "p/train", held_out_path = "p/tset"').startswith(
        "data.options.held_out_path = 'p/tset': there is no such folder."
    )


@pytest.mark.parametrize("names", [("a", "b"), ("2023", "2024"), ("val", "test"), ("fold 1", "fold 2", "fold 3")])
def test_what_looks_like_a_split_is_refused(names):
    """Folders with the same classes in them would be told apart as classes themselves."""
    make(*(f"{name}/{kind}" for name in names for kind in ("cat", "dog")), each=2)
    first, second = sorted(names)[:2]
    message = message_of()
    assert message.startswith(
        f"p: its folders `{first}` and `{second}` hold the same sub-folders, `cat`, `dog`, so they look like"
    )
    assert f'data.options.path = "p/{first}" and data.options.held_out_path = "p/{second}"' in message
    assert load('path = "p", split = false').class_names == tuple(sorted(names))


@pytest.mark.parametrize("names", [("train", "extra"), ("train2017", "Holdout 1"), ("b", "Test 2")])
def test_the_advice_learns_from_what_is_named_so(names):
    """Of two folders that look like a split the names may tell which is which, whatever comes first by alphabet."""
    make(*(f"{name}/{kind}" for name in names for kind in ("cat", "dog")), each=2)
    assert f'data.options.path = "p/{names[0]}" and data.options.held_out_path = "p/{names[1]}"' in message_of()


def test_classes_of_one_common_folder_are_classes():
    """Every class may keep its pictures in a folder `images`, and classes may have sub-folders of their own."""
    make("cat/images", "dog/images", each=4)
    assert load().class_names == ("cat", "dog")
    make("bird/small", "bird/large", each=4)
    assert load().class_names == ("bird", "cat", "dog")


def test_two_folders_for_one_part_are_refused():
    """`val` and `valid` cannot both be held out; a stray folder beside parts cannot be either."""
    make("train/cat", "train/dog", "val/cat", "val/dog", "valid/cat", "valid/dog", each=4)
    assert message_of().startswith(
        "p: has `val`, `valid`, of which only one can be meant. Say which: data.options.path"
    )
    assert load('path = "p", split = false').class_names == ("train", "val", "valid")
    assert message_of('path = "p", split = true').endswith("leave it out to go by their names.")


def test_a_part_to_learn_from_alone_is_split():
    """`Train` and nothing beside it: its sub-folders are the classes, a part of the images is held out, and said."""
    make("Train/cat", "Train/dog", each=5)
    data = load()
    assert (data.class_names, len(data.train_inputs), len(data.held_out_inputs)) == (("cat", "dog"), 8, 2)
    assert any("p has `Train` alone, without a part to hold out" in note for note in data.notes)


def test_a_part_to_hold_out_alone_is_refused():
    """`test` and nothing beside it is nothing to learn from; the folder itself may be given."""
    make("test/cat", "test/dog", each=5)
    message = message_of()
    assert "p: has `test` alone, which is a part to hold out, and nothing to learn from" in message
    assert 'give data.options.path = "p/test"' in message
    assert load('path = "p/test"').class_names == ("cat", "dog")


def test_a_class_called_train_beside_another_is_a_class():
    """Trains and cars, each in a folder of images, are no parts."""
    make("train", "car", each=5)
    assert load().class_names == ("car", "train")
