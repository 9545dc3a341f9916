"""Small encoders and decoders for the tests of sequences, in float64 so that equal means equal."""

import torch

from downslope.training.models.seq2seq import Seq2Seq, Seq2SeqOptions

INPUTS, TARGETS = 8, 7
"""How many numbers each side has, padding and marks included."""


def small(seed=0, **options):
    """Return a model with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    options = {"hidden": 6, "embedding": 4, **options}
    model = Seq2Seq(INPUTS, TARGETS, Seq2SeqOptions(**options)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that its opinions differ clearly
    return model
