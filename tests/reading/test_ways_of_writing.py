"""Numbers, letters and clauses as people, pages and scanners write them; and what only looks like a value."""

import pytest

from downslope import read
from reading.neighbours import differences, meant

ROWS = [
    # formulas as pictures, entities, powers in brackets, everything twice, glued to its name
    ("SGD，学习率为 ![x](http://latex.codecogs.com/svg.latex?10^{-2}) ，动量为0.8", "lr=0.01 momentum=0.8"),
    ("SGD with a momentum (&gamma;=0.8) and a weight decay of 2 _×_ 10 _[−]_[4]", "momentum=0.8 decay=2e-4"),
    ("SGD with learning rate 0.020.02 and momentum 0.80.8, batch size 2424", "lr=0.02 momentum=0.8 batch=24"),
    ("SGD, LR0.2, decayed by a factor of 5 at epochs 30 and 40",
     "schedule=multistep initial=0.2 factor=0.2 milestones=[30,40] unit=epoch"),
    ("SGD with learning\\_rate=0.2, weight\\_decay=1e-4 and batch\\_size=24", "lr=0.2 decay=1e-4 batch=24"),
    # misspelt, with dashes for colons, with counts after a dash of a list
    ("SGD, moementum 0.8, learing rate 0.2, weigth decay 1e-4", "momentum=0.8 lr=0.2 decay=1e-4"),
    ("Optimizer - SGD with lr 0.2\nLoss - cross entropy\nEpochs-40", "lr=0.2 epochs=40"),
    ("- 40K iterations (~9 epochs) of SGD\n- learning rate 0.2", "lr=0.2 steps=40000"),
    # a letter that stands for a setting, and a size that the next clause gives
    ("SGD with learning rate (α = 0.2) and momentum (β = 0.8)", "lr=0.2 momentum=0.8"),
    ("我们用SGD，以学习速率λ = 2e−4开始，动量β=0.8", "lr=2e-4 momentum=0.8"),
    ("使用SGD，学习率0.2。权重衰减也用于正则化，系数为0.002", "lr=0.2 decay=0.002"),
    ("SGD, lr 0.2. We also use weight decay, with a coefficient of 3e-4.", "lr=0.2 decay=3e-4"),
    ("SGD，学习率0.2，mini-batch大小相对较小，为12个图像对", "lr=0.2 batch=12"),
    ("SGD with lr 0.2 and an exponential moving average with 0.998 decay rate", "lr=0.2 ema=0.998"),
    ("momentum SGD (0.8), lr 0.2", "momentum=0.8 lr=0.2"),
    ("SGD, lr 0.2, polynomial rate decay of 3", "schedule=polynomial initial=0.2 power=3"),
    ("使用Adam，一阶动量设为0.8，二阶动量设为0.99，学习率0.002", "beta1=0.8 beta2=0.99 lr=0.002"),
    # courses, formulas and stepped schedules
    ("SGD, 50 epochs, LR schedule: Warmup 4 + Cosine Annealing (0.2 → 1e-5)",
     "schedule=warmup duration=4 then.schedule=cosine then.initial=0.2 then.final=1e-5 epochs=50"),
    ("SGD，学习率第一个epoch是0.001逐渐升到0.02", "schedule=warmup start=0.001 then=0.02"),
    ("SGD with lr = lr * (1 - epoch / max_epoch)^0.8", "schedule=polynomial power=0.8"),
    ("SGD with lr 0.2 and step decay every 25 epochs, gamma 0.3",
     "schedule=exponential initial=0.2 rate=0.3 every=25 unit=epoch"),
    ("SGD lr 0.2, MultiStepLR [40, 70], gamma 0.3", "schedule=multistep initial=0.2 factor=0.3 milestones=[40,70]"),
    ("SGD lr 0.2, cosine annealing with warm restarts (T_0=12, T_mult=2)", "schedule=cosine initial=0.2 duration=12 unit=epoch"),
    ("SGD lr 0.2, linear ramp of 2k its, then cosine to 0 over 60k its",
     "schedule=warmup duration=2000 unit=step then.schedule=cosine then.initial=0.2 then.final=0 steps=60000"),
    ("SGD，初始学习率0.2，学习率在迭代次数达到6000的时候做一次衰减，衰减系数为0.3",
     "schedule=multistep initial=0.2 factor=0.3 milestones=[6000] unit=step"),
    ("SGD, lr by epoch: ep 0-39: 0.2, 40-79: 0.02",
     "schedule=multistep initial=0.2 milestones=[40] unit=epoch"),
    # what only looks like a value
    ("The rate starts at `--lr / 20`, reaches `--lr`, and cosine-anneals to one hundredth of the initial LR. SGD.", "schedule=cosine"),
    ("SGD lr 0.2. 0.0 disables momentum entirely.", "lr=0.2"),
    ("SGD with momentum / Nesterov / L2, lr 0.2 (e.g. for a warm-up of 5 epochs)", "lr=0.2"),
    ("SGD，学习率0.2，这个学习率随着训练逐步减小", "lr=0.2"),
    ("SGD，初始学习率为0.2（对最后一个分类层使用的是0.9）", "lr=0.2"),
    ("SGD, lr 0.2, MixUp (p=0.3)", "lr=0.2"),
    ("SGD，学习率0.2，权重衰减系数0.0004，偏置项衰减系数为0.002", "lr=0.2 decay=0.0004 groups.0.weight_decay=0.002"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), ROWS)
def test_texts_state_just_these_fields(text, words):
    """It states just these fields."""
    expected = {("groups.0.weight_decay" if "groups" in path else path): value for path, value in meant(words).items()}
    assert differences(text, expected) == []


def test_devices_times_examples_are_a_total():
    """The product follows from both numbers."""
    found = read("SGD lr 0.2, 4 GPUs x 32 images")[0].fields["data.batch_size"]
    assert (found.value, found.provenance) == (128, "implied")


def test_two_lengths_are_marked():
    """Where a text tells of two trainings, the first length is taken, and marked."""
    found = read("We train the teacher for 50k iterations. Then we train the student for 20k iterations, lr 0.2, SGD.")[
        0
    ]
    assert found.fields["train.steps"].marks == ("competing",)


def test_a_schedule_to_the_end_counts_as_the_training_does():
    """A schedule whose own length is not known takes the unit of the training's with its length."""
    found = read(
        "opt = SGD(p, lr=0.1)\ns = OneCycleLR(opt, 0.2, epochs=n, steps_per_epoch=m)\nt = Trainer(max_epochs=8)"
    )[0]
    assert (found.fields["sgd.lr.duration"].value, found.fields["sgd.lr.unit"].value) == (8, "epoch")
