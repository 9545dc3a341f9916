"""Kinds of wording that papers, READMEs and their scans share: each in a short text of its own, and what it must give."""

import pytest

from downslope import read
from reading.neighbours import amiss

SCANNED = [
    ("SGD, lr 0.1, trained for 45, 000 iterations", {"train.steps": 45000}),
    ("SGD, lr 0.001 with a decrease of 6% every 10, 000 iterations", {"sgd.lr.rate": 0.94, "sgd.lr.every": 10000}),
    ("SGD, lr 0.1, trained for 300.000 gradient updates", {"train.steps": 300000}),
    ("SGD, lr 0.1, trained over 10.000 batches with a batch size of 64 images", {"train.steps": 10000}),
    ("SGD with lr 0.1 for 10 M gradient updates", {"train.steps": 10000000}),
    (r"AdamW with a learning rate of $5 \times \mathrm { 1 0 ^ { - 6 } }$", {"sgd.lr": 5e-6}),
    (r"AdamW, weight decay $1 \times \bar { 1 0 ^ { - 4 } }$, lr 0.001", {"sgd.weight_decay": 1e-4}),
    ("The initial learning rate is 0.1 and the ﬁrst ﬁve epochs are a linear warm-up", {"sgd.lr.duration": 5}),
    (r"SGD with $\mathrm { l r } = 1 0 ^ { - 3 }$", {"sgd.lr": 1e-3}),
    (r"SGD, constant learning rate $\mathrm { o f } 6 \times { 1 0 } ^ { - 6 }$", {"sgd.lr": 6e-6}),
    (r"Adam with learning rate $\mathrm { \bar { 1 0 } ^ { - 3 } }$", {"sgd.lr": 1e-3}),
    (r"SGD, a learning rate of $1 \times \mathrm { i } 0 ^ { - 5 }$", {"sgd.lr": None}),
    (r"SGD, a learning rate of $3 . { \overset { } { 0 } } \times 1 0 ^ { - 4 }$", {"sgd.lr": None}),
    (r"Use SGD with a learning rate of 0\.05\. Train for 15 epochs\.", {"sgd.lr": 0.05, "train.epochs": 15}),
    ("The momentum is set to 0.90.9, and the weight decay is set to 0.00010.0001.", {"sgd.weight_decay": 1e-4}),
    ("SGD, lr 0.1, dropped by a factor of 10 10 10 10 after 40 40 40 40 epochs for 50 50 50 50 training epochs",
     {"sgd.lr.factor": 0.1, "sgd.lr.milestones": [40], "train.epochs": 50}),
    ("The weight decay is 10−4 superscript 10 4 10^{-4}10 start_POSTSUPERSCRIPT - 4 end_POSTSUPERSCRIPT .",
     {"sgd.weight_decay": 1e-4}),
    ("SGD, lr 0.1, the models are trained up to 60 × 104 iterations", {"train.steps": None}),
]  # fmt: skip
"""Numbers as scans and pages have them."""

OTHERS = [
    ("SGD, lr 0.25. The keys are a linear transformation of the states", {"sgd.lr": 0.25, "sgd.lr.schedule": None}),
    ("SGD, lr 0.1. Adapters stand in all linear modules, then a single linear output unit", {"sgd.lr.schedule": None}),
    ("AdamW, lr 0.001, a trainable Linear(19200, 2) head", {"sgd.lr.schedule": None}),
    ("lr 0.1. Momentum started at 0.5 and was increased linearly to 0.9 over 20 epochs", {"sgd.lr": 0.1, "sgd.lr.schedule": None}),
    ("AdamW, lr 1e-4. The penalty weight increases linearly from 1 to 3", {"sgd.lr": 1e-4, "sgd.lr.schedule": None}),
    ("SGD, lr 0.1. Frames are selected for the first 30 epochs and are successively increased to 300", {"sgd.lr.schedule": None}),
    ("SGD, lr 0.1. The term is switched on after the warm-up period", {"sgd.lr": 0.1, "sgd.lr.schedule": None}),
    ("SGD, lr 0.1. Other settings, such as warm-up epochs and epochs, are summarized in Table 1", {"sgd.lr.schedule": None}),
    (r"SGD, lr 0.1. We set $\lambda_{rec} = 0.02$ and $\lambda _ { \mathrm { R N I M M } } = 0 . 0 5$",
     {"sgd.weight_decay": None, "sgd.momentum": None}),
    ("SGD, lr 0.1. The number of experts K is 8 and λ is 0.001", {"sgd.weight_decay": None}),
    ("AdamW, lr 1e-4. The penalty weight increases linearly from 1 to 3 on one and to 10 on the other", {"sgd.lr": 1e-4, "sgd.lr.schedule": None}),
    ("SGD, lr 1e-4. The scaling coefficient is set to 0.05", {"sgd.lr": 1e-4, "sgd.lr.factor": None}),
    ("SGD, lr 0.1. The weight of the rotation task is set to λ=0.05", {"sgd.weight_decay": None}),
    ("SGD. We sample clips with a frame rate of 1/32. Momentum 0.9", {"sgd.lr": None}),
    ("SGD, lr 1, 39 epochs, backpropagation-through-time limit of 35 steps", {"train.steps": None, "train.epochs": 39}),
    ("SGD, lr 0.1, early stopping for 100 iterations window", {"train.steps": None}),
    ("SGD with learning rate 0.1. No learning-rate schedule or warm-up was used.", {"sgd.lr": 0.1, "sgd.lr.schedule": None}),
    ("AdamW, a peak lr of 2e-4 and 3,000 warmup steps, followed by a stable phase and a linear decay to zero",
     {"sgd.lr.then.initial": 2e-4, "sgd.lr.duration": 3000}),
    ("SGD, lr 1e-4, cosine schedule with a minimum learning-rate ratio of 0.1", {"sgd.lr.initial": 1e-4, "sgd.lr.final": 0.0}),
    ("LR = 0.256 for 256 global batch size, for other batch sizes we linearly scale it", {"train.steps": None}),
    ("SGD with momentum performs the single update step v; lr 0.1", {"train.steps": None}),
    ("PPO with 5 epochs and 4 mini-batches per epoch, SGD lr 0.1", {"data.batch_size": None}),
    ("SGD, fewer training steps (~ 1/100 x)", {"train.steps": None}),
    ("- [2.3 Warmup Strategy](#2.3)\n- [3. Choice of Batch_size](#3)\n### 2.3 Warmup Strategy\nSGD lr 0.1",
     {"sgd.lr": 0.1, "sgd.lr.schedule": None, "data.batch_size": None}),
    ("1. better lr decay, +0.15%\n2. better batch size, +0.2%", {"sgd.lr.rate": None}),
    ("SGD, momentum 0.9, L2 decay 1e-4; the bias does not use L2 decay", {"sgd.weight_decay": 1e-4}),
    ("We use 30 **epochs**. One epoch means that all samples are seen once. SGD, lr 0.001", {"train.epochs": 30}),
    ("lr 0.01 for 12 epochs; the position of epochs is twice as much for 2x", {"train.epochs": 12}),
    ("Learning rate (LR):\n  * 0.08 for 4096 batch size for the small models. SGD", {"train.steps": None}),
    ("| SGD + momentum | 3.20 % |", {"sgd.momentum": None}),
    ("Adam, 100 epochs for every training. The training time for 1000 epochs was 5600 seconds", {"train.epochs": 100}),
    ("SGD. The seed cut at 59% of peak learning rate recovered +6.0pp", {"sgd.lr": None}),
    ("lr = lr_0 (step^-0.5) with SGD", {"sgd.lr": None, "sgd.lr.initial": None}),
    ("Reduce the number of SGD iterations from 164k to 111k, as a result of which perplexity drops", {"sgd.lr.final": None}),
    ("SGD, lr 0.1 divided by 10 when the error plateaus; images are scaled to 224", {"train.plateau.min_lr": None}),
]  # fmt: skip
"""What is said of other things than the setting that it sounds like."""

LENGTHS = [
    ("SGD. We train the model for 24k iterations, starting from a learning rate of 0.01 and reducing it to 0.001 at 18k iterations.",
     {"train.steps": 24000, "sgd.lr.milestones": [18000]}),
    ("We use lr 0.03 and train for 80k mini-batches, dividing the learning rate by 10 after 60k mini-batches.",
     {"train.steps": 80000, "data.batch_size": None, "sgd.lr.milestones": [60000]}),
    ("Training takes 400,000 batch iterations using SGD with lr 0.1", {"data.batch_size": None}),
    ("We run SGD with lr 0.1 for 30k mini-batch iterations", {"train.steps": 30000, "data.batch_size": None}),
    ("SGD, lr 0.02. We lengthen the training to 180k iterations, in which the lr is reduced by 10 at 120k and 160k iterations.",
     {"train.steps": 180000, "sgd.lr.milestones": [120000, 160000]}),
    ("- SGD, batch size 64 and epoch 300\n- lr: start from 0.1, divided by 10 at 50% and 75% of the total number of training epochs",
     {"train.epochs": 300, "sgd.lr.milestones": [150, 225]}),
    ("8 GPUs with 2 images on each GPU so that the effective mini-batch size is 16", {"data.batch_size": 16}),
    ("Every setting is the library default: SGD with Nesterov momentum 0.99, trained 1000 epochs per fold",
     {"train.epochs": 1000, "sgd.momentum": 0.99}),
    ("SGD with lr 0.01; 0.9 was used as momentum", {"sgd.lr": 0.01, "sgd.momentum": 0.9}),
    ("bach size is 120, learn_rate is 0.0001, 30 epochs", {"data.batch_size": 120, "sgd.lr": 1e-4}),
    ("the learning rate and total epoch are set as 3e-5 and 10, respectively", {"sgd.lr": 3e-5, "train.epochs": 10}),
]  # fmt: skip
"""How long is trained, and on how many at once."""

RATES = [
    ("SGD, lr 0.1, cosine decay to 5% of the initial rate, 100 epochs", {"sgd.lr.final": 0.005}),
    ("SGD, lr 0.1, cosine learning rate decay to a floor of 1e-5", {"sgd.lr.final": 1e-5, "sgd.lr.initial": 0.1}),
    ("SGD, cosine annealing learning rate with initial rate 1e-3 and minimum rate 1e-6", {"sgd.lr.final": 1e-6}),
    ("SGD, lr 0.1. The lr is scaled down by a factor 1.5 if the validation cost has not decreased after one epoch.",
     {"train.plateau.factor": 2 / 3}),
    ("SGD. The learning rate was annealed from 0.1 by a factor of 3 whenever the training loss stopped improving.",
     {"sgd.lr": 0.1, "train.plateau.factor": 1 / 3}),
    ("Train: 300 epochs | SGD | LR 0.1, /10 @ 150, 225 | WD 1e-4", {"sgd.lr.milestones": [150, 225], "train.epochs": 300}),
    ("SGD. The default learning rate schedule starts at 0.1 and decays by a factor of 10 every 30 epochs. Use 0.01 as the initial learning rate for VGG.",
     {"sgd.lr.initial": 0.1, "sgd.lr.every": 30}),
    ("The learning rate at the beginning was 0.05 and it was divided by two after every 50,000 minibatches of size 100.",
     {"sgd.lr.initial": 0.05, "sgd.lr.rate": 0.5, "sgd.lr.every": 50000, "data.batch_size": 100}),
    ("SGD, the lr was set to 0.0005 for the first 20 epochs, then raised to 0.001 and kept until epoch 50",
     {"sgd.lr.duration": None, "sgd.lr.milestones": None}),
    ("We used stochastic gradient descent with learning rate = 0.01, decay = 1e-6, momentum = 0.9 and nesterov = True",
     {"sgd.lr.initial": 0.01, "sgd.lr.schedule": "inverse", "sgd.lr.gamma": 1e-6, "sgd.weight_decay": None}),
    ("- learning_rate: 5e-05\n- lr_scheduler_type: linear\n- lr_scheduler_warmup_ratio: 0.1\n- num_epochs: 3",
     {"sgd.lr.schedule": "warmup", "sgd.lr.duration": 0.3, "sgd.lr.then.initial": 5e-5}),
    ("SGD, lr 0.001, reduced by a factor of 2 after every 5 epochs (starting from epoch 10), 30 epochs",
     {"sgd.lr.factor": 0.5, "sgd.lr.milestones": [10, 15, 20, 25]}),
    ("SGD with a learning rate of 1e-2 for the first 10k iterations followed by 1e-3 for the next 5k iterations",
     {"sgd.lr.initial": 0.01, "sgd.lr.milestones": [10000], "train.steps": 15000}),
    ("We set η to 0.1 in the first 200 epochs, 0.01 in the next 150 epochs and 0.001 in the final 50 epochs, with SGD.",
     {"sgd.lr.milestones": [200, 350], "train.epochs": 400}),
    ("SGD. We use a learning rate of lr×BatchSize/256 (linear scaling), with a base lr = 0.05. The batch size is 512.", {"sgd.lr": 0.1}),
    ("AdamW, base lr 1.5e-4, scaled as lr = base_lr × batchsize / 256, batch size 4096", {"sgd.lr": 0.0024}),
    ("SGD lr 0.01, 10 epochs. After 5 epochs we cut the learning rate in half.", {"sgd.lr.factor": 0.5, "sgd.lr.milestones": [5]}),
    ("SGD, lr 0.1; lr decays by 10 at `150` and `250`; 350 epochs", {"sgd.lr.factor": 0.1, "sgd.lr.milestones": [150, 250]}),
    ("SGD, a learning rate of 0.4 for the first 8 epochs and then reduce it by half every 4 epochs, 20 epochs in total",
     {"sgd.lr.initial": 0.4, "sgd.lr.factor": 0.5, "sgd.lr.milestones": [8, 12, 16]}),
    ("SGD. The learning rate starts from 0.1 and is divided by 10 when the error increases.", {"train.plateau.factor": 0.1}),
    ("SGD, initial lr 0.1, step learning rate decay with a factor of 0.1 at epochs {30, 50}",
     {"sgd.lr.schedule": "multistep", "sgd.lr.milestones": [30, 50], "sgd.lr.factor": 0.1}),
    ("A learning rate of 0.001 was set for the first 150k iterations and subsequently reduced by a factor of 10 for the remaining 50k.",
     {"sgd.lr.factor": 0.1, "sgd.lr.initial": 0.001}),
    ("A learning rate of 0.001 was set for the first 150k iterations and reduced by a factor of 10 for the remaining 50k iterations.",
     {"sgd.lr.factor": 0.1, "sgd.lr.milestones": [150000]}),
    ("SGD, the learning rate was set to (1e-2, 1e-3, 1e-4) for the first, second, and third 100 epochs, respectively.",
     {"sgd.lr.initial": 0.01, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [100, 200]}),
    ("We warm up by using a smaller learning rate of 0.01 at the beginning 400 iterations and go back to 0.1 after that. It is divided by 10 at 32k and 48k iterations.",
     {"sgd.lr.start": 0.01, "sgd.lr.then.initial": 0.1, "sgd.lr.then.milestones": [32000, 48000], "train.steps": None}),
    ("A is trained for 60 epochs with a learning rate of 0.001 and then for another 20 epochs with 0.0001. B is trained for 60 epochs with a learning rate of 0.001.",
     {"sgd.lr.initial": 0.001, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [60]}),
    ("SGD, learning rate 0.1/0.01/0.001 for epochs 0-30/30-60/60-90",
     {"sgd.lr.initial": 0.1, "sgd.lr.milestones": [30, 60], "train.epochs": 90}),
    ("learning rates of 0.1, 0.01 and 0.001 for epochs 1-30, 31-60 and 61-90, respectively",
     {"sgd.lr.initial": 0.1, "sgd.lr.milestones": [30, 60], "train.epochs": 90}),
    ("SGD, a learning rate of 0.1 for the first 100 epochs and a tenth of that for the remainder (150 epochs in total)",
     {"sgd.lr.initial": 0.1, "sgd.lr.factor": 0.1, "sgd.lr.milestones": [100], "train.epochs": 150}),
    ("SGD, momentum .9, 10 epochs at .01, then 5 more at .001",
     {"sgd.lr.initial": 0.01, "sgd.lr.milestones": [10], "train.epochs": 15, "sgd.momentum": 0.9}),
    ("I trained for 10 epochs at 1e-2 and then 5 epochs at 1e-3 with SGD", {"sgd.lr.initial": 0.01, "sgd.lr.milestones": [10]}),
    ("lr was 0.1 initially, then 0.02, 0.004 and 0.0008 from epochs 60, 120 and 160",
     {"sgd.lr.initial": 0.1, "sgd.lr.factor": 0.2, "sgd.lr.milestones": [60, 120, 160]}),
    ("lr = lr0 * (1 / (1 + decay * epoch)), with lr0 = 0.1 and decay = 0.01, momentum 0.9",
     {"sgd.lr.schedule": "inverse", "sgd.lr.gamma": 0.01, "sgd.weight_decay": None}),
    ("step decay: drop=0.5, epochs_drop=10, initial_lrate=0.1; SGD momentum 0.9",
     {"sgd.lr.initial": 0.1, "sgd.lr.rate": 0.5, "sgd.lr.every": 10}),
    ("cyclical learning rate between 0.001 and 0.006 with step size 2000, SGD", {"sgd.lr.schedule": None}),
    ("We set the learning rate to 0.05, halve it every 25 epochs, and stop at 300.", {"sgd.lr.every": 25, "train.epochs": 300}),
]  # fmt: skip
"""How the learning rate runs."""

TOLD_BY = [
    ("The settings follow Goyal et al. (2017): learning rate is 0.1, divided by 10 at 30, 60, 80 epoch; momentum is 0.9",
     {"sgd.lr.initial": 0.1, "sgd.momentum": 0.9}),
    ("The authors employed SGD with a momentum of 0.9 and weight decay of 0.0005. Training ran for 200k iterations with a learning rate of 0.001.",
     {"sgd.momentum": 0.9, "sgd.weight_decay": 0.0005}),
    ("I started with a learning rate of 0.01, which was too high.\n\nHyperparameters of the final model:\n* Learning rate: 0.00036\n* Batch size: 128",
     {"sgd.lr": 0.00036, "data.batch_size": 128}),
    ("Initially I used a learning rate of 0.01 and found it unstable. I then lowered it to 0.001 and trained on with SGD.",
     {"sgd.lr": 0.001}),
    ("I started with a batch size of 170 but after optimization I chose another", {"data.batch_size": None}),
    ("Baseline: SGD, lr 0.1, batch 128, 100 epochs. Ours: SGD, lr 0.05, batch 256, 200 epochs.",
     {"sgd.lr": 0.05, "data.batch_size": 256, "train.epochs": 200}),
    ("We pre-train for 90 epochs with lr 0.1 and fine-tune for 30 epochs with lr 0.001. SGD", {"sgd.lr": 0.1, "train.epochs": 90}),
    ("Adam with a first momentum coefficient of 0.9 and a second momentum coefficient of 0.999", {"adam.beta1": 0.9, "adam.beta2": 0.999}),
    ("we set the initial learning rate of ADAM to be 0.003", {"sgd.lr": 0.003}),
    ("- The optimizer:\n    ```bash\n    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)\n    scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=15, gamma=0.1)\n    ```\n",
     {"sgd.lr.every": 15, "sgd.lr.initial": 0.01}),
]  # fmt: skip
"""Who tells it, and in what words."""


@pytest.mark.parametrize(("text", "expected"), [*SCANNED, *OTHERS, *LENGTHS, *RATES, *TOLD_BY])
def test_kinds_of_wording(text, expected):
    """Each text gives these values, and none where None stands."""
    assert amiss(text, expected) == []


@pytest.mark.parametrize(
    "words", ["stochastic gradient descent with ADAM updates", "SGD with Adam", "the Adam SGD optimizer"]
)
def test_gradient_descent_as_the_general_word(words):
    """What another optimizer is a kind of is not the optimizer."""
    assert read(f"We use {words}; the learning rate is 0.001")[0].optimizer == "adam"
