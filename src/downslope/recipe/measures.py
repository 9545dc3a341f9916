"""What an evaluation measures on held-out examples: the names, which way each is better, and how it is written."""

from __future__ import annotations

from typing import Literal

Metric = Literal[
    "loss",
    "accuracy",
    "top5_accuracy",
    "balanced_accuracy",
    "macro_f1",
    "worst_recall",
    "micro_f1",
    "exact_match",
    "rmse",
    "mae",
    "r2",
    "phoneme_error_rate",
    "word_error_rate",
    "symbol_error_rate",
    "sequence_error_rate",
]
"""What may be watched: all that an evaluation measures."""

FURTHER: tuple[Metric, ...] = (
    "top5_accuracy",
    "balanced_accuracy",
    "macro_f1",
    "worst_recall",
    "micro_f1",
    "exact_match",
)
"""Shares that tell more of classes or labels than the accuracy, the headline, does."""

GROWING = frozenset({"accuracy", "r2", *FURTHER})
"""Those that are to grow; all others are to fall."""

_TITLES = {
    "top5_accuracy": "top-5 accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R2",
}


def grows(name: str) -> bool:
    """Return whether a larger value of a measure is better; that of averaged weights is named "ema_..."."""
    return name.removeprefix("ema_") in GROWING


def is_share(name: str) -> bool:
    """Return whether a measure is a share of examples or a mean of such, written in percent.

    Example:
        >>> [name for name in ("loss", "accuracy", "ema_macro_f1", "r2", "word_error_rate") if is_share(name)]
        ['accuracy', 'ema_macro_f1', 'word_error_rate']
    """
    plain = name.removeprefix("ema_")
    return plain == "accuracy" or plain in FURTHER or plain.endswith("_error_rate")


def title_of(name: str) -> str:
    """Return what people call a measure.

    Example:
        >>> title_of("macro_f1"), title_of("worst_recall")
        ('macro F1', 'worst recall')
    """
    return _TITLES.get(name, name.replace("_", " "))
