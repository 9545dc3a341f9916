"""Reading a distributed checkpoint of torch.optim.SGD (torch.distributed.checkpoint) into ours.

Such a checkpoint is read key by key, each asked for by the state that is to be filled. Ours has keys in its groups that
torch.optim.SGD has not saved, for which the default planner raises. The one from here leaves exactly these out of the
state, so that `SGD.load_state_dict` sees what there is: a state of torch.optim.SGD.
"""

from __future__ import annotations

from collections.abc import Container
from functools import cache
from typing import Any

import torch

from downslope.torch.groups import GIVEN
from downslope.torch.sgd import SGD


def load_planner() -> Any:
    """Return a planner for ``torch.distributed.checkpoint.load`` that takes checkpoints of torch.optim.SGD, and ours.

    Every other key that is missing is an error, as ever. As with any state of torch.optim.SGD there is no count of
    steps then; if a schedule needs one, loading says so.

    Example:
        >>> import tempfile, torch
        >>> import torch.distributed.checkpoint as dcp
        >>> from downslope.torch import SGD, load_planner
        >>> model = torch.nn.Linear(2, 1)
        >>> theirs = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> model(torch.ones(2)).sum().backward(); theirs.step()
        >>> ours = SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> ours.step()  # which allocates the velocities to be filled; get_optimizer_state_dict does it by itself
        >>> state = {"optimizer": ours.state_dict()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = dcp.save({"optimizer": theirs.state_dict()}, checkpoint_id=folder, no_dist=True)
        ...     dcp.load(state, checkpoint_id=folder, planner=load_planner(), no_dist=True)
        >>> ours.load_state_dict(state["optimizer"])
        >>> ours.state[model.weight]["momentum_buffer"]
        tensor([[1., 1.]])
    """
    return _class_of_planners()()


_OPTIONAL = frozenset({"param_names", GIVEN})
"""Keys that a checkpoint of ours may lack, too: of parameters without names, or of an earlier version."""


@cache
def _class_of_planners() -> type:
    # not at the top: importing it takes longer than all the rest, and few need it
    from torch.distributed.checkpoint._nested_dict import flatten_state_dict
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner

    class LoadPlanner(DefaultLoadPlanner):
        """torch's planner, but for what our groups have beyond those of torch.optim.SGD."""

        def set_up_planner(self, state_dict: Any, metadata: Any = None, is_coordinator: bool = False) -> None:
            """Leave out of the state what is ours alone and not in the checkpoint."""
            known = {} if metadata is None else metadata.state_dict_metadata
            _, paths = flatten_state_dict(state_dict)
            for name, path in paths.items():
                if name not in known:
                    _leave_out(state_dict, path, known)
            super().set_up_planner(state_dict, metadata, is_coordinator)

    return LoadPlanner


@cache
def _keys_of_ours() -> frozenset[str]:
    """Return the keys of our groups that torch.optim.SGD's lack, or lack where it was made without names."""
    param = torch.zeros(1)
    return frozenset({*SGD([("", param)]).param_groups[0]} - {*torch.optim.SGD([param]).param_groups[0]})


def _leave_out(state_dict: Any, path: tuple[Any, ...], saved: Container[str]) -> None:
    """Take one of our own keys out of a group of a nested state; any other path is left as it is.

    Args:
        state_dict: The state; changed in place.
        path: Where in it there is a value that the checkpoint lacks.
        saved: Names of all values in the checkpoint.
    """
    if "param_groups" not in path:
        return
    place = path.index("param_groups") + 2
    home = path[:place]
    is_of_torch = ".".join(map(str, (*home, "step"))) not in saved
    if len(path) > place and path[place] in (_keys_of_ours() if is_of_torch else _OPTIONAL):
        group: Any = state_dict
        for part in home:
            group = group[part]
        group.pop(path[place], None)
