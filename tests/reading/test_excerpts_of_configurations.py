"""Configurations as they are pasted: commented, inside of something else, with a common prefix, in Rust and C++."""

import pytest

from reading.neighbours import differences

SOLVER = 'base_lr: 0.2\nlr_policy: "multistep"\nstepvalue: 3000\nstepvalue: 5000\ngamma: 0.1\nmax_iter: 6000\nmomentum: 0.9\n'
SOLVED = {
    "sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.2, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [3000, 5000],
    "sgd.lr.unit": "step", "sgd.momentum": 0.9, "train.steps": 6000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("".join(f"# {line}\n" for line in SOLVER.splitlines()), SOLVED),
        ("".join(f"#{line}\n" for line in SOLVER.splitlines()), SOLVED),
        (f"    solver = '''net: \"%s\"\n{SOLVER}snapshot: 1000'''%(name)", SOLVED),
        ("Fig. 2:\n\tthe solver:\n" + "".join(f"\t\t{line}\n" for line in SOLVER.splitlines()), SOLVED),
        (
            "PILOT_TRAIN_LR = 2e-3\nPILOT_TRAIN_EPOCHS = 15\nPILOT_TRAIN_MOMENTUM = 0.8\n",
            {"sgd.lr": 2e-3, "train.epochs": 15, "sgd.momentum": 0.8},
        ),
        (
            "LEARNING_RATE = 1e-3\nMAX_EPOCHS = 60\nSCHEDULER_FACTOR = 0.3\nSCHEDULER_PATIENCE = 4\n",
            {"sgd.lr": 1e-3, "train.epochs": 60, "train.plateau.factor": 0.3, "train.plateau.patience": 4},
        ),
        (
            "let sgd = SGD::new(0.02)\n    .with_momentum(0.8)\n    .with_weight_decay(1e-3)\n    .with_nesterov(true);\n",
            {"sgd.lr": 0.02, "sgd.momentum": 0.8, "sgd.weight_decay": 1e-3, "sgd.nesterov": True},
        ),
        (
            "const BATCH_SIZE: usize = 12;\nconst ITERATIONS: usize = 40_000;\nfn main() {\n    let sgd = SgdConfig { lr: 3e-2 };\n}\n",
            {"data.batch_size": 12, "train.steps": 40_000, "sgd.lr": 0.03},
        ),
        (
            "torch::optim::SGD optimizer(\n    net->parameters(), torch::optim::SGDOptions(/*lr=*/0.02).momentum(0.6));\n",
            {"sgd.lr": 0.02, "sgd.momentum": 0.6},
        ),
        (
            "import network\nnet = network.Network([784, 30, 10])\nnet.SGD(training_data, 25, 12, 2.5, test_data=test_data)\n",
            {"train.epochs": 25, "data.batch_size": 12, "sgd.lr": 2.5},
        ),
        ("opt = optim.SGD(net.parameters(), 0.1, 0.9, 0, 1e-4)", {"sgd.lr": 0.1, "sgd.momentum": 0.9, "sgd.dampening": 0.0, "sgd.weight_decay": 1e-4}),
        ("lr 0.1 with SGD\n# one\n# two\n# three", {"sgd.lr": 0.1}),
        ("# SGD with lr 0.2\n# for 30 epochs\n# and no momentum", {"sgd.lr": 0.2, "train.epochs": 30, "sgd.momentum": 0.0}),
    ],
)  # fmt: skip
def test_excerpts(text, expected):
    """Every stated field is among the expected ones, and has its value."""
    assert differences(text, expected) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The rate is initially 5e-2 and decreased by a factor of 0.5 after (30,50,60) epochs with SGD, learning rate 5e-2",
            {"sgd.lr.schedule": "multistep", "sgd.lr.initial": 0.05, "sgd.lr.factor": 0.5, "sgd.lr.milestones": [30, 50, 60], "sgd.lr.unit": "epoch"},
        ),
        (
            "SGD with learning rate 0.005, which is warmed up linearly (Smith and Jones 2019) for 8 epochs",
            {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 8, "sgd.lr.unit": "epoch", "sgd.lr.then": 0.005},
        ),
        ("SGD with learning rate 0.001; the cosine LR schedule was disabled", {"sgd.lr": 0.001}),
        ("Noise scales σ: 0.2 for writers. SGD, lr 0.25", {"sgd.lr": 0.25}),
    ],
)  # fmt: skip
def test_sentences_around(text, expected):
    """Times in brackets, citations between, and what is switched off or no change of the rate."""
    assert differences(text, expected) == []
