"""Steps within the backward pass where gradients are shared between processes, and what a process holds at most."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

CHILD = Path(__file__).with_name("step_in_backward_child.py")


def run_two(what: str, folder: Path) -> list[Any]:
    """Run two processes to their end and return what each wrote."""
    children = [
        subprocess.Popen(
            [sys.executable, str(CHILD), what, str(rank), str(folder / "store"), str(folder / f"{rank}.json")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [child.communicate(timeout=120)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], "\n".join(said)
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_fully_shard_moves_by_the_same_bits(tmp_path: Path) -> None:
    """On shards a step within the backward pass is the step after it, with and without accumulation."""
    first, second = run_two("fsdp", tmp_path)
    assert first == second
    for runs in first.values():
        assert runs["within"] == runs["after"]
        for ours, alone in zip(runs["within"], runs["alone"], strict=True):
            assert torch.allclose(torch.tensor(ours), torch.tensor(alone), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_data_parallel_replicas_are_refused(tmp_path: Path) -> None:
    """Whether the model was wrapped before the optimizer was made or after, both processes say what to do instead."""
    for messages in run_two("ddp", tmp_path):
        for message in messages:
            assert "step_in_backward=True` under DistributedDataParallel" in message
            assert "fully_shard" in message


@pytest.mark.slow
def test_peak_memory_is_lower_by_a_set_of_gradients() -> None:
    """Of six equal layers' 4 bytes of gradient per parameter, at least two thirds are never held."""
    peak = {}
    for within in (True, False):
        done = subprocess.run(
            [sys.executable, str(CHILD), "memory", str(within)], check=True, capture_output=True, text=True, timeout=120
        )
        peak[within] = json.loads(done.stdout)
    assert peak[False] - peak[True] > 4 * 2 / 3
