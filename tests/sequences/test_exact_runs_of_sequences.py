import json

import pytest
import torch
from sequence_runs import fingerprint, reverse, train

from downslope.training.data import load_data
from downslope.training.models import build_model
from downslope.training.report.data import read_runs
from downslope.training.report.panels import panels_of_one
from downslope.training.report.tables import headlines
from downslope.training.run.gradients import compute_gradients
from downslope.training.run.task import build_objective, build_task

CASES = {
    "teacher forcing always": {},
    "teacher forcing falling": {
        "train__teacher_forcing": '{ schedule = "linear", initial = 1.0, final = 0.2, duration = 2, unit = "epoch" }'
    },
    "dropout in two layers, and shards": {
        "model__options__dropout": "0.3",
        "model__options__layers": "2",
        "train__teacher_forcing": "0.5",
        "train__shards": "2",
    },
    "gru watched by its error rate": {
        "model__options__cell": "gru",
        "train__early_stop": '{ patience = 2, metric = "symbol_error_rate" }',
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_killed_run_ends_with_the_same_bits(case, tmp_path):
    """Crashed after 5 and again after 11 steps and gone on with, weights and log are those of an undisturbed run."""
    recipe = reverse(**CASES[case])
    assert train(recipe, tmp_path / "whole").finished
    for step in (5, 11):
        train(recipe, tmp_path / "killed", crash_at=step)
    assert train(recipe, tmp_path / "killed").finished
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


def test_shards_agree_to_rounding():
    """One shard or four: the same mean over symbols, though the shards hold different numbers of symbols."""
    found = []
    for shards in (1, 4):
        recipe = reverse(train__shards=str(shards))
        task = build_task(recipe)
        model = task.state.model.double()
        loss = compute_gradients(model, task.objective, task.dataset, task.batches.leaves(0), seed=0, step=0).loss()
        found.append((loss, {name: p.grad.clone() for name, p in model.named_parameters()}))
    (one, grads), (four, others) = found
    assert one == pytest.approx(four, abs=1e-12)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, others[name], rtol=0, atol=1e-12, msg=name)


def test_padding_counts_for_nothing_in_the_loss():
    """The loss of a batch is the mean of its symbols' losses, each sequence computed alone."""
    recipe = reverse()
    data = load_data(recipe)
    model, objective = build_model(recipe, data).double().eval(), build_objective(recipe, data)
    inputs, targets = data.train_inputs[:9], data.train_targets[:9]
    together = objective.answer(model, inputs, targets, step=None)
    alone = [objective.answer(model, x[None], y[None], step=None) for x, y in zip(inputs, targets, strict=True)]
    symbols = sum(int((row != 0).sum()) for row in targets)
    assert together.targets == objective.weigh(targets) == symbols
    expected = sum(one.loss.item() * one.targets for one in alone) / symbols
    assert together.loss.item() == pytest.approx(expected, abs=1e-12)


def test_evaluations_have_the_error_rates_and_those_of_longer_inputs(tmp_path):
    """Every evaluation in the log has both rates, and both again for inputs longer than any learned from."""
    train(reverse(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    evaluations = [row for row in rows if row["kind"] == "evaluation"]
    assert len(evaluations) == 3
    for row in evaluations:
        for name in ("symbol_error_rate", "sequence_error_rate"):
            assert {name, f"longer_{name}"} <= row.keys()
        assert 0 <= row["sequence_error_rate"] <= 1


def test_the_report_has_the_error_rates_and_no_count_of_right_answers(tmp_path):
    """Both rates are headlines and panels, in per cent; symbols right under teacher forcing are not called examples."""
    train(reverse(), tmp_path / "run")
    (run,) = read_runs([tmp_path / "run"])
    found = {headline.label: headline for headline in headlines(run)}
    assert {"held-out symbol error rate", "held-out sequence error rate"} <= found.keys()
    assert "held-out accuracy" not in found
    assert found["held-out symbol error rate"].value.text.endswith("%")
    panels = {panel.key: panel for panel in panels_of_one(run)}
    assert panels["symbol_error_rate"].percent
    assert panels["longer_sequence_error_rate"].title == "Longer sequence error rate"
    assert not any("Drawn from" in note for note in panels["symbol_error_rate"].notes)
