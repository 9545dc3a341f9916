"""The mean gradient over all examples of a step: a forward and backward pass for each leaf, summed in a fixed tree.

The sum's order depends on the number of leaves alone, so that whichever worker computes a leaf, the bits are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from downslope.core.errors import DataError, DownslopeError
from downslope.torch.gradients import global_norm
from downslope.training.data import Dataset
from downslope.training.run.batches import Leaf
from downslope.training.run.objective import Objective
from downslope.training.run.randomness import reseed
from downslope.training.run.tree_sum import Terms, TreeSum
from downslope.training.user_code import FAILURES, describe
from downslope.training.workers.workers import ALONE, LeafNote, Workers

Precision = Literal["float32", "bfloat16"]


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
        return sum(correct) / sum(note.targets for note in self.notes) if correct else None


def computing_in(precision: Precision) -> AbstractContextManager[Any]:
    """Within its ``with`` block, forward passes compute in this format where that is safe."""
    # An autocast that is switched off would cost a small model's step some hundredths of its time.
    return torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()


def compute_gradients(
    model: nn.Module,
    objective: Objective,
    dataset: Dataset,
    leaves: Sequence[Leaf],
    *,
    seed: int,
    step: int,
    precision: Precision = "float32",
    workers: Workers = ALONE,
    own_code: bool = True,
    counts: bool = True,
    with_norms: bool = False,
) -> StepResult:
    """Put the mean gradient over a step's examples into each parameter's ``grad``.

    Args:
        model: In training mode, its gradients None.
        objective: What is learned.
        dataset: The data.
        leaves: The step's leaves, those of all workers.
        seed: The recipe's seed.
        step: Step, 0-based.
        precision: Format in which forward passes compute, where that is safe; "bfloat16" by torch's autocast.
        workers: The workers that share the leaves; every one of them gets the same gradients.
        own_code: Whether a person's own model or loss takes part, which may draw from the generators of NumPy and
            random.
        counts: Whether to count right answers.
        with_norms: Whether to measure the norm of each leaf's gradient.

    Returns:
        The step's loss and accuracy.

    Raises:
        DataError: If a person's own model or loss raises, or does not fit the data.
        WorkersLostError: If another worker is lost.
    """
    learn_leaf = partial(
        learn, model, objective, seed=seed, step=step, precision=precision, own_code=own_code, counts=counts
    )
    if len(leaves) == workers.size == 1:  # nothing to sum
        inputs, targets = dataset.take(leaves[0].examples, leaves[0].epoch)
        return StepResult((learn_leaf(leaves[0], inputs, targets, objective.weigh(targets)),))
    places = workers.indices(len(leaves))
    own = [leaves[place] for place in places]
    examples = [dataset.take(leaf.examples, leaf.epoch) for leaf in own]
    weights = [objective.weigh(targets) for _, targets in examples]
    all_terms = workers.start_sum(sum(weights))  # it travels while the first forward pass is computed
    parameters, buffers = list(model.parameters()), StepBuffers(model)  # walks through all modules
    # Floating-point addition is not associative, so the order in which leaves are added must not depend on who computes
    # them: each worker folds its own into whole subtrees of one binary tree; the workers' sums follow that tree.
    tree = TreeSum(places.start)
    notes: list[LeafNote] = []
    for place, leaf, (inputs, targets), terms in zip(places, own, examples, weights, strict=True):
        try:
            note = learn_leaf(leaf, inputs, targets, terms, all_terms)
        except DownslopeError:
            buffers.restore()  # a worker may have been lost after a forward pass; what is saved then is whole
            raise
        grads = _take(parameters)
        notes.append(note._replace(norm=_norm(grads) / note.weight) if with_norms else note)
        tree.add([*grads, *buffers.take(note.weight, last=place == len(leaves) - 1)])
    sums = workers.all_reduce(tree, notes, buffers.changed, leaves=len(leaves), like=[*parameters, *model.buffers()])
    for parameter, grad in zip(parameters, sums.terms, strict=False):
        parameter.grad = grad
    buffers.put(sums.terms[len(parameters) :])
    norm = _norm([parameter.grad for parameter in parameters]) if with_norms else None
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
) -> LeafNote:
    """Add a leaf's part of the mean gradient to each parameter's ``grad``.

    Its mean loss is a mean of `terms` terms; `all_terms` waits for those of all leaves, and None says that it is all.
    """
    # What a model draws depends on the seed, the step and the leaf alone: the same in whichever process, and after
    # whichever resume.
    reseed(seed, step, leaf.index, own_code=own_code)
    try:
        with computing_in(precision):
            answers = objective.answer(model, inputs, targets, step=step, counts=counts)
        weight = 1.0 if all_terms is None else terms / all_terms()
        backward(answers.loss if weight == 1 else answers.loss * weight)
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
        changed: Whether any leaf so far has changed it, for each buffer.
    """

    def __init__(self, model: nn.Module) -> None:
        """Remember the buffers."""
        self._model = model
        self._before = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
        self.changed = [False] * len(self._before)

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
                differs = not torch.equal(buffer, before)
                self.changed[index] |= differs
                if _is_averaged(before):
                    terms.append(buffer * weight)
                else:
                    terms.append(buffer.clone() if last else None)
                if differs:
                    buffer.copy_(before)
        return terms

    def restore(self) -> None:
        """Put the buffers back to what they were before the step."""
        now = dict(self._model.named_buffers())
        with torch.no_grad():
            for name, before in self._before.items():
                now[name].copy_(before)

    def put(self, terms: Terms) -> None:
        """Put the sums of all leaves' shares into the model's buffers; None leaves a buffer as it was."""
        with torch.no_grad():
            for buffer, term in zip(self._model.buffers(), terms, strict=True):
                if term is not None:
                    buffer.copy_(term)


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
