"""PyTorch: a subclass of torch.optim.SGD for the rules that its own cannot express.

What lives here: its source. What does not: when it is needed (`torch_target.py`).
"""

from __future__ import annotations

from downslope.recipes.exporting.source import comment, docstring

_NOT_TORCHS = {
    "decoupled": 'group["lr"] * group["decoupled_decay"]',
    "independent": 'group["decoupled_decay"]',
    "corrected": 'group["lr"] ** 2 / LR_MAX * group["decoupled_decay"]',
}


def write_subclass(decay: str, *, inside: bool) -> list[str]:
    """Return the subclass as source lines.

    Args:
        decay: The way of weight decay that it adds, or "".
        inside: Whether it moves lr into the velocity.
    """
    what = {
        "decoupled": "decoupled weight decay: param -= lr * weight_decay * param",
        "independent": "independent weight decay: param -= weight_decay * param, whatever lr is",
        "corrected": "corrected weight decay: param -= lr**2 / lr_max * weight_decay * param",
    }
    parts = [what[decay]] if decay else []
    if inside:
        parts.append("lr inside the velocity: v = momentum * v + lr * grad, and param -= v")
    lines = ["class SGD(torch.optim.SGD):", *docstring(f"PyTorch's SGD with {'; and '.join(parts)}.", depth=1), ""]
    lines += ["    @torch.no_grad()", "    def step(self):"]
    if inside:
        lines += ["        kept = []"]
    lines += ["        for group in self.param_groups:"]
    moves = []
    if decay:
        lines += [f"            decay = {_NOT_TORCHS[decay]}"]
        moves += ["param.mul_(1 - decay)"]
    if inside:
        moves += ['param.grad.mul_(group["lr"])']
    lines += ['            for param in group["params"]:', "                if param.grad is not None:"]
    lines += [f"                    {move}" for move in moves]
    if not inside:
        return [*lines, "        super().step()"]
    return [
        *lines,
        *comment("With lr in the gradients and in weight_decay, the step itself has lr 1.", 3),
        '            kept.append((group["lr"], group["weight_decay"]))',
        '            group["weight_decay"] *= group["lr"]',
        '            group["lr"] = 1.0',
        "        super().step()",
        "        for group, (lr, weight_decay) in zip(self.param_groups, kept):",
        '            group["lr"], group["weight_decay"] = lr, weight_decay',
    ]
