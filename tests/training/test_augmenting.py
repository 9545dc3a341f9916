"""Changes of images against Pillow's and by hand, and that each example's are its own, whatever batch it is in."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from downslope.training.augmenting import images as change
from downslope.training.augmenting.draws import COLUMNS, uniforms, whole
from downslope.training.augmenting.trivial import (
    COLOURS,
    MOVES,
    augment_trivially,
    autocontrast,
    equalize,
    move,
    posterize,
    recolour,
    sharpen,
)


def pictures(count=4, channels=3, height=12, width=10):
    """Return images of 256 levels, and the same of Pillow."""
    draw = np.random.default_rng(1)
    levels = draw.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    levels[0] //= 3  # a dark one
    tensor = torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255
    return tensor, [Image.fromarray(one if channels == 3 else one[..., 0]) for one in levels]


def as_tensor(image):
    """Return a Pillow image as a tensor."""
    levels = torch.from_numpy(np.array(image)).float() / 255
    return levels.permute(2, 0, 1) if levels.ndim == 3 else levels[None]


def test_draws_are_splitmix64():
    """The published generator, from a state that is known, number by number; and an example's own in any batch."""

    def splitmix(state, count):
        found = []
        for _ in range(count):
            state = (state + 0x9E3779B97F4A7C15) % 2**64
            mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB % 2**64
            found.append((mixed ^ (mixed >> 31)) >> 11)
        return found

    from downslope.training.run.randomness import derive_seed

    by_hand = splitmix(derive_seed(5, "augment", 2), 3 * COLUMNS)
    all_of = uniforms(5, 2, torch.arange(3))
    assert all_of.flatten().tolist() == [number / 2**53 for number in by_hand]
    assert torch.equal(uniforms(5, 2, torch.tensor([2, 0])), all_of[[2, 0]])
    assert not torch.equal(uniforms(5, 3, torch.arange(3)), all_of)


def test_draws_are_uniform():
    """Mean, variance and correlation of neighbours, of examples and of columns."""
    drawn = uniforms(0, 0, torch.arange(20_000))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=2e-3)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=1e-3)
    for first, second in ((drawn[:, 0], drawn[:, 1]), (drawn[:-1, 3], drawn[1:, 3])):
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.03
    counts = whole(drawn[:, 7], 9).bincount()
    assert len(counts) == 9
    assert counts.min() > 2000


def test_a_window_is_one_of_the_padded_image():
    """By hand: offsets 0 and 2 * padding are the corners, the middle is the image itself."""
    images, _ = pictures(3)
    draws = torch.tensor([[0.0, 0.999], [0.5, 0.5], [0.999, 0.0]], dtype=torch.float64)
    found = change.crop_padded(images, draws, 2)
    assert torch.equal(found[1], images[1])
    assert torch.equal(found[0, :, 2:, :-2], images[0, :, :-2, 2:])
    assert not found[0, :, :2].any()
    assert torch.equal(found[2, :, :-2, 2:], images[2, :, 2:, :-2])


def test_a_flip_exchanges_left_and_right():
    """Half of them do; rows stay."""
    images, _ = pictures(2)
    found = change.flip(images, torch.tensor([[0.2], [0.7]], dtype=torch.float64))
    assert torch.equal(found[0], images[0].flip(-1))
    assert torch.equal(found[1], images[1])


def test_a_resized_window_of_everything_is_the_image():
    """Area 1 and aspect 1 on a square: nothing changes; half the area is interpolated between its own places."""
    images, _ = pictures(2, height=8, width=8)
    draws = torch.tensor([[0.5, 0.5, 0.3, 0.3]] * 2, dtype=torch.float64)
    assert torch.allclose(change.crop_resized(images, draws, (1.0, 1.0), (8, 8)), images, atol=1e-6)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) / 8
    window = change.crop_resized(ramp, draws[:1] * 0 + torch.tensor([0, 0.5, 0.5, 0.5]), (0.25, 1.0), (4, 4))
    assert torch.allclose(window[0, 0, 0], torch.tensor([2.0, 3.0, 4.0, 5.0]) / 8, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_pillows(channels):
    """Brightness, contrast, saturation, sharpness, posterize, solarize, autocontrast and equalize: within a level."""
    images, theirs = pictures(channels=channels)
    ones = torch.ones(len(images))
    enhance = {
        "brightness": (ImageEnhance.Brightness, change.adjust_brightness),
        "contrast": (ImageEnhance.Contrast, change.adjust_contrast),
        "sharpness": (ImageEnhance.Sharpness, sharpen),
    }
    if channels == 3:
        enhance["saturation"] = (ImageEnhance.Color, change.adjust_saturation)
    for name, (pillow, ours) in enhance.items():
        for factor in (0.3, 1.7):
            expected = torch.stack([as_tensor(pillow(image).enhance(factor)) for image in theirs])
            assert (ours(images, factor * ones) - expected).abs().max() < 2.1 / 255, name
    for bits in (2, 5):
        expected = torch.stack([as_tensor(ImageOps.posterize(image, bits)) for image in theirs])
        assert torch.allclose(posterize(images, bits * ones), expected, atol=1e-6)
    expected = torch.stack([as_tensor(ImageOps.equalize(image)) for image in theirs])
    assert torch.allclose(equalize(images), expected, atol=1e-6)
    expected = torch.stack([as_tensor(ImageOps.autocontrast(image)) for image in theirs])
    assert (autocontrast(images) - expected).abs().max() < 1.1 / 255
    expected = torch.stack([as_tensor(ImageOps.solarize(image, 128)) for image in theirs])
    assert torch.allclose(recolour(images, "solarize", ones * (1 - 128 / 255), ones), expected, atol=1e-6)
    assert ImageFilter.SMOOTH.filterargs[1:] == (13, 0, (1, 1, 1, 1, 5, 1, 1, 1, 1))  # what Pillow sharpens by


def test_equalizing_one_colour_changes_nothing():
    """There is nothing to spread."""
    flat = torch.full((1, 1, 6, 6), 0.4)
    assert torch.equal(equalize(flat), flat)
    assert torch.equal(autocontrast(flat), flat)


def test_moves_by_hand():
    """A point goes where the map says: 8 places of 32, a quarter turn, and nothing at strength 0."""
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 10, 12] = 1
    for name in MOVES[1:]:
        assert torch.allclose(move(image, name, torch.zeros(1)), image, atol=1e-5)
    found = move(image, "translate_x", torch.tensor([0.25]))
    assert (found[0, 0] > 0.9).nonzero().tolist() == [[10, 4]]
    turned = move(image, "rotate", torch.tensor([90 / 135]))
    assert torch.allclose(turned, torch.rot90(image, -1, (2, 3)), atol=1e-4) or torch.allclose(
        turned, torch.rot90(image, 1, (2, 3)), atol=1e-4
    )


def test_erasing_leaves_all_but_a_rectangle():
    """Of the wanted share of images; the rectangle holds the image's mean, of 2 to 33 percent of it."""
    images, _ = pictures(400, height=20, width=20)
    found = change.erase(images, uniforms(0, 0, torch.arange(400))[:, :5], 0.25)
    changed = (found != images).any(1)
    touched = changed.flatten(1).any(1)
    assert 70 < int(touched.sum()) < 130
    for mask, image, before in zip(changed[touched], found[touched], images[touched], strict=True):
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        assert torch.allclose(image[box], before.mean((1, 2), keepdim=True).expand_as(image[box]))
        assert 0.01 <= image[box][0].numel() / 400 <= 0.36


def test_a_square_is_cut_out_within_each_image():
    """Of exactly the wanted side, wholly within, at every place; the square holds the image's mean."""
    images, _ = pictures(200, height=6, width=5)
    found = change.cut_out(images, uniforms(0, 0, torch.arange(200))[:, :2], 4)
    places = set()
    for mask, image, before in zip((found != images).any(1), found, images, strict=True):
        (top, left), (bottom, right) = mask.nonzero().amin(0).tolist(), mask.nonzero().amax(0).tolist()
        assert (bottom - top, right - left) == (3, 3)
        assert mask.sum() == 16
        assert torch.allclose(image[:, mask], before.mean((1, 2))[:, None])
        places.add((top, left))
    assert places == {(top, left) for top in range(3) for left in range(2)}


def test_jitter_stays_in_range_and_at_strength_nought_changes_nothing():
    """Numbers stay in [0, 1]."""
    images, _ = pictures()
    draws = uniforms(0, 0, torch.arange(4))[:, :3]
    assert torch.allclose(change.jitter(images, draws, 0.0), images, atol=1e-6)
    found = change.jitter(images, draws, 0.9)
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_decides_nothing(channels):
    """Each image is changed alike alone, in sevens or with all; but for how torch adds up a mean."""
    images, _ = pictures(40, channels)
    draws = uniforms(3, 1, torch.arange(40))
    for function in (
        lambda image, draw: augment_trivially(image, draw[:, :3]),
        lambda image, draw: change.crop_resized(image, draw[:, 3:7], (0.08, 1.0), (9, 9)),
        lambda image, draw: change.crop_padded(image, draw[:, 7:9], 4),
        lambda image, draw: change.erase(image, draw[:, 9:14], 0.5),
        lambda image, draw: change.cut_out(image, draw[:, 9:11], 3),
        lambda image, draw: change.jitter(image, draw[:, 14:17], 0.4),
    ):
        together = function(images, draws)
        for size in (1, 7):
            parts = [function(i, d) for i, d in zip(images.split(size), draws.split(size), strict=True)]
            assert torch.allclose(torch.cat(parts), together, atol=1e-6)


def test_every_change_is_drawn():
    """Fourteen kinds, each about as often."""
    images, _ = pictures(1, height=48, width=40)
    draws = torch.stack([torch.arange(14) / 14 + 0.01, torch.full((14,), 0.99), torch.full((14,), 0.9)], 1).double()
    found = augment_trivially(images.expand(14, -1, -1, -1), draws)
    assert torch.equal(found[0], images[0])
    assert len(MOVES) + len(COLOURS) == 14
    assert len({one.numpy().tobytes() for one in found}) == 14
