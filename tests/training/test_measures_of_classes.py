"""What an evaluation measures of classes and labels is what scikit-learn gives for all answers at once."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn

from downslope.training.run.held_out import measure
from downslope.training.run.losses import build_loss
from downslope.training.run.objective import Supervised
from downslope.training.run.tallies import among_first, summarise_classes, summarise_labels, tally_classes

COUNT = 2500
"""More than two batches of an evaluation."""


def rate(objective, outputs, targets):
    """Return what an evaluation gives of a model whose outputs are these."""
    return measure(nn.Identity(), objective, outputs, targets).metrics


@pytest.mark.parametrize("classes", [2, 7])
def test_classes(classes):
    """Balanced accuracy, macro F1, the lowest recall and, of more than five classes, the right one among five."""
    draw = np.random.default_rng(classes)
    targets = torch.from_numpy(draw.choice(classes, COUNT, p=np.arange(1, classes + 1) / sum(range(1, classes + 1))))
    outputs = torch.from_numpy(draw.normal(size=(COUNT, classes))) + torch.nn.functional.one_hot(targets, classes)
    found = rate(Supervised(build_loss("cross_entropy"), classes), outputs, targets)
    answers = outputs.argmax(1)
    assert found["accuracy"] == metrics.accuracy_score(targets, answers)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(targets, answers), rel=1e-14)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(targets, answers, average="macro"), rel=1e-14)
    assert found["worst_recall"] == min(metrics.recall_score(targets, answers, average=None))
    assert ("top5_accuracy" in found) == (classes > 5)
    if classes > 5:
        assert found["top5_accuracy"] == metrics.top_k_accuracy_score(targets, outputs, k=5)


def test_labels():
    """F1 over all answers and over labels, examples with every label right, and the share of single labels right."""
    draw = np.random.default_rng(3)
    targets = torch.from_numpy((draw.random((COUNT, 4)) < [0.5, 0.2, 0.05, 0.6]).astype(np.float64))
    outputs = torch.from_numpy(draw.normal(size=(COUNT, 4))) + targets
    objective = Supervised(build_loss("binary_cross_entropy"), None, labels=4, margin=0.25)
    found = rate(objective, outputs, targets)
    answers = outputs > 0.25
    for average in ("micro", "macro"):
        wanted = metrics.f1_score(targets, answers, average=average)
        assert found[f"{average}_f1"] == pytest.approx(wanted, rel=1e-14)
    assert found["exact_match"] == metrics.accuracy_score(targets, answers)
    assert found["accuracy"] == pytest.approx(1 - metrics.hamming_loss(targets, answers), rel=1e-14)
    assert found["worst_recall"] == min(metrics.recall_score(targets, answers, average=None))
    assert found["loss"] == pytest.approx(metrics.log_loss(targets.flatten(), outputs.sigmoid().flatten()), rel=1e-12)


def test_one_logit_is_two():
    """Two classes by one logit z are rated as by the logits 0 and z: with the threshold 0.5 the same numbers."""
    draw = np.random.default_rng(5)
    targets = torch.from_numpy(draw.integers(0, 2, 300))
    logits = torch.from_numpy(draw.normal(size=(300, 1))) + targets[:, None]
    one = rate(Supervised(build_loss("binary_cross_entropy"), 2, one_logit=True), logits, targets)
    pair = torch.cat([torch.zeros_like(logits), logits], 1)
    two = rate(Supervised(build_loss("cross_entropy"), 2), pair, targets)
    assert one == pytest.approx(two, rel=1e-12)
    shifted = rate(Supervised(build_loss("binary_cross_entropy"), 2, one_logit=True, margin=1.0), logits, targets)
    assert shifted["accuracy"] == metrics.accuracy_score(targets, logits[:, 0] > 1)


def test_outputs_that_are_no_numbers_are_no_answers():
    """NaN and inf are never right: they are missing from a class's answers, not from its examples."""
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0], [torch.nan, 0.0], [torch.inf, 0.0]])
    found = rate(Supervised(build_loss("cross_entropy"), 2), outputs, torch.tensor([0, 1, 0, 0]))
    assert (found["worst_recall"], found["balanced_accuracy"], found["nonfinite_outputs"]) == (1 / 3, 2 / 3, 2)
    logits = torch.tensor([3.0, -3.0, torch.inf, torch.nan])
    binary = Supervised(build_loss("binary_cross_entropy"), 2, one_logit=True)
    found = rate(binary, logits, torch.tensor([1, 0, 1, 0]))
    assert (found["accuracy"], found["nonfinite_outputs"]) == (0.5, 2)
    labels = Supervised(build_loss("binary_cross_entropy"), None, labels=2)
    found = rate(labels, logits.reshape(2, 2), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert (found["exact_match"], found["accuracy"], found["micro_f1"]) == (0.5, 0.5, 2 / 3)


def test_what_is_not_defined():
    """A class without examples has no recall, one without answers either no F1; a label that is nowhere has F1 0."""
    tallies = tally_classes(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), torch.tensor([True] * 3), 4)
    assert tallies.tolist() == [[1, 1, 0, 0], [1, 2, 0, 0], [2, 1, 0, 0]]
    assert summarise_classes(tallies) == {"balanced_accuracy": 0.75, "macro_f1": 2 / 3, "worst_recall": 0.5}
    none = torch.zeros(3, 2, dtype=torch.int64)
    assert summarise_labels(none) == {"macro_f1": 0.0, "micro_f1": 0.0}


def test_equal_logits():
    """Of equal logits those of the first classes are among the first."""
    ties = torch.zeros(7, 7)
    assert among_first(ties, torch.arange(7), 5).tolist() == [True] * 5 + [False] * 2
