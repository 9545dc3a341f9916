"""Keys that no table has are understood by the words that they are made of, or not at all."""

from __future__ import annotations

import pytest

from downslope import read
from downslope.reading.configuration.names import concepts_of

KEYS = {
    "total_training_epochs": "epochs", "numberOfTrainEpochs": "epochs", "EPOCHS_TRAINED": "epochs",
    "epoch-lr-milestones": "milestones", "lr_change_epochs": "times", "lr_reduction_epochs": "times",
    "learning_rate_adjust_interval": "every", "lr_schedule_gamma": "gamma", "lr_scheduler_mode": "policy",
    "lr_schedule_scheme": "policy", "momentum_factor": "momentum", "learning_momentum": "momentum",
    "sgd_momentum_value": "momentum", "l2_penalty_weight": "weight_decay", "weightDecayCoef": "weight_decay",
    "use_nesterov_momentum": "nesterov", "warmup_num_epochs": "warmup_epochs", "lr_warmup_start": "warmup_start",
    "global_train_batchsize": "batch", "gradient_clip_max_norm": "clip", "lr_cut_factor": "gamma",
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_key_means_what_its_words_mean(key):
    """In any order and spelling."""
    assert KEYS[key] in concepts_of(key)


OTHERS = (
    "bn_momentum momentum_teacher warmup_momentum num_batches steps_per_epoch test_batch_size val_epochs start_epoch "
    "ema_decay_rate lr_finder_steps loss_weight_decay epoch_size"
)


@pytest.mark.parametrize("key", [*OTHERS.split(), "lr" * 90])
def test_a_key_with_another_word_means_nothing(key):
    """One word that is not understood may change it."""
    assert concepts_of(key) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python a.py --sched multistep --opt sgd --lr 0.1 --gamma 0.2", {"sgd.lr.schedule": "multistep", "sgd.lr.factor": 0.2}),
        ("python a.py --lr 0.1 --lr_change_epochs 80,120 --lr_decay 10", {"sgd.lr.milestones": [80, 120], "sgd.lr.factor": 0.1}),
        ("lr: 0.1\nlr_steps: [30, 60]\nlr_decay: 5\n", {"sgd.lr.milestones": [30, 60], "sgd.lr.factor": 0.2}),
        ("lr: 0.1\nlr_decay: 30\n", {"sgd.lr": 0.1}),
        ("lr: 0.1\nmomentum: 0.9\nnesterov: 1\n", {"sgd.nesterov": True}),
        ("lr: 0.02\ncosine_annealing: true\n", {"sgd.lr.schedule": "cosine"}),
        ("--adam_beta1 0.9 --adam_beta2 0.98 --learning_rate 5e-4", {"adam.beta1": 0.9, "adam.beta2": 0.98}),
        ("optimizer: Adam with betas=(0.9,0.98) and epsilon=1e-08\nlr: 3e-5\n", {"adam.beta2": 0.98, "sgd.lr": 3e-5}),
        ("optimizer: SGD with momentum=0.85\nlr: 0.1\n", {"sgd.momentum": 0.85}),
        ("# of the poly policy\nPOWER = 0.9\nLR = 0.01\nEPOCHS = 50\n", {"sgd.lr.schedule": "polynomial", "sgd.lr.power": 0.9}),
        ("POWER = 0.9\nLR = 0.01\nEPOCHS = 50\n", {"sgd.lr": 0.01}),
        ("lr_max = 0.1\nlr_start = 0.001\nwarmup_epochs = 5\n", {"sgd.lr.then": 0.1, "sgd.lr.start": 0.001}),
    ],
)  # fmt: skip
def test_settings(text, expected):
    """Values, and what follows from them."""
    fields = read(text)[0].fields
    assert {path: fields[path].value for path in expected if path in fields} == expected
