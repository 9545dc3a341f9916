"""Train ResNet-20 on images of 32x32, batches of 128: `downslope train` beside torch's plain loop and timm's.

    python benchmarks/resnet.py --rounds 5 --threads 1 2 --timm train.py --json resnet.json

All begin with the same weights, take the same batches in the same order and step by Nesterov momentum with weight
decay, so that they end with the same loss, which is printed. timm's loop is `train_one_epoch` of the `train.py` in
timm's repository (tried at commit aa4b585); it is no part of the package, so that its file is named by --timm.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import environment
import loops
import tables
from loops import OURS, OURS_SPARSE, PLAIN, PLAIN_FUSED, Loop

TIMM = "timm, train_one_epoch"
BATCH, BATCHES, SIDE, CLASSES = 128, 24, 32, 10
STEPS = (1, 9)
"""Steps of the short and the long training: what the long one takes more is divided by the difference."""
ROUNDS = 7
RECIPE: dict[str, Any] = {
    "data.name": '"resnet:data"',
    "data.batch_size": BATCH,
    "model.name": '"resnet20"',
    **{f"sgd.{key}": str(value).lower() for key, value in loops.OPTIONS.items()},
    "sgd.lr": 0.02,
}


def data() -> dict[str, Any]:
    """Return random images that can be told apart, for `downslope train`, with as little held out as it allows."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, BATCH * BATCHES)
    images = rng.standard_normal((len(labels), 3, SIDE, SIDE), dtype=np.float32)
    images += 0.3 * rng.standard_normal((CLASSES, 3, SIDE, SIDE), dtype=np.float32)[labels]
    parts = {"train": slice(None), "held_out": slice(8)}
    found = {f"{part}_inputs": images[where] for part, where in parts.items()}
    return found | {f"{part}_targets": labels[where] for part, where in parts.items()} | {"classes": CLASSES}


class Others:
    """What the other loops train: the recipe's model before its first step, its examples, and their order."""

    def __init__(self) -> None:
        """Build them as `downslope train` does."""
        from downslope.recipe.load import parse_recipe
        from downslope.training.data import load_data
        from downslope.training.run.batches import Batches

        overrides = [(key, str(value)) for key, value in RECIPE.items()]
        self._recipe = parse_recipe("[train]\nsteps = 1\n", "resnet", overrides)
        self.data: Any = load_data(self._recipe)
        batches = Batches(count=len(self.data.train_inputs), batch_size=BATCH, accumulate=1, shards=1, seed=0)
        self.order = [batches.leaves(step)[0].examples for step in range(max(STEPS))]
        self.options = loops.OPTIONS | {"lr": RECIPE["sgd.lr"]}

    def model(self) -> Any:
        """Return the model."""
        from downslope.training.models import build_model

        return build_model(self._recipe, self.data)

    def torch_loop(self, **way: Any) -> Loop:
        """Return the loop that a tutorial shows."""
        import torch

        inputs, labels = self.data.train_inputs, self.data.train_targets
        loss_of = torch.nn.CrossEntropyLoss()

        def run(steps: int) -> float:
            model = self.model()
            optimizer = torch.optim.SGD(model.parameters(), **self.options, **way)
            loss = torch.zeros(())
            for chosen in self.order[:steps]:
                optimizer.zero_grad()
                loss = loss_of(model(inputs[chosen]), labels[chosen])
                loss.backward()
                optimizer.step()
            return loss.item()

        return run

    def timm_loop(self, file: Path) -> Loop:
        """Return timm's, on a DataLoader over the same tensors."""
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        script: Any = _load(file)
        dataset = TensorDataset(self.data.train_inputs, self.data.train_targets)
        switches: Any = Namespace(
            **dict.fromkeys(("mixup_off_epoch", "recovery_interval", "rank", "local_rank"), 0),
            **dict.fromkeys(("prefetcher", "distributed", "channels_last", "synchronize_step", "save_images"), False),
            clip_grad=None,
            clip_mode="norm",
            grad_accum_steps=1,
            log_interval=50,
            world_size=1,
        )

        def run(steps: int) -> float:
            model, losses = self.model(), list[torch.Tensor]()
            optimizer = script.create_optimizer_v2(
                model, opt="sgd", filter_bias_and_bn=False, **_for_timm(self.options)
            )
            task = script.ClassificationTask(model, torch.nn.CrossEntropyLoss(), device=torch.device("cpu"))
            task.register_forward_hook(lambda _task, _inputs, found: losses.append(found["loss"].detach()))
            loader = DataLoader(dataset, batch_sampler=[chosen.tolist() for chosen in self.order[:steps]])
            script.train_one_epoch(0, model, loader, optimizer, switches, task, torch.device("cpu"))
            return losses[-1].item()

        return run


def _for_timm(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "nesterov"}  # its "sgd" is Nesterov's


def _load(file: Path) -> Any:
    """Return timm's script as a module; where torchvision was built for another torch, without its operators."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "training"))
    from torchvision_operators import declare

    declare()
    spec = importlib.util.spec_from_file_location("timm_train", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"--timm {file}: is no Python file.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(threads: int, rounds: int, timm: Path | None) -> dict[str, Any]:
    """Return the samples of this process: every loop at one number of threads."""
    environment.begin_worker(threads)
    facts, others = environment.describe(), Others()
    losses: dict[str, float | None] = {}

    def noting(name: str, loop: Loop) -> Loop:
        def run(steps: int) -> None:
            loss: Any = loop(steps)
            losses[name] = loss

        return run

    contenders: dict[str, Loop] = {
        OURS: loops.ours(RECIPE | {"train.log_every": 1}),
        OURS_SPARSE: loops.ours(RECIPE | {"train.log_every": 50}),
        PLAIN: others.torch_loop(),
        PLAIN_FUSED: others.torch_loop(fused=True),
        **({} if timm is None else {TIMM: others.timm_loop(timm)}),
    }
    contenders = {name: noting(name, loop) for name, loop in contenders.items()}
    busy = environment.Busy()
    wall, processor = loops.time_in_rounds(contenders, STEPS, rounds)
    result = {"threads": threads, "busy": busy.report(), "milliseconds": wall, "processor_milliseconds": processor}
    return {"environment": facts, "results": [result | {"losses": losses}]}


def main() -> None:
    """Read the command line, measure in one process per number of threads, print and write."""
    parser = environment.common_arguments(__doc__)
    parser.add_argument("--timm", type=Path, help="train.py of timm's repository; without it timm takes no part")
    arguments = parser.parse_args()
    if arguments.worker:
        found = measure(arguments.worker, arguments.rounds or ROUNDS, arguments.timm)
        environment.write_json(arguments.json, found)
        return
    environment.check_threads(parser, arguments.threads)
    passed_on = ["--timm", str(arguments.timm)] if arguments.timm else []
    passed_on += ["--rounds", str(arguments.rounds)] if arguments.rounds else []
    content = environment.joined(environment.run_per_thread_count(__file__, arguments.threads, passed_on))
    print(environment.headline(content["environment"]))
    print(f"\nResNet-20, images of {SIDE}x{SIDE}, batches of {BATCH}; milliseconds of a step, rounds in turns")
    for result in content["results"]:
        print(f"\n{result['threads']} thread(s), {environment.busy_sentence(result['busy'])}")
        print(tables.as_text(table(result)))
    if arguments.timm is None:
        print("\ntimm took no part: --timm names the train.py of its repository")
    if arguments.json:
        environment.write_json(arguments.json, content)


def table(result: dict[str, Any]) -> tables.Table:
    """Return each loop's step, by the clock and by the processors, and ours over it."""
    wall, processor = result["milliseconds"], result["processor_milliseconds"]
    rows = []
    for name, samples in wall.items():
        row = [name, tables.number(statistics.median(samples)), tables.number(min(samples))]
        row += [tables.ratio(wall, name, OURS), tables.number(statistics.median(processor[name]))]
        loss = result["losses"][name]
        rows.append([*row, tables.ratio(processor, name, OURS), "" if loss is None else f"{loss:.4f}"])
    return ["", "median ms", "minimum", "ours / it", "processor ms", "ours / it", "last loss"], rows


if __name__ == "__main__":
    main()
