"""`train --preview`: what the first steps will see, to the bit, on a page; nothing is trained."""

import base64
import io
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import fail, succeed
from PIL import Image
from runs_on_data import train

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from report_reader import Page

from downslope.recipe.load import parse_recipe
from downslope.recipe.schema import Augment
from downslope.training.previewing.examples import look_ahead

pytestmark = pytest.mark.usefixtures("in_an_empty_folder", "no_report")

OWN = """
from torch import nn
seen = []
class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, 3)
    def forward(self, x):
        if self.training:
            seen.append(x.detach().clone())
        return self.layer(x.flatten(1))
"""
TEXT = """
seed = 3
[data]
name = "images"
batch_size = 7
options = { path = "pictures" }
[data.augment]
crop = 2
flip = true
jitter = 0.4
AUGMENT
[model]
name = "MODEL"
[sgd]
lr = 0.01
[train]
steps = 3
accumulate = 2
shards = 3
"""


@pytest.fixture
def pictures():
    """Write three classes of twelve images of 8x8; one is called as HTML would be."""
    generator = np.random.default_rng(0)
    for name in ("ant", "b<i>e", "cat"):
        Path("pictures", name).mkdir(parents=True)
        for count in range(12):
            pixels = generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(Path("pictures", name, f"{count}.png"))


def pixels_of(tag):
    """Return the picture of an ``<img>``."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(tag["src"].partition(",")[2]))))


def images_of(html):
    """Return the ``<img>`` tags of a page."""
    return [dict(attributes) for name, attributes in Page(html).tags if name == "img"]


@pytest.mark.parametrize("mixing", ["mixup = 0.4", "cutmix = 1.0", ""])
def test_the_examples_are_those_of_the_first_steps(pictures, mixing, monkeypatch):
    """A model that remembers what it was given was given these, bit for bit, over shards and accumulated batches."""
    name = f"remembers_{len(mixing)}"
    Path(f"{name}.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(".")
    text = TEXT.replace("AUGMENT", mixing).replace("MODEL", f"{name}:Remembers")
    _, seen = look_ahead(parse_recipe(text, "recipe"))
    train(text, "images", "--train.measure_every", "0")
    given = torch.cat(sys.modules[name].seen)[:16]
    assert len(seen) == 16
    assert torch.equal(torch.stack([one.changed for one in seen]), given)
    assert [one.step for one in seen] == [1] * 14 + [2] * 2
    assert not torch.equal(torch.stack([one.original for one in seen]), given)
    assert all(bool(one.also) is bool(mixing) for one in seen)


def test_the_page_shows_each_example_beside_its_original(pictures, capsys):
    """Originals are the files' own pixels, the changed ones those that are learned from; names are text."""
    text = TEXT.replace("AUGMENT", "mixup = 0.4").replace("MODEL", "mlp")
    Path("r.toml").write_text(text, encoding="utf-8")
    said = succeed(["train", "r.toml", "--preview"], capsys)
    assert said.startswith("preview     downslope-preview.html: the first 16 examples, each beside its original")
    html = Path("downslope-preview.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.unbalanced == []
    assert not [address for address in page.addresses if not address.startswith(("data:", "#"))]
    data, seen = look_ahead(parse_recipe(text, "recipe"))
    images = [pixels_of(tag) for tag in images_of(html)]
    for one, original, changed in zip(seen, images[::2], images[1::2], strict=True):
        stored = data.train_inputs[one.index].permute(1, 2, 0).numpy() * 255
        np.testing.assert_array_equal(original, stored.round())
        assert np.abs(changed - one.changed.permute(1, 2, 0).numpy() * 255).max() <= 0.5 + 1e-3
    assert "b<i>e" in page.text
    assert ["data.augment.crop", "2"] in [row[:2] for row in page.tables[0]]
    pairs = [one for one in seen if one.also != one.target]
    assert all(f"{one.target} ({100 * one.share:.0f} %), {one.also}" in page.text for one in pairs)
    assert sorted(path.name for path in Path().iterdir()) == ["downslope-preview.html", "pictures", "r.toml"]


def test_the_page_is_the_same_however_images_are_read(pictures, capsys):
    """Images that are decoded when needed, by loaders too, give the same page; standardised ones the same originals."""
    Path("r.toml").write_text(TEXT.replace("AUGMENT", "").replace("MODEL", "mlp"), encoding="utf-8")
    succeed(["train", "r.toml", "--preview", "a.html"], capsys)
    lazy = ["--data.in_memory", "false", "--data.loaders", "2"]
    succeed(["train", "r.toml", "--preview=b.html", *lazy], capsys)
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()
    scaled = ["--data.options.standardize", "true", "--data.augment.jitter", "0"]
    succeed(["train", "--preview", "c.html", "r.toml", *scaled], capsys)
    first, other = (images_of(Path(name).read_text(encoding="utf-8"))[::2] for name in ("a.html", "c.html"))
    assert [one["src"] for one in first] == [one["src"] for one in other]


def test_every_change_is_told_and_mirror_images_of_an_evaluation_are_none(pictures, capsys):
    """Drawing by class and whatever augmentation a recipe may ask for is in the table; `tta` alone changes no image."""
    Path("r.toml").write_text(TEXT.replace("AUGMENT", "").replace("MODEL", "mlp"), encoding="utf-8")
    values = {field.name: "0.5" for field in fields(Augment)} | {"flip": "true", "trivial": "true", "crop": "1"}
    values |= {"cutout": "2", "tta": '"flip"', "mixup": "1", "cutmix": "1"}
    crops = {name: values.pop(name) for name in ("resized_crop", "size")}  # instead of `crop`
    words = [word for name, value in values.items() for word in (f"--data.augment.{name}", value)]
    succeed(["train", "r.toml", "--preview", "--data.sampling", "balanced", *words], capsys)
    rows = Page(Path("downslope-preview.html").read_text(encoding="utf-8")).tables[0]
    assert {row[0] for row in rows[1:]} == {"data.sampling", *(f"data.augment.{name}" for name in values)}
    assert len(values) + len(crops) == len(fields(Augment))
    text = TEXT[: TEXT.index("[data.augment]")] + "[data.augment]\ntta = 'flip'\n" + TEXT[TEXT.index("[model]") :]
    Path("r.toml").write_text(text.replace("MODEL", "mlp"), encoding="utf-8")
    assert "beside its original" not in succeed(["train", "r.toml", "--preview"], capsys)
    assert len(images_of(Path("downslope-preview.html").read_text(encoding="utf-8"))) == 16


def test_what_is_no_image_stands_in_a_table(capsys):
    """Rows of a table reach the model as numbers, their columns and words named; signals as their first numbers."""
    Path("t.csv").write_text("size,colour,price\n" + "1,red,10\n3,blue,30\n" * 10, encoding="utf-8")
    text = '[data]\nname = "table"\n[data.options]\npath = "t.csv"\ntarget = "price"\n'
    text += 'categories = ["colour"]\nstandardize = false\n'
    Path("r.toml").write_text(text + '[sgd]\nlr = 0.1\n[train]\nsteps = 1\nloss = "mse"\n', encoding="utf-8")
    assert "the first 16 examples;" in succeed(["train", "r.toml", "--preview", "p.html"], capsys)
    rows = Page(Path("p.html").read_text(encoding="utf-8")).tables[0]
    assert rows[0] == ["example", "step", "target", "size", "colour = blue", "colour = red"]
    assert {tuple(row[2:]) for row in rows[1:]} == {("10", "1", "0", "1"), ("30", "3", "1", "0")}
    text = (
        '[data]\nname = "rearranged"\nbatch_size = 8\n[model]\nname = "seq2seq"\n[sgd]\nlr = 0.1\n[train]\nsteps = 1\n'
    )
    Path("s.toml").write_text(text, encoding="utf-8")
    assert "the first 8 examples;" in succeed(["train", "s.toml", "--preview", "s.html"], capsys)
    assert Page(Path("s.html").read_text(encoding="utf-8")).tables[0][0] == ["example", "step", "target", "input"]


def test_what_does_not_go_with_it_is_refused(capsys):
    """What only a run has, another way of not training, a name that no browser opens, and images that are none."""
    for option in (["--out", "x"], ["--resume", "never"], ["--workers", "2"], ["--dry-run"], ["--device", "cpu"]):
        assert f"{option[0]} says nothing" in fail(["train", "--preview", *option], capsys)
    assert "ends in .html" in fail(["train", "--preview=page.png"], capsys)
    assert "data.augment: changes images" in fail(
        ["train", "--preview", "--data.name", "rearranged", "--model.name", "seq2seq", "--data.augment.flip", "true"],
        capsys,
    )
    assert list(Path().iterdir()) == []
