"""States into which others have written: numbers of NumPy, entries of wrappers, values that schedulers drive."""

from __future__ import annotations

import copy
import io
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.optim import lr_scheduler
from torch_runs import assert_same_bits, make_params, run

from downslope.core.errors import StateError
from downslope.schedules import Cosine
from downslope.torch import SGD, load_planner


def through_a_file(state: Any) -> Any:
    """Return a state written to a file and read with ``weights_only=True``."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def plain_kinds(value: Any) -> set[type]:
    """Return the types of all values in nested tables and lists."""
    if isinstance(value, dict):
        return set().union(*map(plain_kinds, value.values())) if value else set()
    if isinstance(value, list | tuple):
        return set().union(*map(plain_kinds, value)) if value else set()
    return {type(value)}


def test_empty_groups_without_names_are_loaded() -> None:
    """A group whose layers were all removed, alone or beside others."""
    for groups in ([[]], [[], [0]], [[0], []], [[], []]):
        params = make_params([(3,)])
        passed = [[{"params": [params[i] for i in group], "lr": 0.5} for group in groups] for _ in range(2)]
        first, second = SGD(passed[0], momentum=0.9), SGD(passed[1], momentum=0.9)
        run(first, params, 1)
        second.load_state_dict(first.state_dict())
        assert [len(group["params"]) for group in second.param_groups] == list(map(len, groups))
        assert "param_names" not in second.param_groups[0]
        second.add_param_group({"params": make_params([(2,)])})


NUMBERS: list[Any] = [
    np.float64(0.125),
    np.float32(0.125),
    np.float16(0.125),
    np.array(0.125),
    torch.tensor(0.125),
    torch.tensor([0.125]),
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}")
@pytest.mark.parametrize("how", ["argument", "group", "written"])
def test_every_number_is_saved_as_a_plain_one(number: Any, how: str) -> None:
    """Whoever wrote it, and wherever; 0.125 is exact in all of them."""
    params = make_params()
    if how == "argument":
        optimizer = SGD(params, lr=number, momentum=number, weight_decay=number, dampening=number)
    elif how == "group":
        optimizer = SGD([{"params": params, "lr": number, "momentum": number, "extra": [number, {"deep": number}]}])
    else:
        optimizer = SGD(params, momentum=0.5)
        optimizer.param_groups[0].update(lr=number, momentum=number, weight_decay=number, lr_mult=np.int64(3))
    run(optimizer, params, 2)
    optimizer.state[params[0]]["count"] = np.int64(7)
    state = through_a_file(optimizer.state_dict())
    kinds = plain_kinds(state["param_groups"])
    assert kinds <= {int, float, bool, str, type(None), *([torch.Tensor] if how == "group" else [])}
    assert state["param_groups"][0]["lr"] == 0.125
    assert type(state["param_groups"][0]["lr"]) is float
    assert type(state["state"][0]["count"]) is int
    again = SGD(params, lr=0.125, momentum=0.125)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again.load_state_dict(state)
    assert again.param_groups[0]["lr"] == 0.125


def test_a_scheduler_that_writes_numpys_numbers() -> None:
    """LambdaLR with a function of NumPy's, as people write one."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: np.cos(step / 10))
    run(optimizer, params, 3, after=lambda _: scheduler.step())
    assert isinstance(optimizer.param_groups[0]["lr"], np.floating)
    assert through_a_file(optimizer.state_dict())["param_groups"][0]["lr"] == pytest.approx(0.1 * np.cos(0.3))


def test_numpys_flags_are_flags() -> None:
    """A comparison of NumPy's as an argument."""
    optimizer = SGD(make_params(), lr=0.1, momentum=0.9, nesterov=np.float64(2) > 1, maximize=np.bool_(False))
    assert optimizer.param_groups[0]["nesterov"] is True
    assert optimizer.param_groups[0]["maximize"] is False


class Lookahead(torch.optim.Optimizer):
    """Slow weights around an optimizer, kept in its state and groups, as timm's Lookahead keeps them."""

    def __init__(self, base: torch.optim.Optimizer, alpha: float = 0.5, k: int = 2) -> None:
        """Share the base optimizer's groups, defaults and no state."""
        self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks = {}, {}
        defaults = {"lookahead_alpha": alpha, "lookahead_k": k, "lookahead_step": 0}
        self.base, self.param_groups, self.defaults = base, base.param_groups, base.defaults
        self.defaults.update(defaults)
        self.state = defaultdict(dict)
        for group in base.param_groups:
            for name, value in defaults.items():
                group.setdefault(name, value)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Step the base; every k steps go back part of the way."""
        loss = self.base.step(closure)
        for group in self.param_groups:
            group["lookahead_step"] += 1
            if group["lookahead_step"] % group["lookahead_k"] == 0:
                for param in group["params"]:
                    state = self.base.state[param]
                    if "lookahead_slow_buff" not in state:
                        state["lookahead_slow_buff"] = param.clone()
                    slow = state["lookahead_slow_buff"]
                    slow.add_(param - slow, alpha=group["lookahead_alpha"])
                    param.copy_(slow)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the base's."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the base's, and take up its new groups."""
        self.base.load_state_dict(state_dict)
        self.param_groups = self.base.param_groups


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("saver", [SGD, torch.optim.SGD])
def test_slow_weights_resume_to_the_bit(dtype: torch.dtype, saver: type) -> None:
    """Interrupted and uninterrupted runs end the same, whichever optimizer the slow weights were saved around."""
    whole, parted = make_params(dtype=dtype), make_params(dtype=dtype)
    optimizer = Lookahead(SGD(whole, lr=0.1, momentum=0.9))
    run(optimizer, whole, 7)
    first = Lookahead(SGD(parted, lr=0.1, momentum=0.9))
    run(first, parted, 3)
    state = through_a_file(first.state_dict())
    if saver is torch.optim.SGD:
        theirs = Lookahead(torch.optim.SGD(parted, lr=0.1, momentum=0.9))
        theirs.load_state_dict(state)
        state = through_a_file(theirs.state_dict())
    second = Lookahead(SGD(parted, lr=0.1, momentum=0.9))
    second.load_state_dict(state)
    run(second, parted, 4, start=3)
    assert_same_bits(parted, whole)


def test_anything_that_others_keep_goes_round() -> None:
    """Tensors, numbers, lists and tables; beside a velocity or under a word of its own."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, 1)
    kept = {
        "step": torch.tensor(3.0),
        "mask": torch.ones(3, dtype=torch.bool),
        "number": 1.5,
        "numbers": [1, 2.5],
        "nested": {"ema": torch.arange(3.0), "pair": (1, torch.zeros(2))},
    }
    optimizer.state[params[1]].update(copy.deepcopy(kept))
    optimizer.state["a wrapper's own"] = {"count": 5}
    state = through_a_file(optimizer.state_dict())
    again = SGD(params, lr=0.1, momentum=0.9)
    again.load_state_dict(state)
    found = {key: value for key, value in again.state[params[1]].items() if key != "momentum_buffer"}
    assert found.keys() == kept.keys()
    assert plain_kinds(found) == plain_kinds(kept)
    torch.testing.assert_close(found, kept, rtol=0, atol=0)
    assert found["mask"].dtype == torch.bool
    assert again.state["a wrapper's own"] == {"count": 5}
    state["state"][1]["nested"]["ema"].fill_(9)  # a copy, as velocities are
    assert found["nested"]["ema"].tolist() == [0, 1, 2]
    run(again, params, 2, start=1)


def test_another_optimizers_state_is_still_refused() -> None:
    """Adam's moments are nothing that was put into an SGD's state."""
    params = make_params()
    adam = torch.optim.Adam(params, lr=0.1)
    run(adam, params, 1)
    with pytest.raises(StateError, match="exp_avg.*not of SGD"):
        SGD(params, lr=0.1, momentum=0.9).load_state_dict(adam.state_dict())


class Plain:
    """A trainer's own scheduler, as ignite's and fastai's: it writes to the groups and leaves no mark."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep the optimizer."""
        self.optimizer, self.count = optimizer, 0

    def step(self) -> None:
        """Write lr, momentum and weight decay."""
        self.count += 1
        for group in self.optimizer.param_groups:
            group["lr"], group["momentum"], group["weight_decay"] = 0.1 / self.count, 0.85 + 0.01 * self.count, 0.02


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 0.9**step),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 1),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=10),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.2, step_size_up=2),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    "warm restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "chained": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.1), lr_scheduler.ExponentialLR(o, 0.9)]
    ),
    "sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=2), lr_scheduler.CosineAnnealingLR(o, 5)], [2]
    ),
    "a trainer's own": Plain,
}


def advance(scheduler: Any, step: int) -> None:
    """Take a scheduler's step; a plateau gets a loss that does not fall."""
    scheduler.step(1.0) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())
@pytest.mark.parametrize("order", ["scheduler first", "optimizer first"])
def test_an_ordinary_resume_does_not_warn(make: Callable[[Any], Any], order: str) -> None:
    """What a scheduler drives is no surprise: the arguments are those of the run that was saved."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01)
    scheduler = make(optimizer)
    run(optimizer, params, 4, after=lambda step: advance(scheduler, step))
    state = through_a_file(optimizer.state_dict())
    again = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if order == "scheduler first":
            make(again)
        again.load_state_dict(state)
        SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01).load_state_dict(through_a_file(again.state_dict()))
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_an_argument_that_was_changed_is_warned_of_all_the_same(make: Callable[[Any], Any]) -> None:
    """Here the person says another value than the run was begun with, and it does not count."""
    params = make_params()
    optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.01)
    scheduler = make(optimizer)
    run(optimizer, params, 4, after=lambda step: advance(scheduler, step))
    with pytest.warns(UserWarning, match="changed hyperparameters: lr of group 0 from 0.4"):
        SGD(params, lr=0.4, momentum=0.9, weight_decay=0.01).load_state_dict(optimizer.state_dict())
    with pytest.warns(UserWarning, match="weight_decay of group 0 from 0.5"):
        SGD(params, lr=0.1, momentum=0.9, weight_decay=0.5).load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("name", ["LambdaLR", "OneCycleLR", "CyclicLR", "sequential"])
def test_torchs_states_are_judged_by_the_marks_that_its_schedulers_leave(name: str) -> None:
    """torch.optim.SGD saves no arguments, but `initial_lr` and what a cycle runs between."""
    params = make_params()
    theirs = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    scheduler = SCHEDULERS[name](theirs)
    run(theirs, params, 4, after=lambda step: advance(scheduler, step))
    again = SGD(params, lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SCHEDULERS[name](again)
        again.load_state_dict(theirs.state_dict())


MODELS = {
    "torch": lambda m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
    "torch named": lambda m: torch.optim.SGD(m.named_parameters(), lr=0.1, momentum=0.9),
    "ours": lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9),
    "ours named": lambda m: SGD(m.named_parameters(), lr=0.1, momentum=0.9),
    "ours scheduled": lambda m: SGD(m, lr=Cosine(0.1, 0.01, 20), momentum=0.9),
}


def saved_and_read(source: str, target: str, folder: Path, *, helper: bool) -> tuple[Any, Any]:
    """Save three steps of one optimizer as a distributed checkpoint, and read it into another."""
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(torch.nn.Linear(3, 2))
    first, second = MODELS[source](models[0]), MODELS[target](models[1])
    run(first, list(models[0].parameters()), 3)
    saved = get_optimizer_state_dict(models[0], first) if helper else first.state_dict()
    if not helper:
        run(second, list(models[1].parameters()), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"optimizer": saved}, checkpoint_id=folder, no_dist=True)
        state = {"optimizer": get_optimizer_state_dict(models[1], second) if helper else second.state_dict()}
        planner = load_planner() if target.startswith("ours") else None
        dcp.load(state, checkpoint_id=folder, no_dist=True, planner=planner)
        if helper:
            set_optimizer_state_dict(models[1], second, state["optimizer"])
        else:
            second.load_state_dict(state["optimizer"])
    velocity = [
        [optimizer.state[p]["momentum_buffer"] for p in model.parameters()]
        for model, optimizer in zip(models, (first, second), strict=True)
    ]
    assert_same_bits(velocity[1], velocity[0])
    return first, second


@pytest.mark.parametrize("helper", [True, False])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("torch", "ours"),
        ("torch", "ours named"),
        ("torch named", "ours named"),
        ("torch named", "ours"),
        ("ours", "torch"),
        ("ours named", "torch named"),
        ("ours scheduled", "torch named"),
        ("ours named", "ours"),
        ("ours", "ours named"),
        ("ours scheduled", "ours scheduled"),
    ],
)
def test_distributed_checkpoints_are_exchanged(source: str, target: str, helper: bool, tmp_path: Path) -> None:
    """With torch's helpers or without; what is ours alone is left out of a checkpoint of torch's, and nothing else."""
    _, second = saved_and_read(source, target, tmp_path, helper=helper)
    if source.startswith("ours") and target.startswith("ours"):
        assert second.step_count == 3


def test_a_schedule_asks_for_the_count_that_torchs_checkpoint_lacks(tmp_path: Path) -> None:
    """It is not taken to be 0 in silence."""
    with pytest.raises(StateError, match="no step count"):
        saved_and_read("torch named", "ours scheduled", tmp_path, helper=True)


def test_what_a_checkpoint_of_ours_lacks_is_an_error(tmp_path: Path) -> None:
    """A schedule that was not saved, or a parameter, is not left out."""
    with pytest.raises(BaseException, match="Missing key.*lr_schedule"):
        saved_and_read("ours named", "ours scheduled", tmp_path, helper=True)


def test_a_file_with_slow_weights_is_converted_without_them(tmp_path: Path) -> None:
    """The velocities are SGD's; what a wrapper keeps beside them is left out, and said."""
    from downslope.torch.state_files import read_state_file

    params = make_params()
    optimizer = Lookahead(torch.optim.SGD([(f"p{i}", p) for i, p in enumerate(params)], lr=0.1, momentum=0.9))
    run(optimizer, params, 2)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        for key in [key for key in group if key.startswith("lookahead")]:
            del group[key]
    torch.save(state, tmp_path / "state.pt")
    snapshot = read_state_file(tmp_path / "state.pt", "torch")
    assert list(snapshot.velocity) == ["p0", "p1", "p2", "p3"]
    assert any("left out: `lookahead_slow_buff`" in note for note in snapshot.notes)
