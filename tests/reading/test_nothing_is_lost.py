"""Numbers that a reading does not use are listed, never dropped; and falls whose clause names no factor are read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downslope import read
from draws import draws
from reading.first_corpus import FIRST
from reading.rows import same
from reading.second_corpus import SECOND
from reading.third_corpus import THIRD

NUMBER = re.compile(r"(?<![\w.^/])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w^/])(?!\.\d)", re.ASCII | re.IGNORECASE)
CODE = re.compile(r"[A-Za-z_.]+\([^)]*\)")


def lost(text):
    """Return the numbers of a text that are in no field, no remark and not under "Not used"."""
    reading = read(text)[0]
    told = [*reading.remarks, *reading.unread]
    for found in reading.fields.values():
        told += [found.words, str(found.value)]
    text, *told = [re.sub(r"(\d)万", r"\g<1>0000", words) for words in (CODE.sub(" ", text), *told)]
    return [
        number
        for number in NUMBER.findall(text)
        if not any(re.search(rf"(?<![\d.]){re.escape(number)}(?!\d|\.\d)", words) for words in told)
    ]


@pytest.mark.parametrize("row", [*FIRST, *SECOND, *THIRD], ids=lambda row: row.name)
def test_no_number_of_the_corpora_is_lost(row):
    """Every number of a sentence, calls of code aside, is in a field, a remark or under "Not used"."""
    assert lost(row.text) == []


ENGLISH = {
    "lr": ["lr 0.3", "learning rate 0.3", "an initial learning rate of 0.3"],
    "fall": [
        "dropped at 61, 122 and 163 epochs",
        "reduced after 61, 122 and 163 epochs",
        "learning rate decay at epochs 61, 122 and 163",
        "the learning rate is decayed at the 61st, 122nd and 163rd epochs",
        "at epochs 61, 122 and 163 it is divided",
    ],
    "factor": ["factor 0.21", "gamma 0.21", "gamma=0.21", "the drop factor is 0.21", "decay factor 0.21"],
    "rest": [
        "momentum 0.87",
        "weight decay 3e-4",
        "batch size 96",
        "dropout 0.35",
        "warmup of 7 epochs",
        "trained for 177 epochs",
        "label smoothing 0.15",
        "gradient clipping at 5.5",
        "8 GPUs",
        "EMA decay 0.999",
        "crops of 219 pixels",
    ],
    "between": [", ", "; "],
}
CHINESE = {
    "lr": ["学习率0.3", "初始学习率为0.3", "学习率设为0.3"],
    "fall": [
        "在第61、122、163轮衰减",
        "第61轮、第122轮和第163轮降低学习率",
        "学习率在第61、122和163轮下降",
        "分别在第61、122、163个epoch处衰减学习率",
    ],
    "factor": ["衰减系数0.21", "衰减因子为0.21", "学习率衰减系数设为0.21"],
    "rest": [
        "动量0.87",
        "权重衰减3e-4",
        "批大小96",
        "丢弃率0.35",
        "预热7轮",
        "共训练177轮",
        "标签平滑0.15",
        "梯度裁剪阈值5.5",
        "8块GPU",
    ],
    "between": ["，", "；"],
}


@st.composite
def clauses(draw):
    """Draw a learning rate, a fall without a factor, perhaps a factor, and other clauses, in any order."""
    words = draw(st.sampled_from([ENGLISH, CHINESE]))
    chosen = [draw(st.sampled_from(words["lr"])), draw(st.sampled_from(words["fall"]))]
    stated = draw(st.booleans())
    if stated:
        chosen.append(draw(st.sampled_from(words["factor"])))
    chosen += draw(st.lists(st.sampled_from(words["rest"]), max_size=4, unique=True))
    return draw(st.sampled_from(words["between"])).join(draw(st.permutations(chosen))), stated


@settings(max_examples=draws(125))
@given(clauses())
def test_clauses_in_any_order(drawn):
    """The milestones and the one factor that stands apart are read, else a tenth is assumed; and no number is lost."""
    text, stated = drawn
    reading = read(text, language="en")[0]
    assert lost(text) == []
    root = "sgd.lr.then" if "sgd.lr.then.schedule" in reading.fields else "sgd.lr"
    assert reading.fields[f"{root}.milestones"].value == [61, 122, 163]
    assert reading.fields[f"{root}.initial"].value == 0.3
    factor = reading.fields[f"{root}.factor"]
    assert (factor.value, factor.provenance) == ((0.21, "stated") if stated else (0.1, "assumed"))
    assert any("0.1 is assumed" in remark for remark in reading.remarks) != stated


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("dropped at 60, 120 and 160 epochs, lr 0.1 factor 0.2", 0.2),
        ("lr 0.1 dropped at epochs 60, 120 and 160. The drop factor is 0.2.", 0.2),
        ("lr 0.1 dropped at epochs 60, 120 and 160. Factor: 0.2", 0.2),
        ("The decay factor is 0.2. We drop lr 0.1 at epochs 60, 120 and 160.", 0.2),
        ("lr 0.1 is dropped at 60, 120 and 160 epochs. Each drop divides it by 5.", 0.2),
        ("lr 0.1 dropped at 60, 120 and 160 epochs to 0.02, 0.004 and 0.0008", 0.2),
        ("学习率0.1，在第60、120、160轮降低。衰减系数为0.2。", 0.2),
        ("学习率0.1，在第60、120、160轮降低。动量0.9。批大小128。衰减系数为0.2。", 0.1),
        ("lr 0.1, dropped at 60, 120 and 160 epochs, weight decay factor 0.98", 0.1),
        ("RMSProp with decay rate 0.9, lr 0.1 dropped at 60, 120 and 160 epochs", 0.1),
    ],
)
def test_whose_factor(text, factor):
    """A factor told beside the fall is the fall's; one that belongs to weight decay or RMSProp is not."""
    fields = read(text)[0].fields
    assert fields["sgd.lr.milestones"].value == [60, 120, 160]
    assert same(fields["sgd.lr.factor"].value, factor)
    assert (fields["sgd.lr.factor"].provenance == "assumed") == (factor == 0.1)


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("lr 0.1, the error drops at epochs 60 and 120", "at epochs 60 and 120"),
        ("lr 0.1, the last layer is dropped at epoch 5", "at epoch 5"),
        ("lr 0.1 increased at epochs 5 and 10", "at epochs 5 and 10"),
        ("lr 0.1 decayed until epoch 60", "until epoch 60"),
        ("batch size 128 doubled at epochs 30 and 60, lr 0.1", "at epochs 30 and 60"),
        ("cosine, lr 0.1, dropped at 30 and 60 epochs", "at 30 and 60 epochs"),
    ],
)
def test_no_fall_is_invented(text, unread):
    """Times of anything but a fall of the learning rate make no schedule of steps, and are listed as not used."""
    reading = read(text)[0]
    assert not any(path.endswith((".milestones", ".factor")) for path in reading.fields)
    assert any(unread in phrase for phrase in reading.unread)


@pytest.mark.parametrize(
    "text",
    [
        "lr 0.1 dropped at 60 and 120 epochs; factor 0.2; the drop factor is 0.3",
        "lr 0.1 dropped at 60 and 120 epochs; gamma 0.2; the drop factor is 0.3",
        "学习率0.1，在第60、120轮降低。衰减系数为0.2，衰减因子为0.3。",
    ],
)
def test_no_factor_is_taken_or_assumed_where_two_are_stated(text):
    """With two factors free, the milestones are read, the factor is missing, and neither number is lost."""
    reading = read(text)[0]
    assert reading.fields["sgd.lr.milestones"].value == [60, 120]
    assert "sgd.lr.factor" not in reading.fields
    assert lost(text) == []


def test_a_period_without_a_factor_assumes_none():
    """Every 30 epochs says when; by how much is missing unless another clause states it."""
    fields = read("lr 0.1 dropped every 30 epochs")[0].fields
    assert fields["sgd.lr.every"].value == 30
    assert "sgd.lr.rate" not in fields
    assert read("lr 0.1 dropped every 30 epochs; factor 0.2")[0].fields["sgd.lr.rate"].value == 0.2


def test_an_assumed_factor_makes_a_recipe_that_says_so():
    """The recipe file of an assumed factor has it, with a comment in the language of the remarks."""
    reading = read("SGD, momentum 0.9, lr 0.1, dropped at 60 and 120 epochs, 150 epochs in all, batch size 128")[0]
    assert reading.recipe().sgd.lr.factor == 0.1
    assert re.search(r"factor = 0\.1 +# assumed: not stated; a tenth is usual", reading.to_toml())
    chinese = read("学习率0.1，在第60、120轮降低", language="zh")[0]
    assert "没有说明学习率降低多少；假定每次乘以 0.1。" in chinese.remarks
