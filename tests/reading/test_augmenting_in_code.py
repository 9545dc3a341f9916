"""How a program changes its images: what a recipe can hold of it, and what not."""

from __future__ import annotations

from downslope import read


def test_how_images_are_changed_becomes_a_recipe():
    """What a recipe can hold of it is implied, and stands in the recipe's tables."""
    text = (
        "tf = T.Compose([T.RandomResizedCrop(224), T.RandomHorizontalFlip(0.5), T.ColorJitter(0.4, 0.4, 0.4)])\n"
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)\nfor epoch in range(3):\n    train()\n"
    )
    reading = read(text)[0]
    augment = reading.recipe().data.augment
    assert augment is not None
    assert (augment.resized_crop, augment.size, augment.flip, augment.jitter) == ((0.08, 1.0), 224, True, 0.4)
    assert {found.provenance for path, found in reading.fields.items() if path.startswith("data.augment.")} == {
        "implied"
    }


def test_what_recipes_cannot_hold_is_left_out():
    """A flip of another probability, a crop that pads its sides differently, autocast that is switched off."""
    text = (
        "tf = T.Compose([T.RandomCrop(32, padding=(4, 2)), T.RandomHorizontalFlip(p=0.3)])\n"
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)\nwith torch.autocast('cuda', enabled=False):\n    step()\n"
    )
    assert not {"data.augment.crop", "data.augment.flip", "train.precision"} & read(text)[0].fields.keys()
