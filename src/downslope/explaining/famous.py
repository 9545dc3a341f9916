"""Famous recipes as numbers: the neighbours that `explain` puts a recipe's own timescale beside.

What lives here: one table and the arithmetic of an epoch. What does not: how papers put it in words (`read`), nor whole
schedules. All values are at the peak of lr, for a loss that is a mean over the batch, decay coupled as in PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

from downslope.core.settings import Decay, Settings
from downslope.theory.forgetting import in_epochs, timescale
from downslope.theory.velocity import effective_lr

IMAGENET, CIFAR = 1_281_167, 50_000
"""Training examples of ILSVRC-2012, and of CIFAR-10 and CIFAR-100."""


@dataclass(frozen=True, kw_only=True)
class FamousRecipe:
    """A published recipe at its largest lr.

    Attributes:
        name: What people call it.
        lr: Largest learning rate.
        momentum: Momentum.
        nesterov: Whether momentum is Nesterov's.
        weight_decay: Weight decay.
        decay: Way of weight decay.
        batch_size: Examples per step.
        examples: Training examples per epoch.
        source: Where the numbers come from.
    """

    name: str
    lr: float
    momentum: float
    weight_decay: float
    batch_size: int
    examples: int
    source: str
    nesterov: bool = False
    decay: Decay = "coupled"

    @property
    def settings(self) -> Settings:
        """Its settings at the largest lr."""
        return Settings(
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            decay=self.decay,
        )

    @property
    def steps_per_epoch(self) -> float:
        """Examples over batch size, a fraction."""
        return self.examples / self.batch_size

    @property
    def effective_lr(self) -> float:
        """The effective learning rate."""
        return effective_lr(self.lr, self.momentum, nesterov=self.nesterov)

    @property
    def decay_epochs(self) -> float:
        """The decay timescale in epochs."""
        return in_epochs(timescale(self.settings.at(0)), self.steps_per_epoch)


FAMOUS = (
    FamousRecipe(
        name="GoogLeNet (Caffe)",
        lr=0.01,
        momentum=0.9,
        weight_decay=2e-4,
        batch_size=32,
        examples=IMAGENET,
        source="Caffe model zoo, bvlc_googlenet, quick solver",
    ),
    FamousRecipe(
        name="airbench94",
        lr=1.5,
        momentum=0.85,
        nesterov=True,
        weight_decay=1.33e-3,
        batch_size=1024,
        examples=CIFAR,
        source="Jordan 2024 (arXiv 2404.00498), in terms of a mean loss",
    ),
    FamousRecipe(
        name="ResNet-50",
        lr=0.1,
        momentum=0.9,
        weight_decay=1e-4,
        batch_size=256,
        examples=IMAGENET,
        source="He et al. 2016; Goyal et al. 2017",
    ),
    FamousRecipe(
        name="AlexNet",
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=128,
        examples=1_200_000,
        source="Krizhevsky et al. 2012, section 5; 1.2 million examples",
    ),
    FamousRecipe(
        name="ResNet-50 (AlgoPerf)",
        lr=4.131896390902391,
        momentum=0.9274758113254791,
        nesterov=True,
        weight_decay=5.6687777311501786e-6,
        batch_size=1024,
        examples=IMAGENET,
        source="AlgoPerf, target-setting algorithm of imagenet_resnet",
    ),
    FamousRecipe(
        name="VGG",
        lr=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        batch_size=256,
        examples=IMAGENET,
        source="Simonyan & Zisserman 2015, section 3.1, read as practice does",
    ),
    FamousRecipe(
        name="Wide ResNet",
        lr=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        batch_size=128,
        examples=CIFAR,
        source="Zagoruyko & Komodakis 2016, section 3",
    ),
    FamousRecipe(
        name="ResNet-9 (DAWNBench)",
        lr=0.4,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        batch_size=512,
        examples=CIFAR,
        source="Page 2018 (How to train your ResNet), in terms of a mean loss",
    ),
    FamousRecipe(
        name="MobileNetV2",
        lr=0.045,
        momentum=0.9,
        weight_decay=4e-5,
        batch_size=256,
        examples=IMAGENET,
        source="torchvision's reference recipe",
    ),
    FamousRecipe(
        name="DenseNet (CIFAR)",
        lr=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=1e-4,
        batch_size=64,
        examples=CIFAR,
        source="Huang et al. 2017, section 4.2",
    ),
)
"""Published recipes, by their decay timescale in epochs."""
