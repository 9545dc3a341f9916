"""Classes, formulas and loops that no table lists, in programs that may be cut: read by their words and their shape."""

import pytest

from downslope import read
from reading.neighbours import differences, meant

PYTHON = [
    # classes of schedules, by the words of their names and of their arguments' names
    (
        "opt = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)\nsched = WarmupPolyScheduler(opt, max_epochs=n, warmup_epochs=4, power=0.8, min_lr=1e-5)",
        "schedule=warmup duration=4 then.schedule=polynomial then.initial=0.02 then.power=0.8 then.final=1e-5 momentum=0.9",
    ),
    (
        "opt = SGD(net.parameters(), lr=0.02)\nsched = WarmMultiStepLR(opt, milestones=[40, 70], gamma=0.3, warmup_iters=200)",
        "schedule=warmup duration=200 then.schedule=multistep then.initial=0.02 then.milestones=[40,70] then.factor=0.3",
    ),
    (
        "opt = SGD(net.parameters(), lr=0.02)\nsched = PolynomialSchedule(opt, num_epochs=50)",
        "schedule=polynomial initial=0.02 duration=50",
    ),
    # formulas of the rate whose names nothing says more of
    (
        "for g in optimizer.param_groups:\n    g['lr'] = base_lr * (1 - cur_iter / max_iter) ** 0.8",
        "schedule=polynomial power=0.8",
    ),
    ("lr = cfg.lr * (0.2 ** (epoch // 25))", "schedule=exponential rate=0.2 every=25"),
    ("new_lr = args.lr * 0.5 * (1 + math.cos(math.pi * epoch / args.epochs))", "schedule=cosine"),
    ("learning_rate = initial_lr / (1 + 0.02 * epoch)", "schedule=inverse gamma=0.02 power=1"),
    (
        "opt = SGD(p, lr=0.3)\nsched = LambdaLR(opt, lambda e: (1 - e / (len(loader) * n)) ** 2)",
        "schedule=polynomial initial=0.3",
    ),
    # a rate of 0 is set later
    (
        "lr0 = 0.4\nopt = torch.optim.SGD(net.parameters(), lr=0, momentum=0.9)\nwarm, total = 3 * len(loader), 30 * len(loader)\nt = 0\n"
        "for epoch in range(30):\n    for x, y in loader:\n        t += 1\n        if t <= warm:\n            lr = lr0 * t / warm\n"
        "        else:\n            lr = 0.5 * lr0 * (1 + math.cos(math.pi * (t - warm) / (total - warm)))\n"
        "        opt.param_groups[0]['lr'] = lr",
        "schedule=warmup start=0 duration=3 then.schedule=cosine then.initial=0.4 then.final=0 momentum=0.9 epochs=30",
    ),
    # programs that end in the midst of a loop or of a call
    ("opt = SGD(net.parameters(), lr=0.3)\nfor epoch in range(45):  # all of them\n", "lr=0.3 epochs=45"),
    (
        "p.add_argument('--lr', type=float, default=0.3)\np.add_argument('--momentum', default=0.85, type=float,",
        "lr=0.3 momentum=0.85",
    ),
    ("n_epochs = 12\nmilestones = [int(n_epochs * 0.5), int(n_epochs * 0.75)]\nlr_gamma = 0.3\nlr = 0.2",
     "schedule=multistep initial=0.2 factor=0.3 epochs=12"),
    # names and lengths in other words
    ("opt = SGD(net.parameters(), lr=0.3)\ntotal_epoch = 33\nsgd_batchsize = 48", "lr=0.3 epochs=33 batch=48"),
    ("opt = SGD(net.parameters(), lr=0.3)\ntrain_epochs = '7ep'", "lr=0.3 epochs=7"),
    ("clf = SGDClassifier(learning_rate='constant', eta0=0.03, alpha=1e-3, max_iter=40)", "lr=0.03 decay=1e-3 epochs=40"),
    (
        "model.train(data=d, epochs=40, lr0=0.02, lrf=0.1, momentum=0.9, cos_lr=True, optimizer='SGD', batch=8)",
        "schedule=cosine initial=0.02 momentum=0.9 epochs=40 batch=8",
    ),
    # what comments say of a program without a number
    ("# SGD with lr 0.3 and momentum 0.8,\n# batch size 96\nimport os\nimport torch", "lr=0.3 momentum=0.8 batch=96"),
]  # fmt: skip

OTHERS = [
    (
        "torch::optim::SGD opt(net->parameters(), torch::optim::SGDOptions(0.03).momentum(0.8));\n"
        "auto loader = make(std::move(set), torch::data::DataLoaderOptions().batch_size(24));\n"
        "for (size_t epoch = 1; epoch <= 14; ++epoch) {\n",
        "lr=0.03 momentum=0.8 batch=24 epochs=14",
    ),
    ("using Flux\nopt = Momentum(0.03, 0.8)\nfor epoch in 1:14\n  Flux.train!(loss, ps, data, opt)\nend", "lr=0.03 momentum=0.8 epochs=14"),
    ("trainer.set_learning_rate(0.2);\ntrainer.set_mini_batch_size(96);\ndnn_trainer<net> trainer(n, sgd(0.001, 0.8));",
     "lr=0.2 batch=96 decay=0.001 momentum=0.8"),
    ("val sched = Poly(0.7, 9000)\nnew SGD[Float](learningRate = 0.3, momentum = 0.8)",
     "schedule=polynomial initial=0.3 power=0.7 duration=9000 momentum=0.8"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), [*PYTHON, *OTHERS])
def test_programs_state_just_these_fields(text, words):
    """What follows from the words and the shape is read; the rest is not stated."""
    expected = meant(words)
    found = read(text)[0].fields
    assert {path: found[path].value if path in found else None for path in expected} == {
        path: pytest.approx(value) if not isinstance(value, str | bool) else value for path, value in expected.items()
    }
    assert not [one for one in differences(text, expected) if "invented" in one]


@pytest.mark.parametrize(
    "call",
    [
        "CosineLR(opt, t_total=9, warmup=5)",
        "MultiStepParamScheduler(values=[1, 0.1], milestones=[6])",
        "StepThing(a=1)",
    ],
)
def test_what_is_not_told_is_not_guessed(call):
    """A class whose words do not say enough makes no schedule."""
    fields = read(f"opt = SGD(net.parameters(), lr=0.3)\nsched = {call}")[0].fields
    assert "sgd.lr.schedule" not in fields


def test_a_bound_with_something_unknown_is_no_value():
    """Of `max(x, 0.01)` only a bound is known: it is marked."""
    found = read("opt = SGD(net.parameters(), lr=max(rate, 0.01), momentum=0.9)")[0].fields["sgd.lr"]
    assert found.marks == ("conditional",)
