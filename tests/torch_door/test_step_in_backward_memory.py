"""The memory of a step within the backward pass, on tensors that the C library keeps in its heap."""

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import sys, torch, downslope.torch

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024

def train(width):
    layers = [torch.nn.Linear(width, width) for _ in range(6)]
    model = torch.nn.Sequential(*layers)
    optimizer = downslope.torch.SGD(
        model.parameters(), lr=1e-3, momentum=0.9, step_in_backward=sys.argv[1] == "within"
    )
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(4, width)).square().mean().backward()
        optimizer.step()
    return sum(param.numel() for param in model.parameters())

torch.set_num_threads(1)
train(16)
before = peak()
parameters = train(1600)
print((peak() - before) / parameters)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_tensors_of_the_heap_leave_no_holes():
    """With weights of 10 MiB, below what the system gives and takes one by one, most of a set of gradients is saved."""

    def bytes_per_parameter(way):
        command = [sys.executable, "-c", CHILD, way]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    # with velocities made one by one between gradients it took 17 bytes, more than the 12 of an ordinary step
    assert bytes_per_parameter("within") < bytes_per_parameter("after") - 1.0
