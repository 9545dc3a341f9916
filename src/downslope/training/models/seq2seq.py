"""Encoder and decoder: a recurrent network reads the input into its representation, another writes the output from it.

Padding changes nothing: a padded batch gives each example the numbers it has alone.

References:
    I. Sutskever, O. Vinyals, Q. V. Le, "Sequence to sequence learning with neural networks", NeurIPS 2014 (LSTM).
    K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014 (GRU).
    M.-T. Luong, H. Pham, C. D. Manning, "Effective approaches to attention-based neural machine translation",
    EMNLP 2015, equations 5 to 8 (attention, here without input feeding, so that the decoder runs in one call).
    S. Bengio et al., "Scheduled sampling for sequence prediction with recurrent neural networks", NeurIPS 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from downslope.core.errors import DataError
from downslope.training.sequences.symbols import PAD, START, lengths
from downslope.training.user_code import read_options

if TYPE_CHECKING:
    from downslope.recipe.schema import Model
    from downslope.training.data import Dataset


@dataclass(frozen=True, kw_only=True)
class Seq2SeqOptions:
    """Options of "seq2seq": the table ``[model.options]``.

    Attributes:
        cell: "lstm" or "gru".
        hidden: Width of the representation; both directions of the encoder together have this width.
        embedding: Width of the vectors that stand for symbols.
        layers: Recurrent layers of the encoder, and of the decoder.
        bidirectional: Whether the encoder reads from both ends.
        attention: "general" or "dot" (Luong's scores), or "none".
        dropout: Probability in [0, 1) of dropping an embedding, an output between layers, or an output.
    """

    cell: Literal["lstm", "gru"] = "lstm"
    hidden: int = 256
    embedding: int = 64
    layers: int = 1
    bidirectional: bool = True
    attention: Literal["general", "dot", "none"] = "general"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("hidden", "embedding", "layers"):
            if (value := getattr(self, name)) < 1:
                raise DataError(f"`{name}` must be >= 1; got {value}.")
        if self.bidirectional and self.hidden % 2:
            raise DataError(f"`hidden` must be even where the encoder reads from both ends; got {self.hidden}.")
        if not 0 <= self.dropout < 1:
            raise DataError(f"`dropout` must be in [0, 1); got {self.dropout!r}.")


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of a batch.

    Attributes:
        memory: Its outputs, shape (examples, length, hidden).
        padding: Whether a place holds no symbol, bool of shape (examples, length).
        state: Where the decoder begins: (layers, examples, hidden), a pair of them for an LSTM.
    """

    memory: Tensor
    padding: Tensor
    state: Any

    def repeat(self, times: int) -> Encoded:
        """Return each example `times` times in a row."""
        return Encoded(
            self.memory.repeat_interleave(times, 0),
            self.padding.repeat_interleave(times, 0),
            _map(self.state, lambda part: part.repeat_interleave(times, 1)),
        )


def select(state: Any, rows: Tensor) -> Any:
    """Return the decoder's state (as in `Encoded`) of the examples of these int64 indices."""
    return _map(state, lambda part: part[:, rows].contiguous())


def build(model: Model, dataset: Dataset) -> nn.Module:
    """Return the encoder and decoder that a recipe asks for; raise DataError if the data are no sequences."""
    options = read_options(Seq2SeqOptions, model.options, "model")
    if dataset.sequences is None:
        raise DataError(
            f"model `seq2seq`: needs data whose inputs and targets are sequences; data.name = {dataset.name!r} has "
            f"inputs of shape {tuple(dataset.train_inputs.shape)} and targets of shape "
            f'{tuple(dataset.train_targets.shape)}. Use for example data.name = "cmudict" or "rearranged".'
        )
    return Seq2Seq(len(dataset.sequences.inputs), len(dataset.sequences.targets), options)


class Seq2Seq(nn.Module):
    """An encoder and a decoder of so many different inputs and targets, each number one, 0 being padding."""

    def __init__(self, inputs: int, targets: int, options: Seq2SeqOptions) -> None:
        super().__init__()
        self.options = options
        cell = nn.LSTM if options.cell == "lstm" else nn.GRU
        hidden, both = options.hidden, options.bidirectional
        between = options.dropout if options.layers > 1 else 0.0
        self.input_embedding = nn.Embedding(inputs, options.embedding, padding_idx=PAD)
        self.target_embedding = nn.Embedding(targets, options.embedding, padding_idx=PAD)
        self.encoder = cell(
            options.embedding,
            hidden // 2 if both else hidden,
            options.layers,
            batch_first=True,
            bidirectional=both,
            dropout=between,
        )
        self.decoder = cell(options.embedding, hidden, options.layers, batch_first=True, dropout=between)
        if options.attention == "general":
            self.score = nn.Linear(hidden, hidden, bias=False)
        if options.attention != "none":
            self.combine = nn.Linear(2 * hidden, hidden, bias=False)
        self.logits = nn.Linear(hidden, targets)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, inputs: Tensor, targets: Tensor, teacher_forcing: float = 1.0) -> Tensor:
        """Return logits for each place of the targets.

        Args:
            inputs: int64 of shape (examples, length), padded with 0.
            targets: int64 of shape (examples, places), END and then padding last.
            teacher_forcing: Probability, in [0, 1], that a place is shown the true symbol before it; otherwise it is
                shown the one that the model itself finds most probable there.

        Returns:
            Shape (examples, places, symbols).
        """
        encoded = self.encode(inputs)
        start = torch.full_like(targets[:, :1], START)
        true = torch.cat([start, targets[:, :-1]], 1)
        if teacher_forcing >= 1:
            return self.decode(true, encoded, encoded.state)[0]
        forced = (torch.rand(true.shape) < teacher_forcing).to(true.device)  # drawn on the host: the same on any device
        state, shown, places = encoded.state, start, list[Tensor]()
        for place in range(true.shape[1]):
            logits, state, _ = self.decode(shown, encoded, state)
            places.append(logits)
            if place + 1 < true.shape[1]:
                own = logits[:, 0].detach().argmax(-1)
                shown = torch.where(forced[:, place + 1], true[:, place + 1], own)[:, None]
        return torch.cat(places, 1)

    def encode(self, inputs: Tensor) -> Encoded:
        """Return what the encoder makes of inputs.

        Args:
            inputs: int64 of shape (examples, length), padded with 0.
        """
        embedded = self.dropout(self.input_embedding(inputs))
        packed = pack_padded_sequence(embedded, lengths(inputs).cpu(), batch_first=True, enforce_sorted=False)
        outputs, state = self.encoder(packed)
        memory, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        if self.options.bidirectional:
            state = _map(state, self._join_directions)
        return Encoded(memory, inputs == PAD, state)

    def decode(self, shown: Tensor, encoded: Encoded, state: Any) -> tuple[Tensor, Any, Tensor | None]:
        """Return what the decoder says after each of some symbols.

        Args:
            shown: The symbols before each place, int64 of shape (examples, places).
            encoded: From `encode`.
            state: The state before the first of these places.

        Returns:
            Logits of shape (examples, places, symbols), the state after the last place, and the attention of each
            place, shape (examples, places, length), or None without attention.
        """
        outputs, state = self.decoder(self.dropout(self.target_embedding(shown)), state)
        weights = None
        if self.options.attention != "none":
            keys = self.score(outputs) if self.options.attention == "general" else outputs
            scores = torch.bmm(keys, encoded.memory.transpose(1, 2))
            weights = scores.masked_fill(encoded.padding[:, None], float("-inf")).softmax(-1)
            context = torch.bmm(weights, encoded.memory)
            outputs = torch.tanh(self.combine(torch.cat([context, outputs], -1)))
        return self.logits(self.dropout(outputs)), state, weights

    def _join_directions(self, state: Tensor) -> Tensor:
        layers, examples = self.options.layers, state.shape[1]
        apart = state.view(layers, 2, examples, -1).transpose(1, 2)
        return apart.reshape(layers, examples, self.options.hidden).contiguous()


def _map(state: Any, function: Any) -> Any:
    if isinstance(state, tuple):  # an LSTM's hidden and cell state
        return tuple(function(part) for part in cast("tuple[Tensor, ...]", state))
    return function(state)
