"""SGD's linear relatives in words, configurations and code: quasi-hyperbolic momentum."""

import pytest

from downslope import read

PAPER = {"sgd.momentum": 0.99, "sgd.nu": 0.7, "sgd.dampening": 0.99, "sgd.undampened_first_step": False}


def fields(text):
    """Return the fields of the first reading, by their paths."""
    return {path: field.value for path, field in read(text)[0].fields.items()}


@pytest.mark.parametrize(
    "text",
    [
        "Quasi-hyperbolic momentum with nu=0.7 and momentum 0.99, lr 1.0, batch size 64, 30 epochs",
        "We train by QHM with a learning rate of 1.0, momentum of 0.99 and ν of 0.7.",
        "QHM（nu=0.7，动量0.99），学习率1.0，训练30轮，批大小64",
        "optimizer:\n  name: qhm\n  lr: 1.0\n  momentum: 0.99\n  nu: 0.7\nepochs: 30\n",
        "python train.py --optimizer qhm --lr 1.0 --nu 0.7 --momentum 0.99 --epochs 30",
        "from qhoptim.pyt import QHM\noptimizer = QHM(model.parameters(), lr=1.0, nu=0.7, momentum=0.99)\n",
        "from qhoptim.pyt import QHM\noptimizer = QHM(model.parameters(), 1.0, 0.99, 0.7)\n",
    ],
)
def test_qhm_is_the_papers(text):
    """Its dampening, which nobody states, follows from momentum."""
    found = fields(text)
    assert {path: found.get(path) for path in PAPER} == PAPER
    assert found["sgd.lr"] == 1.0
    assert read(text)[0].fields["sgd.dampening"].provenance == "implied"


def test_nu_of_our_own_optimizer_implies_nothing():
    """And the letter alone, without the optimizer's name, is no setting."""
    found = fields("optimizer = downslope.torch.SGD(model.parameters(), lr=1.0, nu=0.7, momentum=0.9)\n")
    assert found["sgd.nu"] == 0.7
    assert "sgd.dampening" not in found
    assert "sgd.nu" not in fields("SGD with lr 0.1, momentum 0.9 and nu = 0.5")
