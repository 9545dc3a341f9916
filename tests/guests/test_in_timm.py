"""Inside timm: its factory, its scaler, its schedulers, its checkpoints, in the loop of its training script."""

from __future__ import annotations

from argparse import Namespace
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Net, Way, bare, distance, loader, loss_of
from guest_table import GROUPS, ROWS, SCHEDULE, Guest, found_in, judge

from downslope.core.errors import GroupError, SettingsError
from downslope.torch import SGD, param_groups, scheduler

timm = pytest.importorskip("timm", reason="timm is not installed")
from timm.models import resume_checkpoint  # noqa: E402
from timm.optim import Lars, OptimInfo, create_optimizer_v2, param_groups_layer_decay  # noqa: E402
from timm.optim._optim_factory import default_registry  # noqa: E402
from timm.scheduler import CosineLRScheduler  # noqa: E402
from timm.utils import CheckpointSaver, NativeScaler, dispatch_clip_grad  # noqa: E402


class Timm(Guest):
    """`create_optimizer_v2` and the loop of its training script."""

    name = "timm"
    saves_schedulers = False

    def begin(self, kind: Any, options: dict[str, Any], way: Way) -> Any:
        """Return everything, made anew."""
        default_registry.register(OptimInfo("ours", kind, has_eps=False, has_momentum=True))
        model = Net()
        own = {} if kind is torch.optim.SGD else {"model": model}
        if "groups" in options:
            own["param_group_fn"] = partial(param_groups, groups=options["groups"])
            options = {name: value for name, value in options.items() if name != "groups"}
        optimizer = create_optimizer_v2(model, "ours", filter_bias_and_bn=False, **options, **own)
        scaler = None
        if way.scaler is not None:
            scaler = NativeScaler("cpu")
            scaler._scaler = way.scaler
        return model, optimizer, scaler, way.own_scheduler(optimizer)

    def epoch(self, model: Any, optimizer: Any, scaler: Any, own: Any, way: Way) -> None:
        """Train one, as its script does."""
        for index, (x, y) in enumerate(loader(way)):
            last = (index + 1) % way.accumulate == 0
            with torch.autocast("cpu", torch.bfloat16) if way.bf16 else nullcontext():
                loss = loss_of(model, x, y) / way.accumulate
            with nullcontext() if last or not isinstance(optimizer, SGD) else optimizer.accumulate():
                if scaler is not None:
                    params = model.parameters()
                    scaler(loss, optimizer, clip_grad=way.clip, parameters=params, need_update=last)
                else:
                    loss.backward()
                    if last and way.clip is not None:
                        dispatch_clip_grad(model.parameters(), way.clip)
                    if last:
                        optimizer.step()
            if last:
                optimizer.zero_grad()
                if own is not None:
                    own.step()

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Train all epochs."""
        parts = self.begin(kind, options, way)
        for _ in range(way.epochs):
            self.epoch(*parts, way)
        return parts[0]

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Save half of it by its saver, go on from its `resume_checkpoint`."""
        for half in range(2):
            model, optimizer, *rest = self.begin(kind, options, way)
            if half:
                resume_checkpoint(model, str(folder / "last.pth.tar"), optimizer, log_info=False)
            for _ in range(way.epochs // 2):
                self.epoch(model, optimizer, *rest, way)
            args = Namespace(model="net")
            CheckpointSaver(model, optimizer, args, checkpoint_dir=str(folder)).save_checkpoint(half)
        return model


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Timm.name, title, found_in(Timm(), title, tmp_path))


def test_groups_beside_its_own_are_refused():
    """Its factory puts weight decay into groups; the error says which function to pass instead."""
    model = Net()
    with pytest.raises(GroupError, match="param_groups"):
        create_optimizer_v2(model, "ours", lr=0.1, weight_decay=0.1, groups=GROUPS, model=model)


def test_its_schedulers():
    """The same as with torch's optimizer; a schedule in the optimizer is refused."""
    nets = []
    for kind in (SGD, torch.optim.SGD):
        model, optimizer, *rest = Timm().begin(kind, BASE, Way())
        theirs = CosineLRScheduler(optimizer, t_initial=4, lr_min=0.01)
        for epoch in range(3):
            Timm().epoch(model, optimizer, *rest, Way())
            theirs.step(epoch + 1)
        nets.append(model)
    assert distance(*nets) < 2e-6
    model, optimizer, *_ = Timm().begin(SGD, BASE | {"lr": SCHEDULE}, Way())
    theirs = CosineLRScheduler(optimizer, t_initial=4, lr_min=0.01)
    theirs.step(1)
    loss_of(model, *next(iter(loader(Way())))).backward()
    with pytest.raises(SettingsError, match="lr"):
        optimizer.step()


def test_lr_scale_of_its_groups_is_applied_by_our_scheduler():
    """Layer decay is a factor in the groups, which its schedulers apply; `downslope.torch.scheduler` does too."""

    def groups():
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        model.group_matcher = lambda coarse=False: {"stem": r"^0", "blocks": r"^(\d+)"}
        model.no_weight_decay = set
        return param_groups_layer_decay(model, weight_decay=0.1, layer_decay=0.5)

    optimizer = SGD(groups(), lr=0.1)
    own = scheduler(optimizer, SCHEDULE)
    own.step(3)
    scales = [group["lr_scale"] for group in optimizer.param_groups]
    assert len(set(scales)) > 1
    assert own.get_last_lr() == [0.2 * scale for scale in scales]


@pytest.mark.parametrize("mode", ["norm", "value", "agc"])
def test_every_way_of_its_clipping_is_refused_within_the_backward_pass(mode):
    """Its adaptive clipping too, which asks nothing of torch."""
    model, optimizer, *_ = Timm().begin(SGD, BASE | {"step_in_backward": True}, Way())
    loss_of(model, *next(iter(loader(Way())))).backward()
    with pytest.raises(SettingsError, match="gradients are to be clipped that are gone"):
        dispatch_clip_grad(model.parameters(), 0.1, mode=mode)
    optimizer.step()
    plain = bare(BASE, Way(epochs=0))
    loss_of(plain, *next(iter(loader(Way())))).backward()
    dispatch_clip_grad(plain.parameters(), 0.1, mode=mode)  # of another model


@pytest.mark.parametrize("clips", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_our_lars_is_timms(clips, nesterov):
    """In float64 over 20 steps; timm's adds 1e-8 to a norm, which is left out here, and needs weight decay."""
    start = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    how = {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01, "nesterov": nesterov, "trust_clip": clips}
    optimizers = SGD([ours], **how, trust_coefficient=0.02), Lars([theirs], **how, trust_coeff=0.02, eps=0.0)
    for step in range(20):
        for param, optimizer in zip((ours, theirs), optimizers, strict=True):
            param.grad = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
