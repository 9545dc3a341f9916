"""The training loop: from a plan and a recipe to a trained model in a run folder.

What lives here: the order of things: step, log, evaluate, save, stop. What does not: what each of them is; see
`gradients.py`, `held_out.py`, `state.py`, `checkpoint.py`, `log.py`. Everything that decides a number is a function of
the recipe and the step, so a run that was killed and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downslope.core.errors import CheckpointError, DownslopeError
from downslope.recipes.schema import Recipe
from downslope.torch.gradients import global_norm
from downslope.training import durable, run_folder
from downslope.training.checkpoint import plain_recipe, prune, write_checkpoint
from downslope.training.environment import describe_environment, deterministic, differences, fitting_threads
from downslope.training.events import Events
from downslope.training.gradients import StepResult, compute_gradients
from downslope.training.held_out import measure
from downslope.training.log import Log
from downslope.training.plan import Plan
from downslope.training.progress import Console
from downslope.training.signals import Signals
from downslope.training.task import Task, build_task

_SHOW_SECONDS = 0.1
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How training ended.

    Attributes:
        step: Updates done.
        total_steps: Updates that the recipe asks for.
        finished: Whether it came to its end, be it an early stop.
        stopped: Why it stopped early, or None.
        signal: Number of the signal that interrupted it, or None.
        held_out: The last evaluation: "loss", "accuracy", ...; empty if there was none.
        folder: The run folder.
        report: The report page, or None if none was written.
        seconds: How long it took.
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


def train(plan: Plan, recipe: Recipe, console: Console, *, report: bool = True) -> Outcome:
    """Train as planned, and return how it ended.

    Args:
        plan: Where, and from which checkpoint; see `plan_run`.
        recipe: The recipe.
        console: Where to speak.
        report: Whether to write the report page at the end.

    Raises:
        DownslopeError: If the data, model, checkpoint or disk do not allow it, or a gradient is not finite and the
            recipe says to raise. What was saved before remains.
    """
    began = time.monotonic()
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
    with deterministic(), Signals() as signals, ExitStack() as threads:
        task = build_task(recipe)
        threads.enter_context(fitting_threads(sum(p.numel() for p in task.state.model.parameters())))
        for note in take_up(task, plan):
            console.say(note)
        durable.make_folder(plan.folder)
        with run_folder.locked(plan.folder):
            run_folder.make_ready(plan.folder, plan.checkpoint, recipe, task.facts())
            run = _Run(task, plan, console, signals)
            try:
                run.go()
            finally:
                run.close()
            page = _write_report(plan.folder, console) if report and run.finished else None
    return Outcome(
        step=run.step,
        total_steps=task.total_steps,
        finished=run.finished,
        stopped=task.state.stopped,
        signal=None if run.finished else signals.received,
        held_out=task.state.held_out,
        folder=plan.folder,
        report=page,
        seconds=time.monotonic() - began,
    )


def take_up(task: Task, plan: Plan) -> list[str]:
    """Restore the plan's checkpoint, after checking that it belongs to this task; return notes for the person."""
    checkpoint = plan.checkpoint
    if checkpoint is None:
        return []
    if checkpoint.manifest["data"] != task.fingerprint:
        raise CheckpointError(
            f"{checkpoint.run_folder}: was trained on other data: those that {task.recipe.data.name!r} gives now "
            f"differ. Restore the data, or {run_folder.ANEW}."
        )
    if checkpoint.step > task.total_steps:
        raise CheckpointError(
            f"{checkpoint.folder}: is at step {checkpoint.step}, after the recipe's last, {task.total_steps}. "
            f"Give more epochs or steps, or {run_folder.ANEW}."
        )
    notes = task.state.restore(checkpoint, task.recipe)
    then, now = (environment["threads"] for environment in (checkpoint.manifest["environment"], describe_environment()))
    return [*notes, *differences({"threads": then}, {"threads": now})]


def _write_report(folder: Path, console: Console) -> Path | None:
    page = folder / run_folder.REPORT
    try:
        from downslope.training.report import write_report
    except ModuleNotFoundError as error:
        if error.name not in {"matplotlib", "jinja2"}:
            raise
        console.say(f'no report page: {error.name} is not installed. pip install "downslope[plot]" gives the page.')
        return None
    try:
        write_report([folder], page)
    except DownslopeError as error:
        console.say(f"no report page: {error}")
        return None
    return page


class _Run:
    """One run as it goes: the task, its open files, and when they were last written.

    Args:
        task: What is trained, its checkpoint taken up.
        plan: The plan.
        console: Where to speak.
        signals: Which signal was received.
    """

    def __init__(self, task: Task, plan: Plan, console: Console, signals: Signals) -> None:
        """Open the log and the events."""
        self._task = task
        self._state = task.state
        self._train = task.recipe.train
        self._folder = plan.folder
        self._console = console
        self._signals = signals
        self._recipe_table = plain_recipe(task.recipe)
        self._environment = describe_environment()
        manifest = None if plan.checkpoint is None else plan.checkpoint.manifest
        self.step: int = 0 if manifest is None else manifest["step"]
        self._saved_at = None if manifest is None else self._saved_key(manifest)
        log = {"bytes": 0, "checksum": None} if manifest is None else manifest["log"]
        self._log = Log(plan.folder, log["bytes"], log["checksum"])
        self._events = Events(plan.folder)
        self._events.add("start" if manifest is None else "resume", self.step)
        self._saved_time = self._shown_time = self._flushed_time = time.monotonic()
        self._last_fields: dict[str, float] = {}

    @property
    def finished(self) -> bool:
        """Whether there is no step left to do."""
        return self.step >= self._task.total_steps or self._state.stopped is not None

    def go(self) -> None:
        """Train until the end or a signal."""
        self._console.say("\n".join(self._task.lines(self._folder)))
        if self.step:
            self._console.say(f"resuming    from step {self.step:,}")
        while not self.finished and self._signals.received is None:
            self._one_step()
            improved = self._evaluate() if self._evaluation_is_due() else False
            if self._checkpoint_is_due(improved=improved):
                self._save()
            self._show()
        self._save()
        if self.finished:
            self._finish()
        elif self._signals.received is not None:
            self._events.add("signal", self.step, signal=self._signals.received)

    def close(self) -> None:
        """Close the files; called whatever happened."""
        self._console.close()
        try:
            self._log.close()
        finally:
            self._events.close()

    def _one_step(self) -> None:
        step, state, task = self.step, self._state, self._task
        state.optimizer.zero_grad()
        result = compute_gradients(
            state.model, task.loss, task.dataset, task.batches.leaves(step), seed=task.recipe.seed, step=step
        )
        logged = step % self._train.log_every == 0
        grads = [p.grad for p in state.model.parameters() if p.grad is not None] if logged else []
        skipped = state.optimizer.skipped_steps
        state.optimizer.step()
        self.step = step + 1
        if state.optimizer.skipped_steps != skipped:
            self._log.add("skip", step, epoch=task.batches.epoch(step), loss=result.loss())
            return
        if state.averaged is not None:
            state.averaged.update_parameters(state.model)
        if logged:
            norm = state.optimizer.grad_norm
            self._log_step(step, result, global_norm(grads) if norm is None else norm)

    def _log_step(self, step: int, result: StepResult, grad_norm: float) -> None:
        # Parameters that no pattern matched come last; where there are none, the last group stands for the run.
        group = self._state.optimizer.param_groups[-1]
        loss, accuracy = result.loss(), result.accuracy()
        self._log.add(
            "step",
            step,
            epoch=self._task.batches.epoch(step),
            loss=loss,
            **({} if accuracy is None else {"accuracy": accuracy}),
            lr=group["lr"],
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            grad_norm=grad_norm,
            weight_norm=global_norm([p.detach() for p in self._state.model.parameters()]),
        )
        self._last_fields = {"loss": loss, "lr": group["lr"]}

    def _evaluation_is_due(self) -> bool:
        every = self._train.evaluate_every or self._task.batches.steps_per_epoch
        return self.step % every == 0 or self.step >= self._task.total_steps

    def _evaluate(self) -> bool:
        """Evaluate, and do what follows from it; return whether this is the best evaluation so far."""
        state, step = self._state, self.step - 1
        found = self._measure(state.model)
        if state.averaged is not None:
            found |= {f"ema_{name}": value for name, value in self._measure(state.averaged.module).items()}
        state.held_out = found
        self._log.add("evaluation", step, epoch=self._task.batches.epoch(step), **found)
        improved = state.best.observe(found[state.best.metric], self.step)
        if (plateau := self._train.plateau) is not None and state.plateau is not None:
            state.plateau.observe(found[plateau.metric], self.step)
            if state.plateau.waited >= plateau.patience:
                state.plateau.waited = 0
                self._reduce_lr(step, plateau.factor, plateau.min_lr)
        if (stop := self._train.early_stop) is not None and state.early_stop is not None:
            state.early_stop.observe(found[stop.metric], self.step)
            if state.early_stop.waited >= stop.patience:
                state.stopped = f"held-out {stop.metric} has not improved for {stop.patience} evaluations"
                self._log.add("stop", step, reason=state.stopped)
        return improved

    def _measure(self, model: Any) -> dict[str, float]:
        data = self._task.dataset
        return measure(
            model,
            self._task.loss,
            data.held_out_inputs,
            data.held_out_targets,
            classes=data.classes,
            seed=self._task.recipe.seed,
            step=self.step,
        )

    def _reduce_lr(self, step: int, factor: float, min_lr: float) -> None:
        groups = self._state.optimizer.param_groups
        before = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = min(group["lr"], max(group["lr"] * factor, min_lr))
        if [group["lr"] for group in groups] != before:
            self._log.add("plateau", step, lr=groups[-1]["lr"])

    def _checkpoint_is_due(self, *, improved: bool) -> bool:
        policy = self._task.recipe.checkpoint
        by_step = policy.every_steps is not None and self.step % policy.every_steps == 0
        by_clock = policy.every_seconds > 0 and time.monotonic() - self._saved_time >= policy.every_seconds
        return improved or by_step or by_clock

    def _saved_key(self, manifest: Any) -> tuple[Any, ...]:
        return manifest["step"], manifest["finished"], manifest["recipe"]

    def _save(self) -> None:
        """Write a checkpoint, unless the newest says all of this already."""
        length, checksum = self._log.sync()
        manifest = {
            "step": self.step,
            "finished": self.finished,
            "log": {"bytes": length, "checksum": checksum},
            "data": self._task.fingerprint,
            "recipe": self._recipe_table,
            "environment": self._environment,
            "state": self._state.table(),
        }
        if self._saved_key(manifest) == self._saved_at:
            return
        folder = write_checkpoint(self._folder, self._state.tensors(), manifest)
        self._saved_at, self._saved_time = self._saved_key(manifest), time.monotonic()
        self._events.add("checkpoint", self.step, folder=folder.name)
        best = self._state.best.best_step
        prune(self._folder, step=self.step, keep=self._task.recipe.checkpoint.keep, best_step=best)

    def _finish(self) -> None:
        """Write the final weights: the very bytes of the last checkpoint."""
        last = run_folder.RunFolder(self._folder).last()
        for name in (run_folder.MODEL, run_folder.EMA):
            if name in last.manifest["files"]:
                durable.write_file(self._folder / name, (last.folder / name).read_bytes())
        self._events.add("finish", self.step)
        if self._state.stopped is not None:
            self._console.say(f"stopped     at step {self.step:,}: {self._state.stopped}")

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown_time < _SHOW_SECONDS:
            return
        self._shown_time = now
        found = self._state.held_out
        name = "accuracy" if "accuracy" in found else "loss"  # one of them: a line of a terminal is short
        held_out = {f"held-out {name}": found[name]} if found else {}
        self._console.progress(self.step, self._task.total_steps, {**self._last_fields, **held_out})
        if now - self._flushed_time >= _FLUSH_SECONDS:
            self._log.flush()
            self._flushed_time = now
