"""The mean gradient over all examples of a step: a forward and backward pass for each leaf, summed in a fixed tree.

The sum's order depends on the number of leaves alone, so that whichever worker computes a leaf, the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.torch.gradients import global_norm
from downslope.training.data import Dataset
from downslope.training.device import HOST, fetch
from downslope.training.run.batches import Leaf
from downslope.training.run.feed import Feed
from downslope.training.run.objective import Objective
from downslope.training.run.randomness import reseed
from downslope.training.run.tree_sum import Terms, TreeSum
from downslope.training.user_code import FAILURES, describe
from downslope.training.workers.workers import ALONE, LeafNote, Workers

if TYPE_CHECKING:
    from downslope.training.augmenting.augment import Augmenter

Precision = Literal["float32", "bfloat16", "float16"]
_NARROW: Mapping[str, torch.dtype] = MappingProxyType({"bfloat16": torch.bfloat16, "float16": torch.float16})


@dataclass(frozen=True)
class StepResult:
    """What a step's forward passes gave, kept as tensors so that only logged steps wait for them.

    Attributes:
        notes: One for each leaf, in order.
        norm: Norm of the step's mean gradient, if asked for and if there is more than one leaf.
    """

    notes: tuple[LeafNote, ...]
    norm: float | None = None

    @property
    def leaf_norms(self) -> list[tuple[int, float]]:
        """(terms of the loss, norm of the mean gradient) of each leaf, last of the step; empty if not asked for."""
        if self.norm is None or any(note.norm is None for note in self.notes):
            return []
        leaves = [(note.terms, note.norm) for note in self.notes if note.norm is not None]
        return [*leaves, (sum(note.terms for note in self.notes), self.norm)]

    def loss(self) -> float:
        """Return the mean loss over the step's examples."""
        return sum(note.weight * float(note.loss) for note in self.notes)

    def accuracy(self) -> float | None:
        """Return the fraction of right answers, or None where answers are not right or wrong."""
        correct = [int(note.correct) for note in self.notes if note.correct is not None]
        return sum(correct) / sum(int(note.targets) for note in self.notes) if correct else None


def computing_in(precision: Precision, device: torch.device = HOST) -> AbstractContextManager[Any]:
    """Within its ``with`` block, forward passes on a device compute in this format where that is safe."""
    # An autocast that is switched off would cost a small model's step some hundredths of its time.
    return torch.autocast(device.type, _NARROW[precision]) if precision in _NARROW else nullcontext()


def compute_gradients(
    model: nn.Module,
    objective: Objective,
    dataset: Dataset | Feed,
    leaves: Sequence[Leaf],
    *,
    seed: int,
    step: int,
    precision: Precision = "float32",
    workers: Workers = ALONE,
    own_code: bool = True,
    counts: bool = True,
    augment: Augmenter | None = None,
    with_norms: bool = False,
    loss_scale: float = 1.0,
) -> StepResult:
    """Put the mean gradient over a step's examples into each parameter's ``grad``.

    Args:
        model: In training mode, its gradients None.
        objective: What is learned.
        dataset: The data, on the host; or what feeds them to the model's device.
        leaves: The step's leaves, those of all workers.
        seed: The recipe's seed.
        step: Step, 0-based.
        precision: Format in which forward passes compute, where that is safe; a narrow one by torch's autocast.
        workers: The workers that share the leaves; every one of them gets the same gradients.
        own_code: Whether a person's own model or loss takes part, which may draw from the generators of NumPy and
            random.
        counts: Whether to count right answers.
        augment: Changes the examples at random, or None.
        with_norms: Whether to measure the norm of each leaf's gradient.
        loss_scale: Factor on the loss, and so on the gradients; norms are those without it.

    Returns:
        The step's loss and accuracy.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
        WorkersLostError: If another worker is lost.
    """
    learn_leaf = partial(
        learn,
        model,
        objective,
        seed=seed,
        step=step,
        precision=precision,
        own_code=own_code,
        counts=counts,
        augment=augment,
        loss_scale=loss_scale,
    )
    feed = dataset if isinstance(dataset, Feed) else Feed(dataset, objective)
    if len(leaves) == workers.size == 1:  # nothing to sum
        return StepResult((learn_leaf(leaves[0], *feed.take(step, leaves[0])),))
    places = workers.indices(len(leaves))
    own = [leaves[place] for place in places]
    examples = [feed.take(step, leaf) for leaf in own]
    all_terms = workers.start_sum(sum(fed.terms for fed in examples))  # it travels while the first pass is computed
    parameters, buffers = list(model.parameters()), StepBuffers(model)  # walks through all modules
    # Floating-point addition is not associative, so the order in which leaves are added must not depend on who computes
    # them: each worker folds its own into whole subtrees of one binary tree; the workers' sums follow that tree.
    tree = TreeSum(places.start)
    notes: list[LeafNote] = []
    for place, leaf, fed in zip(places, own, examples, strict=True):
        try:
            note = learn_leaf(leaf, *fed, all_terms)
        except DownslopeError:
            buffers.restore()  # a worker may have been lost after a forward pass; what is saved then is whole
            raise
        grads = _take(parameters)
        notes.append(note._replace(norm=_norm(grads) / (note.weight * loss_scale)) if with_norms else note)
        tree.add([*grads, *buffers.take(note.weight, last=place == len(leaves) - 1)])
    if workers.size > 1:
        buffers.settle()
    sums = workers.all_reduce(tree, notes, buffers.changed, leaves=len(leaves), like=[*parameters, *model.buffers()])
    for parameter, grad in zip(parameters, sums.terms, strict=False):
        parameter.grad = grad
    buffers.put(sums.terms[len(parameters) :])
    norm = _norm([parameter.grad for parameter in parameters]) / loss_scale if with_norms else None
    return StepResult(sums.notes, norm)


def learn(
    model: nn.Module,
    objective: Objective,
    leaf: Leaf,
    inputs: Tensor,
    targets: Tensor,
    terms: int,
    all_terms: Callable[[], int] | None = None,
    *,
    seed: int,
    step: int,
    precision: Precision,
    own_code: bool,
    counts: bool,
    augment: Augmenter | None = None,
    loss_scale: float = 1.0,
) -> LeafNote:
    """Add a leaf's part of the mean gradient to each parameter's ``grad``.

    Its mean loss is a mean of `terms` terms; `all_terms` waits for those of all leaves, and None says that it is all.
    """
    # What a model draws depends on the seed, the step and the leaf alone: the same in whichever process, and after
    # whichever resume.
    device = HOST if inputs.is_cpu else inputs.device
    reseed(seed, step, leaf.index, own_code=own_code, device=device)
    try:
        changed = (inputs, targets) if augment is None else augment(leaf, inputs, targets, step)
        with computing_in(precision, device):
            answers = objective.answer(model, *changed, step=step, counts=counts)
        weight = 1.0 if all_terms is None else terms / all_terms()
        factor = weight * loss_scale
        backward(answers.loss if factor == 1 else answers.loss * factor)
    except DownslopeError:
        raise
    except FAILURES as error:
        remedy = _single_example_remedy(error) if len(leaf.examples) == 1 else ""
        raise DataError(f"the model or its loss raised {describe(error)} at step {step}.{remedy}") from error
    return LeafNote(weight, answers.loss.detach(), answers.correct, answers.targets, terms)


def _take(parameters: Sequence[nn.Parameter]) -> Terms:
    """Return the gradients, leaving none behind."""
    grads = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return grads


def _norm(grads: Terms) -> float:
    return global_norm([grad for grad in grads if grad is not None])


def _single_example_remedy(error: BaseException) -> str:
    """Return what to do if torch's batch normalisation refused a shard of one example, else ""."""
    if "more than 1 value per channel" not in str(error):
        return ""
    return (
        " Batch normalisation needs more than the one example of this shard. Choose a data.batch_size that leaves no "
        "smaller rest at the end of an epoch, or fewer train.shards."
    )


class StepBuffers:
    """A model's buffers during one step: running statistics and whatever else a forward pass changes.

    Every leaf finds them as they were before the step, and the step leaves their mean over its leaves, weighted as the
    losses are. So they depend neither on which process computes a leaf nor on which came first. What is no
    floating-point number, such as a count of steps, is that of the last leaf.

    Attributes:
        changed: Whether any leaf so far has changed it, for each buffer. Of one on a device that is not known here, and
            taken for granted, until `settle` asks.
    """

    def __init__(self, model: nn.Module) -> None:
        """Remember the buffers."""
        self._model = model
        self._before = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
        self.changed = [False] * len(self._before)
        self._moved: dict[int, Tensor] = {}  # the same, told on the device

    def take(self, weight: float, *, last: bool) -> Terms:
        """Return a leaf's share in the buffers, and put them back to what they were before the step.

        Args:
            weight: The leaf's weight; the weights of a step sum to 1.
            last: Whether it is the step's last leaf.
        """
        if not self._before:
            return []
        terms: Terms = []
        now = dict(self._model.named_buffers())
        with torch.no_grad():
            for index, (name, before) in enumerate(self._before.items()):
                buffer = now.get(name)
                if buffer is None or buffer.shape != before.shape or buffer.dtype != before.dtype:
                    raise DataError(
                        f"the model's forward pass changes the shape or type of its buffer `{name}`. A step of several "
                        "batches or shards averages buffers; keep their form, or use train.shards = 1 and "
                        "train.accumulate = 1."
                    )
                if buffer.is_cpu:
                    differs = not torch.equal(buffer, before)
                else:
                    differs, moved = True, (buffer != before).any()
                    self._moved[index] = self._moved[index] | moved if index in self._moved else moved
                self.changed[index] |= differs
                if _is_averaged(before):
                    terms.append(buffer * weight)
                else:
                    terms.append(buffer.clone() if last else None)
                if differs:
                    buffer.copy_(before)
        return terms

    def settle(self) -> None:
        """Find out which buffers on a device were changed, which waits for it."""
        for index, moved in zip(self._moved, fetch(list(self._moved.values())), strict=True):
            self.changed[index] = bool(moved)
        self._moved = {}

    def restore(self) -> None:
        """Put the buffers back to what they were before the step."""
        now = dict(self._model.named_buffers())
        with torch.no_grad():
            for name, before in self._before.items():
                now[name].copy_(before)

    def put(self, terms: Terms) -> None:
        """Put the sums of all leaves' shares into the model's buffers; None leaves a buffer as it was."""
        with torch.no_grad():
            pairs = zip(self._model.buffers(), terms, self._before.values(), strict=True)
            for index, (buffer, term, before) in enumerate(pairs):
                if term is not None:
                    buffer.copy_(torch.where(self._moved[index], term, before) if index in self._moved else term)


def _is_averaged(buffer: Tensor) -> bool:
    return buffer.is_floating_point() or buffer.is_complex()


# `Tensor.backward` checks and prepares for what a step of training does not have: several roots, gradients given from
# outside, function transforms. For a model of ten thousand parameters that is a tenth of the whole step, so the engine
# is called directly. Its entry is not public: where it is missing, `backward` takes the public way.
_engine: Any = getattr(getattr(torch.autograd, "Variable", None), "_execution_engine", None)
_run_backward: Any = getattr(_engine, "run_backward", None)


def backward(loss: Tensor) -> None:
    """Add the gradient of a loss to each parameter's ``grad``, bit for bit as ``loss.backward()`` does.

    Args:
        loss: A scalar with its graph, which is freed.

    Raises:
        RuntimeError: If the loss has no graph, or something within it fails.
    """
    is_plain = type(loss) is Tensor and loss.ndim == 0 and loss.device.type == "cpu" and not loss.is_complex()
    if _run_backward is None or not is_plain:
        loss.backward()
        return
    one = torch.ones((), dtype=loss.dtype, device="cpu")  # new each time: a person's own code may write to it
    _run_backward((loss,), (one,), False, False, (), allow_unreachable=True, accumulate_grad=True)  # noqa: FBT003
