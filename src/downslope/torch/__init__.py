"""The PyTorch front door: ``downslope.torch.SGD``, a drop-in for ``torch.optim.SGD``, and loss scaling beside it."""

from downslope.torch.grad_scaler import GradScaler
from downslope.torch.sgd import SGD

__all__ = ["SGD", "GradScaler"]
