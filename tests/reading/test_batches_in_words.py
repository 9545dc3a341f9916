"""Batch sizes in every word order, per device and in total, in both languages; and the numbers that are none."""

from __future__ import annotations

import pytest

from reading.rows import unlike

TOLD = [
    ("SGD, lr 0.1, 512的批量大小", {"data.batch_size": 512}),
    ("We use a 256 batch size, lr 0.1", {"data.batch_size": 256}),
    ("SGD with mini-batches of 64, lr 0.1", {"data.batch_size": 64}),
    ("SGD with mini-batches of size 64, lr 0.1", {"data.batch_size": 64}),
    ("a batch of size 48, lr 0.1", {"data.batch_size": 48}),
    ("batches of 32 images, lr 0.1", {"data.batch_size": 32}),
    ("a mini-batch of 20 images, lr 0.1", {"data.batch_size": 20}),
    ("lr = 0.1, b = 128, batch normalization", {"data.batch_size": 128}),
    ("每批128张图像，学习率0.1", {"data.batch_size": 128}),
    ("每批128张，学习率0.1", {"data.batch_size": 128}),
    ("每个批次包含64个样本，学习率0.1", {"data.batch_size": 64}),
    ("以mini-batch大小512训练", {"data.batch_size": 512}),
    ("批处理大小为 32 ", {"data.batch_size": 32}),
    ("256 images per mini-batch, lr 0.1", {"data.batch_size": 256}),
    ("each mini-batch contains 256 images", {"data.batch_size": 256}),
    ("lr 0.1, 64 samples in each batch", {"data.batch_size": 64}),
    ("the batch size was fixed to 1,024", {"data.batch_size": 1024}),
    ("a batch size of 4k", {"data.batch_size": 4000}),
    ("batch size 2^10", {"data.batch_size": 1024}),
    ("a large batch size (8192)", {"data.batch_size": 8192}),
    ("momentum 0.9 batch size 64 lr 0.1", {"data.batch_size": 64, "sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("0.9 momentum, 64 batch size, 0.1 learning rate", {"data.batch_size": 64, "sgd.momentum": 0.9, "sgd.lr": 0.1}),
    ("batch size of 8 x 32 = 256", {"data.batch_size": 256}),
    ("the batch size is set to 64 with 4 images per ID", {"data.batch_size": 64}),
    ("base lr 0.1 × batch/256, batch size 1024", {"data.batch_size": 1024, "sgd.lr": 0.4}),
    ("input 224x224, batch size 64", {"data.batch_size": 64}),
    ("patch size 128×128×128, batch size 2", {"data.batch_size": 2}),
    ("mini-batch gradient descent with 100 examples per batch", {"data.batch_size": 100}),
    ("a batch total size 128 on 32 TPUv3 cores", {"data.batch_size": 128}),
    ("batch_size=16，lr=0.01", {"data.batch_size": 16, "sgd.lr": 0.01}),
    ("BS 128, LR 0.1", {"data.batch_size": 128, "sgd.lr": 0.1}),
    ("batch=128 lr=0.1", {"data.batch_size": 128, "sgd.lr": 0.1}),
    ("SGD, lr 0.01, bs=32x4", {"data.batch_size": 128}),
    ("reduce the batch to a single image, lr 0.1", {"data.batch_size": 1}),
    ("批次大小为一百二十八，学习率千分之一", {"data.batch_size": 128, "sgd.lr": 0.001}),
]

BY_DEVICE = [
    ("batch size 64 on 8 GPUs", {"data.batch_size": 64}),
    ("8 images per GPU on 8 GPUs", {"data.batch_size": 64}),
    ("4 images per GPU x 8 GPUs, lr 0.02", {"data.batch_size": 32}),
    ("4 images per GPU × 8 GPUs, lr 0.02", {"data.batch_size": 32}),
    ("batch size of 32 per GPU, 8 GPUs", {"data.batch_size": 256}),
    ("a per-GPU batch size of 16 on 4 V100 GPUs", {"data.batch_size": 64}),
    ("batch size per GPU is 4 and we use 8 GPUs", {"data.batch_size": 32}),
    ("We train on 8 GPUs with 2 images per GPU", {"data.batch_size": 16}),
    ("We train on 8 GPUs and each GPU has 2 images", {"data.batch_size": 16}),
    ("8 GPUs, 2 images each", {"data.batch_size": 16}),
    ("4 V100 GPUs, 256 images per batch, lr 0.1", {"data.batch_size": 256}),
    ("16 images (2 per GPU) in a batch; total batch size 16", {"data.batch_size": 16}),
    ("a batch of 8 per GPU (64 in total), lr 0.1", {"data.batch_size": 64}),
    ("32 per worker, for a total mini-batch size of 2,048", {"data.batch_size": 2048}),
    ("The batch size is 8 per GPU (so the total batch size is 1024)", {"data.batch_size": 1024}),
    ("batch size of 8 per device, so the effective batch size is 256", {"data.batch_size": 256}),
    ("在8块GPU上训练，每块GPU 2张图像", {"data.batch_size": 16}),
    ("每个GPU上的批大小为4，共8个GPU", {"data.batch_size": 32}),
    ("每卡4张图片，使用8卡训练", {"data.batch_size": 32}),
    ("每张卡的batch size为16，共4张卡，总batch size为64", {"data.batch_size": 64}),
    ("lr 0.1, trained on 8 GPUs", {"data.batch_size": None}),
    ("批大小为512，在4个GPU上训练", {"data.batch_size": 512}),
    ("设置batch_size为8（单卡），使用4张卡训练，学习率0.01", {"data.batch_size": 32}),
    ("每个GPU上放2张图片，8块GPU共16张", {"data.batch_size": 16}),
    ("每次迭代使用24幅图像（每个GPU 3幅），学习率0.1", {"data.batch_size": 24}),
    ("mini-batches of size 64 (8 images per GPU), lr 0.1", {"data.batch_size": 64}),
    ("the lr is 0.1 for 4 GPUs and 3 days", {"data.batch_size": None}),
    ("lr 0.1, one image per GPU on 8 GPUs", {"data.batch_size": 8}),
]

NONE = [
    ("lr 0.1 with 8 layers and 64 channels", {"data.batch_size": None}),
    ("batch normalization with momentum 0.99, lr 0.1", {"data.batch_size": None, "sgd.momentum": None}),
    ("we use batch sizes in {64, 128, 256}", {"data.batch_size": None}),
    ("a batch size of 64 or 128", {"data.batch_size": None}),
    ("batch size 32-64", {"data.batch_size": None}),
]


@pytest.mark.parametrize(("text", "expected"), TOLD, ids=[text for text, _ in TOLD])
def test_a_batch_size_is_read(text, expected):
    """It is the number of examples in a batch, wherever it stands."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), BY_DEVICE, ids=[text for text, _ in BY_DEVICE])
def test_the_batch_of_all_devices_is_read(text, expected):
    """It is what is called the total, or the product; batch size is not what one device takes."""
    assert unlike(text, expected) == []


@pytest.mark.parametrize(("text", "expected"), NONE, ids=[text for text, _ in NONE])
def test_no_batch_size_is_invented(text, expected):
    """Other counts, ranges and search spaces give none."""
    assert unlike(text, expected) == []
