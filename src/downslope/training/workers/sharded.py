"""A model whose weights, gradients and velocities are spread over the workers, by torch's FSDP2, and its checkpoints.

FSDP2 gathers the weights of one layer at a time and scatters the sums of its gradients. Those sums are formed in the
order of the step's tree (`run/tree_sum.py`), so that with 2, 4, 8, ... workers every weight gets the bits that a single
process gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.fsdp._fully_shard._fsdp_api import ReduceScatter
from torch.distributed.tensor import DTensor, Shard

from downslope.core.errors import CheckpointError, DataError
from downslope.training.data import Dataset
from downslope.training.device import device_of
from downslope.training.folder import durable
from downslope.training.folder.checkpoint import (
    Checkpoint,
    Tensors,
    checkpoint_folder,
    encode_tensors,
    make_place,
    rows_of,
)
from downslope.training.folder.manifest import FORMAT, MANIFEST, describe_bytes, part_files, render_manifest
from downslope.training.run.batches import Leaf
from downslope.training.run.feed import Feed
from downslope.training.run.gradients import Precision, StepBuffers, StepResult, learn
from downslope.training.run.objective import Objective
from downslope.training.run.tree_sum import TreeSum
from downslope.training.workers.process_group import WorkerGroup
from downslope.training.workers.workers import LeafNote, Workers

if TYPE_CHECKING:
    from downslope.training.augmenting.augment import Augmenter

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class Sharding:
    """A sharded model and the workers that hold it.

    Raises:
        DataError: If the model cannot be sharded.
    """

    def __init__(self, model: nn.Module, workers: WorkerGroup) -> None:
        """Shard the model."""
        self.workers = workers
        self.mesh: DeviceMesh = init_device_mesh(device_of(model).type, (workers.size,))
        self._order = SumInOrder(workers)
        scalars = [name for name, parameter in model.named_parameters() if parameter.ndim == 0]
        if scalars:
            raise DataError(
                f'train.parallel = "sharded" splits each parameter along its first dimension, and {scalars[0]} has '
                "none. Give it the shape (1,)."
            )
        for unit in [*_units(model), model]:
            fully_shard(unit, mesh=self.mesh)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_gradient_divide_factor(1.0)
                if any(True for _ in module.parameters()) and _has_own(module):
                    module.set_custom_reduce_scatter(self._order)

    def compute_gradients(
        self,
        model: nn.Module,
        objective: Objective,
        dataset: Dataset | Feed,
        leaves: Sequence[Leaf],
        *,
        seed: int,
        step: int,
        precision: Precision = "float32",
        own_code: bool = True,
        counts: bool = True,
        augment: Augmenter | None = None,
        loss_scale: float = 1.0,
    ) -> StepResult:
        """Put this worker's part of the mean gradient over a step's examples into each parameter's ``grad``.

        In each pass every worker computes one leaf, consecutive in the step's order; all of them must take part, since
        a layer's weights are gathered from all. So where leaves are left over, the workers without one repeat the last
        with weight 0. The arguments are those of `downslope.training.run.gradients.compute_gradients`.

        Raises:
            DataError: If a person's own model or loss raises, or a forward pass changes buffers.
            WorkersLostError: If another worker is lost.
        """
        parameters = list(model.parameters())
        size, rank = self.workers.size, self.workers.rank
        passes = [min(start + rank, len(leaves) - 1) for start in range(0, len(leaves), size)]
        feed = dataset if isinstance(dataset, Feed) else Feed(dataset, objective)
        examples = [feed.take(step, leaves[place]) for place in passes]
        real = [start + rank < len(leaves) for start in range(0, len(leaves), size)]
        total = self.workers.start_sum(sum(fed.terms for fed, is_real in zip(examples, real, strict=True) if is_real))()
        learn_leaf = partial(
            learn,
            model,
            objective,
            all_terms=lambda: total,
            seed=seed,
            step=step,
            precision=precision,
            own_code=own_code,
            counts=counts,
            augment=augment,
            loss_scale=loss_scale,
        )
        tree = TreeSum()
        notes: list[LeafNote] = []
        buffers = StepBuffers(model)
        for index, place in enumerate(passes):
            self._order.real = min(size, len(leaves) - index * size)
            try:
                fed = examples[index]
                note = learn_leaf(leaves[place], fed.inputs, fed.targets, fed.terms if real[index] else 0)
            except DataError as error:
                failure = error.__cause__
                if isinstance(failure, RuntimeError) and _is_exchange(failure):  # FSDP2's own
                    raise self.workers.lost(failure) from failure
                raise
            if real[index]:
                notes.append(note)
            buffers.take(note.weight, last=False)
            tree.add([parameter.grad for parameter in parameters], size=size if size & (size - 1) == 0 else 1)
            for parameter in parameters:
                parameter.grad = None
        buffers.settle()
        if any(buffers.changed):
            name = next(n for (n, _), c in zip(model.named_buffers(), buffers.changed, strict=True) if c)
            raise DataError(
                f"the model's forward pass changes its buffer `{name}`, as batch normalisation does, and a sharded "
                'model\'s buffers are not averaged. Use train.parallel = "replicated", or layers without running '
                "statistics."
            )
        for parameter, grad in zip(parameters, tree.total(), strict=True):
            parameter.grad = grad
        return StepResult(self._exchange(notes, len(leaves)))

    def cut(self, checkpoint: Checkpoint, model: nn.Module) -> Checkpoint:
        """Return a checkpoint with this worker's part of its tensors, whatever number of workers wrote it.

        Raises:
            CheckpointError: If its files do not fit together.
        """
        sharded = dict(model.named_parameters())
        parts = dict.fromkeys(name.split(".")[0] for name in checkpoint.manifest["files"])
        try:
            tensors = {part: dict(_cut_part(checkpoint, part, self.workers, self.mesh, sharded)) for part in parts}
        except (RuntimeError, IndexError, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{checkpoint.folder}: its files do not fit together: {error}.") from None
        return replace(checkpoint, tensors=tensors)

    def write(self, run: Path, tensors: Mapping[str, Tensors], manifest: Mapping[str, Any]) -> Path:
        """Write a checkpoint, each worker its part, and return its folder, which every worker must see.

        torch.distributed.checkpoint is not used: its metadata are pickled, and to read a pickle is to run what is in
        it.

        Args:
            run: The run folder.
            tensors: What this worker holds: "model" and "optimizer"; what is not sharded is written by worker 0.
            manifest: As in `write_checkpoint`; that of worker 0 counts.

        Raises:
            StorageError: If the disk refuses. What was saved before is untouched.
        """
        workers = self.workers
        folder = checkpoint_folder(run, manifest["step"])
        if workers.is_first:
            make_place(folder)
        workers.gather(None)  # a barrier: the folder is there
        files: dict[str, Any] = {}
        for part, held in tensors.items():
            name = f"{part}.{workers.rank}-of-{workers.size}.safetensors"
            local = {n: t.to_local() if isinstance(t, DTensor) else t for n, t in held.items()}
            data = encode_tensors({n: t for n, t in local.items() if workers.is_first or isinstance(held[n], DTensor)})
            durable.write_file(folder / name, data, sync_folder=False)
            files[name] = describe_bytes(data)
        every = workers.gather(files)  # all files are on the disk before the manifest vouches for them
        if workers.is_first:
            shapes = {
                part: {name: list(t.shape) for name, t in held.items() if isinstance(t, DTensor)}
                for part, held in tensors.items()
            }
            table = {
                "format": FORMAT,
                **manifest,
                "shapes": shapes,
                "files": {k: v for d in every for k, v in d.items()},
            }
            durable.fsync_folder(folder)
            durable.write_file(folder / MANIFEST, render_manifest(table))
        workers.gather(None)  # a barrier: and so is the manifest
        return folder

    def _exchange(self, notes: Sequence[LeafNote], leaves: int) -> tuple[LeafNote, ...]:
        own = [
            (note.weight, float(note.loss), None if note.correct is None else int(note.correct), int(note.targets))
            for note in notes
        ]
        told = self.workers.gather([self.workers.own_signal(), own])
        self.workers.note_signal(max(signal for signal, _ in told))
        size = self.workers.size
        every = [told[place % size][1][place // size] for place in range(leaves)]
        return tuple(
            LeafNote(
                weight,
                torch.tensor(loss, dtype=torch.float64),
                None if correct is None else torch.tensor(correct),
                targets,
            )
            for weight, loss, correct, targets in every
        )


class SumInOrder(ReduceScatter):
    """FSDP2's reduce-scatter, with the additions of the step's tree.

    Attributes:
        real: How many of the workers, from the first on, compute a leaf in the present pass.
    """

    def __init__(self, workers: WorkerGroup) -> None:
        """Begin with all workers at work."""
        self._workers = workers
        self.real = workers.size

    def allocate(self, size: Sequence[int | torch.SymInt], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return memory for FSDP2 to fill."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self,
        output_tensor: Tensor,
        input_tensor: Tensor,
        group: dist.ProcessGroup,
        op: Any,
        async_op: bool = False,  # noqa: FBT001, FBT002  the signature of FSDP2; on a CPU nothing is left to do
    ) -> None:
        """Send each worker its slice of this worker's gradients, and add up what came, in order."""
        got = torch.empty_like(input_tensor)
        sizes = [output_tensor.numel() * output_tensor.element_size()] * self._workers.size
        self._workers.all_to_all(input_tensor.view(-1).view(torch.uint8), got.view(-1).view(torch.uint8), sizes)()
        tree = TreeSum()
        for row in got.view(self._workers.size, -1)[: self.real]:
            tree.add([row])
        (total,) = tree.total()
        if total is not None:
            output_tensor.copy_(total.view_as(output_tensor))


def _cut_part(
    checkpoint: Checkpoint, part: str, workers: Workers, mesh: DeviceMesh, sharded: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    files = part_files(checkpoint.manifest, part)
    shapes = checkpoint.manifest.get("shapes", {}).get(part, {})
    opened = [safetensors.safe_open(checkpoint.folder / name, framework="pt") for name in files]
    for name in opened[0].keys():  # noqa: SIM118  it is no dict
        source = opened[0].get_slice(name)
        shape = torch.Size(shapes.get(name, source.get_shape()))
        if name not in sharded:
            yield name, opened[0].get_tensor(name)
            continue
        wanted = rows_of(shape[0], workers.rank, workers.size)
        pieces = []
        for index, file in enumerate(opened):
            held = rows_of(shape[0], index, len(opened)) if name in shapes else range(shape[0])
            start, end = max(wanted.start, held.start), min(wanted.stop, held.stop)
            if start < end:
                pieces.append(file.get_slice(name)[start - held.start : end - held.start])
        local = torch.cat(pieces) if pieces else torch.empty(0, *shape[1:], dtype=sharded[name].dtype)
        local, strides = local.to(sharded[name].device), torch.empty(shape, device="meta").stride()
        yield name, DTensor.from_local(local, mesh, [Shard(0)], run_check=False, shape=shape, stride=strides)


def _is_exchange(failure: RuntimeError) -> bool:
    """Whether an error came from what carries tensors between workers."""
    return isinstance(failure, dist.DistBackendError) or "gloo" in str(failure)


def _units(model: nn.Module) -> Iterator[nn.Module]:
    """Return the parts of a model that are gathered one at a time: its children, or those of containers."""
    for child in model.children():
        if isinstance(child, _CONTAINERS):
            yield from _units(child)
        elif any(True for _ in child.parameters()):
            yield child


def _has_own(module: FSDPModule) -> bool:
    """Return whether FSDP2 manages parameters of this very module, beside those of its parts."""
    return module._get_fsdp_state()._fsdp_param_group is not None  # noqa: SLF001  there is no public question
