"""A person's own code that stops, or does not fit: one message that says what to do, and never a success."""

import subprocess
import sys

import pytest
from training_runs import run, tiny

from downslope.core.errors import DataError
from downslope.training.data import load_data
from downslope.training.run.task import build_task
from downslope.training.use.evaluate import evaluate_run
from downslope.training.use.predict import predict_run

STOPPING = """
import sys
import torch
from torch import nn

MODES = {"train": False, "evaluate": False}

def data(): sys.exit("no data")
def model(dataset): sys.exit("no model")
def loss(outputs, targets): sys.exit("no loss")

class Stopping(nn.Module):
    def __init__(self, dataset, when):
        super().__init__()
        self.layer, self.when = nn.Linear(4, dataset.classes), when

    def forward(self, inputs):
        if self.training == (self.when == "training"):
            sys.exit()
        return self.layer(inputs)

def stops(dataset, when): return Stopping(dataset, when)
"""
RECIPE = '[sgd]\nlr = 0.1\n[train]\nsteps = 3\n{}[data]\nname = "{}"\n[model]\nname = "{}"\n{}'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder with modules whose functions end the program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "stopping.py").write_text(STOPPING, encoding="utf-8")
    (tmp_path / "stopping_at_once.py").write_text("raise SystemExit(0)", encoding="utf-8")
    yield tmp_path
    sys.modules.pop("stopping", None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"data": '{ name = "stopping:data" }'},
            r"data.name = 'stopping:data': raised SystemExit: no data \(.*line 8\)",
        ),
        ({"data": '{ name = "stopping_at_once:data" }'}, "importing `stopping_at_once` failed: SystemExit"),
        ({"model": '{ name = "stopping:model" }'}, "raised SystemExit: no model"),
        ({"train__loss": "stopping:loss"}, "raised SystemExit: no loss .* at step 0"),
        ({"model": '{ name = "stopping:stops", options = { when = "training" } }'}, "raised SystemExit:  .* at step 0"),
        ({"model": '{ name = "stopping:stops", options = { when = "evaluation" } }'}, "on the held-out examples"),
    ],
    ids=["data", "import", "model", "loss", "forward", "evaluation"],
)
def test_a_function_that_calls_sys_exit_is_a_mistake_of_its_own(changed, message, here):
    """Wherever our code calls a person's, their sys.exit() is said with its place, and the run has not succeeded."""
    with pytest.raises(DataError, match=message):
        run(tiny(**changed), "run")


def test_sys_exit_without_a_code_is_no_success_on_the_command_line(here):
    """The real command, with a loss that exits as if all were well: exit code 2 and one message."""
    text = RECIPE.format('loss = "stopping:loss"\n', "digits", "mlp", "")
    (here / "mine.toml").write_text(text, encoding="utf-8")
    source = STOPPING.replace('sys.exit("no loss")', "sys.exit(0)")
    (here / "stopping.py").write_text(source, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "downslope", "train", "mine.toml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "the model or its loss raised SystemExit: 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "changed", [{"data__batch_size": "13"}, {"data__batch_size": "8", "train__shards": "8"}], ids=["rest", "shards"]
)
def test_batch_normalisation_of_one_example_names_the_remedy(changed, tmp_path):
    """40 examples in batches of 13 leave one over, and 8 shards of 8 hold one each."""
    with pytest.raises(DataError, match="more than 1 value per channel") as caught:
        run(tiny(model='{ name = "training_tasks:batch_norm" }', **changed), tmp_path / "run")
    assert "Choose a data.batch_size that leaves no smaller rest" in str(caught.value)
    assert "fewer train.shards" in str(caught.value)


def test_another_failure_on_one_example_is_not_blamed_on_batch_normalisation(tmp_path):
    """The remedy is given for that failure alone."""
    with pytest.raises(DataError) as caught:
        run(tiny(model='{ name = "training_tasks:broken_model" }', data__batch_size="1"), tmp_path / "run")
    assert "Batch normalisation" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {},
            "cross_entropy: the model must return a tensor; got dict with 'logits', 'hidden'. Return the tensor alone",
        ),
        ({"train__loss": "training_tasks:loss_of_a_dict"}, "accuracy: the model must return a tensor; got dict"),
        (
            {"data": '{ name = "training_tasks:line" }', "train__loss": "mse"},
            "mse: the model must return a tensor; got dict",
        ),
    ],
    ids=["cross_entropy", "accuracy", "mse"],
)
def test_a_model_that_returns_a_dict_is_told_so(changed, message, tmp_path):
    """The message names what was got, not an attribute that a dict lacks."""
    with pytest.raises(DataError, match=message):
        run(tiny(model='{ name = "training_tasks:returns_dict" }', **changed), tmp_path / "run")


def test_a_dict_is_welcome_where_only_one_s_own_loss_reads_it(tmp_path):
    """Numbers to predict and a loss of one's own: it trains and evaluates, and predicting says why it cannot."""
    recipe = tiny(
        model='{ name = "training_tasks:returns_dict" }',
        data='{ name = "training_tasks:line" }',
        train__loss="training_tasks:square_of_a_dict",
    )
    outcome, _ = run(recipe, tmp_path / "run")
    assert outcome.finished
    assert evaluate_run(tmp_path / "run")["loss"] == outcome.held_out["loss"]
    with pytest.raises(DataError, match="this one returned dict with 'logits', 'hidden'"):
        predict_run(tmp_path / "run")


def test_a_loss_of_one_s_own_with_one_output_an_example_says_what_accuracy_needs(tmp_path):
    """Integer targets are classes: outputs without a dimension of classes are refused in words."""
    recipe = tiny(model='{ name = "training_tasks:one_output" }', train__loss="training_tasks:binary_loss")
    with pytest.raises(DataError, match=r"accuracy: targets of shape \(8,\) need logits of shape \(examples, classes"):
        run(recipe, tmp_path / "run")


@pytest.mark.parametrize("kind", ["LazyLinear", "LazyBatchNorm1d"])
def test_a_lazy_model_says_how_to_give_it_its_shapes(kind):
    """A parameter or buffer without a shape cannot be trained; the same model that has seen an example can."""
    with pytest.raises(DataError, match="has no shape yet: the model has lazy modules. Let it see an example"):
        build_task(tiny(model=f'{{ name = "training_tasks:lazy", options = {{ kind = "{kind}" }} }}'))
    build_task(tiny(model=f'{{ name = "training_tasks:lazy", options = {{ kind = "{kind}", seen = true }} }}'))


def test_a_batch_larger_than_the_data_is_all_of_it(tmp_path):
    """However large, also beyond what torch can count in: the same run as with the exact number."""
    huge = tiny(data__batch_size=str(2**63 - 1), train__accumulate=str(2**63 - 1), train__shards=str(10**9))
    exact = tiny(data__batch_size="40", train__shards="40")
    assert len(load_data(exact).train_inputs) == 40
    one, other = (run(recipe, tmp_path / str(i))[0] for i, recipe in enumerate((huge, exact)))
    assert (one.step, one.held_out) == (other.step, other.held_out)


def test_epochs_below_half_a_step_are_refused():
    """Nothing is rounded up in silence; the message has the number of steps and what to give."""
    with pytest.raises(DataError) as caught:
        build_task(tiny(train__epochs="0.0001"))
    assert str(caught.value) == (
        "train.epochs = 0.0001 is less than half a step: an epoch of these data has 5 step(s). Give at least 0.2, or "
        "train.steps = 1."
    )
    assert build_task(tiny(train__epochs="0.2")).total_steps == 1
    with pytest.raises(DataError, match="more steps than 64 bits can count"):
        build_task(tiny(train__epochs="1e308"))
