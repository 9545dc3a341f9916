"""Command lines and shell scripts, against what they say, worked out by hand."""

import pytest

from downslope import read
from downslope.reading.configuration import read_configuration, read_flags
from downslope.reading.findings import Part

CASES = {
    "flags": (
        "python main.py --lr 0.1 -b 256 --epochs=90 --momentum .9 --wd 1e-4",
        {"sgd.lr": 0.1, "data.batch_size": 256, "train.epochs": 90, "sgd.momentum": 0.9, "sgd.weight_decay": 1e-4},
    ),
    "flags of one dash": (
        "python main.py -lr 0.2 -bs 64 -e 30 -wd 5e-4 -j 8",
        {"sgd.lr": 0.2, "data.batch_size": 64, "train.epochs": 30, "sgd.weight_decay": 5e-4},
    ),
    "a prompt, lines and a comment": (
        "$ CUDA_VISIBLE_DEVICES=0 python a.py \\\n    --lr 0.1 \\\n    --epochs 30  # --lr 7\n",
        {"sgd.lr": 0.1, "train.epochs": 30},
    ),
    "lists": (
        "python a.py --lr 0.1 --milestones 30 60 --gamma 0.2 --epochs 90",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.milestones": [30, 60], "sgd.lr.factor": 0.2, "train.epochs": 90},
    ),
    "lists with commas, quoted lists": (
        "python a.py --lr 0.1 --lr-decay-epochs '[30, 60]' --lr-decay-rate 0.2 --epochs 90",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.1, "sgd.lr.milestones": [30, 60], "sgd.lr.factor": 0.2, "train.epochs": 90,
         "sgd.lr.unit": "epoch"},
    ),
    "the last of two wins": ("python a.py --lr 0.1 --lr 0.3", {"sgd.lr": 0.3}),
    "variables": (
        '#!/bin/bash\nLR=0.1\nexport BS=128\nEPOCHS="90"\npython a.py --lr $LR -b ${BS} --epochs=${EPOCHS} --wd $UNKNOWN\n',
        {"sgd.lr": 0.1, "data.batch_size": 128, "train.epochs": 90},
    ),
    "a variable's variable": ("A=0.2\nLR=$A\npython a.py --lr $LR", {"sgd.lr": 0.2}),
    "hydra": (
        "python train.py optimizer.lr=0.1 +trainer.max_epochs=100 data.batch_size=64 model.momentum=0.5",
        {"sgd.lr": 0.1, "train.epochs": 100, "data.batch_size": 64},
    ),
    "detectron2": (
        "python tools/train_net.py --num-gpus 1 SOLVER.BASE_LR 0.01 SOLVER.MAX_ITER 900 SOLVER.STEPS '(600,800)'",
        {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.01, "sgd.lr.milestones": [600, 800], "train.steps": 900},
    ),
    "openmmlab": (
        "bash tools/dist_train.sh a.py 8 --cfg-options optimizer.lr=0.01 runner.max_epochs=24",
        {"sgd.lr": 0.01, "train.epochs": 24},
    ),
    "torchvision": (
        "torchrun --nproc_per_node=8 train.py --batch-size 32 --lr 0.1 --lr-step-size 30 --lr-gamma 0.2 --epochs 90 --norm-weight-decay 0.0",
        {"sgd.lr.initial": 0.1, "sgd.lr.every": 30, "sgd.lr.rate": 0.2, "train.epochs": 90,
         "groups.0.weight_decay": 0.0},
    ),
    "a period of its own": (
        "python a.py --lr 0.1 --step 20 --gamma 0.5 --epochs 60",
        {"sgd.lr.initial": 0.1, "sgd.lr.every": 20, "sgd.lr.rate": 0.5, "train.epochs": 60},
    ),
    "batch file": ("python a.py ^\n--lr 0.1 ^\n--epochs 3\n", {"sgd.lr": 0.1, "train.epochs": 3}),
    "no decay": (
        "python train_imagenet.py --lr 0.1 --lr-mode cosine --num-epochs 20 --no-wd --wd 1e-4",
        {"sgd.lr.schedule": "cosine", "sgd.lr.initial": 0.1, "train.epochs": 20, "sgd.weight_decay": 1e-4},
    ),
    "a strength whose kind is named": (
        "python a.py --reg l2 --lambda 3e-4 --lr 0.1", {"sgd.weight_decay": 3e-4, "sgd.lr": 0.1}
    ),
    "a strength of something": ("python a.py --lambda 0.3 --lr 0.1", {"sgd.lr": 0.1}),
    "nesterov alone": ("python a.py --nesterov --lr 0.1 --momentum 0.9", {"sgd.nesterov": True, "sgd.lr": 0.1, "sgd.momentum": 0.9}),
    "others' flags": (
        "python a.py --lr 0.1 --teacher-lr 3 --val-batch-size 9 --ema-momentum 0.9 --aug.lr 4 --warmup-momentum 0.8",
        {"sgd.lr": 0.1},
    ),
    "negative numbers": ("python a.py --lr 0.1 --max_steps -1 --temp -0.5", {"sgd.lr": 0.1}),
}  # fmt: skip


def found_in(text):
    """What a command line says."""
    return read_configuration(Part("command", "shell", text))


@pytest.mark.parametrize("case", CASES)
def test_what_a_command_line_states(case):
    """All that is stated, and nothing else."""
    text, expected = CASES[case]
    found = found_in(text)
    stated = {path: field.value for path, field in found.fields.items() if field.provenance == "stated"}
    assert stated == {path: pytest.approx(v) if isinstance(v, float) else v for path, v in expected.items()}


@pytest.mark.parametrize("case", CASES)
def test_the_words_stand_at_their_place(case):
    """A field quotes the flag, or the assignment that its variable comes from."""
    text, _ = CASES[case]
    for field in found_in(text).fields.values():
        if field.start >= 0:
            assert text[field.start : field.end].strip() == field.words


def test_a_variable_is_quoted_where_it_is_set():
    """There the number stands."""
    assert found_in("LR=0.1\npython a.py --lr $LR\n").fields["sgd.lr"].words == "LR=0.1"


def test_a_default_of_a_variable_is_implied():
    """The caller may have set another."""
    found = found_in("python a.py --lr ${LR:-0.1} --epochs 3\n").fields["sgd.lr"]
    assert (found.value, found.provenance) == (0.1, "implied")


@pytest.mark.parametrize("values", ["0.05 0.1", "{0.05,0.1}", "0.05 0.1; do"])
def test_values_of_a_loop_compete(values):
    """The first is shown and marked, the others are in a remark."""
    done = "" if values.endswith("do") else "\ndo"
    found = found_in(f"for lr in {values}{done}\n  python a.py --lr ${{lr}} --epochs 3\ndone\n")
    assert found.fields["sgd.lr"].value == 0.05
    assert found.fields["sgd.lr"].marks == ("competing",)
    assert found.remarks == [("another", {"path": "sgd.lr", "words": "0.1"})]


def test_commands_that_differ_compete():
    """Two runs of one script."""
    found = found_in("python a.py --lr 0.1 --epochs 30\npython a.py --lr 0.2 --epochs 30\n")
    assert found.fields["sgd.lr"].marks == ("competing",)
    assert not found.fields["train.epochs"].marks


def test_the_batch_of_all_devices():
    """GluonCV's and torchvision's batch size is one device's."""
    found = found_in("python train.py --lr-mode step --lr 0.4 --num-gpus 8 --batch-size 64").fields["data.batch_size"]
    assert (found.value, found.provenance) == (512, "implied")
    alone = found_in("python train.py --lr-warmup-epochs 5 --lr 0.4 --batch-size 64").fields["data.batch_size"]
    assert (alone.value, alone.marks) == (64, ("per_device",))


def test_flags_for_a_program():
    """By the names that a program knows them by."""
    part = Part("command", "shell", "python a.py --lr-decay 0.2 --nesterov -b 8 sched.step=3", start=10)
    assert read_flags(part) == {
        "lr_decay": (0.2, 22, 36),
        "nesterov": (True, 37, 47),
        "b": (8, 48, 52),
        "sched.step": (3, 53, 65),
    }


@pytest.mark.parametrize(
    "text",
    ["--lr " * 20_000, "'" * 50_000, '"' * 50_001, "$(" * 30_000, "${A" * 30_000, "A=$A\n" * 20_000, "\\\n" * 30_000,
     "for a in b; do\n" * 10_000, "a=" * 30_000, "x --a=" + "1," * 50_000, "-" * 50_000, "\x00\ud800--lr 1", "A=" + "$A" * 9 + "\n"],
    ids=range(13),
)  # fmt: skip
def test_hostile_command_lines_raise_nothing(text):
    """In bounded time."""
    found_in(text)


@pytest.mark.parametrize(
    "line",
    [
        'echo "$(date --iso-8601=seconds) the teacher has started"; python train.py --lr 0.1 --epochs 90',
        "python\\ train.py\\ --lr\\ 0.1\\ --epochs\\ 90",
        'sh -c "$(which python) train.py --lr 0.1 --epochs 90"',
        "ssh host 'bash -c \"python train.py --lr 0.1 --epochs 90\"'",
        'run "`cat --number list of files`" --lr 0.1 --epochs 90',
    ],
)
def test_a_word_may_hold_a_command(line):
    """And what another command writes is none, however the quotes are nested."""
    found = read(line)[0].fields
    assert (found["sgd.lr"].value, found["train.epochs"].value) == (0.1, 90)


def test_quotes_nested_without_end():
    """They are followed a few levels deep."""
    quoted = "'\"'" * 5_000 + " --lr 0.1 --momentum 0.9 " + '"\'"' * 5_000
    escaped = '"' + "\\ --a b\\ --c d" * 3_000 + '"'
    for text in (quoted, escaped):
        read(text)
