"""The sum over all workers' leaves, in exactly the order in which one process would add them.

Every worker has folded its own leaves into whole subtrees of the step's tree. Each then becomes the owner of one slice
of everything: it gets that slice of all subtrees, folds them in the tree's order, and hands the result to all. So each
worker sends and receives twice (size - 1)/size of the gradients, as in a ring all-reduce, but the additions are those
of `TreeSum` and depend on nothing else.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from downslope.training.run.tree_sum import Subtree, Terms, TreeSum, subtree_sizes
from downslope.training.workers.workers import LeafNote, Sums

if TYPE_CHECKING:
    from downslope.training.workers.process_group import WorkerGroup

BUCKET = 1 << 24
"""Bytes of each worker's terms that travel together: so much is sent while the sums of others are formed."""

_SLOTS = 3
"""Buckets under way at a time."""

_NOTE = struct.Struct("<ddqqq?d")  # as in LeafNote; -1 right answers for None, and whether there is a norm


@dataclass(frozen=True)
class _Header:
    """What a worker tells before its terms.

    Attributes:
        signal: Number of a signal that it received, or 0.
        notes: One for each of its leaves.
        present: For each of its subtrees, whether it has each term.
        changed: For each term, whether it must be summed at all.
    """

    signal: int
    notes: list[LeafNote]
    present: list[list[bool]]
    changed: list[bool]


def all_reduce(
    workers: WorkerGroup,
    tree: TreeSum,
    notes: Sequence[LeafNote],
    changed: Sequence[bool],
    *,
    leaves: int,
    like: Sequence[Tensor],
) -> tuple[Sums, int]:
    """Return the sums over all workers, and the largest signal number that any of them received.

    The arguments are those of `Workers.all_reduce`.
    """
    own = tree.subtrees()
    headers = _exchange_headers(workers, own, notes, changed, leaves, len(like))
    wanted = [
        any(header.changed[index] for header in headers)
        and any(present[index] for header in headers for present in header.present)
        for index in range(len(like))
    ]
    sums: Terms = [None] * len(like)
    buckets = [
        _Bucket(workers, own, headers, like, places, leaves, number % _SLOTS)
        for number, places in enumerate(_buckets(like, wanted))
    ]
    for turn in range(len(buckets) + _SLOTS - 1):  # one bucket is sent while another is added up and a third received
        if turn < len(buckets):
            buckets[turn].send()
        if 0 <= turn - 1 < len(buckets):
            buckets[turn - 1].fold()
        if 0 <= turn - 2 < len(buckets):
            buckets[turn - 2].receive(sums)
    every = tuple(note for header in headers for note in header.notes)
    return Sums(sums, every), max(header.signal for header in headers)


class _Bucket:
    """Terms of one format that travel together.

    `places` says which of the terms, `slot` which of the pieces of memory that the workers keep it uses.
    """

    def __init__(
        self,
        workers: WorkerGroup,
        own: Sequence[Subtree],
        headers: Sequence[_Header],
        like: Sequence[Tensor],
        places: Sequence[int],
        leaves: int,
        slot: int,
    ) -> None:
        self._workers, self._own, self._headers, self._places = workers, own, headers, places
        self._slot = slot
        self._like = [like[place] for place in places]
        self._leaves = leaves
        self._dtype = self._like[0].dtype
        count = sum(tensor.numel() for tensor in self._like)
        self._slice = -(-count // workers.size)  # elements of the slice that each worker owns
        self._wait: Callable[[], None] = lambda: None
        self._got = torch.empty(0)
        self._folded = torch.empty(0)

    def send(self) -> None:
        """Begin to send each owner its slice of this worker's subtrees."""
        size = self._workers.size
        flat = self._memory("sent", len(self._own), size * self._slice)
        for row, subtree in zip(flat, self._own, strict=True):
            offset = 0
            for place, like in zip(self._places, self._like, strict=True):
                if (term := subtree.terms[place]) is not None:
                    row[offset : offset + term.numel()].view(term.shape).copy_(term)
                offset += like.numel()
        # by owner first, then by subtree
        sent = flat.view(len(self._own), size, self._slice).transpose(0, 1).contiguous()
        rows = [len(header.present) for header in self._headers]
        self._got = self._memory("got", sum(rows), self._slice)
        self._wait = self._workers.all_to_all(_bytes(sent), _bytes(self._got), [n * self._row_bytes() for n in rows])

    def fold(self) -> None:
        """Add up this worker's slice of all subtrees, in the tree's order, and begin to hand it to all."""
        self._wait()
        total = self._memory("total", self._slice)
        segments = self._segments()
        tree = TreeSum()
        row = 0
        for rank, header in enumerate(self._headers):
            sizes = subtree_sizes(self._workers.indices(self._leaves, rank))
            for size, present in zip(sizes, header.present, strict=True):
                values = self._got[row]
                tree.add([values[part] if all(present[i] for i in which) else None for part, which in segments], size)
                row += 1
        for (part, _), term in zip(segments, tree.total(), strict=True):
            if term is not None:
                total[part] = term
        self._folded = self._memory("folded", self._workers.size * self._slice)
        self._wait = self._workers.all_gather(_bytes(total), _bytes(self._folded))

    def receive(self, sums: Terms) -> None:
        """Put the finished sums where they belong."""
        self._wait()
        offset = 0
        for place, like in zip(self._places, self._like, strict=True):
            values = self._folded[offset : offset + like.numel()].view(like.shape)
            sums[place] = self._memory_of(place, like).copy_(values)
            offset += like.numel()

    def _memory(self, use: str, *shape: int) -> Tensor:
        """Return memory that is kept from step to step: the system takes its time to hand out new one."""
        return self._workers.memory((self._slot, use), math.prod(shape), self._like[0]).view(shape)

    def _memory_of(self, place: int, like: Tensor) -> Tensor:
        """Return memory for a sum: that of one of this worker's own terms, which have been sent, or new."""
        own = (term for subtree in self._own if (term := subtree.terms[place]) is not None)
        found = next((term for term in own if term.stride() == like.stride()), None)
        return torch.empty_like(like) if found is None else found

    def _segments(self) -> list[tuple[slice, list[int]]]:
        """Return the pieces of this worker's slice that are added as one, with the terms in each.

        One piece holds all of it unless some subtree lacks some term: None is not zero, since -0 + 0 is 0.
        """
        everywhere = all(
            present[place] for header in self._headers for present in header.present for place in self._places
        )
        if everywhere:
            return [(slice(0, self._slice), list(self._places))]
        start = self._workers.rank * self._slice
        segments: list[tuple[slice, list[int]]] = []
        offset = -start
        for place, like in zip(self._places, self._like, strict=True):
            first, end = max(offset, 0), min(offset + like.numel(), self._slice)
            if first < end:
                segments.append((slice(first, end), [place]))
            offset += like.numel()
        return segments

    def _row_bytes(self) -> int:
        return self._slice * self._got.element_size()


def _exchange_headers(
    workers: WorkerGroup,
    own: Sequence[Subtree],
    notes: Sequence[LeafNote],
    changed: Sequence[bool],
    leaves: int,
    terms: int,
) -> list[_Header]:
    sizes = [subtree_sizes(workers.indices(leaves, rank)) for rank in range(workers.size)]
    counts = [len(workers.indices(leaves, rank)) for rank in range(workers.size)]
    length = 1 + max(counts) * _NOTE.size + (max(map(len, sizes)) + 1) * terms
    present = [[term is not None for term in subtree.terms] for subtree in own]
    kept = terms - len(changed)
    wanted = [any(row[index] for row in present) for index in range(kept)] + list(changed)
    packed = bytes([workers.own_signal()]) + b"".join(map(_pack, notes))
    packed += b"".join(bytes(row) for row in [wanted, *present])
    told = workers.all_gather_bytes(packed.ljust(length, b"\0"))
    headers = []
    for data, count, subtrees in zip(told, counts, sizes, strict=True):
        at = 1 + count * _NOTE.size
        rows = [[bool(b) for b in data[at + i * terms : at + (i + 1) * terms]] for i in range(len(subtrees) + 1)]
        unpacked = [_unpack(data[1 + i * _NOTE.size :]) for i in range(count)]
        headers.append(_Header(signal=data[0], notes=unpacked, present=rows[1:], changed=rows[0]))
    return headers


def _pack(note: LeafNote) -> bytes:
    correct = -1 if note.correct is None else int(note.correct)
    norm = math.nan if note.norm is None else note.norm
    return _NOTE.pack(
        note.weight, float(note.loss), correct, int(note.targets), note.terms, note.norm is not None, norm
    )


def _unpack(data: bytes) -> LeafNote:
    weight, loss, correct, targets, terms, has_norm, norm = _NOTE.unpack_from(data)
    return LeafNote(
        weight,
        torch.tensor(loss, dtype=torch.float64),
        None if correct < 0 else torch.tensor(correct),
        targets,
        terms,
        norm if has_norm else None,
    )


def _buckets(like: Sequence[Tensor], wanted: Sequence[bool]) -> list[list[int]]:
    """Return which terms travel together: those of one format, up to `BUCKET` bytes."""
    open_buckets: dict[torch.dtype, list[int]] = {}
    held: defaultdict[torch.dtype, int] = defaultdict(int)
    buckets: list[list[int]] = []
    for place, tensor in enumerate(like):
        if not wanted[place]:
            continue
        size = tensor.numel() * tensor.element_size()
        if tensor.dtype not in open_buckets or held[tensor.dtype] + size > BUCKET:
            open_buckets[tensor.dtype] = []
            held[tensor.dtype] = 0
            buckets.append(open_buckets[tensor.dtype])
        open_buckets[tensor.dtype].append(place)
        held[tensor.dtype] += size
    return buckets


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.view(-1).view(torch.uint8)
