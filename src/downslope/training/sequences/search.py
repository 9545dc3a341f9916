"""Search: the output sequence that a trained decoder finds most probable, greedily or with a beam.

References:
    A. Graves, "Sequence transduction with recurrent neural networks", 2012 (beam search).
    Y. Wu et al., "Google's neural machine translation system", 2016, equation 14, with the length penalty |Y|, that
    is, hypotheses are compared by their mean log-probability a symbol.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from downslope.training.device import in_float64
from downslope.training.models.seq2seq import Seq2Seq, select
from downslope.training.sequences.symbols import END, START, lengths


@dataclass(frozen=True)
class Hypothesis:
    """One output sequence.

    Attributes:
        numbers: Its symbols, without END.
        log_probability: Natural logarithm of its probability, END included where it was reached.
        ended: Whether it ended by itself, before the longest length allowed.
        attention: Shape (symbols and END, length of the input), or None without attention.
    """

    numbers: tuple[int, ...]
    log_probability: float
    ended: bool
    attention: Tensor | None = None

    @property
    def score(self) -> float:
        """Mean log-probability a symbol, END counted as one."""
        return self.log_probability / (len(self.numbers) + self.ended or 1)


def longest_outputs(inputs: Tensor) -> Tensor:
    """Return the number of places after which a search gives up: twice an input's length, and ten; shape (rows,)."""
    return 2 * lengths(inputs) + 10


@torch.no_grad()
def search_greedily(model: Seq2Seq, inputs: Tensor) -> list[Hypothesis]:
    """Return for each input the sequence of the most probable symbol at every place: the same as it has alone.

    Args:
        model: In evaluation mode.
        inputs: int64 of shape (examples, length), padded with 0.
    """
    encoded = model.encode(inputs)
    state, shown = encoded.state, torch.full_like(inputs[:, :1], START)
    going, ended = torch.ones(len(inputs), dtype=torch.bool), torch.zeros(len(inputs), dtype=torch.bool)
    written, longest = torch.zeros(len(inputs), dtype=torch.int64), longest_outputs(inputs).cpu()
    total = torch.zeros(len(inputs), dtype=torch.float64)
    chosen: list[Tensor] = []
    attention: list[Tensor] = []
    while going.any():
        logits, state, weights = model.decode(shown, encoded, state)
        best, found = (part.cpu() for part in _log_probabilities(logits).max(-1))
        shown = found.to(inputs.device)
        total += torch.where(going, best[:, 0], 0.0)
        chosen.append(found[:, 0])
        if weights is not None:
            attention.append(weights[:, 0])
        ends = found[:, 0] == END
        ended |= going & ends
        going &= ~ends
        written += going
        going &= written < longest
    rows = torch.stack(chosen, 1).tolist()
    drawn = torch.stack(attention, 1).cpu() if attention else None
    read = lengths(inputs).tolist()
    hypotheses: list[Hypothesis] = []
    for index, (row, length, end) in enumerate(zip(rows, written.tolist(), ended.tolist(), strict=True)):
        weights = None if drawn is None else drawn[index, : length + end, : read[index]]
        hypotheses.append(Hypothesis(tuple(row[:length]), float(total[index]), end, weights))
    return hypotheses


@torch.no_grad()
def search_with_beam(model: Seq2Seq, inputs: Tensor, width: int) -> list[Hypothesis]:
    """Return the most probable sequences for one input, best first.

    Hypotheses that have ended stand aside until none of those still growing can have a better score.

    Args:
        model: In evaluation mode.
        inputs: int64 of shape (1, length).
        width: How many hypotheses are kept at each place, and returned at most.
    """
    encoded = model.encode(inputs)
    state, shown = encoded.state, torch.full((1, 1), START, device=inputs.device)
    growing = [Hypothesis((), 0.0, ended=False, attention=torch.zeros((0, inputs.shape[1])))]
    ended: list[Hypothesis] = []
    longest = int(longest_outputs(inputs))
    for _ in range(longest):
        logits, state, weights = model.decode(shown, encoded.repeat(len(growing)), state)
        steps = _log_probabilities(logits)[:, 0].cpu()
        weights = None if weights is None else weights.cpu()
        totals = torch.tensor([h.log_probability for h in growing], dtype=torch.float64)[:, None] + steps
        best, places = totals.flatten().topk(min(2 * width, totals.numel()))
        kept: list[tuple[int, int, Hypothesis]] = []
        for total, place in zip(best.tolist(), places.tolist(), strict=True):
            if total == -torch.inf:
                break
            row, symbol = divmod(place, totals.shape[1])
            parent = growing[row]
            drawn = None if weights is None or parent.attention is None else torch.cat([parent.attention, weights[row]])
            if symbol == END:
                ended.append(Hypothesis(parent.numbers, total, ended=True, attention=drawn))
            elif len(kept) < width:
                kept.append((row, symbol, Hypothesis((*parent.numbers, symbol), total, ended=False, attention=drawn)))
        ended = sorted(ended, key=lambda h: -h.score)[:width]
        growing = [hypothesis for _, _, hypothesis in kept]
        # A hypothesis of n symbols only loses probability as it grows, so its score can rise no further than to what
        # its probability would be, spread over the longest output.
        could_rise_to = max((h.log_probability for h in growing), default=-torch.inf) / longest
        if not growing or (len(ended) == width and could_rise_to < ended[-1].score):
            return ended
        rows = torch.tensor([row for row, _, _ in kept], device=inputs.device)
        state, shown = select(state, rows), torch.tensor([[symbol] for _, symbol, _ in kept], device=inputs.device)
    return ended or sorted(growing, key=lambda h: -h.score)


def _log_probabilities(logits: Tensor) -> Tensor:
    """Return the log-probability of each symbol, float64; padding and START, which are never written, have none."""
    found = in_float64(logits).log_softmax(-1)
    found[..., :END] = -torch.inf
    return found
