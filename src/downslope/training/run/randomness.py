"""All randomness of training, as pure functions of the seed and of what the numbers are for.

No random state is ever stored: the order of an epoch is a function of (seed, epoch), and the generators that a model
may draw from (torch, NumPy, random) are seeded anew for every (seed, step, shard). So resuming needs only the step,
and a shard draws the same numbers whichever process runs it.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch

from downslope.training.device import HOST, seed_device

_as_text = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make an encoder for each of many seeds


def derive_seed(seed: int, *purpose: int | str) -> int:
    """Return a 64-bit seed for one purpose; different purposes get independent ones.

    Args:
        seed: The recipe's seed.
        *purpose: Words and numbers that say what the numbers are for.

    Returns:
        An integer in [0, 2**64).

    Example:
        >>> derive_seed(0, "init") == derive_seed(0, "init"), derive_seed(0, "init") == derive_seed(1, "init")
        (True, False)
    """
    # A JSON list keeps ("a", 1) apart from ("a1",) and 1 apart from "1".
    text = _as_text([seed, *purpose])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def permutation(seed: int, epoch: int | str, n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the order in which an epoch visits its examples.

    NumPy promises that a bit generator's raw stream stays the same from version to version, but not what
    `Generator.permutation` makes of it. Hence raw numbers, put in order by a stable sort.

    Args:
        seed: The recipe's seed.
        epoch: Epoch, 0-based, or a word for an order used once.
        n: Number of examples.

    Returns:
        int64 array of shape (n,): each of 0 to n - 1 once.

    References:
        Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox).
        NEP 19, "Random number generator policy" (NumPy).

    Example:
        >>> permutation(0, 0, 5)
        array([1, 0, 3, 2, 4])
    """
    raw = np.random.Philox(key=derive_seed(seed, "permutation", epoch)).random_raw(n)
    order = np.argsort(raw)  # which is stable, and takes a third of the time, where no two numbers are equal
    in_order = raw[order]
    if (in_order[1:] == in_order[:-1]).any():
        order = np.argsort(raw, kind="stable")
    return order.astype(np.int64, copy=False)


def reseed(seed: int, step: int, shard: int | str, *, own_code: bool = True, device: torch.device = HOST) -> None:
    """Seed the global generators of torch, NumPy and random for one shard of one step.

    Args:
        seed: The recipe's seed.
        step: Step, 0-based.
        shard: Shard, 0-based, or a word such as "evaluation".
        own_code: Whether a person's own code will run, which may draw from any of them; ours draws from torch's alone.
        device: Where the shard is computed. What operations there draw comes from a generator of the device's own,
            which gets the same seed.
    """
    # Seeded anew for each shard of each step, no generator's state ever needs saving, and none depends on which worker
    # has computed what before. NumPy's and Python's cost more than a small step, so they are seeded only when needed.
    value = (
        _shard_seeds(seed, step // _AHEAD, shard)[step % _AHEAD]
        if isinstance(shard, int) and shard < _KEPT
        else derive_seed(seed, "shard", step, shard)
    )
    torch.default_generator.manual_seed(value)  # the CPU's; torch.manual_seed takes 90 times as long to do the same
    if device is not HOST:
        seed_device(device, value)
    if own_code:
        np.random.seed(value & 0xFFFFFFFF)  # noqa: NPY002  the global generator, for models and data that draw from it
        random.seed(value)


_AHEAD = 64
"""Steps whose seeds are derived together: code that has just run takes a fifth of the time."""


_KEPT = 64
"""Shards whose seeds are kept; those of more are derived one by one."""


@lru_cache(maxsize=_KEPT)
def _shard_seeds(seed: int, block: int, shard: int) -> tuple[int, ...]:
    """Return a shard's seeds in the `_AHEAD` steps of a block."""
    return tuple(derive_seed(seed, "shard", step, shard) for step in range(block * _AHEAD, (block + 1) * _AHEAD))


def reseed_example(seed: int, purpose: str, epoch: int, *indices: int) -> None:
    """Seed the global generators of torch, NumPy and random for what a person's own Dataset draws for an example.

    Args:
        seed: The recipe's seed.
        purpose: What is read: the part of the data, and whether an item or a batch of them.
        epoch: Epoch, 0-based.
        *indices: The example's index, or those of a batch.
    """
    digest = _begun(seed, purpose, epoch).copy()
    digest.update(",".join(map(str, indices)).encode() + b"]")
    value = int.from_bytes(digest.digest(), "little")  # that of derive_seed(seed, "example", purpose, epoch, *indices)
    torch.default_generator.manual_seed(value)
    np.random.seed(value & 0xFFFFFFFF)  # noqa: NPY002  the global generator, for data that draw from it
    random.seed(value)


@lru_cache(maxsize=16)
def _begun(seed: int, purpose: str, epoch: int) -> hashlib.blake2b:
    """Return what has taken in all of a text for `derive_seed` but the indices: half of the time is to write that."""
    return hashlib.blake2b(_as_text([seed, "example", purpose, epoch])[:-1].encode() + b",", digest_size=8)


@contextmanager
def keep_generators() -> Iterator[None]:
    """Leave the global generators of torch, NumPy and random as they were, whatever is drawn meanwhile."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        random.setstate(kept[2])
