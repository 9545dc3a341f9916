"""Recipes for data given by path, by name and through the command line: on small data of the same form, made here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.command_line import fail, succeed
from downslope import load_recipe
from house.source_tree import ROOT


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def make_cifar():
    """Write random images in the layout of CIFAR-10's binary version."""
    draw = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        records = draw.integers(0, 256, (10, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(10)
        Path("cifar", name).write_bytes(records.tobytes())


def make_photographs():
    """Write a folder of images of two classes, as ImageNet's lie in train and val."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 2), ("val", 1)):
        for kind in ("cat", "dog"):
            Path("photographs", part, kind).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (256, 256, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(f"photographs/{part}/{kind}/{number}.png")


def train(capsys, *words):
    """Train by a recipe's name and return the last evaluation."""
    succeed(["train", *words, "--out", "run"], capsys)
    lines = [json.loads(line) for line in Path("run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["kind"] == "evaluation"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10-resnet20", "cifar10-resnet56", "cifar10-wrn-28-10", "cifar10-resnet9"])
def test_cifar(name, capsys, no_report):
    """Two steps of a small batch; every option of the recipe but length and batch is its own."""
    Path("cifar").mkdir()
    make_cifar()
    smaller = ["--model.options.blocks", "1"] if name == "cifar10-wrn-28-10" else []
    words = ["--data.path", "cifar", "--data.batch_size", "4", "--train.steps", "2", *smaller]
    found = train(capsys, name, *words)
    assert 0 <= found["accuracy"] <= 1
    assert "no such" in fail(["train", name, "--data.path", "nowhere", "--out", "other"], capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imagenet-resnet50-goyal", "imagenet-resnet50-torchvision"])
def test_imagenet(name, capsys, no_report):
    """One step on folders of photographs, in two shards."""
    make_photographs()
    words = ["--data.path", "photographs", "--data.options.size", "[256, 256]", "--data.batch_size", "2"]
    found = train(capsys, name, *words, "--train.shards", "2", "--train.steps", "1")
    assert 0 <= found["accuracy"] <= 1


def made_by_the_script(which):
    """Write the table that examples/make_tables.py makes."""
    script = ROOT / "examples/make_tables.py"
    done = subprocess.run([sys.executable, script, which], capture_output=True, check=True)
    Path(f"{which}.csv").write_bytes(done.stdout)


def test_rare_classes(capsys, no_report):
    """Balanced weights raise the recall of the worst class, and the checkpoint kept is the best balanced one."""
    made_by_the_script("customers")
    words = ["table-imbalanced", "--data.path", "customers.csv", "--data.options.target", "outcome"]
    words += ["--train.epochs", "10", "--sgd.lr.duration", "10"]
    balanced = train(capsys, *words)
    rated = json.loads(succeed(["evaluate", "run", "--checkpoint", "best", "--json"], capsys))
    rows = [json.loads(line) for line in Path("run/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rated["balanced_accuracy"] == max(row.get("balanced_accuracy", 0) for row in rows)
    shutil.rmtree("run")
    alike = train(capsys, *words, "--train.class_weights", "[1, 1, 1]")
    assert balanced["worst_recall"] > 2 * alike["worst_recall"]
    assert balanced["balanced_accuracy"] > alike["balanced_accuracy"]


def test_prices(capsys, no_report):
    """Prices of which a few are far too high are learned, and rated in their own unit."""
    made_by_the_script("houses")
    words = ["table-prices", "--data.path", "houses.csv", "--data.options.target", "price"]
    found = train(capsys, *words, "--train.epochs", "20", "--sgd.lr.duration", "20")
    assert found["r2"] > 0.5
    assert 10_000 < found["mae"] < found["rmse"] < 100_000


def test_what_the_papers_say():
    """lr at chosen steps, worked out from the papers' words."""
    resnet = load_recipe("cifar10-resnet20").sgd
    assert [resnet.at(step).lr for step in (0, 31_999, 32_000, 48_000)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    goyal = load_recipe("imagenet-resnet50-goyal").in_steps(100).sgd
    steps = (0, 250, 500, 2_999, 3_000, 6_000, 8_000)
    assert [goyal.at(step).lr for step in steps] == pytest.approx([0.1, 1.65, 3.2, 3.2, 0.32, 0.032, 0.0032])
    page = load_recipe("cifar10-resnet9").in_steps(98).sgd
    assert [page.at(step).lr for step in (0, 245, 490, 1_421, 2_352)] == pytest.approx([0, 0.2, 0.4, 0.2, 0])
    wide = load_recipe("cifar10-wrn-28-10").in_steps(10).sgd
    assert [wide.at(step).lr for step in (0, 600, 1200, 1600)] == pytest.approx([0.1, 0.02, 0.004, 0.0008])
