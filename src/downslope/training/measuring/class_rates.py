"""How good answers are class by class: precision, recall, F1, and which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MOST = 100
"""Above so many classes a confusion matrix is no longer given."""


@dataclass(frozen=True)
class ClassRates:
    """Answers counted by class.

    Attributes:
        right: int64 of shape (classes,): how many right answers each class got.
        answers: How often each was answered.
        examples: How many examples each has, those without an answer included.
        confusion: int64 of shape (classes, classes): how often each class (row) was taken for each (column); None if
            there are more than `MOST`.
    """

    right: Tensor
    answers: Tensor
    examples: Tensor
    confusion: Tensor | None

    def table(self, names: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return for each class "class", "name" where there are names, "examples", "precision", "recall" and "f1".

        Precision is the part of the answers "this class" that are right, None if there are none; recall the part of the
        class's examples that are answered so, None if there are none; F1 their harmonic mean, 2 right / (examples +
        answers), None if there are neither.
        """
        right: list[int] = self.right.tolist()
        answers: list[int] = self.answers.tolist()
        return [
            {
                "class": index,
                **({"name": names[index]} if index < len(names) else {}),
                "examples": examples,
                "precision": right[index] / answers[index] if answers[index] else None,
                "recall": right[index] / examples if examples else None,
                "f1": 2 * right[index] / (examples + answers[index]) if examples + answers[index] else None,
            }
            for index, examples in enumerate(self.examples.tolist())
        ]


def rate_classes(targets: Tensor, answers: Tensor, classes: int) -> ClassRates:
    """Return answers counted by class.

    Args:
        targets: int64 indices, shape (examples,).
        answers: The same; -1 where there is no answer.
        classes: How many there are.

    Example:
        >>> rates = rate_classes(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, -1]), 2)
        >>> rates.confusion.tolist(), [row["recall"] for row in rates.table()]
        ([[2, 1], [0, 0]], [0.6666666666666666, 0.0])
    """
    told, answered = targets[answers >= 0], answers[answers >= 0]
    confusion = None
    if classes <= MOST:
        confusion = torch.bincount(told * classes + answered, minlength=classes * classes).reshape(classes, classes)
    return ClassRates(
        right=torch.bincount(told[told == answered], minlength=classes),
        answers=torch.bincount(answered, minlength=classes),
        examples=torch.bincount(targets, minlength=classes),
        confusion=confusion,
    )
