"""SGD's linear relatives in words, configurations and code: quasi-hyperbolic momentum, trust ratios, adaptive clipping."""

import pytest

from downslope import read
from downslope.core.errors import RecipeError

PAPER = {"sgd.momentum": 0.99, "sgd.nu": 0.7, "sgd.dampening": 0.99, "sgd.undampened_first_step": False}


def fields(text):
    """Return the fields of the first reading, by their paths."""
    return {path: field.value for path, field in read(text)[0].fields.items()}


UNIT = {"adaptive_clip_by": "unit"}


@pytest.mark.parametrize(
    "text",
    [
        "Quasi-hyperbolic momentum with nu=0.7 and momentum 0.99, lr 1.0, batch size 64, 30 epochs",
        "We train by QHM with a learning rate of 1.0, momentum of 0.99 and ν of 0.7.",
        "QHM（nu=0.7，动量0.99），学习率1.0，训练30轮，批大小64",
        "optimizer:\n  name: qhm\n  lr: 1.0\n  momentum: 0.99\n  nu: 0.7\nepochs: 30\n",
        "QHM with nu 0.7, beta 0.99, lr 1",
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
    assert ("train.epochs" in found) == any(word in text for word in ("epochs", "轮"))
    assert read(text)[0].fields["sgd.dampening"].provenance == "implied"


def test_nu_of_our_own_optimizer_implies_nothing():
    """And the letter alone, without the optimizer's name, is no setting."""
    found = fields("optimizer = downslope.torch.SGD(model.parameters(), lr=1.0, nu=0.7, momentum=0.9)\n")
    assert found["sgd.nu"] == 0.7
    assert "sgd.dampening" not in found
    assert "sgd.nu" not in fields("SGD with lr 0.1, momentum 0.9 and nu = 0.5")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("LARS with trust coefficient 0.001, lr 4.8, momentum 0.9, 90 epochs", {"trust_coefficient": 0.001}),
        (
            "optimizer:\n  name: lars\n  lr: 4.8\n  momentum: 0.9\n  trust_coefficient: 0.001\n",
            {"trust_coefficient": 0.001},
        ),
        ("We train by LARC with lr 4.8 and momentum 0.9.", {"trust_coefficient": 0.02, "trust_clip": True}),
        ("LARC with trust coefficient 0.001 and lr 4.8", {"trust_coefficient": 0.001, "trust_clip": True}),
        ("SGD, lr 4.8, adaptive gradient clipping with lambda 0.01, momentum 0.9", {"adaptive_clip": 0.01} | UNIT),
        ("SGD，学习率4.8，动量0.9，自适应梯度裁剪系数0.01，训练90轮", {"adaptive_clip": 0.01} | UNIT),
        (
            "python train.py --opt sgd --lr 4.8 --clip-mode agc --clip-grad 0.01 --epochs 30",
            {"adaptive_clip": 0.01} | UNIT,
        ),
    ],
)
def test_factors_of_single_tensors(text, wanted):
    """LARS where its coefficient is known, LARC with Apex's, adaptive clipping; and a recipe is made of each."""
    [reading] = read(text)
    found = {path: field.value for path, field in reading.fields.items()}
    assert reading.optimizer == "sgd"
    assert found["sgd.lr"] == 4.8
    assert {name: found.get(f"sgd.{name}") for name in wanted} == wanted
    assert "train.clip_norm" not in found
    assert ("train.epochs" in found) == any(word in text for word in ("epochs", "轮"))
    assert "sgd.weight_decay" not in found


def test_lars_of_unknown_coefficient_is_no_recipe():
    """Nobody can tell its steps, which is said; and clipping by the norm of all gradients stays what it is."""
    reading = read("We use LARS with lr 4.8 and momentum 0.9 for 90 epochs.")[0]
    assert reading.optimizer == "lars"
    with pytest.raises(RecipeError, match=r"trust coefficient is not stated.*trust coefficient 0\.001"):
        reading.recipe()
    text = "python train.py --opt sgd --lr 0.1 --clip-mode norm --clip-grad 1.0 --epochs 30"
    assert fields(text)["train.clip_norm"] == 1.0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "from apex.parallel.LARC import LARC\nopt = LARC(torch.optim.SGD(ps, lr=0.6, momentum=0.9), 0.002, clip=False)\n",
            {"sgd.lr": 0.6, "sgd.trust_coefficient": 0.002},
        ),
        (
            "from apex.parallel import LARC\nopt = torch.optim.SGD(ps, lr=0.6)\nopt = LARC(opt)\n",
            {"sgd.trust_coefficient": 0.02, "sgd.trust_clip": True},
        ),
        (
            "import optax\ntx = optax.lars(learning_rate=4.8, weight_decay=1e-6, trust_coefficient=0.002)\n",
            {"sgd.lr": 4.8, "sgd.momentum": 0.9, "sgd.weight_decay": 1e-6, "sgd.trust_coefficient": 0.002},
        ),
        (
            "from timm.optim import Lars\nopt = Lars(ps, lr=0.6, momentum=0.9, trust_coeff=0.003, trust_clip=True)\n",
            {"sgd.lr": 0.6, "sgd.trust_coefficient": 0.003, "sgd.trust_clip": True},
        ),
        (
            "opt = torch.optim.SGD(ps, lr=0.1)\nfor x in data:\n    adaptive_clip_grad(ps, clip_factor=0.03)\n    opt.step()\n",
            {"sgd.lr": 0.1, "sgd.adaptive_clip": 0.03, "sgd.adaptive_clip_by": "unit"},
        ),
        (
            "import optax\ntx = optax.chain(optax.adaptive_grad_clip(0.02), optax.sgd(0.1))\n",
            {"sgd.lr": 0.1, "sgd.adaptive_clip": 0.02, "sgd.adaptive_clip_by": "unit"},
        ),
    ],
)
def test_trust_ratios_and_adaptive_clipping_in_code(code, expected):
    """Calls of Apex, optax and timm; what another framework does otherwise is remarked on."""
    reading = read(code)[0]
    assert reading.optimizer == "sgd"
    assert {path: reading.fields[path].value for path in expected if path in reading.fields} == expected


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("adaptive_clip_grad(ps, 0.03)", False),
        ("adaptive_clip_grad(ps, 0.03, eps=1e-3, norm_type=2.0)", False),
        ("adaptive_clip_grad(ps, 0.03, 1e-2)", True),
        ("adaptive_clip_grad(ps, 0.03, norm_type=1.0)", True),
    ],
)
def test_other_units_than_the_recipes_are_remarked_on(call, said):
    """Another smallest norm or kind of norm; the usual ones are the recipe's, and nothing is said."""
    reading = read(f"opt = torch.optim.SGD(ps, lr=0.1)\nfor x in data:\n    {call}\n    opt.step()\n")[0]
    assert reading.fields["sgd.adaptive_clip_by"].value == "unit"
    assert any("smallest norm" in str(remark) for remark in reading.remarks) == said
    assert str(reading.recipe().sgd.adaptive_clip_by) == "unit"


def test_lars_without_its_coefficient_stays_lars():
    """A trust ratio whose coefficient is not told is no recipe of SGD."""
    reading = read("from timm.optim import Lars\nopt = Lars(ps, lr=0.6, momentum=0.9)\n")[0]
    assert reading.optimizer == "lars"
    assert "sgd.trust_coefficient" not in reading.fields


def test_how_long_weights_last_counts_dampening_and_trust_ratios():
    """The paper's QHM forgets within 10,000 steps, and LARS as each tensor's ratio has it: no mark on either."""
    for text in (
        "QHM with lr 1.0, nu 0.7, momentum 0.999 and weight decay 1e-4",
        "SGD, lr 0.5, momentum 0.99, dampening 0.99, weight decay 1e-3",
        "LARS with lr 20, trust coefficient 0.001, momentum 0.9, weight decay 1e-3",
    ):
        reading = read(text)[0]
        assert "large_weight_decay" not in reading.fields["sgd.weight_decay"].marks
        assert not any("implausible" in remark for remark in reading.remarks)
    plain = read("SGD with lr 0.5, momentum 0.99 and weight decay 1e-3")[0]
    assert "large_weight_decay" in plain.fields["sgd.weight_decay"].marks
