"""Inside Hugging Face's Trainer: the cells of the table, its own schedulers, and names."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from guest_problem import BASE, Net, Way, bare, data, distance, loss_of
from guest_table import GROUPS, ROWS, SCHEDULE, Guest, found_in, judge
from torch import nn

from downslope.core.errors import SettingsError
from downslope.core.schedules import Schedule
from downslope.torch import SGD, scheduler

pytest.importorskip("accelerate", reason="Accelerate, which the Trainer needs, is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


class Model(nn.Module):
    """The model, which returns its loss."""

    def __init__(self) -> None:
        """Make it."""
        super().__init__()
        self.net = Net()

    def forward(self, x: Any, labels: Any) -> Any:
        """Return the loss, as the Trainer asks for it."""
        return {"loss": loss_of(self.net, x, labels)}


class InBackward(transformers.Trainer):
    """Lets gradients add up where the optimizer steps within the backward pass."""

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Accumulate all but the last."""
        last = self.accelerator.sync_gradients
        with nullcontext() if last else self.optimizer.optimizer.accumulate():
            return super().training_step(*args, **kwargs)


def arguments(way: Way, folder: Path, **more: Any) -> Any:
    """Return the Trainer's arguments."""
    return transformers.TrainingArguments(
        **{
            "output_dir": str(folder),
            "num_train_epochs": way.epochs,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": way.accumulate,
            "max_grad_norm": way.clip or 0.0,
            "lr_scheduler_type": "constant",
            "bf16": way.bf16,
            "use_cpu": True,
            "train_sampling_strategy": "sequential",
            "report_to": [],
            "save_strategy": "epoch" if more.pop("saves", False) else "no",
            "logging_strategy": "no",
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            **more,
        }
    )


def examples(way: Way) -> Any:
    """Return the data as dictionaries."""
    return [{"x": x, "labels": y} for x, y in zip(*data(way), strict=True)]


class Transformers(Guest):
    """`Trainer(optimizers=...)`."""

    name = "transformers"

    def trainer(self, kind: Any, options: dict[str, Any], way: Way, folder: Path, **more: Any) -> Any:
        """Return the Trainer, with the optimizer made beforehand."""
        model = Model()
        optimizer = kind(model.named_parameters(), **options)
        own = way.own_scheduler(optimizer)
        if isinstance(options["lr"], Schedule):
            own = scheduler(optimizer)
        kinds = InBackward if options.get("step_in_backward") else transformers.Trainer
        trainer = kinds(model, arguments(way, folder, **more), train_dataset=examples(way), optimizers=(optimizer, own))
        if way.scaler is not None:
            trainer.accelerator.scaler = way.scaler
        return trainer

    def train(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Train."""
        trainer = self.trainer(kind, options, way, folder)
        trainer.train()
        return trainer.model.net

    def resumed(self, kind: Any, options: dict[str, Any], way: Way, folder: Path) -> Any:
        """Train with a checkpoint at every epoch; then go on from the first one's."""
        self.trainer(kind, options, way, folder, saves=True).train()
        trainer = self.trainer(kind, options, way, folder)
        trainer.train(resume_from_checkpoint=str(folder / "checkpoint-8"))
        return trainer.model.net


@pytest.mark.parametrize("title", ROWS)
def test_cell(title, tmp_path):
    """The table says what is found."""
    judge(Transformers.name, title, found_in(Transformers(), title, tmp_path))


def of_class(options, tmp_path, way=Way(), **more):  # noqa: B008
    """Return a Trainer that makes the optimizer itself, from a class and its arguments."""
    return transformers.Trainer(
        Model(),
        arguments(way, tmp_path, **more),
        train_dataset=examples(way),
        optimizer_cls_and_kwargs=(SGD, options),
    )


def test_its_own_scheduler_refuses_a_schedule_in_the_optimizer(tmp_path):
    """The error says what to do."""
    with pytest.raises(SettingsError, match="lr"):
        of_class(BASE | {"lr": SCHEDULE}, tmp_path).train()


def test_an_optimizer_that_it_makes(tmp_path):
    """Its two groups, with and without weight decay; its linear scheduler; the same as with torch's."""
    options = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    nets = []
    for kind in (SGD, torch.optim.SGD):
        trainer = of_class(options, tmp_path, lr_scheduler_type="linear", learning_rate=0.1, weight_decay=0.1)
        trainer.optimizer_cls_and_kwargs = (kind, options)
        trainer.train()
        nets.append(trainer.model.net)
    assert distance(*nets) < 1e-6


def test_groups_of_ours_for_an_optimizer_that_it_makes(tmp_path):
    """`params` in the arguments takes the place of its groups, and there are names."""
    from downslope.torch import param_groups

    trainer = of_class(BASE, tmp_path)
    trainer.optimizer_cls_and_kwargs = (SGD, BASE | {"params": param_groups(trainer.model, GROUPS)})
    trainer.train()
    assert distance(trainer.model.net, bare(BASE | {"groups": GROUPS}, Way())) == 0
    assert trainer.optimizer.param_groups[1]["param_names"] == ["net.0.weight", "net.3.weight"]


def test_max_grad_norm_clips_unless_it_is_0(tmp_path):
    """Its default of 1.0 is in force."""
    assert transformers.TrainingArguments(output_dir=str(tmp_path)).max_grad_norm == 1.0
