"""Steps within the backward pass where gradients are shared between processes, and what a process holds at most."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import warm

CHILD = Path(__file__).with_name("step_in_backward_child.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, tuple[int, ...]], list[Any]]:
    """Return a function that gives what the processes of a name found; all were forked of one."""
    folder = tmp_path_factory.mktemp("processes")
    done = warm.run(CHILD, folder, timeout=360, imported=warm.TORCH)

    def answers(what: str, numbers: tuple[int, ...] = (0, 1)) -> list[Any]:
        files = [folder / f"{what}.{number}" for number in numbers]
        assert all(file.exists() for file in files), done.stdout + done.stderr
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    return answers


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_fully_shard_moves_by_the_same_bits(found: Callable[..., list[Any]]) -> None:
    """On shards a step within the backward pass is the step after it, with and without accumulation."""
    first, second = found("fsdp")
    assert first == second
    for runs in first.values():
        assert runs["within"] == runs["after"]
        for ours, alone in zip(runs["within"], runs["alone"], strict=True):
            assert torch.allclose(torch.tensor(ours), torch.tensor(alone), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_data_parallel_replicas_are_refused(found: Callable[..., list[Any]]) -> None:
    """Whether the model was wrapped before the optimizer was made or after, both processes say what to do instead."""
    for messages in found("ddp"):
        assert len(messages) == 2
        for message in messages:
            assert "step_in_backward=True` under DistributedDataParallel" in message
            assert "fully_shard" in message


@pytest.mark.slow
def test_peak_memory_is_lower_by_a_set_of_gradients(found: Callable[..., list[Any]]) -> None:
    """Of six equal layers' 4 bytes of gradient per parameter, at least two thirds are never held."""
    after, within = found("memory", (0, 1))
    assert after - within > 4 * 2 / 3
