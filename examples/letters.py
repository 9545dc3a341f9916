"""Ten letters as images of 8x8 pixels, like scikit-learn's digits: data of your own, to fine-tune a model of digits on.

Pillow draws the letters A to J in its own font, each turned, slanted, stretched and moved a little, with noise. There
are few of them to learn from, which is when it pays to begin with what another model has learned.

docs/training.md has the recipes: see "Fine-tuning".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "ABCDEFGHIJ"


def load(train: int = 8, held_out: int = 50, seed: int = 0) -> dict[str, Any]:
    """Return so many images of each letter to learn from and to hold out: shape (1, 8, 8), pixels from 0 to 1."""
    parts = {"train": train, "held_out": held_out}
    found: dict[str, Any] = {"classes": len(LETTERS)}
    for number, (part, count) in enumerate(parts.items()):
        draw = np.random.default_rng([seed, number])
        images = [draw_letter(letter, draw) for _ in range(count) for letter in LETTERS]
        found[f"{part}_inputs"] = np.stack(images)[:, None]
        found[f"{part}_targets"] = np.arange(len(images)) % len(LETTERS)
    return found


def draw_letter(letter: str, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return a letter as an image, shape (8, 8), as a hand of its own would write it."""
    page = Image.new("L", (64, 64))
    ImageDraw.Draw(page).text((32, 32), letter, 255, ImageFont.load_default(48), anchor="mm")
    angle, slant = draw.uniform(-0.3, 0.3), draw.uniform(-0.3, 0.3)
    wide, high = draw.uniform(0.8, 1.25, 2)
    across, down = draw.uniform(-5, 5, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos * wide, (slant * cos - sin) * high], [sin * wide, (slant * sin + cos) * high]])
    move = np.array([32.0, 32.0]) - turn @ np.array([32.0 + across, 32.0 + down])
    page = page.transform((64, 64), Image.Transform.AFFINE, (*turn[0], move[0], *turn[1], move[1]), resample=2)
    pixels = np.asarray(page.resize((8, 8), resample=Image.Resampling.BOX), dtype=np.float32) / 255
    noise = draw.normal(0, 0.05, pixels.shape)
    return np.clip(pixels / pixels.max() + noise, 0, 1).astype(np.float32)
