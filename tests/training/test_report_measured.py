"""The report's section of measurements: that it says what the log says, whatever was measured and whatever was not."""

from __future__ import annotations

import math

import pytest

from downslope.training.report import write_report
from downslope.training.report.data import read_runs
from downslope.training.report.measured import at_the_end, measured_of_one
from training.report_reader import Page
from training.report_runs import build_run, evaluation_rows, in_order, step_rows

COUNT = 299


def measure_rows(*, every=10, groups=2, decay=True, noise=True, count=COUNT):
    """Return rows of measurements that stay the same from step to step."""
    rows = []
    for step in range(0, count, every):
        row = {"kind": "measure", "step": step, "epoch": step // 23, "lr": [0.1] * groups}
        row |= {name: [float(2 + index) for index in range(groups)] for name in ("grad_norm", "weight_norm")}
        row |= {"update_ratio": [0.01] * groups, "alignment": [0.0001] * groups}
        row |= {"rotation": [math.radians(0.5 + index) for index in range(groups)]}
        row |= {"forgotten": [math.log(2) / 230 if decay else 0.0] * groups}
        row |= {name: [0.02 if decay else None] * groups for name in ("rotation_predicted", "weight_norm_predicted")}
        rows.append(row | ({"noise": 500.0 + 100 * (-1) ** step, "signal": 2.0} if noise else {}))
    return rows


def sharpness_rows(*, every=50):
    """Return rows of a sharpness that rises to its limit."""
    return [
        {"kind": "sharpness", "step": step, "epoch": 0, "sharpness": 1 + step / 10, "iterations": 9, "limit": 38.0,
         "limit_mini_batch": 2.0} for step in range(0, COUNT, every)
    ]  # fmt: skip


def run_with(folder, *rows, **more):
    """Write a run with these measurements beside its ordinary rows."""
    return build_run(folder, rows=in_order(step_rows(COUNT), evaluation_rows(COUNT), *rows), **more)


def page_of(*runs, out):
    """Write a report and read it back."""
    write_report(list(runs), out)
    return Page(out.read_text(encoding="utf-8"))


def test_every_measurement_has_its_panel(tmp_path):
    """Groups, noise and sharpness are drawn, and the page stays well formed."""
    run = run_with(tmp_path / "run", measure_rows(), sharpness_rows())
    page = page_of(run, out=tmp_path / "page.html")
    wanted = ["Rotation per step, degrees", "Weight norm by group", "Update over weights", "Gradient norm by group",
              "Gradient noise scale", "Sharpness"]  # fmt: skip
    assert [title for title in page.plots if title in wanted] == wanted
    assert "Learning rate by group" not in page.plots  # the same in both
    assert not page.unbalanced
    assert len(page.ids) == len(set(page.ids))
    words = " ".join(page.descriptions)
    assert "*.bias: from 0.5 to 0.5 at step 290" in words
    assert "noise scale: from" in words
    assert "sharpness: from 1 to 26 at step 250" in words
    assert "Not measured" not in page.text


def test_the_table_says_the_last_quarters_means(tmp_path):
    """Rotation in degrees by its mean square, norms, cosine, and the half-life in steps and epochs."""
    rows = measure_rows()
    rows[-1]["rotation"][0] = math.radians(1.5)  # one of the last quarter's seven
    folder = run_with(tmp_path / "run", rows)
    row = at_the_end(read_runs([folder])[0])[0]
    assert row["group"] == "*.bias"
    assert row["rotation"] == f"{math.sqrt((6 * 0.25 + 2.25) / 7):.3g}\N{DEGREE SIGN}"
    assert row["rotation_predicted"] == f"{math.degrees(0.02):.3g}\N{DEGREE SIGN}"
    assert row["weight_norm"] == "2"
    assert row["alignment"] == "0"
    assert row["half_life"] == "230 steps, 10 epochs"


def test_one_prediction_for_groups_that_are_to_do_the_same(tmp_path):
    """Two groups with the same prediction share one dashed line, which the legend does not name."""
    panel = measured_of_one(read_runs([run_with(tmp_path / "run", measure_rows())])[0])[0]
    assert [(line.name, line.dash) for line in panel.lines] == [
        ("*.bias", 0), ("all the others", 0), ("*.bias, predicted", 1),
    ]  # fmt: skip
    assert [line.name for line in panel.legend] == ["*.bias", "all the others"]


def test_without_decay_nothing_is_predicted(tmp_path):
    """Weights that do not forget have no equilibrium: no dashed line, and the table says so."""
    page = page_of(run_with(tmp_path / "run", measure_rows(decay=False)), out=tmp_path / "page.html")
    assert "they do not forget" in page.text
    assert "Dashed: what theory predicts" not in page.text


def test_what_was_not_measured_is_said(tmp_path):
    """A run of single gradients, without sharpness, says what each would take."""
    page = page_of(run_with(tmp_path / "run", measure_rows(noise=False)), out=tmp_path / "page.html")
    assert "Gradient noise scale" not in page.plots
    assert "the gradient noise scale, which needs two parts to a step (train.shards = 2)" in page.text
    assert "the sharpness (train.sharpness_every)" in page.text


def test_a_run_that_measured_nothing_has_no_section(tmp_path):
    """Logs from before there were measurements, and runs that switched them off, have the page they had."""
    page = page_of(run_with(tmp_path / "run"), out=tmp_path / "page.html")
    assert "Measured against theory" not in page.text
    assert "measured" not in page.ids


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_points(tmp_path, count):
    """One measurement, or a few, are drawn as points and fill the table."""
    run = run_with(tmp_path / "run", measure_rows()[:count], sharpness_rows()[:1])
    page = page_of(run, out=tmp_path / "page.html")
    assert "Rotation per step, degrees" in page.plots
    assert page.table("over the last quarter")["*.bias"][0] == "0.5\N{DEGREE SIGN}"


def test_numbers_that_are_not_finite_are_gaps(tmp_path):
    """NaN and infinity in lists are strings in the log, and gaps on the page."""
    rows = measure_rows()
    rows[3]["rotation"] = [math.nan, math.inf]
    rows[4]["weight_norm_predicted"] = [math.inf, None]
    page = page_of(
        run_with(tmp_path / "run", [{k: _listed(v) for k, v in row.items()} for row in rows]), out=tmp_path / "p.html"
    )
    assert "nan" not in page.plots["Rotation per step, degrees"].lower()


def _listed(value):
    return [str(item) if isinstance(item, float) and not math.isfinite(item) else item for item in value] if isinstance(
        value, list
    ) else value  # fmt: skip


def test_more_groups_than_colours(tmp_path):
    """Eight groups are drawn and the others counted; the table has them all."""
    groups = [{"match": f"layer{index}.*", "parameters": []} for index in range(11)]
    run = run_with(tmp_path / "run", measure_rows(groups=11), facts={"groups": groups})
    page = page_of(run, out=tmp_path / "page.html")
    assert "The last 3 groups are not drawn." in page.text
    assert "layer10.*" in page.table("over the last quarter")


def test_several_runs_are_laid_over_one_another(tmp_path):
    """Each quantity has one panel with a line for each run that measured it; the others are named."""
    first = run_with(tmp_path / "first", measure_rows(), sharpness_rows())
    second = run_with(tmp_path / "second", measure_rows(noise=False))
    page = page_of(first, second, out=tmp_path / "page.html")
    assert {"Rotation per step, degrees", "Update over weights", "Gradient noise scale", "Sharpness"} <= set(page.plots)
    assert page.text.count("Not measured by second.") == 2
