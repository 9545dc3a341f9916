"""What is said of schedule-free SGD: numbers that hold, what is not known, and commands that do not know the method."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from downslope import ScheduleFree, Settings, audit, compare, explain, rescale
from downslope.cli.main import main
from downslope.core.errors import DownslopeError, SettingsError
from downslope.core.rule_text import equations
from downslope.explaining.schedule_free import AverageExplanation
from downslope.recipe.load import parse_recipe
from downslope.schedules import Warmup
from downslope.theory.schedule_free import largest_curvature

TEXT = """
[sgd]
lr = 0.5
momentum = 0.75
schedule_free = true
warmup_steps = 4
[train]
steps = 101
"""


@pytest.mark.parametrize("settings", [ScheduleFree(lr=0.5, momentum=0.75), ScheduleFree(lr=2.0, weight_decay=0.1)])
@pytest.mark.parametrize("step", [0, 1, 2, 10, 1000])
def test_largest_curvature_parts_what_stays_from_what_diverges(settings: Any, step: int) -> None:
    """A quadratic's error under the step of one c, repeated: bounded just below the limit, growing just above it."""
    now = settings.at(step)
    for factor, grows in ((0.999, False), (1.001, True)):
        curvature = factor * (largest_curvature(now) + settings.weight_decay) - settings.weight_decay
        param, velocity = 1.0, 0.3
        largest = 0.0
        for _ in range(20_000):
            delta, velocity = now.rule(param, curvature * param, velocity)
            param += delta
            largest = max(largest, abs(param))
            if largest > 1e3:
                break
        assert (largest > 1e3) == grows


def test_explanation_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """Equations, lr and c at the turns, half of x, the largest lr at a curvature, and what is not computed."""
    found: Any = explain(parse_recipe(TEXT), curvature=4.0)
    assert isinstance(found, AverageExplanation)
    assert [left for left, _ in found.equations] == ["y", "z", "x"]
    assert [row.step for row in found.schedule] == [0, 3, 4, 10, 100]
    assert [row.lr for row in found.schedule] == [0.125, 0.5, 0.5, 0.5, 0.5]
    assert found.schedule[1].average == 0.25 / (0.015625 + 0.0625 + 0.140625 + 0.25)
    assert found.half == 50  # of 101, steps alike
    assert found.curvatures == {4.0: 2.0}  # 2 / (0.25 * 4)
    text = str(found)
    assert "half of x at the end comes from the last 50 of 101 steps" in text
    assert "not computed" in text
    assert "effective learning rate" in text
    assert json.loads(json.dumps(found.to_table()))["half"] == 50
    assert equations(ScheduleFree(lr=1.0, momentum=0.75, weight_decay=0.5))[0][1].startswith("0.25")


def test_commands_say_what_they_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """explain prints, also as JSON and in Chinese; its page, rescale, lab and a range test refuse; audit says so."""
    file = tmp_path / "recipe.toml"
    file.write_text(TEXT, encoding="utf-8")
    assert main(["explain", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["schedule_free"] is True
    assert main(["--lang", "zh", "explain", str(file)]) == 0
    assert "101 步中的最后 50 步" in capsys.readouterr().out
    for words, said in (
        (["explain", str(file), "--html", str(tmp_path / "page.html")], "is told in one way"),
        (["rescale", str(file), "--batch-size", "128"], "no rule is known by which its lr goes with the batch"),
        (["lab", str(file), "--out", str(tmp_path / "lab.html")], "sliders for SGD"),
        (["tune", str(file), "--out", str(tmp_path / "study")], "it has no effective lr to search"),
        (["tune", str(file), "--range-test", "--out", str(tmp_path / "study")], "a range test raises lr"),
    ):
        assert main(words) in {1, 2}
        assert said in capsys.readouterr().err, words
    assert audit(parse_recipe(TEXT)).not_checked == (
        "the optimizer's numbers: they are of schedule-free SGD, of which no limits are known here",
    )


def test_comparison_goes_by_the_steps() -> None:
    """A warmup in either form is one rule, another power parts where it first counts, and SGD is another method."""
    base: Any = ScheduleFree(lr=0.5, momentum=0.75, warmup_steps=4)
    assert compare(base, replace(base)).same
    other = compare(base, replace(base, weight_lr_power=0.0))
    assert (other.same, other.first_step, other.causes) == (False, 1, ("weight_lr_power",))
    sgd = compare(base, Settings(lr=0.5, momentum=0.75))
    assert (sgd.same, sgd.causes, sgd.advice) == (False, ("schedule_free",), ())


def test_other_systems_have_no_words_for_it() -> None:
    """No convention has it, nor does rescaling."""
    with pytest.raises(SettingsError, match="no system's SGD has it"):
        ScheduleFree().to_convention("torch")
    with pytest.raises(DownslopeError, match="no rule is known"):
        rescale(parse_recipe(TEXT), epochs=3)


def test_a_step_that_moves_nothing_has_no_largest_curvature():
    """At lr 0, where a warmup begins, no number is printed that is none."""
    text = str(explain(ScheduleFree(lr=Warmup(3, 0.5)), batch_size=8, examples=80, steps=20))
    assert "∞" in text
    assert "inf" not in text.split()
