"""The page of a study: every trial on every plot, and by hand in a real browser."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from browser import CHROMIUM, ask
from downslope import load_recipe
from downslope.recipe.schema import Tune
from training.report_reader import Page

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")

from downslope.training.tuning.ladder import Job
from downslope.training.tuning.page import PAGE, _best_runs, write_curves, write_study_page
from downslope.training.tuning.parallel import share
from downslope.training.tuning.study import Result, State
from downslope.training.tuning.work import design

SEARCH = {"sgd.lr": "log(0.01, 1)", "sgd.momentum": "uniform(0, 0.9)", "model.hidden": "choice([8], [16])"}
POINTS = [(0.01, 0.0, "[8]"), (0.1, 0.45, "[16]"), (1.0, 0.9, "[8]"), (0.5, 0.1, "[16]")]
VALUES = [(0.5, "falling"), (0.9, "settled"), (math.nan, "diverged"), (0.8, "settled")]


@pytest.fixture(scope="module")
def study():
    """Return the design and state of a study of four trials, one of which diverged; nothing is trained."""
    recipe = load_recipe()
    plan = design(replace(recipe, tune=Tune(trials=4, seeds=1, search=SEARCH, sampler="random")), 1)
    points = {number: dict(zip(SEARCH, point, strict=True)) for number, point in enumerate(POINTS)}
    results = {
        Job(number, 0): Result(-value if math.isfinite(value) else math.inf, {}, 100, outcome)
        for number, (value, outcome) in enumerate(VALUES)
    }
    return plan, State(points, results, {0: Result(-0.91, {}, 100, "settled")})


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    """Return the file of its page."""
    return write_study_page(*study, tmp_path_factory.mktemp("study") / PAGE)


def test_every_trial_is_on_every_plot(page):
    """In their order with the best so far, against each setting by its own scale, and across all of them at once."""
    read = Page(page.read_text(encoding="utf-8"))
    assert not read.unbalanced
    charts = json.loads(read.scripts[0][1])["charts"]
    history = {line["name"]: line for line in charts["history"]["lines"]}
    assert history["best so far"]["v"] == [0.5, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9]
    assert history["best so far"]["x"] == [0, 1, 1, 2, 2, 3, 3]
    assert {name: (line["x"], line["v"]) for name, line in history.items() if "labels" in line} == {
        "settled": ([3], [0.8]),
        "falling": ([0], [0.5]),
        "diverged": ([2], [None]),
        "best": ([1], [0.9]),
    }
    assert charts["slice-sgd-lr"]["axis"] == {"name": "sgd.lr", "log": True}
    assert charts["slice-model-hidden"]["axis"]["words"] == ["[8]", "[16]"]
    lines = {line["name"]: line["v"] for line in charts["parallel"]["lines"]}
    assert lines == {
        "trial 0, 0.5": pytest.approx([0, 0, 0.25, 0]),
        "trial 1, 0.9": pytest.approx([0.5, 0.5, 0.75, 1]),
        "trial 2, diverged": [1, 1, 0.25, None],
        "trial 3, 0.8": pytest.approx([math.log(50) / math.log(100), 1 / 9, 0.75, 0.75]),
    }
    assert charts["parallel"]["axis"]["ends"] == [["0.01", "1"], ["0", "0.9"], ["[8]", "[16]"], ["0.5", "0.9"]]
    assert list(charts["parallel"]["lines"])[-1]["name"] == "trial 1, 0.9"  # drawn over the others


def test_the_best_trials_are_ranked_by_rung_and_value(study, tmp_path):
    """Those that diverged never; one that climbed higher before one that was better below; no report without runs."""
    _, state = study
    assert _best_runs(state) == ["trials/0001", "trials/0003", "trials/0000"]
    climbed = replace(state, results={**state.results, Job(0, 1): Result(-0.2, {}, 200, "settled")})
    assert _best_runs(climbed) == ["trials/0000", "trials/0001", "trials/0003"]
    assert write_curves(state, tmp_path) is None


def test_shares():
    """By hand; what has no value has no share, and where all are the same they are in the middle."""
    assert [share(value, 2.0, 6.0) for value in (2.0, 3.0, 6.0)] == [0, 0.25, 1]
    assert [share(value, 6.0, 2.0) for value in (2.0, 6.0)] == [1, 0]  # of a loss the smallest is at the top
    assert share(3.0, 3.0, 3.0) == 0.5
    assert math.isnan(share(math.nan, 0.0, 1.0))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
def test_by_hand(page):
    """The pointer finds the nearest trial, and its line stands out; keys walk from one to the next; all has room."""
    script = """
    const svg = (key) => page.getElementById("live-" + key);
    const tip = (key) => svg(key).parentElement.querySelector(".tip");
    const seen = { scroll: page.documentElement.scrollWidth };
    const over = (key, mark) => { const at = mark.getBoundingClientRect();
      const there = { clientX: at.left + at.width / 2 + 3, clientY: at.top + at.height / 2 };
      svg(key).dispatchEvent(new w.PointerEvent("pointermove", there)); };
    over("history", svg("history").querySelector("path[d$=Z]"));
    seen.best = tip("history").textContent;
    svg("history").focus();
    seen.keys = ["Home", "ArrowRight", "ArrowRight"].map((key) => {
      svg("history").dispatchEvent(new w.KeyboardEvent("keydown", { key })); return tip("history").textContent; });
    over("parallel", [...svg("parallel").querySelectorAll("circle")].at(-1));
    seen.chosen = [svg("parallel").querySelectorAll(".chosen").length, tip("parallel").textContent];
    const boxes = [...page.querySelectorAll("svg.plot, .tip")].map((one) => one.getBoundingClientRect());
    seen.wide = Math.max(...boxes.map((box) => box.right));
    return seen;
    """
    found, console = ask(page, (1280, 400), script)
    assert console == []
    for width, seen in zip((1280, 400), found, strict=True):
        assert max(seen["scroll"], seen["wide"]) <= width
        assert seen["best"] == "trial 1trial 10.9"
        assert seen["keys"] == ["trial 0best so far0.5trial 00.5", "trial 1best so far0.9trial 10.9",
                                "trial 2best so far0.9trial 2diverged"]  # fmt: skip
        assert seen["chosen"] == [1, "accuracytrial 1, 0.9"]
