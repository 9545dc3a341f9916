"""Ten training scripts as people publish them, written anew, each with the mistake that is named; and one without."""

from __future__ import annotations

HEAD = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
criterion = nn.CrossEntropyLoss()
loader = torch.utils.data.DataLoader(data, batch_size=128, shuffle=True)
epochs = 100
"""

SCRIPTS: dict[str, tuple[str, str]] = {
    "OneCycle stepped once an epoch": (
        "schedule_in_the_wrong_unit",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, epochs=epochs, steps_per_epoch=len(loader))
for epoch in range(epochs):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    scheduler.step()
""",
    ),
    "a cosine over epochs stepped once a batch": (
        "schedule_in_the_wrong_unit",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)

def train_one_epoch():
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()

for epoch in range(epochs):
    train_one_epoch()
""",
    ),
    "the old order of scheduler and optimizer": (
        "scheduler_before_optimizer",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
lr_scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[50, 75], gamma=0.1)

def train(epoch):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

for epoch in range(epochs):
    lr_scheduler.step()
    train(epoch)
""",
    ),
    "resumed without the optimizer": (
        "momentum_lost_on_resume",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
start = 0
if args.resume:
    checkpoint = torch.load(args.resume)
    start = checkpoint["epoch"]
    model.load_state_dict(checkpoint["state_dict"])
for epoch in range(start, epochs):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    torch.save({"epoch": epoch + 1, "state_dict": model.state_dict()}, "last.pt")
""",
    ),
    "clipped while scaled": (
        "clips_scaled_gradients",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scaler = torch.amp.GradScaler()
for epoch in range(epochs):
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
""",
    ),
    "a head that is replaced too late": (
        "layer_not_in_the_optimizer",
        """
import torch
import torch.nn as nn
import torchvision

model = torchvision.models.resnet18(weights="DEFAULT")
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
model.fc = nn.Linear(512, 10)
for epoch in range(20):
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
""",
    ),
    "frozen under the optimizer's hands": (
        "frozen_parameters_decay",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
for epoch in range(epochs):
    if epoch == 10:
        for p in model[0].parameters():
            p.requires_grad = False
    for x, y in loader:
        optimizer.zero_grad(set_to_none=False)
        criterion(model(x), y).backward()
        optimizer.step()
""",
    ),
    "accumulated without a division": (
        "accumulated_gradients_are_summed",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
accumulation = 4
for epoch in range(epochs):
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y)
        loss.backward()
        if (i + 1) % accumulation == 0:
            optimizer.step()
            optimizer.zero_grad()
""",
    ),
    "L2 in the loss and in the optimizer": (
        "decays_twice",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
for epoch in range(epochs):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        l2_reg = sum(p.pow(2).sum() for p in model.parameters())
        loss = loss + 5e-4 * l2_reg
        loss.backward()
        optimizer.step()
""",
    ),
    "torch's weight decay in Keras": (
        "decay_copied_from_torch",
        """
import keras

model = keras.Sequential([keras.layers.Dense(10)])
optimizer = keras.optimizers.SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
model.fit(x, y, batch_size=128, epochs=200)
""",
    ),
}
"""What it is -> the finding that it is, and the script."""

MORE: dict[str, tuple[str, str]] = {
    "in evaluation mode from the second epoch on": (
        "trains_in_eval_mode",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(epochs):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    model.eval()
    evaluate(model)
""",
    ),
    "the scheduler begins anew": (
        "schedule_begins_anew_on_resume",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 30)
checkpoint = torch.load("last.pt")
model.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
for epoch in range(checkpoint["epoch"], epochs):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    scheduler.step()
""",
    ),
    "Keras goes on with weights alone": (
        "momentum_lost_on_resume",
        """
import keras

model = build()
model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
model.load_weights("last.weights.h5")
model.fit(x, y, epochs=100, initial_epoch=40)
""",
    ),
    "optax's state begun in the loop": (
        "optimizer_made_anew",
        """
import jax, optax

optimizer = optax.sgd(0.1, momentum=0.9)
for epoch in range(10):
    opt_state = optimizer.init(params)
    for batch in batches:
        params, opt_state = update(optimizer, params, opt_state, batch)
        optimizer.step(params)
""",
    ),
    "OneCycle for steps stepped once an epoch": (
        "schedule_after_the_end",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=39100)
for epoch in range(epochs):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    scheduler.step()
""",
    ),
    "a schedule that is over within the first epoch": (
        "schedule_in_the_wrong_unit",
        HEAD
        + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30, gamma=0.1)
for epoch in range(90):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
        scheduler.step()
""",
    ),
}

RIGHT = {
    "OneCycle for epochs stepped once an epoch": HEAD
    + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=epochs)
for epoch in range(epochs):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
    scheduler.step()
""",
    "a careful script": HEAD
    + """
decay = [p for p in model.parameters() if p.ndim > 1]
rest = [p for p in model.parameters() if p.ndim <= 1]
optimizer = torch.optim.SGD(
    [{"params": decay, "weight_decay": 5e-4}, {"params": rest, "weight_decay": 0.0}], lr=0.1, momentum=0.9
)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
scaler = torch.amp.GradScaler()
start = 0
if resume:
    checkpoint = torch.load(resume)
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    start = checkpoint["epoch"]

def train(epoch):
    model.train()
    for i, (x, y) in enumerate(loader):
        loss = criterion(model(x), y) / accumulation
        scaler.scale(loss).backward()
        if (i + 1) % accumulation == 0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

def validate():
    model.eval()

for epoch in range(start, epochs):
    train(epoch)
    scheduler.step()
    validate()
    torch.save({"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, "last.pt")
""",
    "a sweep that makes model and optimizer each time": HEAD
    + """
for lr in (0.1, 0.01):
    net = nn.Linear(8, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)
    for x, y in loader:
        optimizer.zero_grad()
        criterion(net(x), y).backward()
        optimizer.step()
""",
    "a closure": HEAD
    + """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for x, y in loader:
    def closure():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss
    optimizer.step(closure)
""",
}
"""Scripts in which nothing is wrong."""

_SGD = "o = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)\n"
_LOOP = """
for epoch in range(90):
    for x, y in loader:
        o.zero_grad()
        criterion(model(x), y).backward()
        o.step()
"""
_STEP_LR = "torch.optim.lr_scheduler.StepLR(o, 30)"


def stepped(made, call):
    """Return a script that makes a scheduler so, and steps it by these lines at the end of an epoch."""
    lines = "".join(f"    {line}\n" for line in call.split("\n"))
    return f"{HEAD}{_SGD}{made}\n{_LOOP}{lines}"


STEPPED_BY_ANOTHER_NAME = {
    "out of a factory": stepped(f"def make(o):\n    return {_STEP_LR}\ns = make(o)", "s.step()"),
    "another name": stepped(f"def make(o):\n    return {_STEP_LR}\nsch = make(o)", "sch.step()"),
    "a policy": stepped(f"def make(o):\n    return {_STEP_LR}\nlr_policy = make(o)", "lr_policy.step()"),
    "a pair out of a factory": stepped(
        "def make():\n    opt = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        "    return opt, torch.optim.lr_scheduler.MultiStepLR(opt, [30, 60])\no, s = make()",
        "s.step()",
    ),
    "a list": stepped(f"all_of_them = [{_STEP_LR}]", "for one in all_of_them:\n    one.step()"),
    "a list of an object": stepped(f"self.s = [{_STEP_LR}]", "for x in self.s:\n    x.step()"),
    "a dictionary": stepped(f'hooks = {{"sched": {_STEP_LR}}}', "for h in hooks.values():\n    h.step()"),
    "out of a dictionary": stepped(f'hooks = {{"sched": {_STEP_LR}}}', 'hooks["sched"].step()'),
    "out of a method": stepped(f"def one():\n    return {_STEP_LR}\nkeep.s = one()", "keep.get().step()"),
    "another's function": stepped(f"s = {_STEP_LR}", "advance(s)"),
    "a handler": stepped(f"s = {_STEP_LR}", "engine.add_event_handler(END, s.step)"),
    "a parameter": stepped(f"def end(a, b):\n    a.step()\ns = {_STEP_LR}", "end(s, 1)"),
    "by a measure": stepped(f"def make(o):\n    return {_STEP_LR}\ns = make(o)", "s.step(loss)"),
}
"""Scripts whose scheduler is stepped, by a name that does not say what it is."""

NEVER_STEPPED = {
    "made, and forgotten": stepped(f"scheduler = {_STEP_LR}", "pass"),
    "made in a factory, and forgotten": stepped(f"def make(o):\n    return {_STEP_LR}\ns = make(o)", "print(s)"),
    "printed, and counted": stepped(f"s = {_STEP_LR}\ncount.step = 0", "print(s, count.step)\ncount.step += 1"),
    "a profiler": stepped(f"s = {_STEP_LR}\np = torch.profiler.profile()", "p.step()"),
    "an optimizer of one's own": stepped(
        f"s = {_STEP_LR}\nclass Own(torch.optim.SGD):\n    def step(self):\n        super().step()", "pass"
    ),
    "a class that steps the optimizer": stepped(
        f"s = {_STEP_LR}\nclass T:\n    def step(self):\n        o.step()\nt = T()", "t.step()"
    ),
}
"""Scripts whose scheduler is made, and nothing else than the optimizer, and what is known, is stepped."""
