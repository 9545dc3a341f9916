"""A whole training step on a device that has no memory: nothing may be read back from it. No tests here.

Torch is given a device of its own name, whose tensors are fake: operations are checked for devices, shapes and formats,
and whoever asks for a number raises. What the front door hands to torch's fused kernel is only looked at.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration

NAME = "pretended"


class Silent:
    """A console that says nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Have nothing to end."""


class Backend(backend_registration._DummyBackendModule):
    """Torch's module of the device, which remembers the seeds that it was given."""

    seeds: ClassVar[list[int]] = []

    def manual_seed(self, seed: int) -> None:
        """Remember it."""
        self.seeds.append(seed)


def main(*overrides: str) -> None:
    """Take two steps of a run with these overrides.

    Prints how often the fused kernel was called, how many seeds the device was given, and where that kernel's tensors
    were.
    """
    backend_registration._setup_privateuseone_for_python_backend(NAME, Backend())
    import downslope.torch.sgd as door
    import downslope.training.run.task as making
    from downslope.recipe.load import load_recipe, to_toml
    from downslope.torch import on_device
    from downslope.training.device import find_device
    from downslope.training.folder import run_folder
    from downslope.training.run.plan import plan_run
    from downslope.training.run.train import Trainer
    from downslope.training.workers.workers import Workers

    device = find_device("auto")
    assert device.type == NAME
    met: list[set[torch.device]] = []

    def look(*lists: Any, found_inf: Any, **_: Any) -> None:
        met.append({tensor.device for tensors in lists for tensor in tensors} | {found_inf.device})

    build, mode = making.build_model, FakeTensorMode(allow_non_fake_inputs=True)

    def build_there(*words: Any, **more: Any) -> Any:
        with mode, torch.device(device):
            return build(*words, **more)

    making.build_model = build_there
    making.place_model = lambda model, *_, **__: model
    torch.nn.Module.to = lambda self, *_, **__: self  # type: ignore[method-assign]  # which has no way to such a device
    door.is_watched = lambda: False  # it is fake tensors that watch, which is the point
    on_device.is_plain = lambda _: True
    on_device.mark_shared_memory = lambda _, entries, __: entries
    on_device.DevicePlan.fits = lambda self, grads: self._forms_of(grads) == self._forms  # whatever their type is
    on_device.fused_kernel = lambda *_: look
    pairs = [tuple(override.split("=", 1)) for override in overrides]
    recipe = load_recipe(overrides=[("train.log_every", "1000"), ("train.measure_every", "0"), *pairs])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        folder.mkdir()
        (folder / "lock").touch()
        task = making.build_task(recipe, device=device)
        plan = plan_run(recipe, name="x", out=folder)
        run_folder.make_ready(folder, None, to_toml(recipe), task.facts(), keep=1)
        trainer = Trainer(task, plan, Silent(), Workers())  # type: ignore[arg-type]
        trainer.step = 1  # step 0 is logged, which asks for its loss
        with mode:
            trainer.train_step()
            trainer.train_step()
        trainer._close()
    print(len(met), len(set(Backend.seeds)), sorted({str(device) for devices in met for device in devices}))


if __name__ == "__main__":
    main(*sys.argv[1:])
