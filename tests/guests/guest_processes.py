"""Guests that need a process group, DDP and FSDP2 in two processes. Run by test_in_processes.py.

    python guest_processes.py GUEST RANK WORLD FOLDER

Every process gets the same data, so that averaging gradients changes nothing, and all has to be as in the bare loop.
The verdicts are written to FOLDER/RANK.json.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from guest_problem import Net, Way, loader, loss_of
from guest_table import ROWS, Guest, found_in
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

from downslope.torch import SGD


class DDP(Guest):
    """`DistributedDataParallel`, and a file by torch.save."""

    name = "DDP"

    def wrapped(self, model: nn.Module) -> Any:
        """Return the model in the wrapper."""
        return nn.parallel.DistributedDataParallel(model)

    def begin(self, kind: Any, options: dict[str, Any], way: Way) -> Any:
        """Return everything, made anew."""
        model = self.wrapped(Net())
        optimizer = kind(model.named_parameters(), **options)
        return model, optimizer, way.own_scheduler(optimizer)

    def synced(self, model: Any, last: bool) -> Any:
        """Return the context of a micro-batch."""
        return nullcontext() if last else model.no_sync()

    def epoch(self, model: Any, optimizer: Any, own: Any, way: Way) -> None:
        """Train one."""
        for index, (x, y) in enumerate(loader(way)):
            last = (index + 1) % way.accumulate == 0
            with self.synced(model, last):
                with torch.autocast("cpu", torch.bfloat16) if way.bf16 else nullcontext():
                    loss = loss_of(model, x, y) / way.accumulate
                with nullcontext() if last or not isinstance(optimizer, SGD) else optimizer.accumulate():
                    (loss if way.scaler is None else way.scaler.scale(loss)).backward()
            if not last:
                continue
            if way.clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), way.clip)
            if way.scaler is None:
                optimizer.step()
            else:
                way.scaler.step(optimizer)
                way.scaler.update()
            optimizer.zero_grad()
            if own is not None:
                own.step()

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Train all epochs."""
        model, *rest = self.begin(kind, options, way)
        for _ in range(way.epochs):
            self.epoch(model, *rest, way)
        return model

    def save(self, model: Any, optimizer: Any, folder: Path) -> None:
        """Write a file."""
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, folder / "half")

    def load(self, model: Any, optimizer: Any, folder: Path) -> None:
        """Read it."""
        saved = torch.load(folder / "half", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Save half of it, go on with everything made anew."""
        state: Any = None
        for half in range(2):
            model, optimizer, own = self.begin(kind, options, way)
            if half:
                self.load(model, optimizer, folder)
                if own is not None:
                    own.load_state_dict(state)
            for _ in range(way.epochs // 2):
                self.epoch(model, optimizer, own, way)
            self.save(model, optimizer, folder)
            state = own and own.state_dict()
        return model


class FSDP2(DDP):
    """`fully_shard`, and torch.distributed.checkpoint."""

    name = "FSDP2"

    def wrapped(self, model: nn.Module) -> Any:
        """Return the model, sharded."""
        for layer in model:
            if [*layer.parameters()]:
                fully_shard(layer)
        return fully_shard(model)

    def synced(self, model: Any, last: bool) -> Any:
        """Say whether gradients are to be averaged."""
        model.set_requires_gradient_sync(last)
        return nullcontext()

    def save(self, model: Any, optimizer: Any, folder: Path) -> None:
        """Write a distributed checkpoint."""
        states = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True))
        dcp.save(states, checkpoint_id=folder / "half")

    def load(self, model: Any, optimizer: Any, folder: Path) -> None:
        """Read it."""
        states = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True))
        dcp.load(states, checkpoint_id=folder / "half")
        set_state_dict(model, optimizer, model_state_dict=states["model"], optim_state_dict=states["optimizer"])


GUESTS = {guest.name: guest for guest in (DDP(), FSDP2())}


def main() -> None:
    """Find every verdict."""
    name, rank, world, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank))
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world, timeout=timedelta(seconds=120)
    )
    verdicts = {}
    for number, title in enumerate(ROWS):
        print(title, flush=True)
        own = folder / f"{number}.{rank if name == 'DDP' else 'all'}"
        own.mkdir(exist_ok=True)
        try:
            verdicts[title] = found_in(GUESTS[name], title, own)
        except BaseException as error:  # noqa: BLE001 -- pytest's failures too
            verdicts[title] = f"{type(error).__name__}: {error}"
    (folder / f"{rank}.json").write_text(json.dumps(verdicts))
    gc.collect()  # a wrapped model that is freed after its group may wait for gloo's threads for ever
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
