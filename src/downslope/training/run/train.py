"""Training by a recipe, from the first step or a checkpoint to the last one, its results and its report in a folder.

`train` sets a run up and ends it, `Trainer.take_steps` is the loop, and `Trainer.train_step` is one step. Each part has
a file of its own beside this one. Everything that decides a number is a function of the recipe and the step, so a run
that was killed and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from downslope.core.errors import DivergenceError, DownslopeError, NonFiniteGradientError
from downslope.core.shown import shown
from downslope.recipe.load import to_toml
from downslope.recipe.schema import Recipe, settle
from downslope.torch.gradients import GlobalNorm, global_norm
from downslope.training.data import Dataset
from downslope.training.data.kept import encode_inputs, keep_inputs
from downslope.training.device import HOST, Copier, find_device, is_channels_last, is_host, usage_of
from downslope.training.folder import durable, run_folder
from downslope.training.folder.checkpoint import Checkpoint, plain_recipe, read_checkpoint
from downslope.training.folder.events import Events
from downslope.training.folder.lock import locked
from downslope.training.folder.log import Log
from downslope.training.folder.names import INPUTS
from downslope.training.folder.trust import seal_of, state_folder
from downslope.training.measuring import Measurements
from downslope.training.run.ahead import Ahead
from downslope.training.run.bad_steps import BadSteps, advise_on_divergence
from downslope.training.run.environment import deterministic, unfilled
from downslope.training.run.evaluation import evaluate
from downslope.training.run.feed import Feed
from downslope.training.run.gradients import StepResult, compute_gradients
from downslope.training.run.plan import Plan
from downslope.training.run.remarks import remarks
from downslope.training.run.saving import Saver, has_passed
from downslope.training.run.signals import Signals
from downslope.training.run.task import Task, build_task
from downslope.training.user_code import functions_named, is_import_path
from downslope.training.view.console import Console
from downslope.training.view.observer import Observer
from downslope.training.workers.broadcast import broadcast_checkpoint, check_in_sync, synchronise
from downslope.training.workers.rendezvous import local_place
from downslope.training.workers.workers import NullEvents, NullLog, Workers, WorkersLostError

_SHOW_SECONDS = 0.1
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended.

    Attributes:
        step: Updates done.
        total_steps: Updates that the recipe asks for.
        finished: Whether no step is left to take: all are done, or it stopped early (see `stopped`).
        stopped: Why it stopped early, or None.
        signal: Number of the signal that interrupted it, or None.
        held_out: The last evaluation: "loss", "accuracy", ...; empty if there was none.
        folder: The run folder.
        report: The report page, or None if none was written.
        seconds: How long it took.
        remarks: What a person should know of how it went.
    """

    step: int
    total_steps: int
    finished: bool
    stopped: str | None
    signal: int | None
    held_out: dict[str, float]
    folder: Path
    report: Path | None
    seconds: float
    remarks: tuple[str, ...] = ()


def train(
    plan: Plan,
    recipe: Recipe,
    console: Console,
    *,
    report: bool = True,
    observers: Sequence[Observer] = (),
    workers: Workers | None = None,
    until: int | None = None,
) -> Outcome:
    """Train as planned, and return how it ended.

    Args:
        plan: Where, and from which checkpoint; see `plan_run`.
        recipe: The recipe.
        console: Where sentences and progress are shown.
        report: Whether to write the report page at the end.
        observers: Are told of every row of the log.
        workers: The workers that share each step; None for this process alone.
        until: Updates after which to save and pause, so that training goes on from there another time; None for none.

    Raises:
        DownslopeError: If the data, model, checkpoint or disk do not allow it, or a gradient is not finite and the
            recipe says to raise. What was saved before remains.
    """
    began = time.monotonic()
    recipe = settle(recipe, None if plan.checkpoint is None else plan.checkpoint.manifest["recipe"])
    workers = Workers() if workers is None else workers
    for note in plan.notes:
        console.say(note)
    if plan.finished and plan.checkpoint is not None:
        state = plan.checkpoint.manifest["state"]
        page = plan.folder / run_folder.REPORT
        return Outcome(
            step=plan.checkpoint.step,
            total_steps=run_folder.RunFolder(plan.folder).facts()["total_steps"],
            finished=True,
            stopped=state["stopped"],
            signal=None,
            held_out=dict(state["held_out"]),
            folder=plan.folder,
            report=page if page.exists() else (_write_report(plan.folder, console) if report else None),
            seconds=time.monotonic() - began,
        )
    begun = None if plan.checkpoint is None else plan.checkpoint.manifest["environment"].get("device", HOST.type)
    device = find_device(recipe.train.device, local_place(workers.size), before=begun)
    with deterministic(device, tf32=recipe.train.tf32), Signals() as signals, ExitStack() as stack:
        workers.watch(signals)
        # Data, model, optimizer, and the state of the checkpoint, the same in all workers.
        manifest = None if plan.checkpoint is None else plan.checkpoint.manifest
        task = build_task(recipe, workers, device, begun=manifest)
        stack.callback(task.dataset.close)
        if task.sharding is not None and plan.checkpoint is not None:
            plan = replace(plan, checkpoint=task.sharding.cut(plan.checkpoint, task.state.model))
        stack.enter_context(task.fitting_threads(plan.checkpoint))
        for note in [*task.restore(plan.checkpoint), *synchronise(workers, task)]:
            console.say(note)
        # The folder is locked before anything in it is changed, and only then made ready.
        if workers.is_first:
            durable.make_folder(plan.folder)
            stack.enter_context(locked(plan.folder))
            named = functions_named(recipe)
            seal = seal_of(named)
            if named and not seal:
                console.say(
                    f"it cannot be noted in {state_folder()} that this run is yours; using it will need --trust"
                )
            facts = {**task.facts(), **seal}
            keep = recipe.checkpoint.keep
            for note in run_folder.make_ready(plan.folder, plan.checkpoint, to_toml(recipe), facts, keep=keep):
                console.say(note)
            durable.write_file(
                plan.folder / INPUTS, encode_inputs(keep_inputs(task.dataset, task.fingerprint, task.state.model))
            )
        trainer = Trainer(task, plan, console, workers, observers)
        trainer.until = until
        try:
            trainer.run()
        except (DivergenceError, NonFiniteGradientError):
            if report and workers.is_first:
                _write_report(plan.folder, console, task.dataset)  # of a run that diverged one wants to see how
            raise
        written = report and trainer.finished and workers.is_first
        page = _write_report(plan.folder, console, task.dataset) if written else None
        trainer.saver.guard.check()
    return Outcome(
        step=trainer.step,
        total_steps=task.total_steps,
        finished=trainer.finished,
        stopped=task.state.stopped,
        signal=None if trainer.finished else workers.signal,
        held_out=task.state.held_out,
        folder=plan.folder,
        report=page,
        seconds=time.monotonic() - began,
        remarks=tuple(_remarks(task, trainer.step, plan.folder) if trainer.finished and workers.is_first else ()),
    )


class Trainer:
    """The loop over steps, with the run's open files.

    Args:
        task: Data, model, optimizer and their state, that of the checkpoint where training goes on from one.
        plan: The run folder, and the checkpoint that training starts from.
        console: Where sentences and progress are shown.
        workers: The workers that share each step. Worker 0 alone writes and speaks.
        observers: Are told of every row of the log.

    Attributes:
        step: Updates done.
        saver: Writes the checkpoints.
        until: Updates after which it pauses, or None.
    """

    until: int | None = None

    def __init__(
        self, task: Task, plan: Plan, console: Console, workers: Workers, observers: Sequence[Observer] = ()
    ) -> None:
        """Open the log and the events."""
        self._task, self._state, self._train = task, task.state, task.recipe.train
        self._folder, self._console, self._workers, self._observers = plan.folder, console, workers, observers
        # Its parameters and buffers are the model's own; evaluations and what is saved are of the model itself.
        self._model: Any = torch.compile(task.state.model) if self._train.compile else task.state.model
        self._params = list(task.state.model.parameters())  # a walk through the modules, too long for every step
        compute: Any = (
            partial(compute_gradients, workers=workers) if task.sharding is None else task.sharding.compute_gradients
        )
        self._feed = Feed(
            task.dataset, task.objective, Copier(task.device), channels_last=is_channels_last(task.state.model)
        )
        if not is_host(task.device) and task.state.scaler is None and task.sharding is None:
            task.state.optimizer.hold_nonfinite()  # so that no step waits for the device
        own_code = is_import_path(task.recipe.model.name) or is_import_path(self._train.loss)
        self._compute_gradients = partial(
            compute,
            seed=task.recipe.seed,
            precision=self._train.precision,
            own_code=own_code,
            augment=task.augment,
        )
        manifest = None if plan.checkpoint is None else plan.checkpoint.manifest
        self.step: int = 0 if manifest is None else manifest["step"]
        log = {"bytes": 0, "checksum": None} if manifest is None else manifest["log"]
        self._log = Log(plan.folder, log["bytes"], log["checksum"]) if workers.is_first else NullLog()
        self._events = Events(plan.folder) if workers.is_first else NullEvents()
        self._events.add("start" if manifest is None else "resume", self.step, workers=workers.size)
        recipe = plain_recipe(task.recipe)
        self.saver = Saver(task, recipe, plan, self._log, self._events, workers, console.say)
        self._bad_steps = BadSteps(
            self._train,
            self._state,
            task.batches,
            plan.folder,
            recipe=recipe,
            record=self._record,
            say=console.say,
            read=self._read_checkpoint,
        )
        self._ahead = Ahead(task, workers)
        self._measurements = Measurements(task)
        self._weight_norm = GlobalNorm(self._params)
        self._last_fields: dict[str, float] = {}
        self._shown_time = self._flushed_time = time.monotonic()
        self._is_whole = False  # whether the state is that after `step` steps, with all that follows from them

    @property
    def finished(self) -> bool:
        """Whether there is no step left to do."""
        return self.step >= self._task.total_steps or self._state.stopped is not None

    @property
    def _paused(self) -> bool:
        return self.until is not None and self.step >= self.until

    def run(self) -> None:
        """Train until the end or a signal, and close the files whatever happens; a failure is noted in the events.

        Raises:
            WorkersLostError: If another worker is lost; where that leaves all steps so far whole, they are saved.
            Exception: Whatever else training raises.
        """
        try:
            with unfilled():
                try:
                    self.take_steps()
                except WorkersLostError as lost:
                    saves = self._is_whole and self._workers.is_first and self._task.sharding is None
                    if saves:
                        self._save()
                    raise lost.at(self.step, self._folder, saved=saves) from lost
        except Exception as failure:  # noqa: BLE001  whatever it is, it is noted and raised again
            error = failure
            if isinstance(error, DownslopeError | OSError):
                self.saver.guard.check()  # a folder that was removed explains any other failure
            if isinstance(error, NonFiniteGradientError):
                recipe = self._task.recipe
                advice = advise_on_divergence(recipe.train.loss, recipe.data, self._task.dataset)
                error = NonFiniteGradientError(error.found, advice)
            with contextlib.suppress(DownslopeError, OSError):  # it may be the disk that fails
                self._events.add("fail", self.step, error=shown(error, 500))
            raise error from (None if error is not failure else error.__cause__)
        finally:
            self._close()

    def take_steps(self) -> None:
        """Take steps until the last one, an early stop or a signal: step, evaluate, save, show."""
        self._console.say("\n".join(self._task.lines(self._folder)))
        if self.step:
            self._console.say(f"resuming    from step {self.step:,}")
        for observer in self._observers:
            observer.begin(self._task, self._folder, self.step)
        begins = self.step == 0 and self._task.start is not None
        if self._bad_steps.begin(self.step, self._workers) or begins:
            self._save()  # for a rewind to lead to, or so that no resume needs the weights that it begins with
        while not self.finished and not self._paused and self._workers.signal is None:
            rewinds = len(self._state.bad_steps.rewinds)
            self.train_step()
            rewound = len(self._state.bad_steps.rewinds) != rewinds
            improved = False
            if self._evaluation_is_due():
                self._state.optimizer.raise_held()
                if self._task.sharding is None:
                    check_in_sync(self._workers, self._state)
                # The best so far, a smaller lr on a plateau, an early stop.
                improved = evaluate(self._task, done=self.step, record=self._record, workers=self._workers)
            if self.saver.is_due(self.step, improved=improved) or rewound:
                self._save(rewound=rewound)
            self._show()
        self._save()
        if self.finished:
            self._finish()
        elif self._workers.signal is not None:
            self._events.add("signal", self.step, signal=self._workers.signal)

    def train_step(self) -> None:
        """Take the next step, or leave it out because its loss is a spike or its gradient not finite."""
        step, task, state = self.step, self._task, self._state
        epoch = task.batches.epoch(step)
        logged = step % self._train.log_every == 0
        measured = self._measurements.due(step)
        if (sharpness := self._measurements.sharpness(step)) is not None:
            self._record("sharpness", step, epoch=epoch, **sharpness)

        # Batch: the examples of this step, cut into leaves. A leaf is one shard of one accumulated batch.
        leaves = self._ahead.leaves(step)

        # Loss and gradients: a forward and backward pass for each leaf, shared among the workers, and their sum over
        # all leaves of all workers in a fixed tree. Each parameter's grad is then the mean over all examples.
        for parameter in self._params:  # optimizer.zero_grad() would load torch's compiler first
            parameter.grad = None
        self._bad_steps.remember_buffers()
        # Where the model is sharded no worker has a leaf's whole gradient, whose norm could be asked for; and where
        # classes have weights, a gradient is no plain mean over examples, from which its noise could be told.
        norms = measured and task.sharding is None and not self._train.class_weights
        more: dict[str, Any] = {"with_norms": True} if norms else {}
        if state.scaler is not None:
            more["loss_scale"] = state.loss_scale
        self._is_whole = True
        result = self._compute_gradients(
            self._model, task.objective, self._feed, leaves, step=step, counts=logged, **more
        )
        self._is_whole = False

        # Spike: a loss far above the last ones. By `train.spike.action` this step is skipped, or training goes back to
        # a checkpoint. Only losses that the log asks for are looked at: no step waits for its loss for this alone.
        if logged and self._train.spike is not None and self._bad_steps.leave_out_spike(step, result.loss()):
            self.step = step + 1
            return

        # Update: the optimizer measures the gradient's norm, leaves the step out if it is not finite (or raises, as
        # the recipe says), clips, and moves weights and velocities by the rule.
        if measured:
            self._measurements.before()
        if self._take_step():
            self._bad_steps.leave_out_nonfinite(step, result.loss())
            return
        state.count_in_average()

        # Batch to come: it is copied to a device while that computes this step; only then is anything waited for.
        self._begin_next(step + 1)

        # Log.
        if logged:
            self._log_step(step, epoch, result)
        if measured:
            self._record("measure", step, epoch=epoch, **self._measurements.after(result))

    def _take_step(self) -> bool:
        """Have the optimizer take a step, and return whether it left it out since a gradient was not finite."""
        optimizer, scaler = self._state.optimizer, self._state.scaler
        if optimizer.on_nonfinite != "skip" and scaler is None:
            optimizer.step()
            self.step += 1
            return False
        skipped = optimizer.skipped_steps
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        self.step += 1
        return optimizer.skipped_steps != skipped

    def _begin_next(self, step: int) -> None:
        """Begin to feed a step to the device, where there is one and the step comes."""
        if is_host(self._task.device) or step >= self._task.total_steps or self._task.sharding is not None:
            return
        leaves = self._task.batches.leaves(step)
        self._feed.begin(step, [leaves[place] for place in self._workers.indices(len(leaves))])

    def _evaluation_is_due(self) -> bool:
        every = self._train.evaluate_every or self._task.batches.steps_per_epoch
        return self.step % every == 0 or self.step >= self._task.total_steps

    def _log_step(self, step: int, epoch: int, result: StepResult) -> None:
        # Parameters that no pattern matched come last; where there are none, the last group stands for the run.
        group = self._state.optimizer.param_groups[-1]
        self._state.optimizer.raise_held()
        loss, accuracy = result.loss(), result.accuracy()
        grad_norm = self._state.optimizer.grad_norm
        if grad_norm is None:  # the step had no need of it, and has not written to the gradients
            grad_norm = global_norm([p.grad for p in self._params if p.grad is not None])
        self._record(
            "step",
            step,
            epoch=epoch,
            loss=loss,
            **({} if accuracy is None else {"accuracy": accuracy}),
            lr=group.get("scheduled_lr", group["lr"]),
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            grad_norm=grad_norm,
            weight_norm=self._weight_norm(),
        )
        self._last_fields = {"loss": loss, "lr": group["lr"]}

    def _record(self, kind: str, step: int, **fields: Any) -> None:
        """Add a row to the log, and tell the observers."""
        self._log.add(kind, step, **fields)
        for observer in self._observers:
            observer.row(kind, step, fields)

    def _save(self, *, rewound: bool = False) -> None:
        self._state.optimizer.raise_held()
        if self.saver.save(self.step, finished=self.finished, rewound=rewound):
            for observer in self._observers:
                observer.saved(self.step)

    def _read_checkpoint(self, folder: Path) -> Checkpoint:
        """Return a checkpoint to rewind to, as worker 0 reads it."""
        if self._task.sharding is not None:
            return self._task.sharding.cut(read_checkpoint(folder), self._state.model)
        return broadcast_checkpoint(self._workers, lambda: read_checkpoint(folder))

    def _show(self) -> None:
        if not has_passed(self._shown_time, _SHOW_SECONDS):
            return
        self._shown_time = time.monotonic()
        found = self._state.held_out
        name = self._state.best.metric  # one of them: a line of a terminal is short
        held_out: dict[str, float | str] = {}
        if name in found:
            held_out[f"held-out {name.replace('_', ' ')}"] = found[name]
        if (usage := usage_of(self._task.device)) is not None:
            held_out["device"] = usage.text()
        self._console.progress(self.step, self._task.total_steps, {**self._last_fields, **held_out})
        if has_passed(self._flushed_time, _FLUSH_SECONDS):
            self._log.flush()
            self._flushed_time = self._shown_time

    def _finish(self) -> None:
        if not self._workers.is_first:
            return
        self.saver.write_final_weights()
        self._events.add("finish", self.step)
        if self._state.stopped is not None:
            self._console.say(f"stopped     at step {self.step:,}: {self._state.stopped}")

    def _close(self) -> None:
        self._console.close()
        try:
            for observer in self._observers:
                observer.end(finished=self.finished)
            self._log.close()
        finally:
            self._events.close()


def _remarks(task: Task, step: int, folder: Path) -> list[str]:
    from downslope.training.report.columns import read_columns

    losses = read_columns(folder).steps("loss").values.tolist()
    left_out = task.state.bad_steps.spikes + task.state.bad_steps.nonfinite
    return remarks(
        task.recipe, task.facts(), steps=step, left_out=left_out, held_out=task.state.held_out, losses=losses
    )


def _write_report(folder: Path, console: Console, data: Dataset | None = None) -> Path | None:
    page = folder / run_folder.REPORT
    try:
        from downslope.training.report import write_report
    except ModuleNotFoundError as error:
        if error.name not in {"matplotlib", "jinja2"}:
            raise
        console.say(f'no report page: {error.name} is not installed. pip install "downslope[plot]" gives the page.')
        return None
    try:
        write_report([folder], page, data)
    except DownslopeError as error:
        console.say(f"no report page: {error}")
        return None
    except OSError as error:  # what it reads is gone, or cannot be read
        console.say(f"no report page: {error.filename or folder}: {error.strerror}.")
        return None
    return page
