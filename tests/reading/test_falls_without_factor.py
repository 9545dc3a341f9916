"""Falls of the learning rate whose clause names no factor: one from elsewhere in the sentence, or an assumed one."""

from __future__ import annotations

import pytest

from downslope import read

FALLS = ("dropped at 60, 120 and 160 epochs", "dropped at epochs 60, 120 and 160")


@pytest.mark.parametrize("fall", FALLS)
@pytest.mark.parametrize(
    "sentence",
    [
        "{fall}, lr 0.1 factor 0.2",
        "lr 0.1, {fall}, factor 0.2",
        "lr 0.1 {fall}. The drop factor is 0.2.",
        "initial learning rate 0.1, momentum 0.9, {fall}. gamma 0.2",
    ],
)
def test_a_factor_stated_elsewhere_belongs_to_the_fall(fall: str, sentence: str) -> None:
    """Before it, after it, or in the next sentence: milestones and factor are both read as stated."""
    reading = read(sentence.format(fall=fall))[0]
    assert reading.fields["sgd.lr.milestones"].value == [60, 120, 160]
    assert reading.fields["sgd.lr.factor"].value == 0.2
    assert reading.fields["sgd.lr.factor"].provenance == "stated"
    assert reading.fields["sgd.lr.initial"].value == 0.1


@pytest.mark.parametrize("sentence", ["lr 0.1, {fall}", "{fall}, lr 0.1"])
@pytest.mark.parametrize("fall", FALLS)
def test_a_factor_that_nobody_states_is_assumed_and_said(fall: str, sentence: str) -> None:
    """A tenth, as in most papers; the milestones are never lost."""
    reading = read(sentence.format(fall=fall))[0]
    assert reading.fields["sgd.lr.milestones"].value == [60, 120, 160]
    assert reading.fields["sgd.lr.factor"].value == 0.1
    assert reading.fields["sgd.lr.factor"].provenance == "assumed"
    assert any("a factor of 0.1 is assumed" in remark for remark in reading.remarks)
