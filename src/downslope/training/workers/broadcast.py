"""How workers begin with the same plan, recipe, data and weights, and stay in step.

Worker 0 alone reads the run folder, so that it need not be visible anywhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import nn

from downslope.core.errors import CheckpointError, DataError, RecipeError
from downslope.training.folder.checkpoint import Checkpoint, encode_tensors, plain_recipe
from downslope.training.run.environment import describe_environment, differences
from downslope.training.run.plan import Plan
from downslope.training.run.state import TrainingState, checksum_of, model_tensors
from downslope.training.run.task import Task
from downslope.training.workers.workers import Workers


def broadcast_plan(workers: Workers, make: Callable[[], Plan], *, sharded: bool = False) -> Plan:
    """Return the plan that worker 0 makes, with the checkpoint that it read and verified.

    Args:
        workers: The workers.
        make: Called by worker 0 alone.
        sharded: Whether each worker reads its part of the checkpoint itself.
    """
    if workers.size == 1:
        return make()
    plan = make() if workers.is_first else None
    checkpoint = None if plan is None else plan.checkpoint

    def describe() -> dict[str, object]:
        if plan is None:
            return {}
        found = None if checkpoint is None else str(checkpoint.folder)
        return {"folder": str(plan.folder), "finished": plan.finished, "checkpoint": found}

    told = workers.broadcast(describe)
    if told["checkpoint"] is None or told["finished"]:
        return plan or Plan(folder=Path(str(told["folder"])), finished=bool(told["finished"]))
    if sharded:
        manifest = workers.broadcast(lambda: {} if checkpoint is None else dict(checkpoint.manifest))
        found = Checkpoint(folder=Path(str(told["checkpoint"])), manifest=manifest, tensors={})
    else:
        found = broadcast_checkpoint(workers, lambda: cast("Checkpoint", checkpoint))
    return plan or Plan(folder=Path(str(told["folder"])), checkpoint=found)


def broadcast_checkpoint(workers: Workers, make: Callable[[], Checkpoint]) -> Checkpoint:
    """Return a checkpoint that worker 0 has.

    Args:
        workers: The workers.
        make: Called by worker 0 alone.
    """
    own = make() if workers.is_first else None

    def describe() -> dict[str, Any]:
        if own is None:
            return {}
        return {"folder": str(own.folder), "manifest": dict(own.manifest), "parts": list(own.tensors)}

    told = workers.broadcast(describe)
    tensors = {
        part: workers.broadcast_bytes(lambda part=part: b"" if own is None else encode_tensors(own.tensors[part]))
        for part in told["parts"]
    }
    if own is not None:
        return own
    return Checkpoint(
        folder=Path(told["folder"]),
        manifest=told["manifest"],
        tensors={part: safetensors.torch.load(data) for part, data in tensors.items()},
    )


def synchronise(workers: Workers, task: Task) -> list[str]:
    """Compare what each worker has, and give every worker the weights of worker 0.

    Returns:
        Sentences for the person, on what may change bits.

    Raises:
        RecipeError: If a worker was given another recipe.
        DataError: If a worker has other data.
    """
    if workers.size == 1:
        return []
    recipe = hashlib.blake2b(json.dumps(plain_recipe(task.recipe)).encode(), digest_size=8).hexdigest()
    own = {"recipe": recipe, "data": task.fingerprint, "environment": describe_environment(task.device)}
    first, *others = workers.gather(own)
    notes: list[str] = []
    for rank, found in enumerate(others, start=1):
        if found["recipe"] != first["recipe"]:
            raise RecipeError(f"worker {rank} was given another recipe than worker 0. Give all of them the same.")
        if found["data"] != first["data"]:
            raise DataError(
                f"worker {rank} has other data than worker 0: {task.recipe.data.name!r} must give every worker the "
                "same examples in the same order."
            )
        notes += [
            f"worker {rank}: {_of_workers(text)}" for text in differences(first["environment"], found["environment"])
        ]
    if task.sharding is not None:
        return notes
    weights = workers.broadcast_bytes(lambda: encode_tensors(model_tensors(task.state.model)))
    if not workers.is_first:
        _take(task.state.model, safetensors.torch.load(weights))
    return notes


def check_in_sync(workers: Workers, state: TrainingState) -> None:
    """Raise unless all workers have the same weights and velocities, bit for bit.

    Raises:
        CheckpointError: If one has drifted from the others, which no software of ours can cause.
    """
    if workers.size == 1:
        return
    first, *others = workers.gather(checksum_of(state.tensors().values()))
    drifted = [str(rank) for rank, found in enumerate(others, start=1) if found != first]
    if drifted:
        raise CheckpointError(
            f"the weights of worker {', '.join(drifted)} are no longer those of worker 0, though every worker does the "
            "same arithmetic: a machine computes or remembers wrongly, or machines of different kinds were mixed. The "
            "newest checkpoint is from before; go on from it on other machines."
        )


def _take(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    model.load_state_dict(dict(weights))


def _of_workers(text: str) -> str:
    return text.replace(" was ", " on worker 0 is ").replace(", is now ", ", here ").replace(": from here on", ":")
