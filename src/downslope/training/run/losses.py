"""Losses: the built-in ones, a person's own, and which answers are right.

A loss is a mean over the examples that it is given.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from downslope.core.errors import DataError, did_you_mean, one_of
from downslope.core.shown import shown
from downslope.recipe.schema import BINARY
from downslope.training.user_code import call, import_function, is_import_path

if TYPE_CHECKING:
    from downslope.recipe.schema import Train

Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs and targets, example first, to the mean loss as a scalar tensor."""

BUILT_IN = ("cross_entropy", BINARY, "mse", "mae", "huber", "output")

_OTHER_LOSSES: Mapping[str, str] = MappingProxyType(
    {
        "l1": "torch.nn.functional.l1_loss(outputs, targets)",
        "smooth_l1": "torch.nn.functional.smooth_l1_loss(outputs, targets)",
        "nll": "torch.nn.functional.nll_loss(outputs, targets)",
        "kl_div": 'torch.nn.functional.kl_div(outputs, targets, reduction="batchmean")',
    }
)
"""Losses that people know, and what computes them; none is another's misspelling."""

_BINARY_NAMES = frozenset(
    {"bce", "bce_with_logits", "binary_crossentropy", "binary_cross_entropy_with_logits", "logistic"}
)
"""What others call `BINARY`."""


def build_loss(name: str, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0) -> Loss:
    """Return a loss by its name.

    Args:
        name: A name in `BUILT_IN`, or a person's own "package.module:function".
        class_weights: What an example of each class counts, for "cross_entropy" and "binary_cross_entropy"; None where
            all count alike.
        label_smoothing: Share of each target that is spread over all classes, for "cross_entropy".

    Returns:
        Function of outputs and targets, giving a scalar tensor, and raising `DataError` where they do not fit.

    Raises:
        DataError: If there is no such loss.
    """
    if name == "cross_entropy":
        weight = None if class_weights is None else torch.tensor(class_weights)
        is_plain = weight is None and not label_smoothing
        return cross_entropy if is_plain else partial(cross_entropy, weight=weight, label_smoothing=label_smoothing)
    if name == BINARY:
        return partial(binary_cross_entropy, weight=None if class_weights is None else torch.tensor(class_weights))
    if name in _OF_NUMBERS:
        return partial(_compare, name)
    if name == "output":
        return mean_output
    if is_import_path(name):
        return _OwnLoss(name)
    near = "" if name in _OTHER_LOSSES else did_you_mean(name, BUILT_IN)
    if name in _BINARY_NAMES:
        near = f" Did you mean `{BINARY}`?"
    own = _OTHER_LOSSES.get(name, "torch.nn.functional.l1_loss(outputs, targets)")
    raise DataError(
        f"train.loss = {shown(name)!r}: there is no such loss.{near} Use {one_of(BUILT_IN)}, or a function of your own "
        f'as "package.module:function": def my_loss(outputs, targets): return {own}.'
    )


def cross_entropy(
    outputs: Tensor, targets: Tensor, weight: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Return the mean sparse categorical cross-entropy of logits.

    Args:
        outputs: Logits of shape (examples, classes, ...).
        targets: Class indices, int64, of shape (examples, ...).
        weight: What an example of each class counts in the mean, shape (classes,); None where all count alike.
        label_smoothing: Share of each target that is spread over all classes alike (Szegedy et al. 2016).

    Raises:
        DataError: If the outputs are no tensor of such a shape.
    """
    _check_logits("cross_entropy", outputs, targets)
    if weight is not None:
        weight = _beside(weight, outputs.device, outputs.dtype)
    try:
        return functional.cross_entropy(outputs, targets, weight=weight, label_smoothing=label_smoothing)
    except IndexError:
        raise DataError(
            f"cross_entropy: the model's outputs have shape {tuple(outputs.shape)}, so for {outputs.shape[1]} classes; "
            f"the targets are classes up to {int(targets.max())}, which needs {int(targets.max()) + 1}."
        ) from None


def binary_cross_entropy(outputs: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean binary cross-entropy of logits.

    Args:
        outputs: Of two classes one logit an example, the second class's, shape (examples,) or (examples, 1); of labels
            one each, shape (examples, labels).
        targets: Classes 0 and 1, int64 of shape (examples,); or labels 0 or 1, floating-point.
        weight: What an example of each class counts in the mean, shape (2,); of labels, what having one counts beside
            not having it, shape (labels,): the `pos_weight` of torch. None where all count alike.

    Raises:
        DataError: If the outputs are no tensor of such a shape.
    """
    _check_tensor(BINARY, outputs)
    if weight is not None:
        weight = _beside(weight, outputs.device, outputs.dtype)
    if targets.is_floating_point():
        _check_labels(outputs, targets)
        return functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), pos_weight=weight)
    logits, wanted = logit_of_second(outputs, targets), targets.to(outputs.dtype)
    if weight is None:
        return functional.binary_cross_entropy_with_logits(logits, wanted)
    counts = weight[targets]
    return functional.binary_cross_entropy_with_logits(logits, wanted, counts, reduction="sum") / counts.sum()


def logit_of_second(outputs: Any, targets: Tensor) -> Tensor:
    """Return the one logit of each example that tells two classes, shape (examples,).

    Raises:
        DataError: If there is another number of them.
    """
    _check_tensor(BINARY, outputs)
    if outputs.shape not in {targets.shape, (*targets.shape, 1)}:
        raise DataError(
            f"{BINARY}: two classes are told by one logit an example, of shape {tuple(targets.shape)} or "
            f"{(*targets.shape, 1)} here; the model's outputs have shape {tuple(outputs.shape)}. For a logit of each "
            'class, use train.loss = "cross_entropy".'
        )
    return outputs.reshape(targets.shape)


def _check_labels(outputs: Any, targets: Tensor) -> None:
    _check_tensor(BINARY, outputs)
    if outputs.shape != targets.shape:
        raise DataError(
            f"{BINARY}: a logit for each label, so of shape {tuple(targets.shape)} here; the model's outputs have "
            f"shape {tuple(outputs.shape)}."
        )


@lru_cache(maxsize=8)
def _beside(weight: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return weights of classes where the outputs are, without a copy at every step."""
    return weight.to(device, dtype)


def check_classes(outputs: Any, classes: int) -> None:
    """Raise unless there is a logit for each class: a device would not say what is wrong, and end all work on it.

    Raises:
        DataError: If there are fewer.
    """
    if isinstance(outputs, Tensor) and outputs.ndim > 1 and outputs.shape[1] < classes:
        raise DataError(
            f"cross_entropy: the model's outputs have shape {tuple(outputs.shape)}, so for {outputs.shape[1]} classes; "
            f"the data have {classes}."
        )


_OF_NUMBERS: Mapping[str, Loss] = MappingProxyType(
    {"mse": functional.mse_loss, "mae": functional.l1_loss, "huber": functional.huber_loss}
)
"""Losses of targets that are numbers: the mean over all numbers of the squared or absolute error, or of Huber's, which
is half the square of an error up to 1, and the error less 1/2 beyond."""


def _compare(name: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return a loss of `_OF_NUMBERS`, whose outputs and targets must be of one shape.

    Raises:
        DataError: If the outputs are no tensor, or of another shape.
    """
    _check_tensor(name, outputs)
    if outputs.shape != targets.shape:  # torch would broadcast (n, 1) against (n,) into (n, n) and only warn
        wide = outputs.ndim == targets.ndim + 1 and outputs.shape[-1] == 1
        raise DataError(
            f"{name}: outputs and targets must have the same shape; the model's outputs have shape "
            f"{tuple(outputs.shape)}, the targets {tuple(targets.shape)}."
            f"{' Return outputs.squeeze(-1).' if wide else ''}"
        )
    return _OF_NUMBERS[name](outputs, targets)


def mean_output(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of the outputs of a model that computes its own loss.

    Args:
        outputs: One loss an example, shape (examples,).
        targets: Shape (examples, ...); only their number counts.

    Raises:
        DataError: If the outputs are no tensor of such a shape.
    """
    _check_tensor("output", outputs)
    if outputs.shape != (len(targets),):
        raise DataError(
            f"output: the model must return one loss an example, of shape ({len(targets)},) here; its outputs have "
            f'shape {tuple(outputs.shape)}. For a model that predicts, use train.loss = "cross_entropy" or "mse".'
        )
    return outputs.mean()


def margin_of(train: Train) -> float:
    """Return how far above 0 a logit must be for a yes, so that its probability is above the recipe's threshold.

    Example:
        >>> from downslope.recipe.schema import Train
        >>> margin_of(Train(steps=1)), round(margin_of(Train(steps=1, loss="binary_cross_entropy", threshold=0.9)), 4)
        (0.0, 2.1972)
    """
    share = 0.5 if train.threshold is None else train.threshold
    return math.log(share) - math.log1p(-share)


def beside_zero(logits: Tensor) -> Tensor:
    """Return one logit an example as two: 0 for the first class, and it for the second, shape (examples, 2, ...)."""
    return torch.stack([torch.where(torch.isfinite(logits), 0.0, logits), logits], 1)


def has_labels(outputs: Tensor, margin: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return of each label whether it is answered with yes, and whether there is an answer: it is a finite number."""
    outputs = outputs.detach()
    return outputs > margin, torch.isfinite(outputs)


def count_labels(outputs: Tensor, targets: Tensor, margin: float = 0.0) -> Tensor:
    """Return the number of labels that are answered as they are, as a 0-d tensor.

    Raises:
        DataError: If the outputs are no tensor of the targets' shape.
    """
    _check_labels(outputs, targets)
    yes, answered = has_labels(outputs, margin)
    return torch.count_nonzero((yes == (targets > 0.5)) & answered)


def count_correct(outputs: Tensor, targets: Tensor, loss: Tensor | None = None, *, margin: float = 0.0) -> Tensor:
    """Return the number of targets whose class has the largest logit, as a 0-d tensor.

    Of equal logits the first is the largest. Where the largest is no finite number there is no answer, so none is
    right.

    Args:
        outputs: Logits of shape (examples, classes, ...).
        targets: Class indices of shape (examples, ...).
        loss: Their cross-entropy, if that is known and on the host.
        margin: As in `choose`.

    Raises:
        DataError: If the outputs are no tensor of such a shape.
    """
    if (
        loss is not None and not margin and math.isfinite(loss.item())
    ):  # then every largest logit is finite, and the shapes fit
        return torch.count_nonzero(outputs.argmax(1) == targets)
    _check_logits("accuracy", outputs, targets)
    chosen, answered = choose(outputs, margin=margin)
    return torch.count_nonzero((chosen == targets) & answered)  # takes half as long as a sum of truths


def choose(outputs: Tensor, dim: int = 1, *, margin: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return the class with the largest logit, and whether there is an answer at all.

    Args:
        outputs: Logits of shape (examples, classes, ...).
        dim: Where the classes are.
        margin: Of two classes, how far the second's logit must be above the first's.

    Returns:
        int64 indices, and bools, both of shape (examples, ...). The largest of logits is NaN if one of them is, and
        otherwise finite just if softmax is defined: -inf alone is a class that is left out.

    Example:
        >>> choose(torch.tensor([[1.0, 2.0], [torch.nan, 2.0], [-torch.inf, 3.0]]))
        (tensor([1, 0, 1]), tensor([ True, False,  True]))
    """
    outputs = outputs.detach()
    largest, chosen = outputs.max(dim)
    if margin:
        first, second = outputs.unbind(dim)
        chosen = (second - first > margin).to(chosen.dtype)
    return chosen, torch.isfinite(largest)


def kind_of(outputs: Any) -> str:
    """Return what a model returned where a tensor was wanted: "dict with 'logits'", "tuple of 2"."""
    if isinstance(outputs, Mapping):
        return f"{type(outputs).__name__} with {', '.join(map(repr, cast('Mapping[Any, Any]', outputs)))}"
    length = f" of {len(outputs)}" if isinstance(outputs, list | tuple) else ""
    return f"{type(outputs).__name__}{length}"


def _check_tensor(what: str, outputs: Any) -> None:
    if not isinstance(outputs, torch.Tensor):
        raise DataError(
            f"{what}: the model must return a tensor; got {kind_of(outputs)}. Return the tensor alone, for example "
            "from a module around your own."
        )


def _check_logits(what: str, outputs: Any, targets: Tensor) -> None:
    _check_tensor(what, outputs)
    if (
        outputs.ndim != targets.ndim + 1
        or outputs.shape[0] != targets.shape[0]
        or outputs.shape[2:] != targets.shape[1:]
    ):
        raise DataError(
            f"{what}: targets of shape {tuple(targets.shape)} need logits of shape (examples, classes, ...); "
            f"the model's outputs have shape {tuple(outputs.shape)}."
        )


class _OwnLoss:
    """A person's own loss, checked."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.function = _loss_function(path)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, which must be a differentiable scalar."""
        loss: Any = self.function(outputs, targets)
        if not isinstance(loss, torch.Tensor) or loss.ndim != 0:
            got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else repr(loss)
            raise DataError(
                f"train.loss = {self.path!r}: must return the mean over the examples as a scalar tensor; got {got}."
            )
        return loss


def _loss_function(path: str) -> Any:
    """Return a function of outputs and targets; of a class that needs no arguments, such as torch.nn.L1Loss, one."""
    function: Any = import_function(path, "train.loss")
    if isinstance(function, type):
        function = call(function, path, "train.loss", options={})
        if not callable(function):
            raise DataError(f"train.loss = '{shown(path)}': makes {type(function).__name__}, which is no function.")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise DataError(
            f"train.loss = '{shown(path)}': cannot be called as {path.rpartition(':')[2]}(outputs, targets): {error}."
        ) from None
    except ValueError:
        pass  # a built-in without a signature
    return function
