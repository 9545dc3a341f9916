"""Training on a device: which one is found, what is said, and that no step reads anything back from it."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
import torch
from training_runs import run, tiny

import warm
from downslope.core.errors import RecipeError
from downslope.training import device as devices
from downslope.training.device import HOST, DeviceError, LocalPlace, fetch, find_device
from downslope.training.run.environment import deterministic, differences
from downslope.training.run.gradients import computing_in
from downslope.training.run.task import build_task
from downslope.training.use.evaluate import evaluate_run
from downslope.training.view.console import PlainConsole
from downslope.training.view.usage import Usage
from downslope.training.view.watch import Status, WatchedRun
from downslope.training.workers.rendezvous import local_place

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "src" / "downslope"
KINDS = {"cuda", "mps", "xpu", "nccl", "xccl", "cudnn", "cublas"}


def strings_and_names(path):
    """Yield every name, attribute and string of a file, but for docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    said = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_one_module_names_kinds_of_devices():
    """Everything else knows a `torch.device`; help and messages, which are for people, may give examples."""
    rooms = [PACKAGE / "training", PACKAGE / "torch", PACKAGE / "recipe"]
    for path in (path for room in rooms for path in room.rglob("*.py")):
        if path.name == "device.py":
            continue
        found = {text for text in strings_and_names(path) if text.split(":")[0].lower() in KINDS}
        assert not found, f"{path.relative_to(PACKAGE)} names {found}"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "2 2 ['pretended:0']"),
        (
            [
                'data.name="mnist1d"',
                'model={name="convnet",options={norm="group"}}',
                "train.clip_norm=1.0",
                "train.accumulate=2",
                "train.shards=2",
            ],
            "2 8 ['pretended:0']",
        ),
    ],
    ids=["mlp", "convnet in four parts, clipped"],
)
def test_a_whole_step_reads_nothing_back(overrides, expected):
    """On tensors without memory every operation finds all of its tensors on one device, and no number is asked for."""
    done = warm.run(HERE / "device_child.py", *overrides)
    assert done.stdout.strip().splitlines()[-1:] == [expected], done.stderr[-2000:]


class Pretended:
    """Torch's module of a kind of device of which there are some."""

    def __init__(self, count):
        self.count, self.chosen = count, None

    def is_available(self):
        """There are, if there are."""
        return self.count > 0

    def device_count(self):
        """Return how many."""
        return self.count

    def set_device(self, index):
        """Remember which is chosen."""
        self.chosen = index


@pytest.fixture
def two_devices(monkeypatch):
    """Have torch tell of two devices of the kind "cuda", and of none of other kinds."""
    there = Pretended(2)
    modules = {"cuda": there, "mps": Pretended(0), "xpu": Pretended(0)}
    monkeypatch.setattr(torch, "get_device_module", lambda kind: modules[kind])
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    return there


def test_without_an_accelerator_auto_is_the_processor():
    """And a device that is not there is an error that says what there is."""
    assert find_device("auto") == find_device("cpu") == HOST
    with pytest.raises(
        DeviceError, match=r"train.device = 'cuda:1': there is no such device here. There is cpu alone."
    ):
        find_device("cuda:1")
    with pytest.raises(DeviceError, match="Did you mean `cuda`"):
        find_device("cida")


def test_auto_takes_the_accelerator_and_stays_where_a_run_was(two_devices):
    """A run that began on the processor goes on there, to the same bits."""
    assert find_device("auto") == torch.device("cuda", 0)
    assert find_device("auto", before="cpu") == HOST
    assert find_device("auto", before="cuda") == torch.device("cuda", 0)
    assert find_device("auto", before="xpu") == torch.device("cuda", 0)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    assert two_devices.chosen == 1
    assert devices.backends() == "cpu:gloo,cuda:nccl"
    with pytest.raises(DeviceError, match=r"There is cpu, cuda \(2\)."):
        find_device("cuda:2")


def test_each_worker_has_a_device_of_its_own(two_devices):
    """Where there are too few of them, the message says what can be done."""
    assert find_device("auto", LocalPlace(1, 2)) == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="Use --workers 2, which gives the same bits, or --device cpu"):
        find_device("auto", LocalPlace(2, 3))
    with pytest.raises(DeviceError, match="is one device, and there are 2 workers"):
        find_device("cuda:0", LocalPlace(1, 2))
    two_devices.count = 1
    assert find_device("cuda", LocalPlace(3, 4, is_assigned=True)) == torch.device("cuda", 0)


def test_the_place_among_a_machines_workers():
    """By torchrun's variables, those of `--workers`, or Slurm's."""
    assert local_place(1, {"LOCAL_RANK": "3"}) == LocalPlace()
    assert local_place(8, {"LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}) == LocalPlace(3, 4)
    assert local_place(8, {"SLURM_LOCALID": "2"}) == LocalPlace(2, 8, is_assigned=True)


@pytest.mark.parametrize("name", ["gpu 1", "CUDA", "cuda:x", "cpu:0", "auto:1", ""])
def test_a_recipe_refuses_what_is_no_device(name):
    """Whether the device is there only the machine knows that trains."""
    with pytest.raises(RecipeError, match="`device` must be"):
        tiny(train__device=json.dumps(name))
    assert tiny(train__device='"cuda:1"').train.device == "cuda:1"


def test_another_device_is_said():
    """Also where the run is of a version that did not note it."""
    there = {"device": "cuda", "device_name": "A", "device_software": "1"}
    assert differences(there, there) == []
    assert differences({}, {"device": "cpu"}) == []
    said = ["device was cpu, is now cuda: from here on results may differ in their last bits"]
    assert differences({}, there) == differences({"device": "cpu"}, there) == said
    assert len(differences(there, {**there, "device_name": "B"})) == 1


def test_a_run_notes_its_device(here):
    """In its facts, in each checkpoint, and in the recipe that it keeps."""
    run(tiny(), "out", at=3)
    assert json.loads(Path("out/run.json").read_text())["environment"]["device"] == "cpu"
    manifest = json.loads(Path("out/checkpoints/step-00000003/manifest.json").read_text())
    assert manifest["environment"]["device"] == "cpu"
    assert 'device = "auto"' in Path("out/recipe.toml").read_text()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_float16_resumes_to_the_same_bits(here):
    """With the scale of the loss, and what was skipped while it was found."""
    recipe = tiny(train__precision='"float16"', sgd__lr="3.0", sgd__momentum="0.0", train__clip_norm="1e-3")
    run(recipe, "whole")
    run(recipe, "stopped", at=7)
    run(recipe, "stopped")
    for name in ("model.safetensors", "log.jsonl"):
        assert Path("whole", name).read_bytes() == Path("stopped", name).read_bytes()
    manifests = sorted(Path("whole/checkpoints").glob("*/manifest.json"))
    assert json.loads(manifests[-1].read_text())["state"]["loss_scale"]["scale"] > 0


def test_float16_measures_as_float32_does(here):
    """Norms, noise and lr are of the gradients, whatever the loss was multiplied by."""
    rows = {}
    for precision in ("float32", "float16"):
        run(tiny(train__precision=json.dumps(precision), train__measure_every="1", train__shards="2"), precision)
        lines = map(json.loads, Path(precision, "log.jsonl").read_text().splitlines())
        rows[precision] = next(row for row in lines if row["kind"] == "measure")
    for name in ("grad_norm", "weight_norm", "alignment"):
        assert rows["float16"][name] == pytest.approx(rows["float32"][name], rel=2e-2), name
    assert rows["float16"]["noise"] == pytest.approx(rows["float32"]["noise"], rel=5e-2)


def test_a_step_beyond_float16_is_skipped_and_counted(here, monkeypatch):
    """The log has a row, and training goes on though `on_nonfinite` is "raise"."""
    monkeypatch.setattr("downslope.torch.GradScaler.get_scale", lambda self: float(self._scale) * 1e30)
    outcome, _ = run(tiny(train__precision='"float16"'), "out")
    kinds = [json.loads(line)["kind"] for line in Path("out/log.jsonl").read_text().splitlines()]
    assert kinds.count("skip") == 20
    assert outcome.finished


def test_float16_does_not_go_with_ignoring():
    """It would step by gradients that are inf."""
    with pytest.raises(RecipeError, match="float16"):
        tiny(train__precision='"float16"', train__on_nonfinite='"ignore"')


def test_channels_last_changes_the_order_in_memory_alone(here):
    """The same run but for last bits; checkpoints are in the usual order, and go on either way."""
    data, model = '{ name = "digits", batch_size = 32 }', '{ name = "convnet", options = { channels = [4] } }'
    shared = {"data": data, "model": model, "train__epochs": "0.2", "sgd__lr": "0.1"}
    first, _ = run(tiny(**shared), "first")
    last, _ = run(tiny(**shared, train__channels_last="true"), "last")
    assert first.held_out["loss"] == pytest.approx(last.held_out["loss"], rel=1e-4)
    assert evaluate_run("last")["loss"] == last.held_out["loss"]  # to the bit: in the same order
    assert devices.prefers_channels_last(torch.device("cuda"), torch.nn.Conv2d(1, 1, 3))
    assert not devices.prefers_channels_last(HOST, torch.nn.Conv2d(1, 1, 3))
    assert not devices.prefers_channels_last(torch.device("cuda"), torch.nn.Conv1d(1, 1, 3))


def test_settings_of_a_devices_libraries_are_put_back():
    """Inside, sums are formed in one order and float32 in full, unless TF32 is asked for."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32
    for tf32 in (False, True):
        with deterministic(torch.device("cuda"), tf32=tf32):
            assert cudnn.deterministic
            assert not cudnn.benchmark
            assert matmul.allow_tf32 == cudnn.allow_tf32 == tf32
    assert (cudnn.deterministic, cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32) == before


def test_numbers_are_fetched_together_or_one_by_one():
    """On the host there is nothing to wait for."""
    assert fetch([]) == []
    assert fetch([torch.tensor(1.5), torch.tensor(2)]) == [1.5, 2.0]
    assert isinstance(computing_in("float16"), torch.autocast)


class Telling(Pretended):
    """A module that tells how far its devices are in use, or does not."""

    def memory_allocated(self, device):
        """Return what tensors take."""
        return 3 * 2**29

    def max_memory_allocated(self, device):
        """Return the most they took."""
        return 2**31

    def get_device_properties(self, device):
        """Return how much there is."""
        return type("Properties", (), {"total_memory": 2**34})

    def utilization(self, device):
        """Return a percentage."""
        return 75


def test_a_device_tells_how_far_it_is_in_use(monkeypatch):
    """Memory, its peak and total, the share of time; without a driver's library less, without an allocator nothing."""
    monkeypatch.setattr(torch, "get_device_module", lambda kind: Telling(1))
    found = devices.usage_of(torch.device("cuda", 5))
    assert found.text() == "1.50 of 16 GiB (at most 2.00), 75 % busy"
    assert found.fields() == {"memory_gib": 1.5, "peak_gib": 2.0, "total_gib": 16.0, "busy": 0.75}
    assert type(found).of_event({"event": "checkpoint", "step": 5, **found.fields()}) == found
    assert type(found).of_event({"event": "checkpoint", "step": 5}) is None
    monkeypatch.setattr(Telling, "utilization", property(lambda _: 1 / 0))
    assert devices.usage_of(torch.device("cuda", 6)).text() == "1.50 of 16 GiB (at most 2.00)"
    monkeypatch.setattr(torch, "get_device_module", lambda kind: Pretended(1))
    assert devices.usage_of(torch.device("cuda", 7)) is None
    assert devices.usage_of(HOST) is None


def test_who_watches_a_run_on_a_device_sees_how_far_it_is_in_use(here, monkeypatch, capsys):
    """Its events tell with each checkpoint; `watch` shows them while it goes on, and the report reads them."""
    usage = Usage(memory=3 * 2**29, peak=2**31, busy=0.75)
    for module in ("saving", "train"):
        monkeypatch.setattr(f"downslope.training.run.{module}.usage_of", lambda _: usage)
    shown = []
    monkeypatch.setattr("downslope.training.run.train.has_passed", lambda *_: True)
    monkeypatch.setattr("training_runs.Recorder.progress", lambda _, *words: shown.append(words))
    run(tiny(checkpoint__every_steps="5"), "out")
    assert shown[-1][2]["device"] == "1.50 GiB (at most 2.00), 75 % busy"
    told = [json.loads(line) for line in Path("out/events.jsonl").read_text().splitlines()]
    assert all(event["busy"] == 0.75 for event in told if event["event"] == "checkpoint")
    Path("out/events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in told[:-1]))
    monkeypatch.setattr(WatchedRun, "status", lambda *_: Status("training", "out"))
    watched = WatchedRun(Path("out"))
    watched.look()
    assert "device      1.50 GiB (at most 2.00), 75 % busy, when it was saved" in watched.lines(100, 0.0)
    assert watched.line().endswith("device 1.50 GiB (at most 2.00), 75 % busy, when it was saved")
    console = PlainConsole(err=sys.stderr, seconds=0)
    console.begin(build_task(tiny()), Path("out"), 0)
    console.progress(10, 20, {"loss": 0.5, "device": usage.text()})
    told = capsys.readouterr().err
    assert told.startswith("step 10 of 20 (50 %): loss 0.5, ")
    assert told.endswith(" examples/s, device 1.50 GiB (at most 2.00), 75 % busy\n")
