"""Files of arrays made by hand, byte by byte: IDX and CIFAR's binary version."""

import gzip
import struct
from pathlib import Path

import numpy as np

TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """Return an array as an IDX file holds it."""
    code = TYPES[f"{array.dtype.kind}{array.dtype.itemsize}"]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path, array):
    """Write an IDX file, packed if its name ends in .gz."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    data = idx_bytes(array)
    Path(path).write_bytes(gzip.compress(data) if str(path).endswith(".gz") else data)


def bars(count, classes=3, size=6, seed=0):
    """Return images of bytes in which a bright row tells the class, and their labels."""
    draw = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    images = draw.integers(0, 60, (count, size, size), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[int(label)] += 180
    return images, labels


def write_mnist(folder, *, train=30, test=9, packed=False, first=0, dtype="u1"):
    """Write the four files of MNIST's kind into a folder."""
    suffix = ".gz" if packed else ""
    for part, count in (("train", train), ("t10k", test)):
        images, labels = bars(count, seed=count)
        write_idx(f"{folder}/{part}-images-idx3-ubyte{suffix}", images.astype(dtype))
        write_idx(f"{folder}/{part}-labels-idx1-ubyte{suffix}", labels + np.uint8(first))


def cifar_bytes(count, *, classes=10, coarse=None, seed=0):
    """Return records of CIFAR: labels, then 32x32 pixels of red, green and blue; the bright channel tells the class."""
    draw = np.random.default_rng(seed)
    data = b""
    for number in range(count):
        label = number % classes
        image = draw.integers(0, 60, (3, 32, 32), dtype=np.uint8)
        image[label % 3] += 180
        data += bytes([label // 5, label] if coarse else [label]) + image.tobytes()
    return data


def write_cifar10(folder, *, each=6, test=6, classes=3, names=True):
    """Write CIFAR-10's files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(cifar_bytes(each, classes=classes, seed=number))
    (folder / "test_batch.bin").write_bytes(cifar_bytes(test, classes=classes, seed=9))
    if names:
        words = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        (folder / "batches.meta.txt").write_text("\n".join(words) + "\n\n")
