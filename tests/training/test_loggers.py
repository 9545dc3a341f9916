"""Loggers: what a tool has afterwards is what the log has, whatever happened in between; and none ends a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest
from training_runs import fingerprints, run, tiny

import warm
from downslope.core.errors import MissingDependencyError, RecipeError
from downslope.training.view import loggers
from downslope.training.view.loggers.logger import scalars_of
from downslope.training.view.loggers.logger_observer import LoggerObserver


def train(recipe, folder, *, at=None, how="signal"):
    """Train with the recipe's loggers, perhaps interrupted; return (outcome or None after a crash, what was said)."""
    observers = (lambda console: [LoggerObserver(recipe, console)]) if recipe.log.to else (lambda _: ())
    return run(recipe, folder, at=at, how=how, observers=observers)


def in_the_log(folder, groups=("all",)):
    """Return the points of a run's log: name -> [(step, value), ...]."""
    points = defaultdict(list)
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name, value in scalars_of(row["kind"], row, groups).items():
            points[name].append((row["step"], value))
    return dict(points)


class Tool:
    """A tool that keeps points as they come; stands in for a logger's module."""

    def __init__(self):
        self.points, self.opened, self.closed, self.breaks, self.keeps = defaultdict(list), [], [], "", True

    def open_logger(self, told):
        self.opened.append(told)
        self._break("open")
        return self

    def identity(self):
        return {"id": "the same"}

    def position(self):
        return self.opened[-1].sent if self.keeps else 0

    def send(self, rows):
        self._break("send")
        for step, scalars in rows:
            for name, value in scalars.items():
                self.points[name].append((step, value))

    def close(self, *, finished):
        self._break("close")
        self.closed.append(finished)

    def _break(self, where):
        if self.breaks == where:
            raise ConnectionError(f"cannot {where}\nand a second line")


@pytest.fixture
def tool(monkeypatch):
    """Put a `Tool` in trackio's place."""
    module = ModuleType("a_tool")
    found = Tool()
    module.open_logger = found.open_logger
    monkeypatch.setitem(sys.modules, "a_tool", module)
    monkeypatch.setitem(loggers.LOGGERS, "trackio", loggers.Row("a_tool", ("json", "json")))
    return found


TOOL = {"log__to": '["trackio"]', "train__shards": "2", "train__measure_every": "4"}


def test_a_tool_gets_the_log(tool, tmp_path):
    """Every number of the log, once and in order; the tool is told of the run and closed at its end."""
    recipe = tiny(**TOOL, checkpoint__every_steps="7", log__project='"a project"')
    outcome, _ = train(recipe, tmp_path / "run")
    assert outcome.finished
    assert dict(tool.points) == in_the_log(tmp_path / "run")
    told = tool.opened[0]
    assert (told.name, told.project, told.known, told.sent) == ("run", "a project", {}, 0)
    assert told.settings["sgd.momentum"] == 0.9
    assert tool.closed == [True]


@pytest.mark.parametrize("how", ["signal", "crash"])
def test_a_resumed_run_doubles_and_loses_nothing(tool, tmp_path, how):
    """Interrupted or crashed at several steps: the same run of the tool, with each point once."""
    recipe = tiny(**TOOL, checkpoint__every_steps="3")
    for at in (4, 8, 13):
        train(recipe, tmp_path, at=at, how=how)
    train(recipe, tmp_path)
    assert dict(tool.points) == in_the_log(tmp_path)
    assert [told.known for told in tool.opened] == [{}, *[{"id": "the same"}] * 3]


def test_what_a_tool_had_not_been_sent_is_sent_on_resume(tool, tmp_path):
    """A run that was begun without the logger, or whose tool was away for a while, is made up for from the log."""
    train(tiny(train__shards="2", train__measure_every="4"), tmp_path, at=6)
    tool.breaks = "send"
    _, said = train(tiny(**TOOL), tmp_path, at=11)
    assert not tool.points
    assert sum("logging to trackio is switched off" in text for text in said) == 1
    tool.breaks = ""
    train(tiny(**TOOL), tmp_path)
    assert dict(tool.points) == in_the_log(tmp_path)


@pytest.mark.parametrize("where", ["open", "send", "close"])
def test_a_tool_that_raises_does_not_end_the_run(tool, tmp_path, where):
    """It is switched off with one message, and the run has the bits of a run without it."""
    tool.breaks = where
    outcome, said = train(tiny(**TOOL, checkpoint__every_steps="3"), tmp_path / "with")
    assert outcome.finished
    messages = [text for text in said if "switched off" in text]
    assert len(messages) == 1
    assert f"ConnectionError: cannot {where}. Training goes on" in messages[0]
    train(tiny(**{**TOOL, "log__to": "[]"}, checkpoint__every_steps="3"), tmp_path / "without")
    assert fingerprints(tmp_path / "with") == fingerprints(tmp_path / "without")


def test_damaged_notes_of_the_loggers_are_as_none(tool, tmp_path):
    """What the loggers keep decides no number: damaged, a new run of the tool gets the whole log."""
    recipe = tiny(**TOOL)
    train(recipe, tmp_path, at=6)
    (tmp_path / "loggers.json").write_text("{", encoding="utf-8")
    tool.points.clear()
    train(recipe, tmp_path)
    assert dict(tool.points) == in_the_log(tmp_path)
    assert tool.opened[1].known == {}


def test_mistakes_are_said_before_training(tmp_path, monkeypatch):
    """A tool that does not exist, one named twice, and one that is not installed."""
    with pytest.raises(RecipeError, match="tensorboard"):
        tiny(log__to='["tensorbord"]')
    with pytest.raises(RecipeError, match="each tool once"):
        tiny(log__to='["mlflow", "mlflow"]')
    monkeypatch.setitem(loggers.LOGGERS, "wandb", loggers.Row("nowhere", ("no_such_module", "wandb")))
    with pytest.raises(MissingDependencyError, match="pip install wandb"):
        train(tiny(log__to='["wandb"]'), tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_logger_loads_nothing(tmp_path):
    """Without `log.to`, no package of a logger is imported."""
    code = "import sys; from training_runs import run, tiny; run(tiny(), sys.argv[1]); "
    code += "print(set(sys.modules) & {'tensorboard', 'mlflow', 'wandb', 'trackio'})"
    place = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, cwd=place
    )
    assert done.stdout.strip() == "set()"


def in_tensorboard(folder):
    """Return what TensorBoard shows of a run: name -> [(step, value), ...]."""
    pytest.importorskip("tensorboard")
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def as_float32(points):
    """Return points with values as TensorBoard holds them."""
    return {name: [(step, pytest.approx(value, rel=1e-6)) for step, value in found] for name, found in points.items()}


def test_tensorboard_shows_the_log(tmp_path):
    """Interrupted twice, once by a crash: read back by TensorBoard's own reader, each point is there once."""
    pytest.importorskip("tensorboard")
    recipe = tiny(log__to='["tensorboard"]', checkpoint__every_steps="3")
    train(recipe, tmp_path, at=5)
    train(recipe, tmp_path, at=13, how="crash")
    train(recipe, tmp_path)
    assert in_tensorboard(tmp_path) == as_float32(in_the_log(tmp_path))


def test_mlflow_has_the_log(tmp_path, monkeypatch):
    """Interrupted and crashed: read back through MLflow's client, one run with each point once."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    recipe = tiny(log__to='["mlflow"]', checkpoint__every_steps="3")
    for at, how in ((5, "signal"), (13, "crash"), (None, "")):
        train(recipe, tmp_path / "run", at=at, how=how)
    client = mlflow.MlflowClient()
    run_id = json.loads((tmp_path / "run" / "loggers.json").read_bytes())["mlflow"]["identity"]["run_id"]
    found = {
        name: [(point.step, point.value) for point in client.get_metric_history(run_id, name)]
        for name in client.get_run(run_id).data.metrics
    }
    assert found == in_the_log(tmp_path / "run")
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_tensorboard_after_kill_9(tmp_path):
    """A process killed outright in the middle of training, and the run resumed: no point doubled, none lost."""
    pytest.importorskip("tensorboard")
    code = "import sys; from downslope.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["train", "--train.epochs", "12", "--checkpoint.every_steps", "17", "--quiet", "--log", "tensorboard"]
    command = ["-c", code, *words, "--out", str(tmp_path)]
    log, size = tmp_path / "log.jsonl", 0
    for _ in range(2):
        child = warm.Running(command)
        end = time.monotonic() + 300
        while child.poll() is None and not (log.exists() and log.stat().st_size > size) and time.monotonic() < end:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        size = log.stat().st_size
    assert warm.run(*command).returncode == 0
    assert in_tensorboard(tmp_path) == as_float32(in_the_log(tmp_path))
