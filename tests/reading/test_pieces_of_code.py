"""Pieces of code as people paste them: sessions, cut calls, notebooks; what is Python, and where its words stand."""

from __future__ import annotations

import json

import pytest

from downslope import read
from downslope.reading.code import is_notebook, looks_like_python, read_python
from downslope.reading.findings import Part
from reading.programs import found_in, values_of

PIECES = {
    ">>> opt = SGD(p, lr=0.1,\n...           momentum=0.9)\n<optimizer 3.5>\n>>> print opt": {"sgd.lr": 0.1, "sgd.momentum": 0.9},
    "    opt = SGD(p, lr=0.1)\n  s = StepLR(opt, 30)\n    for epoch in range(90):\n        ...\nand so on, 7 times": {
        "sgd.lr.initial": 0.1, "sgd.lr.every": 30, "train.epochs": 90},
    "opt = SGD(p, lr=0.1,\n    momentum=0.9": {"sgd.lr": 0.1, "sgd.momentum": 0.9},
    "def f():\n    x = x.cuda(async=True)\n    print 'a', 3\n    opt = SGD(p, lr=0.1)\n": {"sgd.lr": 0.1},
    "%matplotlib inline\n!pip install x\nopt = SGD(p, lr=0.1)": {"sgd.lr": 0.1},
    "try:\n    a()\nexcept Error, e:\n    pass\nopt = SGD(p, lr=0.1)": {"sgd.lr": 0.1},
    "class A:\n    def f(self):\n        return (1,\n\nopt = SGD(p, lr=0.1)\n": {"sgd.lr": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("text", PIECES)
def test_pieces_that_are_python(text):
    """Prompts, missing brackets, Python 2, magics and prose around it."""
    found = values_of(text)
    assert {path: found.get(path) for path in PIECES[text]} == PIECES[text], found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=0.1,\n    momentum=0.9,\n    weight_decay=5e-4,\n)\ns = torch.optim.lr_scheduler.StepLR(opt, 30)\n", {"sgd.momentum": 0.9}),
        ("    lr: float = 0.1,\n    momentum: float = 0.9,\n    batch_size: int = 32,\n):\n", {"sgd.lr": 0.1, "data.batch_size": 32}),
    ],
)  # fmt: skip
def test_a_piece_that_begins_inside_of_brackets(text, expected):
    """The rest of a call's arguments, or of a function's parameters, is read as such."""
    fields = read(text)[0].fields
    assert {path: fields[path].value for path in expected} == expected


def test_words_stand_where_they_are_said_to():
    """Places count from the beginning of the whole input, in characters."""
    text = "# 学习率\nopt = SGD(p, lr=0.1, momentum=0.9)\ns = MultiStepLR(opt, milestones=[30, 60])\n"
    part = Part("code", "python", text, start=100, name="a.py")
    for path, field in read_python(part).fields.items():
        if field.start >= 0:
            assert text[field.start - 100 : field.end - 100] == field.words, path
            assert field.file == "a.py"


def test_every_number_is_in_a_field_or_not_used():
    """Numbers of layers, comments and the like are listed."""
    text = "x = Conv(3, 64)\nopt = SGD(p, lr=0.1)  # was 0.7\ny = 12"
    found = found_in(text)
    unread = [text[start:end] for start, end in found.unread]
    assert unread == ["x = Conv(3, 64)", "opt = SGD(p, lr=0.1)  # was 0.7", "y = 12"]


def test_notebook():
    """Code cells are one program, with places in the file; text cells, with the same words too, are not used."""
    cells = [
        {"cell_type": "markdown", "source": ["# Train\n", 'with "SGD" for 7 epochs; lr = 0.1\n']},
        {"cell_type": "code", "source": ["lr = 0.1\n", 'name = "π"\n']},
        {"cell_type": "code", "source": "opt = SGD(p, lr=lr, momentum=0.9)"},
    ]  # fmt: skip
    text = json.dumps({"cells": cells, "nbformat": 4}, indent=1, ensure_ascii=False)
    assert is_notebook(text)
    part = Part("code", "notebook", text, name="a.ipynb")
    found = read_python(part)
    assert {path: field.value for path, field in found.fields.items()} == {"sgd.lr": 0.1, "sgd.momentum": 0.9}
    for field in found.fields.values():
        assert text[field.start : field.end] == field.words
        assert field.start > text.index('"code"')
    assert [words for words in read(text, name="a.ipynb")[0].unread if "7 epochs" in words]


@pytest.mark.parametrize(
    ("text", "is_python"),
    [
        ("import torch\nopt = torch.optim.SGD(p, lr=0.1)", True),
        ("SGD(net.parameters(), lr=0.1, momentum=0.9)", True),
        ("for epoch in range(3):\n    train()", True),
        ("We use SGD with momentum 0.9 and a learning rate of 0.1.", False),
        ("lr = 0.1\nmomentum = 0.9", False),
        ("lr: 0.1\nmomentum: 0.9", False),
        ("optimizer = dict(type='SGD', lr=0.1)", False),
        ("python train.py --lr 0.1", False),
        ('{"lr": 0.1}', False),
        ("torch::optim::SGD opt(net->parameters(), 0.1);", False),
        ("", False),
    ],
)
def test_what_looks_like_python(text, is_python):
    """Prose, settings, command lines and other languages do not."""
    assert looks_like_python(text) is is_python
