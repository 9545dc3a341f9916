"""The report page: that it says what the log says, whatever the run, and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
import subprocess
import sys

import pytest

from downslope.core.errors import CheckpointError, DownslopeError, MissingDependencyError
from downslope.training.report import write_report
from downslope.training.report.data import read_runs
from downslope.training.report.live import numbers_of
from downslope.training.report.panels import panels_of_several
from training.report_reader import Page
from training.report_runs import RECIPE, at, build_run, evaluation_rows, in_order, step_rows


def read(*runs, out):
    """Write the report of the runs and read it back."""
    assert write_report(list(runs), out) == out
    return Page(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The file of the page of a finished run of 299 steps, which nobody changes."""
    folder = tmp_path_factory.mktemp("report")
    return write_report([build_run(folder / "first")], folder / "page.html")


@pytest.fixture(scope="module")
def page(written):
    """That page, read back."""
    return Page(written.read_text(encoding="utf-8"))


def test_headline_numbers_are_the_logs(page):
    """Last and best of the held-out numbers, the last loss, steps and parameters stand on the page, exact."""
    evaluations, steps = evaluation_rows(299), step_rows(299)
    for number in (evaluations[-1]["loss"], evaluations[-1]["accuracy"], steps[-1]["loss"], 299, 4810):
        assert number in page.numbers
    assert f"{100 * evaluations[-1]['accuracy']:.2f}" in page.text
    assert "349 of 360 right" in page.text
    assert "13 epochs" in page.text
    assert "9.5 s" in page.text


def test_best_is_not_the_last(tmp_path):
    """Where an earlier evaluation was better, both numbers stand on the page, the best with its step."""
    rows = in_order(step_rows(69), evaluation_rows(69))
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    evaluations[1]["loss"], evaluations[1]["accuracy"] = 0.0123, 0.995
    page = read(build_run(tmp_path / "run", rows=rows, count=69), out=tmp_path / "page.html")
    assert {0.0123, 0.995, evaluations[-1]["loss"]} <= set(page.numbers)
    assert "best 0.0123, after 46 steps" in page.text


def test_the_page_fetches_nothing(page, written):
    """No address leads out of the page: pictures are data, links are anchors, and the page forbids the rest."""
    html = written.read_text(encoding="utf-8")
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|//cdn|@import|url\((?!#)", html)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert "default-src 'none'" in page.policy


def test_one_script_whose_hash_is_in_the_policy(page, written):
    """Nothing else may run; what the script reads is data, beside it; a page of 299 steps is small."""
    (kind, numbers), (none, script) = page.scripts
    assert (kind, none) == ("application/json", "")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert page.policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|eval\(|innerHTML|Function\(|localStorage", script)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert json.loads(numbers)["runs"] == [{"name": "first", "per": 23, "examples": 1437, "batch": 64}]
    assert written.stat().st_size < 500_000


def test_numbers_beside_the_plots_are_the_logs(page):
    """Every value of the log, to the last digit, raw; the settings that never moved are a sentence."""
    charts = json.loads(page.scripts[0][1])["charts"]
    steps = step_rows(299)
    for key, names in (("loss", ["train", "held-out"]), ("grad_norm", ["gradient norm"]), ("lr", ["lr"])):
        assert [line["name"] for line in charts[key]["lines"]] == names
    assert charts["loss"]["lines"][0]["v"] == [row["loss"] for row in steps]
    assert charts["loss"]["lines"][0]["s"] == {"from": 0, "by": 1, "n": 299}
    assert charts["loss"]["lines"][1]["s"] == {"from": 22, "by": 23, "n": 13}
    assert charts["grad_norm"]["lines"][0]["v"] == [row["grad_norm"] for row in steps]
    lr = charts["lr"]["lines"][0]["v"]["runs"]
    assert [value for value, count in lr for _ in range(count)] == [row["lr"] for row in steps]
    assert "The same in every step of the parameters that are in no group: momentum 0.9, weight decay 0.0005." in (
        page.text
    )


def test_the_page_is_well_formed(page):
    """Tags nest, ids are unique, anchors lead somewhere, plots and pictures have words, tables have headers."""
    assert not page.unbalanced
    assert len(page.ids) == len(set(page.ids))
    assert all(address[1:] in page.ids for address in page.addresses if address.startswith("#"))
    plots = [attributes for tag, attributes in page.tags if tag == "svg" and attributes["class"] == "plot"]
    assert len(plots) == 6
    assert all(set(plot["aria-labelledby"].split()) <= set(page.ids) for plot in plots)
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert sum(tag == "th" for tag, _ in page.tags) > 20


def test_the_same_run_gives_the_same_bytes(tmp_path):
    """Written by two processes with different hash seeds, the page has one checksum; plotting is loaded only then."""
    run = build_run(tmp_path / "run")
    code = "import sys; from pathlib import Path; from downslope.training.report import write_report; "
    code += "print({'matplotlib', 'jinja2'} & set(sys.modules)); "
    code += "write_report([Path(sys.argv[1])], Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(run), str(tmp_path / "other.html")]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "set()\n"
    write_report([run], tmp_path / "here.html")
    digests = {hashlib.sha256((tmp_path / f"{name}.html").read_bytes()).hexdigest() for name in ("other", "here")}
    assert len(digests) == 1


def test_words_with_html_in_them_are_escaped(tmp_path):
    """Titles, sources, folder names and values are text, never markup."""
    nasty = "<script>alert(1)</script> & <u>"
    recipe = RECIPE.replace('"A run made to order"', json.dumps(nasty)).replace('"for tests"', json.dumps(f'"{nasty}'))
    facts = {"environment": {"processor": nasty}, "parameters": {nasty: [3]}, "groups": []}
    run = build_run(tmp_path / "a<i>b", recipe=recipe, facts=facts)
    page = read(run, out=tmp_path / "page.html")
    assert "u" not in {tag for tag, _ in page.tags}
    assert len(page.scripts) == 2
    assert page.text.count(nasty) >= 4
    assert "a<i>b" in page.text
    other = build_run(tmp_path / "<!--<script>", recipe=recipe, overrides=[("sgd.momentum", "0.5")])
    two = read(run, other, out=tmp_path / "two.html")
    assert "<!--<script>" in two.text
    assert json.loads(two.scripts[0][1])["runs"][1]["name"] == "<!--<script>"
    assert "<" not in two.scripts[0][1]


def test_equations_and_settings(page):
    """The rule is printed with the run's numbers, and every setting stands in its table."""
    assert "g ← grad + 0.0005 \N{MIDDLE DOT} param" in page.text
    assert "exponential: initial 0.1, rate 0.1, every 100, staircase, in steps" in page.text
    table = page.table("[sgd]")
    assert table["momentum"] == ["0.9"]
    assert table["decay"] == ["coupled"]
    assert page.table("group")["*.bias"] == ["weight_decay = 0", "dense1.bias 64 logits.bias 10"]
    assert page.table("environment")["torch"] == ["2.13.0"]


def test_plots_tell_their_ends(page):
    """Each plot is described in words, with the first and last of its lines; effective lr has its condition."""
    assert list(page.plots) == [
        "Loss",
        "Accuracy",
        "Learning rate",
        "Effective learning rate",
        "Gradient norm",
        "Weight norm",
    ]
    assert any("lr: from 0.1 to 0.001 at step 298" in words for words in page.descriptions)
    assert any("effective_lr: from 1 to 0.01 at step 298" in words for words in page.descriptions)
    assert "gradients vary slowly over 1 / (1 \N{MINUS SIGN} momentum) steps" in page.text


def test_gaps_are_shown_and_said(tmp_path):
    """NaN and infinite values break the line, and the page says how many there are and where they begin."""
    rows = step_rows(40)
    whole = read(build_run(tmp_path / "whole", rows=rows, count=40), out=tmp_path / "whole.html").plots["Weight norm"]
    rows[7]["weight_norm"], rows[8]["weight_norm"], rows[30]["weight_norm"] = math.nan, math.inf, -math.inf
    page = read(build_run(tmp_path / "run", rows=rows, count=40), out=tmp_path / "page.html")
    assert "3 values were NaN, infinite or skipped, the first at step 7" in page.text
    assert "nan" not in page.plots["Weight norm"].lower()
    assert page.plots["Weight norm"].count("M") >= whole.count("M") + 2


def test_skipped_steps_are_said(tmp_path):
    """Which steps were skipped is said in ranges, and no line runs across them."""
    rows = [row for row in step_rows(60) if row["step"] not in {20, 21, 22, 40}]
    skips = [{"kind": "skip", "step": step, "epoch": 0, "loss": math.nan} for step in (20, 21, 22, 40)]
    page = read(build_run(tmp_path / "run", rows=in_order(rows, skips), count=60), out=tmp_path / "page.html")
    assert "4 steps were skipped for a gradient that was not finite: 20\N{EN DASH}22, 40." in page.text
    assert "4 values were NaN, infinite or skipped, the first at step 20" in page.text


def test_plateau_and_stop_are_said(tmp_path):
    """A reduced learning rate and an early stop stand with their step and reason."""
    rows = in_order(
        step_rows(50),
        [{"kind": "plateau", "step": 22, "lr": 0.01}, {"kind": "stop", "step": 49, "reason": "loss got no better"}],
    )
    page = read(build_run(tmp_path / "run", rows=rows, facts={"total_steps": 99}), out=tmp_path / "page.html")
    assert "the learning rate was reduced to 0.01 after step 22" in page.text
    assert "stopped early (loss got no better)" in page.text


def test_killed_and_resumed(tmp_path):
    """A person sees that a run was killed and resumed: in words, in the table, in the plots."""
    events = [at(0, "start", 0), at(2, "signal", 100, signal=15), at(9, "resume", 100), at(12, "finish", 299)]
    page = read(build_run(tmp_path / "run", events=events), out=tmp_path / "page.html")
    assert "Started and stopped by a signal at step 100, with a checkpoint." in page.text
    assert "Resumed at step 100 and finished at step 299." in page.text
    assert page.table("time (UTC)")["2024-02-29 23:59:52"] == ["signal SIGTERM", "100"]
    assert page.text.count("resumed") == 6  # once in each plot
    assert "Steps done over wall time" in page.plots
    assert "5.0 s in 2 processes" in page.text


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_an_unfinished_run_of_few_steps(tmp_path, count):
    """A run killed at its very beginning has a page, which says how far it came and what there is not."""
    run = build_run(tmp_path / "run", rows=step_rows(count), events=[at(0, "start", 0)])
    page = read(run, out=tmp_path / "page.html")
    assert f"{count} of 299 steps are in the log" in page.text
    assert "still running, or killed" in page.text
    assert "any evaluation on held-out examples" in page.text
    assert "no final weights yet" in page.text
    assert ("nothing to draw" in page.text) == (count == 0)


def test_steps_that_were_not_logged_are_not_called_a_missing_loss(tmp_path):
    """A run shorter than `log_every` has evaluations alone: what is missing is the training loss, and why is said."""
    recipe = RECIPE.replace("[train]", "[train]\nlog_every = 50")
    page = read(build_run(tmp_path / "run", rows=evaluation_rows(299), recipe=recipe), out=tmp_path / "p.html")
    assert "Not in this log: training loss, training accuracy, learning rate" in page.text
    assert "One step in 50 is logged (train.log_every)." in page.text


def test_a_regression_without_events(tmp_path):
    """Without classes nobody asks for an accuracy; without events, the page says so."""
    rows = in_order(step_rows(299, accuracy=False), evaluation_rows(299, accuracy=False))
    recipe = RECIPE.replace('name = "digits"', 'name = "mine:load"').replace("[train]", '[train]\nloss = "mse"')
    facts = {"data": {"name": "mine:load", "held_out_examples": 5, "classes": None}}
    page = read(build_run(tmp_path / "run", rows=rows, events=[], recipe=recipe, facts=facts), out=tmp_path / "p.html")
    assert "Not in this log" not in page.text
    assert "Accuracy" not in page.plots
    assert "No events were written." in page.text
    assert "Held-out examples" not in page.text


def test_nothing_but_nan(tmp_path):
    """A run that diverged at once has a page."""
    rows = [{**row, "loss": math.nan, "grad_norm": math.inf} for row in step_rows(50)]
    page = read(build_run(tmp_path / "run", rows=rows, count=50), out=tmp_path / "page.html")
    assert "50 values were NaN, infinite or skipped, the first at step 0" in page.text


def test_a_long_run_is_small_and_keeps_its_spike(tmp_path):
    """A hundred thousand rows make a page below 500 kB that says it was thinned and still has the one spike."""
    rows = step_rows(100_000)
    rows[54_321]["grad_norm"] = 7777.0
    run = build_run(tmp_path / "run", rows=rows, count=100_000)
    page = read(run, out=tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 500_000
    assert "of 100\N{NARROW NO-BREAK SPACE}000 values: the smallest and the largest of each stretch" in page.text
    paths = [re.findall(r"[ML] [\d.]+ ([\d.]+)", path) for path in page.plots["Gradient norm"].split(";")]
    every_step, mean = (list(map(float, path)) for path in paths if len(path) > 500)
    assert max(len(every_step), len(mean)) < 1500
    assert sum(height < 100 for height in every_step) == 1  # of a picture 232 high, counted from its top
    chart = json.loads(page.scripts[0][1])["charts"]["grad_norm"]
    [line] = chart["lines"]
    at = line["v"].index(7777.0)
    assert sum(line["s"][: at + 1]) == 54_321
    assert chart["note"].startswith(f"Here are {len(line['v'])} of the 100\u202f000 values")
    assert sum(line["m"]["c"]) == 100_000
    means = sum(count * mean for count, mean in zip(line["m"]["c"], line["m"]["v"], strict=True)) / 100_000
    assert means == pytest.approx(sum(row["grad_norm"] for row in rows) / 100_000, rel=1e-6)


def test_several_runs(tmp_path):
    """Runs of different lengths are laid over one another; a table tells their results, another how they differ."""
    runs = [
        build_run(tmp_path / "plain"),
        build_run(
            tmp_path / "nesterov", count=200, overrides=[("sgd.nesterov", "true"), ("train.clip_norm", "2.5")],
            rows=in_order(step_rows(200, lr=0.05), evaluation_rows(200)),
        ),
        build_run(tmp_path / "killed", rows=step_rows(30), events=[at(0, "start", 0)]),
    ]  # fmt: skip
    page = read(*runs, out=tmp_path / "page.html")
    results = page.table("run")
    assert results["plain"][0] == "96.85\N{NARROW NO-BREAK SPACE}%"
    assert results["nesterov"][5:] == ["200", "9.5 s", "finished"]
    assert results["killed"][:4] == ["\N{EN DASH}"] * 4
    assert results["killed"][-1] == "unfinished"
    assert evaluation_rows(200)[-1]["loss"] in page.numbers
    differences = page.table("setting")
    assert differences == {
        "setting": ["plain", "nesterov", "killed"],
        "sgd.nesterov": ["false", "true", "false"],
        "train.clip_norm": ["not set", "2.5", "not set"],
        "total_steps": ["299", "200", "299"],
    }
    assert "Not in the log of killed." in page.text
    assert list(page.plots)[:2] == ["Loss, held-out", "Loss, train"]
    assert any(words.count(": from") == 3 for words in page.descriptions)
    assert not page.unbalanced
    assert len(page.ids) == len(set(page.ids))


def test_equal_runs_and_equal_names(tmp_path):
    """Two runs of one folder name get as much of their paths as tells them apart; equal ones are said to be equal."""
    runs = [build_run(tmp_path / "one" / "run"), build_run(tmp_path / "two" / "run")]
    page = read(*runs, out=tmp_path / "page.html")
    assert {"one/run", "two/run"} <= set(page.table("run"))
    assert "the same in all of them" in page.text


NONE = "\N{EN DASH}"


def with_rates(rows, *, averaged=False):
    """Return rows whose evaluations have rates of errors besides, and perhaps those of averaged weights."""
    rates = {"phoneme_error_rate": 0.25, "word_error_rate": 0.5}
    more = rates | ({f"ema_{name}": value / 2 for name, value in rates.items()} if averaged else {})
    return [row | more if row["kind"] == "evaluation" else row for row in rows]


def test_every_metric_of_several_runs_is_laid_over_one_another(tmp_path):
    """Rates of errors, those of averaged weights, and who lacks them; rates and losses are the better the smaller."""
    rows = in_order(step_rows(69), evaluation_rows(69))
    first = build_run(tmp_path / "first", count=69, rows=with_rates(rows))
    second = build_run(tmp_path / "second", count=69, rows=with_rates(rows, averaged=True))
    third = build_run(tmp_path / "third", count=69, rows=rows)
    page = read(first, second, third, out=tmp_path / "page.html")
    for title in ("Phoneme error rate, held-out", "Word error rate, held-out", "Accuracy, held-out"):
        assert title in page.plots
    assert "Phoneme error rate, held-out, averaged weights" in page.plots
    assert page.captions["Phoneme error rate, held-out"] == "Not in the log of third."
    assert page.captions["Phoneme error rate, held-out, averaged weights"] == "Not in the log of first, third."
    assert "In first, second: of single symbols, the true ones before them given." in page.text
    table = page.table("run")
    assert table["run"][:4] == [
        "held-out phoneme error rate",
        "best, after steps",
        "held-out word error rate",
        "best, after steps",
    ]
    assert table["first"][:6] == ["25.00\u202f%", "25.00\u202f%, 23", "50.00\u202f%", "50.00\u202f%, 23", *[NONE] * 2]
    assert table["third"][:4] == [NONE] * 4
    assert table["third"][4].endswith("%")


def test_runs_without_classes_have_no_column_of_accuracies(tmp_path):
    """Runs of a squared error have their losses and nothing else; of two kinds of loss none is called the better."""
    rows = in_order(step_rows(69, accuracy=False), evaluation_rows(69, accuracy=False))
    squared = [("train.loss", '"mse"')]
    runs = [build_run(tmp_path / name, count=69, rows=rows, overrides=squared) for name in ("one", "two")]
    page = read(*runs, out=tmp_path / "page.html")
    assert page.table("run")["run"][:3] == ["held-out loss", "best, after steps", "training loss"]
    assert {"Loss, held-out", "Loss, train"} <= set(page.plots)
    assert not any("Accuracy" in title for title in page.plots)
    assert "not one loss" not in page.text
    other = build_run(tmp_path / "classes", count=69)
    page = read(runs[0], other, out=tmp_path / "page.html")
    assert "Not one loss, hence not to be compared: cross_entropy (classes); mse (one)." in page.text
    assert "The runs have not one loss, hence none of the losses is the best." in page.text
    assert page.captions["Accuracy, held-out"] == "Not in the log of one."


def test_a_metric_of_another_name_is_shown(tmp_path):
    """What an evaluation measured under any name has its panel, of one run and of several."""
    rows = [
        row | ({"r2": 0.5} if row["kind"] == "evaluation" else {})
        for row in in_order(step_rows(69), evaluation_rows(69))
    ]
    runs = [build_run(tmp_path / name, count=69, rows=rows) for name in ("one", "two")]
    assert "R2" in read(runs[0], out=tmp_path / "page.html").plots
    assert "R2, held-out" in read(*runs, out=tmp_path / "page.html").plots


def test_wrong_calls_are_refused(tmp_path):
    """No runs, the same run twice, too many, a folder that is no run, a folder as file: each has its message."""
    run = build_run(tmp_path / "run")
    out = tmp_path / "page.html"
    for runs, message in (
        ([], "at least one run"),
        ([run, tmp_path / "x" / ".." / "run"], "given twice"),
        ([tmp_path / str(i) for i in range(25)], "at most 24 runs"),
    ):
        with pytest.raises(DownslopeError, match=message):
            write_report(runs, out)
    with pytest.raises(CheckpointError, match="no run folder"):
        write_report([tmp_path], out)
    with pytest.raises(DownslopeError, match=r"is a folder\. Give the file"):
        write_report([run], tmp_path)
    assert not out.exists()


def test_a_page_is_replaced_whole(tmp_path, monkeypatch):
    """Where writing fails, the page that was there before is untouched and nothing is left behind."""
    run, out = build_run(tmp_path / "run"), tmp_path / "page.html"
    out.write_text("before")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("downslope.training.folder.durable.os.replace", refuse)
    with pytest.raises(CheckpointError, match="disk is full"):
        write_report([run], out)
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    """Without matplotlib or jinja2 the message tells what to install."""
    run = build_run(tmp_path / "run")
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf'{package}.*pip install "downslope\[plot\]"'):
        write_report([run], tmp_path / "page.html")


def test_numbers_have_as_much_room_as_there_is(tmp_path):
    """Short lines stay whole, long ones keep their ends, first to the last digit and then rounded, which is said."""
    runs = read_runs([build_run(tmp_path / name) for name in ("one", "two")])
    panels = panels_of_several(runs)
    whole = json.loads(numbers_of("x", runs, panels, {}, 10**9))["charts"]
    assert not any("note" in chart for chart in whole.values())
    text = numbers_of("x", runs, panels, {}, 20_000)
    assert len(text.encode()) <= 20_000
    charts = json.loads(text)["charts"]
    [line, _] = charts["loss-train"]["lines"]
    assert len(line["v"]) < 150
    assert charts["loss-train"]["note"].startswith(f"Here are {len(line['v'])} of the 299 values: the smallest and the")
    assert charts["loss-train"]["note"].endswith("rounded to 7 digits.")
    losses = {float(f"{row['loss']:.7g}") for row in step_rows(299)}
    assert set(line["v"]) <= losses
    assert {min(losses), max(losses)} <= set(line["v"])
    assert line["v"][-1] == float(f"{step_rows(299)[-1]['loss']:.7g}")
    assert len(charts["loss-held-out"]["lines"][0]["v"]) == 13
    assert charts["loss-held-out"]["note"] == "Numbers are rounded to 7 digits."
