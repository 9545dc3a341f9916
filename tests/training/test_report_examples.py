"""Pictures, predictions and the confusion matrix of a report."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from downslope.recipe.load import load_recipe
from downslope.training.data import load_data
from downslope.training.models import build_model
from downslope.training.report import write_report
from downslope.training.report.answers import summarise
from training.report_reader import Page
from training.report_runs import build_run


@pytest.fixture
def run(tmp_path):
    """A run of digits with final weights after a few real steps."""
    folder = build_run(tmp_path / "run")
    recipe = load_recipe(folder / "recipe.toml")
    data = load_data(recipe)
    model = build_model(recipe, data)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(data.train_inputs), data.train_targets).backward()
        optimizer.step()
    save_file(model.state_dict(), folder / "model.safetensors")
    logits = model(data.held_out_inputs).detach()
    return folder, data.held_out_targets.numpy(), logits.argmax(1).numpy()


def test_mistakes_and_confusions_are_the_models(run, tmp_path):
    """The page's count of mistakes, its confusion matrix and its first pictures are what the weights really do."""
    folder, truth, said = run
    write_report([folder], tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    wrong = int((truth != said).sum())
    assert 0 < wrong < 100
    assert f"The final weights get {wrong} of 360 wrong." in page.text
    matrix = [row[1:] for row in next(t for t in page.tables if t[0] == ["", *map(str, range(10))])[1:]]
    expected = np.zeros((10, 10), dtype=int)
    np.add.at(expected, (truth, said), 1)
    assert [[0 if cell == "·" else int(cell) for cell in row] for row in matrix] == expected.tolist()
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 24
    mistakes = {f"a {t}, predicted {s}" for t, s in zip(truth, said, strict=True) if t != s}
    assert {picture["alt"] for picture in pictures[: min(wrong, 24)]} <= mistakes


def test_the_surest_mistakes_come_first():
    """Mistakes by falling confidence, then right answers by rising confidence; each picture is its own image."""
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7], [0.55, 0.45]]))
    pixels = np.zeros((5, 2, 2))
    pixels[:, 0, 0] = np.arange(5) / 4
    found = summarise(pixels, np.array([0, 0, 1, 1, 0]), logits)
    assert [(p.truth, p.prediction, round(p.confidence, 2)) for p in found.pictures] == [
        (1, 0, 0.8),
        (0, 1, 0.6),
        (0, 0, 0.55),
        (1, 1, 0.7),
        (0, 0, 0.9),
    ]
    assert (found.count, found.mistakes) == (5, 2)
    assert found.confusion == [[2, 1], [1, 1]]
    import matplotlib.image

    first = matplotlib.image.imread(io.BytesIO(base64.b64decode(found.pictures[0].image.partition(",")[2])))
    assert first.shape[:2] == (2, 2)
    assert first[0, 0, 0] == pytest.approx(0.5, abs=0.01)  # half the ink, black on white
    assert first[1, 1, 0] == 1.0


def test_large_photographs_are_shrunk():
    """A picture of 200 by 300 pixels is shown as one of 50 by 75, in its colours; small ones stay as they are."""
    pixels = np.zeros((2, 200, 300, 3))
    pixels[0, :, :150] = (0.8, 0.4, 0.2)
    pixels[1] = 1.0
    [first, _] = sorted(summarise(pixels, np.array([0, 0]), np.log([[0.6, 0.4], [0.9, 0.1]])).pictures,
                        key=lambda picture: picture.confidence)  # fmt: skip
    assert first.colour
    kind, _, data = first.image.partition(",")
    assert kind == "data:image/jpeg;base64"
    import matplotlib.image

    shown = matplotlib.image.imread(io.BytesIO(base64.b64decode(data)), format="jpeg") / 255
    assert shown.shape == (50, 75, 3)  # by fours
    assert shown[25, 10] == pytest.approx((0.8, 0.4, 0.2), abs=0.03)
    assert shown[25, 70] == pytest.approx((0, 0, 0), abs=0.03)
    small = summarise(pixels[:, :48, :48], np.array([0, 0]), np.log([[0.6, 0.4], [0.9, 0.1]])).pictures
    assert all(picture.image.startswith("data:image/png;base64,") for picture in small)


def test_many_classes_are_listed_by_their_confusions():
    """Above twenty classes a table would be too wide: the most frequent confusions are listed in its place."""
    truth = np.array([3, 3, 3, 7, 24])
    logits = np.eye(25)[[4, 4, 3, 8, 24]]
    found = summarise(np.zeros((5, 2, 2)), truth, logits)
    assert found.confusion == []
    assert found.confusions == [(3, 4, 2), (7, 8, 1)]


def test_what_cannot_be_loaded_is_said(run, tmp_path):
    """Damaged weights, or data that have changed, are said on a page that otherwise stands."""
    folder, _, _ = run
    text = (folder / "run.json").read_text().replace('"classes"', '"fingerprint": "another", "classes"')
    (folder / "run.json").write_text(text)
    write_report([folder], tmp_path / "changed.html")
    assert "no longer those that the run was trained on" in (tmp_path / "changed.html").read_text(encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"damaged")
    write_report([folder], tmp_path / "damaged.html")
    page = Page((tmp_path / "damaged.html").read_text(encoding="utf-8"))
    assert "The held-out examples cannot be shown:" in page.text
    assert "Loss" in page.plots
    assert not [tag for tag, _ in page.tags if tag == "img"]
