"""What docs/scale.md says of a step on many machines: counted in the exchange itself, and worked out by hand."""

import re

import pytest
import torch

from downslope.training.run.tree_sum import TreeSum
from downslope.training.workers.ordered_sum import all_reduce
from downslope.training.workers.workers import LeafNote, Workers
from house.source_tree import ROOT


class Counting(Workers):
    """One of several workers that all have the same; it counts the bytes that it sends to the others."""

    def __init__(self, rank, size):
        self.rank, self.size, self.gradients, self.told = rank, size, 0, 0

    def all_gather_bytes(self, data):
        """Return the same from all."""
        self.told += len(data) * (self.size - 1)
        return [data] * self.size

    def all_to_all(self, sent, got, sizes):
        """Take what goes to one for what comes from each."""
        part = len(sent) // self.size
        self.gradients += len(sent) - part
        got.copy_(sent[self.rank * part : (self.rank + 1) * part].repeat(self.size))
        assert sizes == [part] * self.size
        return lambda: None

    def all_gather(self, sent, got):
        """Have the same from all."""
        self.gradients += (self.size - 1) * sent.nbytes
        got.copy_(sent.repeat(self.size))
        return lambda: None

    def memory(self, use, count, like):
        """Return new memory."""
        return torch.zeros(count, dtype=like.dtype)

    def own_signal(self):
        """Return that there was none."""
        return 0


@pytest.mark.parametrize("size", [2, 4, 8])
def test_gradients_travel_as_often_as_in_a_ring(size):
    """A worker sends 2 (W - 1)/W of the gradients' bytes, and the header of the table."""
    like = [torch.zeros(24, 32), torch.zeros(64)]
    parameters = sum(tensor.numel() for tensor in like)
    for leaves in (size, 4 * size):
        workers, tree = Counting(1, size), TreeSum(leaves // size)
        note = LeafNote(1 / leaves, torch.zeros(()), None, 1, 1)
        for _ in range(leaves // size):
            tree.add([tensor + 1 for tensor in like])
        sums = all_reduce(workers, tree, [note] * (leaves // size), [], leaves=leaves, like=like)[0]
        assert workers.gradients == 2 * (size - 1) * 4 * parameters // size
        assert workers.told == (size - 1) * (1 + 49 * leaves // size + 2 * len(like))
        assert sums.terms[1][0] == leaves


def machine_rows():
    """Return the block of the page that works out machines, as its functions."""
    page = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    (block,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def machine" in text)
    found = {}
    exec(block.partition("rows = ")[0], found)  # noqa: S102 - the page of this very project
    return found


def test_what_leaves_a_machine():
    """64 workers, 8 on a machine, 25 million numbers of 4 bytes: 100 MB."""
    machine = machine_rows()["machine"]
    alone = machine(8, 8, 25_000_000, 0.1, 256, 110e3, 0.004, 400)
    assert alone["leaves it, MB"] == alone["a ring, MB"] == 0
    assert alone["learning"] == 1
    many = machine(64, 8, 25_000_000, 0.1, 256, 110e3, 0.004, 400)
    assert many["leaves it, MB"] == pytest.approx(8 * 56 / 64 * 100 + 63 / 64 * 100)  # to all others, then round once
    assert many["a ring, MB"] == pytest.approx(2 * 63 / 64 * 100)
    seconds = 0.1 + many["leaves it, MB"] * 1e6 / 50e9
    assert many["learning"] == pytest.approx(0.1 / seconds)
    assert many["read, MB/s"] == pytest.approx(8 * 256 / seconds * 0.11)
    assert many["processors"] == pytest.approx(8 * 256 / seconds * 0.004)
