"""Runs on several processes for the tests: forked from one that has torch, and killed at chosen steps.

A program too, so that no test's own process is forked: worker_runs.py FOLDER [matrix] [cases] [exchanges] [sharded]
"""

import functools
import gc
import hashlib
import importlib
import itertools
import os
import shutil
import signal
import struct
import sys
import traceback
from pathlib import Path

import torch
import torch._dynamo  # what torch's sharding loads at its first use: once here, not in each process
from training_runs import fingerprints, tiny

from downslope.cli.main import explain
from downslope.training.folder.checkpoint import encode_tensors
from downslope.training.folder.run_folder import RunFolder
from downslope.training.run import held_out
from downslope.training.run import train as loop
from downslope.training.run.plan import plan_run
from downslope.training.run.tree_sum import TreeSum
from downslope.training.sequences import objective
from downslope.training.workers import ordered_sum
from downslope.training.workers.broadcast import broadcast_plan
from downslope.training.workers.launch import Launch, WorkerFailedError
from downslope.training.workers.process_group import joined
from downslope.training.workers.workers import LeafNote, Workers

BASE = {"data__batch_size": "16", "train__shards": "4", "train__epochs": "3"}
LONGER = {**BASE, "train__epochs": "5"}
EVERYTHING = {
    **BASE,
    "model": '{ name = "worker_tasks:everything" }',
    "train__accumulate": "2",
    "train__ema": "0.9",
    "train__clip_norm": "0.7",
    "train__epochs": "6",
    "data__batch_size": "10",
}
"""40 examples in batches of 10, two batches a step: 2 steps to an epoch, 12 steps of 8 leaves."""

CASES = {
    "everything": (EVERYTHING, (1, 2, 4, 8)),
    "dropout, three workers": (
        {**BASE, "model": '{ name = "training_tasks:dropout" }', "train__shards": "6"},
        (1, 3, 6),
    ),
    "noise": ({**BASE, "model": '{ name = "training_tasks:noisy" }'}, (1, 2, 4)),
    "skip": (
        {**LONGER, "train__loss": "training_tasks:sometimes_infinite", "train__on_nonfinite": "skip"},
        (1, 4),
    ),
    "rewind": (
        {
            **LONGER,
            "train__loss": '"training_tasks:sometimes_infinite"',
            "train__on_nonfinite": "rewind",
            "checkpoint__every_steps": "2",
        },
        (1, 4),
    ),
    "plateau and early stop": (
        {
            **LONGER,
            "sgd__lr": "0.2",
            "train__plateau": "{ patience = 1, factor = 0.5, min_delta = 0.02 }",
            "train__early_stop": "{ patience = 2, min_delta = 0.05 }",
        },
        (1, 2),
    ),
    "bfloat16": ({**BASE, "model": '{ name = "training_tasks:dropout" }', "train__precision": "bfloat16"}, (1, 2)),
    "sequences": (
        {
            **BASE,
            "data__name": '"rearranged"',
            "data__options": "{ examples = 60, longest = 6, longest_held_out = 7 }",
            "model": '{ name = "seq2seq", options = { hidden = 8, embedding = 4, dropout = 0.2 } }',
            "train__teacher_forcing": "0.5",
        },
        (1, 4),
    ),
    "class weights": ({**BASE, "train__class_weights": "[3.0, 0.1, 1.0]", "data__batch_size": "10"}, (1, 2, 4)),
    "tied weights": ({**BASE, "model": '{ name = "training_tasks:tied" }'}, (1, 4)),
}

LATE = (
    *("numpy.ctypeslib", "numpy.random", "tomli_w", "training_tasks", "worker_tasks", "torch.distributed.fsdp"),
    *(f"downslope.training.{name}" for name in ("data.own_items", "data.loader_child", "models.mlp", "report.page")),
)
"""What a run loads at its first use: once here, not in each process."""


class Killer:
    """A console that at a chosen step ends some of the workers, with no chance to save.

    Args:
        at: Steps done when it does; None for never.
        victims: Their ranks.
        rank: This worker's.
    """

    def __init__(self, at, victims, rank):
        self.at, self.victims, self.rank = at, victims, rank

    def say(self, text):
        pass

    def progress(self, step, total, fields):
        if step == self.at and self.rank in self.victims:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self):
        pass


def train(recipe, folder, size, *, at=None, victims=(), timeout=300.0):
    """Train in a folder on some workers, each in a process of its own, and perhaps kill some of them at a step."""
    return train_each([(recipe, folder)], size, at=at, victims=victims, timeout=timeout)


def train_each(runs, size, *, at=None, victims=(), timeout=300.0):
    """Train recipes in folders one after another on the same workers; see `train`."""
    loop._SHOW_SECONDS = 0.0
    # the held-out examples are few: several batches of them, so that every worker measures some
    held_out.BATCH, objective._RATED_AT_ONCE = 3, 4

    def work(place):
        with joined(place, timeout) as workers:
            return follow(workers)

    def follow(workers):
        for recipe, folder in runs:
            sharded = recipe.train.parallel == "sharded"
            make = functools.partial(plan_run, recipe, name="tiny", out=Path(folder))
            plan = broadcast_plan(workers, make, sharded=sharded)
            console = Killer(at, victims, workers.rank)
            outcome = loop.train(plan, recipe, console, report=False, workers=workers)
            if not outcome.finished:
                return 128 + outcome.signal
        return 0

    if size == 1:
        work = lambda place: follow(Workers())  # noqa: E731  alone, as without --workers, but killed like the others
    try:
        return Launch(work, size=size, timeout=timeout, explain=explain).go()
    except WorkerFailedError as failed:
        if at is None:
            raise
        return str(failed)


def show(what, found):
    """Print the hashes of a run."""
    print(f"{what:<44} " + " ".join(f"{name.split('.')[0]} {value[:16]}" for name, value in sorted(found.items())))


def matrix(root):
    """Kill a run on every number of workers, resume it on every other, and compare with the run of one process."""
    recipe = tiny(**EVERYTHING)
    train(recipe, root / "whole", 1)
    expected = fingerprints(root / "whole")
    show("1 worker, uninterrupted", expected)
    sizes = (1, 2, 4)
    paths = [
        *((pair, "all") for pair in itertools.permutations(sizes, 2)),
        *((pair, "last") for pair in itertools.permutations(sizes, 2) if pair[0] > 1),
        ((4, 1, 2, 4), "all"),
        ((2, 4, 1, 8), "last"),
    ]
    for number, (path, which) in enumerate(paths):
        folder = root / str(number)
        for index, size in enumerate(path[:-1]):
            killed = root / f"{which}-killed-{path[: index + 1]}"
            if not killed.exists():
                saving = tiny(**EVERYTHING, checkpoint__every_steps="2") if which == "all" else recipe
                victims = range(size) if which == "all" else (size - 1,)
                said = train(saving, folder, size, at=5 + 3 * index, victims=victims)
                assert "SIGKILL" in said, said
                shutil.copytree(folder, killed)
            else:  # another path begins in the same way
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(killed, folder)
        assert train(recipe, folder, path[-1]) == 0
        found = fingerprints(folder)
        show(f"{' -> '.join(map(str, path))} workers, {which} killed", found)
        assert found == expected, f"{path}, {which} killed"
        shutil.rmtree(folder)


def cases(root):
    """Train every case uninterrupted on every number of workers that may share it."""
    for size in sorted({size for _, sizes in CASES.values() for size in sizes}):
        runs = [(tiny(**what), root / name / str(size)) for name, (what, sizes) in CASES.items() if size in sizes]
        assert train_each(runs, size) == 0
    for name, (_, sizes) in CASES.items():
        found = [fingerprints(root / name / str(size)) for size in sizes]
        for size, one in zip(sizes, found, strict=True):
            show(f"{name}: {size} workers", one)
        assert all(other == found[0] for other in found), name


def sharded(root):
    """Train a model that no process holds whole, kill it, resume it on other numbers: weights and velocities equal."""
    overrides = {
        **BASE,
        "model": '{ name = "mlp", hidden = [9, 5] }',
        "train__epochs": "4",
        "train__accumulate": "2",
        "data__batch_size": "9",  # 5 batches, the last of 4: steps of 8, 8 and 4 leaves
        "train__shards": "4",
        "sgd__nesterov": "true",
    }
    train(tiny(**overrides), root / "whole", 1)
    expected = weights(root / "whole")
    overrides["train__parallel"] = "sharded"
    paths = [(4,), (1, 4), (2, 4), (4, 1), (4, 2), (8, 2, 4)]
    for number, path in enumerate(paths):
        if number == 1:  # every norm is gathered piece by piece: that is tried once, and of no matter to the weights
            overrides |= {"train__log_every": "5", "train__measure_every": "0"}
        recipe, saving = tiny(**overrides), tiny(**overrides, checkpoint__every_steps="2")
        folder = root / str(number)
        for index, size in enumerate(path[:-1]):
            said = train(saving, folder, size, at=5 + 3 * index, victims=range(size) if number % 2 else (size - 1,))
            assert "SIGKILL" in said, said
        assert train(recipe, folder, path[-1]) == 0
        found = weights(folder)
        show(f"sharded: {' -> '.join(map(str, path))} workers", found)
        assert found == expected, path


def weights(folder):
    """Return hashes of a run's final weights, and of weights and velocities put together from all workers' files."""
    last = RunFolder(folder).last().tensors
    digests = {part: hashlib.sha256(encode_tensors(last[part])).hexdigest() for part in ("model", "optimizer")}
    return {**digests, "final": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()}


def exchanges(root):
    """Sum random terms, some of them None, over workers, and compare bits with the sum of one process."""
    ordered_sum.BUCKET = 100  # bytes: several buckets
    for size, several in ((1, (1,)), (2, (2, 3)), (3, (8,)), (4, (2, 16)), (5, (13,)), (7, (20,))):
        folder = root / f"{size}"
        folder.mkdir(parents=True)

        def work(place, several=several, folder=folder):
            with joined(place, 300.0) as workers:
                for leaves, seed in itertools.product(several, range(6)):
                    (folder / f"{leaves}.{seed}.{workers.rank}").write_bytes(summed(workers, leaves, seed))
                return 0

        assert Launch(work, size=size, timeout=300.0, explain=explain).go() == 0
        for leaves, seed in itertools.product(several, range(6)):
            expected = summed(Workers(), leaves, seed)
            for rank in range(size):
                found = (folder / f"{leaves}.{seed}.{rank}").read_bytes()
                assert found == expected, (size, leaves, seed, rank)
        print(f"{' and '.join(map(str, several))} leaves on {size} workers")


def summed(workers, leaves, seed):
    """Return the bytes of a sum of random terms over some workers."""
    like = [
        torch.empty(3, 5),
        torch.empty(()),
        torch.empty(0),
        torch.empty(40, dtype=torch.float64),
        torch.empty(4, 2, 3, 3).to(memory_format=torch.channels_last),
        torch.empty(7, dtype=torch.bfloat16),
        torch.empty(11, dtype=torch.complex64),
        torch.empty(2),
        torch.empty(6, dtype=torch.bool),
    ]
    places = workers.indices(leaves)
    tree = TreeSum(places.start)
    notes, changed = [], [False, False]
    for place in places:
        draw = torch.Generator().manual_seed(1000 * seed + place)
        terms = []
        for tensor in like[:-1]:
            some = (
                torch.randn(tensor.shape, generator=draw, dtype=torch.float64).mul(10.0 ** (place % 7)).to(tensor.dtype)
            )
            some = torch.where(torch.rand(tensor.shape, generator=draw) < 0.2, -torch.zeros_like(some), some)
            missing = seed > 1 and torch.rand((), generator=draw) < (1.0 if seed == 5 else 0.5)
            terms.append(None if missing else some)
        terms.append(torch.rand(6, generator=draw) < 0.5 if place == leaves - 1 else None)
        changed = [changed[0] or place == 2, changed[1] or place == 0]
        tree.add(terms)
        notes.append(LeafNote(1 / (place + 3), torch.randn((), generator=draw), None, place))
    sums = workers.all_reduce(tree, notes, changed, leaves=leaves, like=like)
    assert [note.targets for note in sums.notes] == list(range(leaves))
    losses = b"".join(struct.pack("<d", note.weight * float(note.loss)) for note in sums.notes)
    return losses + b"|".join(
        b"none" if term is None else bytes(term.contiguous().view(-1).view(torch.uint8).numpy()) for term in sums.terms
    )


def main():
    """Run what the command line names, each in a process of its own."""
    root, *parts = sys.argv[1:]
    torch.set_num_threads(1)
    for late in LATE:
        importlib.import_module(late)
    gc.freeze()  # so that a forked process does not copy the pages of what was imported
    for part in parts:
        process = os.fork()  # what one part replaces is not replaced in the next
        if process == 0:
            code = 1
            try:
                {"matrix": matrix, "cases": cases, "exchanges": exchanges, "sharded": sharded}[part](Path(root) / part)
                print(f"{part}: all equal")
                code = 0
            except BaseException:  # noqa: BLE001  a forked process must never return into its parent's code
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        if os.waitpid(process, 0)[1]:
            sys.exit(f"{part}: failed")


if __name__ == "__main__":
    main()
