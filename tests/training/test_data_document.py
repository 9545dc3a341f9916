"""docs/data.md: each of its recipes runs as it is printed, on small data made here, and its message is the real one."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from array_files import bars, write_mnist
from PIL import Image
from training_runs import run

from downslope.core.errors import DownslopeError
from downslope.recipe.load import parse_recipe
from downslope.training.data import load_data

sys.path.insert(0, str(Path(__file__).parents[1]))
from house.documents import blocks

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

PAGE = "data.md"
RECIPES = [block for block in blocks("toml") if block.path.name == PAGE]


def houses():
    """Return rows of area, rooms, district and price, and prices that follow from them."""
    draw = np.random.default_rng(1)
    for number in range(40):
        area, rooms = draw.uniform(40, 200), int(draw.integers(1, 6))
        district = ("north", "south", "east")[number % 3]
        yield area, rooms, district, round(3000 * area + 20000 * rooms + 50000 * (district == "north"))


def write_data():
    """Write what the page's recipes name."""
    rows = "".join(f"{a:.1f},{r},{d},{p}\n" for a, r, d, p in houses())
    Path("houses.csv").write_text(f"area,rooms,district,price\n{rows}", encoding="utf-8")
    draw = np.random.default_rng(2)
    rows = ""
    for number in range(60):
        kind = number % 3
        rows += ",".join(f"{value:.1f}" for value in draw.normal(1 + 2 * kind, 0.3, 4)) + f",iris-{kind}\n"
    Path("iris.data.csv").write_text(rows, encoding="utf-8")
    rows = "".join(
        f"{a:.2f},{b:.2f},{int(a > 0)},{int(b > 0)},{int(a < b)}\n"
        for a, b in np.random.default_rng(3).normal(0, 2, (80, 2))
    )
    Path("films.csv").write_text(f"jokes,tears,comedy,drama,western\n{rows}", encoding="utf-8")
    for number in range(10):
        for kind, low in (("cat", 0), ("dog", 128)):
            Path("pictures", kind).mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(low, low + 100, (40, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(f"pictures/{kind}/{number}.png")
    write_mnist("mnist")
    if find_spec("datasets") is not None:
        import datasets

        images, labels = bars(60, size=8)
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
        rows = {"image": [Image.fromarray(one) for one in images], "label": labels.tolist()}
        datasets.Dataset.from_dict(rows, features=features).save_to_disk("flowers")


OUTCOMES = {}
"""By what a recipe decodes to: the Chinese page has the English one's, each of which is trained once."""


@pytest.mark.parametrize("block", RECIPES, ids=str)
def test_each_recipe_of_the_page_runs_as_it_is_printed(block):
    """Nothing is to be added, and what it is to learn is learned."""
    recipe = parse_recipe(block.text, str(block))
    if repr(recipe) not in OUTCOMES:
        write_data()
        OUTCOMES[repr(recipe)], _ = run(recipe, Path("run"))
    outcome = OUTCOMES[repr(recipe)]
    assert outcome.finished
    found = outcome.held_out
    assert found.get("accuracy", 1.0) >= 0.9
    assert "accuracy" in found or found["loss"] < 0.1


def test_the_message_of_the_page_is_what_is_said():
    """The table that the page describes, and the options that it ends with, word for word."""
    lines = ["# exported 2024", "area,rooms,built,price"]
    large = {0: "1,250.50", 7: "1,100.00", 20: "2,345.00", 21: "1,950.25", 30: "1,000.00"}
    for number, (area, rooms, _, price) in enumerate(houses()):
        cell = f'"{large[number]}"' if number in large else f"{area:.1f}"
        day = f"1990-{5 + (16 + number) // 30:02d}-{(16 + number) % 30 + 1:02d}"
        lines.append(f"{cell},{'?' if number == 2 else rooms},{day},{price}")
    Path("houses.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = [block.text.splitlines() for block in blocks("text") if block.path.name == PAGE]

    def recipe(options):
        return parse_recipe(f"{options}\n[sgd]\nlr = 0.1\n[train]\nepochs = 1\nloss = 'mse'\n")

    with pytest.raises(DownslopeError) as caught:
        load_data(recipe('[data]\nname = "table"\n[data.options]\npath = "houses.csv"\ntarget = "price"'))
    assert shown  # in each language
    assert all(lines == str(caught.value).splitlines() for lines in shown)
    pasted = str(caught.value)[str(caught.value).index("[data.options]") :]
    data = load_data(recipe(f'[data]\nname = "table"\n{pasted}'))
    assert len(data.train_inputs) + len(data.held_out_inputs) == 39
    assert data.notes == ("houses.csv: 1 of 40 rows have a missing cell and are left out",)
