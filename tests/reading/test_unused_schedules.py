"""Schedules that a text names without using them are left out: those of other things, others' trainings, ablations, plans."""

import pytest

from downslope import read

NONE = [
    "We train with SGD at lr 0.1 for 100 epochs. In the ablation, a cosine schedule gives 0.3% higher accuracy.",
    "The learning rate of SGD is 0.1. In Figure 5 we show the effect of dividing the learning rate by 10 at epoch 80.",
    "We compare a constant learning rate, step decay (0.1 every 30 epochs) and cosine. SGD, lr 0.1, batch 128.",
    "SGD lr 0.05, 200 epochs. The teacher was trained with SGD, lr 0.1 decayed by 10 at epochs 100 and 150.",
    "SGD lr 0.05, 200 epochs. The pretrained model used a cosine schedule with 10 epochs of warmup.",
    "SGD lr 0.1, 90 epochs. If you want to train longer, decay the learning rate by 10 at epoch 60 and 80.",
    "SGD lr 0.1. You could try lowering the learning rate by a factor of 10 after 50 epochs.",
    "SGD lr 0.1; did you try a learning rate schedule, e.g. StepLR with step 30, or cosine annealing?",
    "Default: SGD lr 0.1. Supported schedulers: StepLR, MultiStepLR, CosineAnnealingLR, OneCycleLR.",
    "Learning rate 0.1 with SGD. The scheduler option can be 'step', 'cosine' or 'poly'.",
    "SGD lr=0.1, 30 epochs. TODO: add learning rate decay (cosine) and warmup.",
    "SGD lr 0.1, no scheduler. Next I will try cosine annealing with warm restarts.",
    "Our results use SGD lr 0.1. ResNet-50 (cosine) 77.0; ResNet-50 (step) 76.3.",
    "For the baseline, learning rate decays by 0.1 every 30 epochs. For our method, SGD with a constant lr 0.01.",
    "SGD lr 0.1. The momentum follows a cosine schedule.",
    "SGD lr 0.1. Epsilon is decayed exponentially with rate 0.99.",
    "SGD lr 0.1. The temperature is decayed exponentially by 0.95 every epoch.",
    "SGD lr 0.1. We use a cosine schedule for the EMA decay.",
    "SGD lr 0.1. Masking ratio uses cosine scheduling.",
    "SGD lr 0.1. We linearly increase the sparsity to 90% over the first 50 epochs.",
    "SGD lr 0.1. The KL weight is annealed linearly over 10 epochs.",
    "SGD lr 0.1. The discount factor is 0.99 and the entropy coefficient decays linearly to 0.",
    "SGD lr 0.1. Training time decreases by 20% every epoch.",
    "SGD lr 0.1. The consistency weight is ramped up over the first 80 epochs with an exponential schedule.",
    "SGD lr 0.1; we warm up the BN statistics for 200 iterations before evaluation.",
    "SGD lr 0.1. GPU warm-up for 50 iterations before timing.",
    "SGD lr 0.3. The target decay τ starts from 0.996 and is increased to 1.",
    "The λ_u is linearly ramped up over 16 epochs; SGD lr 0.02; 300 epochs, batch 64.",
    "SGD, lr 0.1, batch 64. Should I use cosine instead?",
    "My settings: SGD, batch 32, lr 1e-3; the official settings: batch 256, lr 0.1, cosine, 300 epochs.",
    "We fine-tune with SGD, lr 0.001. Pretraining used lr 0.1, batch 1024, cosine for 90 epochs.",
    "| Method | Schedule | mAP |\n|---|---|---|\n| Ours | 1x | 37.4 |\n| Ours | cosine | 38.1 |\n\nWe use SGD, lr 0.02.",
    "Unlike previous methods that use warmup and cosine schedules, we train SGD with lr 0.02.",
    "SGD lr 0.1 for 100 epochs. The weights are averaged over the last 10 epochs with exponential decay 0.999.",
]


@pytest.mark.parametrize("text", NONE, ids=NONE)
def test_a_schedule_that_is_not_used_is_none(text):
    """The learning rate is the constant that another sentence gives."""
    fields = read(text)[0].fields
    assert "sgd.lr.schedule" not in fields
    assert "sgd.lr" in fields


OWN = [
    ("Batch norm momentum decays by 0.5 every 20 epochs, lr 0.001 decays by 0.7 every 30 epochs. SGD", "exponential"),
    ("SGD, lr 0.1, divided by 10 at epochs 30 and 60. Cosine annealing performs slightly better.", "multistep"),
    ("For a fair comparison with others, we use a cosine schedule. SGD with lr 0.1.", "cosine"),
    ("SGD with lr 0.1. We compare all methods under the same setting: we use cosine annealing.", "cosine"),
    ("SGD, lr 0.1, weight decay 1e-4. The learning rate is annealed linearly to 0.", "linear"),
    ("Momentum is 0.9 and weight decay 1e-4. Lr 0.1 with a cosine schedule.", "cosine"),
    (
        "Step Decay or Cosine Annealing. Initial learning rate 0.1. For Step Decay, the learning rate is reduced by a factor "
        "of 10 at epochs 30 and 60.",
        "multistep",
    ),
]


@pytest.mark.parametrize(("text", "schedule"), OWN, ids=[text for text, _ in OWN])
def test_a_schedule_beside_one_that_is_not_used_stays(text, schedule):
    """What the text does itself is read, whatever it compares itself with."""
    assert read(text)[0].fields["sgd.lr.schedule"].value == schedule
