"""Right answers, answers and examples of each class or label, and the measures that are made of them.

Counts are whole numbers that add up in any order, so that batches and workers share the counting; scikit-learn, which
needs all answers at once, is what the tests hold this against.
"""

from __future__ import annotations

import torch
from torch import Tensor


def tally_classes(targets: Tensor, answers: Tensor, answered: Tensor, classes: int) -> Tensor:
    """Return how many right answers, answers and examples each class has, int64 of shape (3, classes).

    Args:
        targets: int64 indices, of any shape.
        answers: The same.
        answered: Whether there is an answer, bools of the same shape.
        classes: How many there are.
    """
    targets, answers, answered = targets.flatten(), answers.flatten(), answered.flatten()
    there = torch.ones_like(targets)
    zeros = there.new_zeros(classes)
    return torch.stack(
        [
            zeros.index_add(0, targets, (answered & (answers == targets)).long()),
            zeros.index_add(0, answers, answered.long()),
            zeros.index_add(0, targets, there),
        ]
    )


def tally_labels(targets: Tensor, yes: Tensor, answered: Tensor) -> Tensor:
    """Return the same of labels: how often each is rightly found, how often it is answered, and how often it is there.

    Args:
        targets: 0 or 1, shape (examples, labels).
        yes: Whether a label is answered with yes.
        answered: Whether there is an answer.
    """
    there, found = targets > 0.5, yes & answered
    return torch.stack([(there & found).sum(0), found.sum(0), there.sum(0)])


def among_first(outputs: Tensor, targets: Tensor, count: int) -> Tensor:
    """Return for each target whether fewer than `count` classes have a larger logit; of equal ones the first counts.

    Args:
        outputs: Logits of shape (examples, classes, ...).
        targets: Class indices of shape (examples, ...).
        count: How many.
    """
    logits = outputs.detach().movedim(1, -1)
    own = logits.gather(-1, targets[..., None])
    before = torch.arange(logits.shape[-1], device=logits.device) < targets[..., None]
    return ((logits > own) | ((logits == own) & before)).sum(-1) < count


def summarise_classes(tallies: Tensor) -> dict[str, float]:
    """Return means over classes, as scikit-learn's `balanced_accuracy_score` and `f1_score(average="macro")` have them.

    Recalls are of the classes that have examples; F1 of those that have examples or answers.

    Example:
        >>> summarise_classes(torch.tensor([[3, 1], [3, 2], [4, 1]]))
        {'balanced_accuracy': 0.875, 'macro_f1': 0.7619047619047619, 'worst_recall': 0.75}
    """
    right, answers, examples = tallies.double()
    recalls = (right / examples)[examples > 0]
    either = examples + answers
    return {
        "balanced_accuracy": float(recalls.mean()),
        "macro_f1": float((2 * right / either)[either > 0].mean()),
        "worst_recall": float(recalls.min()),
    }


def summarise_labels(tallies: Tensor) -> dict[str, float]:
    """Return F1 over labels as scikit-learn's `f1_score` has it: "micro" of all their answers, "macro" their mean.

    A label that is neither there nor answered has F1 0. The worst recall is that of the labels that are there.
    """
    right, answers, examples = tallies.double()
    either, there = examples + answers, examples > 0
    recalls = (right / examples)[there]
    return {
        "macro_f1": float((2 * right / either.clamp(min=1)).mean()),
        "micro_f1": float(2 * right.sum() / either.sum().clamp(min=1)),
        **({"worst_recall": float(recalls.min())} if bool(there.any()) else {}),
    }


MOST = 100
"""Of more classes or labels the log does not tell each one's rates."""


def list_rates(tallies: Tensor) -> dict[str, list[float | None]]:
    """Return "examples", "precision", "recall" and "f1" of each class or label, None where it is not defined.

    Args:
        tallies: As `tally_classes` gives them; of more than `MOST` classes nothing is returned.

    Example:
        >>> list_rates(torch.tensor([[3, 0], [4, 0], [3, 1]]))
        {'examples': [3, 1], 'precision': [0.75, None], 'recall': [1.0, 0.0], 'f1': [0.8571428571428571, 0.0]}
    """
    if tallies.shape[1] > MOST:
        return {}
    each: list[tuple[int, int, int]] = tallies.T.tolist()
    return {
        "examples": [there for _, _, there in each],
        "precision": [right / answers if answers else None for right, answers, _ in each],
        "recall": [right / there if there else None for right, _, there in each],
        "f1": [2 * right / (answers + there) if answers + there else None for right, answers, there in each],
    }
