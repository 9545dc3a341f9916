"""docs/results.md shows what was recorded, and docs/data.md names every option."""

import json
import re
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from downslope.training.data import DATA_SETS, cifar, hf, idx, images, mnist1d, npz, table
from downslope.training.models import MODELS, convnet, gru
from house.source_tree import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import results
from published import ROWS, Figure


def test_the_page_shows_what_was_recorded():
    """By the command itself: no table of the page was written by hand, and none is out of date."""
    done = subprocess.run(
        [sys.executable, "benchmarks/results.py", "--check"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_notices_what_is_not_recorded(tmp_path, monkeypatch):
    """A changed digit, a recipe that has changed, a recipe that has not run."""
    figure = Figure(key="accuracy", name="accuracy", published=50.0)
    assert results.shown(figure, [{"accuracy": 0.5}, {"accuracy": 0.52}]) == "51.00 (50.00 to 52.00)"
    assert results.shown(figure, [{"accuracy": 0.5}]) == "50.00"
    monkeypatch.setattr(results, "RECORDS", tmp_path)
    row = ROWS["mnist1d-gru"]
    assert results.row_cells(row, with_peer=False)[0][2] == "not run yet"
    record = {
        "checksum": "another",
        "commit": "abc",
        "environment": {"date": "2026-01-02"},
        "runs": [{"seed": 0, "accuracy": 0.9, "processor_seconds": 3.0}],
    }
    (tmp_path / "mnist1d-gru.json").write_text(json.dumps(record))
    (cells,) = results.row_cells(row, with_peer=False)
    assert cells[2:] == ["90.0", "91.0", "0", "3", "2026-01-02, abc; the recipe has changed since"]
    record["checksum"] = results.checksum("mnist1d-gru")
    (tmp_path / "mnist1d-gru.json").write_text(json.dumps(record))
    assert results.row_cells(row, with_peer=False)[0][-1] == "2026-01-02, abc"


def test_a_difference_has_its_standard_error():
    """By hand: means 2 and 5 with variances 1 and 4 of three and two runs, sqrt(1 / 3 + 4 / 2); one run has none."""
    figure = Figure(key="loss", name="loss", percent=False)
    ours, peers = [{"loss": value} for value in (1.0, 2.0, 3.0)], [{"loss": 5 + 2**0.5}, {"loss": 5 - 2**0.5}]
    assert results.difference(figure, ours, peers) == "-3.00 ± 1.53"
    assert results.difference(figure, ours[:1], peers) == "-4.00"
    assert results.difference(figure, [{"loss": -1e-9}], [{"loss": 0.0}]) == "+0.00"
    assert results.seeds_text([{"seed": seed} for seed in range(200)]) == "0 to 199"
    assert results.seeds_text([{"seed": seed} for seed in (0, 1, 4)]) == "0, 1, 4"


def test_a_run_that_the_command_line_ends_otherwise_is_not_recorded(monkeypatch):
    """Many seeds are trained within one process: a seed that both have must have ended with the same bits."""
    monkeypatch.setattr(results, "train_here", lambda _path, seed: {"seed": seed, "accuracy": 0.5, "epoch_loss": 1.0})
    monkeypatch.setattr(results, "train_peer", lambda seed, **_: {"seed": seed, "accuracy": 0.4, "epoch_loss": 2.0})
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests of this process are to keep theirs
    row = replace(ROWS["digits-as-sklearn-sgd"], many=3)
    run = {"seed": 1, "accuracy": 0.5, "epoch_loss": 1.0, "processor_seconds": 3.0}
    assert [len(runs) for runs in results.measure_beside(row, [run]).values()] == [3, 3]
    with pytest.raises(SystemExit, match="the command line gave"):
        results.measure_beside(row, [run | {"epoch_loss": 1.0000000000000002}])


def test_the_loss_of_an_epoch_weighs_a_smaller_last_batch(tmp_path):
    """By hand: batches of 4, 4 and 2 of the last epoch, losses 1, 2 and 4, are 20 / 10."""
    (tmp_path / "run.json").write_text(json.dumps({"data": {"train_examples": 10}}))
    (tmp_path / "recipe.toml").write_text("[data]\nbatch_size = 4\n")
    rows = [{"kind": "step", "epoch": epoch, "loss": loss} for epoch in (0, 1) for loss in (1 + 7 * (1 - epoch), 2, 4)]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(row) for row in [*rows, {"kind": "evaluation"}]))
    assert results.epoch_loss(tmp_path) == 2.0


OPTIONS = [
    *(module.Options for module in (table, images, mnist1d, convnet, gru, idx, npz, hf)),
    cifar.Options10,
    cifar.Options100,
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_option_is_documented(options):
    """docs/data.md has each option of data sets and models, and each name that a recipe may use."""
    text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`(\w+)`", text))
    assert {field.name for field in fields(options)} <= words
    assert {"table", "images", "mnist1d", "quadratic_deep", "idx", "cifar10", "cifar100", "npz"} <= set(DATA_SETS)
    assert {"mlp", "convnet", "gru", "quadratic_deep"} <= set(MODELS)
