"""Sentences explained: what they say is taken, what they do not say is not known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import downslope
from downslope.explaining import explain_subject
from downslope.explaining.subject import understand
from downslope.explaining.terminal import describe


@pytest.fixture
def reader(monkeypatch):
    """Replace the reader by one that understands one sentence, as the real one would."""

    def read(text, *, language="en"):
        recipe = downslope.load_recipe(overrides=[("sgd.lr", "0.1"), ("sgd.weight_decay", "1e-4"), ("title", '""')])
        fields = {"sgd.lr": None, "sgd.momentum": None, "sgd.weight_decay": None}
        if "-b 256" in text:
            recipe = downslope.load_recipe(overrides=[("data.batch_size", "256"), ("sgd.weight_decay", "1e-4")])
            fields["data.batch_size"] = None
        remark = "The length is not stated." if language == "en" else "没有说明训练多长。"
        return [SimpleNamespace(fields=fields, remarks=[remark], recipe=lambda: recipe)]

    monkeypatch.setattr("downslope.reading.read", read)


def test_what_a_sentence_does_not_say_is_not_invented(reader):
    """The reading's recipe has digits, a batch and a length, so that it runs; none of them is said, none is known."""
    explained = downslope.explain("SGD with lr 0.1, momentum 0.9 and weight decay 1e-4")
    run = explained.run
    assert (run.batch_size, run.examples, run.epochs, run.total_steps) == (None, None, None, None)
    assert explained["decay_steps"].value == pytest.approx(10_000)
    assert explained["decay_epochs"].needs == "batch_size, examples"
    assert explained.notes == ("The length is not stated.",)


def test_what_it_says_and_what_is_passed_is_known(reader):
    """A stated batch, examples passed beside it: ResNet's two epochs."""
    explained = downslope.explain("--lr 0.1 --momentum 0.9 --wd 1e-4 -b 256", examples=1_281_167)
    assert explained.run.batch_size == 256
    assert explained["decay_epochs"].value == pytest.approx(2.0, abs=0.01)


def test_overrides_of_a_sentence_count_as_said(reader):
    """`--data.batch_size 64 --train.epochs 5` beside a sentence are known; notes are in the language asked for."""
    overrides = [("data.batch_size", "64"), ("train.epochs", "5")]
    subject = understand("SGD with lr 0.1", overrides, lang="zh")
    explained = explain_subject(subject, examples=640)
    assert (explained.run.batch_size, explained.run.total_steps) == (64, 50)
    text = describe(explained, "zh")
    assert text.startswith("SGD with lr 0.1\n")
    assert "没有说明训练多长。" in text


def test_a_file_of_words_is_read(reader, tmp_path):
    """A file that is no recipe is words."""
    path = tmp_path / "solver.prototxt"
    path.write_text("base_lr: 0.1 -b 256", encoding="utf-8")
    assert downslope.explain(str(path)).run.batch_size == 256


@pytest.mark.parametrize(
    ("sentence", "steps"),
    [
        ("--lr 0.1 --momentum 0.9 --wd 1e-4 -b 256", 10_000),
        ("torch.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)", 2000),
        (
            "采用SGD优化器,动量设为0.9,权重衰减系数为1e-4,初始学习率0.1,每30轮衰减为原来的十分之一,批大小256,共训练90轮",
            10_000,
        ),
        ("整个网络的学习率初始化为0.1,采用指数衰减法,衰减因子为0.1,权重衰减因子为0.98", 49.4983),  # -1 / ln 0.98
    ],
)
def test_real_sentences_are_explained(sentence, steps):
    """Through the real reader: the timescale of what the sentence means."""
    assert downslope.explain(sentence)["decay_steps"].value == pytest.approx(steps, rel=1e-5)
