"""A model wrapped by torch.compile, data parallelism, sharding or checkpointing, and the bare one: the same names."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch_runs import assert_same_bits, run

from downslope import Group
from downslope.torch import SGD


class Net(nn.Module):
    """A layer, a norm, and a layer that its owner called `module`."""

    def __init__(self) -> None:
        """Make the same weights each time."""
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.module = nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1)


class Around(nn.Module):
    """As DistributedDataParallel, DataParallel, DeepSpeed's engine and AveragedModel hold a model."""

    def __init__(self, module: nn.Module) -> None:
        """Hold it."""
        super().__init__()
        self.module = module


def checkpointed(net: Net) -> Net:
    """Return the model with activation checkpointing around one layer."""
    net.first = checkpoint_wrapper(net.first)
    return net


def compiled_inside(net: Net) -> Net:
    """Return the model with one layer compiled."""
    net.module = torch.compile(net.module)  # type: ignore[assignment]
    return net


WRAPPERS: dict[str, Any] = {
    "bare": lambda net: net,
    "compiled": torch.compile,
    "DataParallel": nn.DataParallel,
    "around": Around,
    "compiled around": lambda net: torch.compile(Around(net)),
    "around compiled": lambda net: Around(torch.compile(net)),
    "twice around": lambda net: Around(Around(net)),
    "checkpointed": checkpointed,
    "layer compiled": compiled_inside,
    "all": lambda net: Around(torch.compile(checkpointed(net))),
}
NAMES = [name for name, _ in Net().named_parameters()]


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
@pytest.mark.parametrize("how", ["module", "named", "groups", "later"])
def test_names_are_those_of_the_bare_model(wrap: Any, how: str) -> None:
    """However parameters are passed, all at once or a group at a time."""
    model = wrap(Net())
    pairs = list(model.named_parameters())
    if how == "module":
        optimizer = SGD(model)
    elif how == "named":
        optimizer = SGD(iter(pairs))
    elif how == "groups":
        optimizer = SGD([{"params": iter(pairs[:4])}, {"params": pairs[4:], "lr": 0.5}])
    else:
        optimizer = SGD(pairs[:4])
        optimizer.add_param_group({"params": iter(pairs[4:])})
    assert [name for group in optimizer.param_groups for name in group["param_names"]] == NAMES


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_states_are_exchanged_between_wrapped_and_bare(wrap: Any) -> None:
    """Both ways, also with a state that torch.optim.SGD saved under the wrapped names, and in another order."""
    bare, wrapped = Net(), wrap(Net())
    for source, target in ((bare, wrapped), (wrapped, bare)):
        for optimizer in (SGD, torch.optim.SGD):
            saved = optimizer(list(source.named_parameters())[::-1], lr=0.1, momentum=0.9)
            run(saved, list(source.parameters()), 2)
            loaded = SGD(target.named_parameters(), lr=0.1, momentum=0.9)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                loaded.load_state_dict(saved.state_dict())
            assert_same_bits(
                [loaded.state[p]["momentum_buffer"] for p in target.parameters()],
                [saved.state[p]["momentum_buffer"] for p in source.parameters()],
            )


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_patterns_match_bare_names_and_wrapped_ones(wrap: Any) -> None:
    """One list of groups serves a model before and after it is wrapped; who wrote the wrapped name is served too."""
    model = wrap(Net())
    groups = [Group(match="first.weight", lr=0.25), Group(match="@bias_and_norm", weight_decay=0.0)]
    optimizer = SGD(model, lr=0.5, weight_decay=0.1, groups=groups)
    names = [group["param_names"] for group in optimizer.param_groups]
    assert names == [["first.weight"], ["first.bias", "norm.weight", "norm.bias", "module.bias"], ["module.weight"]]
    (wrapped, _), *_ = model.named_parameters()
    optimizer = SGD(model, lr=0.5, groups=[Group(match=wrapped, lr=0.25)])
    assert optimizer.param_groups[0]["param_names"] == ["first.weight"]


def test_a_layer_called_module_beside_a_layer_of_the_same_names() -> None:
    """Names in groups of their own stay distinct."""
    model = nn.Module()
    model.weight, model.module = nn.Parameter(torch.ones(2)), nn.Linear(2, 2)
    named = dict(model.named_parameters())
    optimizer = SGD([{"params": [("weight", named["weight"])]}])
    optimizer.add_param_group({"params": [(n, p) for n, p in named.items() if n != "weight"]})
    assert [group["param_names"] for group in optimizer.param_groups] == [["weight"], ["module.weight", "module.bias"]]


def test_files_of_a_wrapped_model_are_read_under_its_bare_names(tmp_path: Any) -> None:
    """An optimizer's file for `convert`: velocities and parameters by the same names."""
    from downslope.torch.state_files import read_state_file

    model = torch.compile(Around(Net()))
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1, momentum=0.9)
    run(optimizer, list(model.parameters()), 1)
    torch.save({"optimizer": optimizer.state_dict(), "model": model.state_dict()}, tmp_path / "state.pt")
    snapshot = read_state_file(tmp_path / "state.pt", "torch")
    assert list(snapshot.velocity) == list(snapshot.params) == NAMES
