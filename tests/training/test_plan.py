import shutil
from pathlib import Path

import pytest
import torch
from training_runs import Recorder, fingerprints, run, tiny

from downslope.core.errors import CheckpointError
from downslope.training.folder import run_folder
from downslope.training.folder.lock import locked
from downslope.training.run import environment, task, train
from downslope.training.run.plan import plan_run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(recipe=None, out=None, resume="auto"):
    """Plan the tiny recipe."""
    return plan_run(recipe or tiny(), name="tiny", out=out and Path(out), resume=resume)


def test_nothing_there(here):
    """A first run goes to runs/NAME, and nothing is written by planning."""
    assert plan().folder == Path("runs/tiny")
    assert plan().checkpoint is None
    assert list(here.iterdir()) == []


def test_auto_goes_on_with_the_unfinished_run_of_an_equal_recipe(here):
    """Among several runs, the newest that is unfinished and of this recipe."""
    run(tiny(), "runs/tiny", at=3)
    run(tiny(), "runs/tiny-2", at=6)
    run(tiny(seed="1"), "runs/tiny-3", at=6)
    run(tiny(), "runs/tiny-10")
    found = plan()
    assert (found.folder, found.checkpoint.step) == (Path("runs/tiny-2"), 6)
    assert plan(tiny(seed="2")).folder == Path("runs/tiny-11")


def test_auto_and_never_take_the_next_free_folder(here):
    """A finished run is left alone; with "never", an unfinished one too."""
    run(tiny(), "runs/tiny")
    assert plan().folder == Path("runs/tiny-2")
    run(tiny(), "runs/tiny-2", at=3)
    assert plan(resume="never").folder == Path("runs/tiny-3")
    assert plan(resume="never", out="other").folder == Path("other")


def test_a_finished_run_in_out_has_nothing_to_do(here):
    """The plan says so, and training then changes nothing."""
    run(tiny(), "out")
    before = fingerprints("out")
    found = plan(out="out")
    assert found.finished
    assert "nothing to do" in found.notes[-1]
    outcome = train.train(found, tiny(), Recorder(), report=False)
    assert (outcome.finished, outcome.step, outcome.total_steps) == (True, 20, 20)
    assert fingerprints("out") == before


def test_never_overwrites_nothing(here):
    """A folder with a run, or with anything else, is refused."""
    run(tiny(), "out", at=3)
    with pytest.raises(CheckpointError, match="holds a run already"):
        plan(out="out", resume="never")
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"is not empty; it holds thesis\.txt"):
        plan(out="mine")


def test_resume_a_path(here):
    """A run folder or its newest checkpoint goes on in place."""
    run(tiny(), "out", at=7)
    assert plan(resume="out").checkpoint.step == 7
    assert plan(resume="out/checkpoints/step-00000007").folder == Path("out")
    assert plan(resume="out", out="out").folder == Path("out")
    with pytest.raises(CheckpointError, match="no such folder"):
        plan(resume="nowhere")
    Path("empty").mkdir()
    with pytest.raises(CheckpointError, match="is a folder, but neither a run folder nor a checkpoint"):
        plan(resume="empty")


def test_an_older_checkpoint_is_forked_and_the_fork_equals_the_run(here):
    """In place it is refused; with --out it becomes a run of its own, which ends with the same bits."""
    recipe = tiny(checkpoint__every_steps="4", checkpoint__keep="9")
    run(recipe, "out")
    with pytest.raises(CheckpointError, match="is not the newest"):
        plan(recipe, resume="out/checkpoints/step-00000008")
    before = fingerprints("out")
    outcome, said = run(recipe, "fork", resume="out/checkpoints/step-00000008")
    assert outcome.finished
    assert any("copied to fork" in text for text in said)
    assert fingerprints("fork") == fingerprints("out") == before
    with pytest.raises(CheckpointError, match="holds a run already"):
        plan(recipe, resume="out", out="fork")


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": "1"},
        {"data__batch_size": "9"},
        {"model__hidden": "[9]"},
        {"train__shards": "2"},
        {"train__accumulate": "2"},
        {"train__loss": "training_tasks:sometimes_infinite"},
    ],
)
def test_a_recipe_that_decides_otherwise_from_the_start_is_refused(changed, here):
    """Seed, data, model, loss and how gradients are summed cannot change within a run."""
    run(tiny(), "out", at=3)
    path = next(iter(changed)).replace("__", ".")
    with pytest.raises(CheckpointError, match=path):
        plan(tiny(**changed), out="out")


def test_other_differences_are_said(here, monkeypatch):
    """More epochs, an average, another torch: a note each."""
    run(tiny(), "out", at=3)
    now = environment.describe_environment()
    monkeypatch.setattr("downslope.training.run.plan.describe_environment", lambda *_: {**now, "torch": "9.9"})
    notes = plan(tiny(train__epochs="9", train__ema="0.5"), out="out").notes
    assert "resuming with a different recipe: train.epochs 4.0 -> 9.0" in notes
    assert "resuming with a different recipe: train.ema off -> 0.5" in notes
    assert any("version of torch" in note for note in notes)


def test_no_usable_checkpoint_is_never_a_silent_start(here):
    """When all are damaged the plan fails and says why; when none was committed it starts from the beginning."""
    run(tiny(), "out", at=3)
    manifest = Path("out/checkpoints/step-00000003/manifest.json")
    manifest.write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="none of its checkpoints can be used"):
        plan(out="out")
    manifest.unlink()
    found = plan(out="out")
    assert found.checkpoint is None
    assert "was not finished" in found.notes[0]


def test_a_changed_log_is_noticed(here):
    """A checkpoint without the log it was written with is passed over."""
    run(tiny(), "out", at=3)
    text = Path("out/log.jsonl").read_text(encoding="utf-8")
    Path("out/log.jsonl").write_text(text.replace('"epoch":0', '"epoch":9', 1), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"log\.jsonl are not those written before"):
        plan(out="out")


def test_a_checkpoint_after_the_recipe_s_end_is_refused(here):
    """Fewer steps than are done already cannot be trained."""
    run(tiny(), "out", at=13)
    with pytest.raises(CheckpointError, match="is at step 13, after the recipe's last, 5"):
        run(tiny(train__epochs="1"), "out")


def test_two_processes_do_not_train_in_one_folder(here):
    """The lock is held by the first."""
    run(tiny(), "out", at=3)
    with locked(Path("out")), pytest.raises(CheckpointError, match="another process is training there"):
        run(tiny(), "out")


def test_changed_data_are_noticed(here):
    """A function that returns other data than before cannot go on with the run."""
    recipe = tiny(data='{ name = "training_tasks:drifting", batch_size = 8 }')
    run(recipe, "out", at=3)
    with pytest.raises(CheckpointError, match="was trained on other data"):
        run(recipe, "out")


def test_the_run_folder_reads_what_training_wrote(here):
    """Recipe, facts, rows, events, checkpoints, the last and the best."""
    run(tiny(), "out")
    found = run_folder.RunFolder("out")
    assert found.recipe() == tiny()
    assert found.facts()["total_steps"] == 20
    assert [row["step"] for row in found.rows("evaluation")] == [4, 9, 14, 19]
    assert [event["event"] for event in found.events()][:: len(found.events()) - 1] == ["start", "finish"]
    assert found.last().step == 20
    accuracies = {row["step"] + 1: row["accuracy"] for row in found.rows("evaluation")}
    assert accuracies[found.best().step] == max(accuracies.values())
    shutil.rmtree("out/checkpoints")
    with pytest.raises(CheckpointError, match="has no checkpoint"):
        found.last()


def test_another_number_of_threads_is_said(here, monkeypatch):
    """Sums are split among threads, so their last bits may differ."""
    run(tiny(), "out", at=3)
    now = environment.describe_environment()
    monkeypatch.setattr(task, "describe_environment", lambda *_: {**now, "threads": 77})
    _, said = run(tiny(), "out")
    assert any("number of threads was" in text and "is now 77" in text for text in said)


def test_the_work_of_convolutions():
    """By hand: a weight is used once at each place of each example; a dense layer's do not count."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 2, 1), torch.nn.Linear(9, 9))
    assert environment.count_work(model, (3, 5, 4), 7) == 7 * 20 * (3 * 8 * 9 + 8 * 2)
    assert environment.count_work(torch.nn.Conv1d(1, 4, 5), (40,), 2) == 2 * 40 * 20
    assert environment.count_work(torch.nn.Linear(3, 3), (3,), 10**9) == 0


def test_a_small_model_gets_one_thread_unless_the_person_says_otherwise(monkeypatch):
    """And the number is restored afterwards."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with environment.fitting_threads(1000):
            assert torch.get_num_threads() == 1
        with environment.fitting_threads(10**9):
            assert torch.get_num_threads() == 2
        much = int(environment.MUCH_WORK)
        for begun, threads in ((None, 2), (2, 2), (1, 1)):  # a run that had one thread keeps its bits
            with environment.fitting_threads(1000, work=much, begun=begun):
                assert torch.get_num_threads() == threads
        with environment.fitting_threads(1000, work=much, shards=2):
            assert torch.get_num_threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        with environment.fitting_threads(1000):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
