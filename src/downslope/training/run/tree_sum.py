"""A sum whose order is fixed: a binary tree that depends on the number of terms alone.

The tree is folded as terms come in, from the first or from any other, so that several processes can each fold a part
and in the end have done the very additions of one.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Terms = list["Tensor | None"]
"""One tensor, or None for nothing at all, for each thing that is summed."""


@dataclass(frozen=True)
class Subtree:
    """The sum of consecutive terms.

    Attributes:
        start: Place of the first.
        size: How many they are; a power of two that divides `start`.
        terms: Their sum.
    """

    start: int
    size: int
    terms: Terms


class TreeSum:
    """A sum in a binary tree that is fixed by the number of terms, holding log2 of them at a time.

    Like a binary counter: two subtrees of equal size are added as soon as both are there. What is left at the end, each
    smaller than the one before, is added from the right.

    Args:
        start: Place of the first term that will be added.

    Example:
        >>> import torch
        >>> tree = TreeSum()
        >>> for value in (1.0, 2.0, 3.0):
        ...     tree.add([torch.tensor(value)])
        >>> tree.total()
        [tensor(6.)]
    """

    def __init__(self, start: int = 0) -> None:
        """Start empty."""
        self._next = start
        self._subtrees: list[Subtree] = []

    def add(self, terms: Terms, size: int = 1) -> None:
        """Add the next term, or the sum of the next `size` of them; its tensors may be written to.

        Args:
            terms: One tensor, or None for zero, for each thing that is summed.
            size: How many terms these are the sum of, as in `Subtree`.
        """
        # Subtrees are joined only where the whole tree joins them, which their start and size tell: so a worker that
        # begins in the middle leaves unjoined what another worker's terms stand between.
        start = self._next
        self._next += size
        while self._subtrees:
            left = self._subtrees[-1]
            if left.size != size or left.start % (2 * size):
                break
            self._subtrees.pop()
            start, size, terms = left.start, 2 * size, _sum(left.terms, terms)
        self._subtrees.append(Subtree(start, size, terms))

    def subtrees(self) -> list[Subtree]:
        """Return what the terms so far have come to: whole subtrees of the tree, in order."""
        return self._subtrees

    def total(self) -> Terms:
        """Return the sum, and start anew. There must be at least one term, and the first at place 0."""
        # From the right, as the same tree over the next power of two would do it, with nothing in its other leaves.
        total = self._subtrees.pop().terms
        while self._subtrees:
            total = _sum(self._subtrees.pop().terms, total)
        self._next = 0
        return total


def subtree_sizes(places: range) -> list[int]:
    """Return the sizes of the subtrees that the terms at consecutive places come to.

    Example:
        >>> subtree_sizes(range(3, 8))
        [1, 4]
    """
    tree = TreeSum(places.start)
    for _ in places:
        tree.add([])
    return [subtree.size for subtree in tree.subtrees()]


def _sum(left: Terms, right: Terms) -> Terms:
    return [b if a is None else (a if b is None else a.add_(b)) for a, b in zip(left, right, strict=True)]
