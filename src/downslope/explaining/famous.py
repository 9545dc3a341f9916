"""Famous recipes as numbers, beside which `explain` puts a recipe's own decay timescale."""

from __future__ import annotations

from dataclasses import dataclass

from downslope.core.settings import Settings
from downslope.theory.forgetting import in_epochs, timescale
from downslope.theory.velocity import gain_of

IMAGENET, CIFAR = 1_281_167, 50_000
"""Training examples of ILSVRC-2012, and of CIFAR-10 and CIFAR-100."""


@dataclass(frozen=True)
class FamousRecipe:
    """A published recipe at its largest lr, for a loss that is a mean over the batch, decay coupled as in PyTorch.

    Attributes:
        name: What people call it.
        settings: Its settings at the largest lr.
        batch_size: Examples per step.
        examples: Training examples per epoch.
        source: Where the numbers come from.
    """

    name: str
    settings: Settings
    batch_size: int
    examples: int
    source: str

    @property
    def steps_per_epoch(self) -> float:
        """Examples over batch size, a fraction."""
        return self.examples / self.batch_size

    @property
    def effective_lr(self) -> float:
        """The effective learning rate."""
        return gain_of(self.settings.at(0))

    @property
    def decay_epochs(self) -> float:
        """The decay timescale in epochs."""
        return in_epochs(timescale(self.settings.at(0)), self.steps_per_epoch)


FAMOUS = (
    FamousRecipe(
        "GoogLeNet (Caffe)",
        Settings(lr=0.01, momentum=0.9, weight_decay=2e-4),
        32,
        IMAGENET,
        "Caffe model zoo, bvlc_googlenet, quick solver",
    ),
    FamousRecipe(
        "airbench94",
        Settings(lr=1.5, momentum=0.85, nesterov=True, weight_decay=1.33e-3),
        1024,
        CIFAR,
        "Jordan 2024 (arXiv 2404.00498), in terms of a mean loss",
    ),
    FamousRecipe(
        "ResNet-50",
        Settings(lr=0.1, momentum=0.9, weight_decay=1e-4),
        256,
        IMAGENET,
        "He et al. 2016; Goyal et al. 2017",
    ),
    FamousRecipe(
        "AlexNet",
        Settings(lr=0.01, momentum=0.9, weight_decay=5e-4),
        128,
        1_200_000,
        "Krizhevsky et al. 2012, section 5; 1.2 million examples",
    ),
    FamousRecipe(
        "ResNet-50 (AlgoPerf)",
        Settings(lr=4.131896390902391, momentum=0.9274758113254791, nesterov=True, weight_decay=5.6687777311501786e-6),
        1024,
        IMAGENET,
        "AlgoPerf, target-setting algorithm of imagenet_resnet",
    ),
    FamousRecipe(
        "VGG",
        Settings(lr=0.01, momentum=0.9, weight_decay=5e-4),
        256,
        IMAGENET,
        "Simonyan & Zisserman 2015, section 3.1, read as practice does",
    ),
    FamousRecipe(
        "Wide ResNet",
        Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
        128,
        CIFAR,
        "Zagoruyko & Komodakis 2016, section 3",
    ),
    FamousRecipe(
        "ResNet-9 (DAWNBench)",
        Settings(lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4),
        512,
        CIFAR,
        "Page 2018 (How to train your ResNet), in terms of a mean loss",
    ),
    FamousRecipe(
        "MobileNetV2",
        Settings(lr=0.045, momentum=0.9, weight_decay=4e-5),
        256,
        IMAGENET,
        "torchvision's reference recipe",
    ),
    FamousRecipe(
        "DenseNet (CIFAR)",
        Settings(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
        64,
        CIFAR,
        "Huang et al. 2017, section 4.2",
    ),
)
"""Published recipes, by their decay timescale in epochs."""
