"""Folders of images: what a model sees of them, and every way in which they can be unusable."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data
from downslope.training.data.image_files import read_image

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def save(path, pixels, mode=None, **options):
    """Write an image of 8-bit pixels; a number stands for an image of 2x3 in that grey."""
    pixels = np.full((2, 3), pixels) if np.ndim(pixels) == 0 else np.asarray(pixels)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8), mode).save(path, **options)


def load(options="", seed=0):
    """Return the data set of the folder `pictures`, with further options written as TOML."""
    text = f"""
seed = {seed}
[data]
name = "images"
options = {{ path = "pictures"{options} }}
[sgd]
lr = 0.1
[train]
epochs = 1
"""
    return load_data(parse_recipe(text, "recipe"))


def message_of(options="", seed=0):
    """Return the message with which loading fails."""
    with pytest.raises(DownslopeError) as caught:
        load(options, seed)
    assert caught.value.exit_code == 2
    return str(caught.value)


def make_pictures(root="pictures", each=4):
    """Write two classes of grey pictures: cats darker than 100, dogs lighter."""
    for number in range(each):
        save(f"{root}/cat/{number}.png", 10 * number)
        save(f"{root}/dog/{number}.png", 200 + 10 * number)


def test_folders_are_classes_and_pixels_go_from_0_to_1():
    """Shape (channels, height, width), values a 255th each, classes by alphabet, hidden files left alone."""
    make_pictures()
    Path("pictures/.DS_Store").write_text("x")
    Path("pictures/README").write_text("where they are from")
    data = load(', colour = "grey"')
    assert (data.classes, data.class_names, data.image_shape) == (2, ("cat", "dog"), (2, 3))
    assert tuple(data.train_inputs.shape) == (6, 1, 2, 3)
    assert len(data.held_out_inputs) == 2
    inputs = np.concatenate([data.train_inputs, data.held_out_inputs])
    targets = np.concatenate([data.train_targets, data.held_out_targets])
    assert sorted(np.rint(inputs[:, 0, 0, 0] * 255).astype(int)) == [0, 10, 20, 30, 200, 210, 220, 230]
    assert ((inputs[:, 0, 0, 0] > 0.5) == targets).all()


def test_parts_of_their_own_are_kept():
    """`train` and `test`, or `held_out` or another usual name, bring the split."""
    make_pictures("pictures/train", each=3)
    make_pictures("pictures/test", each=1)
    data = load()
    assert (len(data.train_inputs), len(data.held_out_inputs)) == (6, 2)
    assert tuple(data.train_inputs.shape) == (6, 3, 2, 3)
    assert data.held_out_targets.tolist() == [0, 1]
    before = Path("pictures/test")
    for name in ("held_out", "val", "valid", "validation"):
        before = before.rename(f"pictures/{name}")
        assert load().fingerprint() == data.fingerprint()


def test_a_class_may_be_called_train():
    """Without a part to hold out, `train` is a class like any other."""
    make_pictures()
    Path("pictures/cat").rename("pictures/train")
    assert load().class_names == ("dog", "train")


def test_standardising_uses_the_examples_to_learn_from():
    """Each channel has mean 0 and standard deviation 1 over them."""
    make_pictures("pictures/train", each=3)
    make_pictures("pictures/test", each=1)
    data = load(', colour = "grey", standardize = true')
    greys = np.array([0, 10, 20, 200, 210, 220]) / 255
    np.testing.assert_allclose(data.train_inputs[:, 0, 0, 0], (greys - greys.mean()) / greys.std(), rtol=1e-5)
    np.testing.assert_allclose(
        data.held_out_inputs[:, 0, 0, 0], (np.array([0, 200]) / 255 - greys.mean()) / greys.std(), rtol=1e-5
    )
    found = data.reader(Path("pictures/test"))
    inputs, names = found.inputs, found.names
    assert inputs.equal(data.held_out_inputs)
    assert list(names) == ["cat/0.png", "dog/0.png"]
    found = data.reader(Path("pictures/test/dog/0.png"))
    (one,), (name,) = found.inputs, found.names
    assert one.equal(data.held_out_inputs[1])
    assert name == "0.png"


def test_every_image_becomes_one_size_if_asked():
    """A picture of twice the size becomes the mean of each square of four."""
    pixels = np.kron([[0, 100, 200], [50, 150, 250]], np.ones((2, 2)))
    save("big.png", pixels)
    scaled = read_image(Path("big.png"), "grey", (2, 3))
    assert scaled.shape == (1, 2, 3)
    assert abs(scaled[0] * 255 - [[0, 100, 200], [50, 150, 250]]).max() < 22  # neighbours weigh in a little
    assert (np.diff(scaled[0]) > 0).all()
    assert scaled.mean() == pytest.approx(125 / 255, abs=0.01)


def test_every_mode_is_read_as_it_looks():
    """Palettes, transparency, black and white, and a photograph on its side."""
    red = np.zeros((2, 3, 3))
    red[:, :, 0] = 255
    Image.fromarray(red.astype(np.uint8)).quantize(4).save("palette.png")
    assert read_image(Path("palette.png"), "rgb", None)[:, 0, 0].tolist() == [1, 0, 0]
    clear = np.zeros((2, 3, 4))
    clear[0, 0] = [255, 0, 0, 255]
    save("clear.png", clear)
    seen = read_image(Path("clear.png"), "rgb", None)
    assert (seen[:, 0, 0].tolist(), seen[:, 1, 1].tolist()) == ([1, 0, 0], [1, 1, 1])
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1").save("bits.png")
    assert read_image(Path("bits.png"), "grey", None).tolist() == [[[0, 1]]]
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned: to be rotated by 270 degrees
    Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).save("turned.png", exif=turned)
    assert read_image(Path("turned.png"), "grey", None).shape == (1, 2, 1)


def truncate(path):
    """Cut an image file in half."""
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])


def link_back():
    """Make a link from within a class to the folder around it."""
    Path("pictures/cat/loop").symlink_to(Path("pictures").resolve(), target_is_directory=True)


# what is done to the folder, the options, and the message
BROKEN = {
    "no folder": (lambda: Path("pictures").rename("photos"), "", "data.options.path = 'pictures': there is no such "),
    "cut short": (lambda: truncate("pictures/dog/1.png"), "", "pictures/dog/1.png: cannot be read as an image: "),
    "text": (
        lambda: Path("pictures/dog/1.png").write_text("no image"),
        "",
        "pictures/dog/1.png: cannot be read as an image: cannot identify image file",
    ),
    "empty file": (
        lambda: Path("pictures/cat/0.png").write_bytes(b""),
        "",
        "pictures/cat/0.png: cannot be read as an image: ",
    ),
    "empty class": (
        lambda: Path("pictures/bird").mkdir(),
        "",
        "pictures/bird: holds no image. Add some, or remove the class.",
    ),
    "loop": (link_back, "", "pictures/cat/loop: leads back to "),
    "broken link": (
        lambda: Path("pictures/cat/9.png").symlink_to("nowhere.png"),
        "",
        "pictures/cat/9.png: is a link that leads nowhere. Remove it.",
    ),
    "another file": (
        lambda: Path("pictures/cat/notes.txt").write_text("x"),
        "",
        "pictures/cat/notes.txt: is no image; among images only files that end in .png, .jpg, ",
    ),
    "outside a class": (
        lambda: save("pictures/9.png", 0),
        "",
        "pictures/9.png: an image must lie in the folder of its class, as in pictures/CLASS/9.png.",
    ),
    "other size": (
        lambda: save("pictures/dog/3.png", np.zeros((4, 3))),
        "",
        (
            "pictures/dog/3.png: is 4 pixels high and 3 wide; pictures/cat/0.png, 2 and 3. Set data.options.size = "
            "[height, width] to scale all of them to one size."
        ),
    ),
    "16 bits": (
        lambda: Image.fromarray(np.zeros((2, 3), dtype=np.uint16)).save("pictures/dog/3.png"),
        "",
        "pictures/dog/3.png: has pixels of the mode I;16, not of eight bits a channel. Convert it to 8 bits.",
    ),
    "size": (
        lambda: None,
        ", size = [8]",
        "recipe, [data.options]: `size` must be [height, width], such as [32, 32]; got [8].",
    ),
    "colour": (
        lambda: None,
        ', colour = "gray"',
        "recipe, [data.options]: `colour` must be `rgb` or `grey`; got 'gray'.",
    ),
    "parts and more": (
        lambda: (
            Path("pictures/cat").rename("pictures/train"),
            Path("pictures/dog").rename("pictures/test"),
            Path("pictures/other").mkdir(),
        ),
        "",
        (
            "pictures: has `train` and `test`, which bring a split, but also `other`. Remove what is no part, or give "
            "the folder of the classes alone."
        ),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused(case):
    """The message names the file."""
    make_pictures()
    damage, options, message = BROKEN[case]
    damage()
    assert message_of(options).startswith(message)


def test_classes_that_cannot_be_learned_are_refused():
    """None at all, only one, one that is only held out, and one that a part of its own adds."""
    Path("pictures").mkdir()
    assert message_of() == "pictures: has no sub-folder; each class is one, as in pictures/cat/1.png."
    save("pictures/cat/1.png", 0)
    save("pictures/cat/2.png", 0)
    assert message_of().startswith("data.name = 'images': the classes of pictures: there is only one class, 'cat'")
    save("pictures/dog/1.png", 0)
    found = {message_of(seed=seed) for seed in range(20) if not is_loaded(seed)}
    assert found == {
        (
            "data.name = 'images': the classes of pictures: every example of `dog` is held out, so that there is none "
            "to learn from. Use a smaller data.held_out, another seed, or more examples."
        )
    }
    make_pictures("pictures/train", 2)
    save("pictures/test/dgo/0.png", 0)
    for name in ("cat", "dog"):
        for file in Path("pictures", name).iterdir():
            file.unlink()
        Path("pictures", name).rmdir()
    assert message_of() == (
        "pictures/test/dgo: there is no such class in pictures/train to learn from. Did you mean `dog`? There are "
        "`cat`, `dog`."
    )


def is_loaded(seed):
    """Return whether the folder loads with a seed."""
    try:
        load(seed=seed)
    except DownslopeError:
        return False
    return True


def test_an_image_to_predict_has_to_fit():
    """One size or a size to scale to, a file that is there, an image at all."""
    make_pictures()
    reader = load(', colour = "grey"').reader
    save("other.png", np.zeros((5, 5)))
    Path("empty").mkdir()
    for path, message in {
        "other.png": "other.png: is 5 pixels high and 5 wide; the run's own, 2 and 3. Set data.options.size",
        "gone.png": "gone.png: there is no such file.",
        "a.csv": "a.csv: must be an image, ending in .png,",
        "empty": "empty: holds no image.",
    }.items():
        with pytest.raises(DownslopeError) as caught:
            reader(Path(path))
        assert str(caught.value).startswith(message)
    inputs = load(', colour = "grey", size = [2, 3]').reader(Path("other.png")).inputs
    assert tuple(inputs.shape) == (1, 1, 2, 3)


def test_of_several_frames_the_first_is_taken_and_that_is_said():
    """Of what moves a classifier of pictures sees how it begins."""
    make_pictures()
    frames = [Image.fromarray(np.full((2, 3), grey, np.uint8)) for grey in (51, 102, 153)]
    for name in ("moving.gif", "moving.png", "pages.tiff"):
        frames[0].save(f"pictures/cat/{name}", save_all=True, append_images=frames[1:])
    notes: list[str] = []
    for name in ("moving.gif", "moving.png", "pages.tiff", "0.png"):
        image = read_image(Path("pictures/cat") / name, "grey", None, notes)
        assert image.max() == pytest.approx(0 if name == "0.png" else 0.2)
    said = ": holds several frames, of which the first is taken"
    assert notes == [f"pictures/cat/{name}{said}" for name in ("moving.gif", "moving.png", "pages.tiff")]
    assert f"pictures/cat/moving.gif{said}" in load().notes
