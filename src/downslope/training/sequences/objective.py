"""The objective of sequences: cross-entropy of the next symbol, and the rates of wrong symbols and sequences."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn
from torch.nn import functional

from downslope.core.errors import DataError
from downslope.core.schedules import Schedule
from downslope.training.data.rows import in_memory
from downslope.training.device import device_of
from downslope.training.models.seq2seq import Seq2Seq
from downslope.training.run.losses import choose
from downslope.training.run.objective import Answers, LengthRates, Mixed, Objective, Rates
from downslope.training.sequences.error_rates import count_errors, cut_lengths, rates_of
from downslope.training.sequences.search import search_greedily
from downslope.training.sequences.symbols import PAD, Sequences, lengths, trim
from downslope.training.workers.workers import ALONE, Workers

if TYPE_CHECKING:
    from downslope.recipe.schema import Recipe
    from downslope.training.data import Dataset

_RATED_AT_ONCE = 512


class SequenceToSequence(Objective):
    """Learn to write a sequence, given another.

    Args:
        sequences: The symbols and right answers.
        teacher_forcing: Probability of showing the true symbol, a number or a schedule in steps.
        held_out: The held-out inputs, which the right answers belong to.
        label_smoothing: Share of each symbol that is spread over all symbols alike, in training.
    """

    def __init__(
        self,
        sequences: Sequences,
        teacher_forcing: float | Schedule,
        held_out: Tensor,
        *,
        label_smoothing: float = 0.0,
    ) -> None:
        self._sequences = sequences
        self._teacher_forcing = teacher_forcing
        self._held_out = held_out
        self._label_smoothing = label_smoothing

    def weigh(self, targets: Tensor) -> int:
        """Return the number of symbols, END included, that are no padding."""
        return int(lengths(targets).sum())

    def prepare(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return examples without the columns that hold nothing but padding."""
        return trim(inputs), trim(targets)

    def answer(
        self, model: nn.Module, inputs: Tensor, targets: Tensor | Mixed, *, step: int | None, counts: bool = True
    ) -> Answers:
        """Return the mean cross-entropy a symbol, and how many symbols are the most probable at their place.

        In evaluation every place is shown the true symbol before it, so that the loss is that of the data.
        """
        targets = cast("Tensor", targets)  # images alone are mixed
        if inputs.is_cpu:  # on a device that would wait for it, and `prepare` has done it
            inputs, targets = self.prepare(inputs, targets)
        logits = cast("Seq2Seq", model)(inputs, targets, self._forcing(step))
        smoothing = 0.0 if step is None else self._label_smoothing
        loss = functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, label_smoothing=smoothing
        )
        asked = targets != PAD
        found = Answers(loss, None, int(asked.sum()) if asked.is_cpu else asked.sum())
        if not counts:
            return found
        chosen, answered = choose(logits, -1)
        nonfinite = (~answered & asked).sum() if step is None else None
        return found._replace(correct=((chosen == targets) & answered & asked).sum(), nonfinite=nonfinite)

    def rate_held_out(self, model: nn.Module, workers: Workers = ALONE) -> Rates:
        """Return the rates of wrong symbols and wrong sequences among greedy answers to the held-out inputs.

        An answer is compared with the right one nearest to it. The rate of wrong symbols is insertions, deletions and
        substitutions over the symbols of these right answers. Inputs longer than any learned from have rates of
        their own, "longer_..."; where there are some, each length is also rated by itself.
        """
        answers = answer_all(cast("Seq2Seq", model), self._held_out, workers)
        errors = count_errors(answers, self._sequences.references)
        sizes: list[int] = lengths(self._held_out).tolist()
        longest = self._sequences.longest_trained

        def rate(low: int, high: int) -> tuple[int, dict[str, float]]:
            own = [error for error, size in zip(errors, sizes, strict=True) if low <= size <= high]
            return len(own), dict(zip(self._sequences.rates, rates_of(own), strict=True)) if own else {}

        metrics = rate(0, longest)[1]
        metrics |= {f"longer_{name}": value for name, value in rate(longest + 1, max(sizes))[1].items()}
        if max(sizes) <= longest:
            return Rates(metrics)
        by_length: list[LengthRates] = []
        for low, high in cut_lengths(sizes, longest):
            count, rates = rate(low, high)
            by_length.append(LengthRates(shortest=low, longest=high, longer=low > longest, examples=count, rates=rates))
        return Rates(metrics, tuple(by_length))

    def _forcing(self, step: int | None) -> float:
        if step is None:
            return 1.0
        forcing = self._teacher_forcing
        return float(forcing(step)) if isinstance(forcing, Schedule) else float(forcing)


def build_sequence_objective(recipe: Recipe, dataset: Dataset) -> SequenceToSequence:
    """Return the objective of a recipe whose data are sequences.

    Raises:
        DataError: If the recipe's loss or model is for other data.
    """
    if dataset.sequences is None or recipe.train.loss != "cross_entropy":
        raise DataError(
            f'data.name = {dataset.name!r} holds sequences, which are learned by train.loss = "cross_entropy" of the '
            f"next symbol; got {recipe.train.loss!r}."
        )
    if recipe.model.name != "seq2seq":
        raise DataError(
            f'data.name = {dataset.name!r} holds sequences, which need model.name = "seq2seq"; got '
            f"{recipe.model.name!r}."
        )
    forcing = 1.0 if recipe.train.teacher_forcing is None else recipe.train.teacher_forcing
    return SequenceToSequence(
        dataset.sequences,
        forcing,
        in_memory(dataset.held_out_inputs),
        label_smoothing=recipe.train.label_smoothing,
    )


def answer_all(model: Seq2Seq, inputs: Tensor, workers: Workers = ALONE) -> list[tuple[int, ...]]:
    """Return the greedy answer to each input, in their order; similar lengths are searched together.

    Where probabilities are no numbers there is no answer: it is empty, and so never right.

    Args:
        model: In evaluation mode.
        inputs: int64 of shape (examples, length), padded with 0.
        workers: Who shares the search, each with the same model; every one of them gets all answers.
    """
    batches = lengths(inputs).argsort(stable=True).split(_RATED_AT_ONCE)
    own: list[tuple[int, tuple[int, ...]]] = []
    device = device_of(model)
    for place in workers.indices(len(batches)):
        rows = batches[place]
        found = search_greedily(model, trim(inputs[rows]).to(device))
        own += [
            (row, hypothesis.numbers if math.isfinite(hypothesis.log_probability) else ())
            for row, hypothesis in zip(rows.tolist(), found, strict=True)
        ]
    answers = dict(chain.from_iterable(workers.gather(own)))
    return [tuple(answers[row]) for row in range(len(inputs))]
