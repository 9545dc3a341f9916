"""A model's buffers in a step of several leaves: running statistics and whatever else a forward pass changes.

What lives here: every leaf finds the buffers as they were before the step, and the step leaves their mean over its
leaves, weighted as their losses are. So they do not depend on which process computes a leaf, nor on which came first.
What does not: gradients (`gradients.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError
from downslope.training.tree_sum import Terms


class StepBuffers:
    """A model's buffers during one step.

    Numbers are averaged. What is no floating-point number, such as a count of steps, is that of the last leaf.

    Args:
        model: The model, before the step's first forward pass.

    Attributes:
        changed: Whether any leaf so far has changed it, for each buffer.
    """

    def __init__(self, model: nn.Module) -> None:
        """Remember the buffers."""
        self._model = model
        self._before = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
        self.changed = [False] * len(self._before)

    def take(self, weight: float, *, last: bool) -> Terms:
        """Return a leaf's share in the buffers, and put them back to what they were before the step.

        Args:
            weight: The leaf's weight; the weights of a step sum to 1.
            last: Whether it is the step's last leaf.
        """
        if not self._before:
            return []
        terms: Terms = []
        now = dict(self._model.named_buffers())
        with torch.no_grad():
            for index, (name, before) in enumerate(self._before.items()):
                buffer = now.get(name)
                if buffer is None or buffer.shape != before.shape or buffer.dtype != before.dtype:
                    raise DataError(
                        f"the model's forward pass changes the shape or type of its buffer `{name}`. A step of several "
                        "batches or shards averages buffers; keep their form, or use train.shards = 1 and "
                        "train.accumulate = 1."
                    )
                differs = not torch.equal(buffer, before)
                self.changed[index] |= differs
                if _is_averaged(before):
                    terms.append(buffer * weight)
                else:
                    terms.append(buffer.clone() if last else None)
                if differs:
                    buffer.copy_(before)
        return terms

    def put(self, terms: Terms) -> None:
        """Put the step's buffers into the model.

        Args:
            terms: The sum of all leaves' shares; None for a buffer that stays as it was.
        """
        with torch.no_grad():
            for buffer, term in zip(self._model.buffers(), terms, strict=True):
                if term is not None:
                    buffer.copy_(term)


def _is_averaged(buffer: Tensor) -> bool:
    return buffer.is_floating_point() or buffer.is_complex()
