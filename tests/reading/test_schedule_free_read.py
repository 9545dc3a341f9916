"""Schedule-free SGD in words and in code: its recipe, b and warmup in its own words, and what is another method."""

from __future__ import annotations

from typing import Any

import pytest

from downslope import ScheduleFree, read

CODE = """
import schedulefree
optimizer = schedulefree.SGDScheduleFree(model.parameters(), lr=2.0, momentum=0.95, warmup_steps=100, weight_decay=1e-4)
for epoch in range(10):
    train(epoch)
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Schedule-Free SGD, lr 5, momentum 0.98, 20 epochs", ScheduleFree(lr=5.0, momentum=0.98)),
        ("We use schedule-free SGD with learning rate 1.0 and beta = 0.95.", ScheduleFree(lr=1.0, momentum=0.95)),
        ("采用 schedule-free SGD，学习率 1.0，预热 100 步，训练 20 轮", ScheduleFree(lr=1.0, warmup_steps=100)),
        ("Schedule free SGD, lr 1, warm up for 200 steps", ScheduleFree(lr=1.0, warmup_steps=200)),
        ("schedule-free SGD, lr 1.0, beta 0.95", ScheduleFree(lr=1.0, momentum=0.95)),
        (CODE, ScheduleFree(lr=2.0, momentum=0.95, warmup_steps=100, weight_decay=1e-4)),
    ],
    ids=["words", "beta", "chinese", "warmup", "beta by its name", "code"],
)
def test_recipes(text: str, expected: ScheduleFree) -> None:
    """The first reading is the method's own recipe, each stated value with its words."""
    reading = read(text)[0]
    assert reading.recipe().sgd == expected
    assert reading.fields["sgd.schedule_free"].provenance == "stated"
    for found in reading.fields.values():
        if found.provenance == "stated" and found.start >= 0:
            assert text[found.start : found.end] == found.words
    assert not any("momentum" in remark.lower() for remark in reading.remarks)


def test_a_warmup_in_shares_stays_a_schedule() -> None:
    """5 per cent of ten epochs is half an epoch, whose steps nobody knows."""
    settings = read("schedule-free SGD with learning rate 1.0, beta 0.9, warmup 5%, 10 epochs")[0].recipe().sgd
    assert isinstance(settings, ScheduleFree)
    rising: Any = settings.lr
    assert (rising.duration, rising.unit, rising.then(0)) == (0.5, "epoch", 1.0)


@pytest.mark.parametrize("text", ["schedule-free AdamW, lr 0.001", "SGD, lr 0.1, a schedule-free baseline of others"])
def test_other_methods_stay_what_they_are(text: str) -> None:
    """Neither Adam's relative nor SGD beside a mention of the method."""
    assert "sgd.schedule_free" not in read(text)[0].fields
