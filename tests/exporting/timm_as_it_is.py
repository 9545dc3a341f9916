"""timm's two optimizers as its version 1.0.31 has them, since timm itself cannot be installed beside the tests.

After timm/optim/sgdw.py (`_single_tensor_sgdw`, `_max_lr_snapshot`) and timm/optim/_optim_factory.py, where "sgd" is
torch.optim.SGD with Nesterov's momentum and "momentum" without. Apache License 2.0, Ross Wightman.
"""

from __future__ import annotations

import sys
import types

import torch

from torchvision_operators import declare


def create_optimizer_v2(params, opt, lr, weight_decay, momentum, *, filter_bias_and_bn, **options):
    """Return torch's optimizer for timm's name of it."""
    assert opt in {"sgd", "momentum"}
    assert not filter_bias_and_bn  # or it would regroup the parameters of a model
    options["nesterov"] = opt == "sgd"
    return torch.optim.SGD(params, lr=lr, weight_decay=weight_decay, momentum=momentum, **options)


class SGDW(torch.optim.Optimizer):
    """SGD with decoupled weight decay."""

    def __init__(
        self,
        params,
        lr,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        *,
        corrected_weight_decay=False,
        maximize=False,
        foreach=None,
    ):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "max_lr": lr if corrected_weight_decay else None,
            "maximize": maximize,
            "foreach": foreach,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self):
        """Take one step."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            scale = lr if group["max_lr"] is None else lr**2 / group["max_lr"]
            for param in group["params"]:
                grad = -param.grad if group["maximize"] else param.grad
                param.mul_(1.0 - scale * group["weight_decay"])
                if momentum != 0:
                    buf = self.state[param].get("momentum_buffer")
                    if buf is None:
                        buf = self.state[param]["momentum_buffer"] = torch.clone(grad).detach()
                    else:
                        buf.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
                    grad = grad.add(buf, alpha=momentum) if group["nesterov"] else buf
                param.add_(grad, alpha=-lr)


def install():
    """Put this in timm's place for programs that import it, unless timm is there."""
    try:
        declare()
        import timm.optim
    except ImportError:
        timm, optim = types.ModuleType("timm"), types.ModuleType("timm.optim")
        timm.optim = optim
        optim.SGDW, optim.create_optimizer_v2 = SGDW, create_optimizer_v2
        sys.modules |= {"timm": timm, "timm.optim": optim}
