"""Wrappers that average gradients only after a parameter's own hooks have run: a step within backward is wrong there.

What lives here: finding `DistributedDataParallel` and the first `FullyShardedDataParallel` around a parameter, whether
they came before the optimizer or after. What does not: ``fully_shard``, which runs the hooks after it has averaged.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from downslope.core.errors import SettingsError


def refuse_replicas(params: Iterable[Tensor]) -> None:
    """Raise if one of the parameters belongs to a wrapper under which replicas would drift apart.

    A wrapper leaves no mark on a parameter, so all objects are looked through: some 10 ms, and only in a process that
    has joined a process group.

    Args:
        params: The parameters of an optimizer that steps within the backward pass.

    Raises:
        SettingsError: With the wrapper's name and what to use instead.
    """
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    ours = set(map(id, params))
    for wrapper in _wrappers():
        if any(id(param) in ours for param in _managed(wrapper)):
            raise SettingsError(
                f"`step_in_backward=True` under {type(wrapper).__name__}: each process would step with its own "
                "gradient, before it is averaged with the others', and the replicas would drift apart in silence. "
                "Shard the model by torch.distributed.fsdp.fully_shard instead, which averages first, or leave "
                "step_in_backward False."
            )


def _wrappers() -> list[Any]:
    kinds: list[type] = [torch.nn.parallel.DistributedDataParallel]
    sharded = sys.modules.get("torch.distributed.fsdp")  # where it was not imported, nobody has wrapped anything in it
    if sharded is not None:
        kinds.append(sharded.FullyShardedDataParallel)
    # type() rather than isinstance(), which would ask lazy objects of other packages what they stand for
    return [item for item in gc.get_objects() if issubclass(type(item), tuple(kinds))]


def _managed(wrapper: Any) -> Iterable[Tensor]:
    """Return the parameters whose gradients a wrapper averages."""
    own = vars(wrapper).get("_module_parameters")  # of DistributedDataParallel: without those that it is to ignore
    if own is None:
        return wrapper.parameters() if "_modules" in vars(wrapper) else ()
    return [*own, *vars(wrapper).get("_delay_all_reduce_params", ())]
